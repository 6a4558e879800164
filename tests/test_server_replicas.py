"""Tickets and handles: on every server of a lake, after a restart, for their user, until they expire."""

import base64
import itertools
import time
from contextlib import ExitStack, contextmanager

import pyarrow as pa
import pytest
from flight_sql import Client, packed, served, values
from pyarrow import flight

from scoter.catalog.principals import Role
from scoter.server.flightsql import messages_pb2 as m

TEXT = pa.schema([("1", pa.string())])
SERVERS = 2


@contextmanager
def lakes(directory, **server):
    """Serve one lake by two servers."""
    with ExitStack() as stack:
        yield [stack.enter_context(served(directory, server=server)) for _ in range(SERVERS)]


def login(lake, name):
    secret = base64.b64encode(f"{name}:password of {name}".encode()).decode()
    return Client(lake.address, authorization=f"Basic {secret}")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with lakes(tmp_path_factory.mktemp("replicas")) as both:
        for name in ("ann", "bob"):
            both[0].engine.principals.add(name, Role.WRITER, f"password of {name}")
        time.sleep(1.1)  # until the second server believes that there are users
        with login(both[0], "ann") as client:
            client.update("CREATE TABLE t (n BIGINT)")
            client.update("INSERT INTO t VALUES (1), (2)")
        yield both


@pytest.fixture
def clients(pair):
    made = {
        (name, i): login(lake, name) for name, (i, lake) in itertools.product(("ann", "bob"), enumerate(pair))
    }
    yield made
    for client in made.values():
        client.flight.close()


def ticket_of(client, command):
    return client.info(command).endpoints[0].ticket


def read(client, ticket):
    return values(client.flight.do_get(ticket).read_all())


def bound(client, sql, text):
    handle = client.prepare(sql).prepared_statement_handle
    bare = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    changed = client.put(bare, TEXT, [pa.record_batch([[text]], schema=TEXT)])
    return m.CommandPreparedStatementQuery(prepared_statement_handle=changed)


def test_a_ticket_is_read_on_every_server_and_as_often_as_one_likes(clients):
    ticket = ticket_of(clients["ann", 0], m.CommandStatementQuery(query="SELECT n FROM t ORDER BY n"))
    for server in (0, 1, 1, 0):
        assert read(clients["ann", server], ticket) == [(1,), (2,)]


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_handle_is_good_on_every_server(clients, size):
    command = bound(clients["ann", 0], "SELECT length(CAST(? AS VARCHAR))", "x" * size)
    ticket = ticket_of(clients["ann", 1], command)
    for server in (1, 0):
        assert read(clients["ann", server], ticket) == [(size,)]
        assert values(clients["ann", server].table(command)) == [(size,)]


def test_nothing_of_one_user_is_good_for_another(clients):
    ann = clients["ann", 0]
    command = bound(ann, "SELECT length(CAST(? AS VARCHAR))", "x" * 100_000)
    info = ann.info(command)
    mine = m.FlightInfo()
    mine.ParseFromString(info.serialize())
    update = m.CommandPreparedStatementUpdate(prepared_statement_handle=command.prepared_statement_handle)
    close = m.ActionClosePreparedStatementRequest(prepared_statement_handle=command.prepared_statement_handle)
    cancel = m.CancelFlightInfoRequest(info=mine).SerializeToString()
    renew = m.RenewFlightEndpointRequest(endpoint=mine.endpoint[0]).SerializeToString()
    for server in range(SERVERS):
        bob = clients["bob", server]
        refused = {
            "34000": [
                lambda bob=bob: read(bob, info.endpoints[0].ticket),
                lambda bob=bob: bob.act("CancelFlightInfo", cancel),
                lambda bob=bob: bob.act("RenewFlightEndpoint", renew),
            ],
            "26000": [
                lambda bob=bob: bob.info(command),
                lambda bob=bob: bob.schema(command),
                lambda bob=bob: bob.put(command, TEXT, [pa.record_batch([["x"]], schema=TEXT)]),
                lambda bob=bob: bob.put(update, pa.schema([]), []),
                lambda bob=bob: bob.act("ClosePreparedStatement", packed(close)),
            ],
        }
        for state, calls in refused.items():
            for call in calls:
                assert str(bob.refusal(call)).startswith(f"[{state}] INVALID_")
    assert read(ann, info.endpoints[0].ticket) == [(100_000,)]


