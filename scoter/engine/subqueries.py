"""Which conditions on the result of a subquery in FROM are conditions on the rows that it is made from.

This module must not know tables, files or statistics.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

# With one of these, a row of the result depends on rows that the condition would leave out.
_WHOLE = ("limit", "offset", "qualify", "windows", "sample", "laterals")
_OUTSIDE = ("joins", "pivots", "sample", "laterals", "order", "limit", "offset", "with_")


def select_of(node: exp.Expr) -> exp.Select | None:
    """Return the SELECT whose result a member of FROM is, None where it is not plainly one."""
    if not isinstance(node, exp.Subquery) or any(node.args.get(key) for key in _OUTSIDE):
        return None
    select = node.this
    return select if isinstance(select, exp.Select) else None


def names_of(node: exp.Expr) -> frozenset[str] | None:
    """Return the folded names of the columns that a subquery gives, None where they are not written."""
    select = select_of(node)
    if select is None or any(_spreads(part) for part in select.expressions):
        return None
    return frozenset(_names(node, select))


def conditions_inside(node: exp.Expr, predicate: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the conditions on the rows of a subquery's FROM that follow from a predicate on its columns.

    Rows for which one of them is not TRUE can not make a row of the result for which the predicate is
    TRUE. Columns of ``predicate`` stand without qualifier.

    >>> from sqlglot import parse_one
    >>> inner = parse_one("SELECT * FROM (SELECT t.a AS x, sum(b) AS s FROM t GROUP BY 1) AS v", dialect="duckdb")
    >>> given = parse_one("x > 2 AND s > 5", dialect="duckdb")
    >>> [c.sql() for c in conditions_inside(inner.args["from_"].this, given)]
    ['t.a > 2']
    """
    select = select_of(node)
    if select is None or not _keeps_rows(select):
        return
    columns = _columns(node, select)
    for part in predicate.flatten() if isinstance(predicate, exp.And) else (predicate,):
        found = _inside(part, columns)
        if found is not None:
            yield found


def _keeps_rows(select: exp.Select) -> bool:
    if any(select.args.get(key) for key in _WHOLE):
        return False
    distinct = select.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        return False
    group = select.args.get("group")
    if group is not None and group.find(exp.Cube, exp.Rollup, exp.GroupingSets) is not None:
        # In their other rows a column is NULL that is not NULL in the rows that they are made from.
        return False
    return not any(part.find(exp.Window, exp.Columns) is not None for part in select.expressions)


def _columns(node: exp.Expr, select: exp.Select) -> dict[str, exp.Column] | None:
    """Return the column behind each name of the result that is plainly one; None where all names stay.

    In a query with GROUP BY such a column is one that is grouped by: all others stand in aggregates.
    """
    if _is_bare_star(select):
        alias = node.args.get("alias")
        return {} if alias is not None and alias.columns else None
    if any(_spreads(part) for part in select.expressions):
        return {}
    names = _names(node, select)
    if len(set(names)) < len(names):
        return {}
    parts = (part.this if isinstance(part, exp.Alias) else part for part in select.expressions)
    return {name: part for name, part in zip(names, parts, strict=True) if isinstance(part, exp.Column)}


def _names(node: exp.Expr, select: exp.Select) -> list[str]:
    alias = node.args.get("alias")
    given = [column.name for column in alias.columns] if alias is not None else []
    own = [part.alias_or_name for part in select.expressions]
    return [name.casefold() for name in (given + own[len(given) :])[: len(own)]]


def _is_bare_star(select: exp.Select) -> bool:
    if len(select.expressions) != 1 or not isinstance(select.expressions[0], exp.Star):
        return False
    star = select.expressions[0]
    changed = any(star.args.get(key) for key in ("except_", "replace", "rename"))
    return not changed and not select.args.get("joins") and not select.args.get("group")


def _spreads(part: exp.Expr) -> bool:
    inner = part.this if isinstance(part, exp.Column) else part
    return isinstance(inner, exp.Star) or part.find(exp.Columns) is not None


def _inside(condition: exp.Expr, columns: dict[str, exp.Column] | None) -> exp.Expr | None:
    copied = exp.Paren(this=condition.copy())
    for column in list(copied.find_all(exp.Column)):
        if columns is None:
            continue
        behind = columns.get(column.name.casefold())
        if behind is None:
            return None
        column.replace(behind.copy())
    found: exp.Expr = copied.this
    found.pop()
    return found
