"""From a pinned table to the SQL that reads it: which files, which columns, what the planner is told.

This module must not know statements, sessions or connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.name_mapping import NameMapping, create_mapping_from_schema, parse_mapping_from_json
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import NestedField
from sqlglot import exp

from scoter.catalog.manifests import DataFiles, DeleteKind, Ints, Manifests, Recent
from scoter.catalog.objects.reading import WHOLE
from scoter.engine.scanning.deletes import Deleted, Deletes, where
from scoter.engine.scanning.equality import Against, LayoutOf, applicable, compared, left
from scoter.engine.scanning.layout import Layout, Layouts, refuse_ambiguous, refuse_row_number
from scoter.engine.scanning.paths import PREFIX, object_named, readable
from scoter.engine.scanning.projection import Projection, Source, field_map, missing, project
from scoter.engine.scanning.pruning import kept_files
from scoter.engine.scanning.statistics import statistics
from scoter.engine.types import duckdb_type, literal, quote
from scoter.errors import CorruptData, NotSupported, UndefinedSnapshot

_LONG = 16_384  # characters of SQL that count as one scan kept
_NAME_MAPPING = "schema.name-mapping.default"
# Without can_have_nan DuckDB prunes row groups by bounds that leave NaN out, and loses NaN rows.
_OPTIONS = "hive_partitioning = false, can_have_nan = true"


@dataclass(frozen=True)
class Scan:
    """How one table is read by one statement.

    ``sql`` stands in FROM and yields the columns of the table's schema that are asked for, in order,
    under DuckDB's types. ``rows`` and ``bytes`` are those of the files that are read, before any filter,
    without deleted rows. ``note`` says for EXPLAIN how files are matched with the schema, and which share
    of the delete files applies to files that are read. ``objects`` are paths and bytes of the files that lie
    in object stores and are small enough to be fetched whole, in the order in which they are read.
    """

    sql: str
    files: int
    files_total: int
    rows: int
    bytes: int
    bytes_total: int
    note: str
    objects: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class _Group:
    """Files that one SELECT reads; of a file with ``deleted`` rows, all but these; none that ``against`` names."""

    projection: Projection
    files: Ints
    deleted: Ints | None = None
    against: Against = ()


class Scans:
    """Builds scans; footers, manifests and finished scans are kept."""

    def __init__(self, manifests: Manifests, *, kept: int = 4096) -> None:
        """Plan from ``manifests`` and keep up to ``kept`` finished scans, fewer where they are long."""
        self._manifests = manifests
        self._layouts = Layouts()
        self._deletes = Deletes(manifests.real)
        self._scans: Recent[tuple[object, ...], Scan] = Recent(
            kept, weigh=lambda scan: 1 + len(scan.sql) // _LONG
        )

    def build(
        self,
        metadata: TableMetadata,
        snapshot_id: int | None,
        predicate: exp.Expr | None = None,
        columns: frozenset[str] | None = None,
        *,
        name: str = "the table",
        schema: Schema | None = None,
    ) -> Scan:
        """Return the scan of a snapshot under its own schema, or of the current one under the current.

        ``predicate`` must hold for every row that matters, with columns not qualified; files that can
        not satisfy it are left out. ``columns`` are the names that the statement uses: only these are
        read, or the table's first column where it uses none. ``name`` stands in messages. ``schema`` is the one to read
        under where it is another than said, as a branch is read under the table's current schema.

        Raises UndefinedSnapshot, NotSupported (other formats than Parquet, names that
        differ by case only, deletes on nested columns), CorruptData (files that do not fit their metadata).
        """
        if schema is None:
            schema = schema_at(metadata, snapshot_id)
        used = None if columns is None else frozenset(column.casefold() for column in columns)
        key = (
            metadata.table_uuid,
            metadata.location,
            snapshot_id if snapshot_id is not None else metadata.current_snapshot_id,
            schema.schema_id,
            metadata.properties.get(_NAME_MAPPING),
            None if predicate is None else predicate.sql("duckdb"),
            used,
        )
        found = self._scans.get(key)
        if found is None:
            refuse_ambiguous([field.name for field in schema.fields], name)
            files = self._manifests.files(metadata, snapshot_id)
            refuse_unreadable(files, name)
            kept = kept_files(files, metadata, schema, predicate)
            deleted = self._deletes.of(files, kept, lambda: self._manifests.io_for(metadata))
            against = applicable(files, kept, metadata)
            table = _Table(metadata, compared(metadata, schema, against.values(), name), name)
            groups = self._groups(table, files, kept, deleted, against) if len(kept) else []
            found = _scan(
                table.schema,
                files,
                kept,
                groups,
                _wanted(schema, used),
                deleted,
                partial(self._layout, table),
            )
            self._scans.put(key, found)
        return found

    def _layout(self, table: _Table, path: str) -> Layout:
        (found,) = self._layouts.of([path], lambda: self._manifests.io_for(table.metadata))
        return table.identified(found)

    def _groups(
        self,
        table: _Table,
        files: DataFiles,
        kept: Ints,
        deleted: Deleted,
        against: Mapping[int, Against],
    ) -> list[_Group]:
        metadata = table.metadata
        layouts = self._layouts.of(list(files.paths[kept]), lambda: self._manifests.io_for(metadata))
        identity = _identity_fields(metadata)
        distinct = {id(layout): layout for layout in layouts}
        known = {key: table.identified(layout) for key, layout in distinct.items()}
        absent = {key: missing(table.schema, layout) for key, layout in known.items()}
        alike: dict[tuple[int, tuple[tuple[int, Any], ...]], list[int]] = {}
        for number, layout in zip(kept.tolist(), layouts, strict=True):
            lacks = absent[id(layout)]
            values = tuple(_constants(files, number, identity, lacks).items()) if lacks else ()
            alike.setdefault((id(layout), values), []).append(number)
        # Files that are read by the same expressions share one SELECT, whatever else they hold.
        merged: dict[tuple[Source, ...], tuple[Projection, list[int]]] = {}
        for (layout_id, values), numbers in alike.items():
            projection = project(table.schema, known[layout_id], dict(values))
            table.refuse_by_id(distinct[layout_id], projection)
            if any(number in deleted.positions for number in numbers):
                refuse_row_number(distinct[layout_id], table.schema, table.name)
            merged.setdefault(projection.sources, (projection, []))[1].extend(numbers)
        made = []
        for projection, numbers in merged.values():
            clean: dict[Against, list[int]] = {}
            for number in sorted(numbers):
                compares = against.get(number, ())
                if number in deleted.positions:
                    made.append(_Group(projection, np.array([number]), deleted.positions[number], compares))
                else:
                    clean.setdefault(compares, []).append(number)
            made += [_Group(projection, np.array(held), None, compares) for compares, held in clean.items()]
        return sorted(made, key=lambda group: -int(files.rows[group.files].sum()))


@dataclass(frozen=True, eq=False)
class _Table:
    metadata: TableMetadata
    schema: Schema
    name: str

    def identified(self, layout: Layout) -> Layout:
        """Return the layout with field ids, its own or those of the table's name mapping."""
        if layout.identified:
            return layout
        mapping = self.metadata.properties.get(_NAME_MAPPING)
        if mapping is None:
            if self._plainly_named(layout):
                return layout.named(create_mapping_from_schema(self.metadata.schema()))
            raise NotSupported(
                f"{self.name} has data files without field ids, and no name mapping says which column is which",
                hint=f"set the table property {_NAME_MAPPING}",
            )
        return layout.named(_name_mapping(mapping))

    def _plainly_named(self, layout: Layout) -> bool:
        """Say whether names leave no doubt: no column was ever changed, and the file has all of them in order."""
        fields = self.metadata.schema().fields
        return (
            len(self.metadata.schemas) == 1
            and self.metadata.last_column_id == len(fields)
            and all(field.field_type.is_primitive for field in fields)
            and [field.field_id for field in fields] == list(range(1, len(fields) + 1))
            and [field.name for field in fields] == [column.name for column in layout.columns]
        )

    def refuse_by_id(self, layout: Layout, projection: Projection) -> None:
        """Raise NotSupported where only a read by field id is right and the file has none."""
        if projection.by_id and not layout.identified:
            raise NotSupported(
                f"{self.name} has data files without field ids, and fields inside a column were renamed since",
                hint="rewrite these files with another engine",
            )


