"""Names become facts, once, from metadata only: tables, snapshots, model versions.

This module must not know who asks, and opens neither data files nor models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.lake import Lake
from scoter.catalog.lookup import Found
from scoter.catalog.models import Models, ModelVersion
from scoter.catalog.names import ModelName, TableName
from scoter.engine.context import Context
from scoter.engine.functions import NOW
from scoter.engine.gate import function_name
from scoter.engine.plan import ModelPin, Pins, TablePin
from scoter.engine.rules.pin_now import pin_now, uses_now
from scoter.engine.statements import (
    CommentOn,
    CreateTable,
    DropTable,
    Explain,
    MlPredict,
    Predict,
    RegisterTable,
    span_of,
)
from scoter.engine.types import duckdb_type
from scoter.engine.virtual import SNAPSHOTS, VIRTUAL_SCHEMAS, VirtualTable, virtual_table
from scoter.errors import (
    AmbiguousName,
    NotSupported,
    ScoterError,
    UndefinedCatalog,
    UndefinedSchema,
    UndefinedSnapshot,
    UndefinedVersion,
    closest,
)

_IN_VERSIONS = NOW | {"date_trunc", "make_timestamp", "make_timestamptz", "to_timestamp", "epoch_ms"}
InstantOf = Callable[[exp.Expr, str], "int | None"]
_METADATA_TABLES = {"snapshots": SNAPSHOTS}
_TARGETING = (exp.Insert, CreateTable, DropTable, CommentOn, RegisterTable)
SOURCE = "scoter_source"
MODEL = "scoter_model"


@dataclass(frozen=True)
class Source:
    """One table of a statement: an Iceberg table at a snapshot, or a table that Scoter makes itself.

    The name has the catalog's spelling, not the statement's.
    """

    name: TableName
    metadata_location: str | None
    metadata: TableMetadata | None
    snapshot_id: int | None
    travelled: bool
    schema: Schema | None
    virtual: VirtualTable | None = None

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Column names and DuckDB type texts, in order."""
        if self.virtual is not None:
            return self.virtual.columns
        assert self.schema is not None  # noqa: S101  # one of the two is always there
        return tuple((f.name, duckdb_type(f.field_type)) for f in self.schema.fields)


@dataclass(frozen=True)
class Resolved:
    """A statement whose tables and models are known; nodes carry an index into ``sources`` or ``models``."""

    tree: exp.Expr
    sources: tuple[Source, ...]
    models: tuple[ModelVersion, ...]
    pins: Pins
    written: tuple[str, ...] = ()
    target: TableName | None = None
    target_location: str | None = None
    asked: tuple[TableName, ...] = ()
    relative: bool = False

    def source(self, table: exp.Expr) -> Source | None:
        """Return what a table node stands for; None for a CTE or a table function."""
        index = table.meta.get(SOURCE)
        return None if index is None else self.sources[index]

    def model(self, call: exp.Expr) -> ModelVersion:
        """Return the model version that a call uses."""
        found: ModelVersion = self.models[call.meta[MODEL]]
        return found


@dataclass(frozen=True)
class _Reading:
    """One way to read a table name."""

    name: TableName
    suffix: str | None = None

    def __str__(self) -> str:
        return f"{self.name}.{self.suffix}" if self.suffix else str(self.name)


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
    table_call = tree.find(MlPredict)
    if table_call is not None:
        raise NotSupported(
            "ML_PREDICT is not offered yet", hint="SELECT *, PREDICT('m', t) FROM t", span=span_of(table_call)
        )
    now = (pins.instant if pins else None) or datetime.now(UTC)
    relative = any(uses_now(version) for version in tree.find_all(exp.Version))

    def at(value: exp.Expr) -> int | None:
        return instant_of(pin_now(exp.Paren(this=value.copy()), now, context.timezone), context.timezone)

    nodes = list(_tables(tree))
    readings = [_readings(node, context, lake) for node in nodes]
    target = _insert_target(tree, context, lake)
    asked = _asked(readings, target)
    there = _there(asked, lake, pins)
    if target is not None and target not in there:
        raise _undefined(target, target_of(tree), lake)
    sources: list[Source] = []
    for node, ways in zip(nodes, readings, strict=True):
        reading = _choose(node, ways, there, lake)
        node.meta[SOURCE] = len(sources)
        sources.append(_source(node, reading, there, lake, at))
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
        ),
        tuple(written),
        target,
        there[target].location if target is not None else None,
        asked,
        relative,
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


