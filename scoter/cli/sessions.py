"""One place to run statements: a lake opened in this process, or a server over ADBC.

This module must not know how results are shown.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from adbc_driver_flightsql import DatabaseOptions, dbapi
from adbc_driver_manager import Error

from scoter import errors
from scoter.catalog.principals import Principal, Role
from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context
from scoter.engine.journal import new_query_id
from scoter.engine.result import Result
from scoter.engine.service import Engine
from scoter.engine.values import PIECES
from scoter.errors import (
    AuthenticationFailed,
    Cancelled,
    ConfigurationError,
    InternalError,
    ScoterError,
    Span,
)
from scoter.settings import load

LOCAL = Principal("local", Role.ADMIN)
"""Who runs statements in a lake that is opened in process: whoever may read its files may do all."""

_PIECE = 8 * 1024 * 1024  # bytes of one message
_SCHEMES = ("grpc://", "grpc+tls://", "grpc+tcp://")


@dataclass(frozen=True)
class Answer:
    """A statement's result: read the batches once, to their end.

    ``affected`` is the number of rows that a statement without rows of its own has written; None for
    one that returns rows.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    affected: int | None = None


class Session(Protocol):
    """Runs one statement at a time; `USE` and `SET` hold for the statements after them."""

    def run(self, sql: str, parameters: pa.RecordBatch | None = None) -> Answer:
        """Run a statement; raises ScoterError, also while the batches are read."""

    def cancel(self) -> None:
        """End the statement that runs; safe from any thread."""

    def close(self) -> None:
        """Free what the session holds."""


class LocalSession:
    """Statements in a lake that is open in this process."""

    def __init__(self, engine: Engine, context: Context | None = None) -> None:
        self.engine = engine
        self.context = context or engine.context(LOCAL)
        self._running = Cancellation()
        self._result: Result | None = None

    def run(self, sql: str, parameters: pa.RecordBatch | None = None) -> Answer:
        """Run a statement; raises ScoterError, also while the batches are read."""
        self._finish()
        self._running = cancellation = Cancellation()
        query_id = new_query_id()
        plan = self.engine.plan(sql, self.context, query_id=query_id)
        result = self.engine.run(plan, self.context, parameters, query_id=query_id, cancellation=cancellation)
        self.context = result.context
        self._result = result
        if plan.is_update:
            return Answer(pa.schema([]), iter(()), max(0, result.rows_affected))
        return Answer(result.schema, iter(result))

    def cancel(self) -> None:
        """End the statement that runs; safe from any thread."""
        self._running.cancel()

    def close(self) -> None:
        """Close the lake."""
        self._finish()
        self.engine.close()

    def _finish(self) -> None:
        # What was not read to its end still holds a place in the engine.
        if self._result is not None:
            self._result.close()
            self._result = None


