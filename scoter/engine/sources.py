"""From a table's name to what it stands for, from metadata only.

This module must not know models, nor which tables a statement names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.lake import Lake
from scoter.catalog.lookup import Found
from scoter.catalog.names import TableName
from scoter.engine.changes import COLUMNS as CHANGE_COLUMNS
from scoter.engine.changes import called_parts, changes_meant, is_changes
from scoter.engine.metadata.tables import OF_A_SNAPSHOT, metadata_table
from scoter.engine.naming import Reading, Ref
from scoter.engine.plan import ViewPin
from scoter.engine.resolved import Source
from scoter.engine.statements import span_of
from scoter.engine.travel import schema_of, snapshot_meant
from scoter.engine.virtual import VIRTUAL_SCHEMAS, VirtualTable, virtual_table, virtual_tables
from scoter.errors import AmbiguousName, NotSupported, ScoterError, UndefinedSnapshot, UndefinedTable
from scoter.suggestions import closest


def chosen(node: exp.Table, ways: Sequence[Reading], found: dict[TableName, Found], lake: Lake) -> Reading:
    """Return what a table node means, of the ways to read its name; raises AmbiguousName, UndefinedTable."""
    there = [
        way
        for way in ways
        if way.name in found
        or (way.name.schema.casefold() in VIRTUAL_SCHEMAS and virtual_table(way.name.schema, way.name.name))
    ]
    # A table that is called like a branch is the table.
    there = [way for way in there if way.ref is None] or there
    # Catalog, schema and table written out leave no doubt.
    if len(there) > 1 and _table_parts(node, there[0]) < 3:
        raise AmbiguousName(
            f"{node.sql(dialect='duckdb')} can be read as {there[0]} and as {there[1]}",
            hint="write catalog.schema.table",
            span=span_of(node),
        )
    if there:
        return there[0]
    raise undefined(ways[0].name, node, lake)


def _table_parts(node: exp.Table, way: Reading) -> int:
    """Return how many parts of a name are the table's."""
    if is_changes(node):
        return len(called_parts(node))
    last = node.parts[-1].name.casefold()
    return len(node.parts) - (way.ref is not None or last == way.suffix)


def undefined(name: TableName, node: exp.Table | None, lake: Lake) -> ScoterError:
    """Return the error for a table that does not exist, with its place."""
    error = lake.undefined(name) if name.schema.casefold() not in VIRTUAL_SCHEMAS else _unknown_virtual(name)
    error.span = span_of(node)
    return error


def _unknown_virtual(name: TableName) -> UndefinedTable:
    schema = name.schema.casefold()
    known = [table.name for table in virtual_tables() if table.schema == schema]
    hint = closest(name.name, known) or f"there are: {', '.join(sorted(known))}"
    return UndefinedTable(f"table {schema}.{name.name} does not exist", hint=hint)


def view_source(pin: ViewPin) -> Source:
    """Return a view as it is looked at: its columns."""
    about = VirtualTable(pin.name.schema, pin.name.name, pin.columns)
    return Source(pin.name, None, None, None, False, None, about)


def source_of(
    node: exp.Table,
    reading: Reading,
    there: dict[TableName, Found],
    lake: Lake,
    at: Callable[[exp.Expr], int | None],
) -> Source:
    """Return what a name stands for; ``at`` gives the milliseconds of an expression's time.

    Raises NotSupported for a version of what has none, UndefinedSnapshot.
    """
    name = reading.name
    travelled = node.args.get("version") or node.args.get("when")
    if is_changes(node):
        return _changes(node, name, there, lake, at)
    if name not in there:
        if travelled:
            raise NotSupported(f"{name} has no versions", span=span_of(node))
        own = TableName(name.catalog, name.schema.casefold(), name.name.casefold())
        return Source(own, None, None, None, False, None, virtual_table(own.schema, own.name))
    name, location = there[name].name, there[name].location
    metadata = lake.metadata(location)
    if travelled and reading.suffix and reading.suffix not in OF_A_SNAPSHOT:
        raise NotSupported(f"{reading} has no versions", span=span_of(node))
    snapshot_id, branch = metadata.current_snapshot_id, True
    if travelled:
        if reading.ref is not None:
            _require_ref(reading.ref, name, metadata, node)
        snapshot_id, branch = snapshot_meant(node, travelled, metadata, at)
    schema = metadata.schema() if branch or snapshot_id is None else schema_of(metadata, snapshot_id)
    about = metadata_table(reading.suffix, metadata, schema) if reading.suffix else None
    return Source(name, location, metadata, snapshot_id, not branch, schema, about)


def _require_ref(ref: Ref, name: TableName, metadata: TableMetadata, node: exp.Table) -> None:
    found = metadata.refs.get(ref.name)
    kind = None if found is None else str(found.snapshot_ref_type)
    if kind == ref.kind:
        return
    other = None if kind is None else Reading(name, ref=Ref(kind, ref.name))
    raise UndefinedSnapshot(
        f"{name} has no {ref.kind} '{ref.name}'",
        hint=f"it is a {kind}: {other}" if other else closest(ref.name, [*metadata.refs]),
        span=span_of(node),
    )


def _changes(
    node: exp.Table,
    name: TableName,
    there: dict[TableName, Found],
    lake: Lake,
    at: Callable[[exp.Expr], int | None],
) -> Source:
    span = span_of(node) or span_of(node.this)
    if name not in there:
        raise NotSupported(f"{name} has no changes", span=span)
    found = there[name]
    metadata = lake.metadata(found.location)
    last, now, changes = changes_meant(node, metadata, at)
    schema = metadata.schema() if now or last is None else schema_of(metadata, last)
    taken = {field.name.casefold() for field in schema.fields}.intersection(
        column for column, _ in CHANGE_COLUMNS
    )
    if taken:
        raise NotSupported(f"{found.name} has a column {min(taken)} of its own", span=span)
    return Source(found.name, found.location, metadata, last, not now, schema, None, changes)
