"""EXPLAIN ANALYZE runs a query as it would run, and says what each model did."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sessions import InProcess, opened

ROWS = 60_000


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model_files: Path):
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        for name in ("pick", "mixed", "slow", "linear", "grade"):
            session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx'")
        session.update(
            "CREATE TABLE t AS SELECT i AS id, CASE WHEN i % 10 <> 0 THEN i % 3 END AS place, "
            f"CASE WHEN i = 7 THEN 3 ELSE i % 3 END AS wrong, 'x' || i AS name, md5(i::VARCHAR)::UUID AS key FROM range({ROWS}) AS r(i)"
        )
        yield session


def explained(lake: InProcess, sql: str, *, analyze: bool = True) -> dict[str, str]:
    rows = lake.rows(f"EXPLAIN {'ANALYZE ' if analyze else ''}{sql}")
    found = dict(rows)
    assert len(found) == len(rows), "keys repeat"
    return found


def done(text: str, model: str) -> tuple[int, ...]:
    """Return rows, skipped, failed and batches of a model's line."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"Predict[main.{model} version 1]"))
    numbers = r"([\d,]+) rows given, ([\d,]+) skipped for a NULL input, ([\d,]+) failed  ([\d,]+) batches"
    found = re.search(numbers, line)
    assert found is not None, line
    return tuple(int(part.replace(",", "")) for part in found.groups())


def milliseconds(text: str, what: str) -> float:
    found = re.search(rf"{what} ([\d.]+) ms", text)
    assert found is not None, text
    return float(found[1])


def test_many_rows_run_between_two_queries(lake):
    found = explained(lake, "SELECT sum(PREDICT('pick', place)) FROM t")
    assert "16,384 rows between two queries" in found["models"]
    *rows, batches = done(found["scored"], "pick")
    assert rows == [ROWS, ROWS // 10, 0]
    # The first ones are of 2,048 rows, further ones of what the model does in a while.
    assert batches > ROWS // 16_384
    assert found["stage_plan"] == f"Read columns as stored  files: 1  about {ROWS:,} rows"
    assert "Read parquet" not in found["analyzed_plan"]
    assert "aggregate" in found["analyzed_plan"]
    filtered = explained(lake, "SELECT sum(PREDICT('pick', place)) FROM t WHERE id >= 0")
    assert "Read parquet" in filtered["stage_plan"]
    assert "Read parquet" not in filtered["analyzed_plan"]


@pytest.mark.parametrize("more", ["", ", key"])
def test_a_label_and_its_probability_run_the_model_once(lake, more):
    label, chance = "PREDICT('grade', id % 3)", "PREDICT_PROBA('grade', id % 3, class => 1)"
    sql = f"SELECT id{more}, {label} AS y, {chance} AS p, {chance} > 0.4 AS likely FROM t"
    found = explained(lake, sql)
    (line,) = found["models"].splitlines()
    assert "predict and proba_class -> BIGINT and DOUBLE  " in line
    assert done(found["scored"], "grade")[:3] == (ROWS, 0, 0)
    apart = (
        f"SELECT id{more}, y, p, p > 0.4 AS likely FROM (SELECT id{more}, {label} AS y FROM t) "
        f"JOIN (SELECT id, {chance} AS p FROM t) USING (id) ORDER BY id"
    )
    assert lake.query(f"{sql} ORDER BY id").equals(lake.query(apart))


def test_where_a_stage_is_not_exact_functions_are_called(lake):
    sql = "SELECT key, PREDICT('pick', place) FROM t"
    assert lake.engine.plan(sql, lake.context).staged is not None
    found = explained(lake, sql)
    assert "2,048 rows" in found["models"]
    assert "stage_plan" not in found
    assert done(found["scored"], "pick")[:3] == (ROWS, ROWS // 10, 0)


def test_few_rows_are_given_by_function_calls(lake):
    found = explained(lake, "SELECT t.id, PREDICT('pick', place) FROM t JOIN range(10) AS r(i) ON t.id = r.i")
    assert "2,048 rows" in found["models"]
    assert "stage_plan" not in found
    assert done(found["scored"], "pick")[:3] == (10, 1, 0)


def test_each_model_has_a_line_of_its_own(lake):
    found = explained(
        lake,
        "SELECT TRY_PREDICT('pick', wrong), PREDICT_ALL('mixed', name, id, true, 1.5), PREDICT('slow', 1.0 + id) "
        "FROM t WHERE id < 10",
    )
    assert done(found["scored"], "pick")[:3] == (10, 0, 1)
    assert done(found["scored"], "mixed")[:3] == (10, 0, 0)
    assert "try -> FLOAT" in found["models"]
    lines = {line.split()[0]: line for line in found["scored"].splitlines()}
    slow, mixed = lines["Predict[main.slow"], lines["Predict[main.mixed"]
    assert milliseconds(slow, "model") > 0
    assert milliseconds(mixed, "conversion") > 0


def test_explain_runs_no_model(lake):
    found = explained(lake, "SELECT sum(PREDICT('pick', 9)) FROM t", analyze=False)
    assert "scored" not in found
    assert "between two queries" not in found["models"]
    found = explained(lake, "SELECT sum(PREDICT('pick', wrong)) FROM t", analyze=False)
    assert "between two queries" in found["models"]