def _wanted(schema: Schema, used: frozenset[str] | None) -> frozenset[int]:
    """Return the ids of the columns to read: the used ones, at least one, or all where any may be used."""
    wanted = [field for field in schema.fields if used is None or field.name.casefold() in used]
    return frozenset(field.field_id for field in wanted or schema.fields[:1])


def _scan(
    schema: Schema,
    files: DataFiles,
    kept: Ints,
    groups: list[_Group],
    wanted: frozenset[int],
    deleted: Deleted,
    layout_of: LayoutOf,
) -> Scan:
    if groups:
        sql = " UNION ALL ".join(_select(schema, files, group, wanted, layout_of) for group in groups)
        note = _note(groups)
    else:
        sql = _empty(schema, wanted)
        note = "every file was pruned" if len(files) else "the table has no files"
    if files.deletes:
        compares = {delete for group in groups for delete in group.against}
        note += f"  delete files {deleted.files + len(compares)} of {len(files.deletes)}"
    objects = _objects(files, groups)
    if objects is not None:
        note += f"  read through the cache of objects, {len(objects)} files ahead"
    left_out = sum(len(group.deleted) for group in groups if group.deleted is not None)
    return Scan(
        sql=f"({sql})",
        files=len(kept),
        files_total=len(files),
        rows=max(int(files.rows[kept].sum()) - left_out, 0),
        bytes=int(files.bytes[kept].sum()),
        bytes_total=int(files.bytes.sum()),
        note=note,
        objects=objects or (),
    )


