"""Constant parts of a predicate as values: folded as DuckDB folds them, then put in a column's terms.

This module must not know tables or files. What it is not sure of is None, and prunes nothing.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from threading import Lock
from typing import Any

import duckdb
import numpy as np
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
)
from sqlglot import exp

from scoter.engine.epoch import DAY, EPOCH, EPOCH_UTC, MICROSECOND

NULL = object()
# No zone has ever been further from UTC than this.
_ZONE = 16 * 3_600_000_000
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")
_OFFSET = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)")
_FOLDED = (
    exp.Literal,
    exp.Cast,
    exp.Neg,
    exp.Paren,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Interval,
    exp.Var,
    exp.DataType,
    exp.DataTypeParam,
)
_FOLDED_TYPES = frozenset(
    {"DATE", "TIMESTAMP", "TIMESTAMPNTZ", "INT", "BIGINT", "SMALLINT", "DOUBLE", "DECIMAL", "VARCHAR", "TEXT"}
) | {"INTERVAL"}


@dataclass(frozen=True)
class Interval:
    """Where a constant lies in a column's order: between ``low`` and ``high``, exactly if they agree."""

    low: Any
    high: Any

    @property
    def exact(self) -> bool:
        """Whether the constant is known exactly."""
        return bool(self.low == self.high)


def fold(expression: exp.Expression) -> object | None:
    """Return the value of a constant expression as DuckDB has it, NULL for NULL, None if not sure."""
    value: object | None = None
    match expression:
        case exp.Paren():
            value = fold(expression.this)
        case exp.Null():
            value = NULL
        case exp.Boolean():
            value = bool(expression.this)
        case exp.Literal():
            value = str(expression.this) if expression.is_string else _number(str(expression.this))
        case exp.Neg(this=exp.Literal(is_string=False)):
            number = _number(str(expression.this.this))
            value = None if number is None else -number
        case exp.Cast() if _is_date(expression):
            value = dt.date.fromisoformat(str(expression.this.this))
        case _ if all(isinstance(node, _FOLDED) and _known_type(node) for node in expression.walk()):
            value = _evaluate(expression.sql("duckdb"))
    return value


def _is_date(cast: exp.Cast) -> bool:
    literal = cast.this
    return (
        cast.to.is_type("date")
        and isinstance(literal, exp.Literal)
        and literal.is_string
        and bool(_DATE.fullmatch(str(literal.this)))
        and _is_calendar_day(str(literal.this))
    )


def _is_calendar_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _known_type(node: exp.Expression) -> bool:
    return not isinstance(node, exp.DataType) or node.this.name in _FOLDED_TYPES


def _number(text: str) -> int | Decimal | float | None:
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= 38 else None
    if re.fullmatch(r"\d*\.\d*", text) and len(text) <= 38:
        return Decimal(text)
    try:
        return float(text)
    except ValueError:
        return None


_connecting = Lock()


@lru_cache(maxsize=1)
def _calculator() -> duckdb.DuckDBPyConnection:
    settings: dict[str, Any] = {"threads": 1, "memory_limit": "64MB", "enable_external_access": False}
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET lock_configuration = true")
    return connection


@lru_cache(maxsize=4096)
def _evaluate(sql: str) -> object | None:
    with _connecting:
        try:
            row = _calculator().execute(f"SELECT {sql}").fetchone()
        except duckdb.Error:
            # The statement itself will raise what is wrong with it.
            return None
    if row is None or row[0] is None:
        return NULL
    value = row[0]
    if isinstance(value, dt.date) and value.year in (dt.MINYEAR, dt.MAXYEAR):
        # DuckDB's Python client gives the first and last day for infinity.
        return None
    return value if isinstance(value, bool | int | float | Decimal | str | dt.date) else None


def in_terms_of(kind: IcebergType, value: object) -> Interval | None:
    """Return where ``value`` lies among a column's values when DuckDB compares the two, None if unsure."""
    place: Interval | None = None
    match kind:
        case BooleanType():
            place = Interval(int(value), int(value)) if isinstance(value, bool) else None
        case StringType():
            place = _text(value)
        case IntegerType() | LongType():
            place = _whole(value, 0)
        case DecimalType():
            place = _decimal(value, kind)
        case FloatType() | DoubleType():
            place = _float(value, single=isinstance(kind, FloatType))
        case DateType() | TimestampType() | TimestamptzType():
            place = _moment(value, kind)
    return place


def _text(value: object) -> Interval | None:
    if not isinstance(value, str):
        return None
    # An array of one object, because numpy cuts trailing zero bytes off a bare bytes operand.
    encoded = np.array(value.encode("utf-8", "surrogatepass"), dtype=object)
    return Interval(encoded, encoded)


def _whole(value: object, scale: int) -> Interval | None:
    """Return the integers around ``value`` × 10^scale."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        # The column's value is rounded to a double before it is compared.
        slack = abs(value) * 2.0**-50
        low = Decimal(value - slack).scaleb(scale)
        high = Decimal(value + slack).scaleb(scale)
        return Interval(math.floor(low) - 1, math.ceil(high) + 1)
    if isinstance(value, int):
        return Interval(value * 10**scale, value * 10**scale)
    numerator, denominator = value.as_integer_ratio()
    floor, rest = divmod(numerator * 10**scale, denominator)
    return Interval(floor, floor + (1 if rest else 0))


def _decimal(value: object, kind: DecimalType) -> Interval | None:
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    digits = -exponent if isinstance(exponent, int) else 0
    if kind.precision - kind.scale + max(kind.scale, digits) > 38:
        # DuckDB compares in a narrower type and rounds.
        return None
    return _whole(value, kind.scale)


def _float(value: object, *, single: bool) -> Interval | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        return None
    number = float(value)
    if not math.isfinite(number):
        return None
    with np.errstate(over="ignore"):
        rounded = np.float32(number)
    if single and not np.isfinite(rounded):
        return None
    # DuckDB rounds the constant to the column's type, or the column to the constant's.
    slack = 4 * float(np.spacing(np.abs(rounded)) if single else np.spacing(abs(number)))
    low, high = number - slack, number + slack
    return Interval(low, high) if math.isfinite(low) and math.isfinite(high) else None


def _moment(value: object, kind: IcebergType) -> Interval | None:
    zoned = isinstance(kind, TimestamptzType)
    if isinstance(value, str):
        found = _written(value, kind)
    elif isinstance(value, dt.datetime) and value.tzinfo is None:
        micros = (value - EPOCH) // MICROSECOND
        found = Interval(micros, micros)
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        micros = (value - EPOCH.date()).days * DAY
        found = Interval(micros, micros)
    else:
        return None
    if found is None or isinstance(kind, TimestampType):
        return found
    if zoned:
        # Without an offset the session's zone decides, which is not known here.
        offset = isinstance(value, str) and _OFFSET.search(value[10:])
        return found if offset else Interval(found.low - _ZONE, found.high + _ZONE)
    return Interval(found.low // DAY, -(-found.high // DAY))


def _written(text: str, kind: IcebergType) -> Interval | None:
    """Read a string that DuckDB casts to the column's type."""
    if isinstance(kind, DateType):
        pattern = bool(_DATE.fullmatch(text))
    else:
        plain = _OFFSET.sub("", text[10:]) if isinstance(kind, TimestamptzType) else text[10:]
        pattern = bool(_MOMENT.fullmatch(text[:10] + plain))
    if not pattern:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    micros = (moment - (EPOCH if moment.tzinfo is None else EPOCH_UTC)) // MICROSECOND
    return Interval(micros, micros)
