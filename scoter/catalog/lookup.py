"""Finding tables and views in catalogs: from the names that users write to the names and places that are stored.

This module must not know which catalogs a lake has, nor what is in a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError, NoSuchViewError
from pyiceberg.table import Table
from pyiceberg.view import View
from sqlalchemy.sql.compiler import SQLCompiler

from scoter.catalog.attached import TamedSql
from scoter.catalog.metastore import one_select
from scoter.catalog.names import TableName, folded
from scoter.catalog.unchanged import unchanged
from scoter.errors import AmbiguousName

_TABLES = sa.table(
    "iceberg_tables",
    sa.column("catalog_name"),
    sa.column("table_namespace"),
    sa.column("table_name"),
    sa.column("metadata_location"),
    sa.column("iceberg_type"),
)
_NAMESPACES = sa.table("iceberg_namespace_properties", sa.column("catalog_name"), sa.column("namespace"))


# A view's property: the types of its columns that Iceberg's schema has no words for, behind the hash of the text that
# they are of, which another engine may replace. Servers drop a version's summary, where it would belong.
VIEW_TYPES = "scoter.types"


@dataclass(frozen=True)
class Found:
    """A table or view as it is stored: its own spelling, its metadata file, and itself where it is loaded.

    The ``location`` of a view whose catalog says no file is its uuid, the number of its version and its types.
    """

    name: TableName
    location: str
    table: Table | None = None
    is_view: bool = False
    view: View | None = None


def select(engine: sa.Engine, asked: list[tuple[TamedSql, TableName]]) -> dict[TableName, Found]:
    """Find the asked tables and views of one database in one SELECT; those that do not exist are absent.

    An exact spelling wins over one that differs in case. Raises AmbiguousName when two fit equally well.
    """
    key = ("tables", *((attached.name, name) for attached, name in asked))
    return unchanged(engine, key, lambda: _selected(engine, asked))


def _selected(engine: sa.Engine, asked: list[tuple[TamedSql, TableName]]) -> dict[TableName, Found]:
    catalogs = sorted({attached.name for attached, _ in asked})
    names = sorted({name.name for _, name in asked})
    typed = all(attached.has_types for attached, _ in asked)
    # An old catalog has no such column, and no views.
    compiled = _by_name(engine.dialect, len(catalogs), len(names), typed=typed)
    values: dict[str, Any] = {f"c{i}": catalog for i, catalog in enumerate(catalogs)}
    for i, spelling in enumerate(names):
        values |= {f"n{i}": spelling, f"l{i}": spelling.lower()}
    given = tuple(values[key] for key in compiled.positiontup) if compiled.positiontup else values
    rows = one_select(engine, str(compiled), given)
    found: dict[TableName, Found] = {}
    for attached, name in asked:
        fits = [
            Found(TableName(catalog, schema, table), location, is_view=bool(kind == "VIEW"))
            for catalog, schema, table, location, kind in rows
            if catalog == attached.name
            and folded(schema) == folded(name.schema)
            and folded(table) == folded(name.name)
        ]
        best = max((_likeness(fit.name, name) for fit in fits), default=0)
        fits = [fit for fit in fits if _likeness(fit.name, name) == best]
        if len(fits) > 1:
            raise AmbiguousName(
                f"table name {name} fits several tables",
                hint="write it as one of " + ", ".join(sorted(str(fit.name) for fit in fits)),
            )
        if fits:
            found[name] = fits[0]
    return found


@lru_cache(maxsize=64)
def _by_name(dialect: sa.Dialect, catalogs: int, names: int, *, typed: bool) -> SQLCompiler:
    """Return the SELECT for so many catalogs and names: it runs before every query and is compiled once."""

    def parameters(prefix: str, count: int) -> list[sa.BindParameter[str]]:
        return [sa.bindparam(f"{prefix}{i}", type_=sa.String) for i in range(count)]

    name = _TABLES.c.table_name
    kind = _TABLES.c.iceberg_type if typed else sa.literal_column("'TABLE'")
    query = sa.select(
        _TABLES.c.catalog_name, _TABLES.c.table_namespace, name, _TABLES.c.metadata_location, kind
    ).where(
        _TABLES.c.catalog_name.in_(parameters("c", catalogs)),
        _TABLES.c.metadata_location.is_not(None),
        # The first half finds names outside ASCII, which a database may fold in another way.
        sa.or_(name.in_(parameters("n", names)), sa.func.lower(name).in_(parameters("l", names))),
    )
    return query.compile(dialect=dialect)


def _likeness(stored: TableName, asked: TableName) -> int:
    return (stored.schema == asked.schema) + (stored.name == asked.name)


def load_elsewhere(attached: Catalog, name: TableName) -> Found | None:
    """Load a table or view of a catalog that is no SQL database, by exact spelling first; None if there is none."""
    found = _load(attached, name.identifier)
    if found is not None:
        return found
    views = has_views(attached)
    for levels in namespaces(attached):
        if folded(".".join(levels)) == folded(name.schema):
            for identifier in [
                *attached.list_tables(levels),
                *(attached.list_views(levels) if views else ()),
            ]:
                if folded(identifier[-1]) == folded(name.name):
                    return _load(attached, tuple(identifier))
    return None


def _load(attached: Catalog, identifier: tuple[str, ...]) -> Found | None:
    name = TableName(attached.name, ".".join(identifier[:-1]), identifier[-1])
    try:
        table = attached.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        if not has_views(attached):
            return None
        try:
            view = attached.load_view(identifier)
        except (NoSuchViewError, NoSuchNamespaceError):
            return None
        types = view.properties.get(VIEW_TYPES, "")
        version = f"{view.metadata.view_uuid}@{view.metadata.current_version_id}@{types}"
        return Found(name, version, is_view=True, view=view)
    return Found(name, table.metadata_location, table)


def has_views(attached: Catalog) -> bool:
    """Say whether a catalog's server says that it keeps views."""
    return any("/views/{view}" in str(endpoint) for endpoint in getattr(attached, "_supported_endpoints", ()))


def namespaces(attached: Catalog, parent: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every schema of a catalog under ``parent``, as levels."""
    found: list[tuple[str, ...]] = []
    for levels in attached.list_namespaces(parent):
        if len(levels) > len(parent):
            try:
                found += [levels, *namespaces(attached, levels)]
            except NoSuchNamespaceError:
                continue  # dropped after it was listed
    return found


def sql_schemas(attached: TamedSql) -> list[str]:
    """Return the dotted names of every schema of an SQL catalog in one SELECT."""
    query = sa.union(
        sa.select(_TABLES.c.table_namespace).where(_TABLES.c.catalog_name == attached.name),
        sa.select(_NAMESPACES.c.namespace).where(_NAMESPACES.c.catalog_name == attached.name),
    )
    with attached.engine.connect() as connection:
        return sorted(connection.scalars(query))


def view_names(attached: Catalog, schema: str) -> list[str]:
    """Return the names of the views of a schema as it is stored; none in a catalog that keeps no views."""
    if not isinstance(attached, TamedSql):
        found = attached.list_views(tuple(schema.split("."))) if has_views(attached) else []
        return sorted(identifier[-1] for identifier in found)
    if not attached.has_types:
        return []
    query = sa.select(_TABLES.c.table_name).where(
        _TABLES.c.catalog_name == attached.name,
        _TABLES.c.table_namespace == schema,
        _TABLES.c.iceberg_type == "VIEW",
    )
    with attached.engine.connect() as connection:
        return sorted(connection.scalars(query))
