"""What all model calls of one statement share: counters, the first error, and the way to end them.

This module must not know models, rows or connections.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scoter.errors import Cancelled, ScoterError
from scoter.udfs.quarantine import Quarantine
from scoter.udfs.runtime import onnxruntime

_FATAL_ONLY = 4


@dataclass
class Counts:
    """What the calls of one function have done.

    ``rows`` were given, ``skipped`` are those whose result is NULL for a NULL input, ``failed`` those that a call
    that tries has given up. ``batches`` is how often the model ran, ``compiled`` how often with compiled trees. Seconds are added up over threads:
    ``model_seconds`` inside the model, ``conversion_seconds`` from Arrow to tensors and back.
    """

    rows: int = 0
    skipped: int = 0
    failed: int = 0
    batches: int = 0
    compiled: int = 0
    model_seconds: float = 0.0
    conversion_seconds: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(operator.add, vars(self).values(), vars(other).values()))


class Run:
    """One statement's model calls. One DuckDB instance runs one statement at a time; ``begin`` starts the next.

    With ``quarantine`` the files that end the statement by the time or memory that they take are told to it, each once.
    """

    def __init__(self, quarantine: Quarantine | None = None) -> None:
        self._lock = threading.Lock()
        self._quarantine = quarantine
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
            self.ended: ScoterError | None = None
            self._charged: set[str] = set()
            self._models: set[str] = set()

    @property
    def cancelled(self) -> bool:
        """Say whether model calls have been ended."""
        return self.ended is not None

    def cancel(self) -> None:
        """End model calls that are running, from any thread, and refuse further ones."""
        self._end(Cancelled("the statement was cancelled"))

    def _end(self, error: ScoterError) -> None:
        with self._lock:
            self.ended = self.ended or error
            self.options.terminate = True

    @contextmanager
    def batch(self, sha256: str) -> Iterator[None]:
        """Let a batch be watched while a model scores it; raises what has ended the statement's model calls."""
        if self.ended is not None:
            raise self.ended
        self._models.add(sha256)
        if self._quarantine is None:
            yield
            return

        def end(error: ScoterError) -> None:
            self._end(error)
            self.charge(sha256)

        with self._quarantine.batch(sha256, self, end):
            yield

    def charge(self, sha256: str) -> None:
        """Say that a file has ended the statement by the time or memory that it took."""
        with self._lock:
            is_first = sha256 not in self._charged
            self._charged.add(sha256)
        if is_first and self._quarantine is not None:
            self._quarantine.charge(sha256)

    def charge_slow(self, seconds: float) -> None:
        """Charge the files that have been at one batch for so long."""
        if self._quarantine is not None:
            for sha256, spent in self._quarantine.longest(self).items():
                if spent >= seconds:
                    self.charge(sha256)

    def succeed(self) -> None:
        """Say that the statement has ended well."""
        if self._quarantine is not None and self.ended is None and self.error is None:
            for sha256 in self._models:
                self._quarantine.forgive(sha256)

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
