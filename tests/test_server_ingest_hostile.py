"""Bulk ingest of bytes that no library would send: each is refused, and the server lives on unharmed."""

from __future__ import annotations

import gc
import random
import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from flight_sql import Client, packed, served, wait_for
from raw_flight import Raw, connected, descriptor, field
from test_server_process import process

from scoter.server.flightsql import messages_pb2 as m

Message = tuple[bytes, bytes]  # an IPC message's metadata and body

MUTANTS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hostile")
    with process(directory) as running:
        running.directory = directory
        yield running
        assert running.poll() is None, "the server died"


@pytest.fixture
def raw(server):
    with connected(server.address) as made:
        yield made


def messages(schema: pa.Schema, *batches: pa.RecordBatch, **options: Any) -> list[Message]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return [
        (message.metadata.to_pybytes(), message.body.to_pybytes() if message.body else b"")
        for message in pa.ipc.MessageReader.open_stream(sink.getvalue())
    ]


def column(array: pa.Array, **options: Any) -> list[Message]:
    batch = pa.record_batch([array], names=["c"])
    return messages(batch.schema, batch, **options)


def altered(given: list[Message], number: int, part: int, old: bytes, new: bytes) -> list[Message]:
    """Replace bytes in the metadata (part 0) or body (part 1) of one message."""
    assert old in given[number][part]
    message = list(given[number])
    message[part] = message[part].replace(old, new, 1)
    return [*given[:number], (message[0], message[1]), *given[number + 1 :]]


def int32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def int64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def send(raw: Raw, given: list[Message], table: str = "hostile") -> int:
    """Send messages as an ingest; return the number of rows or raise grpc.RpcError."""
    options = m.TableDefinitionOptions(if_not_exist=1, if_exists=2)
    command = packed(m.CommandStatementIngest(table_definition_options=options, table=table))

    def requests() -> Iterator[bytes]:
        head = field(1, descriptor(command))
        for metadata, body in given:
            yield head + field(2, metadata) + field(1000, body)
            head = b""

    (answer,) = raw.send("DoPut", requests())
    result = m.DoPutUpdateResult()
    # The answer is a PutResult whose one field holds the count.
    result.ParseFromString(bytes(answer)[2:])
    return result.record_count


TEXTS = column(pa.array(["abc", "defg"]))
VIEWS = column(pa.array(["a" * 20, "b" * 30], pa.string_view()))
CODES = column(pa.array(["x", "y", "x"]).dictionary_encode())
RUNS = column(pa.RunEndEncodedArray.from_arrays(pa.array([1, 3], pa.int32()), ["x", "y"]))
PRESSED = column(pa.array(["a" * 1000]), compression="zstd")
MAGIC = b"\x28\xb5\x2f\xfd"  # with which a zstd frame begins
VIEW = int32(20) + b"aaaa"


def extension(name: str, of: Any = b"") -> list[Message]:
    metadata = {"ARROW:extension:name": name, "ARROW:extension:metadata": of}
    schema = pa.schema([pa.field("c", pa.int64(), metadata=metadata)])
    return messages(schema, pa.record_batch([pa.array([1])], schema=schema))


