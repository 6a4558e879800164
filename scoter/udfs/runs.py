"""What all model calls of one statement share: counters, the first error, and the way to end them.

This module must not know models, rows or connections.
"""

from __future__ import annotations

import threading
from dataclasses import astuple, dataclass

from scoter.udfs.runtime import onnxruntime

_FATAL_ONLY = 4


@dataclass
class Counts:
    """What the calls of one function have done.

    ``rows`` were given, ``skipped`` are those whose result is NULL for a NULL input, ``failed`` those that a call
    that tries has given up. ``batches`` is how often the model ran. Seconds are added up over threads:
    ``model_seconds`` inside ONNX Runtime, ``conversion_seconds`` from Arrow to tensors and back.
    """

    rows: int = 0
    skipped: int = 0
    failed: int = 0
    batches: int = 0
    model_seconds: float = 0.0
    conversion_seconds: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Run:
    """One statement's model calls. One DuckDB instance runs one statement at a time; ``begin`` starts the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Forget the last statement."""
        options = onnxruntime.RunOptions()
        options.log_severity_level = _FATAL_ONLY
        with self._lock:
            self.options = options
            self.counts: dict[str, Counts] = {}
            self.error: Exception | None = None
            self.culprit = ""
            self.cancelled = False

    def cancel(self) -> None:
        """End model calls that are running, from any thread, and refuse further ones."""
        with self._lock:
            self.cancelled = True
            self.options.terminate = True

    def count(self, function: str, more: Counts) -> Counts:
        """Add what one call of a function has done and return what all of them have."""
        with self._lock:
            now = self.counts.get(function, Counts()) + more
            self.counts[function] = now
            return now

    @property
    def total(self) -> Counts:
        """What the calls of all functions have done."""
        with self._lock:
            return sum(self.counts.values(), Counts())

    def fail(self, error: Exception, function: str = "") -> None:
        """Keep the first error, and the name of the function that raised it: of both DuckDB passes on a text."""
        with self._lock:
            if self.error is None:
                self.error = error
                self.culprit = function
