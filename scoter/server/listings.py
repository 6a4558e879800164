"""The metadata commands: for each, the schema of its answer and its rows.

This module must not know of sessions, tickets or who asks.
"""

from __future__ import annotations

from collections.abc import Generator

import pyarrow as pa

from scoter.catalog.lake import Lake
from scoter.errors import NotSupported
from scoter.server import metadata
from scoter.server.flightsql import info, schemas, typeinfo
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.flightsql.commands import Command


def schema_of(command: Command) -> pa.Schema:
    """Return the schema of the answer to a metadata command; raises NotSupported for any other."""
    match command:
        case m.CommandGetSqlInfo():
            return info.schema()
        case m.CommandGetXdbcTypeInfo():
            return schemas.TYPE_INFO
        case m.CommandGetCatalogs():
            return schemas.CATALOGS
        case m.CommandGetDbSchemas():
            return schemas.DB_SCHEMAS
        case m.CommandGetTables():
            return schemas.TABLES_WITH_SCHEMA if command.include_schema else schemas.TABLES
        case m.CommandGetTableTypes():
            return schemas.TABLE_TYPES
        case m.CommandGetPrimaryKeys():
            return schemas.PRIMARY_KEYS
        case m.CommandGetExportedKeys() | m.CommandGetImportedKeys() | m.CommandGetCrossReference():
            return schemas.FOREIGN_KEYS
        case _:
            raise NotSupported(f"{command.DESCRIPTOR.name} can not be used there")


def rows_of(command: Command, lake: Lake, limits: info.Limits) -> Generator[pa.RecordBatch]:
    """Yield the rows that answer a metadata command."""
    match command:
        case m.CommandGetSqlInfo():
            yield from info.table(command.info, limits).to_batches()
        case m.CommandGetXdbcTypeInfo():
            code = command.data_type if command.HasField("data_type") else None
            yield from typeinfo.table(code).to_batches()
        case m.CommandGetCatalogs():
            yield from metadata.catalogs(lake).to_batches()
        case m.CommandGetDbSchemas():
            yield from metadata.db_schemas(lake, command).to_batches()
        case m.CommandGetTables():
            yield from metadata.tables(lake, command)
        case m.CommandGetTableTypes():
            yield from metadata.table_types().to_batches()
        case _:
            # Iceberg tables have no keys.
            return
