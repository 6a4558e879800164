"""What is there: schemas, tables, views and columns, from information_schema.

This module must not know how statements are compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import exc, types, util
from sqlalchemy.engine import default

from scoter_client.dialect.identifiers import schema_path
from scoter_client.dialect.spelling import read_type

_SCHEMATA = (
    "SELECT schema_name FROM information_schema.schemata WHERE lower(catalog_name) = lower(?) ORDER BY 1"
)
_KINDS = """SELECT table_name, table_type, table_comment FROM information_schema.tables
WHERE lower(table_catalog) = lower(?) AND lower(table_schema) = lower(?) ORDER BY table_name"""
_COLUMNS = """SELECT column_name, data_type, is_nullable, column_default, column_comment
FROM information_schema.columns
WHERE lower(table_catalog) = lower(?) AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)
ORDER BY ordinal_position"""
_ALL_COLUMNS = """SELECT table_name, column_name, data_type, is_nullable, column_default, column_comment
FROM information_schema.columns
WHERE lower(table_catalog) = lower(?) AND lower(table_schema) = lower(?)
ORDER BY table_name, ordinal_position"""
_VIEW = """SELECT view_definition FROM information_schema.views
WHERE lower(table_catalog) = lower(?) AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)"""


class Reflection(default.DefaultDialect):
    """The reflecting half of the dialect. Keys, constraints and indexes are empty: Iceberg has none."""

    def get_schema_names(self, connection: Any, **kw: Any) -> list[str]:
        """Return the schemas of the connection's catalog."""
        return self._schemata(connection, _current_catalog(connection), kw)

    def get_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return the tables of a schema."""
        return [name for name, kind, _ in self._relations(connection, schema, **kw) if kind != "VIEW"]

    def get_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return the views of a schema."""
        return [name for name, kind, _ in self._relations(connection, schema, **kw) if kind == "VIEW"]

    def get_temp_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return none: there are no temporary tables."""
        return []

    def get_temp_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return none: there are no temporary views."""
        return []

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        """Say whether there is a table or a view of that name."""
        self._ensure_has_table_connection(connection)
        return self._relation(connection, table_name, schema, **kw) is not None

    def has_schema(self, connection: Any, schema_name: str, **kw: Any) -> bool:
        """Say whether there is a schema of that name."""
        catalog, name = _path(connection, schema_name, kw)
        return name.lower() in (found.lower() for found in self._schemata(connection, catalog, kw))

    def has_index(
        self, connection: Any, table_name: str, index_name: str, schema: str | None = None, **kw: Any
    ) -> bool:
        """Say no: there are no indexes."""
        return False

    def has_sequence(self, connection: Any, sequence_name: str, schema: str | None = None, **kw: Any) -> bool:
        """Say no: there are no sequences."""
        return False

    def get_columns(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        """Return a table's columns with types and comments. Raises NoSuchTableError."""
        rows = _rows(connection, _COLUMNS, (*_path(connection, schema, kw), table_name), kw)
        if not rows:
            self._required(connection, table_name, schema, **kw)
        return [_column_of(table_name, *row) for row in rows]

    def get_multi_columns(self, connection: Any, *, schema: str | None = None, **kw: Any) -> Any:
        """Return the columns of many tables, with one question for all."""
        cache = kw.get("info_cache")
        if cache is not None:
            path = _path(connection, schema, kw)
            for name, rows in groupby(_rows(connection, _ALL_COLUMNS, path, kw), key=itemgetter(0)):
                cache[_key(_COLUMNS, (*path, name))] = [row[1:] for row in rows]
        return super().get_multi_columns(connection, schema=schema, **kw)

    def get_table_comment(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        """Return a table's comment. Raises NoSuchTableError."""
        return {"text": self._required(connection, table_name, schema, **kw)[2]}

    def get_view_definition(
        self, connection: Any, view_name: str, schema: str | None = None, **kw: Any
    ) -> str:
        """Return a view's query. Raises NoSuchTableError."""
        rows = _rows(connection, _VIEW, (*_path(connection, schema, kw), view_name), kw)
        if not rows:
            raise exc.NoSuchTableError(view_name)
        return str(rows[0][0])

    def get_pk_constraint(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        """Return no columns. Raises NoSuchTableError."""
        self._required(connection, table_name, schema, **kw)
        return {"constrained_columns": [], "name": None}

    def get_foreign_keys(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        """Return none. Raises NoSuchTableError."""
        self._required(connection, table_name, schema, **kw)
        return []

    get_indexes = get_unique_constraints = get_check_constraints = get_foreign_keys

    def _relations(
        self, connection: Any, schema: str | None = None, **kw: Any
    ) -> list[tuple[str, str, str | None]]:
        return _rows(connection, _KINDS, _path(connection, schema, kw), kw)

    def _schemata(self, connection: Any, catalog: str, kw: dict[str, Any]) -> list[str]:
        return [name for (name,) in _rows(connection, _SCHEMATA, (catalog,), kw)]

    def _relation(
        self, connection: Any, name: str, schema: str | None, **kw: Any
    ) -> tuple[str, str, str | None] | None:
        relations = self._relations(connection, schema, **kw)
        return next((found for found in relations if found[0].lower() == name.lower()), None)

    def _required(
        self, connection: Any, name: str, schema: str | None, **kw: Any
    ) -> tuple[str, str, str | None]:
        found = self._relation(connection, name, schema, **kw)
        if found is None:
            raise exc.NoSuchTableError(f"{schema}.{name}" if schema else name)
        return found


def driver_connection(connection: Any) -> Any:
    """Return the DB-API connection of a SQLAlchemy connection."""
    pooled = connection.connection
    # While SQLAlchemy 1.4 sets up a dialect there is no pool in between.
    return getattr(pooled, "dbapi_connection", pooled)


def _once(kw: dict[str, Any], key: tuple[Any, ...], ask: Callable[[], Any]) -> Any:
    """Return what ``ask`` finds, which is asked once for each Inspector: it keeps it in ``info_cache``."""
    cache = kw.get("info_cache")
    if cache is None:
        return ask()
    if key not in cache:
        cache[key] = ask()
    return cache[key]


def _rows(connection: Any, sql: str, values: tuple[str, ...], kw: dict[str, Any]) -> list[Any]:
    return list(_once(kw, _key(sql, values), lambda: _asked(connection, sql, values)))


def _key(sql: str, values: tuple[str, ...]) -> tuple[Any, ...]:
    return ("scoter", sql, values)


def _asked(connection: Any, sql: str, values: tuple[str, ...]) -> list[Any]:
    return [tuple(row) for row in connection.exec_driver_sql(sql, values)]


def _path(connection: Any, schema: str | None, kw: dict[str, Any]) -> tuple[str, str]:
    """Return the catalog and the schema that a schema's name means on this connection."""
    found: tuple[str, str] = _once(kw, ("scoter", "path", schema), lambda: _meant(connection, schema))
    return found


def _meant(connection: Any, schema: str | None) -> tuple[str, str]:
    if schema is None:
        return _current_catalog(connection), str(driver_connection(connection).adbc_current_db_schema)
    catalog, name = schema_path(schema)
    return _current_catalog(connection) if catalog is None else catalog, name


def _current_catalog(connection: Any) -> str:
    return str(driver_connection(connection).adbc_current_catalog)


def _column_of(
    table: str, name: str, kind: str, nullable: str, default: str | None, comment: str | None
) -> dict[str, Any]:
    found = read_type(kind)
    if isinstance(found, types.NullType):
        util.warn(f"Did not recognize type '{kind}' of column '{table}.{name}'")
    return {
        "name": name,
        "type": found,
        "nullable": nullable == "YES",
        "default": default,
        "comment": comment,
    }
