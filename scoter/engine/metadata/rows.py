"""The rows of a table's metadata tables, as Arrow.

This module must not know statements or how the rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from scoter.catalog.entries import listed
from scoter.catalog.fetching import Check, each
from scoter.engine.arriving import Arriving
from scoter.engine.binding import data_type
from scoter.engine.metadata.files import Files
from scoter.engine.metadata.summed import manifest_rows, partitions
from scoter.engine.types import wire_type
from scoter.engine.virtual import VirtualTable
from scoter.errors import InternalError

_ROWS = 2048
Facts = dict[str, Any]


class About:
    """One table whose metadata is asked for, at one snapshot where that matters."""

    def __init__(
        self,
        metadata: TableMetadata,
        location: str,
        snapshot_id: int | None,
        read: Schema,
        io: FileIO,
    ) -> None:
        """Tell of ``metadata``, which stands at ``location``; ``read`` is the schema of the table's rows."""
        self._metadata = metadata
        self._location = location
        self._snapshot = None if snapshot_id is None else metadata.snapshot_by_id(snapshot_id)
        self._read = read
        self._io = io

    def rows(self, table: VirtualTable) -> Arriving:
        """Return the rows of a metadata table with the columns that it is given with.

        Reading them raises CorruptData for metadata files that are missing or damaged.
        """
        schema = pa.schema([pa.field(name, wire_type(data_type(kind))) for name, kind in table.columns])
        return Arriving(schema, lambda check: self._batches(table.name, schema, check))

    def _batches(self, name: str, schema: pa.Schema, check: Check) -> Iterator[pa.RecordBatch]:
        manifests = self._manifests(name, check)
        match name:
            case "files" | "all_files":
                return self._files(schema, manifests, check)
            case "data_files" | "all_data_files":
                return self._files(schema, _of(ManifestContent.DATA, manifests), check)
            case "delete_files" | "all_delete_files":
                return self._files(schema, _of(ManifestContent.DELETES, manifests), check)
            case "entries" | "all_entries":
                made = Files(self._metadata, self._read, schema, deleted=True)
                return made.batches(manifests, self._io, check)
            case "partitions":
                return iter([partitions(manifests, self._io, self._metadata, schema, check)])
            case "manifests" | "all_manifests":
                return _in_batches(self._manifest_facts(name, check), schema)
        return _in_batches(self._facts(name), schema)

    def _files(
        self, schema: pa.Schema, manifests: Iterator[ManifestFile], check: Check
    ) -> Iterator[pa.RecordBatch]:
        live = (one for one in manifests if one.has_added_files() or one.has_existing_files())
        return Files(self._metadata, self._read, schema, deleted=False).batches(live, self._io, check)

    def _manifests(self, name: str, check: Check) -> Iterator[ManifestFile]:
        """Yield the manifests of the snapshot, or for a table of all snapshots each of theirs once."""
        seen: set[str] = set()
        for _, manifests in self._lists(name, check):
            for one in manifests:
                if one.manifest_path not in seen:
                    seen.add(one.manifest_path)
                    yield one

    def _snapshots(self, name: str) -> list[Snapshot]:
        if name.startswith("all_"):
            return self._metadata.snapshots
        return [] if self._snapshot is None else [self._snapshot]

    def _lists(self, name: str, check: Check) -> Iterator[tuple[Snapshot, list[ManifestFile]]]:
        for snapshot in self._snapshots(name):
            (manifests,) = each(lambda one: listed(one, self._io), [snapshot], 1, check)
            yield snapshot, manifests

    def _manifest_facts(self, name: str, check: Check) -> Iterator[Facts]:
        for snapshot, manifests in self._lists(name, check):
            for one in manifest_rows(manifests, self._metadata):
                yield {**one, "reference_snapshot_id": snapshot.snapshot_id}

    def _facts(self, name: str) -> Iterator[Facts]:
        match name:
            case "snapshots":
                return map(_snapshot, self._metadata.snapshots)
            case "history":
                return self._history()
            case "refs":
                return self._refs()
            case "metadata_log_entries":
                return self._log()
            case "properties":
                return ({"key": key, "value": value} for key, value in self._metadata.properties.items())
        raise InternalError(f"the metadata table {name} has no rows")

    def _history(self) -> Iterator[Facts]:
        current = {one.snapshot_id for one in ancestors_of(self._metadata.current_snapshot(), self._metadata)}
        for entry in self._metadata.snapshot_log:
            snapshot = self._metadata.snapshot_by_id(entry.snapshot_id)
            yield {
                "made_current_at": _instant(entry.timestamp_ms),
                "snapshot_id": entry.snapshot_id,
                "parent_id": snapshot.parent_snapshot_id if snapshot else None,
                "is_current_ancestor": entry.snapshot_id in current,
            }

    def _refs(self) -> Iterator[Facts]:
        for name, ref in self._metadata.refs.items():
            yield {
                "name": name,
                "type": str(ref.snapshot_ref_type).upper(),
                "snapshot_id": ref.snapshot_id,
                "max_reference_age_in_ms": ref.max_ref_age_ms,
                "min_snapshots_to_keep": ref.min_snapshots_to_keep,
                "max_snapshot_age_in_ms": ref.max_snapshot_age_ms,
            }

    def _log(self) -> Iterator[Facts]:
        before = [(one.timestamp_ms, one.metadata_file) for one in self._metadata.metadata_log]
        for at, file in [*before, (self._metadata.last_updated_ms, self._location)]:
            made = [one.snapshot_id for one in self._metadata.snapshot_log if one.timestamp_ms <= at]
            snapshot = self._metadata.snapshot_by_id(made[-1]) if made else None
            yield {
                "timestamp": _instant(at),
                "file": file,
                "latest_snapshot_id": made[-1] if made else None,
                "latest_schema_id": snapshot.schema_id if snapshot else None,
                "latest_sequence_number": snapshot.sequence_number if snapshot else None,
            }


def _snapshot(snapshot: Snapshot) -> Facts:
    summary = snapshot.summary
    return {
        "committed_at": _instant(snapshot.timestamp_ms),
        "snapshot_id": snapshot.snapshot_id,
        "parent_id": snapshot.parent_snapshot_id,
        "operation": summary.operation.value if summary else None,
        "manifest_list": snapshot.manifest_list,
        "summary": list(summary.additional_properties.items()) if summary else None,
    }


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _of(content: ManifestContent, manifests: Iterator[ManifestFile]) -> Iterator[ManifestFile]:
    return (one for one in manifests if one.content == content)


def _in_batches(facts: Iterator[Facts], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while some := list(islice(facts, _ROWS)):
        arrays = [pa.array([one[field.name] for one in some], field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
