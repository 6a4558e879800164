"""A scan of 200 files in an S3 store 20 ms away, against DuckDB 1.5.5 with its httpfs extension.

Run: python benchmarks/s3.py. DuckDB 2.0 has no such extension that PyPI offers; the peer runs in
.venv-httpfs, which this makes. The store is S3Proxy (tests/s3_server.py), the way to it benchmarks/slow.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import s3_server  # noqa: E402  # what tests start, benchmarks start too

PEER = ROOT / ".venv-httpfs"
FILES = 200
AGAINST = "DuckDB 1.5.5 with httpfs"
QUERY = "SELECT count(*) AS n, sum(a) AS a, sum(b) AS b FROM {} WHERE c < 0.3"


def peer() -> Path:
    """Return the Python that has DuckDB 1.5.5 and its extension."""
    python = PEER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
        wheels = ["duckdb==1.5.5", "duckdb-extension-httpfs==1.5.5"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wheels], check=True)
    return python


@contextmanager
def slowed(port: int, seconds: float) -> Iterator[int]:
    """Yield the port of a proxy before a port."""
    command = [sys.executable, str(Path(__file__).parent / "slow.py"), str(port), str(seconds)]
    proxy = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert proxy.stdout is not None
        yield int(proxy.stdout.readline())
    finally:
        proxy.kill()
        proxy.communicate()


def configure(directory: Path, server: s3_server.S3Server, port: int) -> None:
    """Write a lake's settings: a catalog whose files are reached through a port."""
    store = "\n".join(
        f'{name} = "{value}"' for name, value in server.settings(f"http://127.0.0.1:{port}").items()
    )
    (directory / "scoter.toml").write_text(
        f"""
        [catalogs.far]
        type = "sql"
        [catalogs.far.properties]
        uri = "sqlite:///{directory}/far.db"
        warehouse = "s3://{s3_server.BUCKET}/far"
        [catalogs.far.s3]
        {store}
        """
    )


def load(directory: Path, rows: int) -> None:
    """Fill a table of 200 files."""
    numbers = (
        f"SELECT i % {FILES} AS part, i AS id, random() AS a, (random() * 1e6)::BIGINT AS b, random() AS c, "
        "random() AS d, random() AS e, (random() * 1e9)::BIGINT AS f, md5(i::VARCHAR) AS g "
        f"FROM range({rows * FILES}) AS r(i)"
    )
    with measure.served(directory) as (address, _), measure.connect(address) as connection:
        cursor = connection.cursor()
        cursor.adbc_statement.set_sql_query("CREATE SCHEMA far.main")
        cursor.adbc_statement.execute_update()
        cursor.adbc_statement.set_sql_query(f"CREATE TABLE far.main.t PARTITIONED BY (part) AS {numbers}")
        cursor.adbc_statement.execute_update()
        cursor.close()


def ours(directory: Path, runs: int) -> list[tuple[float, list[object]]]:
    """Return seconds and rows of each run by a fresh server with an empty cache; the first run is cold."""
    shutil.rmtree(directory / "cache", ignore_errors=True)
    found = []
    with measure.served(directory) as (address, _), measure.connect(address) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.fetchall()
        for _ in range(runs):
            started = time.perf_counter()
            cursor.execute(QUERY.format("far.main.t"))
            rows = cursor.fetchall()
            found.append((time.perf_counter() - started, [list(row) for row in rows]))
        cursor.close()
    return found


def theirs(files: list[str], port: int, runs: int) -> list[tuple[float, list[object]]]:
    """Return the same of the peer, which is told the files."""
    asked = {
        "endpoint": f"127.0.0.1:{port}",
        "key_id": s3_server.KEY_ID,
        "secret": s3_server.SECRET,
        "region": s3_server.REGION,
        "query": QUERY.format(f"read_parquet({files})"),
        "runs": runs,
    }
    command = [str(peer()), str(Path(__file__).parent / "httpfs.py")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    return [(run["seconds"], run["rows"]) for run in json.loads(done.stdout)]


def main() -> None:
    """Measure the first and a further scan, each several times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=30_000, help="rows of a file")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds of each request")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    peer()
    spent: dict[str, list[float]] = {"mine": [], "mine again": [], "peer": [], "peer again": []}
    with tempfile.TemporaryDirectory(prefix="scoter-bench-") as name:
        place = Path(name)
        for part in ("s3", "lake"):
            (place / part).mkdir()
        with s3_server.serving(place / "s3") as server, slowed(server.port, options.delay) as port:
            configure(place / "lake", server, port)
            load(place / "lake", options.rows)
            held = sorted(server.data.rglob("*.parquet"))
            files = [f"s3://{file.relative_to(server.data)}" for file in held]
            size = sum(file.stat().st_size for file in held)
            assert len(files) == FILES
            for _ in range(options.rounds):
                mine, others = ours(place / "lake", 2), theirs(files, port, 2)
                (count, a, b), (peer_count, peer_a, peer_b) = mine[0][1][0], others[0][1][0]
                assert (count, int(b)) == (peer_count, int(peer_b))
                assert abs(a - peer_a) < 1e-6 * a
                for title, runs in (("mine", mine), ("peer", others)):
                    spent[title].append(runs[0][0])
                    spent[f"{title} again"].append(runs[1][0])
    middle = {title: statistics.median(seconds) for title, seconds in spent.items()}
    what = f"{FILES} files, {size / 2**20:,.0f} MiB, {options.delay * 1000:g} ms a request"
    rows = [
        measure.Row(
            f"first scan of {what}", middle["mine"], "s", middle["mine"] / middle["peer"], "<= 1.5", AGAINST
        ),
        measure.Row(
            "the same scan again",
            middle["mine again"],
            "s",
            middle["mine again"] / middle["peer again"],
            "<= 1.5",
            AGAINST,
        ),
    ]
    measure.report("s3", rows)
    print({title: [round(one, 3) for one in seconds] for title, seconds in spent.items()})


if __name__ == "__main__":
    main()
