"""A column, or a function of one that never decreases, with its bounds in every data file.

This module must not know constants or how terms are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
)
from sqlglot import exp

from scoter.catalog.data_files import DataFiles
from scoter.engine.epoch import DAY
from scoter.engine.scanning.bounds import FURTHEST_DAY, Bounds, Mask, Order, bounds, order_of

_UNITS = {"YEAR": "Y", "MONTH": "M", "WEEK": "W", "DAY": "D", "HOUR": "h", "MINUTE": "m", "SECOND": "s"}
# numpy's weeks begin on Thursday, as 1970-01-01 was one; SQL's on Monday.
_MONDAY = 3


@dataclass(frozen=True, eq=False)
class Term:
    """One operand: ``kind`` is its type, ``plain`` says that it is the column itself."""

    field: NestedField
    kind: IcebergType
    bounds: Bounds | None
    plain: bool


def term(
    expression: exp.Expression, files: DataFiles, metadata: TableMetadata, schema: Schema
) -> Term | None:
    """Return the term that an expression is, None for any other expression."""

    def inside(operand: exp.Expression) -> Term | None:
        return term(operand, files, metadata, schema)

    found: Term | None = None
    match expression:
        case exp.Paren():
            found = inside(expression.this)
        case exp.Column() if not expression.table:
            found = _column(expression.name, files, metadata, schema)
        case exp.Cast():
            found = _cast(inside(expression.this), expression.to)
        case exp.Year():
            found = _year(inside(expression.this))
        case exp.Extract() if expression.name.upper() == "YEAR":
            found = _year(inside(expression.expression))
        case exp.DateTrunc() | exp.TimestampTrunc() if not expression.args.get("zone"):
            found = _truncated(inside(expression.this), str(expression.args["unit"].name).upper())
    return found


def _column(name: str, files: DataFiles, metadata: TableMetadata, schema: Schema) -> Term | None:
    folded = name.casefold()
    for field in schema.fields:
        if field.name.casefold() == folded:
            if order_of(field.field_type) is None:
                return None
            exact = _exact_places(metadata, field)
            key = ("merged", field.field_id, field.field_type, exact)
            if key not in files.derived:
                files.derived[key] = _merged(files, field, exact)
            return Term(field, field.field_type, files.derived[key], plain=True)
    return None


def _exact_places(metadata: TableMetadata, field: NestedField) -> tuple[tuple[int, int], ...]:
    """Return specs and positions in them at which the file's partition holds a column's value itself."""
    if not _same_type_always(metadata, field):
        return ()
    return tuple(
        (spec.spec_id, position)
        for spec in metadata.specs().values()
        for position, part in enumerate(spec.fields)
        if part.source_id == field.field_id and isinstance(part.transform, IdentityTransform)
    )


def _merged(files: DataFiles, field: NestedField, exact: tuple[tuple[int, int], ...]) -> Bounds | None:
    """Return a column's bounds, exact where the file's partition holds the value itself."""
    known = bounds(files, field.field_id, field.field_type)
    for spec_id, position in exact:
        values = files.partitions.get(spec_id, ())
        if position < len(values):
            here: Mask = files.spec_ids == spec_id
            known = _with_values(known, here, values[position], field.field_type)
    return known


def _same_type_always(metadata: TableMetadata, field: NestedField) -> bool:
    """Say whether a partition value of the column means the same in every schema."""
    kinds = {
        type(old.field_type)
        for schema in metadata.schemas
        for old in schema.fields
        if old.field_id == field.field_id
    }
    return kinds <= {type(field.field_type)} or kinds <= {IntegerType, LongType}


def _with_values(
    known: Bounds | None, here: Mask, values: NDArray[np.object_], kind: IcebergType
) -> Bounds | None:
    order = order_of(kind)
    if order is None:
        return known
    count = len(here)
    if known is None:
        unknown: Mask = np.ones(count, np.bool_)
        blank: NDArray[Any] = np.full(count, b"" if order is Order.BYTES else 0, dtype=object)
        if order in (Order.INTEGER, Order.FLOAT):
            blank = np.zeros(count, np.int64 if order is Order.INTEGER else np.float64)
        known = Bounds(order, blank, blank, ~unknown, ~unknown, unknown, unknown & (order is Order.FLOAT))
    low, high = known.low.copy(), known.high.copy()
    sure, empty, nulls, nans = (m.copy() for m in (known.known, known.empty, known.nulls, known.nans))
    for i in np.flatnonzero(here):
        value = values[i]
        number = None if value is None else _held(value, kind)
        if value is not None and number is None:
            continue
        nulls[i] = empty[i] = value is None
        nans[i] = isinstance(number, float) and np.isnan(number)
        if number is not None:
            # NaN is greater than every number.
            low[i] = high[i] = np.inf if nans[i] else number
            sure[i] = True
    return Bounds(order, low, high, sure, empty, nulls, nans)


def _held(value: Any, kind: IcebergType) -> Any:
    """Return a partition value in the terms of bounds, None for one of an unexpected type."""
    match kind:
        case StringType():
            return value.encode() if isinstance(value, str) else None
        case FloatType() | DoubleType():
            return float(value) if isinstance(value, int | float) else None
        case DecimalType():
            return int(value.scaleb(kind.scale)) if hasattr(value, "scaleb") else None
        case BooleanType():
            return int(value) if isinstance(value, bool) else None
    return value if isinstance(value, int) else None


def _cast(inner: Term | None, target: exp.DataType) -> Term | None:
    """Return a term under a cast that keeps the order and loses nothing but the time of day."""
    if inner is None or inner.bounds is None:
        return None
    low, high = inner.bounds.low, inner.bounds.high
    match inner.kind:
        case IntegerType() | LongType() if target.is_type("bigint"):
            return replace(inner, kind=LongType(), plain=False)
        case DateType() | TimestampType() if target.is_type("timestamp", "timestampntz"):
            return _mapped(inner, TimestampType(), _micros(inner, low), _micros(inner, high))
        case TimestampType() if target.is_type("date"):
            return _mapped(inner, DateType(), low // DAY, high // DAY)
        case DateType() if target.is_type("date"):
            return inner
    return None


def _year(inner: Term | None) -> Term | None:
    if inner is None or inner.bounds is None or not isinstance(inner.kind, DateType | TimestampType):
        return None
    return _mapped(
        inner, LongType(), *(_years(inner, side) for side in (inner.bounds.low, inner.bounds.high))
    )


def _years(inner: Term, side: NDArray[Any]) -> NDArray[np.int64]:
    return _moments(inner, side).astype("datetime64[Y]").astype(np.int64) + 1970


def _truncated(inner: Term | None, unit: str) -> Term | None:
    if inner is None or inner.bounds is None or not isinstance(inner.kind, DateType | TimestampType):
        return None
    if unit not in _UNITS:
        return None
    sides = (_starts(inner, side, unit) for side in (inner.bounds.low, inner.bounds.high))
    return _mapped(inner, TimestampType(), *sides)


def _starts(inner: Term, side: NDArray[Any], unit: str) -> NDArray[np.int64]:
    moments = _moments(inner, side)
    if unit == "WEEK":
        days = moments.astype("datetime64[D]").astype(np.int64)
        return np.asarray((days - (days + _MONDAY) % 7) * DAY, np.int64)
    return moments.astype(f"datetime64[{_UNITS[unit]}]").astype("datetime64[us]").astype(np.int64)


def _mapped(inner: Term, kind: IcebergType, low: NDArray[np.int64], high: NDArray[np.int64]) -> Term | None:
    if inner.bounds is None:
        return None
    return replace(inner, kind=kind, plain=False, bounds=replace(inner.bounds, low=low, high=high))


def _micros(inner: Term, side: NDArray[Any]) -> NDArray[np.int64]:
    """Return microseconds, cut to what stays in range after a step of any unit: infinity is beyond."""
    if isinstance(inner.kind, DateType):
        return np.asarray(np.clip(side, -FURTHEST_DAY, FURTHEST_DAY) * DAY, np.int64)
    return np.asarray(np.clip(side, -FURTHEST_DAY * DAY, FURTHEST_DAY * DAY), np.int64)


def _moments(inner: Term, side: NDArray[Any]) -> NDArray[np.datetime64]:
    return _micros(inner, side).astype("datetime64[us]")
