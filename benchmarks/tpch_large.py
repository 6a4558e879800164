"""TPC-H at scale 10 with 4 GB of memory for a query, against DuckDB in process under the same limit.

Run: python benchmarks/tpch_large.py. What does not fit in memory is spilled to disk by both. The data and the
lake need some 12 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import measure
import pyarrow as pa
from tpch import load, queries, same, views

LIMIT = 4_000_000_000  # bytes


def main() -> None:
    """Run every query once on each side, in turn, after one that warms the files' cache."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--lake", help="directory that keeps the loaded lake between runs")
    asked = parser.parse_args()
    os.environ["SCOTER_QUERY__STATEMENT_MEMORY"] = str(LIMIT)
    rows = []
    totals = [0.0, 0.0]
    with measure.lake_directory(asked.lake) as directory, tempfile.TemporaryDirectory() as spill:
        if not (directory / "metastore.db").exists():
            load(directory, asked.scale)
        plain = views(directory)
        plain.execute(f"SET memory_limit = '{LIMIT}B'; SET temp_directory = '{spill}'")
        with measure.served(directory) as (address, pid), measure.connect(address) as connection:
            cursor = connection.cursor()
            peak = measure.Peak(pid)
            for number, query in enumerate(queries(), 1):
                cursor.execute("SELECT count(*) FROM lineitem WHERE l_comment = ''")
                cursor.fetch_arrow_table()
                started = time.perf_counter()
                theirs: pa.Table = plain.sql(query).to_arrow_table()
                between = time.perf_counter()
                cursor.execute(query)
                ours = cursor.fetch_arrow_table()
                ended = time.perf_counter()
                assert same(ours, theirs), f"query {number} gives other rows than DuckDB"
                totals = [totals[0] + ended - between, totals[1] + between - started]
                ratio = (ended - between) / (between - started)
                rows.append(measure.Row(f"Q{number}", ended - between, "s", ratio, None, "DuckDB in process"))
            grown = peak.end()
            cursor.close()
        plain.close()
    total = totals[0] / totals[1]
    rows.append(measure.Row("total of 22", totals[0], "s", total, "<= 1.15", "DuckDB in process"))
    rows.append(measure.Row("memory of the server grew by", grown, "MiB"))
    measure.report("tpch_large", rows)


if __name__ == "__main__":
    main()