@pytest.mark.parametrize("reads", [0, 1, 4])
def test_a_write_happens_once_however_often_its_ticket_is_read(clients, reads):
    ann = clients["ann", 0]
    name = f"written_{reads}"
    ann.update(f"CREATE TABLE {name} (n BIGINT)")
    tickets = [ticket_of(ann, m.CommandStatementQuery(query=f"INSERT INTO {name} VALUES (1), (2)"))]
    handle = ann.prepare(f"INSERT INTO {name} VALUES (3)").prepared_statement_handle
    tickets.append(ticket_of(ann, m.CommandPreparedStatementQuery(prepared_statement_handle=handle)))
    for i in range(reads):
        assert [read(clients["ann", i % SERVERS], ticket) for ticket in tickets] == [[(2,)], [(1,)]]
    assert values(ann.query(f"SELECT n FROM {name} ORDER BY n")) == [(1,), (2,), (3,)]
    assert values(ann.query(f'SELECT count(*) FROM "{name}$snapshots"')) == [(2,)]


def test_all_of_it_outlives_the_servers(tmp_path):
    with lakes(tmp_path) as (first, _), Client(first.address) as client:
        client.update("CREATE TABLE t (n BIGINT)")
        written = ticket_of(client, m.CommandStatementQuery(query="INSERT INTO t VALUES (1)"))
        command = bound(client, "SELECT length(CAST(? AS VARCHAR)) + n FROM t", "x" * 100_000)
        planned = ticket_of(client, command)
        names = ", ".join(f"{i} AS {'c' * 90}{i}" for i in range(700))
        described = ticket_of(client, m.CommandStatementQuery(query=f"DESCRIBE SELECT {names}"))
        columns = read(client, described)
        assert len(list((first.engine.settings.directory / "held").iterdir())) == 2
    with lakes(tmp_path) as (_, second), Client(second.address) as client:
        assert read(client, written) == [(1,)]
        assert read(client, planned) == [(100_001,)]
        assert read(client, described) == columns
        assert values(client.table(command)) == [(100_001,)]
        assert values(client.query("SELECT n FROM t")) == [(1,)]


def test_tickets_handles_and_bound_values_end(tmp_path, clock):
    limits = {"ticket_lifetime": 600, "handle_lifetime": 1200}
    with lakes(tmp_path, **limits) as (lake, other), Client(lake.address) as client:
        ticket = ticket_of(client, m.CommandStatementQuery(query="SELECT 1"))
        handle = client.prepare("SELECT 2").prepared_statement_handle
        bare = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)
        large = bound(client, "SELECT length(CAST(? AS VARCHAR))", "x" * 100_000)
        clock.advance(700)
        with Client(other.address) as elsewhere:
            for asking in (client, elsewhere):
                error = asking.refusal(read, asking, ticket)
                assert str(error).startswith("[34000] INVALID_TICKET: the ticket is not valid")
                # The handle lives longer than values that are bound to it.
                assert values(asking.table(bare)) == [(2,)]
                error = asking.refusal(asking.table, large)
                assert "[26000] INVALID_HANDLE: the server no longer holds these values" in str(error)
            clock.advance(600)
            error = elsewhere.refusal(elsewhere.info, bare)
            assert str(error).startswith("[26000] INVALID_HANDLE")
            # A statement that asks for none of it is not affected.
            assert values(elsewhere.query("SELECT 1")) == [(1,)]
            assert isinstance(error, flight.FlightServerError)
