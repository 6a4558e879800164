"""The aliases under which relations stand in the place of tables' names, and what qualified columns become.

This module must not know what a table is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from scoter.engine.naming import is_cte
from scoter.engine.statements import span_of
from scoter.errors import AmbiguousName


def strip_schemas(tree: exp.Expr, places: Mapping[tuple[str, str], str]) -> None:
    """Take schema and catalog from columns' qualifiers, in place; ``places`` are aliases by schema and table."""
    for column in tree.find_all(exp.Column):
        bare_name = places.get((column.db.casefold(), column.table.casefold())) if column.db else None
        if bare_name is not None:
            column.set("db", None)
            column.set("catalog", None)
            column.set("table", exp.to_identifier(bare_name, quoted=True))


def refuse_captured(tree: exp.Expr, schema: str) -> None:
    """Raise AmbiguousName for a column of schema.table that a nearer relation called table would take.

    A relation in the place of a table has an alias and no schema; ``schema`` is that of names without one.
    """
    for column in tree.find_all(exp.Column):
        if not column.db:
            continue
        wanted, name = column.db.casefold(), column.table.casefold()
        nearer = False
        scope = column.find_ancestor(exp.Select)
        while scope is not None:
            here = [(node, node.alias_or_name.casefold()) for node in _relations(scope)]
            if any(called == name and _schema_of(node, schema) == wanted for node, called in here):
                if nearer:
                    raise AmbiguousName(
                        f"{column.db}.{column.table}.{column.name} is hidden by a relation that is called {column.table}",
                        hint="give one of the two an alias",
                        span=span_of(column),
                    )
                break
            nearer = nearer or any(called == name for _, called in here)
            scope = scope.find_ancestor(exp.Select)


def _relations(scope: exp.Select) -> Iterator[exp.Expr]:
    """Yield the tables and subqueries in FROM of one SELECT."""
    for node in scope.find_all(exp.Table, exp.Subquery, exp.Lateral):
        placed = isinstance(node, exp.Table) or isinstance(node.parent, exp.From | exp.Join | exp.Lateral)
        if placed and node.find_ancestor(exp.Select) is scope:
            yield node


def _schema_of(node: exp.Expr, schema: str) -> str | None:
    """Return the schema of a table that stands under its own name."""
    if (
        not isinstance(node, exp.Table)
        or node.args.get("alias") is not None
        or (not node.db and is_cte(node))
    ):
        return None
    return (node.db or schema).casefold()


def alias_of(written: exp.Expr | None, name: str) -> exp.Expr:
    """Return the relation's alias: the written one, or its name, with column aliases kept."""
    if written is None:
        return exp.TableAlias(this=exp.to_identifier(name, quoted=True))
    copied = written.copy()
    if copied.this is None:
        copied.set("this", exp.to_identifier(name, quoted=True))
    return copied


def shared_names(tables: Sequence[exp.Table]) -> set[tuple[int, str]]:
    """Return (SELECT, name) of tables without an alias that share their name with one of another schema."""
    schemas: dict[tuple[int, str], set[str]] = {}
    for node in tables:
        if node.db and node.args.get("alias") is None:
            key = (id(node.find_ancestor(exp.Select)), node.parts[-1].name.casefold())
            schemas.setdefault(key, set()).add(node.db.casefold())
    return {key for key, found in schemas.items() if len(found) > 1}
