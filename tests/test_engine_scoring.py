"""Predictions over many rows are scored between two queries; nobody can tell but by the time it takes."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from flight_sql import wait_for
from sessions import ADMIN, InProcess, opened
from slt import Refused

from scoter.engine import running, staged_rows
from scoter.engine.cancellation import Cancellation
from scoter.engine.instances import Instance
from scoter.errors import Cancelled, OutcomeUnknown

ROWS = 60_000
AVERAGE = "SELECT avg(PREDICT('pair', a, b)) FROM t"


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model_files: Path):
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)], "inline": False}) as engine:
        session = InProcess(engine)
        session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
        session.update(f"CREATE MODEL second FROM '{model_files}/pair.onnx'")
        session.update(
            f"CREATE MODEL strict FROM '{model_files}/pair.onnx' INPUT (a FLOAT ON NULL ERROR, b FLOAT)"
        )
        session.update(
            "CREATE TABLE t AS SELECT i AS id, CASE WHEN i % 10 <> 0 THEN i % 7 END AS a, i % 5 AS b, "
            "'n' || i AS text, md5(i::VARCHAR)::UUID AS key, i::DECIMAL(20, 3) AS exact, "
            f"TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_hours(i) AS at FROM range({ROWS}) AS r(i)"
        )
        yield session


def is_apart(lake: InProcess, sql: str) -> bool:
    return lake.engine.plan(sql, lake.context).staged is not None


def scorers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("scoter-score")]


def logged(lake: InProcess) -> dict:
    assert lake.engine.settings.log is not None
    return json.loads(lake.engine.settings.log.read_text().splitlines()[-1])


def test_many_rows_are_scored_apart_and_counted(lake):
    assert is_apart(lake, AVERAGE)
    assert not is_apart(lake, "SELECT PREDICT('pair', 1, 2)")
    expected = lake.value("SELECT avg((a + 10 * b)::FLOAT) FROM t")
    assert lake.value(AVERAGE) == pytest.approx(expected)
    line = logged(lake)
    assert (line["rows_scored"], line["rows_skipped"]) == (ROWS, ROWS // 10)
    assert scorers() == []


def test_rows_keep_their_order_and_their_values(lake):
    sql = "SELECT id, text, exact, at, PREDICT('pair', a, b) AS p FROM t"
    assert is_apart(lake, sql)
    expected = lake.query("SELECT id, text, exact, at, (a + 10 * b)::FLOAT AS p FROM t")
    assert lake.query(sql).equals(expected)
    lake.update("SET timezone = 'America/New_York'")
    assert lake.query(sql + " -- again")["at"][0].as_py() == expected["at"][0].as_py()
    lake.update("RESET timezone")


def test_a_value_that_arrow_would_change_keeps_the_rows_in_one_query(lake):
    sql = "SELECT key, PREDICT('pair', a, b) AS p FROM t"
    assert lake.query(sql).equals(lake.query("SELECT key, (a + 10 * b)::FLOAT AS p FROM t"))


def test_a_write_is_scored_apart(lake):
    assert lake.update("CREATE TABLE scores AS SELECT id, PREDICT('pair', a, b) AS p FROM t") == ROWS
    assert lake.update("INSERT INTO scores SELECT id, PREDICT('pair', a, b) FROM t WHERE id < 100") == 100
    assert logged(lake)["rows_scored"] == 100
    assert lake.value("SELECT count(p) FROM scores") == ROWS - ROWS // 10 + 90
    lake.update("DROP TABLE scores")


def test_what_reads_the_rows_is_locked_and_takes_its_memory_from_the_statements(lake):
    lake.query(AVERAGE)
    (instance,) = lake.engine.instances._idle
    assert instance._reading is not None
    found = []
    for database in (instance._main, instance._reading):
        connection = database.connection
        with pytest.raises(duckdb.Error, match="locked"):
            connection.execute("SET enable_external_access=true")
        with pytest.raises(duckdb.Error, match=r"[Pp]ermission"):
            connection.execute("SELECT * FROM read_text('/etc/hostname')")
        ((memory, temporary),) = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('max_temp_directory_size')"
        ).fetchall()
        found.append((memory, temporary))
    (main, _), (reading, spilled) = found
    assert spilled.startswith("0")
    assert bytes_of(main) == pytest.approx(7 * bytes_of(reading), rel=0.05)
    assert bytes_of(main) + bytes_of(reading) == pytest.approx(lake.engine.instances.memory, rel=0.05)


def test_rows_too_large_for_the_reader_are_read_again_from_the_first_database(
    tmp_path, model_files, monkeypatch
):
    """From the row on that it had come to: none is lost, none is there twice."""
    count, large = 460_000, 400_000
    monkeypatch.setattr("scoter.engine.instances._share", lambda _: 24 << 20)
    taken: list[list[int]] = [[]]
    batches_of, open_cursor = staged_rows._batches_of, Instance.open_cursor

    def batches(relation):
        for batch in batches_of(relation):
            taken[-1].append(batch.num_rows)
            yield batch

    def cursor(instance):
        taken.append([])
        return open_cursor(instance)

    monkeypatch.setattr(staged_rows, "_batches_of", batches)
    monkeypatch.setattr(Instance, "open_cursor", cursor)
    with opened(tmp_path, models={"allowed_prefixes": [str(model_files)], "inline": False}) as engine:
        session = InProcess(engine)
        session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
        text = f"CASE WHEN i < {large} THEN i::VARCHAR ELSE repeat(md5(i::VARCHAR), 30) END"
        session.update(
            f"CREATE TABLE t AS SELECT i AS id, (i % 7)::FLOAT AS a, {text} AS text FROM range({count}) AS r(i)"
        )
        found = session.query("SELECT id, length(text) AS n, PREDICT('pair', a, 1) AS p FROM t")
    first, second = taken
    assert sum(first) <= large  # most often, rows were read before the large ones
    assert sum(second) == count
    assert found["id"].to_pylist() == list(range(count))
    assert found["n"].to_pylist()[large - 1 : large + 1] == [6, 960]
    assert found["p"].to_pylist() == [i % 7 + 10 for i in range(count)]


def bytes_of(shown: str) -> float:
    number, unit = shown.split()
    return float(number) * {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[unit]


def test_several_stages_are_read_at_once(lake):
    one = "SELECT id, PREDICT('pair', a, b) AS p FROM t"
    sql = f"{one} UNION ALL {one.replace('pair', 'second')}"
    assert is_apart(lake, sql)
    assert len(lake.engine.plan(sql, lake.context).staged.stages) == 2
    expected = lake.query("SELECT id, (a + 10 * b)::FLOAT AS p FROM t")
    assert lake.query(sql).equals(pa.concat_tables([expected, expected]).combine_chunks())
    result = lake.engine.run(lake.engine.plan(sql, lake.context), lake.context)
    next(result)
    result.close()
    assert wait_for(lambda: scorers() == [])


def test_a_score_that_another_query_reads_is_not_scored_apart(lake):
    scored = "SELECT id, PREDICT('pair', a, b) AS p FROM t"
    for sql in (f"SELECT max(id) FROM ({scored})", f"WITH s AS ({scored}) SELECT * FROM s WHERE id = 5"):
        assert not is_apart(lake, sql)
        lake.query(sql)
        assert logged(lake).get("rows_scored", 0) <= 1


def test_a_column_by_its_position_is_that_of_the_table(lake):
    assert lake.value("SELECT max(#1) FROM t WHERE b = 4") == lake.value("SELECT max(id) FROM t WHERE b = 4")
    rows = lake.rows("SELECT max(#1), max(PREDICT('pair', a, b)) FROM t WHERE b = 4")
    assert rows == lake.rows("SELECT max(id), max((a + 10 * b)::FLOAT) FROM t WHERE b = 4")


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        (
            "SELECT avg(PREDICT('strict', a, b)) FROM t",
            '23502] NOT_NULL_VIOLATION: the model input "a" is NULL (1:12)',
        ),
        ("SELECT avg(PREDICT('pair', a, text::INTEGER)) FROM t", "22P02]"),
        ("SELECT avg(PREDICT('pair', a, b)) FROM t WHERE error(text) IS NULL", "22023]"),
    ],
)
def test_an_error_in_a_stage_is_the_statements(lake, sql, shown):
    assert is_apart(lake, sql)
    with pytest.raises(Refused) as caught:
        lake.query(sql)
    assert f"[{shown}" in str(caught.value)
    assert str(lake.engine.settings.directory) not in str(caught.value)
    assert scorers() == []
    assert lake.value("SELECT count(*) FROM t") == ROWS


def test_a_result_that_is_not_read_to_its_end_frees_its_threads(lake):
    result = lake.engine.execute("SELECT id, PREDICT('pair', a, b) AS p FROM t", lake.context)
    assert next(iter(result)).num_rows > 0
    result.close()
    assert scorers() == []
    assert lake.engine.instances.running == 0


def test_a_cancelled_statement_ends_its_stages(lake, model_files):
    lake.update(f"CREATE MODEL IF NOT EXISTS slow FROM '{model_files}/slow.onnx'")
    sql = "SELECT sum(PREDICT('slow', a)) FROM t"
    assert is_apart(lake, sql)
    cancellation = Cancellation()
    plan = lake.engine.plan(sql, lake.context)
    timer = threading.Timer(0.5, cancellation.cancel)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        list(lake.engine.run(plan, lake.engine.context(ADMIN), cancellation=cancellation))
    assert time.monotonic() - started < 5
    assert scorers() == []


def test_a_commit_of_which_nobody_knows_is_not_called_cancelled(lake, monkeypatch):
    """A write whose answer is lost and whose time is over: its rows may be there."""
    real = running.append

    def lost(*arguments, **named):
        real(*arguments, **named)
        time.sleep(1.5)
        raise OutcomeUnknown("the answer was lost")

    monkeypatch.setattr(running, "append", lost)
    lake.update("CREATE TABLE doubtful (n INTEGER)")
    lake.update("SET statement_timeout = '1s'")
    try:
        with pytest.raises(Refused, match="08007"):
            lake.update("INSERT INTO doubtful VALUES (1)")
    finally:
        lake.update("RESET statement_timeout")
    assert lake.value("SELECT count(*) FROM doubtful") == 1
