"""SQL that refuses rows which DuckDB can hold and an Iceberg table can not.

This module must not know connections, files or commits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

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

from scoter.engine.types import literal
from scoter.errors import DataError, InvalidValue, NotNullViolation

_RAISED = re.compile(r"scoter-check (null|value) (\d+)")


def checked(field: NestedField, value: str) -> str:
    """Return SQL for ``value``, a value of ``field``, that raises for what the table can not hold.

    That is infinity as a date or timestamp, 24:00 as a time, and NULL inside a nested value where the
    field is required. A required column itself is judged by the counts of the files written.
    """
    cases = ""
    for what, condition in (
        ("value", _unfit(field.field_type, value, 0)),
        ("null", _missing(field.field_type, value, 0)),
    ):
        if condition:
            cases += f" WHEN {condition} THEN error('scoter-check {what} {field.field_id}')"
    return f"CASE{cases} ELSE {value} END" if cases else value


def refusal(text: str, schema: Schema) -> DataError | None:
    """Return the error of ours when ``text`` was raised by the SQL of `checked`, else None."""
    match = _RAISED.search(text)
    if match is None:
        return None
    name = schema.find_column_name(int(match[2]))
    if match[1] == "null":
        return NotNullViolation(f'NULL inside column "{name}", in a field that is NOT NULL')
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
