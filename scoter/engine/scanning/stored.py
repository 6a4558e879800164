"""Columns that are read from Parquet files as they stand there, without SQL.

DuckDB spends up to three times as long on numbers as Arrow does, and they come as Arrow's in the end. Text, and what
Snappy has made much smaller, it reads faster. This module must not know predicates, deletes, or what is done with the
rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
)

from scoter.catalog.data_files import DataFiles, Ints
from scoter.catalog.reach import is_local, local_path, under
from scoter.engine.scanning.grouping import Group
from scoter.engine.scanning.lineage import HIDDEN
from scoter.engine.types import quote

_BUFFER = 1 << 16  # bytes of each column that are read at a time
_TOGETHER = 100_000  # rows of row groups that are read together, at least
_FEWEST = 16_384  # rows of a file, in the mean: DuckDB opens files faster
_BATCH = 2 << 20  # bytes of a batch, about: so much stays in a processor's cache
_ROWS = 2_048  # of wide rows, at least, as long as they take less than
_LARGE = 64 << 20  # bytes
_ARROW: dict[type[IcebergType], pa.DataType] = {
    BooleanType: pa.bool_(),
    DateType: pa.date32(),
    DoubleType: pa.float64(),
    FloatType: pa.float32(),
    IntegerType: pa.int32(),
    LongType: pa.int64(),
}
_CASTS: dict[tuple[pa.DataType, str], pa.DataType] = {
    (pa.float64(), "FLOAT"): pa.float32(),
    (pa.float32(), "DOUBLE"): pa.float64(),
    (pa.int32(), "BIGINT"): pa.int64(),
    (pa.int32(), "DOUBLE"): pa.float64(),
}
_GREATEST = float(np.finfo(np.float32).max)
_SMALLER = 0.85  # of its size: Snappy has made a column so much smaller


class NotAsStored(Exception):
    """Files that DuckDB reads faster, or that hold other than what they are read for; never shown: DuckDB reads them."""


UNREADABLE = (NotAsStored, OSError, pa.ArrowException)
"""What is raised where DuckDB is to read the rows, or to say what is wrong with them."""


@dataclass(frozen=True)
class StoredColumn:
    """A column's name in the files, its type there and in the table, and the type that its values are given in."""

    name: str
    stored: pa.DataType
    kind: pa.DataType

    def cast(self, kind: str) -> StoredColumn | None:
        """Return the column cast to a type of DuckDB, if Arrow gives the same values; an error where DuckDB does."""
        # A second cast would hide what the first one does to the values.
        wanted = _CASTS.get((self.kind, kind)) if self.kind == self.stored else None
        return None if wanted is None else replace(self, kind=wanted)


@dataclass(frozen=True)
class StoredFiles:
    """Files, in the order in which they are read, whose ``columns`` a table has under their keys as they stand there."""

    paths: tuple[str, ...]
    rows: int
    columns: Mapping[str, StoredColumn]


