"""What a client may take: messages of a size, time to read, statements, results and sessions at once."""

import json
import re
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import java
import pyarrow as pa
import pytest
from flight_sql import Client, packed, served, wait_for
from pyarrow import flight
from raw_flight import connected, field, refusal
from test_server_process import process

from scoter.errors import InvalidValue, TooManyStreams, ValueTooLarge
from scoter.server.capacity import HEADER, fitting, message_limit
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.quotas import Quota
from scoter.server.tally import Tally

pytestmark = pytest.mark.alone

MIB = 2**20
LARGE = "SELECT length(t) AS n, t FROM (SELECT repeat('x', 100000000) AS t)"
SIZE = "adbc.flight.sql.client_option.with_max_msg_size"
TOLD = f"adbc.flight.sql.rpc.call_header.{HEADER}"
MANY = "SELECT i, i + 1 AS j FROM range(50000000) t(i)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    limits = {
        "stall_seconds": 0.5,
        "principal_statements": 2,
        "principal_streams": 2,
        "principal_sessions": 2,
    }
    with served(tmp_path_factory.mktemp("limits"), server=limits) as running:
        yield running


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    with served(tmp_path_factory.mktemp("patient")) as running:
        yield running


def rows_over_adbc(lake, sql, **options):
    with adbc.connect(lake.address, options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


# Messages


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({}, 16 * MIB),
        ({"user-agent": ["grpc-go/1.81.0"]}, 16 * MIB),
        ({"user-agent": ["arrow/grpc-java-netty/1.71.0"]}, 2**31 - 1),
        ({"user-agent": [b"grpc-c++/1.65.5 grpc-c/42.0.0 (linux; chttp2)"]}, 2**31 - 1),
        ({"user-agent": ["grpc-java"], HEADER: ["65536"]}, 65536),
        ({HEADER: [b"268435456"]}, 268435456),
    ],
)
def test_what_a_client_takes_is_what_it_says_or_what_its_library_is_known_for(headers, limit):
    assert message_limit(headers, 16 * MIB) == limit


@pytest.mark.parametrize("said", ["", "-1", "65535", "2147483648", "1e9", "٣" * 6, "9" * 5000, "16 MiB"])
def test_a_header_that_is_no_number_of_bytes_is_refused(lake, said):
    with pytest.raises(InvalidValue):
        message_limit({HEADER: [said]}, MIB)
    if said.isascii() and said:
        with Client(lake.address, **{HEADER: said}) as client:
            assert "[22023] INVALID_VALUE: the header" in str(client.refusal(client.query, "SELECT 1"))


def test_batches_are_cut_to_fit_a_message():
    texts = pa.record_batch({"t": ["a" * 1000, "b" * 300_000, "c" * 10, None, "d" * 500_000] * 3})
    narrow = list(fitting([texts], 600_000))
    assert pa.Table.from_batches(narrow).to_pydict() == texts.to_pydict()
    assert all(pa.ipc.get_record_batch_size(batch) < 600_000 for batch in narrow)
    with pytest.raises(ValueTooLarge):
        list(fitting([texts], 400_000))
    wide = pa.record_batch({f"c{i}": list(range(64)) for i in range(2000)})
    pieces = list(fitting([wide], 500_000))
    # What the message says about each column counts, too, though the rows are small.
    assert len(pieces) > 1
    assert all(pa.ipc.get_record_batch_size(batch) < 500_000 for batch in pieces)
    assert pa.Table.from_batches(pieces).equals(pa.Table.from_batches([wide]))
    assert list(fitting([texts.slice(0, 0)], 65536)) == [texts.slice(0, 0)]


def test_a_value_that_the_client_does_not_take_names_the_clients_options(patient):
    with pytest.raises(adbc_driver_manager.Error) as refused:
        rows_over_adbc(patient, LARGE)
    text = str(refused.value)
    assert "[54000] VALUE_TOO_LARGE: a row of 1000" in text
    assert SIZE in text
    assert TOLD in text
    assert rows_over_adbc(patient, "SELECT 1") == [(1,)]


def test_a_value_of_100_mb_comes_when_the_client_says_that_it_takes_it(patient):
    most = str(256 * MIB)
    ((length, text),) = rows_over_adbc(patient, LARGE, **{SIZE: most, TOLD: most})
    assert (length, len(text), set(text)) == (100_000_000, 100_000_000, {"x"})


def test_a_value_of_100_mb_comes_to_pyarrow(patient):
    with Client(patient.address) as client:
        table = client.query(LARGE)
    assert len(table["t"][0].as_py()) == 100_000_000


