"""Several threads work on what is read in several places at once; the results come in the order of what was read.

This module must not know what is read, nor what is made of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")
# Results of one share that wait for their turn: those of a row group of DuckDB's size in batches of 16,384 rows.
_ROOM = 8


class Share(Generic[Part]):
    """What is read in one place, by one thread at a time."""

    def __init__(self, parts: Iterator[Part]) -> None:
        self.parts = parts
        self.is_being_read = False
        self.room = _ROOM
        self.results: SimpleQueue[Future[object] | None] = SimpleQueue()


def in_order(
    shares: Iterator[Share[Part]], work: Callable[[Part], Result], threads: int, name: str
) -> Generator[Result]:
    """Yield what ``work`` makes of each part of each share, in order.

    Each of the threads reads a part and works on it: in its processor's cache, and without waiting to be given it. A
    thread reads the first share that no other one is reading; a further share is opened where there is none. Raises
    what reading and work raise, in its place.
    """
    crew = _Crew(shares, work, threads)
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        for _ in range(threads):
            pool.submit(crew.work)
        yield from crew.results()
    finally:
        crew.end()
        pool.shutdown()
        crew.close()


class _Crew(Generic[Part, Result]):
    """What the threads have in common."""

    def __init__(self, shares: Iterator[Share[Part]], work: Callable[[Part], Result], threads: int) -> None:
        self._shares = shares
        self._work = work
        self._threads = threads
        self._changed = threading.Condition()
        self._open: list[Share[Part]] = []
        self._order: SimpleQueue[Share[Part] | None] = SimpleQueue()
        self._has_more = True
        self._is_ended = False

    def results(self) -> Generator[Result]:
        while (share := self._order.get()) is not None:
            while (made := share.results.get()) is not None:
                yield made.result()  # type: ignore[misc]  # results are what this crew's work returned
                with self._changed:
                    share.room += 1
                    self._changed.notify_all()

    def work(self) -> None:
        while (share := self._take()) is not None:
            made: Future[object] = Future()
            part = None
            try:
                part = next(share.parts, None)
            except BaseException as error:  # noqa: BLE001  # raised where the results are taken
                made.set_exception(error)
                share.results.put(made)
            else:
                share.results.put(None if part is None else made)
            with self._changed:
                share.is_being_read = False
                if part is None:
                    self._open.remove(share)
                self._changed.notify_all()
            if part is not None:
                try:
                    made.set_result(self._work(part))
                except BaseException as error:  # noqa: BLE001  # raised where the results are taken
                    made.set_exception(error)

    def end(self) -> None:
        """Let no further part be read."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close what is open, once no thread is at work."""
        for share in self._open:
            if isinstance(share.parts, Generator):
                share.parts.close()

    def _take(self) -> Share[Part] | None:
        """Wait for a share to read, and mark it; None where there is nothing to read any more."""
        with self._changed:
            while not self._is_ended:
                share = self._free()
                if share is not None:
                    share.is_being_read = True
                    share.room -= 1
                    return share
                if not self._open:
                    return None
                self._changed.wait()
            return None

    def _free(self) -> Share[Part] | None:
        for share in self._open:
            if not share.is_being_read and share.room:
                return share
        if not self._has_more or len(self._open) >= self._threads:
            return None
        try:
            opened = next(self._shares, None)
        except BaseException as error:  # noqa: BLE001  # raised where the results are taken
            opened = Share(_raising(error))
        if opened is None:
            self._has_more = False
        else:
            self._open.append(opened)
        self._order.put(opened)
        return opened


def _raising(error: BaseException) -> Iterator[Part]:
    raise error
    yield
