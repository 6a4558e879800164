"""Avro files by column: the same values as by row, whatever the types, blocks and bytes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutation import damaged, often
from test_avro import container, number, text

from scoter.catalog import avro, avro_columns
from scoter.catalog.avro_columns import Columns, read
from scoter.catalog.entries import ENTRY_TYPES
from scoter.catalog.fetching import unchecked

LONG = 2**63 - 1
NUMBERS, BLOBS, UNUSED = ("f110", "f137"), ("f125", "f128"), ("f108", "f109")
KEPT = ("f0", "f1", "f3", "f4", "f134", "f100", "f101", "f102", "f103", "f104", "f135", "f142")
WHERE: dict[str, Any] = {"fields": KEPT, "numbers": NUMBERS, "blobs": BLOBS, "unused": UNUSED}


def mapped(number: int, key: int, kind: str) -> dict[str, Any]:
    fields = [
        {"name": "key", "type": "int", "field-id": key},
        {"name": "value", "type": kind, "field-id": key + 1},
    ]
    pair = {"type": "record", "name": f"k{key}_v{key + 1}", "fields": fields}
    array = {"type": "array", "logicalType": "map", "items": pair}
    return {"name": f"m{number}", "type": ["null", array], "field-id": number}


def field(number: int, kind: Any) -> dict[str, Any]:
    return {"name": f"x{number}", "type": kind, "field-id": number}


PARTITION = {
    "type": "record",
    "name": "r102",
    "fields": [
        field(1000, ["null", "string"]),
        field(1001, ["null", {"type": "int", "logicalType": "date"}]),
        field(1002, ["null", "double"]),
        field(1003, ["null", "float"]),
        field(1004, ["null", "boolean"]),
        field(
            1005,
            [
                "null",
                {
                    "type": "fixed",
                    "name": "d",
                    "size": 3,
                    "logicalType": "decimal",
                    "precision": 6,
                    "scale": 2,
                },
            ],
        ),
        field(1006, ["null", {"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}]),
        field(1007, ["null", "bytes"]),
    ],
}
FILE = [
    field(134, "int"),
    field(100, "string"),
    field(101, "string"),
    field(102, PARTITION),
    field(103, "long"),
    field(104, "long"),
    mapped(108, 117, "long"),
    mapped(109, 119, "long"),
    mapped(110, 121, "long"),
    mapped(137, 138, "long"),
    mapped(125, 126, "bytes"),
    mapped(128, 129, "bytes"),
    field(131, ["null", "bytes"]),
    field(132, ["null", {"type": "array", "items": "long"}]),
    field(135, ["null", {"type": "array", "items": "int"}]),
    field(140, ["null", "int"]),
    field(142, ["null", "long"]),
    field(143, ["null", "string"]),
]
FIELDS = [
    field(0, "int"),
    field(1, ["null", "long"]),
    field(3, ["null", "long"]),
    field(4, ["null", "long"]),
    field(2, {"type": "record", "name": "r2", "fields": FILE}),
]
SIMPLE = {"null": st.none(), "boolean": st.booleans(), "string": st.text(max_size=70)}
SIMPLE |= {"int": st.integers(-(2**31), 2**31 - 1), "long": st.integers(-LONG - 1, LONG)}
SIMPLE |= {"bytes": st.binary(max_size=70), "double": st.floats(), "float": st.floats(width=32)}
KEYS = st.one_of(st.integers(0, 9), SIMPLE["int"])


@st.composite
def encoded(draw: Any, kind: Any) -> bytes:
    """Return a value of a type as any writer may encode it: arrays in blocks, with their bytes or without."""
    match kind:
        case list():
            branch = draw(st.integers(0, len(kind) - 1))
            return number(branch) + draw(encoded(kind[branch]))
        case {"type": "record", "fields": fields}:
            return b"".join(draw(encoded(one["type"])) for one in fields)
        case {"type": "array", "items": items}:
            found = b""
            for size in draw(st.lists(st.integers(1, 3), max_size=2)):
                data = b"".join(draw(encoded(items)) for _ in range(size))
                counted = number(-size) + number(len(data)) if draw(st.booleans()) else number(size)
                found += counted + data
            return found + number(0)
        case {"type": "fixed", "size": size}:
            return bytes(draw(st.binary(min_size=size, max_size=size)))
        case {"type": inner}:
            return bytes(draw(encoded(inner)))
    out = BytesIO()
    fastavro.schemaless_writer(out, kind, draw(SIMPLE[kind]))
    return out.getvalue()


def columns(content: bytes) -> Columns:
    return read(avro.opened(content, ENTRY_TYPES), "f2", unchecked, **WHERE)


def by_row(found: Columns) -> list[str]:
    """Return rows with all that columns say of them; as text, because NaN is not itself."""
    rows: list[dict[str, Any]] = [
        {name: values[at] for name, values in found.values.items()} for at in range(found.count)
    ]
    for name, pairs in {**found.numbers, **found.blobs}.items():
        told = {int(key): pairs.column(int(key)).to_pylist() for key in pairs.keys if name in BLOBS}
        told |= {int(key): pairs.column(int(key)).tolist() for key in pairs.keys if name in NUMBERS}
        for at, row in enumerate(rows):
            absent = None if name in BLOBS else -1
            row[name] = {key: told[key][at] for key in told if told[key][at] != absent}
    return [repr(sorted(row.items())) for row in rows]


def expected(content: bytes) -> list[str]:
    """Return the same from the rows that fastavro decodes."""
    found = []
    for row in (one for some in avro.rows(avro.opened(content, ENTRY_TYPES)) for one in some):
        flat = row | row.pop("f2")
        for name in (*NUMBERS, *BLOBS):
            known = flat.get(name) or {}
            flat[name] = {key: known[key] for key in sorted(known) if name in BLOBS or known[key] != -1}
        found.append(
            repr(sorted((name, value) for name, value in flat.items() if name in (*KEPT, *NUMBERS, *BLOBS)))
        )
    return found


ROW = encoded({"type": "record", "fields": FIELDS})


@often(share=0.5)
@given(blocks=st.lists(st.lists(ROW, min_size=1, max_size=3), max_size=3))
def test_columns_are_as_rows(blocks: list[list[bytes]]) -> None:
    content = container(*((len(rows), b"".join(rows)) for rows in blocks), fields=FIELDS)
    assert by_row(columns(content)) == expected(content)


def spelled_out(kind: Any) -> Any:
    """Return a type with its primitives as objects, as some writers have them."""
    match kind:
        case str():
            return {"type": kind}
        case list():
            return [spelled_out(one) for one in kind]
        case {"type": "record", "fields": fields}:
            return kind | {"fields": [one | {"type": spelled_out(one["type"])} for one in fields]}
        case {"type": "array", "items": items}:
            return kind | {"items": spelled_out(items)}
    return kind


@often(share=0.2)
@given(row=ROW)
def test_primitives_that_are_spelled_as_objects(row: bytes) -> None:
    fields = [one | {"type": spelled_out(one["type"])} for one in FIELDS]
    content = container((1, row), fields=fields)
    assert by_row(columns(content)) == expected(container((1, row), fields=FIELDS))


def test_a_block_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avro_columns, "MOST_TOGETHER", 10)
    with pytest.raises(ValueError, match="longer than can be read"):
        one_map(number(1) + number(1) + text(b"a" * 20) + number(0))


def test_a_number_of_more_than_64_bits_is_refused() -> None:
    assert avro.varint(b"\xff" * 9 + b"\x01", 0) == (-(2**63), 10)
    with pytest.raises(ValueError, match="more than 64 bits"):
        avro.varint(b"\xff" * 9 + b"\x02", 0)
    with pytest.raises(ValueError, match="has no end"):
        avro.varint(b"\xff" * 10 + b"\x01", 0)


@pytest.mark.decoder
@often(share=0.5)
@given(row=ROW, data=st.data())
def test_damaged_rows_are_read_alike_or_refused(row: bytes, data: Any) -> None:
    """Nothing but an error of damage is raised, and what is read is what fastavro reads."""
    changed = data.draw(damaged([row]))
    content = container((1, changed), fields=FIELDS)
    try:
        found = by_row(columns(content))
    except avro.DAMAGE:
        return
    try:
        wanted = expected(content)
    except avro.DAMAGE:
        return
    assert found == wanted


def of_map(pairs: bytes) -> bytes:
    """Return a file of one row with the map 125 and no other field."""
    kind = mapped(125, 126, "bytes")["type"][1]
    inside = {"type": "record", "name": "r2", "fields": [{"name": "m", "type": kind, "field-id": 125}]}
    return container((1, pairs), fields=[field(2, inside)])


def one_map(pairs: bytes) -> Any:
    return read(avro.opened(of_map(pairs)), "f2", unchecked, fields=(), numbers=(), blobs=("f125",)).blobs[
        "f125"
    ]


def test_the_last_of_two_values_counts() -> None:
    pairs = number(2) + number(7) + text(b"a") + number(7) + text(b"bc") + number(0)
    assert one_map(pairs).column(7).to_pylist() == [b"bc"]
    assert one_map(pairs).column(8).to_pylist() == [None]


def test_numbers_and_lengths_that_lie() -> None:
    pair = number(1) + text(b"a")
    assert one_map(number(1) + pair + number(0)).column(1).to_pylist() == [b"a"]
    for count in (0, 2, 2**20, 2**40, LONG, -1, -2, -(2**62)):
        with pytest.raises(avro.DAMAGE):
            one_map(number(count) + pair + number(0))
    for length in (-1, -(2**40), 2, 2**20, 2**31, 2**62):
        with pytest.raises(avro.DAMAGE):
            one_map(number(1) + number(1) + number(length) + b"a" + number(0))
    with pytest.raises(avro.DAMAGE):
        one_map(number(1) + b"\xff" * 11 + b"\x00" + text(b"a") + number(0))


def test_maps_of_other_types_are_refused() -> None:
    for key, value in (("string", "bytes"), ("int", "string"), (["null", "int"], "bytes"), ("int", "long")):
        field_of = mapped(125, 126, "bytes")
        pair = field_of["type"][1]["items"]["fields"]
        pair[0]["type"], pair[1]["type"] = key, value
        inside = {"type": "record", "name": "r2", "fields": [field_of]}
        file = avro.opened(container(fields=[field(2, inside)]))
        with pytest.raises(ValueError, match="another type"):
            read(file, "f2", unchecked, fields=(), numbers=(), blobs=("f125",))


def test_fields_of_one_id_in_and_out_of_the_record() -> None:
    inside = {"type": "record", "name": "r2", "fields": [field(0, "int")]}
    file = avro.opened(container(fields=[field(0, "int"), field(2, inside)]))
    with pytest.raises(ValueError, match="two fields"):
        read(file, "f2", unchecked, fields=(), numbers=(), blobs=())


def test_a_statement_may_end_meanwhile() -> None:
    def ended() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        read(avro.opened(of_map(number(0))), "f2", ended, fields=(), numbers=(), blobs=("f125",))


def test_some_rows_of_maps() -> None:
    rows = [
        number(2) + number(1) + text(b"%d" % at) + number(70000 + at % 2) + text(b"x" * at) + number(0)
        for at in range(5)
    ]
    kind = mapped(125, 126, "bytes")["type"][1]
    inside = {"type": "record", "name": "r2", "fields": [{"name": "m", "type": kind, "field-id": 125}]}
    content = container((5, b"".join(rows)), fields=[field(2, inside)])
    whole = read(avro.opened(content), "f2", unchecked, fields=(), numbers=(), blobs=("f125",)).blobs["f125"]
    some = whole.some(np.array([1, 2, 4]))
    assert some.column(1).to_pylist() == [b"1", b"2", b"4"]
    assert some.column(70000).to_pylist() == [None, b"xx", b"xxxx"]
    assert some.column(70001).to_pylist() == [b"x", None, None]
    assert 70001 in some
    assert 70001 not in whole.some(np.array([0, 2]))
    assert whole.some(np.array([], np.int64)).column(1).to_pylist() == []
