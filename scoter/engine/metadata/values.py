"""Values that manifests hold, partition values and bounds, as Arrow arrays of the types that SQL reads.

This module must not know tables, manifests or statements.
"""

from __future__ import annotations

import decimal
import itertools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
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
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
    TimeType,
    UnknownType,
    UUIDType,
)

from scoter.engine.binding import data_type
from scoter.engine.epoch import DAY
from scoter.engine.types import duckdb_type, wire_type
from scoter.errors import CorruptData, NotSupported

Values = Sequence[Any]
# Little-endian numbers by type: the one that is written, and the shorter one that was before the type was widened.
_PLAIN: dict[type[IcebergType], tuple[str, ...]] = {
    BooleanType: ("?",),
    IntegerType: ("<i4",),
    LongType: ("<i8", "<i4"),
    FloatType: ("<f4",),
    DoubleType: ("<f8", "<f4"),
    DateType: ("<i4",),
    TimeType: ("<i8",),
    TimestampType: ("<i8", "<i4"),
    TimestamptzType: ("<i8",),
    TimestampNanoType: ("<i8", "<i4"),
}
_COUNTED: dict[type[IcebergType], pa.DataType] = {
    DateType: pa.int32(),
    TimeType: pa.int64(),
    TimestampType: pa.int64(),
    TimestamptzType: pa.int64(),
    TimestampNanoType: pa.int64(),
}


def partition_type(kind: IcebergType) -> str:
    """Return the DuckDB type of a partition value; nanoseconds with a zone stay a count since 1970."""
    if isinstance(kind, TimestamptzNanoType):
        return "BIGINT"
    return duckdb_type(kind)


def bound_type(kind: IcebergType) -> str:
    """Return the DuckDB type of a column's bounds; they stay bytes where SQL has no such type."""
    try:
        return duckdb_type(kind)
    except NotSupported:
        return "BLOB"


def partition_values(values: Values, kind: IcebergType) -> pa.Array:
    """Return partition values, as pyiceberg decodes them, under ``partition_type``.

    Raises CorruptData for values of another type.
    """
    try:
        return _partition_values(values, kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise CorruptData(f"a partition value in a manifest is no value of type {kind}") from error


def _partition_values(values: Values, kind: IcebergType) -> pa.Array:
    arrow = wire_type(data_type(partition_type(kind)))
    counted = _COUNTED.get(type(kind))
    if counted is not None:
        return pa.array(values, counted).cast(arrow)
    if isinstance(kind, UUIDType):
        return pa.array([None if value is None else str(value) for value in values], arrow)
    if isinstance(kind, UnknownType):
        return pa.nulls(len(values), arrow)
    return pa.array(values, arrow)


def bounds(raw: Sequence[bytes | None], kind: IcebergType) -> pa.Array:
    """Return bounds, which are bytes as https://iceberg.apache.org/spec/#binary-single-value-serialization says.

    Raises ValueError for bytes that are no value of the type.
    """
    arrow = wire_type(data_type(bound_type(kind)))
    formats = _PLAIN.get(type(kind))
    if formats is not None:
        return _plain(raw, kind, formats, arrow)
    match kind:
        case StringType():
            return pa.array(
                [None if value is None else value.decode(errors="replace") for value in raw], arrow
            )
        case UUIDType():
            return pa.array([None if value is None else str(uuid.UUID(bytes=value)) for value in raw], arrow)
        case DecimalType():
            return pa.array([None if value is None else _decimal(value, kind) for value in raw], arrow)
        case UnknownType():
            return pa.nulls(len(raw), arrow)
    return pa.array(raw, arrow)


def _plain(
    raw: Sequence[bytes | None], kind: IcebergType, formats: tuple[str, ...], arrow: pa.DataType
) -> pa.Array:
    sizes = np.array([0 if value is None else len(value) for value in raw], np.int64)
    absent = np.array([value is None for value in raw], np.bool_)
    values = np.zeros(len(raw), np.dtype(formats[0]))
    read = absent.copy()
    for form in formats:
        fit = sizes == np.dtype(form).itemsize
        numbers = np.frombuffer(b"".join(raw[i] or b"" for i in np.flatnonzero(fit).tolist()), form)
        if form != formats[0] and isinstance(kind, TimestampType | TimestampNanoType):
            # The bound of a date, of before the column became a timestamp.
            numbers = numbers.astype(np.int64) * (DAY if isinstance(kind, TimestampType) else DAY * 1000)
        values[fit] = numbers
        read |= fit
    if not read.all():
        raise ValueError("a bound has the size of no value of its type")
    counted = _COUNTED.get(type(kind))
    made = pa.array(values, counted, mask=absent)
    return made.cast(arrow) if counted is not None else made


def _decimal(value: bytes, kind: DecimalType) -> decimal.Decimal:
    unscaled = int.from_bytes(value, "big", signed=True)
    digits = tuple(int(digit) for digit in str(abs(unscaled)))
    return decimal.Decimal((int(unscaled < 0), digits, -kind.scale))


class Maps:
    """Maps from field id to a value, one or none a file, side by side in one array."""

    def __init__(self, values: Sequence[Mapping[int, Any] | None], item: pa.DataType) -> None:
        """Hold ``values``, whose items have the Arrow type ``item``."""
        self._absent = [one is None for one in values]
        known = [one or {} for one in values]
        sizes = np.fromiter(map(len, known), np.int64, len(known))
        self._ends = np.concatenate([[0], np.cumsum(sizes)])
        self._rows = np.repeat(np.arange(len(known)), sizes)
        self._keys = np.fromiter(itertools.chain.from_iterable(known), np.int32, len(self._rows))
        self._items = np.empty(len(self._rows), object)
        self._items[:] = list(itertools.chain.from_iterable(one.values() for one in known))
        self._item = item

    def array(self) -> pa.Array:
        """Return the maps; an absent one is NULL."""
        kind = pa.map_(pa.field("key", pa.int32(), nullable=False), pa.field("value", self._item))
        return pa.MapArray.from_arrays(
            pa.array(self._ends, pa.int32()),
            pa.array(self._keys),
            pa.array(self._items, self._item),
            kind,
            mask=pa.array(self._absent, pa.bool_()),
        )

    def of(self, field_id: int) -> list[Any]:
        """Return the value of a field in each map, None where there is none."""
        fit = self._keys == field_id
        found = np.full(len(self._absent), None, object)
        found[self._rows[fit]] = self._items[fit]
        values: list[Any] = found.tolist()
        return values
