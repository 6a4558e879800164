"""What scoring is for: a table of scores, the first call, one row at a time, and the memory of many rows.

Run: python benchmarks/predict_jobs.py. The round trip is what one does without models in SQL: fetch the rows over ADBC,
score them in Python with ONNX Runtime on all cores, and ingest the scores. Where the target is missed, what ONNX Runtime
alone takes for the rows in memory is measured against the same way: nothing that scores with it can be further ahead.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import measure
import pyarrow as pa
from predict import bounds, of, session
from scored import NUMBERS, Scored, models

ROUND_TRIP = 3
IN_BULK = ("MLP 64-32", "boosting, 100 trees")


def filled(cursor: Any, cases: list[Scored], counts: list[int]) -> None:
    """Make a table of rows and a model for each case."""
    for number, (case, count) in enumerate(zip(cases, counts, strict=True)):
        columns = ", ".join(f"{sql} AS {name}" for name, sql in case.columns.items())
        cursor.execute(f"CREATE TABLE t{number} AS SELECT range AS id, {columns} FROM range({count})")
        cursor.execute(f"CREATE MODEL m{number} FROM ?", (case.data,))


def round_trips(cursor: Any, cases: list[Scored], counts: list[int], runs: int) -> list[measure.Row]:
    """Measure `INSERT INTO scores SELECT … PREDICT(…)` against the way through Python."""
    found = []
    for number, (case, count) in enumerate(zip(cases, counts, strict=True)):
        # A table of its own: a commit takes longer the more commits a table has.
        cursor.execute(f"CREATE TABLE scores{number} (id BIGINT, p BIGINT)")
        scorer = session(case.data, os.cpu_count() or 1)

        def through_python(number: int = number, case: Scored = case, scorer: Any = scorer) -> None:
            cursor.execute(f"SELECT id, {case.arguments} FROM t{number}")
            rows = cursor.fetch_arrow_table()
            feeds = case.feeds(rows)
            given = {value.name: of(feeds, value.name) for value in scorer.get_inputs()}
            ready = pa.table({"id": rows.column("id"), "p": scorer.run(None, given)[0]})
            cursor.adbc_ingest(f"scores{number}", ready, mode="append")

        def ours(number: int = number, case: Scored = case) -> None:
            cursor.execute(
                f"INSERT INTO scores{number} SELECT id, PREDICT('m{number}', {case.arguments}) FROM t{number}"
            )

        mine, theirs = measure.paired(ours, through_python, runs)
        if theirs / mine < ROUND_TRIP:
            cursor.execute(f"SELECT {case.arguments} FROM t{number}")
            limits = bounds(case.data, case.feeds(cursor.fetch_arrow_table()))
            ratio, alone = max(_ratio(limit, through_python, runs) for limit in limits)
            found.append(
                measure.Row(
                    f"ONNX Runtime alone, {case.name}", count / alone / 1e6, "M rows/s", ratio, None,
                    "fetch, score in Python, ingest",
                )
            )  # fmt: skip
        found.append(
            measure.Row(
                f"scores of {count / 1e6:g} M rows, {case.name}", count / mine / 1e6, "M rows/s", theirs / mine,
                f">= {ROUND_TRIP}", "fetch, score in Python, ingest",
            )
        )  # fmt: skip
    return found


def _ratio(work: Callable[[], None], peer: Callable[[], None], runs: int) -> tuple[float, float]:
    """Return how many times as long the peer takes, and the seconds of the work."""
    mine, theirs = measure.paired(work, peer, runs)
    return theirs / mine, mine


def single(cursor: Any, cases: list[Scored], calls: int) -> list[measure.Row]:
    """Measure a prepared PREDICT of one row of bound values."""
    found = []
    for number, case in enumerate(cases):
        cursor.execute(f"SELECT {case.arguments} FROM t{number} LIMIT 1")
        values = list(cursor.fetchone())
        marks = ("CAST(? AS FLOAT[])" if isinstance(value, list) else "?" for value in values)
        sql = f"SELECT PREDICT('m{number}', {', '.join(marks)}) AS p"
        spent = []
        for _ in range(calls):
            started = time.perf_counter()
            cursor.execute(sql, values)
            cursor.fetchall()
            spent.append((time.perf_counter() - started) * 1000)
        hundredths = statistics.quantiles(spent, n=100)
        found.append(measure.Row(f"one bound row, p50, {case.name}", hundredths[49], "ms"))
        found.append(measure.Row(f"one bound row, p99, {case.name}", hundredths[98], "ms"))
    return found


def first_calls(directory: Path, cases: list[Scored], servers: int) -> list[measure.Row]:
    """Measure the first call of each model after a server has started, and the next one: medians of some servers."""
    found = []
    for number, case in enumerate(cases):
        sql = f"SELECT PREDICT('m{number}', {case.arguments}) FROM t{number} LIMIT 1"
        cold, warm = zip(*(_first_two(directory, sql) for _ in range(servers)), strict=True)
        found.append(measure.Row(f"first call, {case.name}", statistics.median(cold), "ms"))
        found.append(measure.Row(f"second call, {case.name}", statistics.median(warm), "ms"))
    return found


def _first_two(directory: Path, sql: str) -> tuple[float, float]:
    """Return what the first two runs of a query take on a fresh server that has answered another one, in milliseconds."""
    with (
        measure.served(directory) as (address, _),
        measure.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        _asked(cursor, "SELECT 1")
        return _timed(partial(_asked, cursor, sql)), _timed(partial(_asked, cursor, sql))


def _asked(cursor: Any, sql: str) -> None:
    cursor.execute(sql)
    cursor.fetchall()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def memory(cases: list[Scored], counts: tuple[int, ...]) -> list[measure.Row]:
    """Measure how the server's memory grows while it scores more and more rows of a table and stores the scores."""
    columns = ", ".join(f"CAST((range + {i}) % 1000 AS FLOAT) / 1000 AS {n}" for i, n in enumerate(NUMBERS))
    found: list[measure.Row] = []
    with (
        measure.lake_directory() as directory,
        measure.served(directory) as (address, pid),
        measure.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE TABLE many AS SELECT range AS id, {columns} FROM range({counts[-1]})")
        for number, name in enumerate(IN_BULK):
            case = next(each for each in cases if each.name == name)
            cursor.execute(f"CREATE MODEL m{number} FROM ?", (case.data,))
            cursor.execute(f"CREATE TABLE scores{number} (id BIGINT, p BIGINT)")
            into = (
                f"INSERT INTO scores{number} SELECT id, PREDICT('m{number}', {', '.join(NUMBERS)}) FROM many"
            )
            cursor.execute(f"{into} WHERE id < {counts[0] // 10}")
            for count in counts:
                peak = measure.Peak(pid)
                started = time.perf_counter()
                cursor.execute(f"{into} WHERE id < {count}")
                spent = time.perf_counter() - started
                grown, millions = peak.end(), f"{count / 1e6:g} M"
                found.append(
                    measure.Row(f"INSERT of {millions} scored rows, {name}", count / spent / 1e6, "M rows/s")
                )
                limit = (grown / 1024, "<= 1", "1 GiB") if count == counts[-1] else ()
                found.append(
                    measure.Row(
                        f"memory growth in the INSERT of {millions} rows, {name}", grown, "MiB", *limit
                    )
                )
    return found


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--servers", type=int, default=3, help="servers for the first calls of each model")
    parser.add_argument(
        "--inserted", type=int, default=10_000_000, help="rows of the smaller INSERT, a fifth of the larger"
    )
    options = parser.parse_args()
    cases = models()
    counts = [options.images if "image" in case.columns else options.rows for case in cases]
    with measure.lake_directory() as directory:
        with (
            measure.served(directory) as (address, _),
            measure.connect(address) as connection,
            connection.cursor() as cursor,
        ):
            filled(cursor, cases, counts)
            rows = round_trips(cursor, cases, counts, options.runs)
            rows += single(cursor, cases, options.calls)
        rows += first_calls(directory, cases, options.servers)
    rows += memory(cases, (options.inserted, 5 * options.inserted))
    measure.report("predict_jobs", rows)


if __name__ == "__main__":
    main()
