"""Avro files: every codec, types as Iceberg has them, and bytes that lie."""

from __future__ import annotations

import bz2
import json
import zlib
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from mutation import damaged, often

from scoter.catalog import avro

SYNC = bytes(range(16))
PAIR = {
    "type": "record",
    "name": "k1_v2",
    "fields": [
        {"name": "key", "type": "int", "field-id": 1},
        {"name": "value", "type": "bytes", "field-id": 2},
    ],
}
FIELDS: list[dict[str, Any]] = [
    {"name": "n", "type": "long", "field-id": 7},
    {"name": "d", "type": ["null", {"type": "int", "logicalType": "date"}], "field-id": 8},
    {
        "name": "p",
        "field-id": 9,
        "type": {
            "type": "fixed",
            "name": "p9",
            "size": 4,
            "logicalType": "decimal",
            "precision": 9,
            "scale": 2,
        },
    },
    {"name": "again", "type": "p9", "field-id": 10},
    {"name": "u", "type": {"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}, "field-id": 11},
    {"name": "m", "type": {"type": "array", "logicalType": "map", "items": PAIR}, "field-id": 12},
    {"name": "s", "type": {"type": "string", "avro.java.string": "String"}, "field-id": 13},
]
ID = UUID("12345678-1234-5678-1234-567812345678")


def number(value: int) -> bytes:
    """Return a number as Avro has it."""
    value = value * 2 if value >= 0 else -value * 2 - 1
    found = bytearray()
    while value > 127:
        found.append(value % 128 + 128)
        value //= 128
    return bytes((*found, value))


def text(value: bytes) -> bytes:
    return number(len(value)) + value


def row(at: int) -> bytes:
    pairs = number(2) + number(1) + text(b"a") + number(5) + text(b"") + number(0)
    return number(at) + number(1) + number(-1) + b"\xff\xff\xff\x38" * 2 + ID.bytes + pairs + text(b"x")


def packed(data: bytes, codec: str) -> bytes:
    match codec:
        case "deflate":
            return zlib.compress(data, wbits=-15)
        case "bzip2":
            return bz2.compress(data)
        case "zstandard":
            return zstandard.compress(data)
        case "snappy":
            return pa.compress(data, codec="snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")
    return data


def container(
    *blocks: tuple[int, bytes], codec: str = "null", fields: list[dict[str, Any]] = FIELDS
) -> bytes:
    """Return a file of blocks, each of so many rows and these bytes."""
    schema = json.dumps({"type": "record", "name": "r", "fields": fields}).encode()
    head = number(2) + text(b"avro.schema") + text(schema) + text(b"avro.codec") + text(codec.encode())
    parts = [b"Obj\x01", head, number(0), SYNC]
    for count, data in blocks:
        parts += [number(count), text(packed(data, codec)), SYNC]
    return b"".join(parts)


def read(content: bytes, unused: frozenset[int] = frozenset()) -> list[dict[str, Any]]:
    return [row for some in avro.rows(avro.opened(content, unused=unused)) for row in some]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "zstandard", "snappy"])
def test_every_codec(codec: str) -> None:
    content = container((2, row(1) + row(2)), (1, row(-3)), codec=codec)
    found = read(content)
    assert [one["f7"] for one in found] == [1, 2, -3]
    price = Decimal("-2.00")
    first = {"f7": 1, "f8": -1, "f9": price, "f10": price, "f11": ID, "f12": {1: b"a", 5: b""}, "f13": "x"}
    assert found[0] == first
    assert avro.opened(content).fields() == [7, 8, 9, 10, 11, 12, 13]
    assert read(content, frozenset({12}))[0]["f12"] is None


def test_many_rows_come_in_parts() -> None:
    single = container(*((1, row(at)) for at in range(avro.ROWS + 5)))
    long = container((3, row(-1) * 3), (avro.ROWS + 5, b"".join(map(row, range(avro.ROWS + 5)))))
    assert [len(some) for some in avro.rows(avro.opened(single))] == [avro.ROWS, 5]
    assert [len(some) for some in avro.rows(avro.opened(long))] == [3, avro.ROWS, 5]
    assert [one["f7"] for one in read(long)][3:] == [one["f7"] for one in read(single)]
    with pytest.raises(ValueError, match="other rows"):
        read(container((avro.ROWS + 1, row(1) * (avro.ROWS + 2))))


