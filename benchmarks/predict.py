"""PREDICT over an Iceberg table against ONNX Runtime alone, and the memory of a large scored INSERT.

Run: python benchmarks/predict.py. The bound has the rows in memory already and gives them to ONNX
Runtime in 16,384-row batches: the better of intra-op threads = cores, and one thread per core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import measure
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from models_zoo import strict_integers

FEATURES = 28
BATCH = 16_384
NAMES = [f"f{i}" for i in range(FEATURES)]
TARGETS = {"boosting, 100 trees": ">= 0.75", "MLP 64-32": ">= 0.2", "logistic regression": ">= 5 M rows/s"}


def models() -> dict[str, bytes]:
    """Train the three models on data that they can learn, and return them as ONNX files."""
    draw = np.random.default_rng(7)
    rows = draw.random((20_000, FEATURES), dtype=np.float32)
    score = rows @ draw.normal(size=FEATURES) + 2 * rows[:, 0] * rows[:, 1]
    late = (score > np.median(score)).astype(np.int64)
    estimators = {
        "boosting, 100 trees": HistGradientBoostingClassifier(max_iter=100, early_stopping=False),
        "MLP 64-32": MLPClassifier((64, 32), max_iter=20, random_state=7),
        "logistic regression": LogisticRegression(),
    }
    found = {}
    with warnings.catch_warnings(), strict_integers():
        warnings.simplefilter("ignore")
        for name, estimator in estimators.items():
            estimator.fit(rows, late)
            found[name] = to_onnx(estimator, rows[:1], options={"zipmap": False}).SerializeToString()
    return found


def session(data: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return a session with that many intra-op threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def bounds(data: bytes, rows: NDArray[np.float32]) -> list[Callable[[], None]]:
    """Return the two ways to run ONNX Runtime alone on all cores."""
    cores = os.cpu_count() or 1
    many, one = session(data, cores), session(data, 1)
    name = many.get_inputs()[0].name

    def part(scorer: Any, start: int, step: int) -> None:
        for first in range(start, len(rows), step):
            scorer.run(None, {name: rows[first : first + BATCH]})

    def threads() -> None:
        with ThreadPoolExecutor(cores) as pool:
            for done in [pool.submit(part, one, n * BATCH, cores * BATCH) for n in range(cores)]:
                done.result()

    return [lambda: part(many, 0, BATCH), threads]


def scan(count: int, options: argparse.Namespace) -> list[measure.Row]:
    """Measure `SELECT avg(PREDICT(…))` against the bound for each model."""
    columns = ", ".join(
        f"CAST(hash(range * {FEATURES} + {i}) % 1000000 / 1e6 AS FLOAT) AS {n}" for i, n in enumerate(NAMES)
    )
    found = []
    with (
        measure.lake_directory() as directory,
        measure.served(directory) as (address, _),
        measure.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE TABLE t AS SELECT {columns} FROM range({count})")
        cursor.execute(f"SELECT {', '.join(NAMES)} FROM t")
        table = cursor.fetch_arrow_table()
        rows = np.column_stack([table.column(name).to_numpy() for name in NAMES])
        for number, (label, data) in enumerate(models().items()):
            cursor.execute(f"CREATE MODEL m{number} FROM ?", (data,))
            query = f"SELECT avg(PREDICT('m{number}', {', '.join(NAMES)})) FROM t"

            def ours(query: str = query) -> None:
                cursor.execute(query)
                cursor.fetchall()

            ratio, speed = 9e9, 0.0
            for bound in bounds(data, rows):
                mine, theirs = measure.paired(ours, bound, options.runs)
                # The better bound is the one that we come less close to.
                if theirs / mine < ratio:
                    ratio, speed = theirs / mine, count / mine / 1e6
            found.append(measure.Row(label, speed, "M rows/s", ratio, TARGETS[label], "ONNX Runtime alone"))
    return found


def insert(count: int) -> list[measure.Row]:
    """Measure the server's memory and speed while it scores and stores ``count`` rows."""
    with (
        measure.lake_directory() as directory,
        measure.served(directory) as (address, pid),
        measure.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE MODEL m FROM ?", (models()["logistic regression"],))
        columns = ", ".join(f"CAST((range + {i}) % 1000 AS FLOAT) / 1000 AS {n}" for i, n in enumerate(NAMES))
        statement = (
            f"CREATE TABLE scores AS SELECT id, PREDICT('m', {', '.join(NAMES)}) AS p "
            f"FROM (SELECT range AS id, {columns} FROM range({{}}))"
        )
        cursor.execute(statement.replace("scores", "warm").format(100_000))
        insertion = statement.replace("CREATE TABLE scores AS", "INSERT INTO warm").format(count)
        peak = measure.Peak(pid)
        started = time.perf_counter()
        cursor.execute(insertion)
        spent = time.perf_counter() - started
        grown = peak.end()
    return [
        measure.Row(f"INSERT of {count / 1e6:g} M scored rows", count / spent / 1e6, "M rows/s"),
        measure.Row("memory growth in that INSERT", grown, "MiB", grown / 1024, "<= 1", "1 GiB"),
    ]


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--inserted", type=int, default=20_000_000)
    options = parser.parse_args()
    measure.report("predict", scan(options.rows, options) + insert(options.inserted))


if __name__ == "__main__":
    main()