HOSTILE: dict[str, list[Message]] = {
    "offsets past the end": altered(TEXTS, 1, 1, int32(0, 3, 7), int32(0, 3, 2**31 - 1)),
    "negative offsets": altered(TEXTS, 1, 1, int32(0, 3, 7), int32(-5, 3, 7)),
    "falling offsets": altered(TEXTS, 1, 1, int32(0, 3, 7), int32(0, 7, 3)),
    "text that is no UTF-8": altered(TEXTS, 1, 1, b"abcdefg", b"abc\xff\xfefg"),
    "list offsets past the end": altered(
        column(pa.array([[1, 2], [3]])), 1, 1, int32(0, 2, 3), int32(0, 2, 2**30)
    ),
    "codes past the dictionary": altered(CODES, 2, 1, int32(0, 1, 0), int32(0, 1, 99)),
    "negative codes": altered(CODES, 2, 1, int32(0, 1, 0), int32(0, -1, 0)),
    "runs that fall": altered(RUNS, 1, 1, int32(1, 3), int32(3, 1)),
    "a view of no buffer": altered(VIEWS, 1, 1, VIEW + int32(0), VIEW + int32(77)),
    "a view past its buffer": altered(VIEWS, 1, 1, VIEW + int32(0, 0), VIEW + int32(0, 2**30)),
    "a view of negative length": altered(VIEWS, 1, 1, VIEW, int32(-20) + b"aaaa"),
    "a wild number of rows": altered(TEXTS, 1, 0, int64(2), int64(2**40)),
    "a negative number of rows": altered(TEXTS, 1, 0, int64(2), int64(-1)),
    "a body cut short": [TEXTS[0], (TEXTS[1][0], TEXTS[1][1][:8])],
    "no body": [TEXTS[0], (TEXTS[1][0], b"")],
    "two schemas": [TEXTS[0], TEXTS[0], TEXTS[1]],
    "rows of other columns": [CODES[0], TEXTS[1]],
    **{
        f"compressed bytes that say they are {size}": altered(
            PRESSED, 1, 1, int64(1000) + MAGIC, int64(size) + MAGIC
        )
        for size in (2**62, 2**40, -5, 10)
    },
    "a time after midnight": altered(column(pa.array([1], pa.time32("s"))), 1, 1, int32(1), int32(10**6)),
    "a decimal of too many digits": altered(
        column(pa.array([Decimal("1.5")])), 1, 1, int64(15, 0), int64(2**62, 2**62)
    ),
    "a name that is no UTF-8": altered(
        messages(pa.schema([("abcdef", pa.int64())])), 0, 0, b"abcdef", b"ab\xff\xfeef"
    ),
    "a name with a zero in it": messages(pa.schema([("a\0b", pa.int64())])),
    "a field with a zero in its name": messages(pa.schema([("c", pa.struct([("a\0b", pa.int64())]))])),
    "no columns": messages(pa.schema([])),
    "an extension that nobody knows": extension("somebodys.own"),
    "an extension that runs code": extension(
        "arrow.py_extension_type", b"cos\nsystem\n(S'touch harmed'\ntR."
    ),
}
# pyarrow refuses these before it asks the server's own code.
BEFORE = {
    "garbage": [(b"\xde\xad\xbe\xef" * 10, b"x" * 100)],
    "rows before their schema": [TEXTS[1]],
    "nothing": [],
    "a tensor of negative shape": extension("arrow.fixed_shape_tensor", '{"shape":[-1,4]}'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_rows_are_refused(raw, server, name):
    with pytest.raises(grpc.RpcError) as refused:
        send(raw, HOSTILE[name])
    said = refused.value.details()
    assert said.startswith("["), said
    assert "INTERNAL_ERROR" not in said
    assert "Query id " in said
    assert server.poll() is None
    assert not list(server.directory.rglob("*.parquet"))


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_no_stream_at_all_is_refused(raw, server, name):
    with pytest.raises(grpc.RpcError) as refused:
        send(raw, BEFORE[name])
    assert "Traceback" not in refused.value.details()
    assert server.poll() is None


def test_dictionaries_may_grow_and_change(raw, server):
    kind = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("c", kind)])

    def coded(codes: list[int], words: list[str]) -> pa.RecordBatch:
        array = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words))
        return pa.record_batch([array], schema=schema)

    grown = messages(
        schema, coded([0, 1], ["x", "y"]), coded([2, 0], ["x", "y", "z"]), emit_dictionary_deltas=True
    )
    assert len(grown) == 5
    assert send(raw, grown, "grown") == 4
    with pytest.raises(grpc.RpcError, match="INVALID_VALUE"):
        send(raw, altered(grown, 3, 1, b"z", b"\xff"), "grown")
    with pytest.raises(grpc.RpcError, match="INVALID_VALUE"):
        send(raw, [grown[0], grown[3], grown[2]], "grown")
    changed = messages(schema, coded([0, 1], ["x", "y"]), coded([0, 1], ["q", "r"]))
    assert send(raw, changed, "changed") == 4
    with Client(server.address) as client:
        assert client.query("SELECT list(c ORDER BY c) FROM grown").column(0).to_pylist() == [
            ["x", "x", "y", "z"]
        ]
        assert client.query("SELECT list(c ORDER BY c) FROM changed").column(0).to_pylist() == [
            ["q", "r", "x", "y"]
        ]


def specimen(**options: Any) -> list[Message]:
    """Return two batches with a column of each way to lay out values."""
    arrays = {
        "n": pa.array([1, 2, None]),
        "s": pa.array(["abc", "d", None]),
        "l": pa.array([[1], [2, 3], None]),
        "r": pa.array([{"a": "x"}, None, {"a": "y"}]),
        "d": pa.array(["x", "y", "x"]).dictionary_encode(),
        "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "v": pa.array(["a" * 20, "b", None], pa.string_view()),
        "w": pa.array([["q"], None, []], pa.list_view(pa.string())),
        "e": pa.RunEndEncodedArray.from_arrays([1, 3], ["x", "y"]),
        "f": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
        "b": pa.array([True, False, None]),
        "p": pa.array([Decimal("1.5")] * 3),
    }
    batch = pa.record_batch(list(arrays.values()), names=list(arrays))
    return messages(batch.schema, batch, batch, **options)


