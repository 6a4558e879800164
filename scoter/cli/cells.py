"""Arrow values as text for people and for text files.

This module must not know where values come from or how texts are laid out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def is_number(kind: pa.DataType) -> bool:
    """Say whether values of an Arrow type are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def texts(column: pa.Array) -> list[str | None]:
    """Return one text for each value, exact for every type; None for NULL.

    Numbers are in the shortest form that reads back as the same value, times in ISO 8601, nested
    values in JSON, bytes in hexadecimal digits after a backslash and x.
    """
    kind = column.type
    if pa.types.is_timestamp(kind):
        return [None if text is None else _timestamp(text) for text in _cast(column)]
    if pa.types.is_time(kind):
        return [None if text is None else _fraction(text) for text in _cast(column)]
    write = _writer(kind)
    return [None if value is None else write(value) for value in column.to_pylist()]


def json_texts(column: pa.Array) -> list[str]:
    """Return one JSON text for each value of a column, exact for every type; `null` for NULL.

    Decimals are numbers with all their digits. JSON has no NaN or infinity: they are written as the
    strings "NaN", "Infinity", "-Infinity". Times, bytes and intervals are strings as in `texts`.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return ["null" if text is None else f'"{text}"' for text in texts(column)]
    write = _json_writer(kind)
    return ["null" if value is None else write(value) for value in column.to_pylist()]


def _cast(column: pa.Array) -> list[str | None]:
    values: list[str | None] = pc.cast(column, pa.string()).to_pylist()
    return values


def _timestamp(text: str) -> str:
    zone = text.endswith("Z")
    return _fraction(text.removesuffix("Z")) + ("+00:00" if zone else "")


def _fraction(text: str) -> str:
    """Drop a fraction of a second's trailing zeros.

    >>> _fraction("05:00:00.250000")
    '05:00:00.25'
    """
    whole, point, digits = text.partition(".")
    digits = digits.rstrip("0")
    return whole + point + digits if digits else whole


def _writer(kind: pa.DataType) -> Callable[[Any], str]:
    if pa.types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return lambda value: _float(str(np.float32(value)))
    if pa.types.is_float64(kind):
        return lambda value: _float(repr(value))
    if pa.types.is_decimal(kind):
        return lambda value: format(value, "f")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return lambda value: "\\x" + value.hex()
    if pa.types.is_interval(kind):
        return _interval
    if pa.types.is_nested(kind):
        return _json_writer(kind)
    return str


def _json_writer(kind: pa.DataType) -> Callable[[Any], str]:
    """Return what writes a value that is not NULL as JSON."""
    if pa.types.is_struct(kind):
        return _object_writer(kind)
    if pa.types.is_map(kind):
        key, item = _writer(kind.key_type), _or_null(kind.item_type)
        return lambda value: _braced(f"{_quoted(key(k))}: {item(v)}" for k, v in value)
    if pa.types.is_nested(kind):
        element = _or_null(kind.value_type)
        return lambda value: f"[{', '.join(element(item) for item in value)}]"
    write = _writer(kind)
    if pa.types.is_floating(kind):
        return lambda value: write(value) if math.isfinite(value) else _quoted(write(value))
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        return write
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        # Inside nested values there is no Arrow cast; Python prints the same form.
        return lambda value: _quoted(_fraction_of(str(value)))
    return lambda value: _quoted(write(value))


def _object_writer(kind: pa.DataType) -> Callable[[Any], str]:
    fields = [(field.name, _quoted(field.name), _or_null(field.type)) for field in kind]
    return lambda value: _braced(f"{key}: {write(value.get(name))}" for name, key, write in fields)


def _or_null(kind: pa.DataType) -> Callable[[Any], str]:
    write = _json_writer(kind)
    return lambda value: "null" if value is None else write(value)


def _braced(members: Iterable[str]) -> str:
    return "{" + ", ".join(members) + "}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _fraction_of(text: str) -> str:
    zone = text[-6:] if text[-6:-5] in {"+", "-"} and text[-3:-2] == ":" else ""
    return _fraction(text.removesuffix(zone)) + zone


def _float(text: str) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)


def _interval(value: Any) -> str:
    months, days, nanoseconds = value
    sign = "-" if nanoseconds < 0 else ""
    seconds, nanos = divmod(abs(nanoseconds), 1_000_000_000)
    clock = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    fraction = f".{nanos:09}".rstrip("0") if nanos else ""
    parts = [f"{months} months"] * bool(months) + [f"{days} days"] * bool(days)
    return " ".join([*parts, clock + fraction] if nanoseconds or not parts else parts)
