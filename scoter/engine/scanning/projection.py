"""How the columns of a table schema are read from files of one layout, matched by field id.

This module must not know predicates, statistics or which files are read.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

from pyiceberg.schema import Schema
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
    TimestamptzType,
    TimeType,
    UnknownType,
    UUIDType,
)

from scoter.engine.scanning.layout import Column, Layout, refuse_ambiguous
from scoter.engine.scanning.lineage import HIDDEN
from scoter.engine.types import duckdb_type, literal, quote
from scoter.errors import CorruptData, NotSupported

_INTS = frozenset({"int", "long", "unsigned int"})
_STORED: dict[type[IcebergType], frozenset[str]] = {
    BooleanType: frozenset({"boolean"}),
    IntegerType: frozenset({"int"}),
    LongType: _INTS,
    FloatType: frozenset({"float"}),
    DoubleType: frozenset({"float", "double"}),
    DateType: frozenset({"date"}),
    TimeType: frozenset({"time"}),
    TimestampType: frozenset({"timestamp", "date"}),
    TimestamptzType: frozenset({"timestamptz"}),
    TimestampNanoType: frozenset({"timestamp in nanoseconds", "timestamp", "date"}),
    StringType: frozenset({"string"}),
    UUIDType: frozenset({"uuid", "fixed[16]"}),
    BinaryType: frozenset({"binary"}),
}
# Same bytes under another annotation: the value is the same, but DuckDB's own cast would change it.
_CONVERTED: dict[tuple[type[IcebergType], str], tuple[str, str]] = {
    (StringType, "binary"): ("BLOB", "decode({})"),
    (BinaryType, "string"): ("VARCHAR", "encode({})"),
    (TimestamptzType, "timestamp"): ("TIMESTAMP", "({} AT TIME ZONE 'UTC')"),
    (TimestampType, "timestamptz"): ("TIMESTAMPTZ", "({} AT TIME ZONE 'UTC')"),
}
# What DuckDB reads as the table's type without being told.
_NATURAL: dict[type[IcebergType], str] = {
    BooleanType: "boolean",
    IntegerType: "int",
    LongType: "long",
    FloatType: "float",
    DoubleType: "double",
    DateType: "date",
    TimestampType: "timestamp",
    TimestamptzType: "timestamptz",
    StringType: "string",
}
# Partition tuples hold these as a count since 1970-01-01.
_COUNTED: dict[type[IcebergType], str] = {
    DateType: "(DATE '1970-01-01' + {})",
    TimeType: "make_timestamp({})::TIME",
    TimestampType: "make_timestamp({})",
    TimestamptzType: "(make_timestamp({}) AT TIME ZONE 'UTC')",
    TimestampNanoType: "make_timestamp_ns({})",
}


@dataclass(frozen=True)
class Source:
    """Where one column of the table comes from in files of one layout.

    ``column`` is the physical name to bind with type ``bound``, None for a constant; ``expression``
    is the SQL over it. ``by_id`` says that names inside the column differ from the schema's, so that
    only a read by field id is right. ``natural`` says that DuckDB gives the column type ``bound`` by
    itself; sources that differ in that alone are equal.
    """

    expression: str
    column: str | None = None
    bound: str = ""
    by_id: bool = False
    natural: bool = attribute(default=False, compare=False)


@dataclass(frozen=True)
class Projection:
    """How each column of a schema, in order, is read from files of one layout."""

    sources: tuple[Source, ...]
    direct: bool
    by_id: bool
    reason: str


def project(schema: Schema, layout: Layout, constants: Mapping[int, Any]) -> Projection:
    """Match a schema with a layout; ``constants`` are identity partition values by field id.

    Raises CorruptData for a required column that the files lack or a type that can not have been
    written for the schema, NotSupported for what can not be read rightly.
    """
    refuse_ambiguous([column.name for column in layout.columns], "a data file")
    by_id = {column.field_id: column for column in layout.columns if column.field_id is not None}
    sources: list[Source] = []
    reasons: list[str] = []
    for field in schema.fields:
        column = by_id.get(field.field_id)
        source = _absent(field, constants) if column is None else _present(field, column)
        if column is None:
            where = "made while files are read" if field in HIDDEN.values() else "not in every file"
            reasons.append(f"column {quote(field.name)} is {where}")
        elif source.by_id:
            reasons.append(f"fields inside column {quote(field.name)} were renamed")
        elif source.column != field.name:
            reasons.append(f"column {quote(field.name)} was renamed")
        elif source.expression != quote(field.name):
            reasons.append(f"column {quote(field.name)} is stored as {column.kind}")
        sources.append(source)
    nested = any(source.by_id for source in sources)
    if nested:
        sources = [
            _by_id(field, source, constants) for field, source in zip(schema.fields, sources, strict=True)
        ]
    return Projection(tuple(sources), not reasons, nested, reasons[0] if reasons else "")


def missing(schema: Schema, layout: Layout) -> frozenset[int]:
    """Return the ids of the schema's columns that files of this layout do not hold."""
    held = {column.field_id for column in layout.columns}
    return frozenset(field.field_id for field in schema.fields if field.field_id not in held)


