"""The data files of a snapshot as columns: each manifest is decoded once and kept by its path.

This module must not know SQL, predicates or how data files are read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestContent, ManifestFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from scoter.catalog.avro import DAMAGE, Row, opened, rows
from scoter.catalog.entries import (
    DELETED,
    FILE,
    PARTITION,
    PARTITION_PATH,
    SNAPSHOT,
    STATUS,
    RowIds,
    fetched,
    sequence_of,
)
from scoter.catalog.entries import listed as manifests_of
from scoter.catalog.fetching import Check, each, unchecked
from scoter.catalog.reach import is_local
from scoter.errors import CorruptData, NotSupported, UndefinedSnapshot

Ints = NDArray[np.int64]
Objects = NDArray[np.object_]

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
_UNKNOWN = -1
# Fields of a data file by their ids as https://iceberg.apache.org/spec/#data-file-fields numbers them.
_CONTENT, _PATH, _FORMAT, _ROWS, _BYTES = "f134", "f100", "f101", "f103", "f104"
_NULLS, _NANS, _LOWER, _UPPER = "f110", "f137", "f125", "f128"
_UNUSED = frozenset({108, 109})  # sizes and counts of columns
_EQUALITY, _FIRST_ROW, _REFERS_TO, _OFFSET = "f135", "f142", "f143", "f144"
_PARALLEL_MANIFESTS = 8
_Key = tuple[str, int | None]  # a manifest's path and the id of its first row


class Recent(Generic[_K, _V]):
    """A thread-safe map that keeps what was used last, up to ``capacity`` in units of ``weigh``."""

    def __init__(self, capacity: int, weigh: Callable[[_V], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._held = 0
        self._items: OrderedDict[_K, _V] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: _K) -> _V | None:
        """Return the value of ``key`` and mark it as used, or None."""
        with self._lock:
            value = self._items.get(key)
            if value is not None:
                self._items.move_to_end(key)
            return value

    def put(self, key: _K, value: _V) -> None:
        """Keep ``value`` and drop what was used longest ago; the newest is always kept."""
        with self._lock:
            old = self._items.pop(key, None)
            self._held += self._weigh(value) - (self._weigh(old) if old is not None else 0)
            self._items[key] = value
            while self._held > self._capacity and len(self._items) > 1:
                _, gone = self._items.popitem(last=False)
                self._held -= self._weigh(gone)


class DeleteKind(StrEnum):
    """How a delete file names the rows that it removes."""

    POSITION = "position deletes"
    EQUALITY = "equality deletes"
    VECTOR = "deletion vectors"


@dataclass(frozen=True)
class DeleteFile:
    """One file of deletes of the snapshot, or one deletion vector of a file.

    It applies to older data: of its own partition, or of the one data file that it refers to. Equality
    deletes name the fields whose values are compared. A vector lies at ``offset`` in its file. ``misplaced``
    is one that a manifest of data files holds.
    """

    path: str
    kind: DeleteKind
    rows: int
    format: str = "PARQUET"
    sequence: int = 0
    spec_id: int = 0
    partition: tuple[Any, ...] = ()
    fields: tuple[int, ...] = ()
    refers_to: str | None = None
    offset: int | None = None
    misplaced: bool = False


@dataclass(frozen=True)
class ColumnFacts:
    """What manifests say of one column: an entry a data file; bounds are Iceberg's bytes or None.

    ``nulls`` and ``nans`` are -1 where the writer did not count them.
    """

    lower: Objects
    upper: Objects
    nulls: Ints
    nans: Ints


@dataclass(frozen=True, eq=False)
class DataFiles:
    """The live files of one snapshot, column by column; every array has one entry a data file.

    ``partitions`` maps a spec id to the values of its partition fields in spec order, each an array
    of as many entries, None where the value is NULL or the file has another spec. ``added`` are the
    snapshots that added the files, ``first_rows`` the ids of their first rows, -1 where there is none, ``locations``
    where the metadata says that they are. ``facts`` maps a field id to what is known of the column. ``derived`` is room for readers to keep what they
    computed from these immutable facts.
    """

    paths: Objects
    formats: Objects
    rows: Ints
    bytes: Ints
    spec_ids: Ints
    sequences: Ints
    added: Ints
    first_rows: Ints
    locations: Objects
    partitions: dict[int, tuple[Objects, ...]]
    facts: dict[int, ColumnFacts]
    deletes: tuple[DeleteFile, ...] = ()
    derived: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.paths)


class Manifests:
    """Data files by snapshot; decoded manifests are shared between snapshots and tables."""

    def __init__(
        self,
        io_for: Callable[[TableMetadata], FileIO],
        *,
        real: Callable[[str], str] = str,
        cached_files: int = 1_000_000,
        snapshots: int = 256,
    ) -> None:
        """Open files with ``io_for``; keep the facts of up to ``cached_files`` data files.

        ``real`` tells where a data file that a manifest names is read from.
        """
        self.io_for = io_for
        self.real = real
        self._manifests: Recent[_Key, DataFiles] = Recent(cached_files, weigh=lambda files: 1 + len(files))
        self._snapshots: Recent[str, DataFiles] = Recent(snapshots)

    def files(self, metadata: TableMetadata, snapshot_id: int | None, check: Check = unchecked) -> DataFiles:
        """Return the data files of a snapshot, the current one for None; none for a table without one.

        ``check`` is called while manifests are read, and may raise. Raises UndefinedSnapshot for an unknown id, CorruptData for metadata that can not be read.
        """
        snapshot = (
            metadata.current_snapshot() if snapshot_id is None else metadata.snapshot_by_id(snapshot_id)
        )
        if snapshot is None:
            if snapshot_id is not None:
                raise UndefinedSnapshot(f"the table has no snapshot {snapshot_id}")
            return _EMPTY
        key = snapshot.manifest_list
        if not key:
            raise CorruptData(f"snapshot {snapshot.snapshot_id} has no manifest list")
        found = self._snapshots.get(key)
        if found is None:
            found = self._read(snapshot, self.io_for(metadata), check)
            self._snapshots.put(key, found)
        return found

    def added(self, metadata: TableMetadata, snapshot_id: int, check: Check = unchecked) -> DataFiles:
        """Return the data files that a snapshot added.

        Raises NotSupported where it removed rows too, else as ``files``.
        """
        snapshot = metadata.snapshot_by_id(snapshot_id)
        if snapshot is None:
            raise UndefinedSnapshot(f"the table has no snapshot {snapshot_id}")
        key = f"{snapshot.manifest_list} {snapshot_id}"
        found = self._snapshots.get(key)
        if found is None:
            found = self._read(snapshot, self.io_for(metadata), check, added=True)
            found = _some(found, found.added == snapshot_id)
            self._snapshots.put(key, found)
        return found

    def _read(self, snapshot: Snapshot, io: FileIO, check: Check, *, added: bool = False) -> DataFiles:
        try:
            (listed,) = each(lambda one: manifests_of(one, io), [snapshot], 1, check)
            if added:
                listed = [m for m in listed if m.added_snapshot_id == snapshot.snapshot_id]
                _check_adds(listed, snapshot)
            listed = [m for m in listed if m.has_added_files() or m.has_existing_files()]
            looked = {_key(m): self._manifests.get(_key(m)) for m in listed}
            kept = {key: files for key, files in looked.items() if files is not None}
            missing = [m for m in listed if _key(m) not in kept]
            # Of files at hand the decoding is all the work, and Python's lock lets one thread do it at a time.
            local = all(is_local(self.real(m.manifest_path)) for m in missing)
            threads = 1 if local else _PARALLEL_MANIFESTS
            for m, files in zip(
                missing,
                each(lambda m: _decode(m, io, self.real, check), missing, threads, check),
                strict=True,
            ):
                self._manifests.put(_key(m), files)
                kept[_key(m)] = files
        except DAMAGE as error:
            raise CorruptData(
                f"the manifests of snapshot {snapshot.snapshot_id} can not be read",
                hint="a metadata file of the table is missing or damaged",
            ) from error
        whole = [kept[_key(m)] for m in listed]
        return whole[0] if len(whole) == 1 else _concatenate(whole)


def _key(manifest: ManifestFile) -> _Key:
    """Return what a manifest is kept by: a list of format version 3 may number the rows of an older one."""
    return manifest.manifest_path, RowIds(manifest).first


def _check_adds(own: Sequence[ManifestFile], snapshot: Snapshot) -> None:
    """Raise NotSupported where the manifests that a snapshot wrote say that it removed rows."""
    for manifest in own:
        deletes = manifest.content == ManifestContent.DELETES and manifest.has_added_files()
        if deletes or (manifest.deleted_files_count or 0) > 0:
            raise NotSupported(
                f"snapshot {snapshot.snapshot_id} removed rows; only added rows can be read",
                hint="read the parts before and behind it",
            )


def _some(files: DataFiles, mask: NDArray[np.bool_]) -> DataFiles:
    """Return the files where ``mask`` is true, without deletes."""
    return DataFiles(
        paths=files.paths[mask],
        formats=files.formats[mask],
        rows=files.rows[mask],
        bytes=files.bytes[mask],
        spec_ids=files.spec_ids[mask],
        sequences=files.sequences[mask],
        added=files.added[mask],
        first_rows=files.first_rows[mask],
        locations=files.locations[mask],
        partitions={
            spec: tuple(values[mask] for values in fields) for spec, fields in files.partitions.items()
        },
        facts={
            i: ColumnFacts(known.lower[mask], known.upper[mask], known.nulls[mask], known.nans[mask])
            for i, known in files.facts.items()
        },
    )


def _objects(values: Iterable[Any], count: int) -> Objects:
    array: Objects = np.empty(count, dtype=object)
    array[:] = list(values)
    return array


def _decode(manifest: ManifestFile, io: FileIO, real: Callable[[str], str], check: Check) -> DataFiles:
    file = opened(fetched(manifest.manifest_path, io), _UNUSED)
    row_ids = RowIds(manifest)
    live: list[Row] = []
    for some in rows(file):
        check()
        live += [row for row in some if row[STATUS] != DELETED]
    for row in live:
        own = row[FILE]
        own[_FIRST_ROW] = row_ids.of(row[STATUS], own.get(_FIRST_ROW), own[_ROWS])
    # Some writers put delete files into data manifests; taken for data, they would add rows.
    data = [row for row in live if row[FILE].get(_CONTENT, DataFileContent.DATA) == DataFileContent.DATA]
    deletes: tuple[DeleteFile, ...] = ()
    if len(data) < len(live):
        found = (row for row in live if row[FILE].get(_CONTENT, DataFileContent.DATA) != DataFileContent.DATA)
        deletes = tuple(_delete(row, manifest, real) for row in found)
    return _columns(data, manifest, file.fields(*PARTITION_PATH), deletes, real)


def _delete(row: Row, manifest: ManifestFile, real: Callable[[str], str]) -> DeleteFile:
    file = row[FILE]
    placed = manifest.content == ManifestContent.DELETES
    kind = _kind(file)
    refers_to, offset = (file.get(_REFERS_TO), file.get(_OFFSET)) if placed else (None, None)
    if kind == DeleteKind.EQUALITY and placed and not file.get(_EQUALITY):
        raise ValueError("equality deletes without fields")
    if kind == DeleteKind.VECTOR and placed and (refers_to is None or offset is None):
        raise ValueError("a deletion vector without a data file or a place")
    return DeleteFile(
        real(file[_PATH]),
        kind,
        file[_ROWS],
        _format(file),
        _sequence(row, manifest),
        manifest.partition_spec_id,
        tuple(file[PARTITION].values()),
        tuple(sorted(file.get(_EQUALITY) or ())),
        None if refers_to is None else real(refers_to),
        offset,
        misplaced=not placed,
    )


def _sequence(row: Row, manifest: ManifestFile) -> int:
    number = sequence_of(row, manifest)
    if number is None:
        raise ValueError("a file that was not added has no sequence number")
    return number


def _added(row: Row, manifest: ManifestFile) -> int:
    own = row.get(SNAPSHOT)
    return (manifest.added_snapshot_id if own is None else own) or _UNKNOWN


def _format(file: Row) -> str:
    return str(file[_FORMAT]).upper()


def _kind(file: Row) -> DeleteKind:
    match file[_CONTENT]:
        case DataFileContent.EQUALITY_DELETES:
            return DeleteKind.EQUALITY
        case DataFileContent.POSITION_DELETES:
            return DeleteKind.VECTOR if _format(file) == "PUFFIN" else DeleteKind.POSITION
    raise ValueError("a file of a kind that is not known")


def _columns(
    live: Sequence[Row],
    manifest: ManifestFile,
    partition: Sequence[int],
    deletes: tuple[DeleteFile, ...],
    real: Callable[[str], str],
) -> DataFiles:
    files = [row[FILE] for row in live]
    count = len(files)
    if any(file[_ROWS] < 0 or file[_BYTES] < 0 for file in files):
        raise ValueError("a file has fewer than no rows or bytes")
    spec_id = manifest.partition_spec_id
    values = [file[PARTITION] for file in files]
    locations = [file[_PATH] for file in files]
    return DataFiles(
        paths=_objects(map(real, locations), count),
        formats=_objects(map(_format, files), count),
        rows=np.fromiter((file[_ROWS] for file in files), np.int64, count),
        bytes=np.fromiter((file[_BYTES] for file in files), np.int64, count),
        spec_ids=np.full(count, spec_id, np.int64),
        sequences=np.fromiter((_sequence(row, manifest) for row in live), np.int64, count),
        added=np.fromiter((_added(row, manifest) for row in live), np.int64, count),
        first_rows=np.fromiter(
            (_UNKNOWN if file[_FIRST_ROW] is None else file[_FIRST_ROW] for file in files), np.int64, count
        ),
        locations=_objects(locations, count),
        partitions={spec_id: tuple(_objects((one[f"f{i}"] for one in values), count) for i in partition)}
        if files
        else {},
        facts=_facts(files),
        deletes=deletes,
    )


def _facts(files: Sequence[Row]) -> dict[int, ColumnFacts]:
    count = len(files)
    lower = _by_column([file.get(_LOWER) or {} for file in files], None)
    upper = _by_column([file.get(_UPPER) or {} for file in files], None)
    nulls = _by_column([file.get(_NULLS) or {} for file in files], _UNKNOWN)
    nans = _by_column([file.get(_NANS) or {} for file in files], _UNKNOWN)
    blank = _blank(count)
    return {
        i: ColumnFacts(
            lower=_objects(lower[i], count) if i in lower else blank.lower,
            upper=_objects(upper[i], count) if i in upper else blank.upper,
            nulls=np.array(nulls[i], np.int64) if i in nulls else blank.nulls,
            nans=np.array(nans[i], np.int64) if i in nans else blank.nans,
        )
        for i in sorted({*lower, *upper, *nulls, *nans})
    }


def _by_column(maps: Sequence[Mapping[int, Any]], absent: Any) -> dict[int, Sequence[Any]]:
    """Return for every column id what the maps of all files say of it."""
    ids = tuple(maps[0]) if maps else ()
    if all(tuple(known) == ids for known in maps):
        # Nearly every writer says the same of all files; Python's own loops then do the work.
        return dict(zip(ids, zip(*(known.values() for known in maps), strict=True), strict=True))
    return {i: [known.get(i, absent) for known in maps] for i in {i for known in maps for i in known}}


def _concatenate(parts: Sequence[DataFiles]) -> DataFiles:
    if not parts:
        return _EMPTY
    ids = sorted({i for p in parts for i in p.facts})
    widths = {spec: len(fields) for p in parts for spec, fields in p.partitions.items()}
    blank = {len(p): _blank(len(p)) for p in parts}

    def gathered(spec: int, position: int) -> Objects:
        return np.concatenate(
            [p.partitions[spec][position] if spec in p.partitions else blank[len(p)].lower for p in parts]
        )

    return DataFiles(
        paths=np.concatenate([p.paths for p in parts]),
        formats=np.concatenate([p.formats for p in parts]),
        rows=np.concatenate([p.rows for p in parts]),
        bytes=np.concatenate([p.bytes for p in parts]),
        spec_ids=np.concatenate([p.spec_ids for p in parts]),
        sequences=np.concatenate([p.sequences for p in parts]),
        added=np.concatenate([p.added for p in parts]),
        first_rows=np.concatenate([p.first_rows for p in parts]),
        locations=np.concatenate([p.locations for p in parts]),
        partitions={
            spec: tuple(gathered(spec, position) for position in range(width))
            for spec, width in widths.items()
        },
        facts={i: _joined([p.facts.get(i, blank[len(p)]) for p in parts]) for i in ids},
        deletes=tuple(d for p in parts for d in p.deletes),
    )


def _joined(parts: Sequence[ColumnFacts]) -> ColumnFacts:
    return ColumnFacts(
        lower=np.concatenate([p.lower for p in parts]),
        upper=np.concatenate([p.upper for p in parts]),
        nulls=np.concatenate([p.nulls for p in parts]),
        nans=np.concatenate([p.nans for p in parts]),
    )


def _blank(count: int) -> ColumnFacts:
    nothing: Objects = np.full(count, None, dtype=object)
    unknown: Ints = np.full(count, _UNKNOWN, np.int64)
    return ColumnFacts(nothing, nothing, unknown, unknown)


_NONE: Objects = np.empty(0, object)
_NO_NUMBERS: Ints = np.empty(0, np.int64)
_EMPTY = DataFiles(
    paths=_NONE,
    formats=_NONE,
    rows=_NO_NUMBERS,
    bytes=_NO_NUMBERS,
    spec_ids=_NO_NUMBERS,
    sequences=_NO_NUMBERS,
    added=_NO_NUMBERS,
    first_rows=_NO_NUMBERS,
    locations=_NONE,
    partitions={},
    facts={},
)
