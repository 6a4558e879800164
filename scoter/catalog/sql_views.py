"""Views of an SQL catalog: rows of the table that holds the tables, marked VIEW, each with a metadata file.

Iceberg's own JDBC catalog keeps views in the same way. Tables and views share the primary key, so that
the database lets one of two writers have a name. This module must not know what a view's text means.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping

import sqlalchemy as sa
from pydantic import ValidationError
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.serializers import Compressor
from pyiceberg.view.metadata import ViewHistoryEntry, ViewMetadata, ViewVersion

from scoter.catalog.attached import TamedSql
from scoter.catalog.lookup import Found
from scoter.catalog.metadata_files import parsed
from scoter.catalog.metastore import retrying
from scoter.catalog.names import TableName
from scoter.catalog.translation import translated
from scoter.errors import CorruptData

_ROWS = sa.table(
    "iceberg_tables",
    sa.column("catalog_name"),
    sa.column("table_namespace"),
    sa.column("table_name"),
    sa.column("metadata_location"),
    sa.column("previous_metadata_location"),
    sa.column("iceberg_type"),
)
_KEPT = 10  # versions of a view, as Iceberg's own default has it
_MOST = 16 * 1024 * 1024  # bytes of a view's metadata


def metadata_at(io: FileIO, location: str) -> ViewMetadata:
    """Return the view metadata in a file; raises CorruptData, NotSupported for types too deep, FileNotFoundError."""
    file = io.new_input(location)
    if len(file) > _MOST:
        raise CorruptData(f"the metadata of a view has more than {_MOST:,} bytes")
    with file.open() as stream:
        data = Compressor.get_compressor(location).stream_decompressor(stream).read(_MOST)
    try:
        return ViewMetadata.model_validate(parsed(data))
    except (ValidationError, ValueError) as error:
        raise CorruptData("the metadata of a view is damaged or of a kind that can not be read") from error


class SqlViews:
    """The views of one SQL catalog."""

    def __init__(self, attached: TamedSql, io: Callable[[str], FileIO]) -> None:
        self._attached = attached
        self._io = io

    def create(
        self, name: TableName, schema: Schema, version: ViewVersion, properties: Mapping[str, str]
    ) -> None:
        """Make a view; raises DuplicateTable where another writer made a table or view of the name meanwhile."""
        warehouse = self._attached.properties["warehouse"].rstrip("/")
        metadata = ViewMetadata.model_validate(
            {
                "view-uuid": str(uuid.uuid4()),
                "format-version": 1,
                "location": f"{warehouse}/{name.schema}/{name.name}-{uuid.uuid4()}",
                "schemas": [schema],
                "current-version-id": version.version_id,
                "versions": [version],
                "version-log": [_entry(version)],
                "properties": dict(properties),
            }
        )
        location = self._write(metadata, 0)
        row = {
            "catalog_name": name.catalog,
            "table_namespace": name.schema,
            "table_name": name.name,
            "metadata_location": location,
            "iceberg_type": "VIEW",
        }
        with translated(f"view {name}"):
            self._execute(sa.insert(_ROWS).values(row))

    def replace(
        self, found: Found, schema: Schema | None, version: ViewVersion | None, properties: Mapping[str, str]
    ) -> bool:
        """Give a view its next version, where there is one, and its properties.

        Return False when another writer came first; nothing was then changed.
        """
        known = metadata_at(self._io(found.location), found.location)
        kept = {k: v for k, v in known.properties.items() if k != "comment"} | dict(properties)
        changes: dict[str, object] = {"properties": kept}
        if schema is not None and version is not None:
            schema_id = max((one.schema_id for one in known.schemas), default=-1) + 1
            number = max((one.version_id for one in known.versions), default=0) + 1
            added = version.model_copy(
                update={"version_id": number, "schema_id": schema_id, "timestamp_ms": int(time.time() * 1000)}
            )
            versions = [*known.versions, added][-_KEPT:]
            used = {one.schema_id for one in versions}
            fresh = Schema(*schema.fields, schema_id=schema_id)
            changes |= {
                "schemas": [one for one in (*known.schemas, fresh) if one.schema_id in used],
                "current_version_id": number,
                "versions": versions,
                "version_log": [*known.version_log, _entry(added)][-_KEPT:],
            }
        location = self._write(known.model_copy(update=changes), len(known.version_log))
        return self._execute(
            sa.update(_ROWS)
            .where(*self._row(found))
            .values(metadata_location=location, previous_metadata_location=found.location)
        )

    def rename(self, found: Found, name: TableName) -> bool:
        """Rename a view and return whether it was still there; raises DuplicateTable."""
        with translated(f"view {name}"):
            return self._execute(
                sa.update(_ROWS)
                .where(*self._row(found))
                .values(table_namespace=name.schema, table_name=name.name)
            )

    def drop(self, found: Found) -> bool:
        """Take a view away and return whether it was still there; its files stay."""
        # Whatever its version is: the view goes, not what was read of it.
        return self._execute(sa.delete(_ROWS).where(*self._row(found)[:-1]))

    def _row(self, found: Found) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            _ROWS.c.catalog_name == found.name.catalog,
            _ROWS.c.table_namespace == found.name.schema,
            _ROWS.c.table_name == found.name.name,
            _ROWS.c.iceberg_type == "VIEW",
            _ROWS.c.metadata_location == found.location,
        )

    def _write(self, metadata: ViewMetadata, number: int) -> str:
        location = f"{metadata.location}/metadata/{number:05d}-{uuid.uuid4()}.metadata.json"
        with self._io(location).new_output(location).create() as stream:
            stream.write(metadata.model_dump_json().encode())
        return location

    def _execute(self, statement: sa.Insert | sa.Update | sa.Delete) -> bool:
        def work() -> bool:
            with self._attached.engine.begin() as connection:
                return connection.execute(statement).rowcount > 0

        return retrying(work, translate=False)


def _entry(version: ViewVersion) -> ViewHistoryEntry:
    return ViewHistoryEntry.model_validate(
        {"timestamp-ms": version.timestamp_ms, "version-id": version.version_id}
    )
