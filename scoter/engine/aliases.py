"""The aliases under which relations stand in the place of tables' names, and what qualified columns become.

This module must not know what a table is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp


def strip_schemas(tree: exp.Expr, places: Mapping[tuple[str, str], str]) -> None:
    """Take schema and catalog from columns' qualifiers, in place; ``places`` are aliases by schema and table."""
    for column in tree.find_all(exp.Column):
        bare_name = places.get((column.db.casefold(), column.table.casefold())) if column.db else None
        if bare_name is not None:
            column.set("db", None)
            column.set("catalog", None)
            column.set("table", exp.to_identifier(bare_name, quoted=True))


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
