"""Least and greatest values of a column in every data file, decoded from Iceberg's bytes to arrays.

This module must not know predicates or SQL.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
    TimeType,
)

from scoter.catalog.data_files import DataFiles, Ints, Objects
from scoter.engine.epoch import DAY

Mask = NDArray[np.bool_]
# Days on either side of 1970 whose microseconds fit in 64 bits with room to spare.
FURTHEST_DAY = 100_000_000


class Order(Enum):
    """How values of a column are held and compared."""

    INTEGER = "integers: booleans, dates as days, times and timestamps as microseconds"
    FLOAT = "floats, without NaN"
    DECIMAL = "Python integers, unscaled"
    BYTES = "UTF-8 bytes"


_ORDERS: dict[type[IcebergType], Order] = {
    BooleanType: Order.INTEGER,
    IntegerType: Order.INTEGER,
    LongType: Order.INTEGER,
    DateType: Order.INTEGER,
    TimeType: Order.INTEGER,
    TimestampType: Order.INTEGER,
    TimestamptzType: Order.INTEGER,
    FloatType: Order.FLOAT,
    DoubleType: Order.FLOAT,
    DecimalType: Order.DECIMAL,
    StringType: Order.BYTES,
}


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of one column: an entry a file.

    Where ``known`` is true, every value that is neither NULL nor NaN lies in ``low`` … ``high``;
    elsewhere these two hold fillers. ``empty`` is true where every row is NULL. ``nulls`` and
    ``nans`` are true where such a value may be.
    """

    order: Order
    low: NDArray[Any]
    high: NDArray[Any]
    known: Mask
    empty: Mask
    nulls: Mask
    nans: Mask


def order_of(kind: IcebergType) -> Order | None:
    """Return how values of a type compare, None for types whose bounds are not used."""
    return _ORDERS.get(type(kind))


def bounds(files: DataFiles, field_id: int, kind: IcebergType) -> Bounds | None:
    """Return the bounds of a column over all files of a snapshot; None where nothing is known.

    ``kind`` is the column's type in the schema that is read; bounds written before a promotion are
    widened to it. The result is kept with ``files``.
    """
    key = ("bounds", field_id, kind)
    if key not in files.derived:
        files.derived[key] = _bounds(files, field_id, kind)
    found: Bounds | None = files.derived[key]
    return found


def _bounds(files: DataFiles, field_id: int, kind: IcebergType) -> Bounds | None:
    facts = files.facts.get(field_id)
    order = order_of(kind)
    if facts is None or order is None:
        return None
    low, low_known = _decoded(facts.lower, kind, order)
    high, high_known = _decoded(facts.upper, kind, order)
    floats = order is Order.FLOAT
    return Bounds(
        order,
        low,
        high,
        known=low_known & high_known,
        empty=(facts.nulls >= 0) & (facts.nulls >= files.rows) & (files.rows > 0),
        nulls=facts.nulls != 0,
        nans=(facts.nans != 0) if floats else np.zeros(len(files), np.bool_),
    )


def _decoded(raw: Objects, kind: IcebergType, order: Order) -> tuple[NDArray[Any], Mask]:
    # Bytes of a length that no value has say nothing.
    lengths = _lengths(kind, order)
    known: Mask = np.array(
        [value is not None and (lengths is None or len(value) in lengths) for value in raw], np.bool_
    )
    raw = raw.copy()
    raw[~known] = None
    if order is Order.BYTES:
        return np.where(known, raw, b""), known
    if order is Order.DECIMAL:
        unscaled: Objects = np.empty(len(raw), dtype=object)
        for i, value in enumerate(raw):
            unscaled[i] = 0 if value is None else int.from_bytes(value, "big", signed=True)
        return unscaled, known
    if order is Order.FLOAT:
        return _floats(raw, known)
    return _integers(raw, known, kind)


def _lengths(kind: IcebergType, order: Order) -> frozenset[int] | None:
    """Return of how many bytes a bound is, also one of before a promotion; None where it may be of any."""
    if isinstance(kind, BooleanType):
        return frozenset({1})
    return frozenset({4, 8}) if order in {Order.INTEGER, Order.FLOAT} else None


def _floats(raw: Objects, known: Mask) -> tuple[NDArray[np.float64], Mask]:
    values = np.zeros(len(raw), np.float64)
    for i, value in enumerate(raw):
        if value is not None:
            values[i] = struct.unpack("<f" if len(value) == 4 else "<d", value)[0]
    # Early writers stored NaN as a bound, which says nothing of the other values.
    sound = known & ~np.isnan(values)
    return np.where(sound, values, 0.0), sound


def _integers(raw: Objects, known: Mask, kind: IcebergType) -> tuple[Ints, Mask]:
    values = np.zeros(len(raw), np.int64)
    promoted = isinstance(kind, TimestampType | TimestamptzType)
    for i, value in enumerate(raw):
        if value is None:
            continue
        number = int.from_bytes(value, "little", signed=len(value) > 1)
        if promoted and len(value) == 4:
            number = max(-FURTHEST_DAY, min(number, FURTHEST_DAY)) * DAY
        values[i] = number
    return values, known
