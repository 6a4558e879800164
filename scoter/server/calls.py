"""Running calls: which are under way, whether their clients are still there, and how to end them.

This module must not know what a call does.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa

from scoter.errors import ClientStalled
from scoter.server.tally import Tally

_POLL = 0.05  # seconds between two rounds of the watch
# gRPC may block for a moment, with Python's lock held, when it is asked after a client: a call that ends
# sooner than the first is never looked at, one that lasts when its age has doubled, after the second at most.
_FIRST, _MOST = 0.2, 0.5  # seconds


class FlightContext(Protocol):
    """What the registry needs of pyarrow's ServerCallContext."""

    def is_cancelled(self) -> bool:
        """Say whether the client has left or its deadline has passed."""


class Call:
    """One call from its first header to its last byte."""

    __slots__ = (
        "cancel",
        "cancelled",
        "context",
        "ending",
        "free",
        "look_at",
        "opened",
        "query_id",
        "shut_down",
        "stalled",
        "waiting",
    )

    def __init__(self, query_id: str) -> None:
        self.query_id = query_id
        self.cancelled = False
        self.shut_down = False
        self.stalled = False
        # Since when a batch of the answer waits for the client to take it; None while none does.
        self.waiting: float | None = None
        self.opened = time.monotonic()
        self.look_at = self.opened + _FIRST
        self.context: FlightContext | None = None
        self.cancel: Callable[[], None] | None = None
        self.free: Callable[[], None] | None = None
        self.ending: list[Callable[[], None]] = []


class Calls:
    """The calls under way, and one thread that ends the work of clients that have left or do not read."""

    def __init__(self, stall: float, tally: Tally) -> None:
        self._stall = stall
        self._tally = tally
        self._lock = threading.Lock()
        self._open: set[Call] = set()
        self._watched: set[Call] = set()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._watch, name="scoter-watch", daemon=True)
        self._thread.start()

    def open(self, query_id: str) -> Call:
        """Enter a call that has passed authentication."""
        call = Call(query_id)
        with self._lock:
            self._open.add(call)
        return call

    def attach(self, call: Call, context: FlightContext) -> None:
        """Note the Flight context through which the call's client can be looked at."""
        with self._lock:
            if call in self._open:
                call.context = context

    def watch(self, call: Call, cancel: Callable[[], None]) -> None:
        """Have ``cancel`` called, from another thread, once the call's client is gone.

        It is called again and again until the call ends.
        """
        with self._lock:
            if call not in self._open:
                return
            call.cancel = cancel
            asleep = not self._watched
            self._watched.add(call)
        if asleep:
            self._wake.set()

    def is_gone(self, call: Call) -> bool:
        """Say whether the call's client has left, or its work was cancelled."""
        with self._lock:
            return call.cancelled or (call.context is not None and call.context.is_cancelled())

    def on_end(self, call: Call, work: Callable[[], None]) -> None:
        """Have ``work`` called when the call ends, however it ends; at once if it has ended."""
        with self._lock:
            if call in self._open:
                call.ending.append(work)
                return
        work()

    def send(
        self, call: Call, rows: Iterator[pa.RecordBatch], free: Callable[[], None]
    ) -> Iterator[pa.RecordBatch]:
        """Yield a call's rows; ``free`` gives up what they come from, at the end at the latest.

        Raises ClientStalled, at the next row that is asked for, when the client took longer than allowed
        to take one. What the rows come from is then free already; only the call itself, blocked in gRPC,
        lasts until its client reads or leaves.
        """
        with self._lock:
            call.free = free
        self.on_end(call, free)
        self.watch(call, call.cancel or _nothing)
        for batch in rows:
            call.waiting = time.monotonic()
            yield batch
            with self._lock:
                call.waiting = None
                if call.stalled:
                    raise ClientStalled(
                        f"the result was not read for {self._stall:g} seconds and has ended",
                        hint="run the statement again and read its rows as they come",
                        query_id=call.query_id,
                    )

    def close(self, call: Call) -> None:
        """Remove a call that has ended.

        Its Flight context is forgotten under the lock: to ask it anything later crashes the process.
        """
        with self._lock:
            self._open.discard(call)
            self._watched.discard(call)
            call.context = None
            call.cancel = None
            call.free = None
            ending, call.ending = call.ending, []
        for work in ending:
            # One that fails must not keep the others from being freed.
            with contextlib.suppress(Exception):
                work()

    def __len__(self) -> int:
        """Return how many calls are under way."""
        return len(self._open)

    def cancel(self, query_id: str) -> bool:
        """End the work of the calls of a statement and say whether there were any."""
        with self._lock:
            ending = [(call, call.cancel) for call in self._watched if call.query_id == query_id]
        for call, cancel in ending:
            self._end(call, cancel)
        return bool(ending)

    def cancel_all(self) -> None:
        """End the work of every call that can be ended, because the server stops."""
        with self._lock:
            ending = [(call, call.cancel) for call in self._watched]
            for call, _ in ending:
                call.shut_down = True
        for call, cancel in ending:
            self._end(call, cancel)

    def stop(self) -> None:
        """Stop the watching thread."""
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped:
            if not self._watched:
                self._wake.wait()
                self._wake.clear()
            time.sleep(_POLL)
            with self._lock:
                # A cancel is repeated until the call ends: DuckDB forgets an interrupt that comes in the
                # moment before its work begins.
                now = time.monotonic()
                gone = [(call, call.cancel) for call in self._watched if call.cancelled or _left(call, now)]
                stalled = self._stalled(now)
            for call, cancel in gone:
                self._end(call, cancel)
            for free in stalled:
                # To free a query may take a moment, which the other calls' clients must not wait for.
                threading.Thread(target=free, name="scoter-stalled", daemon=True).start()

    def _stalled(self, now: float) -> list[Callable[[], None]]:
        """Mark the calls whose clients do not read and return what frees what they hold."""
        frees = []
        for call in self._watched:
            if call.waiting is not None and now - call.waiting > self._stall and not call.stalled:
                call.stalled = True
                self._tally.add("stalled")
                if call.free is not None:
                    frees.append(call.free)
        return frees

    def _end(self, call: Call, cancel: Callable[[], None] | None) -> None:
        if not call.cancelled:
            call.cancelled = True
            self._tally.add("cancelled")
        if cancel is None:
            return
        # One cancel that fails must not end the watch over all others; the statement then runs to its end.
        with contextlib.suppress(Exception):
            cancel()


def _left(call: Call, now: float) -> bool:
    """Say whether a call's client is known to have left; it is asked after only when that is due."""
    if call.context is None or now < call.look_at:
        return False
    call.look_at = now + min(_MOST, now - call.opened)
    return call.context.is_cancelled()


def _nothing() -> None:
    """Stand where a call has no work that a cancel could end."""
