"""From a pinned table to the SQL that reads it: which files, which columns, what the planner is told.

This module must not know statements, sessions or connections.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np
import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.data_files import DataFiles, DeleteKind, Ints
from scoter.catalog.fetching import Check, unchecked
from scoter.catalog.manifests import Manifests
from scoter.catalog.recent import Recent
from scoter.engine.scanning.deletes import Deletes, Query
from scoter.engine.scanning.equality import applicable, compared
from scoter.engine.scanning.grouping import NAME_MAPPING, Group, ReadTable, grouped
from scoter.engine.scanning.layout import Layout, Layouts, refuse_ambiguous
from scoter.engine.scanning.lineage import are_hidden, refuse_hiding, with_hidden
from scoter.engine.scanning.masks import masked
from scoter.engine.scanning.paths import objects_ahead
from scoter.engine.scanning.pruning import kept_files
from scoter.engine.scanning.removed import Removed
from scoter.engine.scanning.selecting import Reading, as_many
from scoter.engine.scanning.statistics import distinct_values
from scoter.engine.scanning.stored import StoredFiles
from scoter.errors import CorruptData, NotSupported, UndefinedSnapshot

_LONG = 16_384  # characters of SQL that count as one scan kept
_DIGESTS = 256  # metadata whose digest is kept


@dataclass(frozen=True)
class Scan:
    """How one table is read by one statement.

    ``sql`` stands in FROM and yields the columns of the table's schema that are asked for, in order,
    under DuckDB's types. ``rows`` and ``bytes`` are those of the files that are read, before any filter,
    without deleted rows. ``note`` says for EXPLAIN how files are matched with the schema, and which share
    of the delete files applies to files that are read. ``removed`` are deleted positions: ``sql`` reads
    each as a table under its name, which ``Scans.tables`` gives. ``objects`` are paths and bytes of the files
    that lie in object stores and are small enough to be fetched whole, in the order in which they are read. ``stored``
    reads the same rows without SQL, where that can be.
    """

    sql: str
    files: int
    files_total: int
    rows: int
    bytes: int
    bytes_total: int
    note: str
    removed: tuple[Removed, ...] = ()
    objects: tuple[tuple[str, int], ...] = ()
    stored: StoredFiles | None = None


class Scans:
    """Builds scans; footers, manifests and finished scans are kept."""

    def __init__(self, manifests: Manifests, *, threads: int = 1, kept: int = 4096) -> None:
        """Plan from ``manifests`` for statements of so many ``threads``.

        Up to ``kept`` finished scans are kept, fewer where they are long.
        """
        self._manifests = manifests
        self._threads = threads
        self._layouts = Layouts()
        self._deletes = Deletes(manifests.real)
        self._digests: Recent[int, tuple[TableMetadata, bytes]] = Recent(_DIGESTS)
        self._scans: Recent[tuple[object, ...], Scan] = Recent(kept, weigh=_weight)

    def build(
        self,
        metadata: TableMetadata,
        snapshot_id: int | None,
        predicate: exp.Expr | None = None,
        columns: frozenset[str] | None = None,
        *,
        name: str = "the table",
        schema: Schema | None = None,
        added: bool = False,
        hidden: Collection[str] = (),
        only: frozenset[str] | None = None,
        is_summed: bool = False,
        check: Check = unchecked,
    ) -> Scan:
        """Return the scan of a snapshot under its own schema, or of the current one under the current.

        ``predicate`` must hold for every row that matters, with columns not qualified; files that can
        not satisfy it are left out. ``columns`` are the names that the statement uses: only these are
        read, or the table's first column where it uses none. ``name`` stands in messages. ``schema`` is the
        one to read under where it is another than said, as a branch is read under the table's current schema.
        With ``added`` only the rows that the snapshot added are read, which it must not have removed any
        beside. ``hidden`` are columns beside those of the table that are wanted too. ``only`` are the locations of
        the files to read, all of which must be there. ``is_summed`` says that the statement sums up the rows and
        reads nothing else, in any order. ``check`` is called while files are read, and may raise.

        Raises UndefinedSnapshot, NotSupported (other formats than Parquet, names that
        differ by case only, deletes on nested columns), CorruptData (files that do not fit their metadata).
        """
        if schema is None:
            schema = schema_at(metadata, snapshot_id)
        distinct = distinct_values(metadata, snapshot_id)
        used = None if columns is None else frozenset(column.casefold() for column in columns)
        number = snapshot_id if snapshot_id is not None else metadata.current_snapshot_id
        snapshot = None if number is None else metadata.snapshot_by_id(number)
        # Not by the table's uuid and numbers: metadata of another writer may hold any.
        key = (
            self._digest(metadata),
            number,
            None if snapshot is None else snapshot.manifest_list,
            schema.schema_id,
            metadata.properties.get(NAME_MAPPING),
            None if predicate is None else predicate.sql("duckdb"),
            used,
            added,
            tuple(sorted(hidden)),
            tuple(distinct.items()),
            is_summed,
        )
        found = self._scans.get(key) if only is None else None
        if found is None:
            refuse_ambiguous([field.name for field in schema.fields], name)
            if added and snapshot_id is not None:
                files = self._manifests.added(metadata, snapshot_id, check)
            else:
                files = self._manifests.files(metadata, snapshot_id, check)
            refuse_unreadable(files, name)
            kept = kept_files(files, metadata, schema, predicate)
            if only is not None:
                kept = _only(files, kept, only, name)
            io_for = partial(self._manifests.io_for, metadata)
            deleted = self._deletes.of(files, kept, io_for, check)
            against = applicable(files, kept, metadata)
            if hidden:
                schema = with_hidden(schema, hidden)
            table = ReadTable(metadata, compared(metadata, schema, against.deletes, name), name)
            layouts = self._layouts.of(list(files.paths[kept]), io_for, check)
            if hidden:
                refuse_hiding(layouts, schema, name)
            groups = grouped(table, files, kept, layouts, deleted.held, against.scopes)
            wanted = _wanted(schema, used)
            if is_summed and files.deletes and (wanted or against.scopes):
                numbered = not are_hidden(layouts, table.schema)
                better = masked(
                    files,
                    groups,
                    self._threads,
                    self._layouts,
                    metadata,
                    table.schema,
                    predicate,
                    numbered=numbered,
                )
                groups = better or groups
            layout_of = partial(self._layout, table)
            reading = Reading(table.schema, files, deleted, against, self._layouts, layout_of, distinct)
            found = _scan(reading, kept, groups, wanted)
            if only is None:
                self._scans.put(key, found)
        return found

    def tables(
        self,
        wanted: Iterable[Removed],
        open_with: Callable[[], FileIO],
        check: Check = unchecked,
        query: Query | None = None,
    ) -> dict[str, pa.Table]:
        """Return what a scan's SQL reads under names of its own.

        ``query`` runs SQL that reads data files; without it the tables are good for planning only. ``check`` is
        called while files are read, and may raise. Raises as ``build``, and what ``query`` raises.
        """
        return {one.name: self._deletes.table(one, open_with, query, check) for one in wanted}

    def _digest(self, metadata: TableMetadata) -> bytes:
        """Return what all schemas and partition specs come to, reckoned once for each metadata at hand."""
        found = self._digests.get(id(metadata))
        if found is None:
            parts = (*metadata.schemas, *metadata.partition_specs)
            text = "\n".join((str(metadata.format_version), *(part.model_dump_json() for part in parts)))
            # Held, so that no other metadata gets its id.
            found = (metadata, sha256(text.encode()).digest())
            self._digests.put(id(metadata), found)
        return found[1]

    def _layout(self, table: ReadTable, path: str) -> Layout:
        (found,) = self._layouts.of([path], lambda: self._manifests.io_for(table.metadata))
        return table.identified(found)


def _only(files: DataFiles, kept: Ints, locations: frozenset[str], name: str) -> Ints:
    """Return those of the files that have the locations; raises CorruptData unless there is one for each."""
    some = np.array([n for n in kept.tolist() if str(files.locations[n]) in locations], dtype=np.int64)
    if len(some) != len(locations):
        raise CorruptData(f"{name} holds a data file twice")
    return some


def _wanted(schema: Schema, used: frozenset[str] | None) -> frozenset[int]:
    """Return the ids of the columns to read: the used ones, or all where any may be used."""
    wanted = (field for field in schema.fields if used is None or field.name.casefold() in used)
    return frozenset(field.field_id for field in wanted)


def _weight(scan: Scan) -> int:
    names = sum(len(held.place) for one in scan.removed for held in one.files)
    return 1 + (len(scan.sql) + names) // _LONG


def _scan(reading: Reading, kept: Ints, groups: list[Group], wanted: frozenset[int]) -> Scan:
    files, deleted = reading.files, reading.deleted
    removed: dict[str, Removed] = {}
    # Of a table that only has to be counted one column stands for the rows.
    read = wanted or frozenset(field.field_id for field in reading.schema.fields[:1])
    if groups:
        parts = [reading.select(group, read, counted=not wanted) for group in groups]
        sql = " UNION ALL ".join(text for text, _ in parts)
        removed = {one.name: one for _, one in parts if one is not None}
        note = _note(groups)
    else:
        sql = as_many(reading.schema, read, 0)
        note = "every file was pruned" if len(files) else "the table has no files"
    if files.deletes:
        applied = deleted.files + sum(1 for _ in reading.against.deletes)
        note += f"  delete files {applied} of {len(files.deletes)}"
    objects = objects_ahead(files, (group.files for group in groups))
    if objects is not None:
        note += f"  read through the cache of objects, {len(objects)} files ahead"
    return Scan(
        sql=f"({sql})",
        files=len(kept),
        files_total=len(files),
        rows=max(int(files.rows[kept].sum()) - sum(deleted.rows.values()), 0),
        bytes=int(files.bytes[kept].sum()),
        bytes_total=int(files.bytes.sum()),
        note=note,
        removed=tuple(removed.values()),
        objects=objects or (),
        stored=reading.stored(groups[0], wanted) if len(groups) == 1 else None,
    )


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


def _note(groups: list[Group]) -> str:
    if any(group.projection.by_id for group in groups):
        how = "columns matched by field id"
    elif len({id(group.projection) for group in groups}) > 1 or not groups[0].projection.direct:
        how = "columns cast per physical schema"
    else:
        return "columns matched by name"
    reasons = [group.projection.reason for group in groups if group.projection.reason]
    return f"{how}, because {reasons[0]}" if reasons else how
