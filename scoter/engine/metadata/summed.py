"""What metadata tables sum up: partitions over their files, manifests over their entries.

This module must not know names of tables or statements.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestContent, ManifestFile, PartitionFieldSummary
from pyiceberg.partitioning import PartitionField
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import PrimitiveType

from scoter.catalog.entries import entries
from scoter.catalog.fetching import Check
from scoter.engine.metadata.partitions import result_type, united
from scoter.engine.metadata.values import partition_values
from scoter.engine.scanning.deletes import partition_key
from scoter.errors import CorruptData

_PARTITION_FACTS = frozenset({"content", "record_count", "file_size_in_bytes"})
_KINDS = {
    int(DataFileContent.POSITION_DELETES): "position_delete",
    int(DataFileContent.EQUALITY_DELETES): "equality_delete",
}


@dataclass
class _Partition:
    """A partition's values and what its files sum up to."""

    values: tuple[Any, ...]
    spec_id: int = 0
    sums: dict[str, int] = field(default_factory=dict)
    updated: tuple[int, int] | None = None

    def add(self, name: str, number: int) -> None:
        self.sums[name] = self.sums.get(name, 0) + number

    def fact(self, name: str) -> Any:
        match name:
            case "spec_id":
                return self.spec_id
            case "last_updated_at":
                return None if self.updated is None else datetime.fromtimestamp(self.updated[0] / 1000, UTC)
            case "last_updated_snapshot_id":
                return None if self.updated is None else self.updated[1]
        return self.sums.get(name, 0)


def partitions(
    manifests: Iterable[ManifestFile], io: FileIO, metadata: TableMetadata, schema: pa.Schema, check: Check
) -> pa.RecordBatch:
    """Return a row for each partition with files in ``manifests``, with the columns of ``schema``.

    Deletes are counted and not applied. Raises CorruptData, and what ``check`` raises while manifests are read.
    """
    fields = united(metadata)
    committed = {one.snapshot_id: one.timestamp_ms for one in metadata.snapshots}
    found: dict[tuple[Any, ...], _Partition] = {}
    for some in entries(manifests, io, _PARTITION_FACTS, check):
        nothing = [None] * some.count
        tuples = zip(*(some.partitions.get(one.field_id, nothing) for one in fields), strict=True)
        facts = zip(
            tuples if fields else [()] * some.count,
            some.columns["content"],
            some.columns["record_count"],
            some.columns["file_size_in_bytes"],
            some.columns["snapshot_id"],
            strict=True,
        )
        for values, content, rows, size, snapshot_id in facts:
            one = found.setdefault(partition_key(values), _Partition(values))
            one.spec_id = some.manifest.partition_spec_id
            _sum_up(one, int(content), rows, size)
            at = committed.get(snapshot_id)
            if at is not None and (one.updated is None or at > one.updated[0]):
                one.updated = (at, snapshot_id)
    rows_of = list(found.values())

    def array(column: pa.Field) -> pa.Array:
        if column.name != "partition":
            return pa.array([one.fact(column.name) for one in rows_of], column.type)
        columns = [
            partition_values([one.values[place] for one in rows_of], part.kind)
            for place, part in enumerate(fields)
        ]
        return pa.StructArray.from_arrays(columns, fields=list(column.type))

    return pa.RecordBatch.from_arrays([array(column) for column in schema], schema=schema)


def _sum_up(one: _Partition, content: int, rows: int, size: int) -> None:
    kind = _KINDS.get(content)
    if kind is not None:
        one.add(f"{kind}_record_count", rows)
        one.add(f"{kind}_file_count", 1)
        return
    one.add("record_count", rows)
    one.add("file_count", 1)
    one.add("total_data_file_size_in_bytes", size)


def manifest_rows(manifests: Iterable[ManifestFile], metadata: TableMetadata) -> Iterator[dict[str, Any]]:
    """Yield what a manifest list says of each manifest; bounds of partitions are texts. Raises CorruptData."""
    specs = metadata.specs()
    kinds = {
        (spec.spec_id, part.field_id): result_type(part, metadata)
        for spec in specs.values()
        for part in spec.fields
    }
    for one in manifests:
        spec = specs.get(one.partition_spec_id)
        if spec is None:
            raise CorruptData(
                f"a manifest names the partition spec {one.partition_spec_id}, which is not there"
            )
        counts = (one.added_files_count, one.existing_files_count, one.deleted_files_count)
        deletes = one.content == ManifestContent.DELETES
        pairs = list(zip(("added", "existing", "deleted"), counts, strict=True))
        summaries = one.partitions
        yield {
            "content": int(one.content),
            "path": one.manifest_path,
            "length": one.manifest_length,
            "partition_spec_id": one.partition_spec_id,
            "added_snapshot_id": one.added_snapshot_id,
            **{f"{name}_data_files_count": 0 if deletes else count for name, count in pairs},
            **{f"{name}_delete_files_count": count if deletes else 0 for name, count in pairs},
            "partition_summaries": None
            if summaries is None
            else [
                _summary(summary, part, kinds[spec.spec_id, part.field_id])
                for summary, part in zip(summaries, spec.fields, strict=False)
            ],
            "key_metadata": one.key_metadata,
        }


def _summary(summary: PartitionFieldSummary, part: PartitionField, kind: Any) -> dict[str, Any]:
    def text(bound: bytes | None) -> str | None:
        if bound is None or not isinstance(kind, PrimitiveType):
            return None
        try:
            return part.transform.to_human_string(kind, from_bytes(kind, bound))
        except (ValueError, TypeError, OverflowError, struct.error) as error:
            raise CorruptData(f"a bound of partition field {part.name} is no value of type {kind}") from error

    return {
        "contains_null": summary.contains_null,
        "contains_nan": summary.contains_nan,
        "lower_bound": text(summary.lower_bound),
        "upper_bound": text(summary.upper_bound),
    }
