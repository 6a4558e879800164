"""What a dotted name may mean: the ways to read it, the preferred first, without asking what exists.

This module must not know statements' rights, snapshots or columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from scoter.catalog.lake import Lake
from scoter.catalog.names import TableName
from scoter.engine.changes import called_parts, is_changes
from scoter.engine.context import Context
from scoter.engine.metadata.tables import METADATA_TABLES
from scoter.engine.statements import span_of
from scoter.engine.virtual import VIRTUAL_SCHEMAS
from scoter.errors import NotSupported, UndefinedCatalog, UndefinedSchema
from scoter.suggestions import closest


@dataclass(frozen=True)
class Ref:
    """A branch or a tag of a table: ``kind`` says which."""

    kind: str
    name: str


@dataclass(frozen=True)
class Reading:
    """One way to read a table name: the table, its metadata table ``suffix``, or it at a branch or tag."""

    name: TableName
    suffix: str | None = None
    ref: Ref | None = None

    def __str__(self) -> str:
        last = self.suffix or (f"{self.ref.kind}_{self.ref.name}" if self.ref else "")
        return f"{self.name}.{last}" if last else str(self.name)


_REFS = frozenset({"branch", "tag"})


def readings_of(node: exp.Table, context: Context, lake: Lake) -> list[Reading]:
    """Return the ways to read a name, the preferred first: a.b is schema.table before all else."""
    if is_changes(node):
        parts = called_parts(node)
        places = _places(parts[:-1], context, lake)
        return [Reading(TableName(catalog, schema, parts[-1])) for catalog, schema in dict.fromkeys(places)]
    parts = [part.name for part in node.parts]
    base, _, suffix = parts[-1].rpartition("$")
    dollar = suffix.casefold() if base and suffix.casefold() in METADATA_TABLES else None
    ways: list[Reading] = []
    for catalog, schema in _places(parts[:-1], context, lake):
        ways.append(Reading(TableName(catalog, schema, parts[-1])))
        if dollar:
            ways.append(Reading(TableName(catalog, schema, base), dollar))
    if len(parts) > 1 and parts[-1].casefold() in METADATA_TABLES:
        for catalog, schema in _places(parts[:-2], context, lake):
            ways.append(Reading(TableName(catalog, schema, parts[-2]), parts[-1].casefold()))
    kind, _, ref = parts[-1].partition("_")
    if len(parts) > 1 and kind.casefold() in _REFS and ref:
        for catalog, schema in _places(parts[:-2], context, lake):
            ways.append(Reading(TableName(catalog, schema, parts[-2]), ref=Ref(kind.casefold(), ref)))
    return list(dict.fromkeys(ways))


def at_ref(node: exp.Table, ref: Ref) -> None:
    """Make ``t.branch_b`` into ``t FOR VERSION AS OF 'b' AS branch_b``, in place; raises NotSupported for a version."""
    if node.args.get("version") or node.args.get("when"):
        raise NotSupported(f"a {ref.kind} has no versions", span=span_of(node))
    *table, last = [part.copy() for part in node.parts]
    alias = node.args.get("alias") or exp.TableAlias()
    if alias.this is None:
        alias.set("this", last)
    node.set("alias", alias)
    this, db, catalog = (*reversed(table), None, None)[:3]
    if len(table) > 3:
        this = exp.Dot.build(table[2:])
        db, catalog = table[1], table[0]
    for key, value in (("this", this), ("db", db), ("catalog", catalog)):
        node.set(key, value)
    version = exp.Version(this="VERSION", kind="AS OF", expression=exp.Literal.string(ref.name))
    node.set("version", version)


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
        is_ref = name.name.partition("_")[0].casefold() in _REFS
        if is_ref and lake.find([TableName(catalog, context.schema, name.schema)]):
            raise NotSupported("branches and tags can be read, not written", span=span_of(node))
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
    return [way.name for way in readings_of(node, context, lake) if way.suffix is None and way.ref is None]


def is_cte(node: exp.Table) -> bool:
    """Say whether a CTE of that name is in scope at ``node``."""
    return cte_of(node) is not None


def cte_of(node: exp.Table) -> exp.CTE | None:
    """Return the CTE of that name that is in scope at ``node``."""
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
                found: exp.CTE = within.expressions[names.index(name)]
                return found
        child, parent = parent, parent.parent
    return None


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