@pytest.mark.java
def test_a_value_of_100_mb_comes_to_jdbc(patient):
    with java.connection(patient.address) as connection:
        results = connection.createStatement().executeQuery(LARGE)
        assert results.next()
        assert int(results.getString(2).length()) == 100_000_000
        results.close()


def test_the_servers_own_limit_can_be_raised(tmp_path):
    with served(tmp_path, server={"max_message_bytes": 256 * MIB}) as lake:
        ((length, _),) = rows_over_adbc(lake, LARGE, **{SIZE: str(256 * MIB)})
    assert length == 100_000_000


def test_ten_thousand_columns_and_names_that_repeat(patient):
    names = ", ".join(f"{i} AS c{i}" for i in range(10_000))
    with Client(patient.address) as client:
        table = client.query(f"SELECT {names}")
        assert (table.num_columns, table.num_rows) == (10_000, 1)
        assert [column[0].as_py() for column in table.columns] == list(range(10_000))
        twice = client.query("SELECT 1 AS a, 2 AS a, 3 AS \"A\", 'x' AS a")
        assert twice.schema.names == ["a", "a", "A", "a"]
        assert [column.to_pylist() for column in twice.columns] == [[1], [2], [3], ["x"]]
        nothing = client.query("SELECT 1 AS a, 2 AS a WHERE false")
        assert (nothing.schema.names, nothing.num_rows) == (["a", "a"], 0)
    ((first, *_, last),) = rows_over_adbc(patient, f"SELECT {names}")
    assert (first, last) == (0, 9_999)


def test_bound_values_have_a_limit(tmp_path):
    with served(tmp_path, server={"max_bind_bytes": 1_000_000}) as lake, Client(lake.address) as client:
        handle = client.prepare("SELECT length(CAST(? AS VARCHAR))").prepared_statement_handle
        schema = pa.schema([("1", pa.string())])
        rows = [pa.record_batch([["x" * 400_000]], schema=schema)] * 3
        command = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)
        error = client.refusal(client.put, command, schema, rows)
        assert "[54000] VALUE_TOO_LARGE" in str(error)
        assert "server.max_bind_bytes" in str(error)


# Clients that do not read


def test_a_client_that_does_not_read_loses_its_query_but_not_its_error(lake):
    with Client(lake.address) as client:
        info = client.info(m.CommandStatementQuery(query=MANY))
        reader = client.flight.do_get(info.endpoints[0].ticket)
        first = reader.read_chunk().data.num_rows
        assert wait_for(lambda: lake.engine.instances.running == 0, 2.5)
        assert lake.server.tally.totals()["stalled"] >= 1

        read = [first]

        def rest():
            while True:
                read.append(reader.read_chunk().data.num_rows)

        error = client.refusal(rest)
        assert re.match(r"\[57014\] CLIENT_STALLED: .*Query id [0-9a-f]{32}", str(error)), error
        # What had left the server before arrives; that the rest is missing is said.
        assert sum(read) < 50_000_000
        # The place is free and the ticket still good.
        again = client.flight.do_get(info.endpoints[0].ticket)
        assert again.read_chunk().data.num_rows > 0
        again.cancel()
    assert wait_for(lambda: len(lake.server.calls) == 0)


def test_who_reads_slowly_but_reads_gets_all(lake):
    with Client(lake.address) as client:
        info = client.info(m.CommandStatementQuery(query="SELECT i, i AS j FROM range(4000000) t(i)"))
        rows = 0
        for chunk in client.flight.do_get(info.endpoints[0].ticket):
            rows += chunk.data.num_rows
            time.sleep(0.05)
    assert rows == 4_000_000


def test_a_list_of_tables_that_is_not_read_ends_too(lake):
    call = lake.server.calls.open("listed")
    freed = []
    batch = pa.record_batch([[1]], names=["n"])
    rows = lake.server.calls.send(call, iter([batch, batch]), lambda: freed.append(True))
    next(rows)
    assert wait_for(lambda: freed, 2)
    with pytest.raises(Exception, match="CLIENT_STALLED"):
        next(rows)
    lake.server.calls.close(call)


def test_clients_that_do_not_read_cost_bounded_memory(tmp_path):
    def resident():
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    with process(tmp_path) as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(server.address)) for _ in range(3)]
        sql = "SELECT i, repeat('x', 100) AS t FROM range(100000000) t(i)"
        ticket = clients[0].info(m.CommandStatementQuery(query=sql)).endpoints[0].ticket
        before = resident()
        readers = [client.flight.do_get(ticket) for client in clients]
        for reader in readers:
            assert reader.read_chunk().data.num_rows > 0
        most = 0
        for _ in range(15):
            time.sleep(0.1)
            most = max(most, resident())
        # The results have 10 GB each.
        assert most - before < 3 * 100 * MIB
        for reader in readers:
            reader.cancel()


