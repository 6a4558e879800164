"""Put a relation in the place of every table name: a scan of data files, or typed emptiness to bind.

This module must not know how a scan is planned.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from scoter.engine.resolve import SOURCE, Resolved, Source


def read_tables(tree: exp.Expr, resolved: Resolved, relation: Callable[[exp.Table, Source], str]) -> exp.Expr:
    """Return ``tree`` with each table replaced by the SQL text that ``relation`` gives for it.

    Column names that are qualified by schema or catalog lose that part, because a relation has an alias only.
    """
    if not resolved.sources:
        return tree
    places: dict[tuple[str, str], str] = {}
    tables = [node for node in tree.find_all(exp.Table) if resolved.source(node) is not None]
    shared = _shared_names(tables)
    for node in tables:
        source = resolved.source(node)
        if source is None:
            continue
        name = node.parts[-1].name
        # Two tables of one name from two schemas keep the schema in their alias.
        bare = (
            f"{node.db}.{name}" if (id(node.find_ancestor(exp.Select)), name.casefold()) in shared else name
        )
        places[(source.name.schema.casefold(), name.casefold())] = bare
        alias = node.args.get("alias")
        new = exp.Table(
            this=exp.Var(this=relation(node, source)),
            alias=_alias(alias, bare),
        )
        for key in ("joins", "pivots", "sample", "laterals"):
            kept = node.args.get(key)
            if kept:
                new.set(key, kept)
        new.meta.update(node.meta)
        new.meta.pop(SOURCE, None)
        node.replace(new)
    for column in tree.find_all(exp.Column):
        bare_name = places.get((column.db.casefold(), column.table.casefold())) if column.db else None
        if bare_name is not None:
            column.set("db", None)
            column.set("catalog", None)
            column.set("table", exp.to_identifier(bare_name, quoted=True))
    return tree


def _alias(written: exp.Expr | None, name: str) -> exp.Expr:
    """Return the relation's alias: the written one, or its name, with column aliases kept."""
    if written is None:
        return exp.TableAlias(this=exp.to_identifier(name, quoted=True))
    copied = written.copy()
    if copied.this is None:
        copied.set("this", exp.to_identifier(name, quoted=True))
    return copied


def _shared_names(tables: list[exp.Table]) -> set[tuple[int, str]]:
    """Return (SELECT, name) of tables without an alias that share their name with one of another schema."""
    schemas: dict[tuple[int, str], set[str]] = {}
    for node in tables:
        if node.db and node.args.get("alias") is None:
            key = (id(node.find_ancestor(exp.Select)), node.parts[-1].name.casefold())
            schemas.setdefault(key, set()).add(node.db.casefold())
    return {key for key, found in schemas.items() if len(found) > 1}
