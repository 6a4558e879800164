"""Calls that try: what fails a row has no result, what ends a statement still ends it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from sessions import ADMIN, InProcess, opened
from slt import Refused

from scoter.engine.cancellation import Cancellation
from scoter.errors import Cancelled

ROWS = 60_000


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model_files: Path):
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        for name in ("pick", "pair", "hungry", "vote_map"):
            session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx'")
        session.update(
            "CREATE TABLE t AS SELECT i AS id, i % 3 AS place, CASE WHEN i % 9999 = 7 THEN 3 ELSE i % 3 END AS wrong, "
            f"CASE WHEN i % 1000 = 5 THEN 1e300 ELSE i END AS a, 1 AS b FROM range({ROWS}) AS r(i)"
        )
        yield session


def logged(lake: InProcess) -> dict:
    assert lake.engine.settings.log is not None
    return json.loads(lake.engine.settings.log.read_text().splitlines()[-1])


@pytest.mark.parametrize("where", ["", " WHERE random() < 2"])
def test_rows_that_fail_are_found_among_many_and_counted(lake, where):
    sql = f"SELECT count(*), sum(TRY_PREDICT('pick', wrong)) FROM t{where}"
    failing = lake.value("SELECT count(*) FROM t WHERE wrong = 3")
    sound = lake.value("SELECT sum((place + 1) * 10) FROM t WHERE wrong < 3")
    assert lake.rows(sql) == [(ROWS, sound)]
    assert failing == 6
    line = logged(lake)
    assert (line["rows_scored"], line["rows_skipped"], line["rows_failed"]) == (ROWS, 0, failing)
    assert lake.rows("SELECT DISTINCT wrong FROM t WHERE TRY_PREDICT('pick', wrong) IS NULL") == [(3,)]


def test_values_that_do_not_fit_are_told_among_many(lake):
    rows = lake.rows(
        "SELECT p.error, count(*), min(p.y), max(p.y) FROM "
        "(SELECT PREDICT_ALL('pair', a, b, on_error => 'return') AS p FROM t) GROUP BY ALL ORDER BY ALL"
    )
    reason = 'the value of the model input "a" does not fit FLOAT'
    assert rows == [(reason, 60, None, None), (None, ROWS - 60, 10.0, ROWS - 1 + 10.0)]


def test_what_a_model_says_has_no_paths_of_the_server(lake):
    (row,) = lake.rows("SELECT PREDICT_ALL('pick', id, on_error => 'return') FROM t WHERE id = 3")
    assert row[0]["y"] is None
    assert "idx=3 must be within" in row[0]["error"]
    assert "/" not in row[0]["error"]


@pytest.mark.parametrize("value", [3, 1e300, None, 2])
def test_parameters(lake, value):
    expected = None if value in (1e300, None) else value + 50.0
    assert lake.rows("SELECT TRY_PREDICT('pair', ?, ?)", float(value) if value else None, 5) == [(expected,)]
    assert lake.rows("SELECT TRY_PREDICT('pair', {a: ?, b: 5})", float(value) if value else None) == [
        (expected,)
    ]


def test_a_lack_of_memory_is_no_result(lake):
    assert lake.rows("SELECT TRY_PREDICT('hungry', 5)") == [(0.0,)]
    for call in ("TRY_PREDICT('hungry', v)", "PREDICT('hungry', v)"):
        with pytest.raises(Refused, match="53200"):
            lake.rows(f"SELECT {call} FROM (VALUES (1), (10000000000000)) AS r(v)")
    assert lake.rows("SELECT TRY_PREDICT('hungry', 5)") == [(0.0,)]


def test_a_cancelled_statement_has_no_result(lake):
    cancellation = Cancellation()
    plan = lake.engine.plan(
        "SELECT count(TRY_PREDICT('pick', wrong + i % 2)) FROM t, range(50) AS r(i)", lake.context
    )
    timer = threading.Timer(0.5, cancellation.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        list(lake.engine.run(plan, lake.engine.context(ADMIN), cancellation=cancellation))


def test_probabilities_of_rows_that_fail(lake):
    rows = lake.rows(
        "SELECT p.label, map_keys(p.probabilities), p.error IS NULL FROM (SELECT PREDICT_ALL('vote_map', v, 0, "
        "on_error => 'return') AS p FROM (VALUES (1, 1e300::DOUBLE), (2, 5), (3, -1e300), (4, NULL)) AS r(i, v) ORDER BY i)"
    )
    assert rows == [
        (None, None, False),
        ("yes", ["no", "yes"], True),
        (None, None, False),
        (None, None, True),
    ]
