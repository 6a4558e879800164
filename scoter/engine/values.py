"""Bound parameter values as SQL literals.

This module must not know statements; it turns one Arrow value into one constant expression.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from scoter.engine.binding import data_type
from scoter.engine.types import quote, wire_type
from scoter.errors import InvalidValue, NumericOutOfRange, TypeMismatch
from scoter.udfs.tensors import infinities


def parameter_schema(names: tuple[str, ...], types: dict[str, str]) -> pa.Schema:
    """Return the Arrow schema of a statement's parameters, one nullable field each, in order."""
    return pa.schema([pa.field(name, wire_type(data_type(types[name]))) for name in names])


PIECES = b"scoter.sha256"
"""The metadata of a schema that says: the rows are pieces of one file, which has this sha256."""


def in_one(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a file that was sent in pieces, a row each, as one row, and any other rows as they are.

    So no message of a client has to be as large as its file. Raises InvalidValue for pieces that are not of the file.
    """
    wanted = (batch.schema.metadata or {}).get(PIECES)
    if wanted is None or batch.num_columns != 1 or not pa.types.is_binary(batch.schema.field(0).type):
        return batch
    pieces = batch.column(0)
    whole = b"" if pieces.null_count else b"".join(pieces.to_pylist())
    if sha256(whole).hexdigest().encode() != wanted:
        raise InvalidValue(
            "the pieces of a file that were sent do not make the file", hint="send the file once more"
        )
    return pa.RecordBatch.from_arrays([pa.array([whole], pa.binary())], names=batch.schema.names)


def align(
    batch: pa.RecordBatch,
    schema: pa.Schema,
    exact: frozenset[str] = frozenset(),
    arguments: frozenset[str] = frozenset(),
) -> pa.RecordBatch:
    """Return ``batch`` with its columns cast to ``schema``, matched by name if it has just those, else by position.

    Values of the parameters in ``exact`` are not rounded: `price = ?` must not match another price. Those in
    ``arguments`` are given to models by the rules of constants there: whole numbers are rounded to floats, texts are no
    numbers. Raises InvalidValue where a value does not fit its parameter's type, NumericOutOfRange where a number is
    too large for it, TypeMismatch for an argument of another kind.
    """
    columns = []
    given = batch.columns
    names = batch.schema.names
    if len(set(names)) == len(names) and set(names) == set(schema.names):
        given = [batch.column(name) for name in schema.names]
    for column, field in zip(given, schema, strict=True):
        if field.name in arguments and not _is_alike(column.type, field.type):
            raise TypeMismatch(
                f"parameter {field.name} is {sql_type(field.type)}, the value is {column.type}",
                hint=f"bind a value of that type, or write CAST(CAST(? AS …) AS {sql_type(field.type)})",
            )
        try:
            fitted = _cast(column, field.type, rounds=field.name in arguments)
            fitted.validate()
            if field.name in exact:
                _refuse_loss(column, fitted)
            plain = _decoded(column)
            # A text may say that it is infinite.
            is_text = pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type)
            if fitted.type != plain.type and not is_text and infinities(fitted) > infinities(plain):
                raise NumericOutOfRange(
                    f"a value of parameter {field.name} is {column.type} and too large for {field.type}"
                )
            columns.append(fitted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise InvalidValue(
                f"a value of parameter {field.name} is {column.type} and can not be used as {field.type}",
                hint="a cast in the statement, CAST(? AS type), says how to read it",
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _is_alike(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Say whether both are numbers, texts, truth values or bytes, or hold such; of other types the cast decides."""
    if pa.types.is_dictionary(given) or pa.types.is_run_end_encoded(given):
        given = given.value_type
    if given.num_fields == 1 and wanted.num_fields == 1:
        return _is_alike(given.field(0).type, wanted.field(0).type)
    kinds = [
        next((kind for kind, tests in _KINDS.items() if any(test(one) for test in tests)), "")
        for one in (given, wanted)
    ]
    # Truth values are numbers to a model, 0 and 1, but numbers no truth values.
    return kinds[0] == kinds[1] or "" in kinds or kinds == ["truth", "number"]


_KINDS = {
    "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "truth": (pa.types.is_boolean,),
    "bytes": (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    ),
}


def _cast(column: pa.Array, kind: pa.DataType, *, rounds: bool = False) -> pa.Array:
    if column.type == kind:
        return column
    column = _decoded(column)
    given = column.type
    if pa.types.is_null(given):
        return pa.nulls(len(column), kind)
    if (
        pa.types.is_timestamp(given)
        and pa.types.is_timestamp(kind)
        and (given.tz is None) != (kind.tz is None)
    ):
        # JDBC sends milliseconds without a zone for every timestamp.
        return column.cast(pa.timestamp(given.unit, tz="UTC")).cast(kind)
    if pa.types.is_decimal(kind):
        return _decimal(column, kind)
    if pa.types.is_time(kind) and pa.types.is_string(given):
        # Arrow reads times of day only behind a day.
        return pc.binary_join_element_wise("1970-01-01", column, " ").cast(pa.timestamp("us")).cast(kind)
    if pa.types.is_interval(kind) and pa.types.is_duration(given):
        return _interval(column)
    is_rounded = rounds and pa.types.is_integer(given) and pa.types.is_floating(kind)
    return column.cast(kind, safe=not is_rounded)


def _refuse_loss(given: pa.Array, fitted: pa.Array) -> None:
    """Raise ArrowInvalid where a value lost digits behind the point, or its time of day."""
    loses = pa.types.is_decimal(fitted.type) and (
        pa.types.is_floating(given.type) or pa.types.is_decimal(given.type)
    )
    loses |= pa.types.is_date(fitted.type) and pa.types.is_timestamp(given.type)
    if loses and pc.all(pc.equal(fitted.cast(given.type, safe=False), given)).as_py() is False:
        raise pa.ArrowInvalid("digits or a time of day would be lost")


def _decoded(column: pa.Array) -> pa.Array:
    """Return the same values without dictionaries, runs and UUIDs of 16 bytes."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if isinstance(column.type, pa.UuidType):
        column = _uuid_texts(column.storage)
    if _holds_uuids(column.type):
        raise pa.ArrowNotImplementedError("UUIDs inside of other values")
    return column


def _holds_uuids(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.UuidType):
        return True
    return any(_holds_uuids(kind.field(i).type) for i in range(kind.num_fields))


def _uuid_texts(column: pa.Array) -> pa.Array:
    """Return UUIDs of 16 bytes as texts of 36 letters."""
    count = len(column)
    filled = column.fill_null(bytes(16))
    raw = np.frombuffer(filled.buffers()[1], np.uint8, 16 * count, 16 * filled.offset).reshape(count, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    letters = np.full((count, 36), ord("-"), np.uint8)
    places = [i for i in range(36) if i not in {8, 13, 18, 23}]
    letters[:, places[0::2]] = digits[raw >> 4]
    letters[:, places[1::2]] = digits[raw & 15]
    texts = pa.Array.from_buffers(pa.binary(36), count, [None, pa.py_buffer(letters.tobytes())])
    return pc.if_else(column.is_valid(), texts.cast(pa.binary()).cast(pa.string()), None)


def _interval(column: pa.Array) -> pa.Array:
    """Return durations as intervals without months and days, because their days are always 24 hours."""
    spans = np.zeros(len(column), np.dtype([("months", "i4"), ("days", "i4"), ("nanoseconds", "i8")]))
    spans["nanoseconds"] = column.cast(pa.duration("ns")).cast(pa.int64()).fill_null(0).to_numpy()
    valid = pa.array(column.is_valid()).buffers()[1]
    return pa.Array.from_buffers(
        pa.month_day_nano_interval(), len(column), [valid, pa.py_buffer(spans.tobytes())]
    )


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
