"""The row groups of data files: how many rows each has, and whether a predicate lets DuckDB leave some out.

This module must not know delete files or SQL.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.data_files import EMPTY, Facts, Ints, ManifestFacts
from scoter.catalog.fetching import Check, each, unchecked
from scoter.catalog.pairs import UNKNOWN, Blobs, Numbers
from scoter.catalog.recent import Recent
from scoter.engine.scanning.pruning import kept_files
from scoter.errors import CorruptData

_PARALLEL = 8
_CACHED_BYTES = 64 * 1024 * 1024
_NO_SPEC = -1
_NUMBERS = {"INT32": "<i", "INT64": "<q", "FLOAT": "<f", "DOUBLE": "<d"}


class RowGroups:
    """What footers say of row groups, each footer decoded once."""

    def __init__(self, *, kept: int = _CACHED_BYTES) -> None:
        """Keep the footers of files up to so many bytes."""
        self._known: Recent[str, pq.FileMetaData] = Recent(
            kept, weigh=lambda found: 64 + found.serialized_size
        )

    def of(
        self, paths: Sequence[str], open_with: Callable[[], FileIO], check: Check = unchecked
    ) -> list[pq.FileMetaData]:
        """Return what the footer of each file says.

        ``check`` is called while footers are read, and may raise. Raises CorruptData for what is no Parquet file.
        """
        found = {path: self._known.get(path) for path in paths}
        missing = [path for path, known in found.items() if known is None]
        if missing:
            io = open_with()

            def read(path: str) -> pq.FileMetaData:
                try:
                    with io.new_input(path).open() as stream:
                        return pq.ParquetFile(stream).metadata
                except (OSError, pa.ArrowException) as error:
                    raise CorruptData(
                        "a data file of the table is missing or is not a Parquet file"
                    ) from error

            for path, footer in zip(missing, each(read, missing, _PARALLEL, check), strict=True):
                found[path] = footer
                self._known.put(path, footer)
        return [found[path] for path in paths]


def rows_of(footer: pq.FileMetaData) -> tuple[int, ...]:
    """Return how many rows each row group has, in their order in the file."""
    return tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups))


def leaves_out(
    footer: pq.FileMetaData,
    columns: Mapping[int, str],
    metadata: TableMetadata,
    schema: Schema,
    predicate: exp.Expr | None,
) -> bool:
    """Say whether some row group of a file can not hold a row that satisfies a predicate.

    ``columns`` are the names in the file of the fields, by their ids, that are stored as the schema has them.
    """
    count = footer.num_row_groups
    if predicate is None or count < 2:
        return False
    leaves = {footer.schema.column(i).path: i for i in range(len(footer.schema))}
    places = {field: leaves[name] for field, name in columns.items() if name in leaves}
    groups = replace(
        EMPTY,
        paths=np.full(count, "", object),
        rows=np.array(rows_of(footer)),
        spec_ids=np.full(count, _NO_SPEC),
        facts=Facts((_facts(footer, places),)),
        derived={},
    )
    return bool(len(kept_files(groups, metadata, schema, predicate)) < count)


def _facts(footer: pq.FileMetaData, places: Mapping[int, int]) -> ManifestFacts:
    """Return the bounds of columns, by field, as manifests have them: an entry a row group."""
    found = [
        (group, field, *bounds)
        for field, place in places.items()
        for group in range(footer.num_row_groups)
        if (bounds := _bounds(footer.row_group(group).column(place))) is not None
    ]
    count = footer.num_row_groups
    rows = np.array([group for group, *_ in found], np.int32)
    keys = np.array([field for _, field, *_ in found], np.int64)
    nulls = np.array([nulls for *_, nulls in found], np.int64)
    unknown = Numbers.of(count, rows, keys, np.full(len(found), UNKNOWN))
    low = _blobs(count, rows, keys, [low for _, _, low, _, _ in found])
    high = _blobs(count, rows, keys, [high for _, _, _, high, _ in found])
    return ManifestFacts(low, high, Numbers.of(count, rows, keys, nulls), unknown)


def _bounds(chunk: pq.ColumnChunkMetaData) -> tuple[bytes, bytes, int] | None:
    """Return the least and the greatest value as Iceberg writes them, and how many are NULL; None if not known."""
    told = chunk.statistics
    if told is None or not told.has_min_max:
        return None
    form = _NUMBERS.get(chunk.physical_type)
    nulls = told.null_count if told.has_null_count else UNKNOWN
    if form is not None:
        return struct.pack(form, told.min_raw), struct.pack(form, told.max_raw), nulls
    if chunk.physical_type == "BYTE_ARRAY" and isinstance(told.min_raw, bytes):
        return told.min_raw, told.max_raw, nulls
    return None


def _blobs(count: int, rows: NDArray[np.int32], keys: Ints, values: Sequence[bytes]) -> Blobs:
    lengths = np.array([len(value) for value in values], np.int64)
    data = np.frombuffer(b"".join(values), np.uint8)
    return Blobs.of(count, rows, keys, data, np.cumsum(lengths) - lengths, lengths)
