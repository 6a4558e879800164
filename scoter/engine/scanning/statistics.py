"""What DuckDB's planner is told of a scan's columns, from the bounds of the files that are read.

This module must not know predicates. DuckDB trusts these numbers and prunes by them, so each must hold
for every row of the scan.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
from pyiceberg.table.metadata import TableMetadata
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

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.epoch import EPOCH, MICROSECOND
from scoter.engine.scanning.bounds import Order, bounds
from scoter.engine.types import literal, quote


def distinct_values(metadata: TableMetadata, snapshot_id: int | None) -> dict[int, int]:
    """Return how many values a column has, by its id, as statistics files up to a snapshot say.

    Their numbers stand in the table's metadata: the files themselves are not read.
    """
    snapshot = metadata.current_snapshot() if snapshot_id is None else metadata.snapshot_by_id(snapshot_id)
    last = 0 if snapshot is None else snapshot.sequence_number or 0
    blobs = [blob for file in metadata.statistics for blob in file.blob_metadata]
    found: dict[int, int] = {}
    for blob in sorted(blobs, key=lambda blob: blob.sequence_number):
        told = (blob.properties or {}).get("ndv", "")
        if len(blob.fields) == 1 and blob.sequence_number <= last and told.isdecimal() and len(told) < 19:
            found[blob.fields[0]] = int(told)
    return found


def statistics(
    files: DataFiles, kept: Ints, field: NestedField, name: str, distinct: int | None
) -> str | None:
    """Return the entry of ``column_statistics`` for a column bound as ``name``, None if nothing is known.

    ``distinct`` is how many values the column is said to have, which changes estimates alone.
    Floats get no bounds, because NaN lies outside of them; strings get none, because they change no
    estimate.
    """
    known = bounds(files, field.field_id, field.field_type)
    parts = []
    if known is not None and not known.nulls[kept].any():
        parts.append("'null_count': '0'")
    filled = kept[:0] if known is None else kept[~known.empty[kept]]
    if (
        known is not None
        and known.order in (Order.INTEGER, Order.DECIMAL)
        and len(filled)
        and known.known[filled].all()
    ):
        low = _text(known.low[filled].min(), field.field_type)
        high = _text(known.high[filled].max(), field.field_type)
        if low is not None and high is not None:
            parts += [f"'min': '{low}'", f"'max': '{high}'"]
    if distinct is not None:
        parts.append(f"'distinct_count': '{min(distinct, int(files.rows[kept].sum()))}'")
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
        moment = EPOCH + (dt.timedelta(days=number) if days else number * MICROSECOND)
    except OverflowError:
        return None
    if days:
        return moment.date().isoformat()
    return moment.isoformat(sep=" ") + ("+00" if isinstance(kind, TimestamptzType) else "")
