"""The rows of Scoter's own tables, as Arrow.

This module must not know SQL or how the rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyiceberg.table.metadata import TableMetadata

from scoter.catalog.fetching import Check
from scoter.catalog.lake import Lake
from scoter.catalog.listing import Listing
from scoter.catalog.models import Models
from scoter.catalog.names import TableName
from scoter.catalog.views import View, ViewColumn, load_view
from scoter.engine.arriving import Arriving
from scoter.engine.binding import data_type
from scoter.engine.metadata.rows import About
from scoter.engine.resolved import Source
from scoter.engine.system_tables import system_rows
from scoter.engine.types import listed_type, spelled, wire_type
from scoter.engine.virtual import VIRTUAL_SCHEMAS, VirtualTable, virtual_tables
from scoter.errors import InternalError, ScoterError

Facts = dict[str, Any]
_UTF8: Facts = {"character_set_name": "UTF8", "character_repertoire": "UCS", "form_of_use": "UTF8"}


def virtual_rows(source: Source, lake: Lake, models: Models, check: Check) -> pa.Table | Arriving:
    """Return the rows of a virtual table as they are now, or of a table's metadata as pinned.

    What ``check`` raises ends a listing.
    """
    lake = lake.ended_by(check)
    table = source.virtual
    if table is None:
        raise InternalError(f"{source.name} is not a virtual table")
    if source.metadata is not None and source.metadata_location is not None and source.schema is not None:
        io = lake.io(source.metadata)
        about = About(source.metadata, source.metadata_location, source.snapshot_id, source.schema, io)
        return about.rows(table)
    match (table.schema, table.name):
        case ("information_schema", "schemata"):
            rows = _rows(table, _schemata(lake))
        case ("information_schema", "tables"):
            rows = _rows(table, _tables(lake, Listing(lake, check)))
        case ("information_schema", "columns"):
            rows = _rows(table, _columns(lake, Listing(lake, check)))
        case ("information_schema", "views"):
            rows = _rows(table, _views(lake, Listing(lake, check)))
        case ("information_schema", "character_sets"):
            rows = _rows(table, iter([_UTF8]))
        case ("information_schema", _):
            rows = iter(())  # there are no keys or checks
        case ("system", _):
            rows = system_rows(table.name, models)
        case _:
            raise InternalError(f"{table.schema}.{table.name} has no rows")
    return arrow_table(table.columns, rows)


def arrow_table(
    columns: tuple[tuple[str, str], ...], rows: Iterator[tuple[Any, ...]] | list[Any]
) -> pa.Table:
    """Return metadata rows (tens to thousands of tuples) as an Arrow table of the given DuckDB types."""
    schema = pa.schema([pa.field(name, wire_type(data_type(kind))) for name, kind in columns])
    listed = list(rows)
    arrays = [pa.array([row[i] for row in listed], type=field.type) for i, field in enumerate(schema)]
    return pa.Table.from_arrays(arrays, schema=schema)


def all_tables(lake: Lake, listing: Listing) -> Iterator[tuple[TableName, TableMetadata | None]]:
    """Yield every Iceberg table of every catalog, None for one whose metadata can not be read."""
    names = [
        TableName(catalog, schema, name)
        for catalog in lake.catalogs()
        for schema in lake.schemas(catalog)
        for name in lake.tables(catalog, schema)
    ]
    for asked, found in listing.look_up(names).items():
        if isinstance(found, ScoterError) or not found.is_view:
            read = listing.read(found, lambda one: lake.metadata(one.location))
            yield asked, None if isinstance(read, ScoterError) else read


def all_views(lake: Lake, listing: Listing) -> Iterator[tuple[TableName, View | None]]:
    """Yield every view of every catalog, None for one whose metadata can not be read."""
    names = [
        TableName(catalog, schema, name)
        for catalog in lake.catalogs()
        for schema in lake.schemas(catalog)
        for name in lake.views(catalog, schema)
    ]
    for asked, found in listing.look_up(names).items():
        if isinstance(found, ScoterError) or found.is_view:
            read = listing.read(found, lambda one: load_view(lake, one))
            yield asked, None if isinstance(read, ScoterError) else read


def view_type(column: ViewColumn) -> str:
    """Return the type of a view's column where views are listed."""
    return listed_type(column.kind) if column.text is None else spelled(column.text)


