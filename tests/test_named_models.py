"""Models that a bound value names: the cast gives the type while nothing is bound, each execution its own model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from flight_sql import served
from sessions import InProcess, opened
from slt import Refused

SETUP = (
    "CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER)",
    "INSERT INTO t VALUES (1, 1, 0), (2, 2, 1), (3, 0, 2)",
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, model_files: Path) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("lake"), models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        for sql in SETUP:
            session.update(sql)
        for name in ("pair", "linear", "city", "grade"):
            session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx'")
        yield session


def test_one_statement_calls_the_models_that_it_is_given(session: InProcess) -> None:
    sql = "SELECT id, PREDICT(?, a, b)::DOUBLE FROM t ORDER BY id"
    plan = session.engine.plan(sql, session.context)
    assert plan.schema.types == [pa.int32(), pa.float64()]
    assert plan.parameters.types == [pa.string()]
    for _ in range(2):
        assert session.rows(sql, "pair") == [(1, 1), (2, 12), (3, 20)]
        assert session.rows(sql, "linear") == [(1, 2), (2, 5), (3, 2)]
        assert session.query(sql, pa.record_batch([["pair@1"]], ["1"])).schema == plan.schema


@pytest.mark.parametrize(
    ("sql", "values", "expected"),
    [
        ("SELECT sum(PREDICT(?, a, ?::INTEGER)::DOUBLE) FROM t WHERE id < ?", ("pair", 1, 3), 23),
        ("SELECT max(p) FROM (SELECT PREDICT(?, a, b)::DOUBLE AS p FROM t) WHERE p < ?", ("pair", 20), 12),
        ("SELECT $1 || sum(PREDICT($1, a, b)::INTEGER) FROM t WHERE id < $2", ("pair", 3), "pair13"),
        ("SELECT PREDICT(?, t)::DOUBLE FROM t WHERE id = 2", ("pair",), 12),
        ("SELECT PREDICT_PROBA(?, 0, class => 1)::FLOAT", ("grade",), pytest.approx(0.45186, abs=1e-5)),
        ("SELECT TRY_PREDICT(?, 5)::VARCHAR", ("grade",), "2"),
        (
            "SELECT PREDICT(?, PREDICT(?, a, b)::DOUBLE, b)::DOUBLE FROM t WHERE id = 2",
            ("linear", "pair"),
            25,
        ),
    ],
)
def test_where_it_may_stand(
    session: InProcess, sql: str, values: tuple[object, ...], expected: object
) -> None:
    assert session.value(sql, *values) == expected


def test_writes(session: InProcess) -> None:
    session.update("CREATE TABLE s (id INTEGER, p DOUBLE)")
    assert (
        session.update(
            "INSERT INTO s SELECT id, PREDICT(?, a, b)::DOUBLE FROM t", pa.record_batch([["pair"]], ["1"])
        )
        == 3
    )
    assert session.rows("SELECT p FROM s ORDER BY p") == [(1,), (12,), (20,)]


@pytest.mark.parametrize(
    ("sql", "values", "refusal"),
    [
        ("SELECT PREDICT(?, a, b) FROM t", ("pair",), r"0A000.*\(1:8\).*cast the call"),
        ("SELECT TRY_CAST(PREDICT(?, a, b) AS DOUBLE) FROM t", ("pair",), "0A000"),
        ("SELECT PREDICT(?, a, b)::DOUBLE FROM t", ("nope",), r"42704.*UNDEFINED_MODEL.*nope.*\(1:"),
        ("SELECT PREDICT(?, a, b)::DOUBLE FROM t", ("city",), "42883.*takes 1 argument"),
        ("SELECT PREDICT(?, a, b)::DOUBLE FROM t", (5,), "22023.*the name of a model is a text"),
        ("SELECT PREDICT(?, a, b)::DOUBLE FROM t", (None,), "22023.*the name of a model is a text"),
        ("SELECT PREDICT(?, a, b)::DOUBLE FROM t", ("pair", 1), "1 parameters, 2 values"),
        ("SELECT PREDICT(?, a, nope)::DOUBLE FROM t", ("pair",), "42703"),
        ("SELECT PREDICT(?, 'x')::TINYINT", ("city@1; DROP TABLE t",), "42704"),
    ],
)
def test_what_is_refused(session: InProcess, sql: str, values: tuple[object, ...], refusal: str) -> None:
    with pytest.raises(Refused, match=refusal):
        session.rows(sql, *values)


def test_over_adbc(tmp_path: Path, model_files: Path) -> None:
    with (
        served(tmp_path, models={"allowed_prefixes": [str(model_files)]}) as server,
        adbc.connect(server.address, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        for sql in (*SETUP, f"CREATE MODEL pair FROM '{model_files}/pair.onnx'"):
            cursor.execute(sql)
        sql = "SELECT id, PREDICT(?, a, b)::DOUBLE AS p FROM t ORDER BY id"
        cursor.execute(sql, ("pair",))
        assert cursor.fetchall() == [(1, 1), (2, 12), (3, 20)]
        cursor.execute(f"ALTER MODEL pair ADD VERSION FROM '{model_files}/pair_hundred.onnx'")
        cursor.execute(sql, ("pair@2",))
        assert cursor.fetchall() == [(1, 1), (2, 102), (3, 200)]
