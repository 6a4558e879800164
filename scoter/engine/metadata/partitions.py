"""The partition fields of all of a table's specs, united, as metadata tables show them.

This module must not know files or manifests.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.partitioning import PartitionField
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import VoidTransform
from pyiceberg.types import IcebergType, UnknownType


@dataclass(frozen=True)
class Field:
    """One partition field: its id, the name it is shown under, and the type of its values."""

    field_id: int
    name: str
    kind: IcebergType


def united(metadata: TableMetadata) -> tuple[Field, ...]:
    """Return the partition fields of all specs by their ids, each under its latest name.

    A later field of a name that is taken gets its id behind the name. A field that was dropped keeps the type that
    it had.
    """
    found: dict[int, PartitionField] = {}
    for _, spec in sorted(metadata.specs().items(), reverse=True):
        for field in spec.fields:
            known = found.setdefault(field.field_id, field)
            if isinstance(known.transform, VoidTransform):
                found[field.field_id] = field.model_copy(update={"name": known.name})
    fields: list[Field] = []
    taken: set[str] = set()
    for field_id, field in sorted(found.items()):
        name = field.name if field.name.casefold() not in taken else f"{field.name}_{field_id}"
        taken.add(name.casefold())
        fields.append(Field(field_id, name, result_type(field, metadata)))
    return tuple(fields)


def result_type(field: PartitionField, metadata: TableMetadata) -> IcebergType:
    """Return the type of a partition field's values, also where its source column was dropped."""
    for schema in _schemas(metadata):
        source = schema._lazy_id_to_field.get(field.source_id)  # noqa: SLF001  # its public form raises
        if source is not None:
            return field.transform.result_type(source.field_type)
    return UnknownType()


def _schemas(metadata: TableMetadata) -> list[Schema]:
    current = metadata.schema()
    return [current, *(schema for schema in reversed(metadata.schemas) if schema is not current)]
