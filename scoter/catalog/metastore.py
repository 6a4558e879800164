"""The metastore: one SQL database with Scoter's own records and, by default, the Iceberg catalog.

This module must not know what a model, a principal or an Iceberg table means; it opens, migrates,
locks and closes the database and says how its tables look.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from scoter.errors import (
    ConfigurationError,
    CorruptData,
    DiskFull,
    InternalError,
    ScoterError,
    Unreachable,
    WriteConflict,
)

T = TypeVar("T")

HEAD = "0002"  # newest revision in migrations/versions; a test compares it with the files
VERSION_TABLE = "scoter_alembic_version"
LOCK_SECONDS = 10.0  # that SQLite itself waits for another writer
ATTEMPTS = 5  # times that a locked database is tried at most, with pauses that double
RETRY_SECONDS = 25.0  # after which a locked database is not tried again

_BEGIN = "scoter_begin"
_ADVISORY_LOCK = 5_319_021_877  # any constant: PostgreSQL's lock for writers of a Scoter metastore
_POSTGRESQL = "postgresql"
_URLS = "postgresql://USER@HOST:PORT/DATABASE; the password comes from PGPASSWORD or a password file"
_MIGRATING = threading.Lock()  # Alembic keeps its context in module globals: one migration a process


class Metastore:
    """An open metastore; safe for many threads and many processes at once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Metastore:
        """Open the database at an SQLAlchemy URL, make it if absent, and migrate it to this version.

        A database at this version costs one SELECT. Raises ConfigurationError for a database that a
        newer Scoter made or that can not be opened, CorruptData for a file that is no database,
        Unreachable where the database's server does not answer.
        """
        metastore = cls(engine_for(url, new=True))
        try:
            metastore._migrate()
        except BaseException:
            metastore.close()
            raise
        return metastore

    def close(self) -> None:
        """Close every connection; idempotent."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection whose SELECTs all see the same state."""
        with translated(), self.engine.connect() as connection:
            if self.engine.dialect.name == _POSTGRESQL:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def writing(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction that holds the write lock from its start, and commit it.

        ``work`` may run again when the database was locked, so it must do nothing but SQL.
        Raises WriteConflict when the database stays locked.
        """

        def attempt() -> T:
            with self.engine.connect() as connection:
                held = connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
                with held.begin():
                    _lock(held)
                    return work(held)

        return retrying(attempt)

    def _migrate(self) -> None:
        with translated():
            if self._version() == HEAD:
                return
            if self.engine.dialect.name == "sqlite":
                retrying(self._use_wal)

        with _MIGRATING:
            self.writing(_upgrade)

    def _version(self) -> str | None:
        def select() -> str | None:
            with self.engine.connect() as connection:
                found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
                return None if found is None else str(found)

        try:
            return retrying(select, translate=False)
        except (OperationalError, ProgrammingError) as error:
            if _is_missing_table(error):
                return None
            raise

    def _use_wal(self) -> None:
        # Kept in the file from then on. Readers then never wait for the writer; the files must be on
        # a local disk, as SQLite demands for this mode.
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.close()
        except sqlite3.OperationalError as error:
            raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
        finally:
            connection.close()


def one_select(engine: Engine, sql: str, values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of one SELECT in the driver's own SQL; it sees one state without a transaction around it."""
    if engine.dialect.name != "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql, values)]
    # This runs before every query: through SQLAlchemy's connection it takes five times as long.
    try:
        borrowed = engine.raw_connection()
        try:
            return cast("list[tuple[Any, ...]]", borrowed.cursor().execute(sql, values).fetchall())
        finally:
            borrowed.close()
    except sqlite3.Error as error:
        raise OperationalError(sql, None, error) from error


def _lock(connection: Connection) -> None:
    """Wait until no other transaction writes, which SQLite's BEGIN IMMEDIATE has done already."""
    if connection.dialect.name == _POSTGRESQL:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(LOCK_SECONDS)}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def retrying(work: Callable[[], T], *, translate: bool = True) -> T:
    """Run ``work`` and, when the database says that it is locked, again: at most five times, for 25 seconds.

    With ``translate`` database errors leave as ours: WriteConflict when it stays locked.
    """
    pause = 0.02
    last = time.monotonic() + RETRY_SECONDS
    attempt = 1
    while True:
        try:
            return work()
        except SQLAlchemyError as error:
            if not is_locked(error) or attempt == ATTEMPTS or time.monotonic() > last:
                if translate:
                    raise translation(error) from error
                raise
        time.sleep(pause)
        pause *= 2
        attempt += 1


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy raises inside into an error of ours."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translation(error) from error


