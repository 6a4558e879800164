"""Statements whose clients leave, give up or cancel: their work ends and nothing is left behind."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from flight_sql import Client, packed, served, values, wait_for
from onnx import TensorProto, helper, numpy_helper
from pyarrow import flight
from raw_flight import Raw, descriptor, field

from scoter.server.flightsql import messages_pb2 as m

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("cancellation")) as running:
        yield running


@pytest.fixture
def client(lake):
    with Client(lake.address) as made:
        yield made


def running(lake):
    return len(lake.server.calls)


HEAVY = "SELECT count(*) AS n FROM range(3000000) a(i), range(3000000) b(j) WHERE (i * j) % 7 = 8"


def outcomes(lake, sql_part):
    lines = lake.engine.settings.log.read_text().splitlines()
    return [json.loads(line).get("outcome") for line in lines if sql_part in line]


def test_a_client_that_gives_up_ends_its_query(lake, client):
    ticket = client.info(m.CommandStatementQuery(query=HEAVY)).endpoints[0].ticket
    options = flight.FlightCallOptions(timeout=0.5)
    error = client.refusal(lambda: client.flight.do_get(ticket, options).read_all())
    assert isinstance(error, flight.FlightTimedOutError)
    assert wait_for(lambda: running(lake) == 0)
    assert outcomes(lake, "3000000) AS a")[-1:] != ["ok"]


def test_a_client_that_gives_up_ends_its_write_and_nothing_is_written(lake, client):
    client.update("CREATE TABLE unfinished (n BIGINT)")
    insert = m.CommandStatementQuery(query=f"INSERT INTO unfinished {HEAVY}")
    error = client.refusal(lambda: client.info(insert, timeout=0.5))
    assert isinstance(error, flight.FlightTimedOutError)
    assert wait_for(lambda: running(lake) == 0)
    assert values(client.query("SELECT count(*) FROM unfinished")) == [(0,)]


@pytest.mark.parametrize("method", ["info", "schema", "prepare"])
def test_a_client_that_gives_up_ends_the_planning_of_its_statement(lake, client, method):
    sql = "SELECT " + ", ".join(f"{number} AS {method}{number}" for number in range(5000))
    options = flight.FlightCallOptions(timeout=0.1)
    descriptor = flight.FlightDescriptor.for_command(packed(m.CommandStatementQuery(query=sql)))
    create = packed(m.ActionCreatePreparedStatementRequest(query=sql))
    call = {
        "info": lambda: client.flight.get_flight_info(descriptor, options),
        "schema": lambda: client.flight.get_schema(descriptor, options),
        "prepare": lambda: list(
            client.flight.do_action(flight.Action("CreatePreparedStatement", create), options)
        ),
    }[method]
    # pyarrow has another class for the same error in a list of results.
    with pytest.raises((OSError, flight.FlightTimedOutError), match="Deadline Exceeded"):
        call()
    assert wait_for(lambda: running(lake) == 0)
    assert outcomes(lake, f"{method}4999") == ["error"]


def test_a_client_that_stops_reading_frees_the_statement(lake, client):
    ticket = client.info(m.CommandStatementQuery(query="SELECT i, i + 1 FROM range(50000000) t(i)"))
    reader = client.flight.do_get(ticket.endpoints[0].ticket)
    assert reader.read_chunk().data.num_rows > 0
    reader.cancel()
    assert wait_for(lambda: running(lake) == 0)


def test_cancel_by_flight_info(lake, client):
    info = client.info(m.CommandStatementQuery(query=HEAVY))
    mine = m.FlightInfo()
    mine.ParseFromString(info.serialize())

    def cancel():
        body = m.CancelFlightInfoRequest(info=mine).SerializeToString()
        result = m.CancelFlightInfoResult()
        result.ParseFromString(client.act("CancelFlightInfo", body))
        return result.status

    assert cancel() == 3
    with Client(lake.address) as reading:
        reader = reading.flight.do_get(info.endpoints[0].ticket, flight.FlightCallOptions(timeout=20))
        assert wait_for(lambda: cancel() == 1)
        error = reading.refusal(reader.read_chunk)
    assert isinstance(error, flight.FlightCancelledError)
    assert "[57014] CANCELLED" in str(error)
    old = m.ActionCancelQueryRequest(info=info.serialize())
    assert client.act("CancelQuery", packed(old)) is not None


def test_a_cancel_is_not_lost_however_early_it_comes(lake, client):
    for _ in range(20):
        info = client.info(m.CommandStatementQuery(query=HEAVY))
        query_id = client.query_id(info)
        errors = []

        def read(info=info, errors=errors):
            options = flight.FlightCallOptions(timeout=15)
            try:
                client.flight.do_get(info.endpoints[0].ticket, options).read_chunk()
            except flight.FlightError as error:
                errors.append(error)

        reading = threading.Thread(target=read)
        reading.start()
        # The first success comes in the moment in which the statement takes its place.
        assert wait_for(lambda query_id=query_id: lake.server.calls.cancel(query_id))
        reading.join()
        assert isinstance(errors[0], flight.FlightCancelledError), errors


def test_a_statement_timeout(client):
    client.update("SET statement_timeout = '300ms'")
    error = client.refusal(client.query, HEAVY)
    assert isinstance(error, flight.FlightTimedOutError)
    assert "STATEMENT_TIMEOUT" in str(error)


class Held:
    """What a statement holds beside its thread: its place, DuckDB's temporary files, descriptors of files."""

    def __init__(self, lake):
        self.lake = lake
        self.process = psutil.Process()

    def files(self):
        inside = str(self.lake.engine.settings.warehouse)
        return [f.path for f in self.process.open_files() if f.path.startswith(inside)]

    def freed(self):
        instances = self.lake.engine.instances
        return (
            running(self.lake) == 0
            and instances.running == 0
            and not instances._running
            and not self.files()
            and not any(self.spilled(i) for i in instances._idle)
            and sum(self.memory(i) for i in instances._idle) < 64 * 2**20
        )

    def spilled(self, instance):
        # DuckDB marks a directory that it once used as its own until the database is closed.
        found = Path(instance._temporary.name).rglob("*")
        return [path for path in found if path.is_file() and not path.name.endswith("_owner")]

    def memory(self, instance):
        ((used,),) = instance.connection.sql("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchall()
        return used


SPILLS = "SELECT i, row_number() OVER (ORDER BY hash(i)) AS n FROM range(60000000) t(i)"
SCORED = "SELECT sum(PREDICT('slow', CAST(i AS FLOAT))) AS s FROM range(100000) t(i)"
EXPLAINED = f"EXPLAIN ANALYZE {HEAVY}"
INSERTED = f"INSERT INTO freed {HEAVY}"
SCORED_IN = f"INSERT INTO freed_scores {SCORED}"


def by_deadline(lake, call):
    """Give up waiting."""
    with Client(lake.address) as client:
        error = client.refusal(lambda: call(client, flight.FlightCallOptions(timeout=0.5)))
    assert isinstance(error, flight.FlightTimedOutError), error


def by_leaving(lake, call):
    """Close the connection in the middle of the call."""
    method, requests = call.raw(lake)
    raw = Raw(lake.address)
    begun = raw.send(method, requests)
    assert wait_for(lambda: running(lake) == 1)
    time.sleep(0.4)
    assert not begun.done()
    raw.close()


def by_timeout(lake, call):
    """Be ended by the server."""
    with Client(lake.address) as client:
        client.update("SET statement_timeout = '500ms'")
        error = client.refusal(lambda: call(client, flight.FlightCallOptions(timeout=20)))
    assert "STATEMENT_TIMEOUT" in str(error), error


def by_cancelling(lake, call):
    """Be cancelled from another connection, by the ticket."""
    tickets = []
    errors = []
    with Client(lake.address) as client, Client(lake.address) as other:

        def run():
            errors.append(
                client.refusal(lambda: call(client, flight.FlightCallOptions(timeout=20), tickets.append))
            )

        ended = threading.Thread(target=run)
        ended.start()
        assert wait_for(lambda: tickets)
        time.sleep(0.4)
        mine = m.FlightInfo()
        mine.ParseFromString(tickets[0].serialize())
        result = m.CancelFlightInfoResult()
        body = m.CancelFlightInfoRequest(info=mine).SerializeToString()

        def cancelled():
            result.ParseFromString(other.act("CancelFlightInfo", body))
            return result.status == 1

        assert wait_for(cancelled)
        ended.join(5)
    assert "[57014] CANCELLED" in str(errors[0]), errors


class Fetch:
    """A call that spends its time in DoGet."""

    def __init__(self, sql):
        self.command = m.CommandStatementQuery(query=sql)

    def __call__(self, client, options, told=lambda _: None):
        info = client.info(self.command)
        told(info)
        # Not read_all: what pyarrow does of its own when that is cancelled ends in a KeyboardInterrupt.
        return client.flight.do_get(info.endpoints[0].ticket, options).read_chunk()

    def raw(self, lake):
        with Client(lake.address) as client:
            return "DoGet", [field(1, client.info(self.command).endpoints[0].ticket.ticket)]


class Inform:
    """A call that spends its time in GetFlightInfo."""

    def __init__(self, sql):
        self.command = packed(m.CommandStatementQuery(query=sql))

    def __call__(self, client, options):
        return client.flight.get_flight_info(flight.FlightDescriptor.for_command(self.command), options)

    def raw(self, _):
        return "GetFlightInfo", [descriptor(self.command)]


class Put:
    """A call that spends its time in DoPut."""

    def __init__(self, sql):
        self.command = packed(m.CommandStatementUpdate(query=sql))

    def __call__(self, client, options):
        target = flight.FlightDescriptor.for_command(self.command)
        writer, reader = client.flight.do_put(target, pa.schema([]), options)
        writer.done_writing()
        reader.read()
        writer.close()

    def raw(self, _):
        schema = pa.ipc.read_message(pa.schema([]).serialize()).metadata.to_pybytes()
        return "DoPut", [field(1, descriptor(self.command)) + field(2, schema)]


WAYS = [by_deadline, by_leaving, by_timeout]
PATHS = [
    *((way, Fetch(sql), f"fetch-{name}") for way in [*WAYS, by_cancelling] for name, sql in
      (("query", HEAVY), ("model", SCORED))),
    (by_deadline, Fetch(SPILLS), "fetch-spilling"),
    *((way, Inform(sql), f"info-{name}") for way in WAYS for name, sql in
      (("explain", EXPLAINED), ("insert", INSERTED), ("model", SCORED_IN))),
    *((way, Put(sql), f"put-{name}") for way in WAYS for name, sql in
      (("insert", INSERTED), ("model", SCORED_IN))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("way", "call"),
    [pytest.param(way, call, id=f"{way.__name__}-{name}") for way, call, name in PATHS],
)
def test_what_ends_is_freed_within_two_seconds(busy, way, call):
    held = Held(busy)
    way(busy, call)
    assert wait_for(held.freed, 2), (running(busy), busy.engine.instances.running, held.files())
    with Client(busy.address) as client:
        assert values(client.query("SELECT count(*) FROM freed")) == [(0,)]


@pytest.fixture(scope="module")
def busy(tmp_path_factory, model_files):
    directory = tmp_path_factory.mktemp("busy")
    flags = {"models": {"allowed_prefixes": [str(model_files)]}, "query": {"statement_memory": 256 * 2**20}}
    with served(directory, **flags) as running_:
        with Client(running_.address) as client:
            client.update(f"CREATE MODEL slow FROM '{model_files}/slow.onnx'")
            client.update("CREATE TABLE freed (n BIGINT)")
            client.update("CREATE TABLE freed_scores (n DOUBLE)")
        yield running_


def endless_model():
    """Return a model that never ends to score its first row."""
    scalar = [("turn", TensorProto.INT64), ("keep_in", TensorProto.BOOL)]
    inputs = [helper.make_tensor_value_info(name, kind, ()) for name, kind in scalar]
    value = [
        helper.make_tensor_value_info(f"value_{end}", TensorProto.FLOAT, ("n", 1)) for end in ("in", "out")
    ]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep_in"], ["keep_out"]),
            helper.make_node("Identity", ["value_in"], ["value_out"]),
        ],
        "body",
        [*inputs, value[0]],
        [helper.make_tensor_value_info("keep_out", TensorProto.BOOL, ()), value[1]],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 1))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 1))],
        initializer=[numpy_helper.from_array(np.array(True), "yes")],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("way", [by_deadline, by_leaving])
