"""Reads Avro files that anybody may have written: their values by Iceberg's field ids.

This module must not know what a manifest holds.

fastavro decodes rows, ``avro_columns`` columns: both look where the bytes end. pyiceberg's compiled decoder does not: a
wrong length made it read the memory behind its buffer or end the process. It also cut doubles to 32 bits.
Source of the format: https://avro.apache.org/docs/1.12.0/specification/
"""

from __future__ import annotations

import bz2
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

import fastavro
import pyarrow as pa
import zstandard
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException
from pyiceberg.avro import file as pyiceberg_file
from pyiceberg.avro.decoder import StreamingBinaryDecoder
from pyiceberg.exceptions import ResolveError
from pyiceberg.utils.decimal import bytes_to_decimal

DAMAGE: Final = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    RecursionError,
    ResolveError,
    SchemaParseException,
    struct.error,
    zlib.error,
    zstandard.ZstdError,
)
"""What reading raises for bytes that are no Avro file, here and in pyiceberg."""

MOST_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of a file, also when it is expanded."""

MOST_ROWS: Final = 1_000_000
"""Rows of a file; each takes some kilobytes of memory."""

ROWS: Final = 2048
"""Rows that are decoded at a time."""

_TOGETHER = 16 * 1024 * 1024  # bytes of blocks that are put together

Row: TypeAlias = dict[str, Any]
Type: TypeAlias = Any  # a type of Avro's as JSON has it

_MAGIC = b"Obj\x01"
_SYNC = 16  # bytes behind each block
_ROOM, _RATIO = 32 * 1024 * 1024, 32  # a file expands to so many bytes, and so many times its own
_MOST_TYPES = 20_000  # a field that takes no bytes takes memory in each row
_ANY: Mapping[int, frozenset[str]] = {}
_PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def decode_safely() -> None:
    """Make pyiceberg, where it reads Avro itself, use the decoder that looks where bytes end. Idempotent."""
    vars(pyiceberg_file)["new_decoder"] = StreamingBinaryDecoder


@dataclass(frozen=True)
class AvroFile:
    """An Avro file at hand: its rows are of the type ``record``, in which the field of id 7 is called ``f7``."""

    content: bytes
    start: int
    codec: str
    record: dict[str, Any]

    def fields(self, *path: int) -> list[int]:
        """Return the ids of the fields of the record that field ids lead to, none where there is no such record."""
        record: Any = self.record
        for number in path:
            types = {field["name"]: field["type"] for field in record["fields"]}
            record = types.get(f"f{number}")
            if not isinstance(record, dict) or record["type"] != "record":
                return []
        return [int(field["name"][1:]) for field in record["fields"]]


def opened(
    content: bytes, expected: Mapping[int, frozenset[str]] = _ANY, unused: frozenset[int] = frozenset()
) -> AvroFile:
    """Read a file's header; raises one of DAMAGE.

    ``expected`` has for ids of fields the names of the types, besides null, that they may be of. Of fields with the
    ids ``unused`` maps will be None.
    """
    if not content.startswith(_MAGIC):
        raise ValueError("no Avro file")
    stream = BytesIO(content)
    stream.seek(len(_MAGIC))
    header = cast(dict[str, bytes], _read(stream, {"type": "map", "values": "bytes"}))
    if len(stream.read(_SYNC)) < _SYNC:
        raise EOFError("the file ends in its header")
    record = _Types(expected, unused).of(json.loads(header["avro.schema"]))
    if not isinstance(record, dict) or record["type"] != "record":
        raise ValueError("the rows of the file have no fields")
    _sized(record)
    return AvroFile(content, stream.tell(), header.get("avro.codec", b"null").decode(), record)


def rows(file: AvroFile) -> Iterator[list[Row]]:
    """Yield a file's rows, some at a time, with the fields that it has: field 7 under the key ``f7``.

    Raises one of DAMAGE, also for a file of more than MOST_BYTES or MOST_ROWS.
    """
    # An array of rows as Avro writes it: how many, the rows, and none more.
    kind = {"type": "array", "items": file.record}
    for count, data in blocks(file):
        if count > ROWS:
            yield from _one_by_one(file, count, data[0])
            continue
        stream = BytesIO(b"".join((_long(count), *data, b"\0")))
        found = cast(list[Row], _read(stream, kind))
        if len(found) != count or stream.read(1):
            raise ValueError("a block of the file has other rows than it says")
        yield found


def _one_by_one(file: AvroFile, count: int, data: bytes) -> Iterator[list[Row]]:
    """Yield the rows of a long block; nothing else would run while all are decoded at once."""
    stream = BytesIO(data)
    for start in range(0, count, ROWS):
        yield [cast(Row, _read(stream, file.record)) for _ in range(min(ROWS, count - start))]
    if stream.read(1):
        raise ValueError("a block of the file has other rows than it says")


def _read(stream: BytesIO, kind: Type) -> object:
    return fastavro.schemaless_reader(stream, kind, None)


def blocks(file: AvroFile) -> Iterator[tuple[int, list[bytes]]]:
    """Yield rows as they are encoded: how many, and their blocks, of which some come together up to ROWS.

    Writers that make a block of each row are usual. Raises as ``rows``.
    """
    total, size, parts = 0, 0, list[bytes]()
    for count, data in _blocks(file):
        if total and (total + count > ROWS or size + len(data) > _TOGETHER):
            yield total, parts
            total, size, parts = 0, 0, []
        total += count
        size += len(data)
        parts.append(data)
    if total:
        yield total, parts


def _blocks(file: AvroFile) -> Iterator[tuple[int, bytes]]:
    content, at = file.content, file.start
    left, rows_left = min(MOST_BYTES, _ROOM + _RATIO * len(content)), MOST_ROWS
    sync = content[at - _SYNC : at]
    expand = _CODECS[file.codec]
    while at < len(content):
        count, at = varint(content, at)
        size, at = varint(content, at)
        end = at + size
        if count < 0 or size < 0 or content[end : end + _SYNC] != sync:
            raise ValueError("a block of the file does not end where it says")
        data = expand(content[at:end], left)
        left -= len(data)
        rows_left -= count
        if left < 0 or rows_left < 0:
            raise ValueError("the file has more rows or bytes than can be read")
        if data and not count:
            raise ValueError("a block of the file has bytes and no rows")
        if count:
            yield count, data
        at = end + _SYNC


def varint(content: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place and the place behind it."""
    number = shift = 0
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if shift == 63 and byte > 1:
                raise ValueError("a number of the file has more than 64 bits")
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number of the file has no end")


