"""One statement's cancellation: asked for from any thread, before, during or after the work.

This module must not know what the work is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from scoter.catalog.fetching import Check
from scoter.errors import Cancelled, StatementTimeout


class Cancellation:
    """Passes a request to end on to whatever runs for the statement now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = False
        self._targets: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Say whether cancel was called."""
        return self._requested

    def attach(self, target: Callable[[], None]) -> None:
        """Have ``target`` called on cancel; at once when that has been asked for already."""
        with self._lock:
            self._targets.append(target)
            requested = self._requested
        if requested:
            target()

    def cancel(self) -> None:
        """Ask for the end; asked again, the targets are told again, as DuckDB forgets an early interrupt."""
        with self._lock:
            self._requested = True
            targets = list(self._targets)
        for target in targets:
            target()


def watch(cancellation: Cancellation, seconds: float) -> Check:
    """Return what raises Cancelled once that is asked for, and StatementTimeout so many seconds from now; 0: never."""
    end = time.monotonic() + seconds

    def check() -> None:
        if cancellation.requested:
            raise Cancelled("the statement was cancelled")
        if seconds and time.monotonic() > end:
            raise timed_out()

    return check


def timed_out() -> StatementTimeout:
    """Return the error of a statement that took too long."""
    return StatementTimeout(
        "the statement ran longer than statement_timeout", hint="SET statement_timeout = '5min'"
    )