def table_name(node: exp.Table, context: Context, lake: Lake) -> TableName:
    """Return the name that DDL or a write means: schema.table first, then catalog.schema.table.

    Raises UndefinedSchema for a schema that does not exist.
    """
    written = node.catalog or context.catalog
    catalog = _catalog(written, lake)
    if catalog is None:
        raise UndefinedCatalog(
            f'catalog "{written}" does not exist', hint=closest(written, lake.catalogs()), span=span_of(node)
        )
    name = TableName(catalog, node.db or context.schema, node.name)
    if name.schema.casefold() in VIRTUAL_SCHEMAS:
        raise NotSupported(f"schema {name.schema} can not be written", span=span_of(node))
    if not lake.has_schema(name.catalog, name.schema):
        raise UndefinedSchema(
            f'schema "{name.schema}" does not exist',
            hint=closest(name.schema, lake.schemas(context.catalog)) or "CREATE SCHEMA makes one",
            span=span_of(node),
        )
    return name


def table_readings(parts: Sequence[exp.Identifier], context: Context, lake: Lake) -> list[TableName]:
    """Return the tables that a dotted name may mean, the preferred first; whether they exist is not asked."""
    *before, last = [part.copy() for part in parts]
    keys = ("db", "catalog")
    node = exp.Table(this=last, **dict(zip(keys, reversed(before[-2:]), strict=False)))
    return [way.name for way in _readings(node, context, lake) if way.suffix is None]


def model_reference(text: str, context: Context) -> tuple[ModelName, str | None]:
    """Split 'schema.name@reference'; the schema defaults to the session's. Raises UndefinedVersion for 'm@'."""
    name, at, reference = text.partition("@")
    if at and not reference.strip():
        raise UndefinedVersion(
            f"no version stands behind the @ of '{text}'", hint=f"write '{name}' or '{name}@1'"
        )
    schema, dot, bare = name.rpartition(".")
    return ModelName(schema if dot else context.schema, bare), reference or None


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
    target = target_of(tree)
    for node in tree.find_all(exp.Table):
        named = isinstance(node.this, exp.Identifier | exp.Dot)
        if node is target or (named and (node.db or not _is_cte(node))):
            if node is not target:
                yield node
        elif node.args.get("version") or node.args.get("when"):
            raise NotSupported("only tables have versions", span=span_of(node))


def target_of(tree: exp.Expr) -> exp.Table | None:
    """Return the table node that a statement makes, fills, drops or comments on; None for all other statements."""
    inner = tree.this if isinstance(tree, Explain) else tree
    target = inner.this if isinstance(inner, _TARGETING) else None
    return target.this if isinstance(target, exp.Schema) else target


def _is_cte(node: exp.Table) -> bool:
    """Say whether a CTE of that name is in scope at ``node``."""
    name = node.name.casefold()
    child: exp.Expr = node
    parent = node.parent
    while parent is not None:
        within = parent.args.get("with_") or parent.args.get("with")
        if within is not None:
            names = [cte.alias.casefold() for cte in within.expressions]
            position = len(names)
            if child is within:
                inside = node.find_ancestor(exp.CTE)
                while inside is not None and inside.parent is not within:
                    inside = inside.find_ancestor(exp.CTE)
                if inside is not None:
                    position = within.expressions.index(inside) + (1 if within.args.get("recursive") else 0)
            if name in names[:position]:
                return True
        child, parent = parent, parent.parent
    return False


