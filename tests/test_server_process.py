"""A server process: ready, drained, stopped, killed."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pyarrow as pa
import pytest
import small_models
from adbc_driver_flightsql import dbapi
from flight_sql import Client, wait_for
from pyarrow import flight

from scoter.server.flightsql import messages_pb2 as m

pytestmark = pytest.mark.alone

PROGRAM = """
import sys
from pathlib import Path
from scoter import settings
from scoter.errors import ConfigurationError
from scoter.server.serve import serve

directory, drain = Path(sys.argv[1]), int(sys.argv[2])
# Each of a hundred thousand damaged messages may begin a session.
sessions = {"max_sessions": 1_000_000, "principal_sessions": 1_000_000}
server = {"port": 0, "drain_seconds": drain} | sessions
if len(sys.argv) > 3:
    server["memory_limit"] = int(sys.argv[3])
found = settings.load(directory / "lake", server=server, log=directory / "log.jsonl")
serve(found, lambda address: print("scoter ready", address, flush=True))
"""

ENDLESS = "SELECT count(*) AS n FROM range(3000000) a(i), range(3000000) b(j) WHERE (i * j) % 7 = 8"


@contextmanager
def process(directory, drain=20, stderr=None, memory=()):
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory), str(drain), *map(str, memory)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        line = started.stdout.readline().split()
        assert line[:2] == ["scoter", "ready"]
        started.address = line[2]
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait(10)
        started.stdout.close()


class Background(threading.Thread):
    """One call in another thread, with what it returned or raised."""

    def __init__(self, call):
        super().__init__()
        self.call = call
        self.result = self.error = None
        self.start()

    def run(self):
        try:
            self.result = self.call()
        except (flight.FlightError, pa.ArrowException) as error:
            self.error = error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once(tmp_path, number):
    with process(tmp_path) as server:
        with Client(server.address) as client:
            assert client.query("SELECT 1").num_rows == 1
        started = time.monotonic()
        server.send_signal(number)
        assert server.wait(10) == 0
        assert time.monotonic() - started < 5


def test_a_server_that_failed_statements_ends_without_a_word(tmp_path):
    with (tmp_path / "stderr").open("w") as stderr, process(tmp_path, stderr=stderr) as server:
        with Client(server.address) as client:
            assert "42703" in str(client.refusal(client.query, "SELECT zz"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
    assert (tmp_path / "stderr").read_text() == ""


def test_a_draining_server_finishes_what_runs_and_refuses_what_is_new(tmp_path):
    with process(tmp_path) as server, Client(server.address) as client, Client(server.address) as other:
        other.query("SELECT 1")
        info = client.info(m.CommandStatementQuery(query="SELECT i, i AS j FROM range(30000000) t(i)"))
        reader = client.flight.do_get(info.endpoints[0].ticket)
        first = reader.read_chunk().data.num_rows
        server.send_signal(signal.SIGTERM)
        assert wait_for(lambda: "SHUTTING_DOWN" in refusal(other))
        error = other.refusal(other.query, "SELECT 1")
        assert isinstance(error, flight.FlightUnavailableError)
        # What was planned before may still be fetched.
        assert first + sum(chunk.data.num_rows for chunk in reader) == 30_000_000
        assert server.wait(10) == 0


def refusal(client):
    try:
        client.query("SELECT 1")
    except flight.FlightError as error:
        return str(error)
    return ""


def test_a_drain_has_an_end(tmp_path):
    with process(tmp_path, drain=1) as server, Client(server.address) as client:
        running = Background(lambda: client.query(ENDLESS))
        time.sleep(1)
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        running.join(10)
        assert isinstance(running.error, flight.FlightUnavailableError)
        assert "[57P03] SHUTTING_DOWN" in str(running.error)
        assert server.wait(10) == 0
        assert 0.9 < time.monotonic() - started < 8


def test_a_second_signal_ends_what_runs(tmp_path):
    with process(tmp_path, drain=60) as server, Client(server.address) as client:
        running = Background(lambda: client.query(ENDLESS))
        time.sleep(1)
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        running.join(10)
        assert running.error is not None
        server.wait(10)
        assert time.monotonic() - started < 9


def test_a_killed_server_leaves_the_table_as_it_was(tmp_path):
    with process(tmp_path) as server, Client(server.address) as client:
        client.update("CREATE TABLE t (n BIGINT)")
        client.update("INSERT INTO t VALUES (1), (2)")
        running = Background(lambda: client.update(f"INSERT INTO t {ENDLESS}"))
        time.sleep(1)
        server.kill()
        running.join(10)
        assert running.error is not None
    with process(tmp_path) as server, Client(server.address) as client:
        assert client.query("SELECT n FROM t ORDER BY n").to_pydict() == {"n": [1, 2]}
        assert client.update("INSERT INTO t VALUES (3)") == 1


def test_a_client_that_dies_frees_its_statement(tmp_path):
    victim = """
import sys
import adbc_driver_flightsql.dbapi as adbc
cursor = adbc.connect(sys.argv[1], autocommit=True).cursor()
print("asking", flush=True)
cursor.execute(sys.argv[2])
cursor.fetchall()
"""
    with process(tmp_path) as server:
        client = subprocess.Popen(
            [sys.executable, "-c", victim, server.address, ENDLESS], stdout=subprocess.PIPE, text=True
        )
        assert client.stdout.readline() == "asking\n"
        time.sleep(1)
        client.kill()
        client.wait(10)
        client.stdout.close()

        def logged():
            text = (tmp_path / "log.jsonl").read_text()
            return '"57014"' in text

        assert wait_for(logged, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count a process's memory")
def test_a_model_that_asks_for_more_than_the_process_may_have_ends_its_statement(tmp_path):
    with (
        process(tmp_path, memory=[4 * 2**30]) as server,
        dbapi.connect(server.address, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):

        def rows(sql):
            cursor.execute(sql)
            return cursor.fetchall()

        cursor.execute("CREATE MODEL hungry FROM ?", (small_models.hungry(),))
        # 8 GiB, which most machines have: nothing else would refuse them.
        greedy = f"SELECT PREDICT('hungry', {2**31} * i) AS y FROM range(2) AS r(i)"
        for _ in range(2):
            with pytest.raises(dbapi.Error, match=r"53200.*the model ran out of memory"):
                rows(greedy)
            assert rows("SELECT PREDICT('hungry', 3), sum(i) FROM range(1000000) AS r(i)") == [
                (0, 499999500000)
            ]
        with pytest.raises(dbapi.Error, match="53200"):
            rows("SELECT count(length(repeat('a', 3000000000 + i))) FROM range(2) AS r(i)")
        assert rows("SELECT 1 AS one") == [(1,)]