def is_locked(error: SQLAlchemyError) -> bool:
    """Say whether the database refused because another connection holds a lock; nothing was then changed."""
    code = _sqlite_code(error)
    if code is not None:
        return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    # serialization_failure, deadlock_detected, lock_not_available
    return _sqlstate(error) in {"40001", "40P01", "55P03"}


def translation(error: SQLAlchemyError) -> ScoterError:
    """Return the error that a user sees for one of the database: no SQL, no path."""
    code = _sqlite_code(error)
    primary = None if code is None else code & 0xFF
    if is_locked(error):
        return WriteConflict("the metastore is locked by another writer", hint="try again")
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull("the disk that holds the metastore is full")
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return CorruptData("the metastore is damaged or not a database")
    if primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return ConfigurationError("the metastore can not be opened for writing")
    state = _sqlstate(error)
    if state == "53100":
        return DiskFull("the disk that holds the metastore is full")
    if code is None and isinstance(error, OperationalError | PoolTimeout):
        # Also where it has no code: PostgreSQL is away, refuses the login, or has no connection left.
        return Unreachable("the metastore can not be reached", hint="try again; the log tells why")
    return InternalError("the metastore failed")


def _sqlite_code(error: SQLAlchemyError) -> int | None:
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", None)
    return None


def _sqlstate(error: SQLAlchemyError) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def _is_missing_table(error: DatabaseError) -> bool:
    if isinstance(error.orig, sqlite3.OperationalError):
        return "no such table" in str(error.orig)
    return _sqlstate(error) == "42P01"


def _prepare_file(database: str | None) -> None:
    if not database:
        return
    path = Path(database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Password hashes and the signing key are in this file: nobody else may read it. An existing file is
        # not touched: closing it would drop the locks that SQLite holds on it in this process, and another
        # process could then delete the write-ahead log, and with it commits, under our hands.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"the lake's directory can not be used: {error.strerror}",
            hint="it must be a directory in which you may write",
        ) from error


def engine_for(url: str, *, new: bool = False) -> Engine:
    """Return a pool of connections for many threads; SQLite's wait for locks and commit durably.

    With ``new`` SQLite's file is made where it is absent. Raises ConfigurationError for a URL that names
    no database of ours or whose driver is not installed.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername == _POSTGRESQL:
            parsed = parsed.set(drivername=f"{_POSTGRESQL}+psycopg")
        if parsed.get_backend_name() == _POSTGRESQL:
            return create_engine(parsed, pool_size=16, max_overflow=48, pool_pre_ping=True)
    except ImportError as error:
        raise ConfigurationError(
            "the driver of the metastore's database is not installed", hint="pip install 'scoter[postgres]'"
        ) from error
    except SQLAlchemyError as error:
        # The text of the error, and the URL, may hold a password.
        raise ConfigurationError("a database's URL can not be read", hint=_URLS) from error
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError("a database of another kind than PostgreSQL and SQLite", hint=_URLS)
    if new:
        _prepare_file(parsed.database)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=16,
        max_overflow=48,
        connect_args={"timeout": LOCK_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: object) -> None:
    # The driver's own transactions would leave DDL outside of them; _begin says BEGIN instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # a commit that was answered survives a power failure
    cursor.close()


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  # a metastore that is up to date needs no Alembic
    from alembic.config import Config  # noqa: PLC0415  # as above
    from alembic.util import CommandError  # noqa: PLC0415  # as above

    config = Config()
    # Interpolation is Alembic's: a percent sign in the path must be doubled.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigurationError(
            "the lake was made by a newer version of Scoter", hint="use that version or a newer one"
        ) from error
