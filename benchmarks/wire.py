"""Results and small statements over the wire, against a bare pyarrow Flight server on the same DuckDB.

Run: python benchmarks/wire.py. The bare server has no planning, sessions, tickets or log.
"""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import measure
import pyarrow as pa
from adbc_driver_flightsql import connect
from adbc_driver_manager import AdbcConnection, AdbcStatement
from pyarrow import flight

from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as messages

NARROW = "SELECT range AS a, range * 2 AS b, CAST(range AS DOUBLE) / 3 AS c, range % 1000 AS d FROM range(10000000)"
WIDE = (
    "SELECT " + ", ".join(f"CAST(range + {i} AS DOUBLE) AS c{i}" for i in range(28)) + " FROM range(2000000)"
)
ROWS = 16_384  # of a batch: 28 columns of 8 bytes stay well below the driver's 16 MiB


class Bare(flight.FlightServerBase):  # type: ignore[misc]  # pyarrow has no types
    """Runs the text that it gets once, and streams DuckDB's reader to whoever brings its ticket."""

    def __init__(self, setup: str) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET parquet_metadata_cache = true")
        self._duckdb.execute(setup)
        self._readers: dict[bytes, pa.RecordBatchReader] = {}
        self._numbers = itertools.count()

    def get_flight_info(self, _context: object, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """Start the query and return its schema and a ticket."""
        query = commands.read(descriptor.command).query
        reader = self._duckdb.cursor().sql(query).to_arrow_reader(ROWS)
        handle = str(next(self._numbers)).encode()
        self._readers[handle] = reader
        ticket = commands.pack(messages.TicketStatementQuery(statement_handle=handle))
        return flight.FlightInfo(reader.schema, descriptor, [flight.FlightEndpoint(ticket, [])], -1, -1)

    def do_get(self, _context: object, ticket: flight.Ticket) -> flight.RecordBatchStream:
        """Stream."""
        return flight.RecordBatchStream(self._readers.pop(commands.read(ticket.ticket).statement_handle))

    def do_action(self, _context: object, _action: flight.Action) -> Iterator[bytes]:
        """Answer nothing: the driver asks for capabilities only."""
        return iter(())


def _serve_bare(ready: Any, setup: str) -> None:
    server = Bare(setup)
    ready.send(server.port)
    server.serve()


@contextmanager
def bare(setup: str = "SELECT 1") -> Iterator[str]:
    """Run the bare server in a process of its own, after ``setup`` in its DuckDB; yield its address."""
    receive, send = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve_bare, args=(send, setup))
    process.start()
    try:
        yield f"grpc://127.0.0.1:{receive.recv()}"
    finally:
        process.terminate()
        process.join()


def reader(address: str, query: str) -> Callable[[], None]:
    """Return a read of a whole result by ADBC's low-level statement, with the driver's defaults.

    The DB-API would prepare, which the bare server can not.
    """
    database = connect(address)
    connection = AdbcConnection(database)

    def read() -> None:
        with AdbcStatement(connection) as statement:
            statement.set_sql_query(query)
            stream, _ = statement.execute_query()
            rows = pa.RecordBatchReader._import_from_c(stream.address)  # noqa: SLF001  # as the DB-API does
            for _ in rows:
                pass

    return read


def small(address: str, *, login: bool) -> Callable[[], None]:
    """Return `SELECT 1` by GetFlightInfo and DoGet from one raw client; the bare server knows no logins."""
    client = flight.FlightClient(address)
    command = commands.pack(messages.CommandStatementQuery(query="SELECT 1"))
    descriptor = flight.FlightDescriptor.for_command(command)
    options = measure.logged_in(client) if login else flight.FlightCallOptions()

    def ask() -> None:
        info = client.get_flight_info(descriptor, options)
        assert client.do_get(info.endpoints[0].ticket, options).read_all().num_rows == 1

    return ask


def median_milliseconds(
    first: Callable[[], None], second: Callable[[], None], calls: int
) -> tuple[float, float]:
    """Return the median latency of both, called in turn."""
    spent: tuple[list[float], list[float]] = ([], [])
    for work in (first, second):
        for _ in range(100):
            work()
    for _ in range(calls):
        for work, times in zip((first, second), spent, strict=True):
            started = time.perf_counter()
            work()
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(spent[0]), statistics.median(spent[1])


def main() -> None:
    """Measure both shapes and the small statement."""
    rows = []
    with (
        measure.lake_directory() as directory,
        measure.served(directory) as (address, _),
        bare() as peer,
    ):
        for name, query, count in (("10 M rows x 4", NARROW, 10_000_000), ("2 M rows x 28", WIDE, 2_000_000)):
            mine, theirs = measure.paired(reader(address, query), reader(peer, query))
            rows.append(
                measure.Row(
                    name, count / mine / 1e6, "M rows/s", theirs / mine, ">= 0.85", "bare Flight server"
                )
            )
        mine, theirs = median_milliseconds(small(address, login=True), small(peer, login=False), 1000)
        rows.append(measure.Row("SELECT 1, p50", mine, "ms", mine / theirs, "<= 2", "bare Flight server"))
    measure.report("wire", rows)


if __name__ == "__main__":
    main()
