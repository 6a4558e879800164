"""What a statement says of the names of its tables' columns.

This module must not know models, files, or what a name stands for.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.gate import function_name
from scoter.engine.resolved import Source

# Where these stand, columns can be read that the statement does not name.
_UNNAMED = (exp.Star, exp.Columns, exp.PositionalColumn, exp.Pivot, exp.Join, exp.TableAlias)


def seen_names(node: exp.Table, source: Source | None) -> list[str] | None:
    """Return the names of a table's columns where it stands, None where they are not known."""
    alias, names = node.args.get("alias"), names_of(source)
    renamed = [column.name for column in alias.columns] if alias is not None else []
    return None if names is None or node.args.get("pivots") else [*renamed, *names[len(renamed) :]]


def names_of(source: Source | None) -> list[str] | None:
    """Return the names of a table's columns in their order, None where some are hidden."""
    return None if source is None or source.hidden else [name for name, _ in source.columns]


def stored_names(source: Source | None) -> list[str] | None:
    """Return the names of a stored table's columns, None for what is made when it is read."""
    if source is None or source.virtual is not None or source.changes is not None or source.hidden:
        return None
    return [name for name, _ in source.columns]


def name_set(source: Source | None) -> frozenset[str] | None:
    """Return the names of a table's columns, None where the table is not known."""
    return None if source is None else frozenset(name for name, _ in source.columns)


def columns_used(tree: exp.Expr) -> frozenset[str] | None:
    """Return every name in the statement, or None where a column may be meant without being named."""
    rows: set[str] = set()
    columns: set[str] = set()
    names: set[str] = set()
    for node in tree.walk():
        if isinstance(node, _UNNAMED):
            if _means_unnamed(node):
                return None
        elif isinstance(node, exp.Table):
            rows.add(node.alias_or_name.casefold())
        elif isinstance(node, exp.Column):
            columns.add(node.name.casefold())
        elif isinstance(node, exp.Identifier):
            names.add(node.name.casefold())
    return frozenset(names) if rows.isdisjoint(columns) else None


def _means_unnamed(node: exp.Expr) -> bool:
    match node:
        case exp.Star():
            return node.parent is None or function_name(node.parent) != "count"
        case exp.Join():
            return bool(node.args.get("method") == "NATURAL")
        case exp.TableAlias():
            return isinstance(node.parent, exp.Table) and bool(node.columns)
    return True
