"""Types that DuckDB has beside SQLAlchemy's own, and how Python values of them travel.

This module must not know how types are spelled.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from sqlalchemy import types
from sqlalchemy.sql import sqltypes, type_api

__all__ = [
    "HUGEINT",
    "INTERVAL",
    "MAP",
    "STRUCT",
    "TIMESTAMP_NS",
    "TINYINT",
    "UBIGINT",
    "UHUGEINT",
    "UINTEGER",
    "USMALLINT",
    "UTINYINT",
    "UUID",
]

Processor = Callable[[Any], Any]


class TINYINT(types.Integer):
    """An integer of 8 bits."""

    __visit_name__ = "TINYINT"


class UTINYINT(types.Integer):
    """An unsigned integer of 8 bits."""

    __visit_name__ = "UTINYINT"


class USMALLINT(types.Integer):
    """An unsigned integer of 16 bits."""

    __visit_name__ = "USMALLINT"


class UINTEGER(types.Integer):
    """An unsigned integer of 32 bits."""

    __visit_name__ = "UINTEGER"


class UBIGINT(types.Integer):
    """An unsigned integer of 64 bits."""

    __visit_name__ = "UBIGINT"


class HUGEINT(types.Integer):
    """An integer of 128 bits, which travels as a decimal of 38 digits."""

    __visit_name__ = "HUGEINT"

    def result_processor(self, dialect: Any, coltype: Any) -> Processor:
        """Make integers of the decimals."""
        return lambda value: None if value is None else int(value)


class UHUGEINT(HUGEINT):
    """An unsigned integer of 128 bits, which travels as a decimal of 38 digits."""

    __visit_name__ = "UHUGEINT"


class TIMESTAMP_NS(types.DateTime):  # noqa: N801  # DuckDB's name
    """A timestamp of nanoseconds; pandas must be installed to read values that are not whole microseconds."""

    __visit_name__ = "TIMESTAMP_NS"


class STRUCT(types.TypeEngine):  # type: ignore[type-arg]  # not generic in SQLAlchemy 1.4
    """Named fields in order; values are dictionaries."""

    __visit_name__ = "STRUCT"
    hashable = False

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = {name: type_api.to_instance(kind) for name, kind in fields.items()}

    @property
    def python_type(self) -> type:
        """The type of values."""
        return dict


class MAP(types.TypeEngine):  # type: ignore[type-arg]  # not generic in SQLAlchemy 1.4
    """Keys with values; values are lists of pairs, as Arrow gives them."""

    __visit_name__ = "MAP"
    hashable = False

    def __init__(self, key: Any, value: Any) -> None:
        self.key = type_api.to_instance(key)
        self.value = type_api.to_instance(value)

    @property
    def python_type(self) -> type:
        """The type of values."""
        return list


class INTERVAL(type_api.NativeForEmulated, sqltypes._AbstractInterval):  # noqa: SLF001  # what a native Interval derives from
    """A span of months, days and nanoseconds: timedelta, or pyarrow's MonthDayNano where it has months."""

    __visit_name__ = "INTERVAL"
    native = True

    @classmethod
    def adapt_emulated_to_native(cls, impl: Any, **kw: Any) -> INTERVAL:
        """Stand in for SQLAlchemy's Interval."""
        return cls()

    @property
    def python_type(self) -> type:
        """The type of values."""
        return dt.timedelta

    def bind_processor(self, dialect: Any) -> Processor:
        """Send a timedelta as days and nanoseconds."""

        def bind(value: Any) -> Any:
            if not isinstance(value, dt.timedelta):
                return value
            nanoseconds = (value.seconds * 1_000_000 + value.microseconds) * 1_000
            return pa.MonthDayNano([0, value.days, nanoseconds])

        return bind

    def literal_processor(self, dialect: Any) -> Processor:
        """Write a timedelta as an INTERVAL literal."""

        def literal(value: dt.timedelta) -> str:
            microseconds = value // dt.timedelta(microseconds=1)
            return f"INTERVAL '{microseconds} microseconds'"

        return literal

    def result_processor(self, dialect: Any, coltype: Any) -> Processor:
        """Make a timedelta of days and nanoseconds; months have no length and stay as they are."""

        def result(value: Any) -> Any:
            if value is None or value.months or value.nanoseconds % 1_000:
                return value
            return dt.timedelta(days=value.days, microseconds=value.nanoseconds // 1_000)

        return result


def _text_of_uuid(value: Any) -> str | None:
    return None if value is None else str(uuid.UUID(str(value)))


class _TravelsAsText:
    """UUIDs are texts on the wire."""

    as_uuid: bool

    def bind_processor(self, dialect: Any) -> Processor:
        return _text_of_uuid

    def literal_processor(self, dialect: Any) -> Processor:
        return lambda value: f"CAST('{_text_of_uuid(value)}' AS UUID)"

    def result_processor(self, dialect: Any, coltype: Any) -> Processor | None:
        if not self.as_uuid:
            return None
        return lambda value: None if value is None else uuid.UUID(value)


if hasattr(types, "Uuid"):

    class UUID(_TravelsAsText, types.Uuid):  # type: ignore[type-arg]  # its values are of either of two types
        """A UUID; values are ``uuid.UUID``, or texts with ``as_uuid=False``."""

        __visit_name__ = "UUID"

else:

    class UUID(_TravelsAsText, types.TypeEngine):  # type: ignore[no-redef,type-arg]  # that of SQLAlchemy 1.4
        """A UUID; values are ``uuid.UUID``, or texts with ``as_uuid=False``."""

        __visit_name__ = "UUID"

        def __init__(self, as_uuid: bool = True) -> None:
            self.as_uuid = as_uuid

        @property
        def python_type(self) -> type:
            """The type of values."""
            return uuid.UUID if self.as_uuid else str


class Numeric(types.Numeric):  # type: ignore[type-arg,unused-ignore]  # generic in SQLAlchemy 2 alone
    """A decimal; all values of one column are sent as decimals."""

    def bind_processor(self, dialect: Any) -> Processor:
        """Send numbers as decimals."""
        return lambda value: decimal.Decimal(repr(value)) if isinstance(value, (int, float)) else value

    def literal_processor(self, dialect: Any) -> Processor:
        """Write a number; what is none raises ValueError, as a text would stand in the statement as it is."""

        def literal(value: Any) -> str:
            try:
                number = decimal.Decimal(repr(value) if isinstance(value, float) else value)
            except (decimal.InvalidOperation, TypeError) as error:
                raise ValueError("the value of a decimal is no number") from error
            if not number.is_finite():
                raise ValueError("a decimal has no infinity and no NaN")
            return format(number, "f")

        return literal

    def result_processor(self, dialect: Any, coltype: Any) -> Processor:
        """Give decimals, or floats with ``asdecimal=False``, also where DuckDB computes a DOUBLE, as in a division."""
        if not self.asdecimal:
            return lambda value: None if value is None else float(value)
        digits = self._effective_decimal_return_scale

        def result(value: Any) -> Any:
            if isinstance(value, float):
                return decimal.Decimal(f"{value:.{digits}f}")
            return decimal.Decimal(value) if isinstance(value, int) else value

        return result


class Float(types.Float):  # type: ignore[type-arg,unused-ignore]  # generic in SQLAlchemy 2 alone
    """A float; all values of one column are sent as floats."""

    def bind_processor(self, dialect: Any) -> Processor:
        """Send numbers as floats."""
        return lambda value: None if value is None else float(value)

    def literal_processor(self, dialect: Any) -> Processor:
        """Write a number; what is none raises ValueError, as a text would stand in the statement as it is."""
        return lambda value: f"CAST('{float(value)!r}' AS DOUBLE)"


class Date(types.Date):
    """A date, written as a DATE literal."""

    def literal_processor(self, dialect: Any) -> Processor:
        """Write a date."""
        return lambda value: f"DATE '{value.isoformat()}'"


class Time(types.Time):
    """A time of day, written as a TIME literal."""

    def literal_processor(self, dialect: Any) -> Processor:
        """Write a time."""
        return lambda value: f"TIME '{value.isoformat()}'"


class DateTime(types.DateTime):
    """A timestamp, written as a TIMESTAMP or TIMESTAMPTZ literal."""

    def literal_processor(self, dialect: Any) -> Processor:
        """Write a timestamp; one with a zone keeps its instant."""

        def literal(value: dt.datetime) -> str:
            kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
            return f"{kind} '{value.isoformat(sep=' ')}'"

        return literal


class LargeBinary(types.LargeBinary):
    """Bytes, written as a BLOB literal."""

    def literal_processor(self, dialect: Any) -> Processor:
        """Write bytes."""

        def literal(value: bytes) -> str:
            text = "".join(f"\\x{byte:02X}" for byte in value)
            return f"CAST('{text}' AS BLOB)"

        return literal


class JSONIndexType(types.JSON.JSONIndexType):
    """A key or a place in a JSON value, as a JSONPath."""

    def bind_processor(self, dialect: Any) -> Processor:
        """Write the path as a value."""
        return lambda value: f"${_step(value)}"

    def literal_processor(self, dialect: Any) -> Processor:
        """Write the path as a literal."""
        quote = _string_literal(dialect)
        return lambda value: quote(f"${_step(value)}")


class JSONIntIndexType(JSONIndexType):
    """A place in a JSON array."""

    __visit_name__ = "json_int_index"


class JSONStrIndexType(JSONIndexType):
    """A key of a JSON object."""

    __visit_name__ = "json_str_index"


class JSONPathType(types.JSON.JSONPathType):
    """Keys and places that lead into a JSON value, as a JSONPath."""

    def bind_processor(self, dialect: Any) -> Processor:
        """Write the path as a value."""
        return lambda value: "$" + "".join(_step(step) for step in value)

    def literal_processor(self, dialect: Any) -> Processor:
        """Write the path as a literal."""
        quote = _string_literal(dialect)
        return lambda value: quote("$" + "".join(_step(step) for step in value))


def _string_literal(dialect: Any) -> Any:
    return types.String().literal_processor(dialect)


def _step(step: int | str) -> str:
    if isinstance(step, int):
        return f"[{step}]" if step >= 0 else f"[#{step}]"
    return '."' + step.replace('"', '\\"') + '"'
