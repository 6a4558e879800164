"""The metadata tables that every table has: their names and columns, as Iceberg's own have them.

This module must not know how their rows are made.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import NestedField

from scoter.engine.metadata.partitions import united
from scoter.engine.metadata.values import bound_type, partition_type
from scoter.engine.types import quote
from scoter.engine.virtual import VirtualTable

Columns = tuple[tuple[str, str], ...]

_FILES = frozenset({"files", "data_files", "delete_files", "all_files", "all_data_files", "all_delete_files"})
_ENTRIES = frozenset({"entries", "all_entries"})
# What an older snapshot has too.
OF_A_SNAPSHOT = frozenset({"files", "data_files", "delete_files", "entries", "manifests", "partitions"})

_SUMMARIES = "STRUCT(contains_null BOOLEAN, contains_nan BOOLEAN, lower_bound VARCHAR, upper_bound VARCHAR)[]"
_MANIFESTS: Columns = (
    ("content", "INTEGER"),
    ("path", "VARCHAR"),
    ("length", "BIGINT"),
    ("partition_spec_id", "INTEGER"),
    ("added_snapshot_id", "BIGINT"),
    ("added_data_files_count", "INTEGER"),
    ("existing_data_files_count", "INTEGER"),
    ("deleted_data_files_count", "INTEGER"),
    ("added_delete_files_count", "INTEGER"),
    ("existing_delete_files_count", "INTEGER"),
    ("deleted_delete_files_count", "INTEGER"),
    ("partition_summaries", _SUMMARIES),
)
_PLAIN: dict[str, Columns] = {
    "snapshots": (
        ("committed_at", "TIMESTAMPTZ"),
        ("snapshot_id", "BIGINT"),
        ("parent_id", "BIGINT"),
        ("operation", "VARCHAR"),
        ("manifest_list", "VARCHAR"),
        ("summary", "MAP(VARCHAR, VARCHAR)"),
    ),
    "history": (
        ("made_current_at", "TIMESTAMPTZ"),
        ("snapshot_id", "BIGINT"),
        ("parent_id", "BIGINT"),
        ("is_current_ancestor", "BOOLEAN"),
    ),
    "refs": (
        ("name", "VARCHAR"),
        ("type", "VARCHAR"),
        ("snapshot_id", "BIGINT"),
        ("max_reference_age_in_ms", "BIGINT"),
        ("min_snapshots_to_keep", "INTEGER"),
        ("max_snapshot_age_in_ms", "BIGINT"),
    ),
    "metadata_log_entries": (
        ("timestamp", "TIMESTAMPTZ"),
        ("file", "VARCHAR"),
        ("latest_snapshot_id", "BIGINT"),
        ("latest_schema_id", "INTEGER"),
        ("latest_sequence_number", "BIGINT"),
    ),
    "properties": (("key", "VARCHAR"), ("value", "VARCHAR")),
    "manifests": _MANIFESTS,
    "all_manifests": (*_MANIFESTS, ("reference_snapshot_id", "BIGINT"), ("key_metadata", "BLOB")),
}
_COUNTS = "MAP(INTEGER, BIGINT)"
_BOUNDS = "MAP(INTEGER, BLOB)"
_BEFORE_PARTITION: Columns = (
    ("content", "INTEGER"),
    ("file_path", "VARCHAR"),
    ("file_format", "VARCHAR"),
    ("spec_id", "INTEGER"),
)
_BEHIND_PARTITION: Columns = (
    ("record_count", "BIGINT"),
    ("file_size_in_bytes", "BIGINT"),
    ("column_sizes", _COUNTS),
    ("value_counts", _COUNTS),
    ("null_value_counts", _COUNTS),
    ("nan_value_counts", _COUNTS),
    ("lower_bounds", _BOUNDS),
    ("upper_bounds", _BOUNDS),
    ("key_metadata", "BLOB"),
    ("split_offsets", "BIGINT[]"),
    ("equality_ids", "INTEGER[]"),
    ("sort_order_id", "INTEGER"),
    ("first_row_id", "BIGINT"),
    ("referenced_data_file", "VARCHAR"),
    ("content_offset", "BIGINT"),
    ("content_size_in_bytes", "BIGINT"),
)
_OF_PARTITIONS: Columns = (
    ("record_count", "BIGINT"),
    ("file_count", "INTEGER"),
    ("total_data_file_size_in_bytes", "BIGINT"),
    ("position_delete_record_count", "BIGINT"),
    ("position_delete_file_count", "INTEGER"),
    ("equality_delete_record_count", "BIGINT"),
    ("equality_delete_file_count", "INTEGER"),
    ("last_updated_at", "TIMESTAMPTZ"),
    ("last_updated_snapshot_id", "BIGINT"),
)
_OF_ENTRIES: Columns = (
    ("status", "INTEGER"),
    ("snapshot_id", "BIGINT"),
    ("sequence_number", "BIGINT"),
    ("file_sequence_number", "BIGINT"),
)

# What may stand behind the $ or the last dot of a table.
METADATA_TABLES = frozenset({*_PLAIN, *_FILES, *_ENTRIES, "partitions"})


def metadata_table(name: str, metadata: TableMetadata, schema: Schema) -> VirtualTable:
    """Return the metadata table of that name; ``schema`` is the one that the table's rows are read under.

    Raises NotSupported for a partition field of a type that can not be read.
    """
    if name in _FILES:
        columns = (*file_columns(metadata), *_metrics(schema))
    elif name in _ENTRIES:
        file = _struct(file_columns(metadata))
        columns = (*_OF_ENTRIES, ("data_file", file), *_metrics(schema))
    elif name == "partitions":
        partition = _partition(metadata)
        columns = (*partition, *((("spec_id", "INTEGER"),) if partition else ()), *_OF_PARTITIONS)
    else:
        columns = _PLAIN[name]
    return VirtualTable("", name, columns)


def file_columns(metadata: TableMetadata) -> Columns:
    """Return the columns that describe one data file or delete file."""
    return (*_BEFORE_PARTITION, *_partition(metadata), *_BEHIND_PARTITION)


def measured(schema: Schema) -> Iterator[tuple[str, NestedField]]:
    """Yield the dotted name and the field of each primitive column, also inside others, by name.

    Of names that differ by case only, which SQL can not tell apart, the first.
    """
    names = schema._lazy_id_to_name  # noqa: SLF001  # its public form looks up one id
    taken: set[str] = set()
    for field_id, name in sorted(names.items(), key=lambda pair: pair[1]):
        field = schema.find_field(field_id)
        if field.field_type.is_primitive and name.casefold() not in taken:
            taken.add(name.casefold())
            yield name, field


def _partition(metadata: TableMetadata) -> Columns:
    # As in Iceberg, a table without partitions has no such column: not every engine knows an empty struct.
    fields = tuple((field.name, partition_type(field.kind)) for field in united(metadata))
    return (("partition", _struct(fields)),) if fields else ()


def _metrics(schema: Schema) -> Columns:
    parts: list[tuple[str, str]] = []
    for name, field in measured(schema):
        kind = bound_type(field.field_type)
        counts = ("column_size", "value_count", "null_value_count", "nan_value_count")
        facts = (*((count, "BIGINT") for count in counts), ("lower_bound", kind), ("upper_bound", kind))
        parts.append((name, _struct(facts)))
    return (("readable_metrics", _struct(tuple(parts))),) if parts else ()


def _struct(fields: Columns) -> str:
    return f"STRUCT({', '.join(f'{quote(name)} {kind}' for name, kind in fields)})"
