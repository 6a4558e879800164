"""TPC-H with its FROM lists in random order, on plain tables and on tables whose schemas changed half way.

Run: python benchmarks/tpch_orders.py [--scale 1]. Where the planner is told nothing of a scan's rows, joins
follow the order of the text. The peer is DuckDB in process with plain views over Parquet files of the same rows
and the same text.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import duckdb
import measure
import pyarrow as pa
from adbc_driver_flightsql.dbapi import Cursor
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import IntegerType
from tpch import TABLES, load, queries, same, views

_LIST = re.compile(r"\bfrom ((?:\w+(?: \w+)?)(?:, \w+(?: \w+)?)+)")


def shuffled(query: str, seed: int) -> str:
    """Return a query with every FROM list in another order."""
    order = random.Random(seed)  # noqa: S311  # no secret; the order is the same in each run

    def reordered(found: re.Match[str]) -> str:
        names = found[1].split(", ")
        order.shuffle(names)
        return f"from {', '.join(names)}"

    return _LIST.sub(reordered, query)


def evolve(directory: Path, cursor: Cursor) -> None:
    """Make tables of the same rows: half written under other names, all renamed, the other half written then."""
    catalog = SqlCatalog(
        "lake", uri=f"sqlite:///{directory}/metastore.db", warehouse=f"file://{directory}/warehouse"
    )
    cursor.execute("CREATE SCHEMA evolved")
    for name in TABLES:
        columns = [field.name for field in catalog.load_table(f"main.{name}").schema().fields]
        old = ", ".join(f"{column} AS old_{column}" for column in columns)
        half = f"hash({columns[0]}) % 2"
        cursor.execute(f"CREATE TABLE evolved.{name} AS SELECT {old} FROM main.{name} WHERE {half} = 0")
        with catalog.load_table(f"evolved.{name}").update_schema() as update:
            for column in columns:
                update.rename_column(f"old_{column}", column)
            update.add_column("added", IntegerType())
            update.move_first("added")
        listed = ", ".join(columns)
        cursor.execute(
            f"INSERT INTO evolved.{name} ({listed}) SELECT {listed} FROM main.{name} WHERE {half} = 1"
        )
    catalog.close()


def compared(
    label: str, ours: Callable[[str], pa.Table], plain: duckdb.DuckDBPyConnection, seeds: range, runs: int
) -> Iterator[measure.Row]:
    """Yield the total of the queries in each order, and the worst query of all."""

    def theirs(text: str) -> pa.Table:
        return plain.sql(text).to_arrow_table()

    worst = (0.0, "")
    for seed in seeds:
        totals = [0.0, 0.0]
        for number, query in enumerate(queries(), 1):
            text = shuffled(query, seed)
            assert same(ours(text), theirs(text)), f"query {number} gives other rows than DuckDB"
            mine, peer = measure.paired(partial(ours, text), partial(theirs, text), runs)
            totals = [totals[0] + mine, totals[1] + peer]
            worst = max(worst, (mine / peer, f"Q{number} in order {seed}"))
        yield measure.Row(
            f"{label}, order {seed}", totals[0], "s", totals[0] / totals[1], "<= 1.2", "DuckDB in process"
        )
    yield measure.Row(f"{label}, worst query: {worst[1]}", worst[0], "x", worst[0], None, "DuckDB in process")


def main() -> None:
    """Measure three orders on both kinds of tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--lake", help="directory that keeps the loaded lake between runs")
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    rows: list[measure.Row] = []
    with measure.lake_directory(asked.lake) as directory:
        if not (directory / "metastore.db").exists():
            load(directory, asked.scale)
        plain = views(directory)
        with measure.served(directory) as (address, _), measure.connect(address) as connection:
            cursor = connection.cursor()

            def ours(text: str) -> pa.Table:
                cursor.execute(text)
                return cursor.fetch_arrow_table()

            seeds = range(1, asked.orders + 1)
            rows += compared("plain tables", ours, plain, seeds, asked.runs)
            cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = 'evolved'")
            if not cursor.fetchall():
                evolve(directory, cursor)
            cursor.execute("USE evolved")
            rows += compared("tables with changed schemas", ours, plain, seeds, asked.runs)
            cursor.close()
        plain.close()
    measure.report("tpch_orders", rows)


if __name__ == "__main__":
    main()
