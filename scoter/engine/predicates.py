"""Which parts of a statement's filters speak of one table only, so that its files can be pruned by them.

This module must not know schemas' types, files or statistics.
"""

from __future__ import annotations

from sqlglot import exp


def table_predicates(tree: exp.Expression) -> dict[int, exp.Expression]:
    """Return for ``id(Table node)`` a predicate that holds for every row of it that can matter."""
    _ = tree
    return {}