def _long(number: int) -> bytes:
    """Return a number that is not negative as Avro writes it."""
    number <<= 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _deflated(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(-15)
    found = stream.decompress(data, most + 1)
    if len(found) <= most and not stream.eof:
        raise ValueError("a block of the file is cut off")
    return found


def _bzip2(data: bytes, most: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, most + 1)


def _zstandard(data: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(data) as stream:
        return stream.read(most + 1)


def _snappy(data: bytes, most: int) -> bytes:
    size, shift = 0, 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > most:
        raise ValueError("the file has more rows or bytes than can be read")
    # Four bytes behind the data are its checksum.
    found = pa.decompress(data[:-4], decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(found) != int.from_bytes(data[-4:], "big"):
        raise ValueError("a block of the file does not fit its checksum")
    return cast(bytes, found)


_CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "null": lambda data, _: data,
    "deflate": _deflated,
    "bzip2": _bzip2,
    "zstandard": _zstandard,
    "snappy": _snappy,
}


class _Types:
    """Makes types of a file's own: fields are called by their ids, and values stay as Iceberg counts them."""

    def __init__(self, expected: Mapping[int, frozenset[str]], unused: frozenset[int]) -> None:
        self._expected = expected
        self._unused = unused
        self._count = 0
        self._named: dict[str, object] = {}

    def of(self, kind: Any) -> Type:
        """Return a type; raises ValueError or KeyError for what is no type of Iceberg's."""
        self._count += 1
        if self._count > _MOST_TYPES:
            raise ValueError("the file has too many types")
        match kind:
            case str():
                # A name stands for the type that had it; the type itself must not, so none holds itself.
                return kind if kind in _PRIMITIVE else self.of(self._named[kind])
            case list():
                return [self.of(one) for one in kind]
            case {"type": "record", "fields": list(fields)}:
                name = f"t{self._count}"
                found: Type = {"type": "record", "name": name, "fields": list(map(self._field, fields))}
                if len({field["name"] for field in found["fields"]}) < len(fields):
                    raise ValueError("a record of the file has two fields of one id")
            case {"type": "array", "items": items}:
                return {"type": "array", "items": _sized(self.of(items)), **_map_of(kind)}
            case {"type": "fixed", "size": int(size)} if size > 0:
                found = {"type": "fixed", "name": f"t{self._count}", "size": size, **_logical(kind)}
            case {"type": str(inner)} if inner in _PRIMITIVE:
                logical = _logical(kind) if inner == "bytes" else {}
                return {"type": inner, **logical} if logical else inner
            case _:
                raise ValueError("a type of the file is none of Iceberg's")
        if isinstance(kind, dict) and isinstance(kind.get("name"), str):
            self._named[kind["name"]] = kind
        return found

    def _field(self, field: dict[str, Any]) -> dict[str, Any]:
        number = field["field-id"]
        if type(number) is not int:
            raise ValueError("a field of the file has no id")
        kind = self.of(field["type"])
        allowed = self._expected.get(number)
        if allowed is not None and not _names(kind) <= allowed:
            raise ValueError(f"field {number} of the file is of another type than Iceberg's")
        return {"name": f"f{number}", "type": _emptied(kind) if number in self._unused else kind}


def _names(kind: Type) -> set[str]:
    """Return the names of the types that values may be of, besides null."""
    kinds = kind if isinstance(kind, list) else [kind]
    return {one if isinstance(one, str) else one["type"] for one in kinds} - {"null"}


def _logical(kind: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case {"logicalType": "decimal"}:
            # Avro's own default.
            return {"logicalType": "iceberg-decimal", "scale": int(kind.get("scale", 0))}
        case {"logicalType": "uuid", "size": 16}:
            return {"logicalType": "iceberg-uuid"}
        case _:
            return {}


def _map_of(kind: dict[str, Any]) -> dict[str, Any]:
    if kind.get("logicalType") != "map":
        return {}
    if [field["name"] for field in kind["items"]["fields"]] != ["key", "value"]:
        raise ValueError("a map of the file has not just keys and values")
    return {"logicalType": "iceberg-map"}


def _emptied(kind: Type) -> Type:
    match kind:
        case list():
            return [_emptied(one) for one in kind]
        case {"logicalType": "iceberg-map"}:
            return {**kind, "logicalType": "iceberg-nothing"}
        case _:
            return kind


def _sized(items: Type) -> Type:
    """Return the type of items; raises ValueError for one without bytes, of which any number fits into none."""
    if not _has_bytes(items):
        raise ValueError("a list of the file has items without bytes")
    return items


def _has_bytes(kind: Type) -> bool:
    match kind:
        case "null":
            return False
        case {"type": "record", "fields": fields}:
            return any(_has_bytes(field["type"]) for field in fields)
        case _:
            return True


def _decimal(data: bytes, written: Any = None, _read: object = None) -> Decimal:
    return bytes_to_decimal(data, written["scale"])


def _uuid(data: bytes, _written: object = None, _read: object = None) -> UUID:
    return UUID(bytes=data)


def _map(data: Any, _written: object = None, _read: object = None) -> dict[Any, Any]:
    pairs: Any = map(dict.values, data)
    return dict(pairs)


def _nothing(_data: object, _written: object = None, _read: object = None) -> None:
    return None


LOGICAL_READERS["array-iceberg-map"] = _map
LOGICAL_READERS["array-iceberg-nothing"] = _nothing
LOGICAL_READERS["fixed-iceberg-decimal"] = _decimal
LOGICAL_READERS["bytes-iceberg-decimal"] = _decimal
LOGICAL_READERS["fixed-iceberg-uuid"] = _uuid
