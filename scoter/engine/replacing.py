"""Puts a node in another's place in a tree, however many siblings it has.

This module must not know why nodes are replaced.
"""

from __future__ import annotations

from sqlglot import exp


def put(node: exp.Expr, new: exp.Expr) -> None:
    """Put ``new`` in the place of ``node``, which then stands in no tree; the root of a tree stays.

    sqlglot's own ``replace`` numbers all siblings anew: ten thousand values of a list take it seconds.
    """
    parent, key, index = node.parent, node.arg_key, node.index
    siblings = parent.args.get(key) if parent is not None and key is not None else None
    if not isinstance(siblings, list) or index is None or new.parent is not None:
        node.replace(new)
        return
    if new is node:
        return
    siblings[index] = new
    new.parent, new.arg_key, new.index = parent, key, index
    node.parent, node.arg_key, node.index = None, None, None
    above = parent
    while above is not None and above._hash is not None:  # noqa: SLF001  # kept by sqlglot until a part changes
        above._hash = None  # noqa: SLF001  # as above
        above = above.parent
