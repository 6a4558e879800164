"""The aliases under which relations stand in the place of tables' names, and what qualified columns become.

This module must not know what a table is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlglot import exp

from scoter.catalog.names import TableName
from scoter.engine.marks import IN_PLACE
from scoter.engine.statements import span_of
from scoter.errors import AmbiguousName


class Qualifiers:
    """The dotted names under which columns of tables without an alias can be written, SELECT for SELECT."""

    def __init__(self, nodes: Sequence[exp.Table]) -> None:
        self._shared = _shared_names(nodes)
        self._aliases: dict[int, dict[tuple[str, ...], set[str]]] = {}

    def add(self, node: exp.Table, name: TableName, suffix: str | None = None) -> str:
        """Return the alias that stands for a table's name; ``suffix`` is of a metadata table as in `t.files`.

        ``node`` is still in its place.
        """
        select, written = node.find_ancestor(exp.Select), [part.name for part in node.parts]
        alias = ".".join(written) if (id(select), written[-1].casefold()) in self._shared else written[-1]
        if node.args.get("alias") is None:
            own = (name.name, suffix) if suffix else (written[-1],)
            placed = (name.schema, *own)
            spellings = {own, placed, (name.catalog, *placed), tuple(written)}
            for scope in _naming(select):
                known = self._aliases.setdefault(id(scope), {})
                for spelled in spellings:
                    known.setdefault(_folded(spelled), set()).add(alias)
        return alias

    def strip(self, tree: exp.Expr) -> None:
        """Put the alias in the place of each column's qualifier of several parts, in place.

        Raises AmbiguousName where a nearer relation is called as the alias is, or two tables have the name.
        """
        near: dict[int, frozenset[str]] = {}
        for column in list(tree.find_all(exp.Column)) if self._aliases else ():
            if column.args.get("db") is not None:
                self._strip(column, near)

    def _strip(self, column: exp.Column, near: dict[int, frozenset[str]]) -> None:
        parts, tops = _path(column)
        hidden: set[str] = set()
        for scope, known in self._scopes(column):
            for length in range(len(parts) - 1, 1, -1):
                aliases = known.get(_folded(part.name for part in parts[:length]))
                if aliases is None:
                    continue
                (alias, *more) = aliases
                if more or alias.casefold() in hidden:
                    raise _ambiguous(column, parts, alias, hidden)
                _requalify(column, parts, tops, length, alias)
                return
            if id(scope) not in near:
                near[id(scope)] = frozenset(node.alias_or_name.casefold() for node in _relations(scope))
            hidden |= near[id(scope)]

    def _scopes(self, column: exp.Column) -> Iterator[tuple[exp.Expr, Mapping[tuple[str, ...], set[str]]]]:
        """Yield the queries around a column with what their tables are called, from the innermost."""
        child: exp.Expr = column
        node = column.parent
        while node is not None:
            if isinstance(node, exp.Select):
                yield node, self._aliases.get(id(node), {})
            elif isinstance(node, exp.SetOperation) and child.arg_key not in ("this", "expression"):
                # What stands behind all arms, as ORDER BY.
                arms = [self._aliases.get(id(select), {}) for select in node.find_all(exp.Select)]
                yield node, {name: found for known in arms for name, found in known.items()}
            child, node = node, node.parent


def alias_of(written: exp.Expr | None, name: str) -> exp.Expr:
    """Return the relation's alias: the written one, or its name, with column aliases kept."""
    if written is None:
        return exp.TableAlias(this=exp.to_identifier(name, quoted=True))
    copied = written.copy()
    if copied.this is None:
        copied.set("this", exp.to_identifier(name, quoted=True))
    return copied


def _naming(select: exp.Select | None) -> Iterator[exp.Select | None]:
    """Yield the SELECT that a table stands in and those around it in which a rewrite put that SELECT in its place."""
    yield select
    while select is not None and select.parent is not None and IN_PLACE in select.parent.meta:
        select = select.parent.find_ancestor(exp.Select)
        yield select


def _folded(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.casefold() for name in names)


def _path(column: exp.Column) -> tuple[list[exp.Expr], list[exp.Expr]]:
    """Return the parts of a dotted name, and the nodes that hold it up to each part from the fourth on."""
    parts: list[exp.Expr] = list(column.parts)
    tops: list[exp.Expr] = [column]
    while isinstance(above := tops[-1].parent, exp.Dot) and tops[-1].arg_key == "this":
        tops.append(above)
        parts.append(above.expression)
    return parts, tops


def _requalify(
    column: exp.Column, parts: Sequence[exp.Expr], tops: Sequence[exp.Expr], length: int, alias: str
) -> None:
    """Put a column whose qualifier is ``alias`` in the place of one whose first ``length`` parts qualify it."""
    own = len(column.parts)
    top = tops[max(0, length + 1 - own)]
    new: exp.Expr = exp.Column(this=parts[length], table=exp.to_identifier(alias, quoted=True))
    for part in parts[length + 1 : own]:
        new = exp.Dot(this=new, expression=part)
    new.meta.update(column.meta)
    top.replace(new)


def _ambiguous(column: exp.Column, parts: Sequence[exp.Expr], alias: str, hidden: set[str]) -> AmbiguousName:
    name = ".".join("*" if isinstance(part, exp.Star) else part.name for part in parts)
    if alias.casefold() not in hidden:
        return AmbiguousName(
            f"{name} can be read as of two tables", hint="give each an alias", span=span_of(column)
        )
    return AmbiguousName(
        f"{name} is hidden by a relation that is called {alias}",
        hint="give one of the two an alias",
        span=span_of(column),
    )


def _relations(scope: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the tables and subqueries in FROM of one SELECT."""
    for node in scope.find_all(exp.Table, exp.Subquery, exp.Lateral):
        placed = isinstance(node, exp.Table) or isinstance(node.parent, exp.From | exp.Join | exp.Lateral)
        if placed and node.find_ancestor(exp.Select) is scope:
            yield node


def _shared_names(tables: Sequence[exp.Table]) -> set[tuple[int, str]]:
    """Return (SELECT, name) of tables without an alias that share their name with one of another schema."""
    written: dict[tuple[int, str], set[tuple[str, ...]]] = {}
    for node in tables:
        if node.db and node.args.get("alias") is None:
            key = (id(node.find_ancestor(exp.Select)), node.parts[-1].name.casefold())
            written.setdefault(key, set()).add(_folded(part.name for part in node.parts))
    return {key for key, found in written.items() if len(found) > 1}
