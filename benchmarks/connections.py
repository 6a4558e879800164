"""What a thousand idle connections and 64 active ones cost the server, and whether it grows while they come and go.

Run: python benchmarks/connections.py [--minutes N]. Clients log in on connections of their own. While they
churn, 64 clients connect, ask one query, and leave, again and again; what the server holds is read each second.
The growth is that of the last quarter of the time against the first after a warm-up.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import measure
import psutil
from pyarrow import flight

from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as messages

IDLE = 1_000
ACTIVE = 64
QUERY = "SELECT g, count(*) AS n FROM t GROUP BY g"
WARM = 0.2  # of the time, in which caches fill
Held = tuple[float, int, int]
UNITS = ("MiB", "threads", "open files")
MOST = (64.0, 16.0, 16.0)  # that may be held more at the end


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


def held(server: psutil.Process) -> Held:
    """Return the resident MiB, threads and open files of the server."""
    return server.memory_info().rss / 2**20, server.num_threads(), server.num_fds()


def churn(address: str, server: psutil.Process, seconds: float) -> tuple[int, list[Held]]:
    """Let 64 clients come, ask and leave for that time; return their number and what was held each second."""
    end = time.monotonic() + seconds
    seen = []

    def come_and_go() -> int:
        count = 0
        while time.monotonic() < end:
            client = Client(address)
            client.ask()
            client.leave()
            count += 1
        return count

    with ThreadPoolExecutor(ACTIVE) as pool:
        coming = [pool.submit(come_and_go) for _ in range(ACTIVE)]
        while time.monotonic() < end:
            seen.append(held(server))
            time.sleep(1)
        return sum(one.result() for one in coming), seen


def growth(seen: list[Held], place: int) -> float:
    """Return how far the median of the last quarter lies above that of the first after the warm-up."""
    values = [one[place] for one in seen[int(len(seen) * WARM) :]]
    quarter = max(1, len(values) // 4)
    return statistics.median(values[-quarter:]) - statistics.median(values[:quarter])


def cost(part: str, now: Held, before: Held) -> list[measure.Row]:
    """Return what is held beyond what was held before."""
    return [
        measure.Row(f"{part}: {unit}", value - first, unit)
        for unit, value, first in zip(UNITS, now, before, strict=True)
    ]


def at_once(clients: list[Client], server: psutil.Process) -> Held:
    """Return the most that the server held while all clients asked."""
    seen = [held(server)]
    with ThreadPoolExecutor(len(clients)) as pool:
        asking = [pool.submit(client.ask) for client in clients]
        while not all(one.done() for one in asking):
            seen.append(held(server))
            time.sleep(0.02)
        for one in asking:
            one.result()
    memory, threads, files = zip(*seen, strict=True)
    return max(memory), max(threads), max(files)


def coming_and_going(address: str, server: psutil.Process, minutes: float) -> list[measure.Row]:
    """Return how many clients came and left in that time, and what grew."""
    came, seen = churn(address, server, minutes * 60)
    rows = [measure.Row("clients that came, asked and left", came / minutes / 60, "clients/s")]
    for place, (unit, most) in enumerate(zip(UNITS, MOST, strict=True)):
        grown = max(0.0, growth(seen, place))
        name = f"growth in {minutes:g} minutes of it: {unit}"
        rows.append(measure.Row(name, grown, unit, grown / most, "<= 1", f"{most:g} {unit}"))
    return rows


def main() -> None:
    """Measure idle, active and coming and going connections."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    with measure.lake_directory() as directory, measure.served(directory) as (address, pid):
        server = psutil.Process(pid)
        with measure.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t AS SELECT range AS id, range % 50 AS g FROM range(100000)")
        Client(address).ask()
        before = held(server)
        idle = [Client(address) for _ in range(IDLE)]
        rows = cost("1,000 idle connections", held(server), before)
        active = [Client(address) for _ in range(ACTIVE)]
        rows += cost("64 active ones beside them", at_once(active, server), before)
        for client in active:
            client.leave()
        rows += coming_and_going(address, server, options.minutes)
        for client in idle:
            client.leave()
    measure.report("connections", rows)


if __name__ == "__main__":
    main()
