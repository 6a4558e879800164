"""DB-API 2.0 connections to Scoter: the Flight SQL driver with limits, errors and results as Python expects them.

This module must not know SQLAlchemy.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import adbc_driver_flightsql
import adbc_driver_manager
import pyarrow as pa
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_manager import dbapi as driver

from scoter_client import address
from scoter_client.failures import translated, unusable

# The driver's own limit of 16 MiB refuses single values that the server takes.
MAX_MESSAGE_BYTES = 1 << 30
# The server sends what the client says that it takes.
_LIMIT_HEADER = DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "scoter-max-message-bytes"


class Cursor(driver.Cursor):
    """A cursor whose ``description`` is None where a statement has no rows, and whose errors have classes."""

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """The columns of the result, or None."""
        with translated():
            return super().description or None

    def execute(self, operation: bytes | str, parameters: Any = None) -> Cursor:
        """Run a statement once, with one row of parameters."""
        if isinstance(parameters, Sequence):
            parameters = _batch([parameters]) if parameters else None
        with translated():
            super().execute(operation, parameters)
        self._note_write()
        return self

    def executemany(self, operation: bytes | str, seq_of_parameters: Any) -> None:
        """Run a statement with many rows of parameters: one statement and one commit."""
        if isinstance(seq_of_parameters, Sequence) and seq_of_parameters:
            first = seq_of_parameters[0]
            if isinstance(first, Sequence) and not isinstance(first, (str, bytes)):
                seq_of_parameters = _batch(seq_of_parameters)
        with translated():
            super().executemany(operation, seq_of_parameters)
        self._note_write()

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, None behind the last."""
        with translated():
            return super().fetchone()

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Return the next ``size`` rows."""
        with translated():
            return super().fetchmany(size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left."""
        with translated():
            return super().fetchall()

    def __del__(self) -> None:
        # SQLAlchemy 1.4 leaves it to the garbage collection to close cursors of definitions; the driver warns.
        with contextlib.suppress(Exception):
            self.close()

    def _note_write(self) -> None:
        connection = self.connection
        if isinstance(connection, Connection) and self.rowcount != 0 and self.description is None:
            connection.wrote = True


