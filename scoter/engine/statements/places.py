"""What all statements share, and where a node stands in the SQL.

This module must not know any statement.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

from scoter.errors import Span

# Of a node out of a view's text: its view and its place there. The place of the node itself is that of the
# view's name in the statement.
INSIDE = "scoter_inside"
# Of a relation that stands in the place of a table's name: the name as it was written, which names columns.
WRITTEN = "scoter_written"


class Statement(exp.Expression):
    """One whole statement of ours."""

    arg_types: ClassVar[dict[str, bool]] = {}


class SchemaName(exp.Expression):
    """``[catalog.]schema``, both identifiers."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "catalog": False}

    @property
    def catalog(self) -> str | None:
        """The catalog's name as written, or None."""
        return text_of(self, "catalog")


def span_of(node: exp.Expr | None) -> Span | None:
    """Return where the first token of ``node`` stands in the SQL, or None when that is not known.

    A node without a place of its own takes the first place among its parts.
    """
    if node is None:
        return None
    own = _own_span(node)
    if own is not None:
        return own
    places = [(p["start"], _own_span(part)) for part in node.walk() if "start" in (p := part.meta)]
    return min(places, key=lambda place: place[0])[1] if places else None


def _own_span(node: exp.Expr) -> Span | None:
    meta = node.meta
    if "line" not in meta:
        return None
    # sqlglot counts the column of a token's last character.
    return Span(meta["line"], max(1, meta["col"] - (meta["end"] - meta["start"])), meta.get(INSIDE))


def text_of(node: exp.Expr, key: str) -> str | None:
    """Return the name in one part of a node, None where it has none."""
    part = node.args.get(key)
    return None if part is None else str(part.name)