def constant(value: Any, iceberg: IcebergType) -> str:
    """Return SQL for a value of an Iceberg type, as partition tuples and column defaults hold it.

    Dates are days, times and timestamps microseconds when they are given as int. NULL for None.
    """
    kind = duckdb_type(iceberg)
    if isinstance(value, bytes):
        text = f"unhex('{value.hex()}')"
    elif isinstance(value, int) and type(iceberg) in _COUNTED:
        text = _COUNTED[type(iceberg)].format(value)
    elif value is None:
        text = f"NULL::{kind}"
    elif isinstance(value, dt.datetime | dt.date | dt.time):
        text = f"{literal(value.isoformat())}::{kind}"
    elif isinstance(value, bool | int | float | str | decimal.Decimal | uuid.UUID):
        text = f"{literal(str(value))}::{kind}"
    else:
        raise NotSupported(f"a constant of type {iceberg} can not be read yet")
    return text


def _by_id(field: NestedField, source: Source, constants: Mapping[int, Any]) -> Source:
    """Return the source of a column in a read by field id, which knows the schema's names only."""
    if source.column is None:
        return source if field.field_id in constants else Source(quote(field.name), by_id=True)
    if source.expression != quote(source.column):
        raise NotSupported(
            "a column with renamed inner fields and a column stored as another type can not be read together"
        )
    return Source(quote(field.name), field.name, by_id=True)


def _absent(field: NestedField, constants: Mapping[int, Any]) -> Source:
    if field.field_id in constants:
        return Source(constant(constants[field.field_id], field.field_type))
    if field.initial_default is not None:
        return Source(constant(field.initial_default, field.field_type))
    if field.required and not isinstance(field.field_type, UnknownType):
        raise CorruptData(f"a data file lacks the required column {quote(field.name)}")
    return Source(f"NULL::{duckdb_type(field.field_type)}")


def _present(field: NestedField, column: Column) -> Source:
    kind = field.field_type
    converted = _CONVERTED.get((type(kind), column.kind))
    if converted is not None:
        bound, template = converted
        return Source(template.format(quote(column.name)), column.name, bound)
    by_id = not _named_alike(kind, column, field.name)
    natural = _NATURAL.get(type(kind), str(kind) if isinstance(kind, DecimalType) else "") == column.kind
    natural = natural and column.exact
    return Source(quote(column.name), column.name, duckdb_type(kind), by_id, natural)


def _named_alike(kind: IcebergType, column: Column, path: str) -> bool:
    """Say whether binding by name gives the right inner fields; raise when the types do not fit."""
    match kind:
        case StructType() if column.kind == "struct":
            return _struct_alike(kind, column, path)
        case ListType() if column.kind == "list":
            return _named_alike(kind.element_type, column.children[0], f"{path}.element")
        case MapType() if column.kind == "map":
            key, value = column.children
            alike = _named_alike(kind.key_type, key, f"{path}.key")
            return _named_alike(kind.value_type, value, f"{path}.value") and alike
    if not _fits(kind, column.kind):
        raise CorruptData(f"a data file stores column {quote(path)} of type {kind} as {column.kind}")
    return True


def _struct_alike(kind: StructType, column: Column, path: str) -> bool:
    refuse_ambiguous([field.name for field in kind.fields], f"column {quote(path)}")
    by_id = {child.field_id: child for child in column.children if child.field_id is not None}
    names = {child.name.casefold() for child in column.children}
    alike, matched = True, 0
    for field in kind.fields:
        child = by_id.get(field.field_id)
        if child is None:
            # A name that belongs to another field id in the file must not be taken for this one.
            default = field.initial_default is not None or field.required
            alike = alike and field.name.casefold() not in names and not default
            continue
        alike = alike and child.name.casefold() == field.name.casefold()
        alike = _named_alike(field.field_type, child, f"{path}.{field.name}") and alike
        matched += 1
    if not matched:
        # Nothing then tells a NULL struct from one whose fields are NULL.
        raise NotSupported(
            f"a data file holds none of the fields inside column {quote(path)}",
            hint="rewrite the file with another engine",
        )
    return alike


def _fits(kind: IcebergType, stored: str) -> bool:
    match kind:
        case DecimalType():
            return stored in {f"decimal({p}, {kind.scale})" for p in range(1, kind.precision + 1)}
        case FixedType():
            return stored in {f"fixed[{len(kind)}]", "binary"}
        case UnknownType():
            return True
    return stored in _STORED.get(type(kind), frozenset())


def field_map(schema: Schema) -> str:
    """Return the SQL map from field id to name and type that makes ``read_parquet`` match by id."""
    return _fields(schema.fields)


def _fields(fields: tuple[NestedField, ...] | list[NestedField]) -> str:
    return "MAP{" + ", ".join(_entry(field) for field in fields) + "}"


def _entry(field: NestedField) -> str:
    kind = field.field_type
    match kind:
        case StructType():
            children = _fields(kind.fields)
        case ListType():
            children = _fields([NestedField(kind.element_id, "element", kind.element_type, required=False)])
        case MapType():
            key = NestedField(kind.key_id, "key", kind.key_type, required=True)
            value = NestedField(kind.value_id, "value", kind.value_type, required=False)
            children = _fields([key, value])
        case _:
            children = "NULL"
    default = "NULL"
    if field.initial_default is not None:
        default = f"CAST({constant(field.initial_default, kind)} AS VARCHAR)"
    return (
        f"{field.field_id}: {{'name': {literal(field.name)}, 'type': {literal(duckdb_type(kind))}, "
        f"'default_value': {default}::VARCHAR, 'children': {children}}}"
    )
