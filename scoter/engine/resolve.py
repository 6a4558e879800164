"""Names become facts, once, from metadata only: tables, snapshots, model versions.

This module must not know who asks, and opens neither data files nor models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.lake import Lake
from scoter.catalog.lookup import Found
from scoter.catalog.model_records import ModelVersion
from scoter.catalog.models import Models
from scoter.catalog.names import ModelName, TableName
from scoter.engine.changes import COLUMNS as CHANGE_COLUMNS
from scoter.engine.changes import Change, called_parts, changes_meant, is_changes
from scoter.engine.context import Context
from scoter.engine.hidden import mentioned, settle_hidden
from scoter.engine.merging import PLACE, TARGET, expand_merge
from scoter.engine.metadata.tables import OF_A_SNAPSHOT, metadata_table
from scoter.engine.naming import Reading, Ref, is_cte, table_name
from scoter.engine.plan import ModelPin, Pins, TablePin, ViewPin
from scoter.engine.rules.pin_now import pin_now, uses_now
from scoter.engine.rules.pin_session import asks_who
from scoter.engine.scanning.lineage import hidden_columns
from scoter.engine.statements import (
    CommentOn,
    CreateTable,
    CreateView,
    DropTable,
    DropView,
    Explain,
    Merge,
    Predict,
    RegisterTable,
    RenameView,
    span_of,
)
from scoter.engine.table_calls import check_names, expand_table_calls
from scoter.engine.travel import schema_of, snapshot_meant
from scoter.engine.types import duckdb_type
from scoter.engine.views import Expanded, View, expand
from scoter.engine.virtual import VIRTUAL_SCHEMAS, VirtualTable, virtual_table, virtual_tables
from scoter.errors import (
    AmbiguousName,
    NotSupported,
    ScoterError,
    UndefinedSnapshot,
    UndefinedTable,
    UndefinedVersion,
)
from scoter.suggestions import closest

InstantOf = Callable[[exp.Expr, str], "int | None"]
_TARGETING = (
    exp.Insert, Merge, CreateTable, CreateView, DropTable, DropView, RenameView, CommentOn, RegisterTable,
)  # fmt: skip
SOURCE = "scoter_source"
MODEL = "scoter_model"


@dataclass(frozen=True)
class Source:
    """One table of a statement: an Iceberg table at a snapshot, or a table that Scoter makes itself.

    The name has the catalog's spelling, not the statement's. Of ``changes`` the rows that these snapshots added.
    ``hidden`` are columns beside its own that the statement names.
    """

    name: TableName
    metadata_location: str | None
    metadata: TableMetadata | None
    snapshot_id: int | None
    travelled: bool
    schema: Schema | None
    virtual: VirtualTable | None = None
    changes: tuple[Change, ...] | None = None
    hidden: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Column names and DuckDB type texts, in order."""
        if self.virtual is not None:
            return self.virtual.columns
        assert self.schema is not None  # noqa: S101  # one of the two is always there
        stored = tuple((f.name, duckdb_type(f.field_type)) for f in self.schema.fields)
        return stored if self.changes is None else (*stored, *CHANGE_COLUMNS)


@dataclass(frozen=True)
class Resolved:
    """A statement whose tables and models are known; nodes carry an index into ``sources`` or ``models``.

    ``definition`` is the query of CREATE VIEW with names in full. A ``personal`` statement may depend on
    who asks by a view that it reads.
    """

    tree: exp.Expr
    sources: tuple[Source, ...]
    models: tuple[ModelVersion, ...]
    pins: Pins
    written: tuple[str, ...] = ()
    target: TableName | None = None
    target_location: str | None = None
    asked: tuple[TableName, ...] = ()
    relative: bool = False
    views: tuple[View, ...] = ()
    definition: exp.Expr | None = None
    personal: bool = False

    def source(self, table: exp.Expr) -> Source | None:
        """Return what a table node stands for; None for a CTE or a table function."""
        index = table.meta.get(SOURCE)
        return None if index is None else self.sources[index]

    def model(self, call: exp.Expr) -> ModelVersion:
        """Return the model version that a call uses."""
        found: ModelVersion = self.models[call.meta[MODEL]]
        return found


