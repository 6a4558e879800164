"""What was read of a database stays true until something is committed to it; SQLite tells when that happens.

This module must not know what is read.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from scoter.catalog.recent import Recent

_V = TypeVar("_V")

_KEPT = 4096  # answers of one database


class _Commits:
    """The commits of one SQLite database, and what was read between them.

    Source: https://www.sqlite.org/pragma.html#pragma_data_version
    """

    def __init__(self, engine: Engine) -> None:
        self.kept: Recent[Hashable, tuple[int, Any]] = Recent(_KEPT)
        self._lock = threading.Lock()
        # The number tells of the commits of all connections but its own, which therefore does nothing else.
        borrowed = engine.raw_connection()
        connection: Any = borrowed.driver_connection
        borrowed.detach()
        # Where another connection holds a lock, that is no answer, and the question is not worth waiting for.
        connection.execute("PRAGMA busy_timeout=0")
        self._connection = connection

    def number(self) -> int | None:
        """Return another number after every commit; None where the database does not say."""
        try:
            with self._lock:
                row = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else int(row[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()


_OPEN: WeakKeyDictionary[Engine, _Commits] = WeakKeyDictionary()
_OPENING = threading.Lock()


def unchanged(engine: Engine, key: Hashable, read: Callable[[], _V]) -> _V:
    """Return what ``read`` gives, or gave before under this key if nothing was committed to the database since.

    ``read`` sees one state of the database. The value is shared and must not be changed. Raises what ``read`` raises.
    """
    if engine.dialect.name != "sqlite":
        return read()
    try:
        commits = _OPEN.get(engine) or _opened(engine)
    except (sqlite3.Error, SQLAlchemyError):
        return read()
    # Asked before reading: a commit between the two makes the value look older than it is, never newer.
    number = commits.number()
    known = commits.kept.get(key)
    if number is not None and known is not None and known[0] == number:
        found: _V = known[1]
        return found
    value = read()
    if number is not None:
        commits.kept.put(key, (number, value))
    return value


def _opened(engine: Engine) -> _Commits:
    with _OPENING:
        commits = _OPEN.get(engine)
        if commits is None:
            commits = _OPEN[engine] = _Commits(engine)
            event.listen(engine, "engine_disposed", _disposed)
        return commits


def _disposed(engine: Engine) -> None:
    commits = _OPEN.pop(engine, None)
    if commits is not None:
        commits.close()
