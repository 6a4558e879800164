"""A model that takes too much time or memory ends its statement, and after some of them is not run any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sessions import ADMIN, InProcess, opened
from slt import Refused

from scoter.engine.cancellation import Cancellation
from scoter.errors import Cancelled

LONG = "SELECT sum(PREDICT('slow', i)) FROM range(4000) AS r(i)"
GREEDY = "SELECT PREDICT('hungry', i * 1000000000000) FROM range(2) AS r(i)"
QUARANTINED = "38000] MODEL_QUARANTINED: main.{}@1 has ended 2 statements in a row"


@contextmanager
def lake(
    directory: Path, files: Path, *names: str, after: int = 2, seconds: float = 0.5, **query: object
) -> Iterator[InProcess]:
    models = {"allowed_prefixes": [str(files)], "quarantine_after": after, "batch_seconds": seconds}
    with opened(directory, models=models, query=query) as engine:
        session = InProcess(engine)
        for name in names:
            session.update(f"CREATE MODEL IF NOT EXISTS {name} FROM '{files}/{name}.onnx'")
        yield session


def refused(session: InProcess, sql: str) -> str:
    with pytest.raises(Refused) as caught:
        session.query(sql)
    return str(caught.value)


def test_a_batch_that_takes_too_long_ends(tmp_path: Path, model_files: Path) -> None:
    with lake(tmp_path, model_files, "slow", "pair") as session:
        started = time.monotonic()
        text = refused(session, LONG)
        assert time.monotonic() - started < 5
        assert "[57014] MODEL_TOO_SLOW: a batch of the model took longer than 0.5 s (1:12)" in text
        assert "models.batch_seconds" in text
        assert "MODEL_TOO_SLOW" in refused(session, LONG.replace("PREDICT", "TRY_PREDICT"))
        # The third is not run, however small it is; nothing else is touched.
        text = refused(session, "SELECT 1 + PREDICT('slow', 1)")
        assert QUARANTINED.format("slow") in text
        assert "by the time or memory that it took (1:12)" in text
        assert QUARANTINED.format("slow") in refused(
            session, "CREATE TABLE made AS SELECT PREDICT('slow', 1) AS p"
        )
        assert QUARANTINED.format("slow") in refused(session, "EXPLAIN ANALYZE SELECT PREDICT('slow', 1)")
        assert "main.slow version 1" in str(session.rows("EXPLAIN SELECT PREDICT('slow', 1)"))
        assert session.value("SELECT PREDICT('pair', 1, 2)") == 21
        session.update(f"ALTER MODEL slow ADD VERSION FROM '{model_files}/linear.onnx'")
        assert session.value("SELECT PREDICT('slow@2', 1, 1)") == 3
    with lake(tmp_path, model_files, "slow", "pair") as session:
        assert session.value("SELECT PREDICT('slow', 1)") == 1


def test_a_model_without_memory_ends(tmp_path: Path, model_files: Path) -> None:
    with lake(tmp_path, model_files, "hungry", "pair") as session:
        assert "[53200] OUT_OF_MEMORY: the model ran out of memory" in refused(session, GREEDY)
        # One that goes well between them is enough.
        assert session.value("SELECT PREDICT('hungry', 3)") == 0
        for _ in range(2):
            assert "[53200]" in refused(session, GREEDY)
        assert QUARANTINED.format("hungry") in refused(session, "SELECT PREDICT('hungry', 3)")
        assert session.value("SELECT PREDICT('pair', 1, 2)") == 21
        # The file is meant, not the name.
        session.update(f"CREATE MODEL other FROM '{model_files}/hungry.onnx'")
        assert "MODEL_QUARANTINED" in refused(session, "SELECT PREDICT('other', 1)")


def test_the_time_of_the_server_counts_the_users_does_not(tmp_path: Path, model_files: Path) -> None:
    with lake(tmp_path, model_files, "slow", seconds=0, statement_timeout=0.6) as session:
        session.update("SET statement_timeout = '500ms'")
        for _ in range(3):
            assert "STATEMENT_TIMEOUT" in refused(session, LONG)
        session.update("RESET statement_timeout")
        for _ in range(3):
            cancellation = Cancellation()
            timer = threading.Timer(0.3, cancellation.cancel)
            timer.start()
            plan = session.engine.plan(LONG, session.context)
            with pytest.raises(Cancelled, match="CANCELLED"):
                list(session.engine.run(plan, session.engine.context(ADMIN), cancellation=cancellation))
            timer.join()
        # Nor does a statement that takes its time elsewhere.
        elsewhere = "SELECT sum(hash(i) % 7) + any_value(PREDICT('slow', 1)) FROM range(100000000000) AS r(i)"
        for _ in range(2):
            assert "STATEMENT_TIMEOUT" in refused(session, elsewhere)
        for _ in range(2):
            assert "STATEMENT_TIMEOUT" in refused(session, LONG)
        assert QUARANTINED.format("slow") in refused(session, "SELECT PREDICT('slow', 1)")


def test_without_a_number_no_model_is_kept_away(tmp_path: Path, model_files: Path) -> None:
    with lake(tmp_path, model_files, "hungry", after=0) as session:
        for _ in range(4):
            assert "[53200]" in refused(session, GREEDY)
        assert session.value("SELECT PREDICT('hungry', 3)") == 0


def test_the_watch_ends_with_the_lake(tmp_path: Path, model_files: Path) -> None:
    with lake(tmp_path, model_files, "pair") as session:
        session.value("SELECT PREDICT('pair', i, 2) FROM range(1) AS r(i)")
        assert [thread.name for thread in threading.enumerate()].count("scoter-batches") == 1
    assert "scoter-batches" not in [thread.name for thread in threading.enumerate()]
