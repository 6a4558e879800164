"""What DuckDB's planner is told of a scan's columns, from the bounds of the files that are read.

This module must not know predicates. DuckDB trusts these numbers and prunes by them, so each must hold
for every row of the scan.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    IcebergType,
    NestedField,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from scoter.catalog.manifests import DataFiles, Ints
from scoter.engine.scanning.bounds import Order, bounds
from scoter.engine.types import literal, quote

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # naive: a day count is added to it
_MICROSECOND = dt.timedelta(microseconds=1)


def statistics(files: DataFiles, kept: Ints, field: NestedField, name: str) -> str | None:
    """Return the entry of ``column_statistics`` for a column bound as ``name``, None if nothing is known.

    Floats get no bounds, because NaN lies outside of them; strings get none, because they change no
    estimate.
    """
    known = bounds(files, field.field_id, field.field_type)
    if known is None:
        return None
    parts = []
    if not known.nulls[kept].any():
        parts.append("'null_count': '0'")
    filled = kept[~known.empty[kept]]
    if known.order in (Order.INTEGER, Order.DECIMAL) and len(filled) and known.known[filled].all():
        low = _text(known.low[filled].min(), field.field_type)
        high = _text(known.high[filled].max(), field.field_type)
        if low is not None and high is not None:
            parts += [f"'min': '{low}'", f"'max': '{high}'"]
    return f"{literal(quote(name))}: {{{', '.join(parts)}}}" if parts else None


def _text(value: int | np.int64, kind: IcebergType) -> str | None:
    number = int(value)
    match kind:
        case BooleanType():
            return "true" if number else "false"
        case DecimalType():
            return f"{Decimal(number).scaleb(-kind.scale):f}" if abs(number) < 10**28 else None
        case DateType() | TimestampType() | TimestamptzType():
            return _moment(number, kind)
    return None if isinstance(kind, TimeType) else str(number)


def _moment(number: int, kind: IcebergType) -> str | None:
    days = isinstance(kind, DateType)
    try:
        moment = _EPOCH + (dt.timedelta(days=number) if days else number * _MICROSECOND)
    except OverflowError:
        return None
    if days:
        return moment.date().isoformat()
    return moment.isoformat(sep=" ") + ("+00" if isinstance(kind, TimestamptzType) else "")
