"""Bulk ingest over the wire: ADBC, pandas and polars in all modes, refusals, and what failures leave."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions
from flight_sql import Client, packed, served, wait_for
from pyarrow import flight
from raw_flight import connected, descriptor, field

from scoter.catalog.principals import Role
from scoter.engine.cancellation import Cancellation
from scoter.server.flightsql import messages_pb2 as m

ROWS = pa.table({"n": [1, 2, 3], "word": ["a", None, "c"]})
CREATE, APPEND, REPLACE, CREATE_APPEND = (1, 1), (2, 2), (1, 3), (1, 2)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("ingest")) as running:
        running.engine.lake.create_schema("lake", "other")
        yield running


@pytest.fixture
def connection(lake):
    with adbc.connect(lake.address, autocommit=True) as made:
        yield made


@pytest.fixture
def cursor(connection):
    with connection.cursor() as made:
        yield made


@pytest.fixture
def client(lake):
    with Client(lake.address) as made:
        yield made


def ask(cursor: Any, sql: str) -> list[tuple[Any, ...]]:
    cursor.execute(sql)
    return cursor.fetchall()


def command(table: str, mode: tuple[int, int] = CREATE, **more: Any) -> m.CommandStatementIngest:
    options = m.TableDefinitionOptions(if_not_exist=mode[0], if_exists=mode[1])
    return m.CommandStatementIngest(table_definition_options=options, table=table, **more)


def put(client: Client, message: m.CommandStatementIngest, rows: pa.Table = ROWS) -> int:
    return client.put(message, rows.schema, rows.to_batches())


def lines(lake: Any) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lake.engine.settings.log.read_text().splitlines()]
    return [line for line in found if line.get("action") == "INGEST"]


def parquet_files(lake: Any) -> set[Path]:
    return set((lake.engine.settings.directory / "warehouse").rglob("*.parquet"))


def test_adbc_in_all_modes(lake, cursor):
    assert cursor.adbc_ingest("modes", ROWS, mode="create") == 3
    assert cursor.adbc_ingest("modes", ROWS.slice(0, 1), mode="append") == 1
    assert cursor.adbc_ingest("MODES", ROWS.select(["word"]), mode="create_append") == 3
    assert ask(cursor, "SELECT count(*), count(n), count(word) FROM modes") == [(7, 4, 5)]
    assert cursor.adbc_ingest("modes", pa.table({"other": [1.5]}), mode="replace") == 1
    assert ask(cursor, "SELECT * FROM modes") == [(1.5,)]
    assert cursor.adbc_ingest("modes_two", ROWS, mode="replace") == 3
    assert cursor.adbc_ingest("modes_three", ROWS, mode="create_append") == 3
    assert cursor.adbc_ingest("modes_empty", ROWS.to_batches()[0].slice(0, 0), mode="create") == 0
    assert ask(cursor, "SELECT * FROM modes_empty") == []
    # Without a single batch the driver sends nothing, not even the names of the columns.
    with pytest.raises(adbc_driver_manager.Error, match="before first message"):
        cursor.adbc_ingest("modes_none", ROWS.slice(0, 0), mode="create")
    # One commit each, which the log and the snapshot know by one query id.
    snapshots = ask(cursor, 'SELECT operation, summary FROM "modes$snapshots" ORDER BY committed_at')
    assert [operation for operation, _ in snapshots] == ["append", "append", "append", "overwrite"]
    logged = [line for line in lines(lake) if line.get("target", "").casefold() == "lake.main.modes"]
    assert [line["query_id"] for line in logged] == [dict(s)["scoter.query-id"] for _, s in snapshots]
    assert [(line["rows"], line["files"], line["outcome"]) for line in logged] == [
        (3, 1, "ok"),
        (1, 1, "ok"),
        (3, 1, "ok"),
        (1, 1, "ok"),
    ]


def test_adbc_with_names_and_many_batches(cursor):
    batches = [pa.record_batch({"n": np.arange(i * 1000, (i + 1) * 1000)}) for i in range(200)]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    named = {"catalog_name": "LAKE", "db_schema_name": "Other"}
    assert cursor.adbc_ingest("many", reader, mode="create", **named) == 200_000
    assert ask(cursor, "SELECT count(*), sum(n) FROM lake.other.many") == [(200_000, 19_999_900_000)]
    assert ask(cursor, 'SELECT count(*) FROM other."many$snapshots"') == [(1,)]


def test_a_batch_above_the_limit_of_the_driver(lake, cursor):
    rows = pa.table({"n": np.arange(3_000_000)})
    with pytest.raises(adbc_driver_manager.Error, match="trying to send message larger than max"):
        cursor.adbc_ingest("large", rows, mode="create")
    assert cursor.adbc_ingest("large", rows.to_reader(max_chunksize=1_000_000), mode="create") == 3_000_000
    raised = {DatabaseOptions.WITH_MAX_MSG_SIZE.value: str(2**31 - 1)}
    with adbc.connect(lake.address, db_kwargs=raised, autocommit=True) as made, made.cursor() as other:
        assert other.adbc_ingest("large", rows, mode="append") == 3_000_000
    assert ask(cursor, "SELECT count(*), count(DISTINCT n) FROM large") == [(6_000_000, 3_000_000)]


def test_a_batch_above_the_memory_of_a_statement(tmp_path):
    with (
        served(tmp_path, query={"statement_memory": 32 * 2**20}) as running,
        Client(running.address) as client,
    ):
        rows = pa.table({"n": np.arange(5_000_000)})
        error = client.refusal(put, client, command("large"), rows)
        assert "[54000] VALUE_TOO_LARGE: a batch of 40000000 bytes" in str(error)
        assert "smaller batches" in str(error)
        # The rows of many batches need not fit.
        batches = rows.to_batches(max_chunksize=100_000)
        assert client.put(command("large"), rows.schema, batches) == 5_000_000


def test_names_of_the_session_and_names_that_look_like_sql(connection, cursor):
    cursor.execute("USE other")
    assert cursor.adbc_ingest("order by", ROWS, mode="create") == 3
    assert ask(cursor, 'SELECT count(*) FROM lake.other."order by"') == [(3,)]
    connection.adbc_current_db_schema = "main"
    assert cursor.adbc_ingest("in_main", ROWS, mode="create") == 3
    assert ask(cursor, "SELECT count(*) FROM lake.main.in_main") == [(3,)]


def test_pandas_writes_tables(connection, cursor):
    frame = pd.DataFrame(
        {
            "n": [1, 2],
            "maybe": [1.5, np.nan],
            "word": ["a", None],
            "at": pd.to_datetime(["2020-01-01 00:00", "2020-02-29 12:00"]),
            "kind": pd.Categorical(["x", "y"]),
        }
    )
    assert frame.to_sql("frame", connection, index=False) == 2
    assert frame.to_sql("frame", connection, index=False, if_exists="append") == 2
    with pytest.raises(ValueError, match="already exists"):
        frame.to_sql("frame", connection, index=False, if_exists="fail")
    found = pd.read_sql("SELECT * FROM frame ORDER BY n", connection)
    assert found["maybe"].tolist()[:2] == [1.5, 1.5]
    assert found["maybe"].isna().tolist() == [False, False, True, True]
    assert found["kind"].tolist() == ["x", "x", "y", "y"]
    assert frame[["n"]].to_sql("frame", connection, index=False, if_exists="replace") == 2
    assert ask(cursor, "SELECT * FROM frame ORDER BY n") == [(1,), (2,)]
    assert frame.to_sql("frame", connection, schema="other", index=True) == 2
    assert ask(cursor, 'SELECT "__index_level_0__", n FROM other.frame ORDER BY n') == [(0, 1), (1, 2)]
    # Integers with gaps are floats in pandas; what is whole fits an integer's column.
    gaps = pd.DataFrame({"n": [7, None]})
    assert gaps.to_sql("frame", connection, index=False, if_exists="append") == 2
    with pytest.raises(pd.errors.DatabaseError) as refused:
        pd.DataFrame({"n": [7.5]}).to_sql("frame", connection, index=False, if_exists="append")
    assert '[22023] INVALID_VALUE: a value of column "n" of type double' in str(refused.value.__cause__)


def test_polars_writes_tables(connection):
    frame = pl.DataFrame(
        {
            "n": [1, 2],
            "word": ["a", None],
            "parts": [[1], []],
            "record": [{"a": 1}, {"a": None}],
            "kind": pl.Series(["x", "y"], dtype=pl.Categorical),
            "small": pl.Series([1, 2], dtype=pl.UInt8),
        }
    )
    assert frame.write_database("polars", connection, engine="adbc") == 2
    assert frame.write_database("polars", connection, engine="adbc", if_table_exists="append") == 2
    found = pl.read_database("SELECT * FROM polars ORDER BY n", connection)
    assert found.rows() == [frame.row(0)] * 2 + [frame.row(1)] * 2
    with pytest.raises(adbc_driver_manager.Error, match="DUPLICATE_TABLE"):
        frame.write_database("polars", connection, engine="adbc", if_table_exists="fail")
    narrow = frame.select("word")
    assert narrow.write_database("polars", connection, engine="adbc", if_table_exists="replace") == 2
    assert pl.read_database("SELECT * FROM polars", connection).columns == ["word"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (command("x", temporary=True), "[0A000] NOT_SUPPORTED: temporary tables"),
        (command("x", transaction_id=b"1"), "[0A000] NOT_SUPPORTED: transactions"),
        (command("x", options={"codec": "zstd"}), "[0A000] NOT_SUPPORTED: the ingest option 'codec'"),
        (command("x", (0, 0)), "[22023] INVALID_VALUE: the ingest does not say"),
        (command("x", (1, 9)), "[22023] INVALID_VALUE: the ingest does not say"),
        (command(""), "[42611] INVALID_DEFINITION: the ingest names no table"),
        (command("x" * 2000), "[42611] INVALID_DEFINITION: a name has at most"),
        (command("a/../b"), '[42611] INVALID_DEFINITION: table name "a/../b"'),
        (command("a.b"), '[42611] INVALID_DEFINITION: table name "a.b"'),
        (command("x", APPEND), "[42P01] UNDEFINED_TABLE: table lake.main.x does not exist"),
        (command("x", schema="nowhere"), "[3F000] UNDEFINED_SCHEMA"),
        (command("x", catalog="nowhere"), "[3D000] UNDEFINED_CATALOG"),
        (command("models", APPEND, schema="system"), "[0A000] NOT_SUPPORTED: schema system"),
        (command("models", REPLACE, schema="SYSTEM"), "[0A000] NOT_SUPPORTED: schema SYSTEM"),
        (command("tables", schema="information_schema"), "[0A000] NOT_SUPPORTED: schema information_schema"),
        (command("there$snapshots", APPEND), "[42P01] UNDEFINED_TABLE"),
        (command("there"), "[42P07] DUPLICATE_TABLE: table lake.main.there exists"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_an_ingest_that_can_not_be_is_refused(lake, client, message, said):
    put(client, command("there", CREATE_APPEND))
    files, logged = parquet_files(lake), len(lines(lake))
    error = client.refusal(put, client, message)
    assert said in str(error)
    assert "Query id " in str(error)
    assert "Traceback" not in str(error)
    assert parquet_files(lake) == files
    assert [line["outcome"] for line in lines(lake)[logged:]] == ["error"]


def test_an_ingest_is_put_and_nothing_else(client):
    for call in (client.info, client.schema):
        error = client.refusal(call, command("x"))
        assert "[0A000] NOT_SUPPORTED" in str(error)


def test_columns_that_do_not_fit_are_all_named(lake, cursor):
    cursor.execute("CREATE TABLE strict (n INTEGER NOT NULL, d DATE)")
    wrong = pa.table({"d": [b"x"], "more": [1]})
    with pytest.raises(adbc_driver_manager.Error) as refused:
        cursor.adbc_ingest("strict", wrong, mode="append")
    for part in ("[42804] TYPE_MISMATCH", 'column "d"', 'no column "more"', '"n" is NOT NULL', "Query id"):
        assert part in str(refused.value)
    with pytest.raises(adbc_driver_manager.Error, match=r"\[23502\]"):
        cursor.adbc_ingest("strict", pa.table({"n": [1, None]}), mode="append")
    with pytest.raises(adbc_driver_manager.Error, match=r'\[42804\].*column "z" of type null'):
        cursor.adbc_ingest("new", pa.table({"z": pa.nulls(1)}), mode="create")
    assert ask(cursor, "SELECT count(*) FROM strict") == [(0,)]


def test_only_writers_ingest(tmp_path):
    with served(tmp_path) as running:
        for name, role in (("bi", Role.READER), ("etl", Role.WRITER)):
            running.engine.principals.add(name, role, "pass word")
        login = {"username": "bi", "password": "pass word"}
        made = adbc.connect(running.address, db_kwargs=login, autocommit=True)
        with made, made.cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match=r"\[42501\]"):
            cursor.adbc_ingest("t", ROWS, mode="create")
        login["username"] = "etl"
        made = adbc.connect(running.address, db_kwargs=login, autocommit=True)
        with made, made.cursor() as cursor:
            assert cursor.adbc_ingest("t", ROWS, mode="create") == 3
        assert [(line["principal"], line["outcome"]) for line in lines(running)] == [
            ("bi", "error"),
            ("etl", "ok"),
        ]


def test_a_source_that_fails_leaves_nothing(lake, client):
    files = parquet_files(lake)

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(20):
            yield pa.record_batch({"n": np.arange(100_000)})
        raise OSError("the source is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    with adbc.connect(lake.address, autocommit=True) as made, made.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.Error, match="the source is gone"):
            cursor.adbc_ingest("halfway", reader, mode="create")
        with pytest.raises(adbc_driver_manager.Error, match="UNDEFINED_TABLE"):
            cursor.execute("SELECT * FROM halfway")
    # The driver leaves the call open until the connection ends, or the server's limit on pauses.
    assert wait_for(lambda: len(lake.server.calls) == 0)
    assert lines(lake)[-1]["error"]["sqlstate"] == "57014"
    assert "UNDEFINED_TABLE" in str(client.refusal(client.query, "SELECT * FROM halfway"))
    assert parquet_files(lake) == files


def test_rows_that_do_not_fit_after_many_that_do_leave_nothing(lake, cursor):
    cursor.execute("CREATE TABLE whole (n INTEGER)")
    files = parquet_files(lake)
    good, bad = np.arange(200_000), np.full(10, 2**40)
    reader = pa.RecordBatchReader.from_batches(
        pa.schema([("n", pa.int64())]),
        (pa.record_batch({"n": part}) for part in [good, good, bad, *[good] * 50]),
    )
    with pytest.raises(adbc_driver_manager.Error, match=r'\[22003\].*column "n"'):
        cursor.adbc_ingest("whole", reader, mode="append")
    assert parquet_files(lake) == files
    assert cursor.adbc_ingest("whole", pa.table({"n": [1]}), mode="append") == 1


VICTIM = """
import os, signal, sys
import pyarrow as pa
from pyarrow import flight
rows = pa.record_batch([pa.array(range(1000))], names=["n"])
descriptor = flight.FlightDescriptor.for_command(bytes.fromhex(sys.argv[2]))
writer, _ = flight.connect(sys.argv[1]).do_put(descriptor, rows.schema)
for _ in range(int(sys.argv[3])):
    writer.write_batch(rows)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_client_that_dies_has_written_nothing(lake, client):
    files = parquet_files(lake)
    logged = len(lines(lake))
    message = packed(command("orphan")).hex()
    arguments = [sys.executable, "-c", VICTIM, lake.address, message]
    for victim in [subprocess.Popen([*arguments, str(batches)]) for batches in (0, 1, 100)]:
        assert victim.wait(60) == -signal.SIGKILL
    assert wait_for(lambda: len(lake.server.calls) == 0)
    assert "UNDEFINED_TABLE" in str(client.refusal(client.query, "SELECT * FROM orphan"))
    assert parquet_files(lake) == files
    ended = lines(lake)[logged:]
    assert {line["error"]["sqlstate"] for line in ended} == {"57014"}


