"""Finding tables in catalogs: from the names that users write to the names and places that are stored.

This module must not know which catalogs a lake has, nor what is in a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from scoter.catalog.attached import TamedSql
from scoter.catalog.names import TableName, folded
from scoter.errors import AmbiguousName

_TABLES = sa.table(
    "iceberg_tables",
    sa.column("catalog_name"),
    sa.column("table_namespace"),
    sa.column("table_name"),
    sa.column("metadata_location"),
    sa.column("iceberg_type"),
)
# Built once: a statement is looked up before every query.
_BY_NAME = sa.select(
    _TABLES.c.catalog_name, _TABLES.c.table_namespace, _TABLES.c.table_name, _TABLES.c.metadata_location
).where(
    _TABLES.c.catalog_name.in_(sa.bindparam("catalogs", expanding=True)),
    _TABLES.c.metadata_location.is_not(None),
    # The first half finds names outside ASCII, which a database may fold in another way.
    sa.or_(
        _TABLES.c.table_name.in_(sa.bindparam("names", expanding=True)),
        sa.func.lower(_TABLES.c.table_name).in_(sa.bindparam("lowered", expanding=True)),
    ),
)
_OF_TABLES = _BY_NAME.where(sa.or_(_TABLES.c.iceberg_type.is_(None), _TABLES.c.iceberg_type == "TABLE"))
_NAMESPACES = sa.table("iceberg_namespace_properties", sa.column("catalog_name"), sa.column("namespace"))


@dataclass(frozen=True)
class Found:
    """A table as it is stored: its own spelling, its metadata file, the table where it is loaded."""

    name: TableName
    location: str
    table: Table | None = None


def select(engine: sa.Engine, asked: list[tuple[TamedSql, TableName]]) -> dict[TableName, Found]:
    """Find the asked tables of one database in one SELECT; those that do not exist are absent.

    An exact spelling wins over one that differs in case. Raises AmbiguousName when two fit equally well.
    """
    catalogs = {attached.name: attached for attached, _ in asked}
    wanted = {name.name for _, name in asked}
    query = _OF_TABLES if all(attached.has_types for attached in catalogs.values()) else _BY_NAME
    values = {
        "catalogs": sorted(catalogs),
        "names": sorted(wanted),
        "lowered": sorted({name.lower() for name in wanted}),
    }
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(query, values)]
    found: dict[TableName, Found] = {}
    for attached, name in asked:
        fits = [
            Found(TableName(catalog, schema, table), location)
            for catalog, schema, table, location in rows
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


def _likeness(stored: TableName, asked: TableName) -> int:
    return (stored.schema == asked.schema) + (stored.name == asked.name)


def load_elsewhere(attached: Catalog, name: TableName) -> Table | None:
    """Load a table of a catalog that is no SQL database, by exact spelling first; None if there is none."""
    try:
        return attached.load_table(name.identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        pass
    for levels in namespaces(attached):
        if folded(".".join(levels)) == folded(name.schema):
            for identifier in attached.list_tables(levels):
                if folded(identifier[-1]) == folded(name.name):
                    return attached.load_table(identifier)
    return None


def namespaces(attached: Catalog, parent: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every schema of a catalog under ``parent``, as levels."""
    found: list[tuple[str, ...]] = []
    for levels in attached.list_namespaces(parent):
        if len(levels) > len(parent):
            found += [levels, *namespaces(attached, levels)]
    return found


def sql_schemas(attached: TamedSql) -> list[str]:
    """Return the dotted names of every schema of an SQL catalog in one SELECT."""
    query = sa.union(
        sa.select(_TABLES.c.table_namespace).where(_TABLES.c.catalog_name == attached.name),
        sa.select(_NAMESPACES.c.namespace).where(_NAMESPACES.c.catalog_name == attached.name),
    )
    with attached.engine.connect() as connection:
        return sorted(connection.scalars(query))
