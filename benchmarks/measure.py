"""What every benchmark shares: a served lake, timing, the machine's description, the result file.

This module must not know what is measured.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from adbc_driver_flightsql import dbapi
from pyarrow import flight
from pyiceberg.catalog.sql import SqlCatalog

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("duckdb", "pyarrow", "onnxruntime", "pyiceberg", "sqlglot")


@dataclass(frozen=True)
class Row:
    """One measured figure; ``ratio`` is set against ``against``, ``target`` is what it should reach."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    target: str | None = None
    against: str | None = None


def paired(first: Callable[[], object], second: Callable[[], object], runs: int = 5) -> tuple[float, float]:
    """Return the median seconds of both, run in turn so that a drifting machine slows both alike."""
    pairs: tuple[list[float], list[float]] = ([], [])
    first()
    second()
    for _ in range(runs):
        for work, spent in zip((first, second), pairs, strict=True):
            started = time.perf_counter()
            work()
            spent.append(time.perf_counter() - started)
    return statistics.median(pairs[0]), statistics.median(pairs[1])


@contextmanager
def served(directory: Path, *flags: str) -> Iterator[tuple[str, int]]:
    """Serve a lake in a process of its own; yield its address and process id."""
    command = [sys.executable, "-m", "scoter.cli", "serve", str(directory), "--port", "0", *flags]
    with (directory / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline().split()
        assert line[:2] == ["scoter", "ready"], (directory / "server.log").read_text()
        yield line[2], server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
        if server.stdout is not None:
            server.stdout.close()


@contextmanager
def lake_directory(kept: str | None = None) -> Iterator[Path]:
    """Yield a fresh directory for a lake, or one that stays under ``kept``."""
    if kept is not None:
        path = Path(kept)
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="scoter-bench-") as name:
        yield Path(name)


def connect(address: str) -> dbapi.Connection:
    """Connect with the driver's defaults, each statement committing by itself."""
    return dbapi.connect(address, autocommit=True)


def parquet(directory: Path, table: str) -> str:
    """Return the call of DuckDB that reads the data files of a lake's table."""
    catalog = SqlCatalog(
        "lake", uri=f"sqlite:///{directory}/metastore.db", warehouse=f"file://{directory}/warehouse"
    )
    tasks = catalog.load_table(f"main.{table}").scan().plan_files()
    files = [task.file.file_path.removeprefix("file://") for task in tasks]
    catalog.close()
    return f"read_parquet({files})"


def logged_in(client: flight.FlightClient) -> flight.FlightCallOptions:
    """Begin a session as a driver does; return the options of calls that belong to it."""
    return flight.FlightCallOptions(headers=[client.authenticate_basic_token("local", "")])


def resident(pid: int) -> int:
    """Return the resident bytes of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Peak:
    """How far the resident memory of a process rises above where it was, as long as it is looked at."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._most = resident(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, resident(self._pid))

    def end(self) -> float:
        """Stop looking; return the growth in MiB."""
        self._over.set()
        self._thread.join()
        return (self._most - self._before) / 2**20


def machine() -> dict[str, object]:
    """Describe the machine and the versions of what does the work."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def report(benchmark: str, rows: list[Row]) -> None:
    """Print the figures and write them to benchmarks/results/<benchmark>.json."""
    for row in rows:
        ratio = f"  ratio {row.ratio:.2f} (target {row.target}, against {row.against})" if row.ratio else ""
        print(f"{row.name:48} {row.value:12.4g} {row.unit}{ratio}")
    RESULTS.mkdir(exist_ok=True)
    found = {
        "benchmark": benchmark,
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "results": [asdict(row) for row in rows],
    }
    (RESULTS / f"{benchmark}.json").write_text(json.dumps(found, indent=2) + "\n")
