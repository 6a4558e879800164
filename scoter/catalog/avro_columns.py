"""Reads an Avro file column by column, and its maps as arrays.

This module must not know what a manifest holds.

Nine tenths of a manifest are maps from columns to numbers and bytes. To make Python objects of every pair takes most
of the time of a plan, and few of them are looked at. Here one walk over the rows decodes all other values and notes
where the maps lie; numpy then decodes their pairs, many rows at a time. No count or length takes memory by itself: it
leads to a place, and to read at a place behind the last byte is an error.
Source of the format: https://avro.apache.org/docs/1.12.0/specification/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scoter.catalog.avro import AvroFile, Type, blocks
from scoter.catalog.avro_values import Reader, count_at, length_at, reader_of, union
from scoter.catalog.fetching import Check
from scoter.catalog.pairs import Blobs, Bytes, Ints, Numbers

MOST_TOGETHER = 128 * 1024 * 1024
"""Bytes of one block: where numbers end in it takes some ten times as many."""

_NUMBERS = frozenset({"int", "long"})
_VALUES = 100_000  # between two looks at whether the statement has ended
_Step: TypeAlias = tuple[Reader, Callable[[Any], None]]


@dataclass(frozen=True, eq=False)
class Columns:
    """The rows of a file: the values of fields, and the pairs of maps, under names as ``AvroFile`` has them."""

    count: int
    values: Mapping[str, Sequence[Any]]
    numbers: Mapping[str, Numbers]
    blobs: Mapping[str, Blobs]

    def at(self, name: str, number: int) -> Any:
        """Return the value of a field in one row, None where the file has no such field."""
        found = self.values.get(name)
        return None if found is None else found[number]

    def get(self, name: str, absent: Any = None) -> Sequence[Any]:
        """Return the values of a field, ``absent`` in each row of a file that has no such field."""
        found = self.values.get(name)
        return [absent] * self.count if found is None else found


def read(
    file: AvroFile,
    within: str,
    check: Check,
    *,
    fields: Collection[str],
    numbers: Collection[str],
    blobs: Collection[str],
    unused: Collection[str] = (),
) -> Columns:
    """Return a file's rows; the fields of the record ``within`` stand among those of the row.

    ``fields`` are those whose values are kept, ``numbers`` fields that are maps to numbers, ``blobs`` maps to bytes,
    and ``unused`` maps to numbers that are passed over. ``check`` is called now and then, and may raise. Raises else as
    ``avro.rows``, and ValueError for maps of other types and for a block of more than MOST_TOGETHER bytes.
    """
    number_maps = {name: _NumberPairs() for name in (*numbers, *unused)}
    blob_maps = {name: _BlobPairs() for name in blobs}
    maps: dict[str, _NumberPairs | _BlobPairs] = {**number_maps, **blob_maps}
    values, steps = _steps(file, within, fields, maps)
    count, done, parts = 0, 0, []
    for rows, encoded in blocks(file):
        if sum(map(len, encoded)) > MOST_TOGETHER:
            raise ValueError("a block of the file is longer than can be read")
        part = _Part(b"".join(encoded), done)
        for one in maps.values():
            one.part = part
        _walk(part.data, rows, steps, check)
        for name, one in maps.items():
            one.decode(wanted=name not in unused)
        parts.append(part.bytes)
        count += rows
        done += len(part.data)
    whole = np.concatenate(parts) if parts else np.empty(0, np.uint8)
    sizes = {name: values.pop(name, [0] * count) for name in maps}
    return Columns(
        count,
        values,
        {name: number_maps[name].found(sizes[name]) for name in numbers},
        {name: one.found(sizes[name], whole) for name, one in blob_maps.items()},
    )


def _steps(
    file: AvroFile, within: str, fields: Collection[str], maps: Mapping[str, _NumberPairs | _BlobPairs]
) -> tuple[dict[str, list[Any]], list[_Step]]:
    """Return what a row is read with, field by field, and the lists that the values then are in."""
    values: dict[str, list[Any]] = {}
    steps: list[_Step] = []
    seen: set[str] = set()
    for name, kind in _fields(file, within):
        if name in seen:
            raise ValueError("a record of the file has two fields of one id")
        seen.add(name)
        reader = _of_map(kind, maps[name]) if name in maps else reader_of(kind)
        if name in maps or name in fields:
            values[name] = []
            steps.append((reader, values[name].append))
        elif kind != "null":
            steps.append((reader, _forget))
    return values, steps


def _walk(data: bytes, rows: int, steps: Sequence[_Step], check: Check) -> None:
    every = max(1, _VALUES // max(1, len(steps)))
    at = 0
    for row in range(rows):
        if not row % every:
            check()
        for reader, keep in steps:
            value, at = reader(data, at)
            keep(value)
    if at != len(data):
        raise ValueError("a block of the file has other rows than it says")


def _fields(file: AvroFile, within: str) -> Iterator[tuple[str, Type]]:
    for field in file.record["fields"]:
        match field:
            case {"name": name, "type": {"type": "record", "fields": inside}} if name == within:
                # A record inside of a row is written as its fields are.
                yield from ((one["name"], one["type"]) for one in inside)
            case _:
                yield field["name"], field["type"]


class _Part:
    """Encoded rows, and where the numbers among them end."""

    def __init__(self, data: bytes, before: int) -> None:
        self.data = data
        self.before = before
        self.bytes = np.frombuffer(data, np.uint8)
        last = self.bytes < 0x80
        # A number ends at the first byte of less than 0x80. Where such bytes are, and how many there are up to a
        # place, leads over any count of numbers at once.
        self.ends = np.flatnonzero(last).astype(np.int32)
        self.end = self.ends.data
        self.count_to = np.cumsum(last.view(np.uint8), dtype=np.int32).data


class _NumberPairs:
    """Reads a map to numbers: notes where pairs are, and decodes those of a part together."""

    part: _Part

    def __init__(self) -> None:
        self._first: list[int] = []
        self._counts: list[int] = []
        self._keys: list[Ints] = []
        self._values: list[Ints] = []

    def read(self, data: bytes, at: int) -> tuple[int, int]:
        """Return how many pairs begin at a place, and the place behind them."""
        part, total = self.part, 0
        count, at = count_at(data, at)
        while count:
            first = part.count_to[at - 1]
            at = part.end[first + 2 * count - 1] + 1
            self._first.append(first)
            self._counts.append(count)
            total += count
            count, at = count_at(data, at)
        return total, at

    def decode(self, *, wanted: bool) -> None:
        """Decode the pairs of the part if they are wanted."""
        if wanted:
            self._decode()
        self._first.clear()
        self._counts.clear()

    def _decode(self) -> None:
        counts = np.array(self._counts, np.int64)
        first = np.array(self._first, np.int64) - 2 * (np.cumsum(counts) - counts)
        nth = np.repeat(first, counts) + 2 * np.arange(counts.sum())
        # What tells how many there are is a number too, so that one ends before each.
        keys, at = _varints(self.part.bytes, self.part.ends[nth - 1] + 1)
        self._keys.append(keys)
        self._values.append(_varints(self.part.bytes, at)[0])

    def found(self, sizes: Sequence[int]) -> Numbers:
        """Return the pairs of all parts, ``sizes`` of which are in each row."""
        return Numbers.of(len(sizes), _rows(sizes), _all(self._keys), _all(self._values))


class _BlobPairs:
    """Reads a map to bytes: notes where pairs are, and decodes those of a part together."""

    part: _Part

    def __init__(self) -> None:
        self._at: list[int] = []
        self._keys: list[Ints] = []
        self._starts: list[Ints] = []
        self._lengths: list[Ints] = []

    def read(self, data: bytes, at: int) -> tuple[int, int]:
        """Return how many pairs begin at a place, and the place behind them."""
        note, total = self._at.append, 0
        count, at = count_at(data, at)
        while count:
            total += count
            for _ in range(count):
                note(at)
                while data[at] > 0x7F:
                    at += 1
                at += 1
                length = data[at]
                # The lengths that are met most are of one byte.
                if length & 0x81:
                    length, at = length_at(data, at)
                    at += length
                else:
                    at += 1 + (length >> 1)
            count, at = count_at(data, at)
        return total, at

    def decode(self, *, wanted: bool) -> None:
        """Decode the pairs of the part if they are wanted."""
        if wanted:
            self._decode()
        self._at.clear()

    def _decode(self) -> None:
        keys, at = _varints(self.part.bytes, np.array(self._at, np.int64))
        lengths, starts = _varints(self.part.bytes, at)
        self._keys.append(keys)
        self._starts.append(starts + self.part.before)
        self._lengths.append(lengths)

    def found(self, sizes: Sequence[int], data: Bytes) -> Blobs:
        """Return the pairs of all parts, whose bytes are ``data`` and ``sizes`` of which are in each row."""
        starts, lengths = _all(self._starts), _all(self._lengths)
        return Blobs.of(len(sizes), _rows(sizes), _all(self._keys), data, starts, lengths)


def _forget(_: object) -> None:
    """Keep nothing of a value that is only passed over."""


def _all(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _rows(sizes: Sequence[int]) -> NDArray[np.int32]:
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def _varints(data: Bytes, at: Ints) -> tuple[Ints, Ints]:
    """Return the numbers that begin at places, and the places behind them."""
    byte = data[at]
    found = (byte & 0x7F).astype(np.uint64)
    behind = at + 1
    more = np.flatnonzero(byte > 0x7F)
    shift = 7
    while len(more):
        if shift > 63:
            raise ValueError("a number of the file has no end")
        byte = data[behind[more]]
        behind[more] += 1
        if shift == 63 and (byte > 1).any():
            raise ValueError("a number of the file has more than 64 bits")
        found[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
        more = more[byte > 0x7F]
        shift += 7
    return (found >> np.uint64(1)).view(np.int64) ^ -(found & np.uint64(1)).view(np.int64), behind


def _of_map(kind: Type, pairs: _NumberPairs | _BlobPairs) -> Reader:
    """Return the reader of a map; raises ValueError for a type that its pairs are not of."""
    expected = _NUMBERS if isinstance(pairs, _NumberPairs) else frozenset({"bytes"})
    match kind:
        case "null":
            return lambda _, at: (0, at)
        case list():
            return union([_of_map(one, pairs) for one in kind])
        case {"logicalType": "iceberg-map", "items": {"fields": [{"type": str(key)}, {"type": str(value)}]}}:
            if key in _NUMBERS and value in expected:
                return pairs.read
    raise ValueError("a map of the file is of another type than Iceberg's")
