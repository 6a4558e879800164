"""Tables that Scoter makes itself: information_schema and system.

This module must not know how a statement reads them, only their columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from scoter.engine import information_schema, system_tables

VIRTUAL_SCHEMAS = frozenset({"information_schema", "system"})


@dataclass(frozen=True)
class VirtualTable:
    """A table's name and its (column, DuckDB type) pairs."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]


_TABLES = (
    *(
        VirtualTable("information_schema", name, columns)
        for name, columns in information_schema.TABLES.items()
    ),
    *(VirtualTable("system", name, columns) for name, columns in system_tables.TABLES.items()),
)

_BY_NAME = {(t.schema, t.name): t for t in _TABLES}


def virtual_table(schema: str, name: str) -> VirtualTable | None:
    """Return the virtual table of that name, or None."""
    return _BY_NAME.get((schema.casefold(), name.casefold()))


def virtual_tables() -> tuple[VirtualTable, ...]:
    """Return every table of the virtual schemas."""
    return _TABLES
