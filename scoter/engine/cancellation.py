"""One statement's cancellation: asked for from any thread, before, during or after the work.

This module must not know what the work is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


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
