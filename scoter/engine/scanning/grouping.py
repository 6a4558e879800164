"""Which data files of a scan are read by one SELECT: those whose columns are found alike, and deletes treated alike.

This module must not know predicates, nor what delete files hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pyiceberg.schema import Schema, index_name_by_id
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.name_mapping import NameMapping, create_mapping_from_schema, parse_mapping_from_json
from pyiceberg.transforms import IdentityTransform

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.scanning.layout import Layout, hides_numbers, refuse_row_number
from scoter.engine.scanning.projection import Projection, Source, missing, project
from scoter.errors import CorruptData, NotSupported

NAME_MAPPING = "schema.name-mapping.default"
# To join a file's rows with its deleted positions alone is faster than with those of all files, until
# there are so many SELECTs that to plan them costs more.
_LARGE = 200_000
_MOST_ALONE = 32


@dataclass(frozen=True, eq=False)
class Group:
    """Files that one SELECT reads: of ``removed`` ones not the deleted positions, of ``compared`` not the values.

    ``is_masked`` ones have neither of them: a mask leaves these rows out.
    """

    projection: Projection
    files: Ints
    removed: bool = False
    compared: bool = False
    is_masked: bool = False


@dataclass(frozen=True, eq=False)
class ReadTable:
    """A table under the schema that it is read with; ``name`` stands in messages."""

    metadata: TableMetadata
    schema: Schema
    name: str

    def identified(self, layout: Layout) -> Layout:
        """Return the layout with field ids: its own, those of names that leave no doubt, or the name mapping's."""
        if layout.identified:
            return layout
        if self._plainly_named(layout):
            # Hive's tables have mappings, made when they became Iceberg's, with ids that their schema has not.
            return layout.named(create_mapping_from_schema(self.metadata.schema()))
        mapping = self.metadata.properties.get(NAME_MAPPING)
        if mapping is None:
            raise NotSupported(
                f"{self.name} has data files without field ids, and no name mapping says which column is which",
                hint=f"set the table property {NAME_MAPPING}",
            )
        return layout.named(_name_mapping(mapping))

    def _plainly_named(self, layout: Layout) -> bool:
        """Say whether names leave no doubt: no field was ever changed, and the file has all of them."""
        schema = self.metadata.schema()
        known = index_name_by_id(schema)
        return (
            len(self.metadata.schemas) == 1
            and self.metadata.last_column_id == len(known)
            and sorted(known) == list(range(1, len(known) + 1))
            and [field.name for field in schema.fields] == [column.name for column in layout.columns]
            and sorted(known.values()) == sorted(layout.names())
        )

    def refuse_by_id(self, layout: Layout, projection: Projection) -> None:
        """Raise NotSupported where only a read by field id is right and the file has none."""
        if projection.by_id and not layout.identified:
            raise NotSupported(
                f"{self.name} has data files without field ids, and fields inside a column were renamed since",
                hint="rewrite these files with another engine",
            )


def grouped(
    table: ReadTable,
    files: DataFiles,
    kept: Ints,
    layouts: Sequence[Layout],
    removed: Collection[int],
    compared: Collection[int],
) -> list[Group]:
    """Return the ``kept`` files, whose layouts are given, in as few groups as can be; the largest first.

    ``removed`` are the numbers of files with deleted positions, ``compared`` of those that equality
    deletes apply to. Raises as ``project``, and NotSupported where a column hides the numbers of rows.
    """
    identity = _identity_fields(table.metadata)
    distinct = {id(layout): layout for layout in layouts}
    known = {key: table.identified(layout) for key, layout in distinct.items()}
    absent = {key: missing(table.schema, layout) for key, layout in known.items()}
    alike: dict[tuple[int, tuple[tuple[int, Any], ...]], list[int]] = {}
    for number, layout in zip(kept.tolist(), layouts, strict=True):
        lacks = absent[id(layout)]
        values = tuple(_constants(files, number, identity, lacks).items()) if lacks else ()
        alike.setdefault((id(layout), values), []).append(number)
    apart = {number for number in removed if number not in compared and files.rows[number] >= _LARGE}
    if len(apart) > _MOST_ALONE:
        apart = set()
    # Files that are read by the same expressions share one SELECT, whatever else they hold.
    merged: dict[tuple[Source, ...], tuple[Projection, list[int]]] = {}
    named = any(field.name.casefold() == "file_index" for field in table.schema.fields)
    for (layout_id, values), numbers in alike.items():
        projection = project(table.schema, known[layout_id], dict(values))
        table.refuse_by_id(distinct[layout_id], projection)
        if any(number in removed for number in numbers):
            refuse_row_number(distinct[layout_id], table.schema, table.name)
        if named or hides_numbers(distinct[layout_id]):
            apart |= {number for number in numbers if number in removed or number in compared}
        merged.setdefault(projection.sources, (projection, []))[1].extend(numbers)
    made = []
    for projection, numbers in merged.values():
        held: dict[tuple[bool, bool, int], list[int]] = {}
        for number in sorted(numbers):
            alone = number if number in apart else -1
            held.setdefault((number in removed, number in compared, alone), []).append(number)
        made += [Group(projection, np.array(found), *key[:2]) for key, found in held.items()]
    return sorted(made, key=lambda group: -int(files.rows[group.files].sum()))


@lru_cache(maxsize=256)
def _name_mapping(text: str) -> NameMapping:
    try:
        return parse_mapping_from_json(text)
    except ValueError as error:
        raise CorruptData(f"the table property {NAME_MAPPING} is not a name mapping") from error


def _identity_fields(metadata: TableMetadata) -> dict[int, list[tuple[int, int]]]:
    """Return for each partition spec the (position, source field id) of its identity fields."""
    return {
        spec.spec_id: [
            (position, field.source_id)
            for position, field in enumerate(spec.fields)
            if isinstance(field.transform, IdentityTransform)
        ]
        for spec in metadata.specs().values()
    }


def _constants(
    files: DataFiles, number: int, identity: Mapping[int, list[tuple[int, int]]], absent: frozenset[int]
) -> dict[int, Any]:
    spec = int(files.spec_ids[number])
    values = files.partitions.get(spec, ())
    return {
        source: values[position][number]
        for position, source in identity.get(spec, [])
        if source in absent and position < len(values)
    }
