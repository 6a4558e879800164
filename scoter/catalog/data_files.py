"""The data files of a snapshot and the deletes that apply to them, column by column.

This module must not know where they are written down, SQL or predicates.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Objects = NDArray[np.object_]
UNKNOWN = -1
"""In place of a number that is not known."""


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
    where the metadata says that they are. ``facts`` maps a field id to what is known of the column. ``derived``
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
    facts: dict[int, ColumnFacts]
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
        facts={
            i: ColumnFacts(known.lower[mask], known.upper[mask], known.nulls[mask], known.nans[mask])
            for i, known in files.facts.items()
        },
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
    ids = sorted({i for p in parts for i in p.facts})
    widths = {spec: len(fields) for p in parts for spec, fields in p.partitions.items()}
    unknown = {len(p): blank(len(p)) for p in parts}

    def gathered(spec: int, position: int) -> Objects:
        return np.concatenate(
            [p.partitions[spec][position] if spec in p.partitions else unknown[len(p)].lower for p in parts]
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
        facts={i: _joined([p.facts.get(i, unknown[len(p)]) for p in parts]) for i in ids},
        deletes=tuple(d for p in parts for d in p.deletes),
    )


def _joined(parts: Sequence[ColumnFacts]) -> ColumnFacts:
    return ColumnFacts(
        lower=np.concatenate([p.lower for p in parts]),
        upper=np.concatenate([p.upper for p in parts]),
        nulls=np.concatenate([p.nulls for p in parts]),
        nans=np.concatenate([p.nans for p in parts]),
    )


def blank(count: int) -> ColumnFacts:
    """Return that nothing is known of a column of ``count`` files."""
    nothing: Objects = np.full(count, None, dtype=object)
    unknown: Ints = np.full(count, UNKNOWN, np.int64)
    return ColumnFacts(nothing, nothing, unknown, unknown)


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
    facts={},
)
