"""Whole statements: how many rows a model is given, against a DuckDB that computes the same without models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sessions import InProcess, opened

ROWS = 1000
P = "PREDICT('pair', a, b)"
G, ONE = "PREDICT('grade', a)", "PREDICT_PROBA('grade', a, class => 1)"
TABLES = (
    f"CREATE TABLE t AS SELECT range::INT AS id, (range * 7 % 50)::INT AS a, (range % 3)::INT AS b, (range % 10)::INT AS k FROM range({ROWS})",
    "CREATE TABLE u AS SELECT range::INTEGER AS id, (range * 3)::INTEGER AS d FROM range(10)",
)
VIEW = f"CREATE VIEW v AS SELECT id, k, {P} AS s FROM t"

ONCE = [
    f"SELECT {P} AS s, row_number() OVER (PARTITION BY {P} ORDER BY id) AS n FROM t",
    f"SELECT {P} AS s, s + 1 AS r, row_number() OVER (PARTITION BY s ORDER BY id) AS n FROM t",
    f"SELECT id, {P} AS s FROM t QUALIFY row_number() OVER (PARTITION BY k ORDER BY {P} DESC, id) = 1",
    f"SELECT k, {P} AS s FROM t WINDOW w AS (PARTITION BY {P} ORDER BY id) QUALIFY row_number() OVER w = 1",
    f"SELECT {P} AS s, count(*) AS n FROM t GROUP BY s HAVING s = 1",
    f"SELECT round({P}, -1) AS s, count(*) AS n FROM t GROUP BY 1 HAVING s > 10",
    f"SELECT * FROM (SELECT {P} AS s, count(*) AS n FROM t GROUP BY s) WHERE s = 1",
    f"SELECT * FROM (SELECT id, {P} AS s, s + 1 AS r FROM t) WHERE r > 3",
    f"SELECT id, {P} AS s FROM t ORDER BY s DESC, id LIMIT 5",
    f"SELECT id FROM t ORDER BY {P} DESC, id LIMIT 5",
    f"SELECT t.id, u.d, {P} AS s FROM t JOIN u ON {P} = u.d WHERE {P} > 3",
    f"SELECT * FROM (SELECT id, {P} AS s FROM t) AS x JOIN u ON x.s = u.d AND x.s > 3",
    f"SELECT k, sum({P}) FILTER (WHERE {P} > 3) AS s FROM t WHERE {P} < 40 GROUP BY k",
    "SELECT a * 2 AS x, PREDICT('pair', x, b) AS s, rank() OVER (ORDER BY s) AS n FROM t WHERE s > 3",
    "SELECT * FROM v WHERE s > 3",
    "SELECT s, count(*) AS n FROM v GROUP BY s HAVING s > 3",
    "SELECT * FROM v QUALIFY row_number() OVER (PARTITION BY k ORDER BY s DESC, id) = 1",
]
# Several results of one run.
BOTH = [
    f"SELECT * FROM (SELECT id, {G} AS y, {ONE} AS p FROM t) WHERE p > 0.5 ORDER BY p DESC, id LIMIT 5",
    f"SELECT {G} AS y, avg({ONE}) AS p FROM t GROUP BY y HAVING y > 0",
    f"SELECT id, {G} AS y, PREDICT_ALL('grade', a).label AS z FROM t WHERE {ONE} > 0.5",
    f"SELECT id, {G} AS y, PREDICT_PROBA('GRADE@1', {{score: t.a}}, class => 1) AS p FROM t WHERE y = 1",
    f"SELECT id, {ONE} AS p, rank() OVER (PARTITION BY {G} ORDER BY p, id) AS n FROM t",
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, model_files: Path) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("lake"), models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        for name in ("pair", "grade"):
            session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx'")
        for sql in (*TABLES, VIEW):
            session.update(sql)
        yield session


@pytest.fixture(scope="module")
def bare(session: InProcess) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the same tables, of which one has the scores in columns beside it."""
    with duckdb.connect() as connection:
        for sql in TABLES:
            connection.execute(sql)
        scores = session.query(f"SELECT id, {G} AS _g, {ONE} AS _one FROM t")  # noqa: F841  # read by DuckDB
        connection.execute("ALTER TABLE t ADD COLUMN _s FLOAT")
        connection.execute(
            "CREATE OR REPLACE TABLE t AS SELECT * REPLACE ((a + 10 * b)::FLOAT AS _s) FROM t JOIN scores USING (id)"
        )
        connection.execute(VIEW.replace(P, "_s"))
        yield connection


@pytest.mark.parametrize("sql", [*ONCE, *BOTH])
def test_a_row_is_scored_once(sql: str, session: InProcess, bare: duckdb.DuckDBPyConnection) -> None:
    shown = dict(session.rows(f"EXPLAIN ANALYZE {sql}"))["scored"]
    assert re.findall(r"([\d,]+) rows given", shown) == [f"{ROWS:,}"]
    session.rows(f"EXPLAIN {sql}")
    expected = sql
    for call, column in {
        P: "_s",
        G: "_g",
        ONE: "_one",
        "PREDICT('pair', x, b)": "(x + 10 * b)::FLOAT",
        "PREDICT_ALL('grade', a).label": "_g",
        "PREDICT_PROBA('GRADE@1', {score: t.a}, class => 1)": "_one",
    }.items():
        expected = expected.replace(call, column)
    assert sorted(session.rows(sql)) == sorted(bare.sql(expected).fetchall())


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        (f"SELECT id, {P} AS s FROM t ORDER BY id LIMIT 5", 5),
        (f"SELECT id, {P} AS s FROM t QUALIFY row_number() OVER (PARTITION BY k ORDER BY id) = 1", 10),
        (
            f"SELECT id, {P} AS s FROM t QUALIFY row_number() OVER (PARTITION BY k ORDER BY id) = 1 AND s > 3",
            10,
        ),
        (f"SELECT id, {P} AS s FROM t WHERE id < 7 AND s > 3", 7),
        (f"SELECT id, {P} AS s, rank() OVER (ORDER BY s) AS n FROM t WHERE id IN (SELECT id FROM u)", 10),
        (
            f"SELECT id, {G} AS y, rank() OVER (ORDER BY y) AS n FROM t WHERE PREDICT('pair', a, b) < 5 AND id < 7",
            7,
        ),
        ("SELECT count(*) AS n FROM v WHERE id > 3", 0),
    ],
)
def test_rows_that_nothing_asks_for_are_not_scored(sql: str, rows: int, session: InProcess) -> None:
    shown = dict(session.rows(f"EXPLAIN ANALYZE {sql}"))["scored"]
    counts = [int(count.replace(",", "")) for count in re.findall(r"([\d,]+) rows given", shown)]
    assert max(counts) == rows
