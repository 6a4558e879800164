"""The data files of a snapshot and the deletes that apply to them, column by column.

This module must not know where they are written down, SQL or predicates.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scoter.catalog.pairs import Blobs, Numbers

Ints = NDArray[np.int64]
Objects = NDArray[np.object_]


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
    """What manifests say of one column: an entry a data file; bounds are Iceberg's bytes or null.

    ``nulls`` and ``nans`` are -1 where the writer did not count them.
    """

    lower: pa.LargeBinaryArray
    upper: pa.LargeBinaryArray
    nulls: Ints
    nans: Ints


@dataclass(frozen=True, eq=False)
class ManifestFacts:
    """What one manifest says of all columns of its files, by field id."""

    lower: Blobs
    upper: Blobs
    nulls: Numbers
    nans: Numbers

    def __len__(self) -> int:
        return self.lower.count

    def __contains__(self, field_id: int) -> bool:
        return any(field_id in known for known in (self.lower, self.upper, self.nulls, self.nans))

    def some(self, numbers: Ints) -> ManifestFacts:
        """Return the facts of files by their ascending numbers."""
        lower, upper = self.lower.some(numbers), self.upper.some(numbers)
        return ManifestFacts(lower, upper, self.nulls.some(numbers), self.nans.some(numbers))


@dataclass(frozen=True, eq=False)
class Facts:
    """What the manifests of some files say of columns; a column's facts are put together when it is asked for."""

    manifests: tuple[ManifestFacts, ...] = ()

    def get(self, field_id: int) -> ColumnFacts | None:
        """Return what is known of a column, None where that is nothing."""
        if not any(field_id in one for one in self.manifests):
            return None
        return ColumnFacts(
            pa.concat_arrays([one.lower.column(field_id) for one in self.manifests]),
            pa.concat_arrays([one.upper.column(field_id) for one in self.manifests]),
            np.concatenate([one.nulls.column(field_id) for one in self.manifests]),
            np.concatenate([one.nans.column(field_id) for one in self.manifests]),
        )

    def some(self, mask: NDArray[np.bool_]) -> Facts:
        """Return the facts of the files where ``mask`` is true."""
        return Facts(tuple(self._some(mask)))

    def _some(self, mask: NDArray[np.bool_]) -> Iterator[ManifestFacts]:
        start = 0
        for one in self.manifests:
            yield one.some(np.flatnonzero(mask[start : start + len(one)]))
            start += len(one)


@dataclass(frozen=True, eq=False)
class DataFiles:
    """The live files of one snapshot, column by column; every array has one entry a data file.

    ``partitions`` maps a spec id to the values of its partition fields in spec order, each an array
    of as many entries, None where the value is NULL or the file has another spec. ``added`` are the
    snapshots that added the files, ``first_rows`` the ids of their first rows, -1 where there is none, ``locations``
    where the metadata says that they are. ``facts`` say what is known of columns. ``derived``
    is room for readers to keep what they computed from these immutable facts.
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
    facts: Facts
    deletes: tuple[DeleteFile, ...] = ()
    derived: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.paths)


def some(files: DataFiles, mask: NDArray[np.bool_]) -> DataFiles:
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
        facts=files.facts.some(mask),
    )


def objects(values: Iterable[Any], count: int) -> Objects:
    """Return ``count`` values as an array of Python objects."""
    array: Objects = np.empty(count, dtype=object)
    array[:] = list(values)
    return array


def concatenate(parts: Sequence[DataFiles]) -> DataFiles:
    """Return the files of all parts, one part behind the other."""
    if not parts:
        return EMPTY
    widths = {spec: len(fields) for p in parts for spec, fields in p.partitions.items()}
    nothing = {len(p): np.full(len(p), None, dtype=object) for p in parts}

    def gathered(spec: int, position: int) -> Objects:
        return np.concatenate(
            [p.partitions[spec][position] if spec in p.partitions else nothing[len(p)] for p in parts]
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
        facts=Facts(tuple(one for p in parts for one in p.facts.manifests)),
        deletes=tuple(d for p in parts for d in p.deletes),
    )


_NONE: Objects = np.empty(0, object)
_NO_NUMBERS: Ints = np.empty(0, np.int64)
EMPTY = DataFiles(
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
    facts=Facts(),
)
