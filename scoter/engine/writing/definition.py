"""Iceberg schemas and partition specs from the definitions that users write.

This module must not know catalogs, connections or rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import (
    DoubleType,
    FloatType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    StructType,
    UUIDType,
)
from sqlglot import exp
from sqlglot.errors import SqlglotError

from scoter.engine import statements
from scoter.engine.statements import TableColumn, span_of
from scoter.engine.types import iceberg_type
from scoter.errors import DuplicateColumn, InvalidDefinition, TypeMismatch, UndefinedColumn
from scoter.suggestions import closest

_PLAIN: dict[str, Callable[[], Transform[Any, Any]]] = {
    "identity": IdentityTransform,
    "year": YearTransform,
    "month": MonthTransform,
    "day": DayTransform,
    "hour": HourTransform,
}
_WITH_NUMBER: dict[str, Callable[[int], Transform[Any, Any]]] = {
    "bucket": BucketTransform,
    "truncate": TruncateTransform,
}
_NOT_BY_VALUE = (FloatType, DoubleType, UUIDType)
_SUFFIXES = {"identity": "", "truncate": "_trunc"}
_MOST = 2**31 - 1


def table_schema(
    columns: Sequence[TableColumn], partitions: Sequence[statements.PartitionField] = ()
) -> tuple[Schema, PartitionSpec]:
    """Return the schema and spec of CREATE TABLE; field ids count from 1, top level first.

    Raises DuplicateColumn for names that are equal without regard to case, TypeMismatch for a type
    that Iceberg does not have, and what `partition_spec` raises.
    """
    nested = count(len(columns) + 1)
    fields = []
    for field_id, column in enumerate(columns, 1):
        comment = column.args.get("comment")
        fields.append(
            NestedField(
                field_id,
                column.name,
                _type(column.args["kind"], nested, column),
                required=bool(column.args.get("not_null")),
                doc=None if comment is None else comment.name,
            )
        )
    schema = checked(fields, columns)
    return schema, partition_spec(schema, partitions)


def schema_of(names: Sequence[str], types: Sequence[str | exp.DataType]) -> Schema:
    """Return the schema for the columns of a query, by DuckDB's names of their types; all are optional.

    Raises DuplicateColumn and TypeMismatch as `table_schema` does.
    """
    nested = count(len(names) + 1)
    fields = []
    for field_id, (name, written) in enumerate(zip(names, types, strict=True), 1):
        kind = written if isinstance(written, exp.DataType) else _parsed(written)
        try:
            found = _type(kind, nested, None)
        except TypeMismatch as error:
            raise TypeMismatch(f'column "{name}": {error.message}', hint=error.hint) from error
        fields.append(NestedField(field_id, name, found, required=False))
    return checked(fields)


def checked(fields: Sequence[NestedField], places: Sequence[exp.Expr] = ()) -> Schema:
    """Return the schema of these columns, of which those have ``places`` that are written in the statement.

    Raises InvalidDefinition for a field without a name, and DuplicateColumn for two that Iceberg finds by one
    name: it reads a dot as the step from a column to a field inside.
    """
    seen: dict[str, tuple[str, ...]] = {}
    for position, field in enumerate(fields):
        span = span_of(places[position]) if places else None
        for path in _paths(field):
            if not path[-1]:
                raise InvalidDefinition("a column needs a name", span=span)
            dotted = ".".join(path)
            other = seen.setdefault(dotted.casefold(), path)
            if other is not path:
                hint = "names are compared without regard to case"
                if len(other) != len(path):
                    hint = "in Iceberg a dot in a name means a field inside the column; name one of the two otherwise"
                raise DuplicateColumn(f'column "{dotted}" appears twice', hint=hint, span=span)
    return Schema(*fields)


def _paths(field: NestedField, around: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to a field and to each one inside."""
    path = (*around, field.name)
    yield path
    match field.field_type:
        case StructType(fields=fields):
            inside = fields
        case ListType(element_field=element):
            inside = (element,)
        case MapType(key_field=key, value_field=value):
            inside = (key, value)
        case _:
            inside = ()
    for part in inside:
        yield from _paths(part, path)


def partition_spec(schema: Schema, partitions: Sequence[statements.PartitionField]) -> PartitionSpec:
    """Return the spec of PARTITIONED BY over ``schema``.

    Raises UndefinedColumn for a column that is not there, InvalidDefinition for a transform that does
    not fit the column's type, a number out of range, or the same field twice.
    """
    taken = {field.name.casefold() for field in schema.fields}
    fields: list[PartitionField] = []
    for field_id, written in enumerate(partitions, PARTITION_FIELD_ID_START):
        source = _source(schema, written)
        transform = _transform(written)
        if not transform.can_transform(source.field_type):
            raise InvalidDefinition(
                f'column "{source.name}" of type {source.field_type} can not be partitioned'
                f" by {written.transform_name}",
                span=span_of(written),
            )
        if isinstance(transform, IdentityTransform) and isinstance(source.field_type, _NOT_BY_VALUE):
            # Readers disagree about such values: pyiceberg reads a partition's double as a float, and
            # compares a partition's UUID with bytes, so that its scans lose rows.
            raise InvalidDefinition(
                f'column "{source.name}" of type {source.field_type} can not be partitioned by its value',
                hint="use bucket for a UUID, truncate for a decimal instead of a float",
                span=span_of(written),
            )
        if any(field.source_id == source.field_id and field.transform == transform for field in fields):
            raise InvalidDefinition(
                f'PARTITIONED BY names {written.transform_name} of column "{source.name}" twice',
                span=span_of(written),
            )
        name = source.name + _SUFFIXES.get(written.transform_name, f"_{written.transform_name}")
        while name.casefold() in taken and not isinstance(transform, IdentityTransform):
            name += "_"
        taken.add(name.casefold())
        fields.append(PartitionField(source.field_id, field_id, transform, name))
    return PartitionSpec(*fields)


def _source(schema: Schema, written: statements.PartitionField) -> NestedField:
    name = written.name
    for field in schema.fields:
        if field.name.casefold() == name.casefold():
            return field
    raise UndefinedColumn(
        f'column "{name}" of PARTITIONED BY does not exist',
        hint=closest(name, [field.name for field in schema.fields]),
        span=span_of(written),
    )


def _transform(written: statements.PartitionField) -> Transform[Any, Any]:
    name, number = written.transform_name, written.parameter
    plain = _PLAIN.get(name)
    if plain is not None:
        return plain()
    if number is None or not 1 <= number <= _MOST:
        raise InvalidDefinition(f"{name} needs a number from 1 to {_MOST}", span=span_of(written))
    return _WITH_NUMBER[name](number)


def _parsed(text: str) -> exp.DataType:
    try:
        return exp.DataType.build(text, dialect="duckdb")
    except SqlglotError as error:
        raise TypeMismatch(f"type {text} can not be stored in an Iceberg table") from error


def _type(kind: exp.DataType, nested: count[int], place: TableColumn | None) -> IcebergType:
    try:
        return iceberg_type(kind, nested)
    except TypeMismatch as error:
        raise TypeMismatch(error.message, hint=error.hint, span=error.span or span_of(place)) from error