@dataclass(frozen=True)
class StoredRows:
    """Rows of files: ``columns`` are names with what makes their values, a column or the fields of a STRUCT."""

    paths: tuple[str, ...]
    rows: int
    columns: tuple[tuple[str, StoredColumn | tuple[StoredColumn, ...]], ...]

    @property
    def kinds(self) -> dict[str, pa.DataType | None]:
        """The type of each column, None where it is nested."""
        return {
            name: made.kind if isinstance(made, StoredColumn) and not pa.types.is_nested(made.kind) else None
            for name, made in self.columns
        }

    @cached_property
    def _given(self) -> list[StoredColumn]:
        """The columns of a batch."""
        parts = ((made,) if isinstance(made, StoredColumn) else made for _, made in self.columns)
        return list(dict.fromkeys(column for part in parts for column in part))

    @cached_property
    def _read(self) -> dict[str, pa.DataType]:
        """What is read of the files, by its name there."""
        return {column.name: column.stored for column in self._given}

    @cached_property
    def _narrowed(self) -> frozenset[str]:
        """The columns in the files with numbers that may be too large for their type in the stage."""
        return frozenset(
            column.name for column in self._given if column.kind == pa.float32() != column.stored
        )

    @cached_property
    def _is_cast(self) -> bool:
        return any(column.kind != column.stored for column in self._given)

    def shares(
        self, most: int, directories: Sequence[str]
    ) -> Iterator[tuple[int, Callable[[], Iterator[pa.RecordBatch]]]]:
        """Yield in order how many rows there are in one place, and what reads them, at most ``most`` at a time.

        A place is one row group, or some small ones of one file, and can be read beside others. Batches are for
        ``split``. The files must lie in the ``directories``. Raises NotAsStored, OSError, pa.ArrowException, as
        reading does.
        """
        for path in self.paths:
            if not under(path, directories):
                raise NotAsStored
            with pq.ParquetFile(path) as file:
                metadata = file.metadata
                self._check(file.schema_arrow)
            chunks = _Chunks(metadata, self._read, self._narrowed)
            for count, groups in _together(metadata):
                if chunks.are_slow(groups) or not chunks.fit(groups):
                    raise NotAsStored
                width = chunks.width(groups)
                rows = max(1, min(most, max(_BATCH // width, min(_ROWS, _LARGE // width))))
                yield count, partial(self._batches, path, metadata, groups, rows)

    def is_readable(self, directories: Sequence[str]) -> bool:
        """Say whether the first file is read so, as the others are then in most cases."""
        try:
            next(self.shares(1, directories), None)
        except UNREADABLE:
            return False
        return True

    def _check(self, schema: pa.Schema) -> None:
        for name, kind in self._read.items():
            places = schema.get_all_field_indices(name)
            if len(places) != 1 or schema.field(places[0]).type != kind:
                raise NotAsStored
        # Parquet names what is inside of a column so.
        if any(name.partition(".")[0] in self._read for name in schema.names if "." in name):
            raise NotAsStored

    def _batches(
        self, path: str, metadata: pq.FileMetaData, groups: list[int], rows: int
    ) -> Iterator[pa.RecordBatch]:
        names = list(self._read)
        with pq.ParquetFile(path, metadata=metadata, buffer_size=_BUFFER, pre_buffer=False) as file:
            for batch in file.iter_batches(rows, groups, names, use_threads=False):
                ordered = batch if batch.schema.names == names else batch.select(names)
                yield self._as_given(ordered) if self._is_cast else ordered

    def _as_given(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        read = dict(zip(batch.schema.names, batch.columns, strict=True))
        arrays = [pc.cast(read[column.name], column.kind, safe=False) for column in self._given]
        return pa.RecordBatch.from_arrays(arrays, [column.name for column in self._given])

    def split(self, batch: pa.RecordBatch) -> list[pa.Array | pa.RecordBatch]:
        """Return the values of each column; those of a STRUCT are the columns of a batch."""
        return [batch.column(made) if isinstance(made, int) else batch.select(made) for made in self._places]

    @cached_property
    def _places(self) -> list[int | list[int]]:
        place = {column: number for number, column in enumerate(self._given)}
        return [
            place[made] if isinstance(made, StoredColumn) else [place[column] for column in made]
            for _, made in self.columns
        ]


def stored_files(
    schema: Schema, files: DataFiles, group: Group, order: Sequence[int] | Ints, wanted: frozenset[int]
) -> StoredFiles | None:
    """Return a group's files, in their order, with those of the ``wanted`` fields that can be read as they stand there."""
    if group.removed or group.compared or group.is_masked or group.projection.by_id:
        return None
    columns = {}
    for field, source in zip(schema.fields, group.projection.sources, strict=True):
        if field.field_id not in wanted:
            continue
        kind = _arrow(field.field_type)
        # A dot would name a field inside of a column.
        if kind is None or field in HIDDEN.values() or source.column is None or "." in source.column:
            continue
        if source.expression != quote(source.column):
            continue
        columns[field.name.casefold()] = StoredColumn(source.column, kind, kind)
    paths = [str(files.paths[number]) for number in order]
    rows = int(files.rows[group.files].sum())
    if not columns or not all(map(is_local, paths)) or rows < _FEWEST * len(paths):
        return None
    return StoredFiles(tuple(map(local_path, paths)), rows, columns)


def _arrow(kind: IcebergType) -> pa.DataType | None:
    if isinstance(kind, ListType):
        inner = _arrow(kind.element_type)
        return None if inner is None else pa.list_(inner)
    return _ARROW.get(type(kind))


def _together(metadata: pq.FileMetaData) -> Iterator[tuple[int, list[int]]]:
    """Yield the rows and the numbers of row groups that are read together."""
    rows, groups = 0, list[int]()
    for number in range(metadata.num_row_groups):
        held = metadata.row_group(number).num_rows
        if held:
            rows += held
            groups.append(number)
        if rows >= _TOGETHER:
            yield rows, groups
            rows, groups = 0, []
    if groups:
        yield rows, groups


class _Chunks:
    """What a file says of the columns that are read, for each row group."""

    def __init__(
        self, metadata: pq.FileMetaData, read: Mapping[str, pa.DataType], narrowed: frozenset[str]
    ) -> None:
        self._metadata = metadata
        leaves = (metadata.schema.column(place).path for place in range(metadata.num_columns))
        names = [path.partition(".")[0] for path in leaves]
        self._bytes = {place: _bytes(read[name]) for place, name in enumerate(names) if name in read}
        self._narrowed = [place for place, name in enumerate(names) if name in narrowed]

    def width(self, groups: list[int]) -> int:
        """Return about how many bytes a row takes where rows are widest."""
        found = 1
        for number in groups:
            group = self._metadata.row_group(number)
            size = sum(int(group.column(place).num_values) * each for place, each in self._bytes.items())
            found = max(found, size // int(group.num_rows))
        return found

    def are_slow(self, groups: list[int]) -> bool:
        """Say whether Snappy has made most of the values themselves smaller, not their places in a dictionary."""
        slow = total = 0
        for number in groups[:1]:
            group = self._metadata.row_group(number)
            for place, each in self._bytes.items():
                chunk = group.column(place)
                values, held = int(chunk.num_values) * each, int(chunk.total_uncompressed_size)
                total += values
                if chunk.compression == "SNAPPY" and held > values / 2:
                    slow += values if chunk.total_compressed_size < _SMALLER * held else 0
        return slow > total / 2

    def fit(self, groups: list[int]) -> bool:
        """Say whether no number that is cast to 32 bits is too large for them, as its bounds tell."""
        for number in groups if self._narrowed else ():
            group = self._metadata.row_group(number)
            for place in self._narrowed:
                bounds = group.column(place).statistics
                if bounds is None:
                    return False
                if bounds.has_min_max:
                    if not (bounds.min >= -_GREATEST and bounds.max <= _GREATEST):
                        return False
                elif not bounds.has_null_count or bounds.null_count < group.num_rows:
                    return False
        return True


def _bytes(kind: pa.DataType) -> int:
    """Return the bytes of a value, inside of lists too."""
    while pa.types.is_list(kind):
        kind = kind.value_type
    return -(-int(kind.bit_width) // 8)
