"""Bound parameter values as SQL literals.

This module must not know statements; it turns one Arrow value into one constant expression.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from scoter.engine.binding import data_type
from scoter.engine.types import quote, wire_type
from scoter.errors import InvalidValue


def parameter_schema(names: tuple[str, ...], types: dict[str, str]) -> pa.Schema:
    """Return the Arrow schema of a statement's parameters, one nullable field each, in order."""
    return pa.schema([pa.field(name, wire_type(data_type(types[name]))) for name in names])


def align(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return ``batch`` with its columns cast to ``schema``, matched by name if it has just those, else by position.

    Raises InvalidValue where a value does not fit its parameter's type.
    """
    columns = []
    given = batch.columns
    names = batch.schema.names
    if len(set(names)) == len(names) and set(names) == set(schema.names):
        given = [batch.column(name) for name in schema.names]
    for column, field in zip(given, schema, strict=True):
        try:
            columns.append(_cast(column, field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise InvalidValue(
                f"a value of parameter {field.name} is {column.type} and can not be used as {field.type}"
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind)
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(kind):
        # JDBC sends milliseconds without a zone for every timestamp.
        if column.type.tz is None and kind.tz is not None:
            return column.cast(pa.timestamp(column.type.unit, tz="UTC")).cast(kind)
        if column.type.tz is not None and kind.tz is None:
            return column.cast(pa.timestamp(column.type.unit, tz="UTC")).cast(kind)
    if pa.types.is_decimal(kind):
        return _decimal(column, kind)
    return column.cast(kind)


def _decimal(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast to a decimal as SQL does: integers of any width that fit, surplus digits rounded."""
    if pa.types.is_integer(column.type):
        column = column.cast(pa.decimal256(76, kind.scale))
    elif pa.types.is_decimal(column.type) and column.type.scale > kind.scale:
        column = pc.round(column, kind.scale)
    return column.cast(kind)


def literal_at(column: pa.Array, row: int) -> exp.Expr:
    """Return a constant expression for one value of a column, cast to its DuckDB type."""
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        # As text: Python has no years beyond 9999.
        column = column.slice(row, 1).cast(pa.string())
        text = column[0].as_py()
        value = exp.Null() if text is None else exp.Literal.string(text)
        return exp.Cast(this=value, to=data_type(sql_type(kind)).copy())
    return literal_of(column[row].as_py(), kind)


def literal_of(value: Any, kind: pa.DataType) -> exp.Expr:
    """Return a constant expression for a Python value of Arrow type ``kind``, cast to its DuckDB type."""
    text = sql_type(kind)
    if value is None:
        return exp.Cast(this=exp.Null(), to=data_type(text).copy())
    return exp.Cast(this=_bare(value, kind), to=data_type(text).copy())


def _bare(value: Any, kind: pa.DataType) -> exp.Expr:
    if value is None:
        return exp.Null()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return exp.Array(expressions=[_bare(item, kind.value_type) for item in value])
    if pa.types.is_struct(kind):
        return exp.Struct(
            expressions=[
                exp.PropertyEQ(
                    this=exp.to_identifier(field.name, quoted=True),
                    expression=literal_of(value.get(field.name), field.type),
                )
                for field in kind
            ]
        )
    if pa.types.is_map(kind):
        keys = exp.Array(expressions=[literal_of(k, kind.key_type) for k, _ in value])
        items = exp.Array(expressions=[literal_of(v, kind.item_type) for _, v in value])
        return exp.Anonymous(this="map", expressions=[keys, items])
    if pa.types.is_boolean(kind):
        return exp.Boolean(this=bool(value))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return exp.Anonymous(this="unhex", expressions=[exp.Literal.string(value.hex())])
    if pa.types.is_floating(kind):
        # repr gives the shortest text that reads back as the same double.
        return exp.Literal.string(repr(float(value)))
    if pa.types.is_interval(kind):
        text = f"{value.months} months {value.days} days {value.nanoseconds // 1000} microseconds"
        return exp.Literal.string(text)
    return exp.Literal.string(str(value))


def sql_type(kind: pa.DataType) -> str:
    """Return the DuckDB type of an Arrow type of the wire; raises InvalidValue for others."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else ("TIMESTAMP_NS" if kind.unit == "ns" else "TIMESTAMP")
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f"{quote(f.name)} {sql_type(f.type)}" for f in kind) + ")"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    for test, text in _SQL:
        if test(kind):
            return text
    raise InvalidValue(f"values of Arrow type {kind} can not be bound")


_SQL = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_int8, "TINYINT"),
    (pa.types.is_int16, "SMALLINT"),
    (pa.types.is_int32, "INTEGER"),
    (pa.types.is_int64, "BIGINT"),
    (pa.types.is_uint8, "UTINYINT"),
    (pa.types.is_uint16, "USMALLINT"),
    (pa.types.is_uint32, "UINTEGER"),
    (pa.types.is_uint64, "UBIGINT"),
    (pa.types.is_float32, "FLOAT"),
    (pa.types.is_float64, "DOUBLE"),
    (pa.types.is_string, "VARCHAR"),
    (pa.types.is_large_string, "VARCHAR"),
    (pa.types.is_binary, "BLOB"),
    (pa.types.is_large_binary, "BLOB"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_time, "TIME"),
    (pa.types.is_interval, "INTERVAL"),
)
