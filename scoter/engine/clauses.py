"""What the clauses of a SELECT hold: the parts of its conditions, the columns that it names, its aliases.

This module must not know model calls, nor what is in FROM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

_SOURCES = frozenset({"from_", "joins", "laterals", "with_"})


def path_to(node: exp.Expr | None, select: exp.Select) -> Iterator[exp.Expr]:
    """Yield a node and what it stands in, up to the part of ``select``."""
    while node is not None and node is not select:
        yield node
        node = node.parent


def conjuncts_of(condition: exp.Expr | None) -> list[exp.Expr]:
    """Return the parts of a WHERE or QUALIFY that all must hold; none where there is no such clause."""
    if condition is None:
        return []
    whole: exp.Expr = condition.this
    return list(whole.flatten()) if isinstance(whole, exp.And) else [whole]


def parted(
    condition: exp.Expr | None, holds: Callable[[exp.Expr], bool]
) -> tuple[list[exp.Expr], list[exp.Expr]]:
    """Return the parts of a WHERE or QUALIFY for which ``holds`` is true, and the others."""
    parts: tuple[list[exp.Expr], list[exp.Expr]] = ([], [])
    for part in conjuncts_of(condition):
        parts[0 if holds(part) else 1].append(part)
    return parts


def where_all(parts: list[exp.Expr]) -> exp.Where | None:
    """Return the WHERE of which these are the parts, None for none."""
    return exp.Where(this=exp.and_(*parts, copy=False)) if parts else None


def columns_outside(select: exp.Select) -> list[exp.Column]:
    """Return the columns of a SELECT outside its FROM and joins."""
    holders = (exp.From, exp.Join, exp.Select)
    nodes = select.walk(prune=lambda node: node is not select and isinstance(node, holders))
    return [node for node in nodes if isinstance(node, exp.Column)]


def columns_beside(select: exp.Select) -> list[exp.Column]:
    """Return the columns of a SELECT and of the queries in it, but for those of its FROM and joins."""
    clauses = (part for part in select.iter_expressions() if part.arg_key not in _SOURCES)
    return [column for part in clauses for column in part.find_all(exp.Column)]


def star_of(part: exp.Expr) -> exp.Star | None:
    """Return the star that a part of a select list is, with a table before it or without one."""
    inner = part.this if isinstance(part, exp.Column) else part
    return inner if isinstance(inner, exp.Star) else None


def aliases_of(select: exp.Select) -> dict[str, exp.Expr]:
    """Return what a SELECT's own aliases stand for, by folded name; of several alike the last, as DuckDB has it."""
    return {part.alias.casefold(): part.this for part in select.expressions if isinstance(part, exp.Alias)}
