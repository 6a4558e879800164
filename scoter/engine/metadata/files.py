"""Files and manifest entries as record batches, made from manifests while they are read.

This module must not know names of tables or statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata

from scoter.catalog.entries import FILE_FIELDS, Entries, entries
from scoter.catalog.fetching import Check
from scoter.engine.metadata.partitions import united
from scoter.engine.metadata.tables import measured
from scoter.engine.metadata.values import Maps, bounds, partition_values
from scoter.errors import CorruptData

_COUNTS = {
    "column_size": "column_sizes",
    "value_count": "value_counts",
    "null_value_count": "null_value_counts",
    "nan_value_count": "nan_value_counts",
}
_BOUNDS = {"lower_bound": "lower_bounds", "upper_bound": "upper_bounds"}
_Facts = dict[str, Any]
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

    def batches(
        self, manifests: Iterable[ManifestFile], io: FileIO, check: Check
    ) -> Iterator[pa.RecordBatch]:
        """Yield a batch for some entries of a manifest; raises CorruptData and what ``check`` raises."""
        for some in entries(manifests, io, self._wanted, check, deleted=self._deleted):
            yield self._batch(some)

    def _batch(self, some: Entries) -> pa.RecordBatch:
        facts: _Facts = {
            name: Maps(column, _MAPS[name]) if name in _MAPS else column
            for name, column in some.columns.items()
        }
        facts["spec_id"] = [some.manifest.partition_spec_id] * some.count
        arrays = [self._array(field, facts, some) for field in self._schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _array(self, field: pa.Field, facts: _Facts, some: Entries) -> pa.Array:
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
        held = facts[field.name]
        return held.array() if isinstance(held, Maps) else pa.array(held, field.type)

    def _metrics(self, kind: pa.StructType, facts: _Facts) -> pa.Array:
        columns = []
        for part, (name, field) in zip(_parts(kind), self._read, strict=True):
            counts = [pa.array(facts[column].of(field.field_id), pa.int64()) for column in _COUNTS.values()]
            raw = [facts[column].of(field.field_id) for column in _BOUNDS.values()]
            try:
                limits = [bounds(values, field.field_type) for values in raw]
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
