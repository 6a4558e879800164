"""What tells that a row holds something that DuckDB has and an Iceberg table has not.

This module must not know connections, catalogs or commits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pyiceberg.schema import Schema
from pyiceberg.types import (
    DateType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from scoter.engine.types import literal, quote
from scoter.engine.writing.datafiles import Leaf, WrittenFile
from scoter.errors import DataError, InvalidValue, NotNullViolation

_RAISED = re.compile(r"scoter-check (\d+)")
_UNFIT_TEXTS = frozenset({"infinity", "-infinity", "24:00:00"})
_TIMES = (DateType, TimeType, TimestampType, TimestamptzType)


def checked(field: NestedField, value: str) -> str:
    """Return SQL for ``value``, a value of ``field``, that raises for NULL in a nested field that is required.

    A required column itself is judged by the counts of the files written.
    """
    condition = _missing(field.field_type, value, 0)
    if not condition:
        return value
    return f"CASE WHEN {condition} THEN error('scoter-check {field.field_id}') ELSE {value} END"


def refusal(text: str, schema: Schema) -> DataError | None:
    """Return the error of ours when ``text`` was raised by the SQL of `checked`, else None."""
    match = _RAISED.search(text)
    if match is None:
        return None
    name = schema.find_column_name(int(match[1]))
    return NotNullViolation(f'NULL inside column "{name}", in a field that is NOT NULL')


def check_required(schema: Schema, files: Sequence[WrittenFile]) -> None:
    """Raise NotNullViolation where the counts of a required column say that it has NULLs."""
    for field in schema.fields:
        if not field.required:
            continue
        nulls = sum(int(file.statistics.get(quote(field.name), {}).get("null_count", 0)) for file in files)
        if nulls:
            raise NotNullViolation(f'NULL in column "{field.name}", which is NOT NULL ({nulls} rows)')


def doubtful(columns: Sequence[Leaf], file: WrittenFile) -> frozenset[str]:
    """Return the columns of a file whose dates and times have no statistics, so that rows must be read.

    That is so where a row group has only NULLs. Raises InvalidValue where the statistics show infinity
    as a date or timestamp, or 24:00 as a time.
    """
    found = set()
    for leaf in columns:
        if not isinstance(leaf.kind, _TIMES):
            continue
        statistics = file.statistics.get(leaf.key, {})
        if _UNFIT_TEXTS & {statistics.get("min"), statistics.get("max")}:
            raise unfit(leaf.path[0])
        if "min" not in statistics and statistics.get("null_count") != statistics.get("num_values"):
            found.add(leaf.path[0])
    return frozenset(found)


def unfit_rows(schema: Schema, columns: frozenset[str]) -> str:
    """Return a condition that is true for a row with infinity or 24:00 in one of ``columns``."""
    return _any(
        _unfit(field.field_type, quote(field.name), 0) for field in schema.fields if field.name in columns
    )


def unfit(name: str) -> InvalidValue:
    """Return the error for a column with a date or time that Iceberg does not have."""
    return InvalidValue(
        f'column "{name}" has a value that an Iceberg table can not hold',
        hint="dates and timestamps can not be infinity, a time can not be 24:00",
    )


def _unfit(kind: IcebergType, value: str, depth: int) -> str:
    match kind:
        case DateType() | TimestampType() | TimestamptzType():
            return f"NOT isfinite({value})"
        case TimeType():
            return f"{value} = TIME '24:00:00'"
        case StructType(fields=fields):
            return _any(_unfit(child.field_type, _part(value, child), depth) for child in fields)
        case ListType():
            return _any_of(value, _unfit(kind.element_type, f"e{depth}", depth + 1), depth)
        case MapType():
            return _any(
                [
                    _any_of(f"map_keys({value})", _unfit(kind.key_type, f"e{depth}", depth + 1), depth),
                    _any_of(f"map_values({value})", _unfit(kind.value_type, f"e{depth}", depth + 1), depth),
                ]
            )
    return ""


def _missing(kind: IcebergType, value: str, depth: int) -> str:
    element = f"e{depth}"
    match kind:
        case StructType(fields=fields):
            return _any(_missing_in(child, _part(value, child), value, depth) for child in fields)
        case ListType():
            return _any_of(value, _missing_in(kind.element_field, element, None, depth + 1), depth)
        case MapType():
            return _any(
                [
                    _any_of(f"map_keys({value})", _missing(kind.key_type, element, depth + 1), depth),
                    _any_of(
                        f"map_values({value})", _missing_in(kind.value_field, element, None, depth + 1), depth
                    ),
                ]
            )
    return ""


def _missing_in(field: NestedField, value: str, parent: str | None, depth: int) -> str:
    own = ""
    if field.required:
        own = f"{value} IS NULL" if parent is None else f"({parent} IS NOT NULL AND {value} IS NULL)"
    return _any([own, _missing(field.field_type, value, depth)])


def _part(value: str, field: NestedField) -> str:
    return f"struct_extract({value}, {literal(field.name)})"


def _any_of(values: str, condition: str, depth: int) -> str:
    return f"len(list_filter({values}, lambda e{depth}: {condition})) > 0" if condition else ""


def _any(conditions: Iterable[str]) -> str:
    kept = [condition for condition in conditions if condition]
    return f"({' OR '.join(kept)})" if kept else ""
