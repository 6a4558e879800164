"""What running a statement gives: a schema and batches, a count of rows, the session's new state.

This module must not know how the batches are made.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pyarrow as pa

from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context


class Result:
    """One statement's result; iterate it once, and close it when it is not read to its end.

    One that is dropped unread frees what it holds, too, but later.
    """

    def __init__(
        self,
        query_id: str,
        schema: pa.Schema,
        context: Context,
        batches: Iterator[pa.RecordBatch],
        cancellation: Cancellation,
        *,
        rows_affected: int = -1,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.query_id = query_id
        self.schema = schema
        self.context = context
        self.rows_affected = rows_affected
        self.ended = False  # whether all batches were read
        self._batches = batches
        self._cancellation = cancellation
        self._on_close = on_close
        if on_close is not None:
            _FORGOTTEN.start()
            self._unread = weakref.finalize(self, _FORGOTTEN.calls.put, on_close)
            self._unread.atexit = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        # Who reads holds the result, so that it is not dropped before its last batch.
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches)
        except StopIteration:
            self.ended = True
            raise

    def cancel(self) -> None:
        """End the statement; safe from any thread."""
        self._cancellation.cancel()

    def close(self) -> None:
        """Free what the statement holds; idempotent. Batches that were not read are lost."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
        if self._on_close is not None:
            self._unread.detach()
            self._on_close()

    def read_all(self) -> pa.Table:
        """Return all rows as one table."""
        return pa.Table.from_batches(list(self), schema=self.schema)


class _Forgotten:
    """Frees what results held that were dropped unread.

    Python may drop an object at any place, also inside a lock that freeing it would need: so another
    thread does it.
    """

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, once."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="forgotten results", daemon=True)
                    self._thread.start()

    def _work(self) -> None:
        while True:
            call = self.calls.get()
            with contextlib.suppress(Exception):
                call()
            del call


_FORGOTTEN = _Forgotten()
