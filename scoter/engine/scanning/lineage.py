"""Columns that every row has beside its table's: its file, its place there, what format version 3 keeps of it.

This module must not know statements, predicates or which files are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import LongType, NestedField, StringType

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.scanning.layout import Layout
from scoter.engine.types import duckdb_type, literal
from scoter.errors import NotSupported

# https://iceberg.apache.org/spec/#reserved-field-ids
_FILE = NestedField(2147483646, "_file", StringType(), required=False)
_POS = NestedField(2147483645, "_pos", LongType(), required=False)
_ROW_ID = NestedField(2147483540, "_row_id", LongType(), required=False)
_UPDATED = NestedField(2147483539, "_last_updated_sequence_number", LongType(), required=False)
_OF_VERSION_3 = (_ROW_ID, _UPDATED)
HIDDEN = {field.name: field for field in (_FILE, _POS, *_OF_VERSION_3)}
_WITH_LINEAGE = 3
_NUMBERS = frozenset({"file_index", "file_row_number"})


def hidden_columns(metadata: TableMetadata, schema: Schema) -> dict[str, str]:
    """Return the hidden columns that a table has, with their DuckDB types; its own column of such a name wins."""
    taken = {field.name.casefold() for field in schema.fields}
    return {
        name: duckdb_type(field.field_type)
        for name, field in HIDDEN.items()
        if name not in taken and (metadata.format_version >= _WITH_LINEAGE or field not in _OF_VERSION_3)
    }


def with_hidden(schema: Schema, names: Collection[str]) -> Schema:
    """Return ``schema`` with the hidden columns of these names at its end."""
    return Schema(*schema.fields, *(HIDDEN[name] for name in sorted(names)), schema_id=schema.schema_id)


def refuse_hiding(layouts: Collection[Layout], schema: Schema, name: str) -> None:
    """Raise NotSupported where a column hides DuckDB's own numbers of files and rows."""
    if are_hidden(layouts, schema):
        raise NotSupported(
            f"{name} has a column file_index or file_row_number, beside which {', '.join(HIDDEN)} can not be read"
        )


def are_hidden(layouts: Collection[Layout], schema: Schema) -> bool:
    """Say whether a column has the name of DuckDB's own numbers of files and rows."""
    return any(field.name.casefold() in _NUMBERS for field in schema.fields) or any(
        # Most are one object, whose hash takes longer than to look at it.
        column.name.casefold() in _NUMBERS
        for layout in {id(layout): layout for layout in layouts}.values()
        for column in layout.columns
    )


def hidden_value(field: NestedField, stored: str, files: DataFiles, numbers: Ints) -> str | None:
    """Return the SQL of a hidden column over ``read_parquet(…) AS r`` of files; None for any other column.

    ``stored`` is the column as the files have it, NULL where they have none.
    """
    row = "r.file_row_number"
    match field.field_id:
        case _FILE.field_id:
            return _each([literal(str(files.locations[n])) for n in numbers])
        case _POS.field_id:
            return row
        case _ROW_ID.field_id:
            first = _each([_number(files.first_rows[n]) for n in numbers])
            return f"COALESCE({stored}, {first} + {row})"
        case _UPDATED.field_id:
            # Rows have what it takes to tell their last change from format version 3 on.
            last = [_number(files.sequences[n] if files.first_rows[n] >= 0 else -1) for n in numbers]
            return f"COALESCE({stored}, {_each(last)})"
    return None


def _number(value: Any) -> str:
    return f"{value}::BIGINT" if value >= 0 else "NULL::BIGINT"


def _each(values: Sequence[str]) -> str:
    """Return the SQL of a value that each file has."""
    if len(set(values)) == 1:
        return values[0]
    return f"[{', '.join(values)}][r.file_index::BIGINT + 1]"
