"""Small queries over an Iceberg table of 1 M rows, by 1, 8 and 32 clients, against a bare Flight server.

Run: python benchmarks/small.py. Each client calls GetFlightInfo and DoGet one after the other on a
connection of its own. The bare server runs the same SQL on the same files with one shared DuckDB; it has no
planning, sessions, tickets or log. Twenty texts of each query take turns, so both servers know them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

import measure
from pyarrow import flight
from wire import bare

from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as messages

TABLE = (
    "CREATE TABLE t AS SELECT range AS id, range % 50 AS g, CAST(hash(range) % 1000 AS DOUBLE) AS v, "
    "'name ' || range AS name FROM range(1000000)"
)
QUERIES = {
    "lookup of one row": [f"SELECT * FROM t WHERE id = {i * 49_999}" for i in range(20)],
    "aggregate of 50 groups": [
        f"SELECT g, count(*) AS n, avg(v) AS m FROM t WHERE v >= {i} GROUP BY g" for i in range(20)
    ],
}
CLIENTS = (1, 8, 32)


def asker(address: str, queries: list[str], *, login: bool) -> Callable[[int], None]:
    """Return a call of one of the queries by a connection of its own; the bare server knows no logins."""
    client = flight.FlightClient(address)
    options = measure.logged_in(client) if login else flight.FlightCallOptions()
    descriptors = [
        flight.FlightDescriptor.for_command(commands.pack(messages.CommandStatementQuery(query=query)))
        for query in queries
    ]

    def ask(turn: int) -> None:
        info = client.get_flight_info(descriptors[turn % len(descriptors)], options)
        assert client.do_get(info.endpoints[0].ticket, options).read_all().num_rows > 0

    return ask


def load(connect: Callable[[], Callable[[int], None]], clients: int, seconds: float) -> list[float]:
    """Return the milliseconds of every call that the clients made in that time."""
    askers = [connect() for _ in range(clients)]
    for ask in askers:
        ask(0)
    end = time.perf_counter() + seconds

    def work(ask: Callable[[int], None], turn: int) -> list[float]:
        spent = []
        while (started := time.perf_counter()) < end:
            ask(turn)
            spent.append((time.perf_counter() - started) * 1000)
            turn += 1
        return spent

    with ThreadPoolExecutor(clients) as pool:
        return list(chain.from_iterable(pool.map(work, askers, range(clients))))


def compared(
    label: str, address: str, peer: str, queries: list[str], clients: int, asked: argparse.Namespace
) -> Iterator[measure.Row]:
    """Yield the rate against the bare server's, in turn, and the latency."""
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(asked.rounds):
        mine += load(partial(asker, address, queries, login=True), clients, asked.seconds)
        theirs += load(partial(asker, peer, queries, login=False), clients, asked.seconds)
    rate = len(mine) / (asked.seconds * asked.rounds)
    yield measure.Row(label, rate, "queries/s", len(mine) / len(theirs), ">= 0.7", "bare Flight server")
    quantiles = statistics.quantiles(mine, n=100)
    yield measure.Row(f"{label}, p50", quantiles[49], "ms")
    yield measure.Row(f"{label}, p99", quantiles[98], "ms")


def main() -> None:
    """Measure both queries with every number of clients."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rows: list[measure.Row] = []
    with measure.lake_directory() as directory, measure.served(directory) as (address, _):
        with measure.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(TABLE)
        with bare(f"CREATE VIEW t AS SELECT * FROM {measure.parquet(directory, 't')}") as peer:
            for name, queries in QUERIES.items():
                for clients in CLIENTS:
                    label = f"{name}, {clients} client{'s' if clients > 1 else ''}"
                    rows += compared(label, address, peer, queries, clients, asked)
    measure.report("small", rows)


if __name__ == "__main__":
    main()
