"""Types in three worlds: Iceberg's, DuckDB's as SQL text, and Arrow's on the wire.

This module must not know tables, statements or connections.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count

import duckdb
import pyarrow as pa
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
    TimeType,
    UnknownType,
    UUIDType,
)
from sqlglot import exp

from scoter.errors import NotSupported, TypeMismatch

_TO_DUCKDB: dict[type[IcebergType], str] = {
    BooleanType: "BOOLEAN",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMPTZ",
    TimestampNanoType: "TIMESTAMP_NS",
    StringType: "VARCHAR",
    UUIDType: "UUID",
    BinaryType: "BLOB",
    FixedType: "BLOB",
    UnknownType: "INTEGER",
}

_FROM_DUCKDB: dict[exp.DType, type[IcebergType]] = {
    exp.DType.BOOLEAN: BooleanType,
    exp.DType.TINYINT: IntegerType,
    exp.DType.SMALLINT: IntegerType,
    exp.DType.INT: IntegerType,
    exp.DType.UTINYINT: IntegerType,
    exp.DType.USMALLINT: IntegerType,
    exp.DType.UINT: LongType,
    exp.DType.BIGINT: LongType,
    exp.DType.FLOAT: FloatType,
    exp.DType.DOUBLE: DoubleType,
    exp.DType.DATE: DateType,
    exp.DType.TIME: TimeType,
    exp.DType.TIMESTAMP: TimestampType,
    exp.DType.TIMESTAMPNTZ: TimestampType,
    exp.DType.TIMESTAMP_S: TimestampType,
    exp.DType.TIMESTAMP_MS: TimestampType,
    exp.DType.TIMESTAMPTZ: TimestamptzType,
    exp.DType.VARCHAR: StringType,
    exp.DType.TEXT: StringType,
    exp.DType.CHAR: StringType,
    exp.DType.NCHAR: StringType,
    exp.DType.NVARCHAR: StringType,
    exp.DType.JSON: StringType,
    exp.DType.ENUM: StringType,
    exp.DType.UUID: UUIDType,
    exp.DType.VARBINARY: BinaryType,
    exp.DType.BINARY: BinaryType,
    exp.DType.BLOB: BinaryType,
    exp.DType.NULL: IntegerType,
}


def quote(name: str) -> str:
    """Return ``name`` as a quoted SQL identifier.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return ``text`` as a quoted SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def duckdb_type(iceberg: IcebergType) -> str:
    """Return DuckDB's type text for an Iceberg type.

    Raises NotSupported for a type that DuckDB can not hold without loss.
    """
    match iceberg:
        case DecimalType():
            return f"DECIMAL({iceberg.precision}, {iceberg.scale})"
        case StructType():
            fields = ", ".join(f"{quote(f.name)} {duckdb_type(f.field_type)}" for f in iceberg.fields)
            return f"STRUCT({fields})"
        case ListType():
            return f"{duckdb_type(iceberg.element_type)}[]"
        case MapType():
            return f"MAP({duckdb_type(iceberg.key_type)}, {duckdb_type(iceberg.value_type)})"
        case TimestamptzNanoType():
            raise NotSupported(f"type {iceberg} can not be read without losing nanoseconds")
    text = _TO_DUCKDB.get(type(iceberg))
    if text is None:
        raise NotSupported(f"Iceberg type {iceberg} is not supported")
    return text


def iceberg_type(kind: exp.DataType, ids: count[int]) -> IcebergType:
    """Return the Iceberg type that holds every value of a DuckDB type.

    Field ids of nested parts are drawn from ``ids``. Raises TypeMismatch where there is none,
    as for HUGEINT or INTERVAL.
    """
    tag = kind.this
    if tag == exp.DType.DECIMAL:
        numbers = [int(str(p.this)) for p in kind.expressions]
        precision, scale = (*numbers, 0)[:2] if numbers else (18, 3)
        return DecimalType(precision, scale)
    if tag in (exp.DType.LIST, exp.DType.ARRAY):
        element = next(ids)
        return ListType(element, iceberg_type(kind.expressions[0], ids), element_required=False)
    if tag == exp.DType.MAP:
        key, value = next(ids), next(ids)
        return MapType(
            key,
            iceberg_type(kind.expressions[0], ids),
            value,
            iceberg_type(kind.expressions[1], ids),
            value_required=False,
        )
    if tag == exp.DType.STRUCT:
        return StructType(
            *(
                NestedField(next(ids), part.name, iceberg_type(part.args["kind"], ids), required=False)
                for part in kind.expressions
            )
        )
    simple = _FROM_DUCKDB.get(tag)
    if simple is None:
        raise TypeMismatch(
            f"type {_spelled(kind)} can not be stored in an Iceberg table",
            hint="cast it to a type that Iceberg has, such as BIGINT, DECIMAL(38, 0) or VARCHAR",
        )
    return simple()


