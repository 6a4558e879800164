"""Readers, writers and definitions at once in one process: every statement sees whole commits only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from sessions import InProcess, opened
from slt import Refused

SECONDS = 3.0
BATCH = 10


def together(*loops: Callable[[], None]) -> list[BaseException]:
    """Run loops in threads until the time is over or one fails; return what they raised."""
    end = time.monotonic() + SECONDS
    raised: list[BaseException] = []

    def repeat(loop: Callable[[], None]) -> None:
        try:
            while time.monotonic() < end and not raised:
                loop()
        except BaseException as error:  # noqa: BLE001  # reported by the caller
            raised.append(error)

    threads = [threading.Thread(target=repeat, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_readers_see_whole_commits(tmp_path: Path, model_files: Path) -> None:
    models = {"allowed_prefixes": [str(model_files)]}
    with opened(tmp_path, models=models, query={"concurrency": 4}) as engine:
        admin = InProcess(engine)
        admin.update("CREATE TABLE t (batch INTEGER, n INTEGER) PARTITIONED BY (bucket(2, n))")
        admin.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
        admin.update(f"ALTER MODEL m ADD VERSION FROM '{model_files}/pair_hundred.onnx'")
        done = [0, 0]

        def writer(who: int) -> Callable[[], None]:
            session = InProcess(engine)

            def write() -> None:
                number = done[who]
                sql = f"INSERT INTO t SELECT {who * 100000 + number}, i FROM range({BATCH}) AS r(i)"
                assert session.update(sql) == BATCH
                done[who] += 1

            return write

        def reader() -> Callable[[], None]:
            session = InProcess(engine)
            seen = [0]

            def read() -> None:
                before = sum(done)
                (rows, batches, odd) = session.rows(
                    "SELECT count(*), count(DISTINCT batch), "
                    f"(SELECT count(*) FROM (SELECT batch FROM t GROUP BY batch HAVING count(*) <> {BATCH}) AS q) FROM t"
                )[0]
                assert odd == 0
                assert rows == batches * BATCH
                assert batches >= max(seen[0], before)
                seen[0] = batches
                # Two mentions of one table in one statement are one moment.
                assert session.value("SELECT (SELECT count(*) FROM t) = (SELECT count(*) FROM t AS u)")

            return read

        def turner() -> Callable[[], None]:
            session = InProcess(engine)
            version = [1]

            def turn() -> None:
                version[0] = 3 - version[0]
                session.update(f"ALTER MODEL m SET DEFAULT_VERSION = {version[0]}")

            return turn

        def scorer() -> Callable[[], None]:
            session = InProcess(engine)

            def score() -> None:
                # One statement uses one version, also where it calls the model twice.
                rows = session.rows(
                    "SELECT PREDICT('m', 1, 1), max(PREDICT('m', i, 1)) FROM range(2) AS r(i)"
                )
                assert rows in ([(11.0, 11.0)], [(101.0, 101.0)])

            return score

        raised = together(writer(0), writer(1), reader(), reader(), turner(), scorer())
        assert raised == []
        assert min(done) > 0
        assert admin.value("SELECT count(*) FROM t") == sum(done) * BATCH
        assert engine.instances.running == 0


def test_definitions_come_and_go(tmp_path: Path) -> None:
    with opened(tmp_path, query={"concurrency": 4}) as engine:
        admin = InProcess(engine)
        admin.update("CREATE TABLE t AS SELECT 1 AS a")

        def definer() -> Callable[[], None]:
            session = InProcess(engine)

            def define() -> None:
                session.update("DROP TABLE t")
                session.update("CREATE TABLE t AS SELECT 1 AS a")

            return define

        def reader() -> Callable[[], None]:
            session = InProcess(engine)

            def read() -> None:
                try:
                    assert session.rows("SELECT a FROM t") == [(1,)]
                except Refused as error:
                    assert "[42P01]" in str(error), error  # noqa: PT017  # both outcomes are right

            return read

        def lister() -> Callable[[], None]:
            session = InProcess(engine)

            def show() -> None:
                assert session.rows("SHOW TABLES") in ([], [("lake", "main", "t")])
                session.rows("SELECT * FROM information_schema.columns")

            return show

        assert together(definer(), reader(), reader(), lister()) == []
