"""Tells Parquet files of one schema by the bytes of their footers, which hold the schema before all else.

This module must not know columns, nor what a file's rows are.

A table has thousands of files of a handful of schemas. To compare the bytes of one takes a tenth of the time
of decoding it with all statistics behind it. Source: https://parquet.apache.org/docs/file-format/metadata/ and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Callable

ReadAt = Callable[[int, int], bytes]
LONGEST = 10
"""Bytes of a number."""

_MAGIC = b"PAR1"
_TAIL = 8  # bytes behind the footer: its length and the magic
_VERSION, _SCHEMA, _ROWS = b"\x15", b"\x19", b"\x16"  # fields 1, 2 and 3 as the one before them leads to them


def rows_of(first: bytes, head: bytes) -> int | None:
    """Return how many rows a footer tells of that begins with a head; None for another footer.

    ``first`` are the first bytes of the footer, LONGEST more than the head has.
    """
    if not first.startswith(head):
        return None
    try:
        number, _ = _varint(first, len(head))
    except IndexError:
        return None
    return (number >> 1) ^ -(number & 1)


def head_of(footer: bytes) -> bytes | None:
    """Return what comes before the number of rows: version and schema; None for a footer that begins otherwise."""
    try:
        if footer[:1] != _VERSION:
            return None
        _, at = _varint(footer, 1)
        if footer[at : at + 1] != _SCHEMA:
            return None
        at = _skipped(footer, at + 1, _LIST)
        return footer[: at + 1] if footer[at : at + 1] == _ROWS else None
    except (IndexError, RecursionError):
        return None


def read(size: int, at: ReadAt, most: int | None = None) -> bytes | None:
    """Return the first ``most`` bytes of a file's footer, or all; None for what is no Parquet file.

    ``size`` are the bytes of the file, ``at`` reads so many of them from a place. Raises what ``at`` raises.
    """
    end = size - _TAIL
    if end < len(_MAGIC):
        return None
    tail = at(end, _TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > end:
        return None
    return at(end - length, length if most is None else min(length, most))


# Types of the compact protocol: what a field's or a list's header says of its values. A schema holds no others.
_BYTE, _BINARY, _LIST, _STRUCT = 3, 8, 9, 12
_NUMBERS = frozenset({4, 5, 6})
_BOOLEANS = frozenset({1, 2})


def _skipped(data: bytes, at: int, kind: int) -> int:
    """Return the place behind a value; raises IndexError where there is none."""
    if kind in _NUMBERS:
        return _varint(data, at)[1]
    if kind == _BINARY:
        length, at = _varint(data, at)
        return at + length
    if kind == _STRUCT:
        return _behind_struct(data, at)
    if kind == _LIST:
        return _behind_list(data, at)
    raise IndexError(kind)


def _behind_struct(data: bytes, at: int) -> int:
    while header := data[at]:
        at += 1
        if not header >> 4:
            _, at = _varint(data, at)
        kind = header & 15
        if kind == _BYTE:
            at += 1
        elif kind not in _BOOLEANS:
            # Of a boolean the header is the value.
            at = _skipped(data, at, kind)
    return at + 1


def _behind_list(data: bytes, at: int) -> int:
    count, kind, at = data[at] >> 4, data[at] & 15, at + 1
    if count == 15:
        count, at = _varint(data, at)
    for _ in range(count):
        at = _skipped(data, at, kind)
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return number | data[at] << shift, at + 1
