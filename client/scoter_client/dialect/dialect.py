"""The dialect itself: what Scoter can do, how to connect to it, and how statements are sent.

This module must not know how statements or types are spelled.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc, schema, types
from sqlalchemy.engine import default

import scoter_client
from scoter_client import address
from scoter_client.dialect import types as duck
from scoter_client.dialect.compiler import ScoterCompiler
from scoter_client.dialect.definition import ScoterDDLCompiler
from scoter_client.dialect.identifiers import ScoterIdentifierPreparer
from scoter_client.dialect.reflection import Reflection, driver_connection
from scoter_client.dialect.spelling import ScoterTypeCompiler

AUTOCOMMIT = "AUTOCOMMIT"

_SHUTTING_DOWN = "57P03"
# What the driver says when nothing of the server was heard.
_UNREACHABLE = ("UNAVAILABLE", "Unavailable", "connection refused", "transport is closing")

# SQLAlchemy 2 sets an engine's isolation level itself.
_SETS_LEVEL = hasattr(default.DefaultDialect, "_builtin_onconnect")


class ScoterDialect(Reflection):
    """SQLAlchemy's dialect for ``scoter://user:password@host:port/catalog/schema?tls=…``."""

    name = "scoter"
    driver = "adbc"

    statement_compiler = ScoterCompiler
    ddl_compiler = ScoterDDLCompiler
    type_compiler = ScoterTypeCompiler
    type_compiler_cls = ScoterTypeCompiler
    preparer = ScoterIdentifierPreparer

    supports_statement_cache = True
    default_paramstyle = "qmark"
    max_identifier_length = 128

    supports_alter = False
    supports_comments = True
    inline_comments = True
    supports_constraint_comments = False
    supports_default_values = False
    supports_default_metavalue = False
    supports_empty_insert = False
    supports_identity_columns = False
    supports_is_distinct_from = True
    supports_multivalues_insert = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_enum = False
    supports_native_uuid = True
    supports_sane_multi_rowcount = True
    supports_sane_rowcount = True
    supports_schemas = True
    supports_sequences = False
    supports_server_side_cursors = False
    supports_simple_order_by_label = True
    supports_statement_savepoints = False
    supports_unicode_binds = True
    supports_unicode_statements = True
    supports_views = True
    returns_native_bytes = True
    cte_follows_insert = True
    div_is_floordiv = False
    insert_returning = False
    implicit_returning = False
    postfetch_lastrowid = False
    preexecute_autoincrement_sequences = False
    requires_name_normalize = False
    tuple_in_values = False
    update_returning = False
    delete_returning = False

    colspecs = {  # noqa: RUF012  # SQLAlchemy's name and form
        types.Date: duck.Date,
        types.DateTime: duck.DateTime,
        types.Float: duck.Float,
        types.Interval: duck.INTERVAL,
        types.JSON.JSONIndexType: duck.JSONIndexType,
        types.JSON.JSONIntIndexType: duck.JSONIntIndexType,
        types.JSON.JSONStrIndexType: duck.JSONStrIndexType,
        types.JSON.JSONPathType: duck.JSONPathType,
        types.LargeBinary: duck.LargeBinary,
        types.Numeric: duck.Numeric,
        types.Time: duck.Time,
        **({types.Uuid: duck.UUID} if hasattr(types, "Uuid") else {}),
    }

    construct_arguments = [(schema.Table, {"partition_by": None})]  # noqa: RUF012  # SQLAlchemy's name and form

    def __init__(
        self,
        isolation_level: Any = None,
        json_serializer: Any = None,
        json_deserializer: Any = None,
        **kwargs: Any,
    ) -> None:
        if isolation_level not in {None, AUTOCOMMIT}:
            raise exc.ArgumentError(f"Scoter's isolation level is {AUTOCOMMIT}, not {isolation_level!r}")
        if _SETS_LEVEL:
            kwargs["isolation_level"] = isolation_level
        super().__init__(**kwargs)
        self._level = isolation_level
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer

    def on_connect(self) -> Any:
        """Return what sets the engine's isolation level where SQLAlchemy 1.4 leaves that to the dialect."""
        if self._level is None or _SETS_LEVEL:
            return None
        return lambda connection: self.set_isolation_level(connection, self._level)

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the DB-API module."""
        return scoter_client

    @classmethod
    def dbapi(cls) -> Any:  # type: ignore[override,unused-ignore]  # SQLAlchemy 1.4's name of import_dbapi
        """Return the DB-API module."""
        return scoter_client

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of ``scoter_client.connect``. Raises ArgumentError."""
        try:
            return [f"scoter://{_host(url)}:{url.port or address.DEFAULT_PORT}"], _options(url)
        except ValueError as error:
            raise exc.ArgumentError(f"scoter:// URL: {error}") from error

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version = driver_connection(connection).adbc_get_info().get("vendor_version", "")
        return tuple(int(part) for part in version.split(".") if part.isdigit())

    def _get_default_schema_name(self, connection: Any) -> str:
        return str(driver_connection(connection).adbc_current_db_schema)

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Send a statement; those that return no rows go the way of updates, which returns a count alone."""
        if context is not None and context.isddl and not statement:
            return  # an index: see ScoterDDLCompiler
        if context is not None and (
            context.isddl or context.isinsert or context.isupdate or context.isdelete
        ):
            cursor.executemany(statement, [parameters] if parameters else None)
        else:
            cursor.execute(statement, parameters)

    def do_execute_no_params(self, cursor: Any, statement: str, *args: Any, context: Any = None) -> None:
        """Send a statement that has no parameters."""
        # SQLAlchemy 1.4 passes None parameters before the context.
        self.do_execute(cursor, statement, None, context or (args[-1] if args else None))

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Ask for one row."""
        with dbapi_connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether an error means that the connection is of no use any more."""
        if not isinstance(e, scoter_client.Error):
            return False
        if e.sqlstate is not None:
            return bool(e.sqlstate == _SHUTTING_DOWN)
        return any(sign in str(e) for sign in _UNREACHABLE)

    def get_isolation_level_values(self, dbapi_connection: Any) -> list[Any]:
        """Return the one level there is: every statement commits by itself."""
        return [AUTOCOMMIT]

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Return AUTOCOMMIT."""
        return AUTOCOMMIT

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """Return AUTOCOMMIT."""
        return AUTOCOMMIT

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        """Take AUTOCOMMIT: who asked for it expects that rollback does nothing. Raises ArgumentError."""
        if level != AUTOCOMMIT:
            raise exc.ArgumentError(f"Scoter's isolation level is {AUTOCOMMIT}, not {level!r}")
        dbapi_connection.warns_of_rollback = False

    def reset_isolation_level(self, dbapi_connection: Any) -> None:
        """Warn again of rollbacks, unless the engine was made with AUTOCOMMIT."""
        dbapi_connection.warns_of_rollback = self._level is None


def _host(url: Any) -> str:
    if not url.host:
        raise ValueError("no host is named")
    return f"[{url.host}]" if ":" in url.host else str(url.host)


def _options(url: Any) -> dict[str, Any]:
    catalog, schema_name = address.path_names(url.database or "")
    found = {
        "user": url.username,
        "password": None if url.password is None else str(url.password),
        "catalog": catalog,
        "schema": schema_name,
        **address.options(url.query),
    }
    return {name: value for name, value in found.items() if value is not None}
