"""Partition values: SQL that computes them, and exact Iceberg tuples from COPY's partition keys.

This module must not know files, tables or commits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    VoidTransform,
    YearTransform,
)
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
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
    UUIDType,
)
from pyiceberg_core import transform as native

from scoter.engine.epoch import DAY
from scoter.engine.types import literal, quote
from scoter.engine.writing.datafiles import Leaf, leaves
from scoter.errors import NotSupported, NumericOutOfRange

_BUCKET_ARGUMENTS = {
    "scoter_bucket_number": "BIGINT",
    "scoter_bucket_bytes": "BLOB",
    "scoter_bucket_decimal": "DECIMAL(38, 0)",
}

Decode = Callable[[str], object]


@dataclass(frozen=True)
class PartitionColumn:
    """A computed column that COPY partitions by.

    ``sql`` is an expression over the table's columns; ``decode`` makes the value of Iceberg's
    tuple from the text of a key.
    """

    name: str
    sql: str
    decode: Decode


@dataclass(frozen=True)
class Partitioning:
    """How rows are divided: one column for each field of the spec, None for a field that is void."""

    columns: tuple[PartitionColumn | None, ...]

    @property
    def computed(self) -> tuple[PartitionColumn, ...]:
        """Return the columns that COPY has to compute."""
        return tuple(column for column in self.columns if column is not None)

    @property
    def has_buckets(self) -> bool:
        """Say whether a column calls a function that `register_buckets` makes."""
        return any("scoter_bucket_" in column.sql for column in self.computed)

    def record(self, keys: Mapping[str, str | None]) -> Record:
        """Return Iceberg's partition tuple for the keys of one file.

        Raises NumericOutOfRange where a truncated decimal has more digits than its type.
        """
        values: list[object] = []
        for column in self.columns:
            text = None if column is None else keys[column.name]
            values.append(None if column is None or text is None else column.decode(text))
        return Record(*values)


def partitioning(schema: Schema, spec: PartitionSpec) -> Partitioning:
    """Return the computed columns for ``spec``.

    Raises NotSupported for a transform that is not known, or a source inside a list or map.
    """
    taken = {field.name.casefold() for field in schema.fields}
    sources = {leaf.field_id: leaf for leaf in leaves(schema)}
    columns: list[PartitionColumn | None] = []
    for position, field in enumerate(spec.fields):
        if isinstance(field.transform, VoidTransform):
            columns.append(None)
            continue
        source = sources.get(field.source_id)
        if source is None or not source.bounded:
            raise NotSupported(f"partition field {field.name} has no column that rows could be divided by")
        name = f"partition_{position}"
        while name in taken:
            name += "_"
        columns.append(_column(name, field, source))
    return Partitioning(tuple(columns))


def _column(name: str, field: PartitionField, source: Leaf) -> PartitionColumn:
    value = quote(source.path[0])
    for part in source.path[1:]:
        value = f"struct_extract({value}, {literal(part)})"
    sql, decode = _transformed(field.transform, source.kind, value, field.name)
    return PartitionColumn(name, sql, decode)


def _transformed(  # one return for each transform
    transform: Transform[object, object], kind: IcebergType, value: str, name: str
) -> tuple[str, Decode]:
    match transform:
        case IdentityTransform():
            return _identity(kind, value)
        case YearTransform():
            return f"year({_in_utc(kind, value)}) - 1970", int
        case MonthTransform():
            moment = _in_utc(kind, value)
            return f"(year({moment}) - 1970) * 12 + month({moment}) - 1", int
        case DayTransform():
            if isinstance(kind, DateType):
                return _number(kind, value), int
            return _floor_divide(_number(kind, value), DAY), int
        case HourTransform():
            return _floor_divide(_number(kind, value), 3_600_000_000), int
        case TruncateTransform():
            return _truncated(kind, value, transform.width)
        case BucketTransform():
            return _bucket(kind, value, transform.num_buckets), int
    raise NotSupported(f"partition field {name} has the transform {transform}, which is not known")


def _identity(kind: IcebergType, value: str) -> tuple[str, Decode]:  # one return for each type
    match kind:
        case BooleanType():
            return value, lambda text: text == "true"
        case FloatType():
            return _float_text(value), _float32
        case DoubleType():
            return _float_text(value), float
        case DecimalType(scale=scale, precision=precision):
            return _unscaled(value), lambda text: _decimal(text, precision, scale)
        case StringType():
            return value, str
        case UUIDType():
            return f"CAST({value} AS VARCHAR)", lambda text: UUID(text).bytes
        case BinaryType():
            return f"hex({value})", bytes.fromhex
    return _number(kind, value), int


def _truncated(kind: IcebergType, value: str, width: int) -> tuple[str, Decode]:
    match kind:
        case IntegerType():
            # The cast raises where the result is below the type's least value.
            return f"CAST({_floor(f'CAST({value} AS BIGINT)', width)} AS INTEGER)", int
        case LongType():
            return f"CAST({_floor(f'CAST({value} AS HUGEINT)', width)} AS BIGINT)", int
        case DecimalType(scale=scale, precision=precision):
            return _floor(_unscaled(value), width), lambda text: _decimal(text, precision, scale)
        case StringType():
            return f"left({value}, {width})", str
        case BinaryType():
            return f"hex(({value})[1:{width}])", bytes.fromhex
    raise NotSupported(f"type {kind} can not be truncated")


def _bucket(kind: IcebergType, value: str, buckets: int) -> str:
    match kind:
        case StringType():
            return f"scoter_bucket_bytes(encode({value}), {buckets})"
        case BinaryType():
            return f"scoter_bucket_bytes({value}, {buckets})"
        case UUIDType():
            return f"scoter_bucket_bytes(CAST({value} AS BLOB), {buckets})"
        case DecimalType():
            return f"scoter_bucket_decimal(CAST({_unscaled(value)} AS DECIMAL(38, 0)), {buckets})"
    return f"scoter_bucket_number(CAST({_number(kind, value)} AS BIGINT), {buckets})"


def _number(kind: IcebergType, value: str) -> str:
    """Return SQL for the number that Iceberg stores: days, microseconds or the integer itself."""
    match kind:
        case IntegerType() | LongType():
            return value
        case DateType():
            return f"({value} - DATE '1970-01-01')"
        case TimeType() | TimestampType() | TimestamptzType():
            return f"epoch_us({value})"
    raise NotSupported(f"type {kind} can not be used to divide a table")


def _in_utc(kind: IcebergType, value: str) -> str:
    # year() of a TIMESTAMPTZ would follow the time zone of the session.
    return f"make_timestamp(epoch_us({value}))" if isinstance(kind, TimestamptzType) else value


def _unscaled(value: str) -> str:
    """Return SQL for the digits of a decimal; by its text, as multiplying could overflow."""
    return f"CAST(replace(CAST({value} AS VARCHAR), '.', '') AS HUGEINT)"


def _floor(number: str, width: int) -> str:
    return f"({number} - ((({number} % {width}) + {width}) % {width}))"


def _floor_divide(number: str, width: int) -> str:
    return f"({_floor(number, width)} // {width})"


def _float_text(value: str) -> str:
    """Return SQL for a number as text: DuckDB puts 0.0 and -0.0 into one group, Iceberg all NaNs."""
    return f"CASE WHEN isnan({value}) THEN 'nan' ELSE CAST({value} AS VARCHAR) END"


def _float32(text: str) -> float:
    value: float = struct.unpack("<f", struct.pack("<f", float(text)))[0]
    return value


def _decimal(unscaled: str, precision: int, scale: int) -> Decimal:
    digits = tuple(int(digit) for digit in unscaled.lstrip("-"))
    if len(digits) > precision:
        raise NumericOutOfRange(
            f"a value truncated for its partition does not fit DECIMAL({precision}, {scale})"
        )
    return Decimal((int(unscaled.startswith("-")), digits, -scale))


def register_buckets(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the hash functions of bucket transforms known to ``connection``; harmless when they are."""
    known = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE starts_with(function_name, 'scoter_bucket_')"
    ).fetchall()
    for name, argument in _BUCKET_ARGUMENTS.items():
        if (name,) not in known:
            connection.create_function(
                name,
                _buckets,
                [argument, "INTEGER"],
                "INTEGER",
                type=PythonUDFType.ARROW,
                null_handling=FunctionNullHandling.SPECIAL,
            )


def _buckets(values: pa.ChunkedArray, numbers: pa.ChunkedArray) -> pa.Array:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if len(array) == 0:
        return pa.array([], pa.int32())
    return native.bucket(array, numbers[0].as_py())
