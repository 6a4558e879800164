"""Decodes a manifest into columns of data files.

This module must not know snapshots, SQL or predicates. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestContent, ManifestFile

from scoter.catalog.avro import opened
from scoter.catalog.avro_columns import Columns, read
from scoter.catalog.data_files import DataFiles, DeleteFile, DeleteKind, Facts, ManifestFacts, objects
from scoter.catalog.entries import (
    ENTRY_TYPES,
    FILE,
    PARTITION,
    PARTITION_PATH,
    SEQUENCE,
    SNAPSHOT,
    STATUS,
    RowIds,
    fetched,
    live_of,
    sequence_of,
)
from scoter.catalog.fetching import Check
from scoter.catalog.pairs import UNKNOWN, Ints

# Fields of a data file by their ids as https://iceberg.apache.org/spec/#data-file-fields numbers them.
_CONTENT, _PATH, _FORMAT, _ROWS, _BYTES = "f134", "f100", "f101", "f103", "f104"
_NULLS, _NANS, _LOWER, _UPPER = "f110", "f137", "f125", "f128"
_UNUSED = ("f108", "f109")  # sizes and counts of columns
_EQUALITY, _FIRST_ROW, _REFERS_TO, _OFFSET = "f135", "f142", "f143", "f144"
_OF_ENTRIES = (STATUS, SNAPSHOT, SEQUENCE, PARTITION)
_OF_FILES = (_CONTENT, _PATH, _FORMAT, _ROWS, _BYTES, _EQUALITY, _FIRST_ROW, _REFERS_TO, _OFFSET)
_KEPT = frozenset(_OF_ENTRIES + _OF_FILES)


def decode(manifest: ManifestFile, io: FileIO, real: Callable[[str], str], check: Check) -> DataFiles:
    """Return the live files of a manifest and its deletes; ``real`` tells where a file is read from.

    Raises what ``check`` raises between rows, and one of DAMAGE for what is no manifest.
    """
    file = opened(fetched(manifest.manifest_path, io), ENTRY_TYPES)
    columns = read(
        file, FILE, check, fields=_KEPT, numbers=(_NULLS, _NANS), blobs=(_LOWER, _UPPER), unused=_UNUSED
    )
    decoding = _Decoding(manifest, columns, real)
    live = live_of(columns.get(STATUS))
    # Some writers put delete files into data manifests; taken for data, they would add rows.
    content = columns.get(_CONTENT, DataFileContent.DATA)
    data = [number for number in live if content[number] == DataFileContent.DATA]
    deletes = (number for number in live if content[number] != DataFileContent.DATA)
    first_rows = decoding.first_rows(live)
    return decoding.files(
        data, file.fields(*PARTITION_PATH), first_rows, tuple(map(decoding.delete, deletes))
    )


@dataclass(frozen=True, eq=False)
class _Decoding:
    """The entries of a manifest, by their numbers."""

    manifest: ManifestFile
    columns: Columns
    real: Callable[[str], str]

    def first_rows(self, live: Sequence[int]) -> dict[int, int]:
        """Return the id of the first row of each entry that has one."""
        row_ids = RowIds(self.manifest)
        if row_ids.first is None:
            return {}
        status, rows = self.columns.values[STATUS], self.columns.values[_ROWS]
        written = self.columns.get(_FIRST_ROW)
        found = {n: row_ids.of(status[n], written[n], rows[n]) for n in live}
        return {number: first for number, first in found.items() if first is not None}

    def files(
        self,
        numbers: Sequence[int],
        partition: Sequence[int],
        first_rows: dict[int, int],
        deletes: tuple[DeleteFile, ...],
    ) -> DataFiles:
        """Return entries as data files."""
        count = len(numbers)
        rows, size = self._integers(_ROWS, numbers), self._integers(_BYTES, numbers)
        if (rows < 0).any() or (size < 0).any():
            raise ValueError("a file has fewer than no rows or bytes")
        spec_id = self.manifest.partition_spec_id
        values = self._of(PARTITION, numbers)
        locations = self._of(_PATH, numbers)
        if None in locations:
            raise ValueError("a file without a path")
        return DataFiles(
            paths=objects(map(self.real, locations), count),
            formats=objects(map(_format, self._of(_FORMAT, numbers)), count),
            rows=rows,
            bytes=size,
            spec_ids=np.full(count, spec_id, np.int64),
            sequences=np.fromiter(map(self._sequence, numbers), np.int64, count),
            added=np.fromiter(map(self._added, numbers), np.int64, count),
            first_rows=np.fromiter((first_rows.get(n, UNKNOWN) for n in numbers), np.int64, count),
            locations=objects(locations, count),
            partitions={spec_id: tuple(objects((one[f"f{i}"] for one in values), count) for i in partition)}
            if numbers
            else {},
            facts=self._facts(numbers),
            deletes=deletes,
        )

    def delete(self, number: int) -> DeleteFile:
        """Return an entry as a delete file."""
        file = {name: values[number] for name, values in self.columns.values.items() if name in _KEPT}
        placed = self.manifest.content == ManifestContent.DELETES
        form = _format(file[_FORMAT])
        kind = _kind(file[_CONTENT], form)
        refers_to, offset = (file.get(_REFERS_TO), file.get(_OFFSET)) if placed else (None, None)
        if kind == DeleteKind.EQUALITY and placed and not file.get(_EQUALITY):
            raise ValueError("equality deletes without fields")
        if kind == DeleteKind.VECTOR and placed and (refers_to is None or offset is None):
            raise ValueError("a deletion vector without a data file or a place")
        return DeleteFile(
            self.real(file[_PATH]),
            kind,
            file[_ROWS],
            form,
            self._sequence(number),
            self.manifest.partition_spec_id,
            tuple(file[PARTITION].values()),
            tuple(sorted(file.get(_EQUALITY) or ())),
            None if refers_to is None else self.real(refers_to),
            offset,
            misplaced=not placed,
        )

    def _of(self, name: str, numbers: Sequence[int]) -> Sequence[Any]:
        values = self.columns.values[name]
        return values if len(numbers) == len(values) else [values[n] for n in numbers]

    def _integers(self, name: str, numbers: Sequence[int]) -> Ints:
        return np.array(self._of(name, numbers), np.int64)

    def _sequence(self, number: int) -> int:
        own = self.columns.at(SEQUENCE, number)
        found = sequence_of(self.columns.values[STATUS][number], own, self.manifest)
        if found is None:
            raise ValueError("a file that was not added has no sequence number")
        return found

    def _added(self, number: int) -> int:
        own = self.columns.at(SNAPSHOT, number)
        return (self.manifest.added_snapshot_id if own is None else own) or UNKNOWN

    def _facts(self, numbers: Sequence[int]) -> Facts:
        if not numbers:
            return Facts()
        columns = self.columns
        facts = ManifestFacts(
            columns.blobs[_LOWER], columns.blobs[_UPPER], columns.numbers[_NULLS], columns.numbers[_NANS]
        )
        return Facts((facts if len(numbers) == columns.count else facts.some(np.array(numbers)),))


def _format(written: str) -> str:
    return written.upper()


def _kind(content: int, form: str) -> DeleteKind:
    match content:
        case DataFileContent.EQUALITY_DELETES:
            return DeleteKind.EQUALITY
        case DataFileContent.POSITION_DELETES:
            return DeleteKind.VECTOR if form == "PUFFIN" else DeleteKind.POSITION
    raise ValueError("a file of a kind that is not known")
