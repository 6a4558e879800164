"""What the rows of a SELECT are grouped by, and which values are of one row, which of several.

This module must not know what is computed for the rows, nor for the groups.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.clauses import aliases_of, path_to
from scoter.engine.dialect import Scoter
from scoter.engine.functions import AGGREGATES
from scoter.engine.gate import function_name

_UNNESTS = frozenset({"generate_subscripts", "unnest"})


class Grouping:
    """The GROUP BY of a SELECT as it stands, for all values in that SELECT."""

    def __init__(self, select: exp.Select) -> None:
        self._select = select
        self._group = select.args.get("group")
        self._keys = frozenset() if self._group is None else _keys(select, self._group)

    def may_be_column(self, value: exp.Expr) -> bool:
        """Say whether a column of the rows can stand for a value.

        Where rows are grouped, only in WHERE, in an aggregate's arguments, or in what the rows are grouped by.
        """
        if is_of_several_rows(value):
            return False
        having = self._select.args.get("having")
        if self._group is None and having is None:
            return True
        if self._group is not None and self._group.args.get("all") and having is not None:
            return False  # DuckDB groups by the columns that HAVING names, too
        path = list(path_to(value, self._select))
        if path[-1].arg_key in {"where", "group"} or any(map(is_aggregate, path)):
            return True
        return bool(self._keys) and any(_text(node) in self._keys for node in path)


def is_of_several_rows(value: exp.Expr) -> bool:
    """Say whether a value is one of a group's or a window's rows, or is several rows: it can not move below these."""
    return any(
        isinstance(node, exp.Window) or function_name(node) in AGGREGATES or function_name(node) in _UNNESTS
        for node in value.walk(prune=lambda node: isinstance(node, exp.Query))
    )


def is_aggregate(node: exp.Expr) -> bool:
    """Say whether a node is an aggregate over groups, and none of a window."""
    holder = node.parent
    while isinstance(holder, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        holder = holder.parent
    aggregates = isinstance(node, exp.Filter) or function_name(node) in AGGREGATES
    return aggregates and not isinstance(holder, exp.Window)


def _keys(select: exp.Select, group: exp.Expr) -> frozenset[str]:
    """Return the texts of what rows are grouped by, also where that is meant by its alias or place."""
    listed = [part.unalias() for part in select.expressions]
    names = {
        key.name.casefold() for key in group.expressions if isinstance(key, exp.Column) and not key.table
    }
    places = {key.name for key in group.expressions if isinstance(key, exp.Literal)}
    found = {_text(key) for key in group.expressions}
    found |= {_text(value) for name, value in aliases_of(select).items() if name in names}
    found |= {_text(value) for place, value in enumerate(listed, start=1) if str(place) in places}
    if group.args.get("all"):
        found |= {_text(value) for value in listed if not any(map(is_aggregate, value.walk()))}
    return frozenset(found)


def _text(node: exp.Expr) -> str:
    return node.sql(dialect=Scoter)