def test_a_model_that_is_being_looked_at_is_let_go(tmp_path, way):
    (tmp_path / "endless.onnx").write_bytes(endless_model().SerializeToString())
    with served(tmp_path, models={"allowed_prefixes": [str(tmp_path)]}) as lake:
        way(lake, Inform(f"CREATE MODEL endless FROM '{tmp_path}/endless.onnx'"))
        assert wait_for(lambda: running(lake) == 0 and not psutil.Process().children(), 2)
        with Client(lake.address) as client:
            assert client.query("SHOW MODELS").num_rows == 0
        (last,) = [
            line for line in lake.engine.settings.log.read_text().splitlines() if "CREATE MODEL" in line
        ]
        assert json.loads(last)["error"]["condition"] == "CANCELLED"


@pytest.mark.parametrize("way", ["cancel", "close", "deadline"])
def test_who_leaves_before_all_rows_are_sent_has_written_none(busy, way):
    """To Arrow's reader the end of a stream and the end of its client look the same."""
    with Client(busy.address) as client:
        handle = client.prepare("INSERT INTO freed VALUES (?)").prepared_statement_handle
        command = packed(m.CommandPreparedStatementUpdate(prepared_statement_handle=handle))
        batch = pa.record_batch({"1": [1, 2, 3]})
        schema, rows = (pa.ipc.read_message(part.serialize()) for part in (batch.schema, batch))
        messages = [
            field(1, descriptor(command)) + field(2, schema.metadata.to_pybytes()),
            field(2, rows.metadata.to_pybytes()) + field(1000, rows.body.to_pybytes()),
        ]
        for _ in range(8):
            left = threading.Event()

            def send(left=left):
                yield from messages
                left.wait(10)

            raw = Raw(busy.address)
            call = raw.send("DoPut", send(), timeout=0.1 if way == "deadline" else 30)
            assert way == "deadline" or wait_for(lambda: running(busy) == 1)
            time.sleep(0.02)
            {"cancel": call.cancel, "close": raw.close, "deadline": lambda: time.sleep(0.12)}[way]()
            assert wait_for(lambda: running(busy) == 0, 2)
            left.set()
            raw.close()
        assert values(client.query("SELECT count(*) FROM freed")) == [(0,)]


