"""Replace `now()` and its kin by the statement's one instant.

This module must not know why the instant was chosen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlglot import exp

from scoter.engine.functions import NOW
from scoter.engine.gate import function_name
from scoter.engine.replacing import put

_DATE = frozenset({"current_date", "today"})
_LOCAL_TIME = frozenset({"localtime", "current_localtime"})
_LOCAL = frozenset({"localtimestamp", "current_localtimestamp"})
_TIME = frozenset({"current_time", "get_current_time"})


def uses_now(tree: exp.Expr) -> bool:
    """Say whether the statement's result depends on when it runs."""
    return any(_name(node) is not None for node in tree.walk())


def pin_now(tree: exp.Expr, instant: datetime, timezone: str) -> exp.Expr:
    """Return ``tree`` with every current time replaced by ``instant``, read in the session's time zone."""
    for node in list(tree.walk()):
        name = _name(node)
        if name is not None:
            put(node, _literal(name, instant, timezone))
    return tree


def _name(node: exp.Expr) -> str | None:
    if not isinstance(node, exp.Func):
        return None
    name = function_name(node)
    return name if name in NOW else None


def _literal(name: str, instant: datetime, timezone: str) -> exp.Expr:
    local = instant.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    if name in _DATE:
        return _cast(local.date().isoformat(), "DATE")
    if name in _LOCAL_TIME:
        return _cast(local.time().isoformat(), "TIME")
    if name in _LOCAL:
        return _cast(local.isoformat(sep=" "), "TIMESTAMP")
    if name in _TIME:
        zoned = instant.astimezone(ZoneInfo(timezone))
        return _cast(zoned.timetz().isoformat(), "TIMETZ")
    return _cast(instant.astimezone(UTC).isoformat(sep=" "), "TIMESTAMPTZ")


def _cast(text: str, kind: str) -> exp.Expr:
    return exp.Cast(this=exp.Literal.string(text), to=exp.DataType.build(kind, dialect="duckdb"))
