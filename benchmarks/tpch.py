"""TPC-H at scale 1 in Iceberg tables over ADBC, against DuckDB in process on the same Parquet files.

Run: python benchmarks/tpch.py [--scale 1]. Data come from tpchgen-cli.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import measure
import pyarrow as pa

TABLES = ("lineitem", "orders", "customer", "part", "partsupp", "supplier", "nation", "region")


def queries() -> list[str]:
    """Return the 22 queries in order."""
    text = (Path(__file__).parent / "tpch" / "queries.sql").read_text()
    return re.split(r"-- Q\d+\n", text)[1:]


def load(directory: Path, scale: float) -> None:
    """Generate the data and import each table with the command line."""
    generator = Path(sys.executable).parent / "tpchgen-cli"
    with tempfile.TemporaryDirectory(prefix="scoter-tpch-") as raw:
        subprocess.run([generator, "parquet", "-s", str(scale), "--output-dir", raw], check=True)
        for table in TABLES:
            command = [sys.executable, "-m", "scoter.cli", "import", table, f"{raw}/{table}.parquet"]
            subprocess.run([*command, "--lake", directory], check=True, stdout=subprocess.DEVNULL)


def views(directory: Path) -> duckdb.DuckDBPyConnection:
    """Return DuckDB with a plain view over each table's data files."""
    connection = duckdb.connect()
    for table in TABLES:
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {measure.parquet(directory, table)}")
    return connection


def same(left: pa.Table, right: pa.Table) -> bool:
    """Compare rows in order; floats to nine digits, because sums of floats depend on threads."""

    def plain(value: object) -> object:
        if isinstance(value, float):
            return f"{value:.9g}"
        return Decimal(value) if isinstance(value, int | Decimal) else value

    rows = zip(left.to_pydict().values(), right.to_pydict().values(), strict=True)
    return left.num_rows == right.num_rows and all(
        [plain(v) for v in a] == [plain(v) for v in b] for a, b in rows
    )


def main() -> None:
    """Measure every query and report the total and the worst ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--lake", help="directory that keeps the loaded lake between runs")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rows = []
    with measure.lake_directory(options.lake) as directory:
        if not (directory / "metastore.db").exists():
            load(directory, options.scale)
        plain = views(directory)
        totals = [0.0, 0.0]
        worst = 0.0
        with measure.served(directory) as (address, _), measure.connect(address) as connection:
            cursor = connection.cursor()
            for number, query in enumerate(queries(), 1):

                def ours(query: str = query) -> pa.Table:
                    cursor.execute(query)
                    return cursor.fetch_arrow_table()

                def theirs(query: str = query) -> pa.Table:
                    return plain.sql(query).to_arrow_table()

                assert same(ours(), theirs()), f"query {number} gives other rows than DuckDB"
                mine, peer = measure.paired(ours, theirs, options.runs)
                totals[0] += mine
                totals[1] += peer
                worst = max(worst, mine / peer)
                rows.append(
                    measure.Row(f"Q{number}", mine * 1000, "ms", mine / peer, "<= 1.5", "DuckDB in process")
                )
            cursor.close()
        plain.close()
    total = totals[0] / totals[1]
    rows.append(measure.Row("total of 22", totals[0], "s", total, "<= 1.1", "DuckDB in process"))
    rows.append(measure.Row("worst query", worst, "x", worst, "<= 1.5", "DuckDB in process"))
    measure.report("tpch", rows)


if __name__ == "__main__":
    main()
