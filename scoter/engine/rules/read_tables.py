"""Put a relation in the place of every table name: a scan of data files, or typed emptiness to bind.

This module must not know how a scan is planned.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from scoter.engine.aliases import alias_of, shared_names, strip_schemas
from scoter.engine.resolve import SOURCE, Resolved, Source


def read_tables(tree: exp.Expr, resolved: Resolved, relation: Callable[[exp.Table, Source], str]) -> exp.Expr:
    """Return ``tree`` with each table replaced by the SQL text that ``relation`` gives for it.

    Column names that are qualified by schema or catalog lose that part, because a relation has an alias only.
    """
    if not resolved.sources:
        return tree
    places: dict[tuple[str, str], str] = {}
    tables = [node for node in tree.find_all(exp.Table) if resolved.source(node) is not None]
    shared = shared_names(tables)
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
            alias=alias_of(alias, bare),
        )
        for key in ("joins", "pivots", "sample", "laterals"):
            kept = node.args.get(key)
            if kept:
                new.set(key, kept)
        new.meta.update(node.meta)
        new.meta.pop(SOURCE, None)
        node.replace(new)
    strip_schemas(tree, places)
    return tree
