"""Maps of many rows from keys to numbers or bytes, held as arrays: what one key is mapped to, in every row.

This module must not know where the maps come from or what the keys mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]
UNKNOWN: Final = -1
"""In place of a number that is not known."""

_SMALL = 2**16  # keys below are sorted by their digits, which takes a tenth of the time


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of a map of ``count`` rows: ``keys[i]`` is in the rows ``rows[edges[i]:edges[i + 1]]``."""

    count: int
    keys: Ints
    edges: Ints
    rows: NDArray[np.int32]

    def __contains__(self, key: int) -> bool:
        place = self._place(key)
        return bool(place.start < place.stop)

    def _place(self, key: int) -> slice:
        at = int(np.searchsorted(self.keys, key))
        there = at < len(self.keys) and self.keys[at] == key
        return slice(int(self.edges[at]), int(self.edges[at + 1])) if there else slice(0, 0)

    def _some(self, numbers: Ints) -> tuple[NDArray[np.bool_], tuple[int, Ints, Ints, NDArray[np.int32]]]:
        """Return which pairs are left of rows by their ascending numbers, and what holds them."""
        new = np.full(self.count, UNKNOWN, np.int32)
        new[numbers] = np.arange(len(numbers))
        rows = new[self.rows]
        left = rows != UNKNOWN
        edges = np.concatenate(([0], np.cumsum(left)))[self.edges]
        return left, (len(numbers), self.keys, edges, rows[left])


@dataclass(frozen=True, eq=False)
class Numbers(Pairs):
    """Pairs of keys and numbers."""

    values: Ints

    @classmethod
    def of(cls, count: int, rows: NDArray[np.int32], keys: Ints, values: Ints) -> Numbers:
        """Return the pairs, given in the order in which they were written, of so many rows."""
        keys, edges, order = _ordered(keys)
        return cls(count, keys, edges, rows[order], values[order])

    def column(self, key: int) -> Ints:
        """Return the value of a key in each row, UNKNOWN where it is not there."""
        place = self._place(key)
        found = np.full(self.count, UNKNOWN, np.int64)
        # Of a key that a row has twice the last value stays.
        found[self.rows[place]] = self.values[place]
        return found

    def some(self, numbers: Ints) -> Numbers:
        """Return the pairs of rows by their ascending numbers."""
        left, held = self._some(numbers)
        return Numbers(*held, self.values[left])


@dataclass(frozen=True, eq=False)
class Blobs(Pairs):
    """Pairs of keys and bytes; these lie in ``data``."""

    data: Bytes
    starts: Ints
    lengths: NDArray[np.int32]

    @classmethod
    def of(
        cls, count: int, rows: NDArray[np.int32], keys: Ints, data: Bytes, starts: Ints, lengths: Ints
    ) -> Blobs:
        """Return the pairs, given in the order in which they were written, of so many rows."""
        keys, edges, order = _ordered(keys)
        return cls(count, keys, edges, rows[order], data, starts[order], lengths[order].astype(np.int32))

    def column(self, key: int) -> pa.LargeBinaryArray:
        """Return the value of a key in each row, null where it is not there."""
        place = self._place(key)
        rows = self.rows[place]
        known = np.zeros(self.count, np.bool_)
        starts, lengths = np.zeros((2, self.count), np.int64)
        known[rows], starts[rows], lengths[rows] = True, self.starts[place], self.lengths[place]
        data, offsets = _gathered(self.data, starts, lengths)
        parts = (np.packbits(known, bitorder="little"), offsets, data)
        return pa.Array.from_buffers(pa.large_binary(), self.count, [*map(pa.py_buffer, parts)])

    def some(self, numbers: Ints) -> Blobs:
        """Return the pairs of rows by their ascending numbers."""
        left, held = self._some(numbers)
        lengths = self.lengths[left]
        data, offsets = _gathered(self.data, self.starts[left], lengths)
        return Blobs(*held, data, offsets[:-1], lengths)


def _ordered(keys: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the distinct keys, where each one's pairs begin and the last one's end, and the order that this is in."""
    small = len(keys) and keys.min() >= 0 and keys.max() < _SMALL
    order = np.argsort(keys.astype(np.uint16) if small else keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    return keys[first], np.append(first, len(keys)), order


def _gathered(data: Bytes, starts: Ints, lengths: NDArray[Any]) -> tuple[Bytes, Ints]:
    """Return values one behind the other, and where each begins and the last ends."""
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return data[np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])], offsets
