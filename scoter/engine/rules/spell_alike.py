"""Give calls of one SELECT that give a model the same values one spelling, whatever way they are written.

`PREDICT('m', a, b)`, `PREDICT('M@1', {b: b, a: t.a})` and `PREDICT('m', t)` may be the same call: DuckDB and the other
rules find equal calls by their text. This module must not know what models and their inputs are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlglot import exp

from scoter.engine.arguments import ROWS
from scoter.engine.call_sites import calls_of, is_volatile
from scoter.engine.clauses import aliases_of
from scoter.engine.dialect import Scoter
from scoter.engine.from_clauses import ColumnsOf, Owners, named_relations, owner_of, owners_of
from scoter.engine.model_runs import first_written, run_text
from scoter.engine.replacing import put
from scoter.engine.resolved import MODEL
from scoter.engine.statements import Predict


def spell_alike(
    tree: exp.Expr, columns_of: ColumnsOf, given_by: Callable[[Predict], Sequence[exp.Expr]]
) -> exp.Expr:
    """Return ``tree``, changed in place, with such calls spelled as the first of them.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake. ``given_by`` returns
    what a call gives: the model, in one spelling, and the values of its inputs in order.
    """
    for select in list(tree.find_all(exp.Select)):
        calls = [call for call in calls_of(select) if not is_volatile(call)]
        if len({run_text(call) for call in calls}) < 2:
            continue
        relations = named_relations(select)
        row = relations[0].alias_or_name.casefold() if len(relations) == 1 else None
        owners = owners_of(relations, columns_of) if row is None else {}
        aliases = aliases_of(select)
        alike: dict[tuple[str, ...], list[Predict]] = {}
        for call in calls:
            key = tuple(_plain(part, row, owners, aliases) for part in given_by(call))
            alike.setdefault(key, []).append(call)
        for same in alike.values():
            first = first_written(same)
            for call in same:
                if run_text(call) != run_text(first):
                    put(call, _spelled(call, first))
    return tree


def _plain(value: exp.Expr, row: str | None, owners: Owners, aliases: Collection[str]) -> str:
    """Return a value's text with names in one case, with the table of each where there are several, else without."""
    value = exp.Paren(this=value.copy())
    binds = value.find(exp.Lambda, exp.Comprehension) is not None
    for column in [] if binds else list(value.find_all(exp.Column)):
        if isinstance(column.this, exp.Identifier):
            name = column.name.casefold()
            column.set("this", exp.to_identifier(name, quoted=True))
            owner = owner_of(column, owners)
            if name not in aliases and owner is not None:
                column.set("table", exp.to_identifier(owner, quoted=True))
            elif name not in aliases and not column.db and column.table.casefold() == row:
                column.set("table", None)
    return value.sql(dialect=Scoter)


def _spelled(call: Predict, first: Predict) -> Predict:
    """Return what ``call`` wants of its model, with the values of ``first``."""
    new = call.copy()
    new.set("model", first.model.copy())
    new.set("arguments", [argument.copy() for argument in first.arguments])
    new.meta.pop(ROWS, None)
    new.meta.update({key: first.meta[key] for key in (MODEL, ROWS) if key in first.meta})
    return new
