"""Put a relation in the place of every table name: a scan of data files, or typed emptiness to bind.

This module must not know how a scan is planned.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from scoter.engine.aliases import Qualifiers, alias_of
from scoter.engine.resolved import SOURCE, Resolved, Source


def read_tables(tree: exp.Expr, resolved: Resolved, relation: Callable[[exp.Table, Source], str]) -> exp.Expr:
    """Return ``tree`` with each table replaced by the SQL text that ``relation`` gives for it.

    Column names that are qualified by schema or catalog lose that part, because a relation has an alias only.
    Raises AmbiguousName.
    """
    if not resolved.sources:
        return tree
    tables = [node for node in tree.find_all(exp.Table) if resolved.source(node) is not None]
    qualifiers = Qualifiers(tables)
    for node in tables:
        source = resolved.source(node)
        if source is None:
            continue
        bare = qualifiers.add(node, source.name, _suffix(node, source))
        new = exp.Table(
            this=exp.Var(this=relation(node, source)),
            alias=alias_of(node.args.get("alias"), bare),
        )
        for key in ("joins", "pivots", "sample", "laterals"):
            kept = node.args.get(key)
            if kept:
                new.set(key, kept)
        new.meta.update(node.meta)
        new.meta.pop(SOURCE, None)
        node.replace(new)
    qualifiers.strip(tree)
    return tree


def _suffix(node: exp.Table, source: Source) -> str | None:
    """Return the last part of `t.files`, None for other tables."""
    about = source.virtual if source.metadata is not None else None
    last: str = node.parts[-1].name
    return last if about is not None and about.name == last.casefold() else None