def _spelled(kind: exp.DataType) -> str:
    return {exp.DType.INT128: "HUGEINT", exp.DType.UINT128: "UHUGEINT"}.get(kind.this) or kind.sql("duckdb")


@lru_cache(maxsize=4096)
def shown_type(iceberg: IcebergType) -> str:
    """Return DuckDB's own spelling of an Iceberg type, as its DESCRIBE shows it."""
    return str(duckdb.sqltype(duckdb_type(iceberg)))


@lru_cache(maxsize=4096)
def spelled(text: str) -> str:
    """Return DuckDB's own spelling of a type that may be written in another way."""
    return str(duckdb.sqltype(text))


def listed_type(iceberg: IcebergType) -> str:
    """Return a column's type where tables are listed: Iceberg's own name for one that can not be read."""
    try:
        return shown_type(iceberg)
    except NotSupported:
        return str(iceberg).upper()


def wire_type(text: exp.DataType) -> pa.DataType:
    """Return the Arrow type under which a DuckDB type goes to clients; see docs/sql.md, "Types"."""
    kind = exp.DType
    tag = text.this
    fixed = _WIRE.get(tag)
    if fixed is not None:
        return fixed
    if tag == kind.DECIMAL:
        precision, scale = [int(str(p.this)) for p in text.expressions] or [18, 3]
        return pa.decimal128(precision, scale)
    if tag in (kind.LIST, kind.ARRAY):
        return pa.list_(pa.field("element", wire_type(text.expressions[0])))
    if tag == kind.MAP:
        key, value = text.expressions
        return pa.map_(pa.field("key", wire_type(key), nullable=False), pa.field("value", wire_type(value)))
    if tag == kind.STRUCT:
        return pa.struct([pa.field(p.name, wire_type(p.args["kind"])) for p in text.expressions])
    return pa.string()


_T = exp.DType
_WIRE: dict[exp.DType, pa.DataType] = {
    _T.BOOLEAN: pa.bool_(),
    _T.TINYINT: pa.int8(),
    _T.SMALLINT: pa.int16(),
    _T.INT: pa.int32(),
    _T.BIGINT: pa.int64(),
    _T.UTINYINT: pa.uint8(),
    _T.USMALLINT: pa.uint16(),
    _T.UINT: pa.uint32(),
    _T.UBIGINT: pa.uint64(),
    _T.INT128: pa.decimal128(38, 0),
    _T.UINT128: pa.decimal128(38, 0),
    _T.FLOAT: pa.float32(),
    _T.DOUBLE: pa.float64(),
    _T.DATE: pa.date32(),
    _T.TIME: pa.time64("us"),
    _T.TIMESTAMP: pa.timestamp("us"),
    _T.TIMESTAMPNTZ: pa.timestamp("us"),
    _T.TIMESTAMP_S: pa.timestamp("us"),
    _T.TIMESTAMP_MS: pa.timestamp("us"),
    _T.TIMESTAMP_NS: pa.timestamp("ns"),
    _T.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    _T.INTERVAL: pa.month_day_nano_interval(),
    _T.VARBINARY: pa.binary(),
    _T.BLOB: pa.binary(),
    _T.NULL: pa.int32(),
}


def escaped(path: str) -> str:
    """Return the pattern that matches this path only: DuckDB reads ``*``, ``?`` and ``[`` as wildcards."""
    if not any(sign in path for sign in "*?["):
        return path
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in path)