class RemoteSession:
    """Statements on a server, over ADBC."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._cursor: Any = None

    def run(
        self, sql: str, parameters: pa.RecordBatch | None = None, *, address: str | None = None
    ) -> Answer:
        """Run a statement; raises ScoterError, also while the batches are read.

        With ``address`` a server that can not be reached is named by it.
        """
        self._finish()
        with _translated(address):
            cursor = self._connection.cursor()
            with self._lock:
                self._cursor = cursor
            cursor.execute(sql, parameters=_in_pieces(parameters))
            reader = cursor.fetch_record_batch()
            # The number of rows is known beforehand only when they have been written.
            if cursor.rowcount >= 0 and reader.schema.names in ([], ["Count"]):
                reader.close()
                return Answer(pa.schema([]), iter(()), cursor.rowcount)
            return Answer(reader.schema, self._read(reader), None if reader.schema.names else 0)

    def cancel(self) -> None:
        """End the statement that runs; safe from any thread."""
        with self._lock:
            cursor = self._cursor
        if cursor is not None:
            with suppress(Exception):
                cursor.adbc_cancel()

    def close(self) -> None:
        """Close the connection."""
        self._finish()
        with suppress(Exception):
            self._connection.close()

    def _read(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            with _translated():
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
            yield batch
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            cursor, self._cursor = self._cursor, None
        if cursor is not None:
            # Closing tells the server, which may be gone; the statement's own error has been shown.
            try:
                cursor.close()
            except (Error, RuntimeError):
                cursor._closed = True  # noqa: SLF001  # else the driver tries again when it is collected, and warns


def _in_pieces(parameters: pa.RecordBatch | None) -> pa.RecordBatch | pa.RecordBatchReader | None:
    """Return a large file that is bound to a statement as a stream of small messages."""
    if parameters is None or parameters.nbytes <= _PIECE or parameters.schema.types != [pa.binary()]:
        return parameters
    data = memoryview(parameters.column(0)[0].as_buffer())
    schema = parameters.schema.with_metadata({PIECES: sha256(data).hexdigest()})
    rows = (
        pa.RecordBatch.from_arrays([pa.array([data[at : at + _PIECE]], pa.binary())], schema=schema)
        for at in range(0, len(data), _PIECE)
    )
    return pa.RecordBatchReader.from_batches(schema, rows)


def is_address(target: str) -> bool:
    """Say whether a target names a server and not a directory."""
    return "://" in target


def connect(
    address: str, user: str | None = None, password: str | None = None, authority: Path | None = None
) -> RemoteSession:
    """Return a session on a server; ``authority`` is a PEM file with certificates to trust.

    Raises ConfigurationError for an address that no server answers at, AuthenticationFailed.
    """
    if not address.startswith(_SCHEMES):
        raise ConfigurationError(
            f"{address} is no address of a server",
            hint="an address is grpc://HOST:PORT or grpc+tls://HOST:PORT",
        )
    options: dict[str, str] = {}
    if user is not None:
        options |= {"username": user, "password": password or ""}
    if authority is not None:
        try:
            options[DatabaseOptions.TLS_ROOT_CERTS.value] = authority.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{authority} can not be read") from error
    with _translated(address):
        session = RemoteSession(dbapi.connect(address, db_kwargs=options, autocommit=True))
    try:
        # The driver connects lazily: a first statement tells now what would fail later.
        for _ in session.run("SELECT 1", address=address).batches:
            pass
    except ScoterError:
        session.close()
        raise
    return session


def open_lake(directory: Path, *, create: bool = False, **flags: Any) -> Engine:
    """Open the lake in ``directory`` in this process; its statement log goes into the directory.

    Raises ConfigurationError for a directory that holds other things than a lake, and, without
    ``create``, for one that does not hold a lake.
    """
    entries = {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()
    settings = load(directory, **flags)
    is_lake = bool(entries & {"metastore.db", "scoter.toml"})
    if settings.metastore is not None:
        is_lake = is_lake or "warehouse" in entries
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"{directory} is a file, not a lake's directory")
    if not is_lake and (entries or not create):
        raise ConfigurationError(
            f"there is no lake in {directory}",
            hint=f"`scoter serve {directory}` makes one" if not entries else "give the lake's directory",
        )
    if settings.log is None:
        settings = load(directory, **{**flags, "log": directory / "statements.log"})
    try:
        return Engine(settings)
    except OSError as error:
        raise ConfigurationError(f"the lake in {directory} can not be opened: {error.strerror}") from error


_START = re.compile(r"\[([0-9A-Z]{5})\] ([A-Z_]+): ")
_QUERY_ID = re.compile(r"\s*Query id ([0-9a-f]{32})")
_OF_DRIVER = re.compile(r"( Detail: .*| \([A-Za-z]+; .*\).*)$", re.DOTALL)
_SPAN = re.compile(r" \((\d+):(\d+)\)$")


def from_text(text: str) -> ScoterError | None:
    """Return the error that a server wrote into ``text``, or None when the text is not a server's.

    >>> found = from_text("UNKNOWN: [42P01] UNDEFINED_TABLE: no t (1:15). Hint: is it u? Detail: x (Unknown; Y)")
    >>> type(found).__name__, found.message, found.hint, found.span.column
    ('UndefinedTable', 'no t', 'is it u?', 15)
    """
    start = _START.search(text)
    if start is None:
        return None
    body = text[start.end() :]
    query = _QUERY_ID.search(body)
    body = body[: query.start()] if query else _OF_DRIVER.sub("", body)
    message, _, hint = body.strip().rstrip(".").partition(". Hint: ")
    place = _SPAN.search(message)
    span = Span(int(place[1]), int(place[2])) if place else None
    kind = _conditions().get(start[2], InternalError)
    return kind(
        message[: place.start()] if place else message,
        hint=hint or None,
        span=span,
        query_id=query[1] if query else None,
    )


def _conditions() -> dict[str, type[ScoterError]]:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    return {
        kind.condition: kind
        for kind in classes
        if issubclass(kind, ScoterError) and "condition" in vars(kind)
    } | {"INTERNAL_ERROR": InternalError}


@contextmanager
def _translated(address: str | None = None) -> Iterator[None]:
    """Raise what the driver raises as errors of ours."""
    try:
        yield
    except ScoterError:
        raise
    except (Error, pa.ArrowException, OSError) as error:
        text = str(error)
        known = from_text(text)
        if known is not None:
            raise known from error
        folded = text.casefold()
        if "cancel" in folded:
            raise Cancelled("the statement was cancelled") from error
        if "unauthenticated" in folded:
            raise AuthenticationFailed("the server refuses the user or the password") from error
        if "unavailable" in folded or "connection error" in folded:
            if address is None:
                raise ConfigurationError("the connection to the server was lost") from error
            raise ConfigurationError(
                f"no server answers at {address}",
                hint="`scoter serve` starts one; a server with TLS has a grpc+tls:// address",
            ) from error
        raise InternalError(f"the driver failed: {_first_line(text)}") from error


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:500]
