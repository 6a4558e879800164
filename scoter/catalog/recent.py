"""A map of bounded size that keeps what was used last.

This module must not know what is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Recent(Generic[_K, _V]):
    """A thread-safe map that keeps what was used last, up to ``capacity`` in units of ``weigh``."""

    def __init__(self, capacity: int, weigh: Callable[[_V], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._held = 0
        self._items: OrderedDict[_K, _V] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: _K) -> _V | None:
        """Return the value of ``key`` and mark it as used, or None."""
        with self._lock:
            value = self._items.get(key)
            if value is not None:
                self._items.move_to_end(key)
            return value

    def put(self, key: _K, value: _V) -> None:
        """Keep ``value`` and drop what was used longest ago; the newest is always kept."""
        with self._lock:
            old = self._items.pop(key, None)
            self._held += self._weigh(value) - (self._weigh(old) if old is not None else 0)
            self._items[key] = value
            while self._held > self._capacity and len(self._items) > 1:
                _, gone = self._items.popitem(last=False)
                self._held -= self._weigh(gone)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._items.clear()
            self._held = 0