def resolve(
    tree: exp.Expr,
    context: Context,
    lake: Lake,
    models: Models,
    instant_of: InstantOf,
    pins: Pins | None = None,
) -> Resolved:
    """Return ``tree`` with every table and model looked up, all table pointers from one SELECT.

    With ``pins`` given, exactly those metadata files and model versions are used.
    Raises UndefinedTable, UndefinedModel, UndefinedVersion, AmbiguousName, UndefinedSnapshot.
    """
    expand_merge(tree)
    seen = expand_table_calls(tree, lambda text, node: resolve_model(text, context, models, node, pins))
    now = (pins.instant if pins else None) or datetime.now(UTC)

    def at(value: exp.Expr) -> int | None:
        return instant_of(pin_now(exp.Paren(this=value.copy()), now, context.timezone), context.timezone)

    def choose(node: exp.Table, ways: Sequence[Reading], there: dict[TableName, Found]) -> Reading:
        return _choose(node, ways, there, lake)

    target = _insert_target(tree, context, lake)
    expanded = expand(tree, _tables, target, context, lake, choose, pins)
    tree, there = expanded.tree, expanded.there
    if target is not None and (target not in there or there[target].is_view):
        raise _undefined(target, target_of(tree), lake)
    relative = any(uses_now(version) for version in tree.find_all(exp.Version))
    relative = relative or any(is_changes(node) and uses_now(node) for node, _ in expanded.tables)
    sources: list[Source] = []
    looked_at = {view.pin.name: view.pin for view in expanded.views if view.body is None}
    for node, reading in expanded.tables:
        node.meta[SOURCE] = len(sources)
        stored = there.get(reading.name)
        if stored is not None and stored.is_view:
            sources.append(_view_source(looked_at[stored.name]))
        else:
            sources.append(_source(node, reading, there, lake, at))
    _check_rows(seen, expanded, sources)
    if mentioned(tree):
        sources = _with_hidden(tree, [node for node, _ in expanded.tables], sources)
    calls = list(tree.find_all(Predict))
    for number, call in enumerate(calls):
        call.meta[MODEL] = number
    written = [_model_text(call) for call in calls]
    found = _versions(calls, written, context, models, pins)
    versions = [found[text] for text in written]
    used = {s.name: s.metadata_location for s in sources if s.metadata_location}
    if target is not None:
        used[there[target].name] = there[target].location
    return Resolved(
        tree,
        tuple(sources),
        tuple(versions),
        Pins(
            tuple(TablePin(name, location) for name, location in sorted(used.items())),
            tuple(
                dict.fromkeys(
                    ModelPin(v.model, v.version, v.sha256, w) for v, w in zip(versions, written, strict=True)
                )
            ),
            now if relative else (pins.instant if pins else None),
            tuple(sorted({view.pin for view in expanded.views}, key=lambda pin: pin.name)),
        ),
        tuple(written),
        target,
        there[target].location if target is not None else None,
        expanded.asked,
        relative,
        expanded.views,
        expanded.definition,
        bool(expanded.views) and asks_who(tree),
    )


def _versions(
    calls: Sequence[Predict],
    written: Sequence[str],
    context: Context,
    models: Models,
    pins: Pins | None,
) -> dict[str, ModelVersion]:
    """Return the version of every reference, all as of one moment: none is between two changes."""
    while calls:
        revision = models.revision()
        found: dict[str, ModelVersion] = {}
        for call, text in zip(calls, written, strict=True):
            if text not in found:
                found[text] = resolve_model(text, context, models, call, pins)
        if models.revision() == revision:
            return found
    return {}


def _check_rows(seen: Container[str], expanded: Expanded, sources: Sequence[Source]) -> None:
    """Check the columns of the tables and views that calls in FROM see whole; ``seen`` are their folded names."""
    tables = ((reading.name, s.columns) for (_, reading), s in zip(expanded.tables, sources, strict=True))
    views = ((view.pin.name, view.pin.columns) for view in expanded.views)
    for relation, columns in (*tables, *views):
        if relation.name.casefold() in seen:
            check_names(name for name, _ in columns)


def model_reference(text: str, context: Context) -> tuple[ModelName, str | None]:
    """Split 'schema.name@reference'; the schema defaults to the session's. Raises UndefinedVersion for 'm@'."""
    name, at, reference = text.partition("@")
    if at and not reference.strip():
        raise UndefinedVersion(
            f"no version stands behind the @ of '{text}'", hint=f"write '{name}' or '{name}@1'"
        )
    # A name holds no quote and no dot of its own.
    schema, dot, bare = ".".join(map(_bare, name.split("."))).rpartition(".")
    return ModelName(schema if dot else context.schema, bare), _bare(reference) or None


def _bare(name: str) -> str:
    return re.sub(r'^"(.+)"$', r"\1", name)