def test_who_waits_in_line_and_leaves_gives_up_the_place(tmp_path):
    with served(tmp_path, query={"concurrency": 1, "queue": 1}) as lake, Client(lake.address) as client:
        info = client.info(m.CommandStatementQuery(query=HEAVY))
        reader = client.flight.do_get(info.endpoints[0].ticket)
        assert wait_for(lambda: lake.engine.instances.running == 1)
        by_deadline(lake, Fetch("SELECT 1"))
        assert wait_for(lambda: not lake.engine.instances._waiting, 2)
        assert lake.engine.instances.running == 1
        reader.cancel()
        assert wait_for(lambda: running(lake) == 0, 2)
        assert values(client.query("SELECT 1")) == [(1,)]


def test_a_statement_that_was_brief_is_ended_like_any_other(lake, client):
    """Its rows are made before its schema is sent, whatever there is to do the next time."""
    client.update("CREATE TABLE grown AS SELECT 1 AS i")
    sql = "SELECT count(*) AS n FROM grown a, grown b, range(3000000) c(k) WHERE (a.i * b.i + k) % 7 = 8"
    for _ in range(3):
        assert values(client.query(sql)) == [(0,)]
    client.update("INSERT INTO grown SELECT range FROM range(300000)")
    info = client.info(m.CommandStatementQuery(query=sql))
    mine = m.FlightInfo()
    mine.ParseFromString(info.serialize())
    body = m.CancelFlightInfoRequest(info=mine).SerializeToString()
    errors = []

    def read():
        with Client(lake.address) as reading:
            errors.append(reading.refusal(lambda: reading.flight.do_get(info.endpoints[0].ticket).read_all()))

    reader = threading.Thread(target=read)
    reader.start()
    assert wait_for(lambda: client.act("CancelFlightInfo", body) == b"\x08\x01")
    reader.join(20)
    assert "[57014] CANCELLED" in str(errors[0])
    assert client.query_id(info) in str(errors[0])
    assert wait_for(lambda: running(lake) == 0)
    given_up = flight.FlightCallOptions(timeout=0.5)
    again = client.info(m.CommandStatementQuery(query=sql)).endpoints[0].ticket
    # It took long the last time: its schema comes at once again.
    assert client.flight.do_get(again, given_up).schema.names == ["n"]
    assert wait_for(lambda: running(lake) == 0)
    client.update("DROP TABLE grown")


def test_what_goes_wrong_in_a_statement_that_was_brief(lake, client):
    client.update("CREATE TABLE texts AS SELECT '1' AS s")
    sql = "SELECT CAST(s AS INTEGER) AS i FROM texts"
    for _ in range(2):
        assert values(client.query(sql)) == [(1,)]
    client.update("INSERT INTO texts SELECT 'two' FROM range(5)")
    error = client.refusal(lambda: client.query(sql))
    assert "[22P02]" in str(error)
    assert "Query id" in str(error)
    client.update("DROP TABLE texts")
    client.update("CREATE TABLE texts AS SELECT range::VARCHAR AS s FROM range(100000)")
    for _ in range(2):
        assert sorted(client.query(sql).column("i").to_pylist()) == list(range(100000))
    client.update("DROP TABLE texts")
    client.update("CREATE TABLE texts (s VARCHAR)")
    assert client.query(sql).num_rows == 0
    client.update("DROP TABLE texts")