def _readings(node: exp.Table, context: Context, lake: Lake) -> list[_Reading]:
    """Return the ways to read a name, the preferred first: a.b is schema.table before all else."""
    parts = [part.name for part in node.parts]
    base, _, suffix = parts[-1].rpartition("$")
    dollar = suffix.casefold() if base and suffix.casefold() in _METADATA_TABLES else None
    ways: list[_Reading] = []
    for catalog, schema in _places(parts[:-1], context, lake):
        ways.append(_Reading(TableName(catalog, schema, parts[-1])))
        if dollar:
            ways.append(_Reading(TableName(catalog, schema, base), dollar))
    if len(parts) > 1 and parts[-1].casefold() in _METADATA_TABLES:
        for catalog, schema in _places(parts[:-2], context, lake):
            ways.append(_Reading(TableName(catalog, schema, parts[-2]), parts[-1].casefold()))
    return list(dict.fromkeys(ways))


def _places(parts: Sequence[str], context: Context, lake: Lake) -> list[tuple[str, str]]:
    if not parts:
        return [(context.catalog, context.schema)]
    if len(parts) == 1:
        places = [(context.catalog, parts[0])]
        catalog = _catalog(parts[0], lake)
        if catalog:
            places.append((catalog, context.schema))
        return places
    catalog = _catalog(parts[0], lake)
    places = [(catalog, ".".join(parts[1:]))] if catalog else []
    return [*places, (context.catalog, ".".join(parts))]


def _catalog(name: str, lake: Lake) -> str | None:
    """Return a catalog's name as it is written in the settings; names compare without regard to case."""
    return next((known for known in lake.catalogs() if known.casefold() == name.casefold()), None)


def _insert_target(tree: exp.Expr, context: Context, lake: Lake) -> TableName | None:
    inner = tree.this if isinstance(tree, Explain) else tree
    node = target_of(inner)
    return table_name(node, context, lake) if isinstance(inner, exp.Insert) and node is not None else None


def _asked(readings: Sequence[Sequence[_Reading]], target: TableName | None) -> tuple[TableName, ...]:
    names = [
        way.name for ways in readings for way in ways if way.name.schema.casefold() not in VIRTUAL_SCHEMAS
    ]
    return tuple(dict.fromkeys(names + ([target] if target is not None else [])))


def _there(asked: Sequence[TableName], lake: Lake, pins: Pins | None) -> dict[TableName, Found]:
    """Return the tables that exist, by the name that was asked: those of the pins, else those of the lake."""
    if pins is not None and pins.tables:
        return {name: pin for name in asked if (pin := _pinned(name, pins.tables))}
    return lake.find(asked) if asked else {}


def _pinned(name: TableName, pins: Sequence[TablePin]) -> Found | None:
    fits = [pin for pin in pins if pin.name.folded == name.folded]
    # A statement may read two tables whose names differ in case alone.
    best = max(
        fits, key=lambda pin: (pin.name.schema == name.schema) + (pin.name.name == name.name), default=None
    )
    return None if best is None else Found(best.name, best.metadata_location)


def _choose(node: exp.Table, ways: Sequence[_Reading], found: dict[TableName, Found], lake: Lake) -> _Reading:
    there = [
        way
        for way in ways
        if way.name in found
        or (way.name.schema.casefold() in VIRTUAL_SCHEMAS and virtual_table(way.name.schema, way.name.name))
    ]
    # Catalog, schema and table written out leave no doubt.
    if len(there) > 1 and len(node.parts) < 3:
        raise AmbiguousName(
            f"{node.sql(dialect='duckdb')} can be read as {there[0]} and as {there[1]}",
            hint="write catalog.schema.table",
            span=span_of(node),
        )
    if there:
        return there[0]
    raise _undefined(ways[0].name, node, lake)


