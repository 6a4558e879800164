"""The bounds of a column in a data file, as Iceberg's binary single values.

This module must not know files, tables or connections: it turns the text of one statistic that
DuckDB returned into bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from pyiceberg.conversions import to_bytes
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    PrimitiveType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from scoter.engine.epoch import DAY

WIDTH = 16
"""Characters of a string and bytes of a binary value that a bound keeps, unless the table asks for whole ones."""

_DATE = r"(?P<year>\d+)-(?P<month>\d\d)-(?P<day>\d\d)(?P<bc> \(BC\))?"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
_ZONE = r"(?:(?P<sign>[+-])(?P<zh>\d\d)(?::(?P<zm>\d\d))?(?::(?P<zs>\d\d))?)?"
_DATE_TEXT = re.compile(_DATE)
_TIME_TEXT = re.compile(_CLOCK)
_TIMESTAMP_TEXT = re.compile(f"{_DATE} {_CLOCK}{_ZONE}")

_LAST_BEFORE_SURROGATES, _FIRST_AFTER_SURROGATES, _LAST = 0xD7FF, 0xE000, 0x10FFFF

Value = bool | int | float | str | bytes | Decimal | UUID


def lower_bound(kind: PrimitiveType, text: str, width: int | None = WIDTH) -> bytes | None:
    """Return the bytes of a bound that is at most the value with this text, or None without one.

    The text may be a prefix of the value. A ``width`` of None keeps all of it.
    """
    value = parse(kind, text)
    if isinstance(value, str | bytes):
        value = value[:width]
    elif isinstance(value, float) and value == 0.0:
        value = -0.0
    return None if value is None else to_bytes(kind, value)


def upper_bound(kind: PrimitiveType, text: str, width: int | None = WIDTH, *, exact: bool) -> bytes | None:
    """Return the bytes of a bound that is at least the value with this text, or None without one.

    ``exact`` says that the text is the whole value and not the beginning of it. A ``width`` of None keeps all of it.
    """
    value = parse(kind, text)
    cut = isinstance(value, str | bytes) and (not exact or len(value[:width]) < len(value))
    if cut and isinstance(value, str):
        value = _after_text(value[:width])
    elif cut and isinstance(value, bytes):
        value = _after_bytes(value[:width])
    elif isinstance(value, float) and value == 0.0:
        value = 0.0
    return None if value is None else to_bytes(kind, value)


def parse(kind: PrimitiveType, text: str) -> Value | None:
    """Return the value that DuckDB wrote as ``text``, with times as numbers; None for an unknown form.

    Dates are days, times and timestamps microseconds, all since 1970 in UTC.
    """
    return _PARSERS[type(kind)](text)


def _boolean(text: str) -> bool | None:
    return {"1": True, "true": True, "0": False, "false": False}.get(text)


def _float(text: str) -> float | None:
    value = float(text)
    return None if math.isnan(value) else value


def _date(text: str) -> int | None:
    match = _DATE_TEXT.fullmatch(text)
    return None if match is None else _days(match)


def _time(text: str) -> int | None:
    match = _TIME_TEXT.fullmatch(text)
    return None if match is None else _micros(match)


def _timestamp(text: str) -> int | None:
    match = _TIMESTAMP_TEXT.fullmatch(text)
    return None if match is None else _days(match) * DAY + _micros(match) - _offset(match)


def _days(match: re.Match[str]) -> int:
    """Count the days since 1970-01-01 in the proleptic Gregorian calendar, for any year."""
    year, month, day = int(match["year"]), int(match["month"]), int(match["day"])
    if match["bc"]:
        year = 1 - year
    # Years that begin in March put the leap day last, so that month lengths follow one formula.
    if month <= 2:
        year -= 1
        month += 12
    whole = 365 * year + year // 4 - year // 100 + year // 400
    return whole + (153 * (month - 3) + 2) // 5 + day - 1 - 719_468


def _micros(match: re.Match[str]) -> int:
    seconds = (int(match["hour"]) * 60 + int(match["minute"])) * 60 + int(match["second"])
    return seconds * 1_000_000 + int((match["fraction"] or "0").ljust(6, "0"))


def _offset(match: re.Match[str]) -> int:
    if match["sign"] is None:
        return 0
    seconds = int(match["zh"]) * 3600 + int(match["zm"] or 0) * 60 + int(match["zs"] or 0)
    return (-seconds if match["sign"] == "-" else seconds) * 1_000_000


def _after_text(prefix: str) -> str | None:
    """Return the least text above every text that begins with ``prefix``; None where there is none."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1])
        if code < _LAST:
            following = _FIRST_AFTER_SURROGATES if code == _LAST_BEFORE_SURROGATES else code + 1
            return prefix[: end - 1] + chr(following)
    return None


def _after_bytes(prefix: bytes) -> bytes | None:
    """Return the least bytes above all that begin with ``prefix``; None where there are none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


_PARSERS: dict[type[PrimitiveType], Callable[[str], Value | None]] = {
    BooleanType: _boolean,
    IntegerType: int,
    LongType: int,
    FloatType: _float,
    DoubleType: _float,
    DecimalType: Decimal,
    StringType: str,
    BinaryType: bytes.fromhex,
    UUIDType: UUID,
    DateType: _date,
    TimeType: _time,
    TimestampType: _timestamp,
    TimestamptzType: _timestamp,
}
