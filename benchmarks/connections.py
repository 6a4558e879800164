"""What a thousand idle connections and 64 active ones cost the server, and whether it grows while they come and go.

Run: python benchmarks/connections.py [--minutes N]. Clients log in on connections of their own. While they
churn, 64 clients connect, ask one query, and leave, again and again; what the server holds is read each second.
The growth is that of the last quarter of the time against the first after a warm-up.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

import measure
import psutil
from pyarrow import flight

from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as messages

IDLE = 1_000
ACTIVE = 64
QUERY = "SELECT g, count(*) AS n FROM t GROUP BY g"
WARM = 0.2  # of the time, in which caches fill


class Client:
    """One connection with a session of its own."""

    def __init__(self, address: str) -> None:
        self._client = flight.FlightClient(address)
        self._options = measure.logged_in(self._client)

    def ask(self) -> None:
        """Run one query and read its result."""
        command = commands.pack(messages.CommandStatementQuery(query=QUERY))
        info = self._client.get_flight_info(flight.FlightDescriptor.for_command(command), self._options)
        assert self._client.do_get(info.endpoints[0].ticket, self._options).read_all().num_rows == 50

    def leave(self) -> None:
        """End the session and the connection."""
        list(self._client.do_action(flight.Action("CloseSession", b""), self._options))
        self._client.close()


def held(server: psutil.Process) -> tuple[float, int, int]:
    """Return the resident MiB, threads and open files of the server."""
    return server.memory_info().rss / 2**20, server.num_threads(), server.num_fds()


def churn(address: str, server: psutil.Process, seconds: float) -> tuple[int, list[tuple[float, int, int]]]:
    """Let 64 clients come, ask and leave for that time; return their number and what was held each second."""
    end = time.monotonic() + seconds
    counts = [0] * ACTIVE
    seen = []

    def come_and_go(number: int) -> None:
        while time.monotonic() < end:
            client = Client(address)
            client.ask()
            client.leave()
            counts[number] += 1

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(ACTIVE)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        seen.append(held(server))
        time.sleep(1)
    for thread in threads:
        thread.join()
    return sum(counts), seen


def growth(seen: list[tuple[float, int, int]], place: int) -> float:
    """Return how far the median of the last quarter lies above that of the first after the warm-up."""
    values = [one[place] for one in seen[int(len(seen) * WARM) :]]
    quarter = max(1, len(values) // 4)
    return statistics.median(values[-quarter:]) - statistics.median(values[:quarter])


def main() -> None:
    """Measure idle, active and coming and going connections."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    rows = []
    with measure.lake_directory() as directory, measure.served(directory) as (address, pid):
        server = psutil.Process(pid)
        with measure.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t AS SELECT range AS id, range % 50 AS g FROM range(100000)")
        Client(address).ask()
        before = held(server)
        idle = [Client(address) for _ in range(IDLE)]
        resting = held(server)
        active = [Client(address) for _ in range(ACTIVE)]
        threads = [threading.Thread(target=client.ask) for client in active]
        peak = resting
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, held(server))
            time.sleep(0.02)
        for client in active:
            client.leave()
        for part, now in (("1,000 idle connections", resting), ("64 active ones beside them", peak)):
            units = ("MiB", "threads", "open files")
            rows += [
                measure.Row(f"{part}: {unit}", value - first, unit)
                for unit, value, first in zip(units, now, before, strict=True)
            ]
        came, seen = churn(address, server, options.minutes * 60)
        rows.append(
            measure.Row("clients that came, asked and left", came / options.minutes / 60, "clients/s")
        )
        for place, (unit, most) in enumerate((("MiB", 64.0), ("threads", 16.0), ("open files", 16.0))):
            grown = max(0.0, growth(seen, place))
            rows.append(
                measure.Row(
                    f"growth in {options.minutes:g} minutes of it: {unit}",
                    grown,
                    unit,
                    grown / most,
                    "<= 1",
                    f"{most:g} {unit}",
                )
            )
        for client in idle:
            client.leave()
    measure.report("connections", rows)


if __name__ == "__main__":
    main()