def _objects(files: DataFiles, groups: list[_Group]) -> tuple[tuple[str, int], ...] | None:
    """Return path and bytes of the small files of object stores, None where no file lies in one."""
    names = [name for group in groups for name in _ordered_paths(files, group.files)]
    named = [object_named(name) for name in names if name.startswith(PREFIX)]
    if not named:
        return None
    return tuple((path, size) for path, size in named if size is not None and size <= WHOLE)


def schema_at(metadata: TableMetadata, snapshot_id: int | None) -> Schema:
    """Return the schema of a snapshot given by id, else the table's current schema.

    Raises UndefinedSnapshot for an unknown id.
    """
    if snapshot_id is None:
        return metadata.schema()
    snapshot = metadata.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise UndefinedSnapshot(f"the table has no snapshot {snapshot_id}")
    found = metadata.schema_by_id(snapshot.schema_id) if snapshot.schema_id is not None else None
    return found or metadata.schema()


def refuse_unreadable(files: DataFiles, name: str) -> None:
    """Raise NotSupported for misplaced deletes and for files that are not Parquet."""
    compact = "compact the table with the engine that wrote them"
    for delete in files.deletes:
        if delete.misplaced:
            raise NotSupported(f"{name} has {delete.kind} in a manifest of data files", hint=compact)
        if delete.kind != DeleteKind.VECTOR and delete.format != "PARQUET":
            raise NotSupported(f"{name} has {delete.kind} of format {delete.format}", hint=compact)
    others = {str(kind) for kind in files.formats if kind != "PARQUET"}
    if others:
        raise NotSupported(f"{name} has data files of format {min(others)}; only Parquet can be read")


@lru_cache(maxsize=256)
def _name_mapping(text: str) -> NameMapping:
    try:
        return parse_mapping_from_json(text)
    except ValueError as error:
        raise CorruptData(f"the table property {_NAME_MAPPING} is not a name mapping") from error


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


def _empty(schema: Schema, wanted: frozenset[int]) -> str:
    fields = [field for field in schema.fields if field.field_id in wanted]
    columns = ", ".join(f"NULL::{duckdb_type(f.field_type)} AS {quote(f.name)}" for f in fields)
    return f"SELECT {columns} WHERE false"


def _select(
    schema: Schema, files: DataFiles, group: _Group, wanted: frozenset[int], layout_of: LayoutOf
) -> str:
    if group.against:
        inner = wanted | {field for delete in group.against for field in delete.fields}
        rows = _select(schema, files, replace(group, against=()), inner, layout_of)
        columns = [quote(field.name) for field in schema.fields if field.field_id in wanted]
        return left(rows, columns, schema, group.against, layout_of)
    pairs = zip(schema.fields, group.projection.sources, strict=True)
    output = [(field, source) for field, source in pairs if field.field_id in wanted]
    items = ", ".join(
        source.expression
        if source.expression == quote(field.name)
        else f"{source.expression} AS {quote(field.name)}"
        for field, source in output
    )
    paths = ", ".join(literal(path) for path in _ordered_paths(files, group.files))
    if group.projection.by_id:
        options = f"schema = {field_map(schema)}, can_have_nan = true"
    else:
        options = _by_name(files, group.files, output)
    condition = "" if group.deleted is None else f" WHERE {where(group.deleted)}"
    return f"SELECT {items} FROM read_parquet([{paths}], {options}){condition}"


def _by_name(files: DataFiles, numbers: Ints, output: list[tuple[NestedField, Source]]) -> str:
    if len(numbers) == 1 and all(source.natural for _, source in output):
        return _OPTIONS
    bound, told = [], []
    for field, source in output:
        if source.column is None:
            continue
        bound.append(f"{literal(source.column)}: {literal(source.bound)}")
        # Of a single file DuckDB knows the statistics already.
        if len(numbers) > 1 and source.expression == quote(source.column):
            known = statistics(files, numbers, field, source.column)
            if known is not None:
                told.append(known)
    options = _OPTIONS
    if bound:
        options += f", bound_schema = {{{', '.join(bound)}}}"
        if told:
            options += f", column_statistics = {{{', '.join(told)}}}"
    return options


def _ordered_paths(files: DataFiles, numbers: Ints) -> list[str]:
    """Return the paths to open, first the file whose rows are nearest to the mean.

    DuckDB takes the first file's rows times the number of files as its estimate.
    """
    rows = files.rows[numbers]
    first = int(np.argmin(np.abs(rows - rows.mean())))
    order = [first, *(i for i in range(len(numbers)) if i != first)]
    return [readable(str(files.paths[numbers[i]]), int(files.bytes[numbers[i]])) for i in order]


def _note(groups: list[_Group]) -> str:
    if any(group.projection.by_id for group in groups):
        how = "columns matched by field id"
    elif len(groups) > 1 or not groups[0].projection.direct:
        how = "columns cast per physical schema"
    else:
        return "columns matched by name"
    reasons = [group.projection.reason for group in groups if group.projection.reason]
    return f"{how}, because {reasons[0]}" if reasons else how
