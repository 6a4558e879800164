"""Manifest lists and manifests entry by entry, with all that they say of files, for those who look at metadata.

This module must not know SQL, Arrow or how data files are read. Nothing is kept: see ``manifests`` for scans.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any

from pyiceberg.avro.file import AvroFile
from pyiceberg.exceptions import ResolveError
from pyiceberg.io import FileIO, InputFile, InputStream
from pyiceberg.manifest import (
    DATA_FILE_TYPE,
    MANIFEST_ENTRY_SCHEMAS,
    MANIFEST_LIST_FILE_SCHEMAS,
    ManifestContent,
    ManifestEntryStatus,
    ManifestFile,
    PartitionFieldSummary,
)
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.typedef import Record
from pyiceberg.types import StructType

from scoter.catalog.avro import read_doubles_exactly
from scoter.errors import CorruptData

read_doubles_exactly()

CHUNK = 2048  # entries that are held as Python objects at a time
_AHEAD = 8  # manifests that are fetched before they are decoded
DELETED = int(ManifestEntryStatus.DELETED)
_ADDED = int(ManifestEntryStatus.ADDED)
_PARTITION = 102
_FIRST_ROW_ID = 15  # of a manifest, as format version 3 lists it
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, IndexError, ResolveError, zlib.error)

FILE_FIELDS = tuple(field.name for field in DATA_FILE_TYPE[3].fields)
_PLACES = {name: place for place, name in enumerate(FILE_FIELDS)}


@dataclass(frozen=True, eq=False)
class Entries:
    """Some entries of one manifest, column by column.

    ``columns`` has a list for each of status, snapshot_id, sequence_number, file_sequence_number and the wanted
    fields of data files; what an entry inherits from its manifest is filled in. ``partitions`` has the
    values of partition fields by field id.
    """

    manifest: ManifestFile
    count: int
    columns: dict[str, list[Any]]
    partitions: dict[int, list[Any]]


def listed(snapshot: Snapshot, io: FileIO) -> list[ManifestFile]:
    """Return the manifests of a snapshot as its manifest list has them; raises CorruptData."""
    if not snapshot.manifest_list:
        raise CorruptData(f"snapshot {snapshot.snapshot_id} has no manifest list")
    try:
        with AvroFile[ManifestFile](
            io.new_input(snapshot.manifest_list),
            MANIFEST_LIST_FILE_SCHEMAS[3],
            read_types={-1: ManifestFile, 508: PartitionFieldSummary},
            read_enums={517: ManifestContent},
        ) as reader:
            return list(reader)
    except _DAMAGE as error:
        raise CorruptData(
            f"the manifest list of snapshot {snapshot.snapshot_id} can not be read",
            hint="a metadata file of the table is missing or damaged",
        ) from error


def entries(
    manifests: Iterable[ManifestFile], io: FileIO, wanted: frozenset[str], *, deleted: bool = False
) -> Iterator[Entries]:
    """Yield the entries of manifests, some at a time, with the ``wanted`` fields of data files.

    Entries of files that are gone are left out unless ``deleted``. Raises CorruptData.
    """
    waiting: deque[tuple[ManifestFile, Future[bytes]]] = deque()
    source = iter(manifests)
    with ThreadPoolExecutor(_AHEAD) as pool:
        try:
            while True:
                for manifest in islice(source, _AHEAD - len(waiting)):
                    waiting.append((manifest, pool.submit(_fetched, manifest, io)))
                if not waiting:
                    return
                manifest, content = waiting.popleft()
                yield from _decoded(manifest, content, wanted, deleted=deleted)
        except _DAMAGE as error:
            raise CorruptData(
                "a manifest of the table can not be read",
                hint="a metadata file of the table is missing or damaged",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _fetched(manifest: ManifestFile, io: FileIO) -> bytes:
    with io.new_input(manifest.manifest_path).open() as stream:
        return stream.read()


class _Fetched(InputFile):
    """A manifest whose bytes are there."""

    def __init__(self, location: str, content: bytes) -> None:
        super().__init__(location)
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def exists(self) -> bool:
        return True

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002  # pyiceberg's signature
        return BytesIO(self._content)


def _decoded(
    manifest: ManifestFile, content: Future[bytes], wanted: frozenset[str], *, deleted: bool
) -> Iterator[Entries]:
    file = _Fetched(manifest.manifest_path, content.result())
    with AvroFile[Record](file, MANIFEST_ENTRY_SCHEMAS[3]) as reader:
        ids = _partition_ids(reader.schema)
        row_ids = RowIds(manifest)
        # pyiceberg's reader goes on behind its end where it is asked once more.
        source = (row for row in reader)
        while rows := list(islice(source, CHUNK)):
            live = [row for row in rows if deleted or row[0] != DELETED]
            if live:
                yield _columns(manifest, live, wanted, ids, row_ids)


class RowIds:
    """Hands out the row ids that the live files of a manifest inherit, in the order of its entries.

    https://iceberg.apache.org/spec/#first-row-id-inheritance
    """

    def __init__(self, manifest: ManifestFile) -> None:
        known = len(manifest) > _FIRST_ROW_ID and manifest[_FIRST_ROW_ID] is not None
        self.first = int(manifest[_FIRST_ROW_ID]) if known else None
        self._next = self.first

    def of(self, status: int, written: int | None, rows: int) -> int | None:
        """Return the id of a file's first row; None where there is none."""
        if self._next is None:
            return None
        if written is not None or status == DELETED:
            return written
        given = self._next
        self._next += rows
        return given


def _partition_ids(schema: Schema) -> list[int]:
    kind = schema.find_field(_PARTITION).field_type
    return [field.field_id for field in kind.fields] if isinstance(kind, StructType) else []


def _columns(
    manifest: ManifestFile, rows: list[Record], wanted: frozenset[str], ids: list[int], row_ids: RowIds
) -> Entries:
    inherited = manifest.sequence_number
    status = [int(row[0]) for row in rows]
    # A file that was added has its manifest's numbers; before format version 2 all are 0.
    given = [inherited if one == _ADDED or inherited == 0 else None for one in status]
    files = [row[4] for row in rows]

    def facts(name: str) -> list[Any]:
        place = _PLACES[name]
        return [file[place] for file in files]

    columns: dict[str, list[Any]] = {
        "status": status,
        "snapshot_id": [manifest.added_snapshot_id if row[1] is None else row[1] for row in rows],
        "sequence_number": [own if row[2] is None else row[2] for row, own in zip(rows, given, strict=True)],
        "file_sequence_number": [
            own if row[3] is None else row[3] for row, own in zip(rows, given, strict=True)
        ],
    }
    columns |= {name: facts(name) for name in wanted if name in _PLACES}
    if "first_row_id" in wanted:
        written = zip(status, facts("first_row_id"), facts("record_count"), strict=True)
        columns["first_row_id"] = [row_ids.of(*one) for one in written]
    partitions = facts("partition")
    return Entries(
        manifest,
        len(rows),
        columns,
        {number: [values[i] for values in partitions] for i, number in enumerate(ids)},
    )
