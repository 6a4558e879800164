"""The queries whose rows are scored between two queries, cut out of a statement.

This module must not know how stages are run.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from scoter.engine.call_sites import is_volatile
from scoter.engine.dialect import to_duckdb
from scoter.engine.gate import function_name
from scoter.engine.logic import BEHIND
from scoter.engine.plan import ModelCall, Stage
from scoter.engine.rules.score_apart import APART
from scoter.engine.scanning.stored import StoredColumn, StoredFiles, StoredRows


def cut_stages(
    tree: exp.Expr, calls: tuple[ModelCall, ...], stored: Mapping[str, StoredFiles]
) -> tuple[Stage, ...]:
    """Cut the marked subqueries out of ``tree``, in place, and return them.

    ``stored`` are files that hold the columns of tables as they are, by the SQL that reads the tables.
    """
    functions = {call.function.name + ("_v" if call.volatile else ""): call.function for call in calls}
    stages: list[Stage] = []
    for node in [found for found in tree.find_all(exp.Subquery) if APART in found.meta]:
        name = f"scoter_scored_{len(stages)}"
        scores = []
        for part in node.this.expressions:
            if not isinstance(part, exp.Alias):
                continue
            found = next(
                (node for node in part.this.find_all(exp.Anonymous) if str(node.this) in functions), None
            )
            if found is None or not (found is part.this or part.this.meta.get(BEHIND)):
                continue
            scores.append((part.alias, functions[str(found.this)]))
            if found is not part.this:
                _behind_stage(tree, part, found)
            part.set("this", found.expressions[0])
        calls_models = any(str(call.this) in functions for call in node.this.find_all(exp.Anonymous))
        is_plain = not calls_models and not is_volatile(node.this)
        rows = _stored_rows(node.this, stored)
        stages.append(Stage(name, to_duckdb(node.this), tuple(scores), is_plain, rows))
        node.replace(exp.Table(this=exp.to_identifier(name), alias=node.args["alias"].copy()))
    return tuple(stages)


def _stored_rows(select: exp.Select, stored: Mapping[str, StoredFiles]) -> StoredRows | None:
    """Return what reads a stage's rows without SQL, where they are columns of one table's files and all of its rows."""
    files = stored.get(select.args["from_"].this.name)
    if files is None or any(
        value for key, value in select.args.items() if key not in {"expressions", "from_"}
    ):
        return None
    columns: list[tuple[str, StoredColumn | tuple[StoredColumn, ...]]] = []
    for part in select.expressions:
        value = part.unalias()
        fields = value.expressions if function_name(value) == "struct_pack" else None
        given = [value] if fields is None else [field.expression for field in fields]
        known = [column for column in (_stored_column(each, files) for each in given) if column is not None]
        if len(known) < len(given):
            return None
        columns.append((part.alias_or_name, known[0] if fields is None else tuple(known)))
    return StoredRows(files.paths, files.rows, tuple(columns))


def _stored_column(value: exp.Expr, files: StoredFiles) -> StoredColumn | None:
    if isinstance(value, exp.Cast) and not isinstance(value, exp.TryCast):
        column = _stored_column(value.this, files)
        return None if column is None else column.cast(to_duckdb(value.to))
    is_column = isinstance(value, exp.Column) and not isinstance(value.this, exp.Star)
    return files.columns.get(value.name.casefold()) if is_column else None


def _behind_stage(tree: exp.Expr, part: exp.Expr, call: exp.Expr) -> None:
    """Compute what a stage makes of a model's result where its rows are read, in place."""
    columns = [column for column in tree.find_all(exp.Column) if column.name == part.alias]
    for column in columns:
        made = part.this.copy()
        inner = next(node for node in made.find_all(exp.Anonymous) if node.this == call.this)
        inner.replace(column.copy())
        column.replace(made)
