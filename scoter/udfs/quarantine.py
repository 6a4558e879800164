"""Models that end statements by the time or memory that they take: counted, and after some not run any more.

This module must not know statements, names of models or how a model runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from scoter.errors import ModelQuarantined, ModelTooSlow, ScoterError

_LONGEST_PAUSE = 1.0


@dataclass(eq=False)
class _Batch:
    """A batch that a model scores now; ``run`` says for which statement, ``end`` ends it."""

    sha256: str
    run: object
    end: Callable[[ScoterError], None]
    started: float = field(default_factory=time.monotonic)
    is_over: bool = False


class Quarantine:
    """What each model file has ended in the life of this process. Thread-safe; close it when done.

    A batch that takes longer than ``batch_seconds`` is ended (0: none is). A file that has ended ``after``
    statements in a row, with none that went well between them, is not run any more (0: no file is).
    """

    def __init__(self, after: int, batch_seconds: float) -> None:
        self._after = after
        self._batch_seconds = batch_seconds
        self._lock = threading.RLock()  # what ends a batch also counts it
        self._batches: set[_Batch] = set()
        self._ended: dict[str, int] = {}
        self._watching: threading.Thread | None = None
        self._closed = threading.Event()

    def check(self, sha256: str, model: str) -> None:
        """Raise ModelQuarantined for a file that is not run any more."""
        if self._after and self._ended.get(sha256, 0) >= self._after:
            raise ModelQuarantined(
                f"{model} has ended {self._after} statements in a row by the time or memory that it took",
                hint="call another version; a restart of the server lets this one run again",
            )

    @contextmanager
    def batch(self, sha256: str, run: object, end: Callable[[ScoterError], None]) -> Iterator[None]:
        """Watch a batch while a model scores it; ``end`` is called, with what is to be raised, if it takes too long."""
        own = _Batch(sha256, run, end)
        with self._lock:
            self._batches.add(own)
            if self._batch_seconds and self._watching is None:
                self._watching = threading.Thread(target=self._watch, name="scoter-batches", daemon=True)
                self._watching.start()
        try:
            yield
        finally:
            with self._lock:
                self._batches.discard(own)

    def charge(self, sha256: str) -> None:
        """Count a statement that a file has ended."""
        with self._lock:
            self._ended[sha256] = self._ended.get(sha256, 0) + 1

    def forgive(self, sha256: str) -> None:
        """Forget what a file has ended, after a statement that went well."""
        if sha256 in self._ended:
            with self._lock:
                self._ended.pop(sha256, None)

    def longest(self, run: object) -> dict[str, float]:
        """Return for how many seconds each file has been at a batch of a statement."""
        now = time.monotonic()
        found: dict[str, float] = {}
        with self._lock:
            for batch in self._batches:
                if batch.run is run:
                    found[batch.sha256] = max(found.get(batch.sha256, 0.0), now - batch.started)
        return found

    def close(self) -> None:
        """End the watching."""
        self._closed.set()
        if self._watching is not None:
            self._watching.join()

    def _watch(self) -> None:
        while not self._closed.wait(min(_LONGEST_PAUSE, self._batch_seconds / 4)):
            latest = time.monotonic() - self._batch_seconds
            # While the lock is held no batch can leave, so that none is ended in the place of one that came later.
            with self._lock:
                for batch in self._batches:
                    if batch.started < latest and not batch.is_over:
                        batch.is_over = True
                        batch.end(
                            ModelTooSlow(
                                f"a batch of the model took longer than {self._batch_seconds:g} s",
                                hint="the setting models.batch_seconds raises the limit",
                            )
                        )
