"""Memory, time, places and cancellation: a statement that is ended harms no other, and leaves nothing."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sessions import InProcess, opened
from slt import Refused

from scoter.engine.cancellation import Cancellation
from scoter.errors import ScoterError

pytestmark = pytest.mark.alone

MIB = 1024 * 1024
LONG = "SELECT count(*) FROM range(1000000) AS a(x), range(1000000) AS b(y) WHERE (x * y) % 7 = 3"
GREEDY = "SELECT len(list(i)) FROM range(30000000) AS r(i)"
SLOW = "SELECT max(PREDICT('slow', i)) FROM range(100000) AS r(i)"
PROMPT = 10.0  # seconds, on a busy machine; what is ended here would take a minute and more


@contextmanager
def limited(tmp_path: Path, model_files: Path, **query: object) -> Iterator[InProcess]:
    models = {"allowed_prefixes": [str(model_files)]}
    with opened(tmp_path / "lake", models=models, query=query) as engine:
        yield InProcess(engine)


def idle(session: InProcess) -> list:
    return list(session.engine.instances._idle)


def files(session: InProcess) -> list[Path]:
    return sorted(session.engine.settings.warehouse.rglob("*.parquet"))


def refused(session: InProcess, sql: str) -> str:
    with pytest.raises(Refused) as caught:
        session.query(sql)
    return str(caught.value)


def test_out_of_memory(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, statement_memory=64 * MIB, concurrency=1) as session:
        session.rows("SELECT 1")
        (before,) = idle(session)
        text = refused(session, GREEDY)
        assert "[53200] OUT_OF_MEMORY" in text
        assert "Hint" in text
        assert session.value("SELECT sum(i)::BIGINT FROM range(100000) AS r(i)") == 4999950000
        (after,) = idle(session)
        assert after is not before
        # A write that runs out of memory leaves no table and no file.
        assert "53200" in refused(
            session, "CREATE TABLE t AS SELECT list(i) AS l FROM range(30000000) AS r(i)"
        )
        assert "42P01" in refused(session, "SELECT * FROM t")
        assert files(session) == []


def test_neighbours_of_a_greedy_statement_go_on(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, statement_memory=64 * MIB, concurrency=3) as session:
        session.update("CREATE TABLE t AS SELECT i % 100 AS k, i AS v FROM range(300000) AS r(i)")
        expected = session.rows("SELECT k, sum(v)::BIGINT FROM t GROUP BY k ORDER BY k")
        stop = threading.Event()
        wrong: list[object] = []
        count = [0, 0]

        def neighbour(place: int) -> None:
            mine = InProcess(session.engine)
            while not stop.is_set():
                try:
                    found = mine.rows("SELECT k, sum(v)::BIGINT FROM t GROUP BY k ORDER BY k")
                except Refused as error:
                    wrong.append(error)
                    return
                if found != expected:
                    wrong.append(found)
                count[place] += 1

        threads = [threading.Thread(target=neighbour, args=(place,)) for place in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            assert "[53200]" in refused(session, GREEDY)
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert min(count) >= 3


def test_the_temporary_space_has_an_end(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, statement_memory=64 * MIB, temp_bytes=8 * MIB) as session:
        text = refused(
            session,
            "SELECT max(x) FROM (SELECT hash(i) AS x, i FROM range(20000000) AS r(i) ORDER BY x, i OFFSET 5)",
        )
        assert "[53100]" in text or "[53200]" in text
        assert session.value("SELECT 1") == 1


@pytest.mark.parametrize("sql", [LONG, SLOW, f"CREATE TABLE made AS {SLOW}", f"EXPLAIN ANALYZE {LONG}"])
def test_statement_timeout(tmp_path: Path, model_files: Path, sql: str) -> None:
    with limited(tmp_path, model_files) as session:
        session.update(f"CREATE MODEL slow FROM '{model_files}/slow.onnx'")
        session.update("SET statement_timeout = '500ms'")
        started = time.monotonic()
        text = refused(session, sql)
        spent = time.monotonic() - started
        assert "[57014] STATEMENT_TIMEOUT" in text
        assert 0.4 < spent < PROMPT
        session.update("RESET statement_timeout")
        assert session.value("SELECT PREDICT('slow', 3)") == 3
        assert "42P01" in refused(session, "SELECT * FROM made")
        assert files(session) == []


def test_the_timeout_of_the_settings(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, statement_timeout=0.3) as session:
        assert "STATEMENT_TIMEOUT" in refused(session, LONG)
        # A session's own wins.
        session.update("SET statement_timeout = '700ms'")
        started = time.monotonic()
        assert "STATEMENT_TIMEOUT" in refused(session, LONG)
        assert time.monotonic() - started > 0.6


@pytest.mark.parametrize("sql", [LONG, SLOW])
def test_cancel_from_another_thread(tmp_path: Path, model_files: Path, sql: str) -> None:
    with limited(tmp_path, model_files) as session:
        session.update(f"CREATE MODEL slow FROM '{model_files}/slow.onnx'")
        result = session.engine.execute(sql, session.context)
        timer = threading.Timer(0.5, result.cancel)
        timer.start()
        started = time.monotonic()
        with pytest.raises(ScoterError, match=r"\[57014\] CANCELLED"):
            result.read_all()
        assert time.monotonic() - started < PROMPT
        timer.join()
        result.cancel()
        assert session.engine.instances.running == 0
        assert session.value("SELECT PREDICT('slow', 2)") == 2


def test_cancel_a_write(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files) as session:
        session.update(f"CREATE MODEL slow FROM '{model_files}/slow.onnx'")
        session.update("CREATE TABLE t AS SELECT 1.0::FLOAT AS x")
        before = files(session)
        for sql in (
            "INSERT INTO t SELECT PREDICT('slow', i) FROM range(100000) AS r(i)",
            "INSERT INTO t SELECT random() FROM range(2000000000)",
        ):
            plan = session.engine.plan(sql, session.context)
            cancellation = Cancellation()
            timer = threading.Timer(0.7, cancellation.cancel)
            timer.start()
            started = time.monotonic()
            with pytest.raises(ScoterError, match=r"\[57014\]"):
                session.engine.run(plan, session.context, cancellation=cancellation)
            assert time.monotonic() - started < PROMPT
            timer.join()
        assert files(session) == before
        assert session.rows("SELECT count(*) FROM t") == [(1,)]
        assert session.value('SELECT count(*) FROM "t$snapshots"') == 1


def test_cancelled_before_it_starts(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files) as session:
        session.update("CREATE TABLE t (a INTEGER)")
        cancellation = Cancellation()
        cancellation.cancel()
        for sql in ("INSERT INTO t VALUES (1)", "CREATE TABLE u AS SELECT 1 AS a"):
            plan = session.engine.plan(sql, session.context)
            with pytest.raises(ScoterError, match=r"\[57014\]"):
                session.engine.run(plan, session.context, cancellation=cancellation).read_all()
        plan = session.engine.plan("SELECT 1 AS a", session.context)
        with pytest.raises(ScoterError, match=r"\[57014\]"):
            session.engine.run(plan, session.context, cancellation=cancellation).read_all()
        assert session.value("SELECT count(*) FROM t") == 0


def test_a_statement_waits_for_a_place(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, concurrency=1, queue=1, queue_seconds=2) as session:
        held = session.engine.execute("SELECT * FROM range(10000000)", session.context)
        next(iter(held))
        text = refused(session, "SELECT 1")
        assert "[53300] TOO_MANY_STATEMENTS" in text
        waited: list[object] = []
        thread = threading.Thread(target=lambda: waited.append(InProcess(session.engine).value("SELECT 2")))
        thread.start()
        time.sleep(0.2)
        # One waits already: the queue is full.
        started = time.monotonic()
        assert "[53300]" in refused(session, "SELECT 1")
        assert time.monotonic() - started < 1.5
        held.close()
        thread.join()
        assert waited == [2]


def test_many_statements_at_once_get_their_own_rows(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, concurrency=2) as session:
        session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
        session.update("CREATE TABLE t AS SELECT i AS id FROM range(5000) AS r(i)")
        wrong: list[object] = []

        def ask(number: int) -> None:
            mine = InProcess(session.engine)
            mine.update(f"SET timezone = '{'Asia/Tokyo' if number % 2 else 'UTC'}'")
            for i in range(8):
                key = number * 100 + i
                rows = mine.rows(f"SELECT id, PREDICT('pair', id, {number}) FROM t WHERE id = {key}")
                hour = mine.value("SELECT hour(TIMESTAMPTZ '2024-01-01 00:00:00Z')")
                if rows != [(key, key + 10.0 * number)] or hour != (9 if number % 2 else 0):
                    wrong.append((rows, hour))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_big_result_streams(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, statement_memory=64 * MIB, concurrency=1) as session:
        result = session.engine.execute(
            "SELECT i, i::VARCHAR AS s FROM range(20000000) AS r(i)", session.context
        )
        limit = session.engine.settings.server.batch_bytes
        rows = largest = 0
        for batch in result:
            rows += batch.num_rows
            largest = max(largest, batch.nbytes)
        assert rows == 20_000_000
        assert largest <= limit


def test_close_ends_what_runs(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files) as session:
        result = session.engine.execute(LONG, session.context)
        threading.Timer(0.3, session.engine.close).start()
        with pytest.raises(ScoterError):
            result.read_all()


def test_a_result_dropped_unread_gives_its_place_back(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, concurrency=1, queue_seconds=PROMPT) as session:
        engine = session.engine
        for _ in range(5):
            engine.execute(LONG, session.context)
            assert session.value("SELECT 1") == 1


def test_a_result_is_held_by_who_reads_it(tmp_path: Path, model_files: Path) -> None:
    with limited(tmp_path, model_files, concurrency=1, queue_seconds=PROMPT) as session:
        # Nothing but the loop knows the result.
        rows = 0
        for batch in session.engine.execute("SELECT i FROM range(1000000) AS r(i)", session.context):
            gc.collect()
            rows += batch.num_rows
        assert rows == 1_000_000
        reading = iter(session.engine.execute(LONG, session.context))
        del reading
        assert session.value("SELECT 1") == 1
