"""Manifest lists and manifests entry by entry, with all that they say of files, for those who look at metadata.

This module must not know SQL, Arrow or how data files are read. Nothing is kept: see ``manifests`` for scans.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DATA_FILE_TYPE,
    MANIFEST_LIST_FILE_SCHEMAS,
    ManifestContent,
    ManifestEntryStatus,
    ManifestFile,
    PartitionFieldSummary,
)
from pyiceberg.table.snapshots import Snapshot

from scoter.catalog.avro import DAMAGE, MOST_BYTES, Row, opened, rows
from scoter.catalog.fetching import Check, awaited, unchecked
from scoter.errors import CorruptData

_AHEAD = 8  # manifests that are fetched before they are decoded
DELETED = int(ManifestEntryStatus.DELETED)
_NUMBER, _TEXT, _BYTES, _LIST = (
    frozenset(names.split()) for names in ("int long", "string", "bytes", "array")
)
# Of what types the fields of manifests and of lists of them may be: all that reads their values relies on it.
_LIST_TYPES = {
    **dict.fromkeys((501, 502, 503, 504, 505, 506, 512, 513, 514, 515, 516, 517, 520), _NUMBER),
    500: _TEXT,
    507: _LIST,
    509: frozenset({"boolean"}),
    518: frozenset({"boolean"}),
    **dict.fromkeys((510, 511, 519), _BYTES),
}
ENTRY_TYPES = {
    **dict.fromkeys((0, 1, 3, 4, 103, 104, 133, 134, 136, 140, 142, 144, 145), _NUMBER),
    **dict.fromkeys((117, 118, 119, 120, 121, 122, 126, 129, 138, 139), _NUMBER),
    **dict.fromkeys((100, 101, 143), _TEXT),
    **dict.fromkeys((127, 130, 131), _BYTES),
    **dict.fromkeys((108, 109, 110, 125, 128, 132, 135, 137), _LIST),
    **dict.fromkeys((2, 102), frozenset({"record"})),
}
_STATUSES = frozenset(map(int, ManifestEntryStatus))
_SUMMARY = ("f509", "f518", "f510", "f511")
ADDED = int(ManifestEntryStatus.ADDED)
_FIRST_ROW_ID = 15  # of a manifest, as format version 3 lists it

_FILE = {field.name: field for field in DATA_FILE_TYPE[3].fields}
FILE_FIELDS = tuple(_FILE)
# Fields by their ids as https://iceberg.apache.org/spec/#manifests numbers them.
STATUS, SNAPSHOT, SEQUENCE, FILE_SEQUENCE, FILE, PARTITION = "f0", "f1", "f3", "f4", "f2", "f102"
PARTITION_PATH = (2, 102)


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
        file = opened(fetched(snapshot.manifest_list, io), _LIST_TYPES)
        return [_manifest(row) for some in rows(file) for row in some]
    except DAMAGE as error:
        raise CorruptData(
            f"the manifest list of snapshot {snapshot.snapshot_id} can not be read",
            hint="a metadata file of the table is missing or damaged",
        ) from error


def fetched(location: str, io: FileIO) -> bytes:
    """Return a file's bytes; raises one of DAMAGE where it can not be read or is too long."""
    with io.new_input(location).open() as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError("the file has more bytes than can be read")
    return content


def _manifest(row: Row) -> ManifestFile:
    values = []
    for field in MANIFEST_LIST_FILE_SCHEMAS[3].fields:
        value = row.get(f"f{field.field_id}", field.initial_default)
        match field.name:
            case "manifest_path" | "manifest_length" | "partition_spec_id" if value is None:
                raise ValueError(f"a manifest without {field.name}")
            case "content":
                value = ManifestContent(value or 0)
            case "partitions" if value is not None:
                value = [PartitionFieldSummary(*map(one.get, _SUMMARY)) for one in value]
        values.append(value)
    return ManifestFile(*values)


def entries(
    manifests: Iterable[ManifestFile],
    io: FileIO,
    wanted: frozenset[str],
    check: Check = unchecked,
    *,
    deleted: bool = False,
) -> Iterator[Entries]:
    """Yield the entries of manifests, some at a time, with the ``wanted`` fields of data files.

    Entries of files that are gone are left out unless ``deleted``. ``check`` is called before each yield and while
    a manifest is waited for, and may raise. Raises CorruptData.
    """
    waiting: deque[tuple[ManifestFile, Future[bytes]]] = deque()
    source = iter(manifests)
    pool = ThreadPoolExecutor(_AHEAD)
    try:
        while True:
            for manifest in islice(source, _AHEAD - len(waiting)):
                waiting.append((manifest, pool.submit(fetched, manifest.manifest_path, io)))
            if not waiting:
                return
            manifest, content = waiting.popleft()
            for some in _decoded(manifest, awaited(content, check), wanted, deleted=deleted):
                check()
                yield some
    except DAMAGE as error:
        raise CorruptData(
            "a manifest of the table can not be read",
            hint="a metadata file of the table is missing or damaged",
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decoded(
    manifest: ManifestFile, content: bytes, wanted: frozenset[str], *, deleted: bool
) -> Iterator[Entries]:
    names = wanted & _FILE.keys()
    unused = (_FILE[name].field_id for name in _FILE.keys() - names)
    file = opened(content, ENTRY_TYPES, frozenset(unused))
    ids = file.fields(*PARTITION_PATH)
    row_ids = RowIds(manifest)
    if "first_row_id" in names:
        names |= {"record_count"}
    for some in rows(file):
        there = live_of([row[STATUS] for row in some])
        live = some if deleted else [some[number] for number in there]
        if live:
            yield _columns(manifest, live, names, ids, row_ids)


def live_of(statuses: Sequence[int]) -> list[int]:
    """Return which entries are of files that are there; raises ValueError for a status that there is not."""
    if not set(statuses) <= _STATUSES:
        raise ValueError("an entry of a status that is not known")
    return [number for number, status in enumerate(statuses) if status != DELETED]


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


def sequence_of(status: int, own: int | None, manifest: ManifestFile) -> int | None:
    """Return the sequence number of an entry, its manifest's where it inherits it, None where it has none."""
    # Before format version 2 all are 0.
    inherits = status == ADDED or manifest.sequence_number == 0
    return manifest.sequence_number if own is None and inherits else own


def _columns(
    manifest: ManifestFile, live: list[Row], wanted: frozenset[str], ids: list[int], row_ids: RowIds
) -> Entries:
    files = [row[FILE] for row in live]

    def facts(name: str) -> list[Any]:
        field = _FILE[name]
        key, absent = f"f{field.field_id}", field.initial_default
        return [file.get(key, absent) for file in files]

    status = [row[STATUS] for row in live]
    snapshots = [row.get(SNAPSHOT) for row in live]
    columns: dict[str, list[Any]] = {
        "status": status,
        "snapshot_id": [manifest.added_snapshot_id if one is None else one for one in snapshots],
        "sequence_number": [sequence_of(row[STATUS], row.get(SEQUENCE), manifest) for row in live],
        "file_sequence_number": [sequence_of(row[STATUS], row.get(FILE_SEQUENCE), manifest) for row in live],
    }
    columns |= {name: facts(name) for name in wanted}
    if "first_row_id" in wanted:
        written = zip(status, columns["first_row_id"], columns["record_count"], strict=True)
        columns["first_row_id"] = [row_ids.of(*one) for one in written]
    partitions = {number: [file[PARTITION][f"f{number}"] for file in files] for number in ids}
    return Entries(manifest, len(live), columns, partitions)