def resolve_model(
    text: str,
    context: Context,
    models: Models,
    node: exp.Expr | None,
    pins: Pins | None = None,
) -> ModelVersion:
    """Return the version that 'm', 'm@3' or 'm@alias' means, or the pinned one."""
    pin = next((p for p in pins.models if p.written == text), None) if pins else None
    try:
        name, reference = model_reference(text, context)
        version = models.resolve(name, str(pin.version) if pin else reference)
    except ScoterError as error:
        error.span = error.span or span_of(node)
        raise
    if pin is not None and version.sha256 != pin.sha256:
        raise UndefinedVersion(f"model {pin} is not the file it was when the statement was planned")
    return version


def _model_text(call: Predict) -> str:
    model = call.args["model"]
    if isinstance(model, exp.Literal) and model.is_string:
        return str(model.name)
    raise NotSupported(
        "the model of a call is a constant text",
        hint="write PREDICT('name', …)",
        span=span_of(call),
    )


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """Yield every table node that is not a CTE's name, a table function or a write's target."""
    if isinstance(tree, RenameView):
        return
    target = target_of(tree)
    for node in tree.find_all(exp.Table):
        named = isinstance(node.this, exp.Identifier | exp.Dot) and (node.db or not is_cte(node))
        if node is target or named or is_changes(node):
            if node is not target:
                yield node
        elif node.args.get("version") or node.args.get("when"):
            raise NotSupported("only tables have versions", span=span_of(node))


def target_of(tree: exp.Expr) -> exp.Table | None:
    """Return the table node that a statement makes, fills, drops or comments on; None for all other statements."""
    inner = tree.this if isinstance(tree, Explain) else tree
    target = inner.this if isinstance(inner, _TARGETING) else None
    return target.this if isinstance(target, exp.Schema) else target


def _insert_target(tree: exp.Expr, context: Context, lake: Lake) -> TableName | None:
    inner = tree.this if isinstance(tree, Explain) else tree
    node = target_of(inner)
    return (
        table_name(node, context, lake)
        if isinstance(inner, exp.Insert | Merge) and node is not None
        else None
    )


def _choose(node: exp.Table, ways: Sequence[Reading], found: dict[TableName, Found], lake: Lake) -> Reading:
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
    raise _undefined(ways[0].name, node, lake)


def _table_parts(node: exp.Table, way: Reading) -> int:
    """Return how many parts of a name are the table's."""
    if is_changes(node):
        return len(called_parts(node))
    last = node.parts[-1].name.casefold()
    return len(node.parts) - (way.ref is not None or last == way.suffix)


def _undefined(name: TableName, node: exp.Table | None, lake: Lake) -> ScoterError:
    error = lake.undefined(name) if name.schema.casefold() not in VIRTUAL_SCHEMAS else _unknown_virtual(name)
    error.span = span_of(node)
    return error


def _unknown_virtual(name: TableName) -> UndefinedTable:
    schema = name.schema.casefold()
    known = [table.name for table in virtual_tables() if table.schema == schema]
    hint = closest(name.name, known) or f"there are: {', '.join(sorted(known))}"
    return UndefinedTable(f"table {schema}.{name.name} does not exist", hint=hint)


def _view_source(pin: ViewPin) -> Source:
    """Return a view as it is looked at: its columns."""
    about = VirtualTable(pin.name.schema, pin.name.name, pin.columns)
    return Source(pin.name, None, None, None, False, None, about)


def _source(
    node: exp.Table,
    reading: Reading,
    there: dict[TableName, Found],
    lake: Lake,
    at: Callable[[exp.Expr], int | None],
) -> Source:
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


def _with_hidden(tree: exp.Expr, nodes: Sequence[exp.Table], sources: Sequence[Source]) -> list[Source]:
    """Return the tables with the hidden columns that the statement names."""
    own: dict[int, frozenset[str]] = {}
    known: dict[int, dict[str, str]] = {}
    for node, source in zip(nodes, sources, strict=True):
        own[id(node)] = frozenset(name.casefold() for name, _ in source.columns)
        if source.metadata is not None and source.schema is not None and source.virtual is None:
            known[id(node)] = hidden_columns(source.metadata, source.schema)
    asked = settle_hidden(tree, lambda node: known.get(id(node), {}), lambda node: own.get(id(node)))
    for node in nodes:
        if TARGET in node.meta:
            # By its name they could mean fields of a column that is called as the table is; here they do not.
            names = {*asked.get(id(node), ()), *PLACE}
            asked[id(node)] = tuple(name for name in known.get(id(node), {}) if name in names)
    return [
        replace(source, hidden=tuple((name, known[id(node)][name]) for name in asked.get(id(node), ())))
        for node, source in zip(nodes, sources, strict=True)
    ]
