"""Statements whose clients leave, give up or cancel: their work ends and nothing is left behind."""

import json
import threading

import pytest
from flight_sql import Client, packed, served, wait_for
from pyarrow import flight

from scoter.server.flightsql import messages_pb2 as m


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("cancellation")) as running:
        yield running


@pytest.fixture
def client(lake):
    with Client(lake.address) as made:
        yield made


def values(table):
    return [tuple(row.values()) for row in table.to_pylist()]


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
