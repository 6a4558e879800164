"""Which column names a relation in FROM may give, as far as the text and the lake tell.

This module must not know models, nor what is done with the names. More names than there are may be
told, never fewer; None says that any name is possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlglot import exp

from scoter.engine.gate import function_name
from scoter.engine.resolved import Resolved

_Names = frozenset[str] | None
_MOST_DEEP = 50  # of CTEs that read each other


def relations_of(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield what stands in FROM, joined tables and laterals included."""
    from_ = select.args.get("from_")
    if from_ is not None:
        yield from_.this
    for join in [*(select.args.get("joins") or []), *(select.args.get("laterals") or [])]:
        yield join.this if isinstance(join, exp.Join) else join


def is_row_and_column(name: str, place: exp.Expr, resolved: Resolved) -> bool:
    """Say whether a bare name at ``place`` may be a column while a relation there has it as its alias.

    DuckDB then reads the column and not the row.
    """
    folded = name.casefold()
    column = False
    select = place.find_ancestor(exp.Select)
    while select is not None:
        found = list(relations_of(select))
        column = column or any(_may_have(folded, column_names(one, resolved)) for one in found)
        if any(one.alias_or_name.casefold() == folded for one in found):
            return column
        select = select.find_ancestor(exp.Select)
    return False


def _may_have(name: str, names: _Names) -> bool:
    return names is None or name in names


def column_names(relation: exp.Expr, resolved: Resolved, depth: int = 0) -> _Names:
    """Return the names, in lower case, of the columns that a relation gives."""
    if depth > _MOST_DEEP or relation.args.get("pivots") or relation.args.get("joins"):
        return None
    alias = relation.args.get("alias")
    renamed = frozenset(
        c.name.casefold() for c in (alias.args.get("columns") or [] if alias is not None else [])
    )
    own = _own_names(relation, resolved, depth)
    return None if own is None else own | renamed


def _own_names(relation: exp.Expr, resolved: Resolved, depth: int) -> _Names:
    match relation:
        case exp.Table():
            source = resolved.source(relation)
            if source is not None:
                return frozenset(name.casefold() for name, _ in source.columns)
            cte = _cte(relation) if isinstance(relation.this, exp.Identifier) else None
            return None if cte is None else _of_cte(cte, resolved, depth)
        case exp.Subquery() | exp.Lateral():
            return _of_query(relation.this, resolved, depth)
        case exp.Values():
            width = max((len(row.expressions) or 1 for row in relation.expressions), default=0)
            return frozenset(f"col{i}" for i in range(width))
    return None


def _of_cte(cte: exp.CTE, resolved: Resolved, depth: int) -> _Names:
    renamed = frozenset(c.name.casefold() for c in cte.args["alias"].args.get("columns") or [])
    own = _of_query(cte.this, resolved, depth + 1)
    return None if own is None else own | renamed


def _cte(table: exp.Table) -> exp.CTE | None:
    name = table.name.casefold()
    place: exp.Expr | None = table.parent
    while place is not None:
        within = place.args.get("with_")
        ctes: list[exp.CTE] = within.expressions if within is not None else []
        for cte in reversed(ctes):
            if cte.alias.casefold() == name and not _is_inside(table, cte):
                return cte
        place = place.parent
    return None


def _is_inside(node: exp.Expr, other: exp.Expr) -> bool:
    parent: exp.Expr | None = node
    while parent is not None and parent is not other:
        parent = parent.parent
    return parent is other


def _of_query(query: exp.Expr, resolved: Resolved, depth: int) -> _Names:
    match query:
        case exp.Subquery():
            return _of_query(query.this, resolved, depth)
        case exp.SetOperation():
            return _both([_of_query(side, resolved, depth) for side in (query.left, query.right)])
        case exp.Values():
            return _own_names(query, resolved, depth)
        case exp.Select():
            return _both(_of_projection(part, query, resolved, depth) for part in query.expressions)
    return None


def _both(parts: Iterable[_Names]) -> _Names:
    found: frozenset[str] = frozenset()
    for names in parts:
        if names is None:
            return None
        found |= names
    return found


def _of_projection(part: exp.Expr, select: exp.Select, resolved: Resolved, depth: int) -> _Names:
    star = part.this if isinstance(part, exp.Column) else part
    if isinstance(star, exp.Star):
        named = frozenset(one.alias.casefold() for one in star.args.get("rename") or [])
        below = _both(column_names(one, resolved, depth + 1) for one in relations_of(select))
        return None if below is None else below | named
    inner = part
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if part.find(exp.Columns) or any(
        function_name(node) == "unnest" for node in part.find_all(exp.Anonymous)
    ):
        return None
    if part.find(exp.Unnest):
        return None
    if isinstance(inner, exp.Dot):
        return frozenset([inner.expression.name.casefold()])
    return frozenset([inner.alias_or_name.casefold()])