# Users


def test_a_user_has_so_many_results_under_way_and_no_more(lake):
    with Client(lake.address) as client:
        ticket = client.info(m.CommandStatementQuery(query="SELECT 1")).endpoints[0].ticket
        slow = client.info(m.CommandStatementQuery(query=MANY)).endpoints[0].ticket
        readers = [client.flight.do_get(slow) for _ in range(2)]
        for reader in readers:
            reader.read_chunk()
        error = client.refusal(lambda: client.flight.do_get(ticket).read_all())
        assert isinstance(error, flight.FlightUnavailableError)
        assert "[53300] TOO_MANY_STREAMS" in str(error)
        for reader in readers:
            reader.cancel()
        assert wait_for(lambda: len(lake.server.calls) == 0)
        assert client.flight.do_get(ticket).read_all().num_rows == 1
    assert lake.server.tally.totals()["streams_refused"] == 1


def test_a_user_has_so_many_statements_under_way_and_no_more(lake):
    with connected(lake.address) as raw, Client(lake.address) as client:
        # DoPut whose client says nothing more: nothing but the limit keeps these from piling up.
        quiet = threading.Event()

        def silent():
            command = packed(m.CommandStatementUpdate(query="SELECT 1"))
            yield field(1, field(1, 2) + field(2, command))
            quiet.wait(20)

        held = [raw.send("DoPut", silent()) for _ in range(2)]
        assert wait_for(lambda: len(lake.server.calls) == 2)
        error = client.refusal(client.info, m.CommandStatementQuery(query="SELECT 1"))
        assert isinstance(error, flight.FlightUnavailableError)
        assert "[53300] TOO_MANY_STATEMENTS: 'local' has 2 statements" in str(error)
        assert "[53300] TOO_MANY_STATEMENTS" in str(client.refusal(client.prepare, "SELECT 1"))
        # Who has too much under way can still cancel, and close its session.
        assert client.act("GetSessionOptions", b"") is not None
        for call in held:
            call.cancel()
        quiet.set()
        assert wait_for(lambda: len(lake.server.calls) == 0)
        assert client.query("SELECT 1").num_rows == 1


def test_a_user_has_so_many_sessions_and_no_more(lake):
    clients = [Client(lake.address) for _ in range(3)]
    for client in clients[:2]:
        client.update("SET query_tag = 'mine'")
    error = clients[2].refusal(clients[2].update, "SET query_tag = 'mine'")
    assert isinstance(error, flight.FlightUnavailableError)
    assert "[53300] TOO_MANY_SESSIONS" in str(error)
    # A session without settings of its own takes no place.
    assert clients[2].query("SELECT 1").num_rows == 1
    clients[0].act("CloseSession", b"")
    clients[2].update("SET query_tag = 'mine'")
    for client in clients[1:]:
        client.act("CloseSession", b"")
    for client in clients:
        client.flight.close()
    totals = lake.server.tally.totals()
    assert totals["sessions_refused"] == 1
    assert totals["sessions_closed"] == 3


def test_a_limit_is_each_users_own(tmp_path):
    quota = Quota("streams", 1, "server.principal_streams", TooManyStreams, Tally())
    ann = quota.take("ann")
    with pytest.raises(TooManyStreams, match=r"'ann' has 1 streams .* server.principal_streams allows"):
        quota.take("ann")
    bob = quota.take("bob")
    assert quota.taken() == {"ann": 1, "bob": 1}
    ann()
    ann()
    bob()
    assert quota.taken() == {}
    quota.take("ann")


def test_what_was_counted_is_in_the_log(tmp_path):
    with served(tmp_path) as lake, Client(lake.address) as client:
        client.query("SELECT 1")
        client.update("SET query_tag = 'x'")
        client.act("CloseSession", b"")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (stopped,) = [line for line in lines if line["event"] == "stopped"]
    counts = {"calls": 4, "sessions": 1, "sessions_closed": 1, "statements": 2, "streams": 1}
    assert stopped["counts"] == counts


def test_headers_of_grpcio_are_read_too(lake):
    with connected(lake.address) as raw:
        call = raw.ask("GetFlightInfo", b"", scoter_max_message_bytes="none")
        assert refusal(call)[1].startswith("[22023] INVALID_VALUE")
