"""Several files read at once for a statement that may be ended meanwhile.

This module must not know what is in a file, nor what ends a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeAlias, TypeVar

Check: TypeAlias = Callable[[], None]  # raises where the statement that work is done for has ended

_MOMENT = 0.1  # seconds between two looks at whether a statement that waits has ended
_T = TypeVar("_T")
_V = TypeVar("_V")


def unchecked() -> None:
    """Check nothing: the work is done for no statement."""


def each(work: Callable[[_T], _V], items: Sequence[_T], threads: int, check: Check) -> Iterator[_V]:
    """Yield what ``work`` makes of each item, in order; so many ``threads`` do it.

    What ``check`` or ``work`` raises ends it: no more work begins, and what waits for a store then is not waited for.
    """

    def checked(item: _T) -> _V:
        # The next item may begin before the statement looks at the last one.
        check()
        return work(item)

    pool = ThreadPoolExecutor(max(1, min(threads, len(items))))
    try:
        for future in [pool.submit(checked, item) for item in items]:
            yield awaited(future, check)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def waited(work: Callable[[], _V], check: Check) -> _V:
    """Return what ``work`` gives; ``check`` is called meanwhile, and what it raises leaves the work to itself."""
    if check is unchecked:
        return work()
    pool = ThreadPoolExecutor(1)
    try:
        return awaited(pool.submit(work), check)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def awaited(future: Future[_V], check: Check) -> _V:
    """Return a result when it is there; ``check`` is called until then, once at least."""
    check()
    while not (future.done() or wait([future], _MOMENT).done):
        check()
    return future.result()
