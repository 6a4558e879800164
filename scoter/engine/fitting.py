"""The columns of given rows beside those of a table: what a new one gets, what fits an existing one.

This module must not know batches, connections or who gives the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pyarrow as pa
from pyarrow import types as arrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from scoter.catalog.names import folded
from scoter.engine.arrow_types import (
    Unfit,
    encoded,
    is_binary,
    is_encoded,
    is_name,
    is_number,
    is_text,
    is_uuid,
    readable,
    shown,
    stored,
    with_element,
    with_fields,
    with_item,
)
from scoter.engine.types import duckdb_type
from scoter.engine.writing.definition import checked
from scoter.errors import (
    DuplicateColumn,
    InvalidDefinition,
    NotNullViolation,
    ScoterError,
    TypeMismatch,
    UndefinedColumn,
)
from scoter.suggestions import closest

_HINT = "give it a type that a table has, or create the table first and append to it"
_SHOWN = 20  # columns that an error names; a client takes some kilobytes of error


def new_columns(given: pa.Schema) -> tuple[pa.Schema, Schema]:
    """Return the types as which rows of a new table are read, and the table's columns, all optional.

    Raises DuplicateColumn, InvalidDefinition for a column without a name, and TypeMismatch that names
    every column whose type no Iceberg table has.
    """
    _check_names(given.names)
    read, found, problems = [], [], []
    nested = count(len(given) + 1)
    for field_id, field in enumerate(given, 1):
        try:
            kind = readable(field, new=True)
            found.append(NestedField(field_id, field.name, stored(kind, nested), required=False))
            read.append(pa.field(field.name, kind))
        except Unfit as unfit:
            problems.append(
                TypeMismatch(f'column "{field.name}" of type {shown(field.type)} {unfit}', hint=_HINT)
            )
    _raise(problems)
    return pa.schema(read), checked(found)


def table_columns(given: pa.Schema, table: Schema) -> pa.Schema:
    """Return the types as which rows for the columns of ``table`` are read; columns go by name.

    Raises DuplicateColumn, and one error for all columns that are not in the table (UndefinedColumn),
    that are missing and NOT NULL (NotNullViolation), or whose values the table's type does not take
    (TypeMismatch); for several of these TypeMismatch.
    """
    _check_names(given.names)
    by_name = {folded(field.name): field for field in table.fields}
    read: list[pa.Field] = []
    problems: list[ScoterError] = []
    for field in given:
        column = by_name.get(folded(field.name))
        if column is None:
            # Only the first hint is shown, and to find the most similar of many names takes long.
            hint = None if any(problem.hint for problem in problems) else _like(field.name, table)
            problems.append(UndefinedColumn(f'the table has no column "{field.name}"', hint=hint))
            continue
        try:
            read.append(pa.field(field.name, _fitting(readable(field), column.field_type)))
        except Unfit as unfit:
            wanted = duckdb_type(column.field_type)
            problems.append(
                TypeMismatch(
                    f'column "{field.name}" is {shown(wanted)} in the table; the rows have'
                    f" {shown(field.type)}, which {unfit}"
                )
            )
    named = {folded(name) for name in given.names}
    problems += [
        NotNullViolation(f'column "{field.name}" is NOT NULL and is not given')
        for field in table.fields
        if field.required and folded(field.name) not in named
    ]
    _raise(problems)
    return pa.schema(read)


def _like(name: str, table: Schema) -> str:
    names = [known.name for known in table.fields]
    shown = names[:_SHOWN] + (["…"] if len(names) > _SHOWN else [])
    return closest(name, names) or f"its columns are {', '.join(shown)}"


def _raise(problems: Sequence[ScoterError]) -> None:
    """Raise one error that says all of ``problems``, or the first and how many; nothing when there are none."""
    if not problems:
        return
    kinds = {type(problem) for problem in problems}
    said = [problem.message for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        said.append(f"and {len(problems) - _SHOWN} more such columns")
    text = "; ".join(said)
    hint = next((problem.hint for problem in problems if problem.hint), None)
    raise (kinds.pop() if len(kinds) == 1 else TypeMismatch)(text, hint=hint)


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise InvalidDefinition("the rows have no columns")
    seen: set[str] = set()
    for name in names:
        if not is_name(name):
            raise InvalidDefinition("a column needs a name, without a character of code 0")
        if folded(name) in seen:
            raise DuplicateColumn(
                f'column "{name}" is given twice', hint="names are compared without regard to case"
            )
        seen.add(folded(name))


# One function a type of column: each returns the type to which values are cast, None where they do not fit.


def _fitting(kind: pa.DataType, wanted: IcebergType) -> pa.DataType:
    """Return the type to which values of ``kind`` are cast for a column of type ``wanted``; raises Unfit.

    Arrow's casts refuse a value that they would change; the last step to the column's type is DuckDB's.
    """
    if is_encoded(kind):
        return encoded(kind, _fitting(kind.value_type, wanted))
    if arrow.is_null(kind):
        return kind
    rule = _RULES.get(type(wanted))
    found = None if rule is None else rule(kind, wanted)
    if found is None:
        raise Unfit("does not fit")
    return found


def _for_integer(kind: pa.DataType, _: IcebergType) -> pa.DataType | None:
    if arrow.is_floating(kind):
        return pa.int64()
    if arrow.is_decimal(kind) and kind.scale:
        return pa.decimal128(38, 0)
    return kind if is_number(kind) or is_text(kind) else None


def _for_decimal(kind: pa.DataType, wanted: DecimalType) -> pa.DataType | None:
    if arrow.is_decimal(kind) and kind.scale > wanted.scale:
        return pa.decimal128(38, wanted.scale)
    return kind if is_number(kind) or is_text(kind) else None


def _for_float(kind: pa.DataType, _: IcebergType) -> pa.DataType | None:
    return kind if is_number(kind) or is_text(kind) else None


def _for_date(kind: pa.DataType, _: IcebergType) -> pa.DataType | None:
    if arrow.is_timestamp(kind) and kind.tz is None:
        return pa.date32()
    return kind if arrow.is_date(kind) or is_text(kind) else None


def _for_timestamp(kind: pa.DataType, wanted: IcebergType) -> pa.DataType | None:
    if arrow.is_timestamp(kind) and kind.tz is not None and isinstance(wanted, TimestampType):
        raise Unfit("has a time zone that would be lost")
    return kind if arrow.is_timestamp(kind) or arrow.is_date(kind) or is_text(kind) else None


def _for_text(kind: pa.DataType, _: IcebergType) -> pa.DataType | None:
    return None if arrow.is_nested(kind) or is_binary(kind) else kind


def _for_uuid(kind: pa.DataType, _: IcebergType) -> pa.DataType | None:
    return kind if is_text(kind) or is_uuid(kind) else None


def _for_struct(kind: pa.DataType, wanted: StructType) -> pa.DataType | None:
    if not arrow.is_struct(kind):
        return None
    by_name = {folded(field.name): field for field in wanted.fields}
    parts = [kind.field(index) for index in range(kind.num_fields)]
    given = {folded(part.name): part.name for part in parts}
    for key, name in given.items():
        if key not in by_name:
            raise Unfit(f'has a field "{name}" more')
    for key, field in by_name.items():
        if field.required and key not in given:
            raise Unfit(f'has no field "{field.name}", which is NOT NULL')
    return with_fields(
        kind, parts, [_fitting_inside(part.type, by_name[folded(part.name)].field_type) for part in parts]
    )


def _for_list(kind: pa.DataType, wanted: ListType) -> pa.DataType | None:
    if not arrow.is_nested(kind) or arrow.is_struct(kind) or arrow.is_map(kind):
        return None
    return with_element(kind, _fitting_inside(kind.value_type, wanted.element_type))


def _for_map(kind: pa.DataType, wanted: MapType) -> pa.DataType | None:
    if not arrow.is_map(kind):
        return None
    if _fitting_inside(kind.key_type, wanted.key_type) != kind.key_type:
        raise Unfit("has keys that do not fit")
    return with_item(kind, _fitting_inside(kind.item_type, wanted.value_type))


def _fitting_inside(kind: pa.DataType, wanted: IcebergType) -> pa.DataType:
    if isinstance(wanted, DateType) and arrow.is_timestamp(kind):
        # Only of whole columns is it checked that no time of day is lost.
        raise Unfit("has timestamps for dates")
    return _fitting(kind, wanted)


_RULES: dict[type[IcebergType], Callable[[pa.DataType, Any], pa.DataType | None]] = {
    BooleanType: lambda kind, _: kind if arrow.is_boolean(kind) or is_text(kind) else None,
    IntegerType: _for_integer,
    LongType: _for_integer,
    FloatType: _for_float,
    DoubleType: _for_float,
    DecimalType: _for_decimal,
    StringType: _for_text,
    BinaryType: lambda kind, _: kind if is_binary(kind) else None,
    DateType: _for_date,
    TimeType: lambda kind, _: kind if arrow.is_time(kind) or is_text(kind) else None,
    TimestampType: _for_timestamp,
    TimestamptzType: _for_timestamp,
    UUIDType: _for_uuid,
    StructType: _for_struct,
    ListType: _for_list,
    MapType: _for_map,
}