def test_cancels_that_race_with_the_end_leave_nothing(tmp_path):
    """A stream that ends because its client has gone must never count as one that is whole."""
    chance = random.Random(5)  # noqa: S311  # not a secret
    rows = pa.record_batch({"n": np.arange(1000)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        for _ in range(5):
            writer.write_batch(rows)
    stream = [
        field(2, message.metadata.to_pybytes())
        + field(1000, message.body.to_pybytes() if message.body else b"")
        for message in pa.ipc.MessageReader.open_stream(sink.getvalue())
    ]
    stream[0] += field(1, descriptor(packed(command("cut"))))
    with served(tmp_path) as running, connected(running.address) as raw:
        for _ in range(60):
            sent, over = threading.Event(), threading.Event()

            def requests(sent: threading.Event = sent, over: threading.Event = over) -> Iterator[bytes]:
                yield from stream[: chance.randrange(1, len(stream) + 1)]
                sent.set()
                over.wait(10)

            call = raw.send("DoPut", requests())
            assert sent.wait(10)
            time.sleep(chance.choice([0, 0, 0.001, 0.01, 0.03]))
            call.cancel()
            over.set()
        assert wait_for(lambda: len(running.server.calls) == 0)
        assert running.engine.lake.tables("lake", "main") == []
        assert parquet_files(running) == set()
        assert {line["error"]["sqlstate"] for line in lines(running)} == {"57014"}
        assert '"event": "failure"' not in running.engine.settings.log.read_text()


def test_a_client_that_gives_up_frees_the_statement(lake, client):
    message = command("never")
    descriptor = flight.FlightDescriptor.for_command(packed(message))
    writer, _ = client.flight.do_put(descriptor, ROWS.schema, flight.FlightCallOptions(timeout=0.5))
    writer.write_batch(ROWS.to_batches()[0])
    assert wait_for(lambda: lake.engine.instances.running == 1)
    assert wait_for(lambda: lake.engine.instances.running == 0 and len(lake.server.calls) == 0)
    with pytest.raises(flight.FlightTimedOutError):
        writer.close()


def go_on(writer: Any) -> None:
    for _ in range(100):
        writer.write_batch(ROWS.to_batches()[0])
        time.sleep(0.01)
    writer.close()


def test_a_timeout_and_a_pause_end_what_holds_a_place(tmp_path):
    with served(tmp_path, server={"stall_seconds": 1.0}) as running, Client(running.address) as client:
        engine = running.engine
        started = time.monotonic()
        with Client(running.address) as silent:
            descriptor = flight.FlightDescriptor.for_command(packed(command("t")))
            writer, _ = silent.flight.do_put(descriptor, ROWS.schema)
            writer.write_batch(ROWS.to_batches()[0])
            assert wait_for(lambda: engine.instances.running == 1)
            assert wait_for(lambda: engine.instances.running == 0)
            assert 0.9 < time.monotonic() - started < 20
            assert wait_for(lambda: lines(running))
            assert lines(running)[-1]["error"]["condition"] == "CLIENT_STALLED"
            # Only when it sends again does it learn of it.
            with pytest.raises(flight.FlightError, match=r"\[57014\] CLIENT_STALLED: no rows came"):
                go_on(writer)
        client.update("SET statement_timeout = '300ms'")
        schema = pa.schema([("n", pa.int64())])
        batch = pa.record_batch({"n": np.arange(20_000)})
        with pytest.raises(flight.FlightTimedOutError, match="STATEMENT_TIMEOUT"):
            client.put(command("t"), schema, (batch for _ in range(20_000)))
        assert "UNDEFINED_TABLE" in str(client.refusal(client.query, "SELECT * FROM t"))
        assert parquet_files(running) == set()


def test_a_slow_table_holds_back_its_client(lake, client):
    """While all places are taken nothing is written, and what waits in the server is bounded."""
    sent = []
    batch = pa.record_batch({"n": np.zeros(500_000, np.int64)})
    taken = [lake.engine.instances.take("UTC", Cancellation()) for _ in range(4)]

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(100):
            sent.append(number)
            yield batch

    written: list[int] = []
    sending = threading.Thread(
        target=lambda: written.append(client.put(command("slow"), batch.schema, batches()))
    )
    sending.start()
    try:
        time.sleep(1)
        # 32 MiB wait in the server, some more in gRPC and the sockets; the whole would be 400 MB.
        assert 0 < len(sent) < 60
    finally:
        for instance in taken:
            lake.engine.instances.give_back(instance)
        sending.join(60)
    assert written == [50_000_000]