class Connection(driver.Connection):
    """A connection; in autocommit mode it warns when rows were written that ``rollback`` can not take back."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._open: weakref.WeakSet[Cursor] = weakref.WeakSet()
        super().__init__(*args, **options)
        self.wrote = False
        self.warns_of_rollback = bool(options.get("autocommit"))

    def cursor(self, *, adbc_stmt_kwargs: Mapping[str, Any] | None = None) -> Cursor:
        """Return a new cursor."""
        with translated():
            made = Cursor(self, adbc_stmt_kwargs)
        self._open.add(made)
        return made

    def close(self) -> None:
        """Close the connection and its cursors."""
        # Older drivers refuse to close a connection that has cursors.
        for cursor in list(self._open):
            cursor.close()
        with translated():
            super().close()

    def __del__(self) -> None:
        # SQLAlchemy 1.4 leaves a connection to the garbage collector when setting it up failed.
        with contextlib.suppress(Exception):
            self.close()

    def commit(self) -> None:
        """Commit; in autocommit mode every statement has already."""
        with translated():
            super().commit()
        self.wrote = False

    def rollback(self) -> None:
        """Roll back; in autocommit mode there is nothing that could be."""
        with translated():
            super().rollback()
        if self.wrote and self.warns_of_rollback:
            warnings.warn(
                "rows were written and stay: each statement committed by itself, rollback has no effect",
                driver.Warning,
                stacklevel=2,
            )
        self.wrote = False


def connect(
    uri: str,
    *,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    tls: bool | None = None,
    tls_root_certs: str | Path | None = None,
    tls_verify: bool | None = None,
    catalog: str | None = None,
    schema: str | None = None,
    autocommit: bool = True,
    timeout: float | None = None,
    max_message_bytes: int | None = None,
    driver_options: Mapping[str, str] | None = None,
) -> Connection:
    """Connect to a server.

    ``uri`` is ``grpc://host:port``, ``grpc+tls://host:port``, or ``scoter://user:password@host:port/catalog/schema``
    with any of the options below behind ``?``; arguments win over it. Without ``tls`` and with ``scoter://`` a
    loopback address is reached without TLS and any other with it. ``tls_root_certs`` is the name of a PEM file
    or its text. ``timeout`` in seconds holds for each call. ``driver_options`` are the ADBC driver's own.

    Raises ValueError for a URI that can not be read, Error for what the server or the driver refuses.
    ``autocommit=False`` raises NotSupportedError while the server offers no transactions.
    """
    found = address.read(uri)
    given = {
        "token": token,
        "tls": tls,
        "tls_root_certs": tls_root_certs,
        "tls_verify": tls_verify,
        "timeout": timeout,
        "max_message_bytes": max_message_bytes,
    }
    options = {**found.options, **{name: value for name, value in given.items() if value is not None}}
    limit = str(options.get("max_message_bytes", MAX_MESSAGE_BYTES))
    db_kwargs = {
        DatabaseOptions.WITH_MAX_MSG_SIZE.value: limit,
        _LIMIT_HEADER: limit,
        **_login(
            found.user if user is None else user,
            found.password if password is None else password,
            options.get("token"),
        ),
        **_trust(options.get("tls_root_certs"), verify=options.get("tls_verify", True)),
        **_timeouts(options.get("timeout")),
        **(driver_options or {}),
    }
    encrypted = _encrypted(found, options.get("tls"))
    made = _opened(found.driver_uri(tls=encrypted), db_kwargs, autocommit=autocommit)
    try:
        _begin_in(made, catalog or found.catalog, schema or found.schema)
    except BaseException:
        made.close()
        raise
    return made


def _opened(uri: str, db_kwargs: dict[str, str], *, autocommit: bool) -> Connection:
    database = connection = None
    try:
        with translated():
            database = adbc_driver_flightsql.connect(uri, db_kwargs=db_kwargs)
            connection = adbc_driver_manager.AdbcConnection(database)
            if not autocommit:
                # The driver's DB-API only warns where this is refused.
                connection.set_autocommit(False)
            return Connection(database, connection, autocommit=autocommit)
    except BaseException:
        if connection is not None:
            connection.close()
        if database is not None:
            database.close()
        raise


def _begin_in(connection: Connection, catalog: str | None, schema: str | None) -> None:
    try:
        with translated():
            if catalog:
                connection.adbc_current_catalog = catalog
            if schema:
                connection.adbc_current_db_schema = schema
    except driver.ProgrammingError as error:
        if error.sqlstate is not None:
            raise
        # The driver names neither the value nor the server's reason.
        named = " ".join(
            f"{kind} {name!r}" for kind, name in (("catalog", catalog), ("schema", schema)) if name
        )
        raise driver.ProgrammingError(
            f"there is no {named}: {error}", status_code=error.status_code
        ) from error


def _encrypted(found: address.Address, tls: bool | None) -> bool:
    if found.tls is not None:
        if tls is not None and tls != found.tls:
            raise ValueError("tls contradicts the scheme of the URI")
        return found.tls
    return not address.is_loopback(found.host) if tls is None else tls


def _login(user: str | None, password: str | None, token: str | None) -> dict[str, str]:
    if token is not None:
        if user is not None or password is not None:
            raise ValueError("give a token, or user and password")
        return {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}
    if user is None:
        if password is not None:
            raise ValueError("a password needs a user")
        return {}
    return {"username": user, "password": password or ""}


def _trust(root_certs: str | Path | None, *, verify: bool) -> dict[str, str]:
    options = {}
    if root_certs is not None:
        text = str(root_certs)
        is_text = text.lstrip().startswith("-----BEGIN")
        options[DatabaseOptions.TLS_ROOT_CERTS.value] = text if is_text else Path(text).read_text("ascii")
    if not verify:
        options[DatabaseOptions.TLS_SKIP_VERIFY.value] = "true"
    return options


def _timeouts(seconds: float | None) -> dict[str, str]:
    if seconds is None:
        return {}
    text = str(float(seconds))
    kinds = (DatabaseOptions.TIMEOUT_FETCH, DatabaseOptions.TIMEOUT_QUERY, DatabaseOptions.TIMEOUT_UPDATE)
    return {kind.value: text for kind in kinds}


def _batch(rows: Sequence[Iterable[Any]]) -> pa.RecordBatch:
    """Return rows of parameters as Arrow columns, named by their place. Raises DataError."""
    try:
        columns = [pa.array(column) for column in zip(*rows)]
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise unusable(error) from error
    return pa.RecordBatch.from_arrays(columns, [str(place) for place in range(len(columns))])
