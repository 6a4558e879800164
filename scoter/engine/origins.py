"""Which result columns of a query are plainly columns of a table.

This module must not know types, nor what is done with the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from scoter.engine.columns import Origin
from scoter.engine.resolved import Resolved

_Origins = list["Origin | None"]


@dataclass(frozen=True)
class _Relation:
    """A relation in FROM: its columns by folded name, None where they are not plainly a table's."""

    alias: str
    columns: dict[str, Origin] | None


def origins(query: exp.Expr, resolved: Resolved, width: int) -> _Origins:
    """Return the origin of each of ``width`` result columns, None where it is not plain.

    Plain are names and stars over tables in FROM, with or without an alias; all else is computed.
    """
    unknown: _Origins = [None] * width
    from_ = query.args.get("from_") if isinstance(query, exp.Select) else None
    if from_ is None:
        return unknown
    joins = query.args.get("joins") or []
    relations = [_relation(node, resolved) for node in [from_.this, *(join.this for join in joins)]]
    whole = not query.args.get("laterals") and all(_keeps_columns(join) for join in joins)
    found: _Origins = []
    for part in query.expressions:
        if not _is_star(part):
            found.append(_of(part, relations))
            continue
        spread = _spread(part, relations) if whole else None
        if spread is None:
            return unknown
        found += spread
    return found if len(found) == width else unknown


def _relation(node: exp.Expr, resolved: Resolved) -> _Relation:
    alias = node.args.get("alias")
    renamed = alias is not None and bool(alias.args.get("columns"))
    plain = isinstance(node, exp.Table) and not renamed
    plain = plain and not node.args.get("joins") and not node.args.get("pivots")
    source = resolved.source(node) if plain else None
    columns = None
    if source is not None:
        fields = source.schema.fields if source.schema is not None and source.virtual is None else ()
        remarks = {one.name: one.doc for one in fields}
        columns = {name.casefold(): Origin(source.name, remarks.get(name)) for name, _ in source.columns}
        if len(columns) < len(source.columns):
            columns = None
    return _Relation(node.alias_or_name.casefold(), columns)


def _keeps_columns(join: exp.Expr) -> bool:
    """Say whether a join's star is all columns of its left, then all of its right side."""
    kinds = {str(join.args.get(key) or "").upper() for key in ("kind", "method")}
    return not kinds & {"SEMI", "ANTI", "NATURAL"} and not join.args.get("using")


def _is_star(part: exp.Expr) -> bool:
    return isinstance(part, exp.Star) or (isinstance(part, exp.Column) and isinstance(part.this, exp.Star))


def _spread(part: exp.Expr, relations: Sequence[_Relation]) -> _Origins | None:
    """Return the origins of a star's columns, None where it can not be told how many there are."""
    star = part.this if isinstance(part, exp.Column) else part
    if any(star.args.get(key) for key in ("except_", "replace", "rename")):
        return None
    if isinstance(part, exp.Column):
        relations = [one for one in relations if one.alias == part.table.casefold()]
    found: _Origins = []
    for relation in relations:
        if relation.columns is None:
            return None
        found += relation.columns.values()
    return found


def _of(part: exp.Expr, relations: Sequence[_Relation]) -> Origin | None:
    column = part.this if isinstance(part, exp.Alias) else part
    if not isinstance(column, exp.Column) or column.args.get("db"):
        return None
    if column.table:
        relations = [one for one in relations if one.alias == column.table.casefold()]
    if any(one.columns is None for one in relations):
        return None
    # A name of two tables is the column that USING made of both.
    name = column.name.casefold()
    having = [one.columns[name] for one in relations if one.columns and name in one.columns]
    return having[0] if len(having) == 1 else None
