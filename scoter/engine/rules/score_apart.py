"""Put a SELECT's predictions into a subquery that holds nothing else, so that they can be scored apart.

`SELECT avg(PREDICT('m', a)) FROM t WHERE b` becomes `SELECT avg(score) FROM (SELECT PREDICT('m', a) AS
score FROM t WHERE b) AS t`: DuckDB can then give the subquery's rows as a stream, in batches larger than
those of a function call, and take the scored rows back as another. Only done where the subquery
certainly means the same. This module must not know how a stream is scored.
"""

from __future__ import annotations

from collections.abc import Container

from sqlglot import exp

from scoter.engine.call_sites import calls_of, is_eager, is_read_whole, is_volatile
from scoter.engine.from_clauses import ColumnsOf, adds_unseen, columns_needed, named_relations, wrap
from scoter.engine.grouping import Grouping, is_of_several_rows
from scoter.engine.model_runs import call_text
from scoter.engine.replacing import put
from scoter.engine.statements import Predict

APART = "scoter_apart"
"""Marks such a subquery."""
_OWN = "scoter_"  # names of columns that are added begin so

_CLAUSES = frozenset(
    {"expressions", "from_", "where", "group", "having", "order", "limit", "offset", "distinct"}
)


def score_apart(tree: exp.Expr, columns_of: ColumnsOf, inlined: Container[int] = ()) -> exp.Expr:
    """Return ``tree`` with the calls of a SELECT over one table in a marked subquery in its FROM.

    ``columns_of`` gives a stored table's column names, None for any other. Where all calls of a SELECT are among
    ``inlined``, by identity, they stay: no model is called there.
    """
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        calls = calls_of(select)
        relations = named_relations(select)
        if (
            all(id(call) in inlined for call in calls)
            or len(relations) != 1
            or not isinstance(relations[0], exp.Table)
        ):
            continue
        columns = columns_of(relations[0])
        if columns is not None and _is_sure(select, calls, relations[0], columns):
            _move(select, calls, relations[0], columns, number)
    return tree


def _is_sure(select: exp.Select, calls: list[Predict], table: exp.Table, columns: list[str]) -> bool:
    if not {key for key, value in select.args.items() if value} <= _CLAUSES:
        return False
    if any(table.args.get(key) for key in ("joins", "pivots", "sample", "laterals")):
        return False
    if any(name.casefold().startswith(_OWN) for name in columns):
        return False
    alias = table.args.get("alias")
    if (alias is not None and alias.columns) or not adds_unseen(select, [table]):
        return False
    if (select.args.get("limit") or select.args.get("offset")) and not select.args.get("order"):
        return False
    if not is_read_whole(select) or not _names_are_own(select, table, columns):
        return False
    grouping = Grouping(select)
    return all(is_eager(call, select) and _is_simple(call) and grouping.may_be_column(call) for call in calls)


def _names_are_own(select: exp.Select, table: exp.Table, columns: list[str]) -> bool:
    """Say whether every name in the SELECT is one of the table's, and below the calls and the filter only such."""
    own = table.alias_or_name.casefold()
    known = {name.casefold() for name in columns}
    aliases = {part.alias.casefold() for part in select.expressions if isinstance(part, exp.Alias)}
    for column in select.find_all(exp.Column):
        if isinstance(column.this, exp.Star):
            if column.table.casefold() not in {"", own}:
                return False
            continue
        name = column.name.casefold()
        inside = column.find_ancestor(Predict, exp.Where, exp.Select)
        is_row = name == own and not column.table and isinstance(inside, Predict)
        may_be_alias = name in aliases and not column.table and isinstance(inside, exp.Select)
        if column.db or column.table.casefold() not in {"", own}:
            return False
        if not (name in known or is_row or may_be_alias):
            return False
    # With no other query inside, no name can mean anything else.
    return all(node is select for node in select.find_all(exp.Query))


def _is_simple(call: Predict) -> bool:
    """Say whether a call's arguments can stand below a grouping: columns, and nothing that needs groups.

    Calls on random() are not: equal calls become one.
    """
    if call.find(exp.Column) is None or is_volatile(call):
        return False
    held = (node for argument in call.arguments for node in argument.walk())
    return not any(isinstance(node, exp.Query | Predict) for node in held) and not is_of_several_rows(call)


def _move(
    select: exp.Select, calls: list[Predict], table: exp.Table, columns: list[str], number: int
) -> None:
    names: dict[str, str] = {}
    scores: dict[str, exp.Expr] = {}
    for call in calls:
        text = call_text(call)
        if text not in names:
            names[text] = f"scoter_apart_{number}_{len(names)}"
            scores[names[text]] = call
        put(call, exp.column(exp.to_identifier(names[text], quoted=True)))
    where = select.args.get("where")
    select.set("where", None)
    apart = wrap(select, table, columns_needed(select, table, columns), scores)
    apart.this.set("where", where)
    apart.meta[APART] = True
