"""Let QUALIFY leave rows before they are scored, where it asks for a score only beside its windows.

    SELECT id, P AS p FROM t WHERE a QUALIFY row_number() OVER (…) = 1 AND P > 0.5
    SELECT id, P AS p FROM (SELECT * FROM t WHERE a QUALIFY row_number() OVER (…) = 1) AS t WHERE P > 0.5

Windows of the select list are computed below, too. This module must not know how a call becomes a function.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.aliases import IN_PLACE
from scoter.engine.call_sites import (
    ColumnsOf,
    adds_unseen,
    aliases_of,
    columns_known,
    conjuncts_of,
    hide,
    named_relations,
)
from scoter.engine.statements import Predict


def score_qualified(tree: exp.Expr, columns_of: ColumnsOf) -> exp.Expr:
    """Return ``tree``, changed in place, with what QUALIFY asks of scores in WHERE.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake.
    """
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        qualify = select.args.get("qualify")
        if qualify is not None and select.find(Predict) is not None:
            _split(
                select, qualify, columns_known(named_relations(select), columns_of), f"scoter_window_{number}"
            )
    return tree


def _split(select: exp.Select, qualify: exp.Expr, known: frozenset[str] | None, name: str) -> None:
    relations = named_relations(select)
    if known is None or len(relations) != 1 or not adds_unseen(select, relations) or not _is_plain(select):
        return
    aliases = {alias: value for alias, value in aliases_of(select).items() if not _is_column(value, alias)}
    if aliases.keys() & known & _names(qualify):
        return
    conjuncts = conjuncts_of(_spelled_out(qualify, aliases))
    above = [part for part in conjuncts if part.find(Predict) is not None]
    below = [part for part in conjuncts if part.find(Predict) is None]
    if not above or not below:
        return
    where = select.args.get("where")
    if where is not None and (where.find(Predict) is not None or _names(where) & aliases.keys()):
        return
    parts = [*select.expressions, *(part for part in [select.args.get("order")] if part is not None), *above]
    windows = [window for part in parts for window in part.find_all(exp.Window)]
    if any(window.find(Predict) is not None or _names(window) & aliases.keys() for window in windows):
        return
    qualified = exp.Qualify(this=exp.and_(*below, copy=False))
    columns: dict[str, str] = {}
    inner = exp.Select(expressions=[exp.Star()])
    holder = exp.Tuple(expressions=above)
    for window in windows:
        text = window.sql(dialect="duckdb")
        if text not in columns:
            columns[text] = f"{name}_{len(columns)}"
            inner.append("expressions", exp.alias_(window.copy(), columns[text], quoted=True))
        window.replace(exp.column(exp.to_identifier(columns[text], quoted=True)))
    inner.set("from_", select.args["from_"])
    inner.set("where", where)
    inner.set("qualify", qualified)
    hide(select, list(columns.values()), relations[0].alias_or_name)
    alias = exp.TableAlias(this=exp.to_identifier(relations[0].alias_or_name, quoted=True))
    wrapped = exp.Subquery(this=inner, alias=alias)
    wrapped.meta[IN_PLACE] = True
    select.set("from_", exp.From(this=wrapped))
    select.set("qualify", None)
    select.set("where", exp.Where(this=exp.and_(*holder.expressions, copy=False)))


_CLAUSES = frozenset(
    {"with_", "expressions", "from_", "where", "qualify", "order", "limit", "offset", "distinct"}
)


def _is_plain(select: exp.Select) -> bool:
    return {key for key, value in select.args.items() if value} <= _CLAUSES


def _is_column(value: exp.Expr, name: str) -> bool:
    return isinstance(value, exp.Column) and value.name.casefold() == name


def _names(part: exp.Expr) -> set[str]:
    return {column.name.casefold() for column in part.find_all(exp.Column) if not column.table}


def _spelled_out(condition: exp.Expr, aliases: dict[str, exp.Expr]) -> exp.Expr:
    """Return a copy of a clause with what aliases stand for in their place."""
    spelled = condition.copy()
    for column in list(spelled.find_all(exp.Column)):
        value = aliases.get(column.name.casefold()) if not column.table else None
        if value is not None:
            column.replace(exp.Paren(this=value.copy()))
    return spelled
