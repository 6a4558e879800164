"""PREDICT over an Iceberg table against ONNX Runtime alone, against a plain function of DuckDB, and against Python.

Run: python benchmarks/predict.py. The bound has the rows in memory already and gives them to ONNX Runtime in batches of
16,384 rows: the better of intra-op threads = cores, and one thread per core. Scoter has Numba beside it, as
`make install` puts it there, and compiles ensembles of trees in the first runs. The plain function is what one writes
without Scoter: DuckDB in process, rows in memory, a function over columns that calls ONNX Runtime.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import duckdb
import measure
import onnxruntime
import pyarrow as pa
from duckdb.func import PythonUDFType
from scored import Feeds, Scored, models

BATCH = 16_384
AT_ONCE = 8
BARE = "bare scan of its columns"


def session(data: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return a session with that many intra-op threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def bounds(data: bytes, feeds: Feeds) -> list[Callable[[], None]]:
    """Return the two ways to run ONNX Runtime alone on all cores."""
    cores = os.cpu_count() or 1
    many, one = session(data, cores), session(data, 1)
    given = {value.name: of(feeds, value.name) for value in many.get_inputs()}
    count = len(next(iter(given.values())))

    def part(scorer: Any, start: int, step: int) -> None:
        for first in range(start, count, step):
            scorer.run(None, {name: values[first : first + BATCH] for name, values in given.items()})

    def threads() -> None:
        with ThreadPoolExecutor(cores) as pool:
            for done in [pool.submit(part, one, n * BATCH, cores * BATCH) for n in range(cores)]:
                done.result()

    return [lambda: part(many, 0, BATCH), threads]


def of(feeds: Feeds, name: str) -> Any:
    """Return the tensor of an input; a single one may have any name."""
    return feeds[name] if name in feeds else next(iter(feeds.values()))


def against_bound(
    ours: Callable[[], object], case: Scored, feeds: Feeds, runs: int
) -> tuple[float, float, Callable[[], None]]:
    """Return our share of the better bound's speed, our seconds, and that bound."""
    found = []
    for bound in bounds(case.data, feeds):
        mine, theirs = measure.paired(ours, bound, runs)
        found.append((theirs / mine, mine, bound))
    # The better bound is the one that we come less close to.
    return min(found, key=lambda each: each[0])


def plain_function(case: Scored, table: pa.Table) -> Callable[[], object]:
    """Return a query of DuckDB in process that scores through a function of one's own."""
    scorer = session(case.data, 1)
    names = [value.name for value in scorer.get_inputs()]

    def score(*columns: pa.ChunkedArray) -> pa.Array:
        feeds = case.feeds(pa.table(dict(zip(case.columns, columns, strict=True))))
        return pa.array(scorer.run(None, {name: of(feeds, name) for name in names})[0])

    connection = duckdb.connect()
    connection.create_function("score", score, None, "BIGINT", type=PythonUDFType.ARROW)
    connection.register("t", table)
    query = f"SELECT avg(score({case.arguments})) FROM t"
    return lambda: connection.execute(query).fetchall()


class Served:
    """A server, its tables and a cursor."""

    def __init__(self, address: str, cursor: Any) -> None:
        self.address = address
        self.cursor = cursor

    def run(self, sql: str) -> list[Any]:
        """Return a statement's rows."""
        self.cursor.execute(sql)
        found: list[Any] = self.cursor.fetchall()
        return found

    def many(self, sql: str) -> None:
        """Run a statement on several connections at once."""

        def one() -> None:
            with measure.connect(self.address) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                cursor.fetchall()

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(one) for _ in range(AT_ONCE)]:
                done.result()


def scan(served: Served, cases: list[Scored], options: argparse.Namespace) -> list[measure.Row]:
    """Measure `SELECT avg(PREDICT(…))` against the bound for each model, alone and eight statements at once."""
    found = []
    for number, case in enumerate(cases):
        count = options.images if "image" in case.columns else options.rows
        columns = ", ".join(f"{sql} AS {name}" for name, sql in case.columns.items())
        served.cursor.execute(f"CREATE TABLE t{number} AS SELECT range AS id, {columns} FROM range({count})")
        served.cursor.execute(f"SELECT {case.arguments} FROM t{number}")
        table = served.cursor.fetch_arrow_table()
        served.cursor.execute(f"CREATE MODEL m{number} FROM ?", (case.data,))
        query = f"SELECT avg(PREDICT('m{number}', {case.arguments})) FROM t{number}"
        ours = partial(served.run, query)
        feeds = case.feeds(table)
        ratio, spent, bound = against_bound(ours, case, feeds, options.runs)
        target = None if case.target == "see scan" else case.target
        found.append(
            measure.Row(case.name, count / spent / 1e6, "M rows/s", ratio, target, "ONNX Runtime alone")
        )
        if case.target == "see scan":
            bare = f"SELECT {', '.join(f'sum({name})' for name in case.columns)} FROM t{number}"
            mine, theirs = measure.paired(ours, partial(served.run, bare), options.runs)
            found.append(
                measure.Row(
                    f"{case.name}, {BARE}", count / mine / 1e6, "M rows/s", theirs / mine, ">= 0.5", BARE
                )
            )
        mine, theirs = measure.paired(partial(served.many, query), bound, options.runs)
        found.append(
            # The bound scores the rows once, the statements eight times.
            measure.Row(
                f"{case.name}, {AT_ONCE} statements", AT_ONCE * count / mine / 1e6, "M rows/s", AT_ONCE * theirs / mine,
                None, "ONNX Runtime alone",
            )
        )  # fmt: skip
        mine, theirs = measure.paired(ours, plain_function(case, table), options.runs)
        found.append(
            measure.Row(
                f"{case.name}, a function of one's own", count / mine / 1e6, "M rows/s", theirs / mine, ">= 1",
                "DuckDB with an Arrow function",
            )
        )  # fmt: skip
    return found


def main() -> None:
    """Measure all models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=200_000)
    options = parser.parse_args()
    started = time.perf_counter()
    with (
        measure.lake_directory() as directory,
        measure.served(directory) as (address, _),
        measure.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        measure.report("predict", scan(Served(address, cursor), models(), options))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
