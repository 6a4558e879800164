"""A model call is worth what its formula is worth, wherever it stands.

Each template is run twice: with a call in place of P and Q, and with the formula that the model computes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sessions import InProcess, opened
from slt import Refused, written

TEMPLATES = """
SELECT id, P FROM t
SELECT P AS s FROM t WHERE P > 10
SELECT id FROM t WHERE P > 10 AND id < 50 AND b IS NOT NULL
SELECT id, P AS s FROM t WHERE s > 10 AND s < 90 OR s IS NULL
SELECT id, P AS s, s * 2 AS d FROM t WHERE d > 20
SELECT *, P AS s FROM t WHERE P > 10 OR g = 'x'
SELECT * REPLACE (P AS a) FROM t WHERE P > 10
SELECT * EXCLUDE (g), P AS s FROM t WHERE P > 10 ORDER BY s DESC, id LIMIT 5
SELECT t.*, P AS s FROM t WHERE P > 10
SELECT x.id, P AS s FROM t AS x WHERE P > 10 AND x.g = 'y'
SELECT COLUMNS('id|a'), P AS s FROM t WHERE P > 10
SELECT id, P AS id2 FROM t WHERE id2 > 10 ORDER BY id2, id
SELECT id, P AS a2, a FROM t WHERE a > 3 AND P > 10
SELECT id, P AS a FROM t WHERE a > 3
SELECT DISTINCT P FROM t WHERE P > 10
SELECT DISTINCT ON (g) g, P AS s FROM t WHERE P > 10 ORDER BY g, s DESC, id
SELECT g, avg(P), count(*) FROM t GROUP BY g
SELECT g, avg(P) AS m FROM t WHERE P > 10 GROUP BY g HAVING avg(P) > 40
SELECT g, sum(P) FILTER (WHERE P > 10) FROM t GROUP BY g
SELECT P > 50 AS high, count(*) FROM t GROUP BY P > 50
SELECT P > 50 AS high, count(*) FROM t WHERE P > 20 GROUP BY high
SELECT g, P > 50 AS high, count(*) FROM t GROUP BY ALL
SELECT g, P > 50, count(*) FROM t GROUP BY ROLLUP (g, P > 50)
SELECT g, P > 50, count(*) FROM t WHERE P > 5 GROUP BY GROUPING SETS ((g), (P > 50), ())
SELECT max(P), min_by(id, P), list(P ORDER BY id) FROM t WHERE id < 10
SELECT quantile_cont(P, 0.5), count(DISTINCT P) FROM t
SELECT id, rank() OVER (ORDER BY P DESC, id) FROM t
SELECT id, sum(P) OVER (PARTITION BY g ORDER BY id) FROM t WHERE P > 10
SELECT id, P FROM t QUALIFY row_number() OVER (PARTITION BY g ORDER BY P DESC NULLS LAST, id) = 1
SELECT id, P AS s FROM t WHERE P > 10 QUALIFY s = max(s) OVER (PARTITION BY g)
SELECT id, lag(P) OVER w FROM t WHERE P > 10 WINDOW w AS (ORDER BY id)
SELECT id FROM t ORDER BY P DESC NULLS LAST, id LIMIT 7 OFFSET 2
SELECT id, P AS s FROM t WHERE P > 10 ORDER BY P + 0, id LIMIT 7
SELECT CASE WHEN P > 50 THEN 'high' WHEN P > 10 THEN g ELSE 'low' END, count(*) FROM t GROUP BY 1
SELECT id, CASE WHEN b <> 0 THEN P / b END FROM t WHERE CASE WHEN b <> 0 THEN P / b > 11 ELSE false END
SELECT id, coalesce(P, -1), nullif(P, 10), P IS NULL, P BETWEEN 10 AND 20 FROM t
SELECT id FROM t WHERE P IN (1, 12, 23) OR P NOT BETWEEN 5 AND 95
SELECT id, P, Q FROM t WHERE P > 10 AND Q < 15
SELECT id, P AS p, Q AS q FROM t WHERE p > q
SELECT id, P + Q FROM t WHERE P > 10 OR Q < 15 ORDER BY P + Q, id
SELECT id, [P, Q], {'p': P, 'q': [Q]} FROM t WHERE P > 10
SELECT id, list_transform([1, 2], lambda x: x + P) FROM t WHERE P > 10
SELECT id, u FROM t, unnest([P, Q]) AS x(u) WHERE u > 10
SELECT id, P AS s FROM t, range(2) AS r(i) WHERE P > 10 AND i = 1
WITH s AS (SELECT id, g, P AS p FROM t) SELECT * FROM s WHERE p > 10
WITH s AS (SELECT id, g, P AS p FROM t WHERE P > 5) SELECT g, max(p) FROM s WHERE p < 90 GROUP BY g
WITH s AS (SELECT id, P AS p FROM t), r AS (SELECT id FROM s WHERE p > 10) SELECT s.* FROM s JOIN r USING (id) WHERE s.p < 80
WITH s AS MATERIALIZED (SELECT id, P AS p FROM t) SELECT a.id, b.p FROM s AS a JOIN s AS b ON a.id = b.id + 1 WHERE a.p > b.p
WITH t AS (SELECT * FROM t WHERE g = 'x') SELECT id, P AS s FROM t WHERE P > 10
WITH RECURSIVE n(i, s) AS (SELECT 0, CAST(0 AS FLOAT) UNION ALL SELECT i + 1, (SELECT max(P) FROM t WHERE id <= i) FROM n WHERE i < 4) SELECT * FROM n
SELECT * FROM (SELECT id, P AS p, g FROM t) AS q WHERE p > 10 AND g = 'y'
SELECT p FROM (SELECT *, P AS p FROM t WHERE P > 10) AS q WHERE p < 60 ORDER BY id LIMIT 5
SELECT q.p, count(*) FROM (SELECT P > 50 AS p FROM t) AS q WHERE q.p IS NOT NULL GROUP BY q.p
SELECT id, (SELECT max(P) FROM t AS t) AS m FROM u
SELECT id, (SELECT max(P) FROM t WHERE t.id < u.id AND P > 3) AS m FROM u
SELECT id FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.id = u.id AND P > 20)
SELECT id FROM u WHERE id IN (SELECT id FROM t WHERE P > 20)
SELECT id FROM u WHERE d > ALL (SELECT P FROM t WHERE P < 5)
SELECT t.id, P AS s FROM t WHERE P > (SELECT avg(P) FROM t)
SELECT t.id, d, P AS s FROM t JOIN u ON t.id = u.id WHERE P > 10
SELECT t.id, d, P AS s FROM t JOIN u USING (id) WHERE P > 10 AND d > 2
SELECT *, P AS s FROM t JOIN u ON t.id = u.id WHERE P > 10
SELECT *, P AS s FROM t JOIN u USING (id) WHERE P > 10
SELECT *, P AS s FROM t NATURAL JOIN u WHERE P > 10
SELECT u.*, P AS s FROM t JOIN u ON t.id = u.id WHERE P > 10
SELECT t.id, d, P AS s FROM t LEFT JOIN u ON t.id = u.id WHERE P > 10 OR d IS NULL
SELECT t.id, d, P AS s FROM u LEFT JOIN t ON t.id = u.id WHERE P > 10 OR P IS NULL
SELECT t.id, d, P AS s FROM t FULL JOIN u ON t.id = u.id WHERE P > 10 OR P IS NULL
SELECT t.id, d, P AS s FROM t RIGHT JOIN u ON t.id = u.id AND P > 10
SELECT t.id, d FROM t LEFT JOIN u ON t.id = u.id AND P > 10
SELECT t.id, P AS s FROM t SEMI JOIN u ON t.id = u.id WHERE P > 10
SELECT t.id, P AS s FROM t ANTI JOIN u ON t.id = u.id WHERE P > 10
SELECT t.id, P AS s FROM t, u WHERE t.id = u.id AND P > 10
SELECT t.id, P AS s FROM t ASOF JOIN u ON t.id >= u.id WHERE P > 10
SELECT x.id, y.id AS other, x.p FROM (SELECT id, P AS p FROM t) AS x JOIN (SELECT id, P AS p FROM t) AS y ON x.p = y.p AND x.id < y.id
SELECT t.id, l.s FROM t, LATERAL (SELECT P AS s) AS l WHERE l.s > 10
SELECT t.id, l.s FROM t LEFT JOIN LATERAL (SELECT P AS s WHERE P > 10) AS l ON true
SELECT u.id, l.m FROM u, LATERAL (SELECT max(P) AS m FROM t WHERE t.id <= u.id AND P > 2) AS l
SELECT t.id, d, max(P) FROM t JOIN u ON t.id = u.id WHERE P > 10 GROUP BY t.id, d HAVING max(P) < 90 ORDER BY t.id
SELECT d, id2 FROM (SELECT u.d, t.id AS id2, P AS p FROM t JOIN u ON t.id = u.id) AS q WHERE p > 10 AND d > 1
SELECT t.id AS d, P AS s FROM t JOIN u ON t.id = u.id WHERE P > 10 AND u.d > 1 ORDER BY u.d, t.id
SELECT t.id + d AS a, P AS s FROM t JOIN u ON t.id = u.id WHERE P > 10 AND t.a > 2
SELECT P FROM t UNION SELECT Q FROM t
SELECT id, P FROM t WHERE P > 10 UNION ALL SELECT id, Q FROM t WHERE Q > 10 EXCEPT SELECT 3, 4
SELECT P FROM t WHERE id < 40 INTERSECT SELECT P FROM t WHERE P > 10
SELECT count(*) FROM (SELECT P AS p FROM t LIMIT 10) AS q WHERE p > -1000
SELECT id, P AS s FROM (SELECT * FROM t WHERE id % 2 = 0) AS t WHERE P > 10
SELECT id, P AS s FROM (SELECT * FROM t ORDER BY id LIMIT 20) AS t WHERE P > 10
SELECT id, P AS s FROM (VALUES (1, 2, 3), (2, 5, 8)) AS t(id, a, b) WHERE P > 40
SELECT i AS id, P AS s FROM (SELECT range AS i, range AS a, range % 7 AS b FROM range(100)) AS t WHERE P > 60 AND i % 2 = 0
FROM t SELECT id, P AS s WHERE P > 10
SELECT id, P::INTEGER % 7, round(P, 1), abs(P - 50), P::VARCHAR FROM t WHERE P > 10
SELECT id, -P, P * -1 + 2, NOT (P > 10), P > 10 AND Q < 5 FROM t
SELECT greatest(P, Q), least(P, Q, 5), if(P > Q, P, Q) FROM t WHERE P IS NOT NULL AND Q IS NOT NULL
SELECT name, value FROM (UNPIVOT (SELECT id, P AS p, Q AS q FROM t WHERE id < 5) ON p, q)
SELECT id FROM t WHERE P > 10 AND id IN (SELECT id FROM u WHERE d > P / 100)
SELECT id FROM t WHERE id = (SELECT min(id) FROM t WHERE P > 20) OR P < 0
SELECT id, P AS s FROM main.t WHERE main.t.g = 'x' AND P > 10
SELECT id, P AS s FROM lake.main.t WHERE P > 10 LIMIT 0
SELECT id, P AS s FROM t WHERE P > 10 AND P > 20 AND NOT P > 80
SELECT id, P AS s FROM t WHERE (P > 10) = (g = 'x')
SELECT id, g || CAST(P AS VARCHAR) FROM t WHERE g || CAST(P AS VARCHAR) LIKE 'x%'
SELECT id, struct_pack(s := P).s AS z FROM t WHERE struct_pack(s := P).s > 10
""".strip().splitlines()

# How the row goes in; all read the columns a and b of t. Each template runs with the first and one other.
CALLS = (
    "PREDICT('pair', {t}.a, {t}.b)",
    "PREDICT('pair', {{b: {t}.b, a: {t}.a}})",
    "PREDICT('pair', {t})",
)
FORMULA = "CAST({t}.a + 10 * {t}.b AS FLOAT)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model_files: Path):
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
        session.update(f"CREATE MODEL linear FROM '{model_files}/linear.onnx'")
        session.update("CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER, g VARCHAR) PARTITIONED BY (g)")
        session.update(
            "INSERT INTO t SELECT i, CASE WHEN i % 11 <> 0 THEN i % 8 END, CASE WHEN i % 13 <> 0 THEN i % 10 END, "
            "CASE i % 3 WHEN 0 THEN 'x' WHEN 1 THEN 'y' END FROM range(60) AS r(i)"
        )
        session.update("INSERT INTO t SELECT i, i % 5, i % 3, 'z' FROM range(60, 80) AS r(i)")
        session.update("CREATE TABLE u AS SELECT i * 3 AS id, i % 4 AS d FROM range(20) AS r(i)")
        yield session


def filled(template: str, call: str, other: str) -> str:
    alias = "x" if " AS x WHERE P" in template else "t"
    template = re.sub(r"\bP\b", lambda _: call.format(t=alias), template)
    return re.sub(r"\bQ\b", lambda _: other.format(t=alias), template)


def rows(session: InProcess, sql: str, *, ordered: bool) -> list[list[str]]:
    table = session.query(sql)
    found = [[written(value) for value in row] for row in zip(*table.columns, strict=True)]
    return found if ordered else sorted(found)


@pytest.mark.parametrize("apart", [False, True], ids=["in one query", "between two"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_call_is_worth_its_formula(
    lake: InProcess, template: str, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoter.engine.rewriting.APART_ROWS", 0 if apart else 1_000_000)
    ordered = "ORDER BY" in template.rsplit(")", 1)[-1]
    linear = "CAST(2 * {t}.a + {t}.b AS FLOAT)"
    expected = rows(lake, filled(template, FORMULA, linear), ordered=ordered)
    for call in (CALLS[0], CALLS[1 + TEMPLATES.index(template) % 2]):
        # Plans are kept by their text.
        sql = filled(template, call, "PREDICT('linear', {t}.a, {t}.b)") + f" -- {apart}"
        try:
            assert rows(lake, sql, ordered=ordered) == expected, sql
        except Refused as error:
            pytest.fail(f"{error}\n{sql}")
