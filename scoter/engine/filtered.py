"""Which results of nested queries the conditions of the queries around them name, also under other names.

DuckDB moves such conditions below: what they name is then evaluated there, and again above. This module must not know
what is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp


class Conditions:
    """The names that conditions of a statement's queries ask for, with those that are made of them further below."""

    def __init__(self, tree: exp.Expr) -> None:
        self._asked = [(owner, _names(part)) for owner, part in _conditions(tree)]
        self._made: dict[str, set[str]] = {}
        for name, names in _made(tree):
            self._made.setdefault(name, set()).update(names)

    def above(self, select: exp.Select) -> frozenset[str]:
        """Return the folded names of results that conditions around ``select`` may ask for."""
        if select.find_ancestor(exp.Select, exp.CTE) is None:
            return frozenset()
        within = {id(node) for node in select.find_all(exp.Select)}
        reached = [name for owner, names in self._asked if id(owner) not in within for name in names]
        found: set[str] = set()
        while reached:
            name = reached.pop()
            if name not in found:
                found.add(name)
                reached += self._made.get(name, ())
        return frozenset(found)


def _conditions(tree: exp.Expr) -> Iterator[tuple[exp.Select | None, exp.Expr]]:
    """Yield the parts of queries by which DuckDB leaves rows out, each with its SELECT."""
    for node in tree.find_all(exp.Where, exp.Having, exp.Qualify, exp.Join, exp.Order):
        select = node.find_ancestor(exp.Select)
        if isinstance(node, exp.Join):
            condition = node.args.get("on")
            if condition is not None:
                yield select, condition
        elif not isinstance(node, exp.Order) or (node.parent is not None and node.parent.args.get("limit")):
            yield select, node


def _made(tree: exp.Expr) -> Iterator[tuple[str, set[str]]]:
    """Yield the names that results have, and those of what they are made of."""
    for select in tree.find_all(exp.Select):
        for part in select.expressions:
            if isinstance(part, exp.Alias):
                yield part.alias.casefold(), _names(part.this)
    for union in tree.find_all(exp.SetOperation):
        yield from _renamed(_results(union.left), union.right)
    for alias in tree.find_all(exp.TableAlias):
        if isinstance(alias.parent, exp.CTE | exp.Subquery):
            yield from _renamed([column.name.casefold() for column in alias.columns], alias.parent.this)


def _renamed(names: list[str], query: exp.Expr) -> Iterator[tuple[str, set[str]]]:
    """Yield the names by place that a query's results get; behind a star any may be any."""
    results = _results(query)
    if "*" in results or "*" in names:
        yield from ((name, set(results)) for name in [*names, *results])
    else:
        yield from ((name, {result}) for name, result in zip(names, results, strict=False))


def _results(query: exp.Expr) -> list[str]:
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.left if isinstance(query, exp.SetOperation) else query.this
    if not isinstance(query, exp.Select):
        return []
    return ["*" if part.is_star else part.alias_or_name.casefold() for part in query.expressions]


def _names(part: exp.Expr) -> set[str]:
    return {column.name.casefold() for column in part.find_all(exp.Column)}
