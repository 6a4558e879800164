"""Decodes single values of Avro as Python objects, looking where the bytes end.

This module must not know files or rows. Values are those that fastavro makes of the same type.
Source of the format: https://avro.apache.org/docs/1.12.0/specification/
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from fastavro.read import LOGICAL_READERS

from scoter.catalog.avro import Type, varint

Reader: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""Returns the value that begins at a place, and the place behind it; raises one of DAMAGE where there is none."""


def reader_of(kind: Type) -> Reader:
    """Return what reads values of a type as ``avro.rows`` has them."""
    match kind:
        case str():
            return _PRIMITIVES[kind]
        case list():
            return union([reader_of(one) for one in kind])
        case {"type": "record", "fields": fields}:
            return _record([(field["name"], reader_of(field["type"])) for field in fields])
        case {"type": "array", "items": items}:
            found = _array(reader_of(items))
        case {"type": "fixed", "size": size}:
            found = _fixed(size)
        case _:
            found = _PRIMITIVES[kind["type"]]
    logical = LOGICAL_READERS.get(f"{kind['type']}-{kind.get('logicalType')}")
    return found if logical is None else _logical(found, logical, kind)


def number_at(data: bytes, at: int) -> tuple[int, int]:
    """Return a number; a Reader."""
    byte = data[at]
    return ((byte >> 1) ^ -(byte & 1), at + 1) if byte < 0x80 else varint(data, at)


def count_at(data: bytes, at: int) -> tuple[int, int]:
    """Return how many items of an array follow, and the place of the first; a Reader."""
    count, at = number_at(data, at)
    if count < 0:
        # Of how many bytes they are stands behind it.
        return -count, number_at(data, at)[1]
    return count, at


def length_at(data: bytes, at: int) -> tuple[int, int]:
    """Return how many bytes follow, which may be more than there are, and the place of the first; a Reader."""
    length, at = number_at(data, at)
    if length < 0:
        raise ValueError("a length of the file is negative")
    return length, at


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = length_at(data, at)
    return _cut(data, at, at + length), at + length


def _cut(data: bytes, at: int, end: int) -> bytes:
    if end > len(data):
        raise EOFError("a value of the file goes on behind its block")
    return data[at:end]


def _string(data: bytes, at: int) -> tuple[str, int]:
    value, at = _bytes(data, at)
    return value.decode(), at


def _boolean(data: bytes, at: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


def _float(data: bytes, at: int) -> tuple[float, int]:
    return struct.unpack_from("<f", data, at)[0], at + 4


def _double(data: bytes, at: int) -> tuple[float, int]:
    return struct.unpack_from("<d", data, at)[0], at + 8


_PRIMITIVES: Mapping[str, Reader] = {
    "null": lambda _, at: (None, at),
    "boolean": _boolean,
    "int": number_at,
    "long": number_at,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _string,
}


def _fixed(size: int) -> Reader:
    def read(data: bytes, at: int) -> tuple[bytes, int]:
        return _cut(data, at, at + size), at + size

    return read


def _logical(raw: Reader, logical: Callable[[Any, Any, Any], Any], kind: Type) -> Reader:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        value, at = raw(data, at)
        return logical(value, kind, None), at

    return read


def union(branches: Sequence[Reader]) -> Reader:
    """Return what reads a value of one of several types."""
    second = branches[1] if len(branches) > 1 else branches[0]

    def read(data: bytes, at: int) -> tuple[Any, int]:
        if len(branches) == 2 and data[at] == 2:
            # Most are null or something, and something.
            return second(data, at + 1)
        branch, at = number_at(data, at)
        if branch < 0:
            raise ValueError("a value of the file is of no type")
        return branches[branch](data, at)

    return read


def _record(fields: Sequence[tuple[str, Reader]]) -> Reader:
    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        found = {}
        for name, reader in fields:
            found[name], at = reader(data, at)
        return found, at

    return read


def _array(item: Reader) -> Reader:
    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        found = []
        count, at = count_at(data, at)
        while count:
            for _ in range(count):
                value, at = item(data, at)
                found.append(value)
            count, at = count_at(data, at)
        return found, at

    return read
