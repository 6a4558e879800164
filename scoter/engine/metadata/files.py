"""Files and manifest entries as record batches, made from manifests while they are read.

This module must not know names of tables or statements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata

from scoter.catalog.entries import FILE_FIELDS, Entries, entries
from scoter.engine.metadata.partitions import united
from scoter.engine.metadata.tables import measured
from scoter.engine.metadata.values import bounds, maps, partition_values
from scoter.errors import CorruptData

_AT_ONCE = 8  # manifests that are decoded at the same time
_COUNTS = {
    "column_size": "column_sizes",
    "value_count": "value_counts",
    "null_value_count": "null_value_counts",
    "nan_value_count": "nan_value_counts",
}
_BOUNDS = {"lower_bound": "lower_bounds", "upper_bound": "upper_bounds"}
_MAPS = {**dict.fromkeys(_COUNTS.values(), pa.int64()), **dict.fromkeys(_BOUNDS.values(), pa.binary())}


class Files:
    """Makes record batches of files or entries; the columns are those of ``schema``, some of all there are."""

    def __init__(self, metadata: TableMetadata, read: Schema, schema: pa.Schema, *, deleted: bool) -> None:
        """Read ``readable_metrics`` under the table's schema ``read``, entries of gone files with ``deleted``."""
        self._partition = united(metadata)
        self._read = list(measured(read))
        self._schema = schema
        self._deleted = deleted
        self._wanted = _wanted(schema)

    def batches(self, manifests: Iterator[ManifestFile], io: FileIO) -> Iterator[pa.RecordBatch]:
        """Yield a batch for some entries of a manifest; raises CorruptData."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while some := list(islice(manifests, _AT_ONCE)):
                for made in pool.map(lambda manifest: self._of(manifest, io), some):
                    yield from made

    def _of(self, manifest: ManifestFile, io: FileIO) -> list[pa.RecordBatch]:
        return [self._batch(some) for some in entries(manifest, io, self._wanted, deleted=self._deleted)]

    def _batch(self, some: Entries) -> pa.RecordBatch:
        facts: dict[str, Sequence[Any]] = {
            # Made of a sequence of numbers, a map is decoded when it is first asked for.
            name: [None if one is None else dict(one) for one in column] if name in _MAPS else column
            for name, column in some.columns.items()
        }
        facts["spec_id"] = [some.manifest.partition_spec_id] * some.count
        arrays = [self._array(field, facts, some) for field in self._schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _array(self, field: pa.Field, facts: Mapping[str, Sequence[Any]], some: Entries) -> pa.Array:
        match field.name:
            case "data_file":
                return _struct(field.type, [self._array(part, facts, some) for part in _parts(field.type)])
            case "partition":
                return _struct(
                    field.type,
                    [
                        partition_values(some.partitions.get(one.field_id) or [None] * some.count, one.kind)
                        for one in self._partition
                    ],
                )
            case "readable_metrics":
                return self._metrics(field.type, facts)
            case "file_format":
                return pa.array([str(one).upper() for one in facts["file_format"]], field.type)
            case name if name in _MAPS:
                return maps(facts[name], _MAPS[name])
        return pa.array(facts[field.name], field.type)

    def _metrics(self, kind: pa.StructType, facts: Mapping[str, Sequence[Any]]) -> pa.Array:
        columns = []
        for part, (name, field) in zip(_parts(kind), self._read, strict=True):
            known = {
                fact: [None if one is None else one.get(field.field_id) for one in facts[column]]
                for fact, column in (_COUNTS | _BOUNDS).items()
            }
            counts = [pa.array(known[fact], pa.int64()) for fact in _COUNTS]
            try:
                limits = [bounds(known[fact], field.field_type) for fact in _BOUNDS]
            except ValueError as error:
                raise CorruptData(
                    f"a bound of column {name} is no value of type {field.field_type}",
                    hint="lower_bounds and upper_bounds have it as it is stored; name the columns to read",
                ) from error
            columns.append(_struct(part.type, counts + limits))
        return _struct(kind, columns)


def _wanted(schema: pa.Schema) -> frozenset[str]:
    names = set(schema.names)
    if "data_file" in names:
        names |= {part.name for part in _parts(schema.field("data_file").type)}
    if "readable_metrics" in names:
        names |= _MAPS.keys()
    return frozenset(names) & frozenset(FILE_FIELDS)


def _parts(kind: pa.StructType) -> list[pa.Field]:
    return [kind.field(place) for place in range(kind.num_fields)]


def _struct(kind: pa.StructType, arrays: list[pa.Array]) -> pa.Array:
    return pa.StructArray.from_arrays(arrays, fields=_parts(kind))
