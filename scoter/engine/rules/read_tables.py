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
    places: set[tuple[str, str]] = set()
    for node in list(tree.find_all(exp.Table)):
        source = resolved.source(node)
        if source is None:
            continue
        places.add((node.db.casefold(), node.name.casefold()))
        alias = node.args.get("alias")
        new = exp.Table(
            this=exp.Var(this=relation(node, source)),
            alias=alias.copy() if alias else exp.TableAlias(this=exp.to_identifier(node.name, quoted=True)),
        )
        for key in ("joins", "pivots", "sample", "laterals"):
            kept = node.args.get(key)
            if kept:
                new.set(key, kept)
        new.meta.update(node.meta)
        new.meta.pop(SOURCE, None)
        node.replace(new)
    for column in tree.find_all(exp.Column):
        if column.db and (column.db.casefold(), column.table.casefold()) in places:
            column.set("db", None)
            column.set("catalog", None)
    return tree
