"""The SQL that reaches a database while something is done.

This module must not know what is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa


@contextmanager
def noted(engine: Any = sa.Engine) -> Iterator[list[str]]:
    """Give the statements that an engine sends, without BEGIN; without an engine those of all."""
    statements: list[str] = []

    borrowed: list[Any] = []

    def note(statement: str) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            statements.append(statement)

    def trace(connection: Any, *_: Any) -> None:
        # SQLite's own trace sees what is sent past SQLAlchemy, too.
        borrowed.append(connection)
        connection.set_trace_callback(note)

    watched = sa.pool.Pool if engine is sa.Engine else engine
    sa.event.listen(watched, "checkout", trace)
    try:
        yield statements
    finally:
        sa.event.remove(watched, "checkout", trace)
        for connection in borrowed:
            with suppress(sqlite3.ProgrammingError):  # it may be closed since
                connection.set_trace_callback(None)
