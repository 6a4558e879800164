"""Decodes a manifest into columns of data files.

This module must not know snapshots, SQL or predicates. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestContent, ManifestFile

from scoter.catalog.avro import Row, opened, rows
from scoter.catalog.data_files import UNKNOWN, ColumnFacts, DataFiles, DeleteFile, DeleteKind, blank, objects
from scoter.catalog.entries import (
    ENTRY_TYPES,
    FILE,
    PARTITION,
    PARTITION_PATH,
    SNAPSHOT,
    STATUS,
    RowIds,
    fetched,
    live_of,
    sequence_of,
)
from scoter.catalog.fetching import Check

# Fields of a data file by their ids as https://iceberg.apache.org/spec/#data-file-fields numbers them.
_CONTENT, _PATH, _FORMAT, _ROWS, _BYTES = "f134", "f100", "f101", "f103", "f104"
_NULLS, _NANS, _LOWER, _UPPER = "f110", "f137", "f125", "f128"
_UNUSED = frozenset({108, 109})  # sizes and counts of columns
_EQUALITY, _FIRST_ROW, _REFERS_TO, _OFFSET = "f135", "f142", "f143", "f144"


def decode(manifest: ManifestFile, io: FileIO, real: Callable[[str], str], check: Check) -> DataFiles:
    """Return the live files of a manifest and its deletes; ``real`` tells where a file is read from.

    Raises what ``check`` raises between rows, and one of DAMAGE for what is no manifest.
    """
    file = opened(fetched(manifest.manifest_path, io), ENTRY_TYPES, _UNUSED)
    row_ids = RowIds(manifest)
    live: list[Row] = []
    for some in rows(file):
        check()
        live += live_of(some)
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
    return (manifest.added_snapshot_id if own is None else own) or UNKNOWN


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
    if None in locations:
        raise ValueError("a file without a path")
    return DataFiles(
        paths=objects(map(real, locations), count),
        formats=objects(map(_format, files), count),
        rows=np.fromiter((file[_ROWS] for file in files), np.int64, count),
        bytes=np.fromiter((file[_BYTES] for file in files), np.int64, count),
        spec_ids=np.full(count, spec_id, np.int64),
        sequences=np.fromiter((_sequence(row, manifest) for row in live), np.int64, count),
        added=np.fromiter((_added(row, manifest) for row in live), np.int64, count),
        first_rows=np.fromiter(
            (UNKNOWN if file[_FIRST_ROW] is None else file[_FIRST_ROW] for file in files), np.int64, count
        ),
        locations=objects(locations, count),
        partitions={spec_id: tuple(objects((one[f"f{i}"] for one in values), count) for i in partition)}
        if files
        else {},
        facts=_facts(files),
        deletes=deletes,
    )


def _facts(files: Sequence[Row]) -> dict[int, ColumnFacts]:
    count = len(files)
    lower = _by_column([file.get(_LOWER) or {} for file in files], None)
    upper = _by_column([file.get(_UPPER) or {} for file in files], None)
    nulls = _by_column([file.get(_NULLS) or {} for file in files], UNKNOWN)
    nans = _by_column([file.get(_NANS) or {} for file in files], UNKNOWN)
    unknown = blank(count)
    return {
        i: ColumnFacts(
            lower=objects(lower[i], count) if i in lower else unknown.lower,
            upper=objects(upper[i], count) if i in upper else unknown.upper,
            nulls=np.array(nulls[i], np.int64) if i in nulls else unknown.nulls,
            nans=np.array(nans[i], np.int64) if i in nans else unknown.nans,
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
