"""Writes delete files as other engines do: position deletes, deletion vectors, equality deletes, and their manifests.

This module must not know how they are read.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.avro.file import AvroOutputFile
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestWriterV2,
)
from pyiceberg.table import Table, Transaction
from pyiceberg.typedef import Record
from pyroaring import BitMap


class _DeletesWriter(ManifestWriterV2):
    """A manifest of deletes with the fields that format version 3 has."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def version(self) -> int:
        return 3

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}

    def new_writer(self) -> AvroOutputFile[ManifestEntry]:
        fields = self._with_partition(3)
        return AvroOutputFile(self._output_file, fields, "manifest_entry", fields, self._meta)


def commit_deletes(table: Table, *files: DataFile) -> None:
    """Commit delete files, all of one partition spec, in one snapshot."""
    with table.transaction() as transaction:
        append_deletes(transaction, table, *files)


def append_deletes(transaction: Transaction, table: Table, *files: DataFile) -> None:
    """Add a snapshot with delete files, all of one partition spec, to what a transaction will commit."""
    own = table.specs()[files[0].spec_id]
    with transaction.update_snapshot().fast_append() as append:
        append.new_manifest_writer = lambda spec: _DeletesWriter(  # noqa: ARG005  # pyiceberg gives the current spec by name
            own, table.schema(), append.new_manifest_output(), append.snapshot_id, append._compression
        )
        # pyiceberg names partitions by the current spec, and fails at tuples of another one.
        counted = append._summary
        append._summary = lambda properties: _without_partitions(append, lambda: counted(properties))
        for file in files:
            append.append_data_file(file)


def _without_partitions(append: Any, count: Callable[[], Any]) -> Any:
    files = append._added_data_files
    append._added_data_files = [
        DataFile.from_args(
            content=file.content,
            record_count=file.record_count,
            file_size_in_bytes=file.file_size_in_bytes,
            partition=Record(),
        )
        for file in files
    ]
    try:
        return count()
    finally:
        append._added_data_files = files


def delete_file(
    table: Table,
    path: Path,
    rows: int,
    content: DataFileContent = DataFileContent.POSITION_DELETES,
    location: str | None = None,
    **facts: Any,
) -> DataFile:
    """Return the entry of one delete file that stands at ``path``, and a copy of it at ``location``, if given.

    It is of the current spec, or of ``spec_id``.
    """
    spec_id = facts.pop("spec_id", table.spec().spec_id)
    file = DataFile.from_args(
        _table_format_version=3,
        content=content,
        file_path=location or f"file://{path}",
        file_format=facts.pop("kind", FileFormat.PARQUET),
        partition=Record(*facts.pop("partition", ())),
        record_count=rows,
        file_size_in_bytes=path.stat().st_size,
        **facts,
    )
    file.spec_id = spec_id
    return file


def write_positions(path: Path, rows: Sequence[tuple[str | None, int | None]]) -> Path:
    """Write position deletes as rows of a data file's path and a position."""
    columns = [pa.array([p for p, _ in rows], pa.string()), pa.array([n for _, n in rows], pa.int64())]
    pq.write_table(pa.table(columns, ["file_path", "pos"]), path)
    return path


def write_vectors(path: Path, vectors: Mapping[str, Sequence[int]], *, spoil: bool = False) -> dict[str, int]:
    """Write a Puffin file with a deletion vector for each data file; return where each lies."""
    body, blobs = b"PFA1", []
    for referred, positions in vectors.items():
        high = sorted({position >> 32 for position in positions})
        bitmaps = b"".join(
            struct.pack("<I", key) + BitMap([p & 0xFFFFFFFF for p in positions if p >> 32 == key]).serialize()
            for key in high
        )
        vector = b"\xd1\xd3\x39\x64" + struct.pack("<q", len(high)) + bitmaps
        checksum = zlib.crc32(vector) ^ (1 if spoil else 0)
        blob = struct.pack(">i", len(vector)) + vector + struct.pack(">I", checksum)
        blobs.append(
            {
                "type": "deletion-vector-v1",
                "fields": [],
                "snapshot-id": -1,
                "sequence-number": -1,
                "offset": len(body),
                "length": len(blob),
                "properties": {"referenced-data-file": referred, "cardinality": str(len(positions))},
            }
        )
        body += blob
    footer = json.dumps({"blobs": blobs}).encode()
    body += b"PFA1" + footer + struct.pack("<i", len(footer)) + b"\0\0\0\0" + b"PFA1"
    path.write_bytes(body)
    return {blob["properties"]["referenced-data-file"]: blob["offset"] for blob in blobs}


def vector_file(table: Table, path: Path, rows: int, referred: str, offset: int, **facts: Any) -> DataFile:
    """Return the entry of one deletion vector."""
    return delete_file(
        table,
        path,
        rows,
        kind=FileFormat.PUFFIN,
        referenced_data_file=referred,
        content_offset=offset,
        content_size_in_bytes=1,
        **facts,
    )