def _rows(table: VirtualTable, facts: Iterator[Facts]) -> Iterator[tuple[Any, ...]]:
    """Yield facts as rows; a column of which nothing is known is NULL."""
    for one in facts:
        yield tuple(one.get(column) for column, _ in table.columns)


def _schemata(lake: Lake) -> Iterator[Facts]:
    for catalog in lake.catalogs():
        for schema in [*lake.schemas(catalog), *sorted(VIRTUAL_SCHEMAS)]:
            yield {"catalog_name": catalog, "schema_name": schema}


def _tables(lake: Lake, listing: Listing) -> Iterator[Facts]:
    for name, metadata in all_tables(lake, listing):
        yield {
            **_named(name),
            "table_type": "BASE TABLE",
            "is_insertable_into": "YES",
            "is_typed": "NO",
            "table_comment": metadata.properties.get("comment") if metadata else None,
        }
    for name, view in all_views(lake, listing):
        yield {
            **_named(name),
            "table_type": "VIEW",
            "is_insertable_into": "NO",
            "is_typed": "NO",
            "table_comment": view.comment if view else None,
        }
    for name, _ in _own_tables(lake):
        yield {**_named(name), "table_type": "VIEW", "is_insertable_into": "NO", "is_typed": "NO"}


def _columns(lake: Lake, listing: Listing) -> Iterator[Facts]:
    for name, metadata in all_tables(lake, listing):
        for position, field in enumerate(metadata.schema().fields if metadata else (), start=1):
            kind = listed_type(field.field_type)
            yield {
                **_column(name, position, field.name, kind),
                "is_nullable": "NO" if field.required else "YES",
                "column_comment": field.doc,
            }
    for name, view in all_views(lake, listing):
        for position, one in enumerate(view.columns if view else (), start=1):
            yield {**_column(name, position, one.name, view_type(one)), "column_comment": one.comment}
    for name, table in _own_tables(lake):
        for position, (column, kind) in enumerate(table.columns, start=1):
            yield _column(name, position, column, kind)


def _views(lake: Lake, listing: Listing) -> Iterator[Facts]:
    never = dict.fromkeys(
        ("is_updatable", "is_insertable_into", "is_trigger_updatable", "is_trigger_deletable"), "NO"
    )
    for name, view in all_views(lake, listing):
        yield {
            **_named(name),
            "view_definition": view.sql if view else None,
            "check_option": "NONE",
            **never,
            "is_trigger_insertable_into": "NO",
        }


def _own_tables(lake: Lake) -> Iterator[tuple[TableName, VirtualTable]]:
    for catalog in lake.catalogs():
        for table in virtual_tables():
            yield TableName(catalog, table.schema, table.name), table


def _named(name: TableName) -> Facts:
    return {"table_catalog": name.catalog, "table_schema": name.schema, "table_name": name.name}


def _column(name: TableName, position: int, column: str, kind: str) -> Facts:
    return {
        **_named(name),
        "column_name": column,
        "ordinal_position": position,
        "is_nullable": "YES",
        "data_type": kind,
        **_numbers(kind),
        "is_self_referencing": "NO",
        "is_identity": "NO",
        "is_generated": "NEVER",
        "is_updatable": "NO",
    }


def _numbers(kind: str) -> Facts:
    """Return precision, radix and scale of a DuckDB type, as DuckDB gives them, or its datetime precision."""
    if kind.endswith("]"):
        return {}
    binary = {"INTEGER": 32, "BIGINT": 64, "FLOAT": 24, "DOUBLE": 53}
    if kind in binary:
        return {"numeric_precision": binary[kind], "numeric_precision_radix": 2, "numeric_scale": 0}
    if kind.startswith("DECIMAL("):
        precision, scale = kind[8:-1].split(",")
        return {
            "numeric_precision": int(precision),
            "numeric_precision_radix": 10,
            "numeric_scale": int(scale),
        }
    if kind.startswith("TIME"):
        return {"datetime_precision": 9 if kind.endswith("_NS") else 6}
    return {"datetime_precision": 0} if kind == "DATE" else {}
