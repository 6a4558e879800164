"""The 43 queries of ClickBench on a generated table of its schema, against DuckDB on the same Parquet files.

Run: python benchmarks/clickbench.py [--rows 10000000]. The benchmark's own data can not be had offline: the
table has its 105 columns, of which those that queries look at are filled with values of like distributions.
Source of schema and queries: ClickBench, https://github.com/ClickHouse/ClickBench.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import duckdb
import measure
import pyarrow as pa

PLACE = Path(__file__).parent / "clickbench"


def queries() -> list[str]:
    """Return the 43 queries in order."""
    text = (PLACE / "queries.sql").read_text("utf-8")
    sums = ", ".join(f"SUM(ResolutionWidth + {number})" for number in range(90))
    return [query.strip().rstrip(";") for query in re.split(r"-- Q\d+\n", text.replace("{sums}", sums))[1:]]


def generated(rows: int) -> str:
    """Return the query that makes the table's rows."""
    text = (PLACE / "hits.sql").read_text("utf-8").replace("{rows}", str(rows))
    return re.sub(r"\br(\d+)\b", r"CAST(hash(i + \1) >> 1 AS BIGINT)", text)


def fits(query: str, left: pa.Table, right: pa.Table) -> bool:
    """Say whether two results agree: in all rows, or in their number where ties may end otherwise."""
    if "LIMIT" in query:
        return left.num_rows == right.num_rows
    order = [(name, "ascending") for name in left.schema.names]
    mine, theirs = (table.cast(left.schema).sort_by(order).to_pylist() for table in (left, right))
    return [tuple(map(_plain, row.values())) for row in mine] == [
        tuple(map(_plain, row.values())) for row in theirs
    ]


def _plain(value: object) -> object:
    return f"{value:.9g}" if isinstance(value, float) else value


def main() -> None:
    """Measure every query and report the total and the worst ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--lake", help="directory that keeps the loaded lake between runs")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    rows = []
    totals = [0.0, 0.0]
    worst = (0.0, "")
    with measure.lake_directory(asked.lake) as directory:
        fresh = not (directory / "metastore.db").exists()
        with measure.served(directory) as (address, _), measure.connect(address) as connection:
            cursor = connection.cursor()
            if fresh:
                cursor.execute(f"CREATE TABLE hits AS {generated(asked.rows)}")
            plain = duckdb.connect()
            plain.execute(f"CREATE VIEW hits AS SELECT * FROM {measure.parquet(directory, 'hits')}")
            for number, query in enumerate(queries(), 1):

                def ours(query: str = query) -> pa.Table:
                    cursor.execute(query)
                    return cursor.fetch_arrow_table()

                def theirs(query: str = query) -> pa.Table:
                    return plain.sql(query).to_arrow_table()

                assert fits(query, ours(), theirs()), f"query {number} gives other rows than DuckDB"
                mine, peer = measure.paired(ours, theirs, asked.runs)
                totals = [totals[0] + mine, totals[1] + peer]
                worst = max(worst, (mine / peer, f"Q{number}"))
                rows.append(
                    measure.Row(f"Q{number}", mine * 1000, "ms", mine / peer, None, "DuckDB in process")
                )
            cursor.close()
            plain.close()
    against = "DuckDB in process"
    rows.append(measure.Row("total of 43", totals[0], "s", totals[0] / totals[1], "<= 1.1", against))
    rows.append(measure.Row(f"worst query, {worst[1]}", worst[0], "x", worst[0], None, against))
    measure.report("clickbench", rows)


if __name__ == "__main__":
    main()