def mutant(given: list[Message], chance: random.Random) -> list[Message]:
    """Change some bytes or numbers of some messages, or cut them."""
    found = [[bytearray(metadata), bytearray(body)] for metadata, body in given]
    for _ in range(chance.choice([1, 1, 2, 5])):
        part = chance.choice(chance.choice(found))
        if len(part) < 16:
            continue
        place = chance.randrange(len(part) - 8)
        change: Callable[[], None] = chance.choice(
            [
                lambda p=part, at=place: p.__setitem__(at, chance.choice([0, 1, 127, 128, 255])),
                lambda p=part, at=place: p.__setitem__(
                    slice(at // 4 * 4, at // 4 * 4 + 4),
                    int32(chance.choice([-1, 0, 5, 10**6, 2**31 - 1, -(2**31)])),
                ),
                lambda p=part, at=place: p.__setitem__(
                    slice(at // 8 * 8, at // 8 * 8 + 8),
                    int64(chance.choice([-1, 10**6, 2**40, 2**62, 2**63 - 1])),
                ),
                lambda p=part, at=place: p.__delitem__(slice(at, None)),
            ]
        )
        change()
    return [(bytes(metadata), bytes(body)) for metadata, body in found]


def test_mutants_do_no_harm(server, raw):
    chance = random.Random(20)  # noqa: S311  # not a secret
    plain, pressed = specimen(), specimen(compression="zstd")
    taken = send(raw, plain, "mutants")
    said = []
    for _ in range(MUTANTS):
        try:
            taken += send(raw, mutant(chance.choice([plain, pressed]), chance), "mutants")
        except grpc.RpcError as error:
            said.append(error.details())
    assert server.poll() is None
    assert len(said) > MUTANTS / 3
    assert not [text for text in said if "INTERNAL_ERROR" in text or "Traceback" in text]
    with Client(server.address) as client:
        assert client.query("SELECT * FROM mutants").num_rows == taken
    assert not Path("harmed").exists()
    log = (server.directory / "log.jsonl").read_text()
    assert '"event": "failure"' not in log


EXPANDED = 128 * 2**20


def expanding() -> list[Message]:
    zeros = pa.Array.from_buffers(pa.int64(), EXPANDED // 8, [None, pa.py_buffer(bytes(EXPANDED))])
    return column(zeros, compression="zstd")


def upload(raw: Raw, command: bytes, given: list[Message]) -> str:
    """Send messages as the rows of a command that must fail; return the error's text."""
    head = field(1, descriptor(command))
    parts = [field(2, metadata) + field(1000, body) for metadata, body in given]
    with pytest.raises(grpc.RpcError) as caught:
        list(raw.send("DoPut", [head + parts[0], *parts[1:]]))
    return str(caught.value.details())


@pytest.fixture
def collector_off():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collector_off")
def test_a_compressed_batch_that_expands_is_refused_and_its_memory_is_free(tmp_path):
    given = expanding()
    assert sum(len(metadata) + len(body) for metadata, body in given) * 1_000 < EXPANDED
    limits = {"query": {"statement_memory": 32 * 2**20}, "server": {"max_bind_bytes": 2**20}}
    with served(tmp_path, **limits) as lake, Client(lake.address) as client, connected(lake.address) as raw:
        held = pa.total_allocated_bytes()
        options = m.TableDefinitionOptions(if_not_exist=1, if_exists=2)
        command = packed(m.CommandStatementIngest(table_definition_options=options, table="small"))
        for _ in range(3):
            said = upload(raw, command, given)
            assert f"[54000] VALUE_TOO_LARGE: a batch of {EXPANDED} bytes" in said
            # Of the rows nothing is left, though no collector has run.
            assert wait_for(lambda: pa.total_allocated_bytes() < held + 2**20)
        handle = client.prepare("SELECT ?::BIGINT AS n").prepared_statement_handle
        for _ in range(3):
            said = upload(
                raw, packed(m.CommandPreparedStatementQuery(prepared_statement_handle=handle)), given
            )
            assert "[54000] VALUE_TOO_LARGE: a statement takes at most 1048576 bytes" in said
            assert wait_for(lambda: pa.total_allocated_bytes() < held + 2**20)
        small = column(pa.array(range(1_000)), compression="zstd")
        assert send(raw, small, "small") == 1_000
        assert client.query("SELECT sum(c) AS n FROM small")["n"].to_pylist() == [499_500]
