"""Objects read in blocks: from the cache where they are there, else fetched by several requests at once.

This module must not know Iceberg, SQL, or which store an object's location belongs to.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass

from scoter.catalog.objects.blocks import BLOCK, Blocks
from scoter.catalog.objects.store import Store
from scoter.errors import Cancelled, ScoterError

WHOLE = 8 * BLOCK
"""Bytes up to which an object that a scan reads is fetched whole, before it is asked for."""

_REQUEST = 4  # most blocks of one request
_AHEAD = 96 * BLOCK  # bytes that are fetched for one scan before they are read
_LOOK = 0.1  # seconds after which one who waits looks whether the statement was cancelled


@dataclass(frozen=True)
class Object:
    """One object of a store; its bytes never change."""

    store: Store
    path: str
    size: int

    @property
    def name(self) -> str:
        """Return a name that no other content has."""
        return hashlib.sha256(f"{self.store.place}\0{self.path}\0{self.size}".encode()).hexdigest()[:40]

    def length(self, number: int) -> int:
        """Return the bytes of a block."""
        return min(BLOCK, self.size - number * BLOCK)


def never() -> bool:
    """Say no: for work that nobody cancels."""
    return False


class Reading:
    """Reads objects through a cache; what several want at once is fetched once. Safe for many threads."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._lock = threading.Lock()
        self._fetched: dict[tuple[str, int], Future[bytes]] = {}

    def read(self, source: Object, offset: int, length: int, cancelled: Callable[[], bool] = never) -> bytes:
        """Return bytes of an object, fewer at its end.

        Raises CorruptData for an object that is missing or has another size, Unreachable and
        ConfigurationError as the store does, Cancelled.
        """
        stop = min(offset + length, source.size)
        if offset >= stop:
            return b""
        numbers = range(offset // BLOCK, (stop - 1) // BLOCK + 1)
        name = source.name
        coming = self._start(source, name, numbers)
        parts = []
        for number in numbers:
            first, last = max(offset - number * BLOCK, 0), min(stop - number * BLOCK, BLOCK)
            future = coming.get(number)
            part = None if future else self._blocks.get(name, number, source.length(number), first, last)
            while part is None:
                # Also where the cache has lost the block since.
                future = future or self._start(source, name, [number], again=True)[number]
                part = _wait(future, cancelled)[first:last]
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def ahead(self, sources: Sequence[Object], room: int) -> Ahead:
        """Return what fetches these objects, in order, before a scan asks for them, up to ``room`` bytes."""
        return Ahead(self, sources, min(room, _AHEAD))

    def fetch(self, source: Object) -> list[Future[bytes]]:
        """Begin to fetch what the cache does not have of an object."""
        return list(self._start(source, source.name, range((source.size + BLOCK - 1) // BLOCK)).values())

    def _start(
        self, source: Object, name: str, numbers: Sequence[int], *, again: bool = False
    ) -> dict[int, Future[bytes]]:
        """Return the blocks that are on their way; the others are in the cache."""
        coming: dict[int, Future[bytes]] = {}
        missing = []
        with self._lock:
            for number in numbers:
                known = self._fetched.get((name, number))
                if known is None:
                    if not again and self._blocks.has(name, number, source.length(number)):
                        continue
                    known = self._fetched[name, number] = Future()
                    missing.append(number)
                coming[number] = known
        for run in _runs(missing):
            futures = [coming[number] for number in run]
            try:
                source.store.pool.submit(self._fetch, source, name, run, futures)
            except RuntimeError as error:  # the lake is closing
                self._failed(name, run, futures, error)
        return coming

    def _fetch(self, source: Object, name: str, run: Sequence[int], futures: Sequence[Future[bytes]]) -> None:
        try:
            length = sum(map(source.length, run))
            data = source.store.read(source.path, source.size, run[0] * BLOCK, length)
            for place, (number, future) in enumerate(zip(run, futures, strict=True)):
                block = data[place * BLOCK : (place + 1) * BLOCK] if len(run) > 1 else data
                self._blocks.put(name, number, block)
                with self._lock:
                    self._fetched.pop((name, number), None)
                future.set_result(block)
        except BaseException as error:  # noqa: BLE001  # who waits must hear of it, whatever it is
            self._failed(name, run, futures, error)

    def _failed(
        self, name: str, run: Sequence[int], futures: Sequence[Future[bytes]], error: BaseException
    ) -> None:
        with self._lock:
            for number in run:
                self._fetched.pop((name, number), None)
        for future in futures:
            if not future.done():
                future.set_exception(error)


class Ahead:
    """Fetches the objects of one scan in order, no further before its reader than some bytes."""

    def __init__(self, reading: Reading, sources: Sequence[Object], room: int) -> None:
        self._room = room
        self._reading = reading
        self._sources = sources
        self._changed = threading.Condition()
        self._unread: dict[tuple[str, int], int] = {}
        self._bytes = 0
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to fetch."""
        self._thread = threading.Thread(target=self._run, name="scoter-ahead", daemon=True)
        self._thread.start()

    def reading(self, path: str, size: int) -> None:
        """Note that the scan has come to an object: another one may be fetched."""
        with self._changed:
            self._bytes -= self._unread.pop((path, size), 0)
            self._changed.notify()

    def end(self) -> None:
        """Fetch no further objects; safe from any thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _run(self) -> None:
        for source in self._sources:
            with self._changed:
                while self._bytes + source.size > self._room and not self._ended:
                    self._changed.wait()
                if self._ended:
                    return
                self._unread[source.path, source.size] = source.size
                self._bytes += source.size
            self._reading.fetch(source)


def _wait(future: Future[bytes], cancelled: Callable[[], bool]) -> bytes:
    while True:
        try:
            return future.result(_LOOK)
        except NotYet as error:
            if future.done():
                raise Cancelled("the lake is closing") from error
            if cancelled():
                raise Cancelled("the statement was cancelled") from None
        except ScoterError as error:
            # One error may be told to several statements, each of which adds its own query id.
            raise type(error)(error.message, hint=error.hint) from error


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers in runs without a gap that one request fetches."""
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) == _REQUEST):
            yield run
            run = []
        run.append(number)
    if run:
        yield run
