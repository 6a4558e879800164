"""The rows of Scoter's own tables, as Arrow.

This module must not know SQL or how the rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema

from scoter.catalog.lake import Lake
from scoter.catalog.models import Models
from scoter.catalog.names import TableName
from scoter.engine.binding import data_type
from scoter.engine.resolve import Source
from scoter.engine.types import shown_type, wire_type
from scoter.engine.virtual import VIRTUAL_SCHEMAS, VirtualTable, virtual_tables
from scoter.errors import InternalError
from scoter.udfs.signature import Signature


def virtual_rows(source: Source, lake: Lake, models: Models) -> pa.Table:
    """Return the rows of a virtual table as they are now, or of a table's snapshots as pinned."""
    table = source.virtual
    if table is None:
        raise InternalError(f"{source.name} is not a virtual table")
    match (table.schema, table.name):
        case ("", "snapshots"):
            rows = _snapshots(source)
        case ("information_schema", "schemata"):
            rows = _schemata(lake)
        case ("information_schema", "tables"):
            rows = _tables(lake)
        case ("information_schema", "columns"):
            rows = _columns(lake)
        case ("system", "models"):
            rows = _models(models)
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


def all_tables(lake: Lake) -> Iterator[TableName]:
    """Yield the name of every Iceberg table of every catalog."""
    for catalog in lake.catalogs():
        for schema in lake.schemas(catalog):
            for name in lake.tables(catalog, schema):
                yield TableName(catalog, schema, name)


def table_schema(lake: Lake, pointers: dict[TableName, str], name: TableName) -> Schema | None:
    """Return the current schema of a table, or None when it has been dropped meanwhile."""
    location = pointers.get(name)
    return lake.metadata(location).schema() if location else None


def _snapshots(source: Source) -> Iterator[tuple[Any, ...]]:
    if source.metadata is None:
        raise InternalError(f"{source.name} has no metadata")
    for snapshot in source.metadata.snapshots:
        summary = snapshot.summary
        yield (
            datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
            snapshot.snapshot_id,
            snapshot.parent_snapshot_id,
            summary.operation.value if summary else None,
            snapshot.manifest_list,
            list(summary.additional_properties.items()) if summary else None,
        )


def _schemata(lake: Lake) -> Iterator[tuple[Any, ...]]:
    for catalog in lake.catalogs():
        for schema in [*lake.schemas(catalog), *sorted(VIRTUAL_SCHEMAS)]:
            yield (catalog, schema, None, None, None, None, None)


def _tables(lake: Lake) -> Iterator[tuple[Any, ...]]:
    names = list(all_tables(lake))
    pointers = lake.pointers(names)
    for name in names:
        if name not in pointers:
            continue
        comment = lake.metadata(pointers[name]).properties.get("comment")
        yield (name.catalog, name.schema, name.name, "BASE TABLE", *[None] * 5, "YES", "NO", None, comment)
    for table in virtual_tables():
        yield (lake.default_catalog, table.schema, table.name, "VIEW", *[None] * 5, "NO", "NO", None, None)


def _columns(lake: Lake) -> Iterator[tuple[Any, ...]]:
    names = list(all_tables(lake))
    pointers = lake.pointers(names)
    for name in names:
        schema = table_schema(lake, pointers, name)
        for position, field in enumerate(schema.fields if schema else (), start=1):
            kind = shown_type(field.field_type)
            yield (
                name.catalog,
                name.schema,
                name.name,
                field.name,
                position,
                None,
                "NO" if field.required else "YES",
                kind,
                *_numbers(kind),
                field.doc,
            )
    for table in virtual_tables():
        yield from _virtual_columns(lake.default_catalog, table)


def _virtual_columns(catalog: str, table: VirtualTable) -> Iterator[tuple[Any, ...]]:
    for position, (name, kind) in enumerate(table.columns, start=1):
        yield (
            catalog,
            table.schema,
            table.name,
            name,
            position,
            None,
            "YES",
            kind,
            *_numbers(kind),
            None,
        )


def _numbers(kind: str) -> tuple[int | None, ...]:
    """Return length, octets, precision, radix, scale and datetime precision of a DuckDB type."""
    binary = {"INTEGER": 32, "BIGINT": 64, "FLOAT": 24, "DOUBLE": 53}
    if kind in binary:
        return (None, None, binary[kind], 2, 0 if kind in {"INTEGER", "BIGINT"} else None, None)
    if kind.startswith("DECIMAL("):
        precision, scale = kind[8:-1].split(",")
        return (None, None, int(precision), 10, int(scale), None)
    if kind.startswith("TIME"):
        return (None, None, None, None, None, 9 if kind.endswith("_NS") else 6)
    return (None,) * 6


def _models(models: Models) -> Iterator[tuple[Any, ...]]:
    for version in models.list():
        signature = Signature.from_json(version.signature)
        yield (
            version.model.schema,
            version.model.name,
            version.version,
            version.is_default,
            list(version.aliases),
            ", ".join(f"{i.name} {i.type}" for i in signature.inputs),
            ", ".join(f"{o.name} {o.type}" for o in signature.outputs),
            version.sha256,
            version.size,
            version.source,
            version.created_at,
            version.created_by,
        )
