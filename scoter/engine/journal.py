"""The statement log: one JSON line a statement, refusals included.

This module must not know what a statement does; it writes what it is told, and never a literal value.
"""

from __future__ import annotations

import random
import re
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import structlog

from scoter.engine.cancellation import Cancellation
from scoter.errors import Cancelled, DataError, InternalError, ScoterError

# Not secrets: to ask the system for each would let another thread of the server go first.
_IDS = random.Random(secrets.randbits(256))  # noqa: S311  # a query's id opens nothing


class Journal:
    """A file or standard error, written line by line by all threads."""

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", buffering=1)
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._file or sys.stderr),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )

    def statement(self, facts: dict[str, Any]) -> None:
        """Write one statement's line."""
        self._log.info("statement", **facts)

    def event(self, name: str, **facts: Any) -> None:
        """Write a line that is not a statement's, such as a login or a start."""
        self._log.info(name, **facts)

    def failure(self, query_id: str, error: BaseException) -> None:
        """Write the traceback of an unexpected error under its query id."""
        self._log.error("failure", query_id=query_id, exc_info=error)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class Entry:
    """The facts of one statement, gathered while it runs and written once."""

    def __init__(
        self,
        journal: Journal,
        query_id: str | None,
        principal: str,
        tag: str,
        cancellation: Cancellation | None = None,
    ) -> None:
        self.query_id = query_id or new_query_id()
        self._cancellation = cancellation
        self._journal = journal
        self._started = time.perf_counter()
        self._lock = threading.Lock()
        self._written = False
        self.facts: dict[str, Any] = {"query_id": self.query_id, "principal": principal}
        if tag:
            self.facts["query_tag"] = tag
        self.times: dict[str, float] = {}

    def stage(self, name: str) -> _Stage:
        """Measure a stage in milliseconds; raises Cancelled where it must not begin any more."""
        if self._cancellation is not None and self._cancellation.requested:
            raise Cancelled("the statement was cancelled")
        return _Stage(self.times, name)

    def failed(self, error: BaseException) -> ScoterError:
        """Note an error, with its traceback when it is not one of ours, and return what a user may see."""
        if isinstance(error, ScoterError):
            shown = error
            # Its cause is for who runs the server: a defect, damage, a service that is away.
            if error.sqlstate.startswith(("XX", "58")):
                self._journal.failure(self.query_id, error)
        else:
            self._journal.failure(self.query_id, error)
            shown = InternalError("the statement failed; details are in the log")
        if shown.query_id is None:
            shown.query_id = self.query_id
        self.facts["outcome"] = "error"
        self.facts["error"] = {
            "sqlstate": shown.sqlstate,
            "condition": shown.condition,
            "message": _masked(shown),
        }
        return shown

    def write(self) -> None:
        """Write the line; only the first call does."""
        with self._lock:
            if self._written:
                return
            self._written = True
        self.facts.setdefault("outcome", "ok")
        total = round((time.perf_counter() - self._started) * 1000, 3)
        self._journal.statement({**self.facts, "times_ms": {**self.times, "total": total}})


class _Stage:
    """The time between its two ends is added to its name's; a generator would take longer than small stages."""

    __slots__ = ("_name", "_started", "_times")

    def __init__(self, times: dict[str, float], name: str) -> None:
        self._times = times
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = (time.perf_counter() - self._started) * 1000
        self._times[self._name] = round(self._times.get(self._name, 0.0) + spent, 3)


def _masked(error: ScoterError) -> str:
    """Return an error's message without the values of the statement or its data."""
    text = re.sub(r"'[^']*'", "'?'", error.message)
    if isinstance(error, DataError):
        text = re.sub(r'"[^"]*"|\b\d[\d.]*', "?", text)
    return text


def new_query_id() -> str:
    """Return a fresh query id: 32 hexadecimal digits."""
    return f"{_IDS.getrandbits(128):032x}"
