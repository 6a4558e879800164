"""Rows that are deleted by the values of some columns: which delete files apply, and the SQL that leaves them out.

This module must not know positions, predicates or who reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import ListType, MapType, NestedField, StructType

from scoter.catalog.manifests import DataFiles, DeleteFile, DeleteKind, Ints
from scoter.engine.scanning.deletes import partition_key
from scoter.engine.scanning.layout import Layout
from scoter.engine.scanning.paths import readable
from scoter.engine.scanning.projection import missing, project
from scoter.engine.types import duckdb_type, literal, quote
from scoter.errors import CorruptData, NotSupported

Against = tuple[DeleteFile, ...]
LayoutOf = Callable[[str], Layout]


def applicable(files: DataFiles, kept: Ints, metadata: TableMetadata) -> dict[int, Against]:
    """Return for each of the ``kept`` data files the equality deletes that apply to it, if any.

    https://iceberg.apache.org/spec/#scan-planning: a delete applies to data that is older than itself, of
    its own partition, or of all where its spec has no fields.
    """
    everywhere: list[DeleteFile] = []
    by_partition: dict[tuple[object, ...], list[DeleteFile]] = {}
    whole = {number for number, spec in metadata.specs().items() if spec.is_unpartitioned()}
    for delete in files.deletes:
        if delete.kind == DeleteKind.EQUALITY:
            scope = (delete.spec_id, *partition_key(delete.partition))
            (everywhere if delete.spec_id in whole else by_partition.setdefault(scope, [])).append(delete)
    if not everywhere and not by_partition:
        return {}
    found: dict[int, Against] = {}
    for number in kept.tolist():
        spec = int(files.spec_ids[number])
        partition = partition_key(values[number] for values in files.partitions.get(spec, ()))
        fit = [
            delete
            for delete in (*everywhere, *by_partition.get((spec, *partition), ()))
            if delete.sequence > files.sequences[number]
        ]
        if fit:
            found[number] = tuple(fit)
    return found


def compared(metadata: TableMetadata, schema: Schema, against: Iterable[Against], name: str) -> Schema:
    """Return ``schema`` with all fields that deletes compare; those that were dropped stand at its end.

    Raises CorruptData for a field that no schema has, NotSupported for one inside a column or of a nested type.
    """
    wanted = {field for found in against for delete in found for field in delete.fields}
    older = [field for known in reversed(metadata.schemas) for field in known.fields]
    extra: list[NestedField] = []
    for field_id in sorted(wanted):
        held = next((field for field in (*schema.fields, *older) if field.field_id == field_id), None)
        if held is None:
            if any(field_id in known._lazy_id_to_field for known in metadata.schemas):  # noqa: SLF001  # pyiceberg's map
                raise NotSupported(f"{name} has equality deletes on a field inside a column")
            raise CorruptData(f"{name} has equality deletes on a field that it never had")
        if isinstance(held.field_type, StructType | ListType | MapType):
            raise NotSupported(f"{name} has equality deletes on a column of type {held.field_type}")
        if held not in schema.fields:
            extra.append(held.model_copy(update={"name": hidden(field_id), "required": False}))
    return Schema(*schema.fields, *extra, schema_id=schema.schema_id) if extra else schema


def hidden(field_id: int) -> str:
    """Return the name under which a dropped column is read for its values to be compared."""
    return f"scoter deleted {field_id}"


def left(rows: str, columns: Sequence[str], schema: Schema, against: Against, layout_of: LayoutOf) -> str:
    """Return the SQL of ``rows`` without those that ``against`` deletes; NULL is equal to NULL.

    ``rows`` is SQL that yields at least ``columns`` and the compared fields under the names of ``schema``.
    """
    by_fields: dict[tuple[int, ...], list[DeleteFile]] = {}
    for delete in against:
        by_fields.setdefault(delete.fields, []).append(delete)
    text = f"SELECT {', '.join(f'd.{column}' for column in columns)} FROM ({rows}) AS d"
    for number, (ids, deletes) in enumerate(by_fields.items()):
        fields = [schema.find_field(field_id) for field_id in ids]
        parts = dict.fromkeys(_values(fields, delete, layout_of) for delete in deletes)
        same = " AND ".join(
            f"e{number}.c{i} IS NOT DISTINCT FROM d.{quote(field.name)}" for i, field in enumerate(fields)
        )
        text += f" ANTI JOIN ({' UNION ALL '.join(parts)}) AS e{number} ON {same}"
    return text


def _values(fields: Sequence[NestedField], delete: DeleteFile, layout_of: LayoutOf) -> str:
    own = Schema(*(field.model_copy(update={"required": False}) for field in fields))
    layout = layout_of(delete.path)
    if missing(own, layout):
        raise CorruptData("a file of equality deletes lacks a column that it compares")
    sources = project(own, layout, {}).sources
    items = ", ".join(
        f"({source.expression})::{duckdb_type(field.field_type)} AS c{i}"
        for i, (field, source) in enumerate(zip(fields, sources, strict=True))
    )
    path = literal(readable(delete.path))
    return f"SELECT {items} FROM read_parquet([{path}], hive_partitioning = false, can_have_nan = true)"
