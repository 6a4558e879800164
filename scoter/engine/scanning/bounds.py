"""Least and greatest values of a column in every data file, decoded from Iceberg's bytes to arrays.

This module must not know predicates or SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
from scoter.catalog.pairs import UNKNOWN
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


def _decoded(raw: pa.LargeBinaryArray, kind: IcebergType, order: Order) -> tuple[NDArray[Any], Mask]:
    known: Mask = raw.is_valid().to_numpy(zero_copy_only=False)
    widths = _widths(kind, order)
    if widths is not None:
        # Bytes of a length that no value has say nothing.
        known &= np.isin(pc.binary_length(raw).fill_null(UNKNOWN).to_numpy(), widths)
        return (_floats if order is Order.FLOAT else _integers)(raw, known, kind)
    values: Objects = raw.to_numpy(zero_copy_only=False)
    if order is Order.DECIMAL:
        unscaled = [0 if value is None else int.from_bytes(value, "big", signed=True) for value in values]
        values = np.array(unscaled, dtype=object)
    else:
        values[~known] = b""
    return values, known


def _widths(kind: IcebergType, order: Order) -> tuple[int, ...] | None:
    """Return of how many bytes a bound is, also one of before a promotion; None where it may be of any."""
    if isinstance(kind, BooleanType):
        return (1,)
    return (4, 8) if order in {Order.INTEGER, Order.FLOAT} else None


def _fixed(raw: pa.LargeBinaryArray, known: Mask, form: str) -> tuple[Ints, NDArray[Any]]:
    """Return which of the known values are as long as those of a form, and these."""
    width = np.dtype(form).itemsize
    _, offsets, data = raw.buffers()
    starts = np.frombuffer(offsets, np.int64)[raw.offset :][: len(raw) + 1]
    chosen = np.flatnonzero(known & (np.diff(starts) == width))
    if not len(chosen):
        return chosen, np.empty(0, form)
    held = np.frombuffer(data, np.uint8)[starts[chosen, None] + np.arange(width)]
    return chosen, held.view(form)[:, 0]


def _floats(raw: pa.LargeBinaryArray, known: Mask, _: IcebergType) -> tuple[NDArray[np.float64], Mask]:
    values = np.zeros(len(raw), np.float64)
    for form in ("<f4", "<f8"):
        chosen, held = _fixed(raw, known, form)
        values[chosen] = held
    # Early writers stored NaN as a bound, which says nothing of the other values.
    sound = known & ~np.isnan(values)
    return np.where(sound, values, 0.0), sound


def _integers(raw: pa.LargeBinaryArray, known: Mask, kind: IcebergType) -> tuple[Ints, Mask]:
    values = np.zeros(len(raw), np.int64)
    for form in ("<u1", "<i4", "<i8"):
        chosen, held = _fixed(raw, known, form)
        numbers = held.astype(np.int64)
        if form == "<i4" and isinstance(kind, TimestampType | TimestamptzType):
            # Of days: the column was of dates when they were written.
            numbers = np.clip(numbers, -FURTHEST_DAY, FURTHEST_DAY) * DAY
        values[chosen] = numbers
    return values, known
