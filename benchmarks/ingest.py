"""Bulk ingest over ADBC, against the same rows written by DuckDB's COPY to Parquet in this process.

Run: python benchmarks/ingest.py [--rows N]. Both begin with the rows in memory as Arrow and write the same
codec; only the ingest also sends them, checks them, counts them for Iceberg and commits.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import measure
import pyarrow as pa

ROWS = 10_000_000
BATCH = 65_536
CODEC = "snappy"  # the server's own for new tables

_QUERY = """
SELECT
    range AS id,
    CAST(hash(range) % 100000 AS INTEGER) AS customer,
    CAST(hash(range + 1) % 1000000 AS DOUBLE) / 100 AS price,
    CAST(CAST(hash(range + 2) % 1000000 AS DOUBLE) / 100 AS DECIMAL(12, 2)) AS amount,
    DATE '2020-01-01' + CAST(range // 10000 AS INTEGER) AS day,
    TIMESTAMP '2020-01-01' + INTERVAL 1 SECOND * range AS at,
    'city ' || (hash(range + 3) % 500) AS city,
    'order ' || hash(range + 4) AS reference
FROM range({rows})
"""


@contextmanager
def copies(directory: Path, rows: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB connection that knows the rows and may write into ``directory``."""
    directory.mkdir()
    with duckdb.connect() as connection:
        connection.register("given", rows)
        yield connection


def main() -> None:
    """Measure the ingest and the COPY in turn, and the server's memory during one ingest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    rows = duckdb.connect().sql(_QUERY.format(rows=given.rows)).to_arrow_reader(BATCH).read_all()
    with (
        measure.lake_directory() as directory,
        measure.served(directory) as (address, pid),
        measure.connect(address) as connection,
        connection.cursor() as cursor,
        copies(directory / "copied", rows) as local,
    ):

        def ingest() -> None:
            assert cursor.adbc_ingest("rows", rows.to_reader(), mode="create") == given.rows
            cursor.execute("DROP TABLE rows")
            # Files of a dropped table stay; here they would fill the disk.
            for left in (directory / "warehouse" / "main").glob("rows-*"):
                shutil.rmtree(left)

        def copy() -> None:
            target = directory / "copied" / "rows.parquet"
            (written,) = local.execute(
                f"COPY given TO '{target}' (FORMAT parquet, COMPRESSION {CODEC})"
            ).fetchall()
            assert written == (given.rows,)
            target.unlink()

        mine, theirs = measure.paired(ingest, copy, runs=3)
        peak = measure.Peak(pid)
        ingest()
        growth = peak.end()
    name = f"{given.rows / 1e6:g} M rows x 8"
    found = [
        measure.Row(
            f"{name}, {rows.nbytes / 2**20:,.0f} MiB",
            given.rows / mine / 1e6,
            "M rows/s",
            theirs / mine,
            ">= 0.5",
            "DuckDB COPY to Parquet in process",
        ),
        measure.Row(f"{name}: growth of the server's memory", growth, "MiB"),
    ]
    measure.report("ingest", found)


if __name__ == "__main__":
    main()