def _undefined(name: TableName, node: exp.Table | None, lake: Lake) -> ScoterError:
    error = lake.undefined(name)
    error.span = span_of(node)
    return error


def _source(
    node: exp.Table,
    reading: _Reading,
    there: dict[TableName, Found],
    lake: Lake,
    at: Callable[[exp.Expr], int | None],
) -> Source:
    name = reading.name
    travelled = node.args.get("version") or node.args.get("when")
    if name not in there:
        if travelled:
            raise NotSupported(f"{name} has no versions", span=span_of(node))
        own = TableName(name.catalog, name.schema.casefold(), name.name.casefold())
        return Source(own, None, None, None, False, None, virtual_table(own.schema, own.name))
    name, location = there[name].name, there[name].location
    metadata = lake.metadata(location)
    if reading.suffix:
        if travelled:
            raise NotSupported(f"{reading} has no versions", span=span_of(node))
        return Source(name, location, metadata, None, False, None, _METADATA_TABLES[reading.suffix])
    if not travelled:
        return Source(name, location, metadata, metadata.current_snapshot_id, False, metadata.schema())
    snapshot_id, branch = _travel(node, travelled, metadata, at)
    schema = metadata.schema() if branch else _schema_of(metadata, snapshot_id)
    return Source(name, location, metadata, snapshot_id, not branch, schema)


def _schema_of(metadata: TableMetadata, snapshot_id: int) -> Schema:
    snapshot = metadata.snapshot_by_id(snapshot_id)
    if snapshot is not None and snapshot.schema_id is not None:
        for schema in metadata.schemas:
            if schema.schema_id == snapshot.schema_id:
                return schema
    return metadata.schema()


def _check_constant(value: exp.Expr | None, node: exp.Table) -> None:
    """Raise NotSupported unless a version is made of constants, the current time and functions of dates."""
    if value is None or any(True for _ in value.find_all(exp.Column, exp.Placeholder, exp.Subquery)):
        raise NotSupported(
            "a version is a constant", hint="write the snapshot id or time", span=span_of(node)
        )
    for call in value.find_all(exp.Anonymous):
        if function_name(call) not in _IN_VERSIONS:
            raise NotSupported(f"{call.name} can not stand in a version", span=span_of(node))


def _travel(
    node: exp.Table, clause: exp.Expr, metadata: TableMetadata, at: Callable[[exp.Expr], int | None]
) -> tuple[int, bool]:
    """Return the snapshot that a time travel clause means, and whether it named a branch."""
    kind = str(clause.this if isinstance(clause, exp.Version) else clause.args["kind"]).upper()
    value = clause.expression
    _check_constant(value, node)
    if kind == "VERSION":
        if isinstance(value, exp.Literal) and value.is_string and value.name in metadata.refs:
            ref = metadata.refs[value.name]
            return ref.snapshot_id, str(ref.snapshot_ref_type) == "branch"
        try:
            snapshot_id = int(value.name)
        except ValueError:
            snapshot_id = -1
        if metadata.snapshot_by_id(snapshot_id) is None:
            names = [*metadata.refs]
            raise UndefinedSnapshot(
                f"{node.name} has no snapshot, branch or tag '{value.name}'",
                hint=closest(value.name, names) or f'"{node.name}$snapshots" lists the snapshots',
                span=span_of(node),
            )
        return snapshot_id, False
    if kind not in {"TIMESTAMP", "SYSTEM_TIME"}:
        raise NotSupported(f"{kind} is not a version", hint="write VERSION or TIMESTAMP", span=span_of(node))
    micros = at(value)
    found: int | None = None
    for entry in metadata.snapshot_log:
        if micros is not None and entry.timestamp_ms * 1000 <= micros:
            found = entry.snapshot_id
    if found is None:
        raise UndefinedSnapshot(f"{node.name} has no snapshot at that time", span=span_of(node))
    return found, False
