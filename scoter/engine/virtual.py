"""Tables that Scoter makes itself: information_schema, system, and a table's snapshots.

This module must not know how a statement reads them, only their columns.
"""

from __future__ import annotations

from dataclasses import dataclass

VIRTUAL_SCHEMAS = frozenset({"information_schema", "system"})


@dataclass(frozen=True)
class VirtualTable:
    """A table's name and its (column, DuckDB type) pairs."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]


SNAPSHOTS = VirtualTable(
    "",
    "snapshots",
    (
        ("committed_at", "TIMESTAMPTZ"),
        ("snapshot_id", "BIGINT"),
        ("parent_id", "BIGINT"),
        ("operation", "VARCHAR"),
        ("manifest_list", "VARCHAR"),
        ("summary", "MAP(VARCHAR, VARCHAR)"),
    ),
)

_TABLES = (
    VirtualTable(
        "information_schema",
        "schemata",
        (
            ("catalog_name", "VARCHAR"),
            ("schema_name", "VARCHAR"),
            ("schema_owner", "VARCHAR"),
            ("default_character_set_catalog", "VARCHAR"),
            ("default_character_set_schema", "VARCHAR"),
            ("default_character_set_name", "VARCHAR"),
            ("sql_path", "VARCHAR"),
        ),
    ),
    VirtualTable(
        "information_schema",
        "tables",
        (
            ("table_catalog", "VARCHAR"),
            ("table_schema", "VARCHAR"),
            ("table_name", "VARCHAR"),
            ("table_type", "VARCHAR"),
            ("self_referencing_column_name", "VARCHAR"),
            ("reference_generation", "VARCHAR"),
            ("user_defined_type_catalog", "VARCHAR"),
            ("user_defined_type_schema", "VARCHAR"),
            ("user_defined_type_name", "VARCHAR"),
            ("is_insertable_into", "VARCHAR"),
            ("is_typed", "VARCHAR"),
            ("commit_action", "VARCHAR"),
            ("table_comment", "VARCHAR"),
        ),
    ),
    VirtualTable(
        "information_schema",
        "columns",
        (
            ("table_catalog", "VARCHAR"),
            ("table_schema", "VARCHAR"),
            ("table_name", "VARCHAR"),
            ("column_name", "VARCHAR"),
            ("ordinal_position", "INTEGER"),
            ("column_default", "VARCHAR"),
            ("is_nullable", "VARCHAR"),
            ("data_type", "VARCHAR"),
            ("character_maximum_length", "INTEGER"),
            ("character_octet_length", "INTEGER"),
            ("numeric_precision", "INTEGER"),
            ("numeric_precision_radix", "INTEGER"),
            ("numeric_scale", "INTEGER"),
            ("datetime_precision", "INTEGER"),
            ("column_comment", "VARCHAR"),
        ),
    ),
    VirtualTable(
        "system",
        "models",
        (
            ("schema_name", "VARCHAR"),
            ("model_name", "VARCHAR"),
            ("version", "INTEGER"),
            ("is_default", "BOOLEAN"),
            ("aliases", "VARCHAR[]"),
            ("inputs", "VARCHAR"),
            ("outputs", "VARCHAR"),
            ("sha256", "VARCHAR"),
            ("bytes", "BIGINT"),
            ("source", "VARCHAR"),
            ("created_at", "TIMESTAMPTZ"),
            ("created_by", "VARCHAR"),
        ),
    ),
)

_BY_NAME = {(t.schema, t.name): t for t in _TABLES}


def virtual_table(schema: str, name: str) -> VirtualTable | None:
    """Return the virtual table of that name, or None."""
    return _BY_NAME.get((schema.casefold(), name.casefold()))


def virtual_tables() -> tuple[VirtualTable, ...]:
    """Return every table of the virtual schemas."""
    return _TABLES
