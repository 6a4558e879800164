"""Iceberg data files from what DuckDB's COPY returns, and the field ids that COPY writes.

This module must not know connections, catalogs or commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, PrimitiveType, StructType

from scoter.engine.types import quote
from scoter.engine.writing.bounds import WIDTH, lower_bound, upper_bound

_METRICS = "write.metadata.metrics."


@dataclass(frozen=True)
class Leaf:
    """A column that Parquet stores by itself: its field id, its path and its type.

    ``bounded`` says that no list or map stands above it, so that bounds have a meaning.
    """

    field_id: int
    path: tuple[str, ...]
    kind: PrimitiveType
    bounded: bool

    @property
    def key(self) -> str:
        """Return the name under which COPY returns the statistics."""
        return ".".join(quote(part) for part in self.path)


@dataclass(frozen=True)
class WrittenFile:
    """A file that COPY wrote: its URI, size, statistics by column path, and partition keys."""

    uri: str
    rows: int
    size: int
    statistics: Mapping[str, Mapping[str, str]]
    keys: Mapping[str, str | None]


def leaves(schema: Schema) -> tuple[Leaf, ...]:
    """Return every leaf of ``schema`` in order."""
    return tuple(leaf for field in schema.fields for leaf in _leaves(field, (), bounded=True))


def _leaves(field: NestedField, above: tuple[str, ...], *, bounded: bool) -> Iterator[Leaf]:
    path = (*above, field.name)
    match field.field_type:
        case PrimitiveType() as kind:
            yield Leaf(field.field_id, path, kind, bounded)
        case StructType(fields=fields):
            for child in fields:
                yield from _leaves(child, path, bounded=bounded)
        case ListType() as kind:
            yield from _leaves(kind.element_field, path, bounded=False)
        case MapType() as kind:
            yield from _leaves(kind.key_field, path, bounded=False)
            yield from _leaves(kind.value_field, path, bounded=False)


def field_ids(schema: Schema) -> str:
    """Return the value of COPY's FIELD_IDS option for ``schema``, with ids at every level."""
    return _ids_of(schema.fields)


def _ids_of(fields: tuple[NestedField, ...], own: int | None = None) -> str:
    parts = [] if own is None else [f"__duckdb_field_id: {own}"]
    parts += [f"{quote(field.name)}: {_id_of(field)}" for field in fields]
    return "{" + ", ".join(parts) + "}"


def _id_of(field: NestedField) -> str:
    children = _children(field.field_type)
    return _ids_of(children, field.field_id) if children else str(field.field_id)


def _children(kind: IcebergType) -> tuple[NestedField, ...]:
    match kind:
        case StructType(fields=fields):
            return fields
        case ListType():
            return (kind.element_field,)
        case MapType():
            return (kind.key_field, kind.value_field)
    return ()


def asks_for_whole_bounds(properties: Mapping[str, str]) -> bool:
    """Say whether a table's properties ask for bounds that are values of a column.

    Other engines answer `min` and `max` with such bounds. One column that asks for them is enough here.
    """
    return any(key.startswith(_METRICS) and mode.casefold() == "full" for key, mode in properties.items())


def data_file(
    written: WrittenFile, columns: tuple[Leaf, ...], partition: Record, spec_id: int, *, whole: bool = False
) -> DataFile:
    """Return Iceberg's record of a written file.

    Counts and sizes are given for each leaf; bounds only where they are known and have a meaning, and with
    ``whole`` only where they are the least and the greatest value, and not the beginning of it.
    """
    sizes: dict[int, int] = {}
    values: dict[int, int] = {}
    nulls: dict[int, int] = {}
    nans: dict[int, int] = {}
    lower: dict[int, bytes] = {}
    upper: dict[int, bytes] = {}
    for leaf in columns:
        statistics = written.statistics.get(leaf.key, {})
        for name, counts in (
            ("column_size_bytes", sizes),
            ("num_values", values),
            ("null_count", nulls),
            ("nan_count", nans),
        ):
            if name in statistics:
                counts[leaf.field_id] = int(statistics[name])
        if leaf.bounded:
            _add_bounds(leaf, statistics, lower, upper, whole=whole)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=written.uri,
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=written.rows,
        file_size_in_bytes=written.size,
        column_sizes=sizes,
        value_counts=values,
        null_value_counts=nulls,
        nan_value_counts=nans,
        lower_bounds=lower,
        upper_bounds=upper,
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=None,
        spec_id=spec_id,
    )


def _add_bounds(
    leaf: Leaf,
    statistics: Mapping[str, str],
    lower: dict[int, bytes],
    upper: dict[int, bytes],
    *,
    whole: bool,
) -> None:
    width = None if whole else WIDTH
    exact = {end: statistics.get(f"{end}_is_exact") == "true" for end in ("min", "max")}
    if "min" in statistics and (exact["min"] or not whole):
        least = lower_bound(leaf.kind, statistics["min"], width)
        if least is not None:
            lower[leaf.field_id] = least
    if "max" in statistics and (exact["max"] or not whole):
        most = upper_bound(leaf.kind, statistics["max"], width, exact=exact["max"])
        if most is not None:
            upper[leaf.field_id] = most