def test_files_of_too_many_rows_are_refused() -> None:
    """Rows of a byte each would take gigabytes out of a file of a few kilobytes."""
    fields = [{"name": "b", "type": "boolean", "field-id": 1}]
    count = avro.MOST_ROWS + 1
    for blocks in ([(count, b"\0" * count)], [(count // 2, b"\0" * (count // 2))] * 3):
        with pytest.raises(ValueError, match="more rows"):
            read(container(*blocks, codec="deflate", fields=fields))


def test_values_of_other_types_than_expected_are_refused() -> None:
    content = container((1, row(1)))
    numbers = frozenset({"int", "long"})
    avro.opened(content, {7: numbers, 8: numbers, 12: frozenset({"array"})})
    for number in (9, 12, 13):
        with pytest.raises(ValueError, match=f"field {number}"):
            avro.opened(content, {number: numbers})


def test_a_decimal_without_scale_is_whole() -> None:
    kind = {"type": "fixed", "name": "d", "size": 2, "logicalType": "decimal", "precision": 4}
    content = container((1, b"\x01\x00"), fields=[{"name": "d", "type": kind, "field-id": 1}])
    assert read(content) == [{"f1": Decimal(256)}]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "zstandard", "snappy"])
def test_a_file_that_expands_too_far(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = container((100, row(1) * 100), (100, row(1) * 100), codec=codec)
    assert len(read(content)) == 200
    monkeypatch.setattr(avro, "MOST_BYTES", len(row(1)) * 150)
    with pytest.raises(ValueError, match="more rows or bytes"):
        read(content)


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "array", "items": "null"},
        {"type": "array", "items": {"type": "record", "name": "e", "fields": []}},
        {"type": "fixed", "name": "z", "size": 0},
        {"type": "fixed", "name": "z", "size": -1},
        {"type": "array", "logicalType": "map", "items": {**PAIR, "fields": PAIR["fields"][::-1]}},
        {"type": "enum", "name": "z", "symbols": ["a"]},
        "r",
        "nothing",
        None,
    ],
)
def test_types_that_iceberg_has_not(kind: object) -> None:
    fields = [{"name": "a", "type": "int", "field-id": 1}, {"name": "b", "type": kind, "field-id": 2}]
    with pytest.raises(avro.DAMAGE):
        avro.opened(container(fields=fields))


@pytest.mark.parametrize("number", [None, "2", 1])
def test_fields_without_an_id_of_their_own(number: object) -> None:
    fields = [{"name": "a", "type": "int", "field-id": 1}, {"name": "b", "type": "int", "field-id": number}]
    with pytest.raises(avro.DAMAGE):
        avro.opened(container(fields=fields))
    del fields[1]["field-id"]
    with pytest.raises(avro.DAMAGE):
        avro.opened(container(fields=fields))


def test_types_that_multiply() -> None:
    """A name that stands for two of the one before doubles the types at each step."""
    fields: list[dict[str, Any]] = [{"name": "a", "type": "int", "field-id": 1000}]
    for step in range(64):
        inside = [
            {"name": name, "type": f"t{step - 1}" if step else "int", "field-id": at}
            for at, name in enumerate("ab")
        ]
        kind = {"type": "record", "name": f"t{step}", "fields": inside}
        fields.append({"name": f"f{step}", "type": kind, "field-id": step})
    with pytest.raises(avro.DAMAGE, match="too many types"):
        avro.opened(container(fields=fields))


def test_lengths_that_lie() -> None:
    for length in (2**20, 2**31, 2**40, 2**62, -1, -(2**40)):
        data = row(1)[:-2] + number(length) + b"x"
        with pytest.raises(avro.DAMAGE):
            read(container((1, data)))
    for count in (0, 2, 2**40, -1):
        for blocks in ([(count, row(1)), (1, row(1))], [(count, row(1))]):
            with pytest.raises(avro.DAMAGE):
                read(container(*blocks))


def test_a_file_that_is_cut_off() -> None:
    content = container((2, row(1) + row(2)), (1, row(3)))
    head = len(container())
    between = head + len(number(2) + text(row(1) + row(2)) + SYNC)
    for end in set(range(len(content))) - {head, between}:
        with pytest.raises(avro.DAMAGE):
            read(content[:end])


@pytest.mark.decoder
@often()
@given(data=st.data())
def test_damaged_avro_files(data: Any) -> None:
    content = data.draw(damaged([container((2, row(1) + row(2)), (1, row(3)))]))
    try:
        found = read(content)
    except avro.DAMAGE:
        return
    assert isinstance(found, list)


def test_fastavro_reads_the_same() -> None:
    """The library's own reading of a whole file."""
    content = container((2, row(1) + row(2)), codec="deflate")
    theirs = list(fastavro.reader(avro.BytesIO(content)))
    assert [one["n"] for one in theirs] == [one["f7"] for one in read(content)]
    assert [one["p"] for one in theirs] == [one["f9"] for one in read(content)]
