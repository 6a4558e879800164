"""Views that other engines made: texts that mean something else here are refused, never read nearly right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sessions import InProcess
from slt import Refused

from scoter.catalog.names import TableName


@pytest.fixture
def one(session: InProcess) -> InProcess:
    session.update(
        "CREATE TABLE one AS SELECT 1 AS x, 's' AS s, 0.1::FLOAT AS f, 1.5::DECIMAL(4, 2) AS p, DATE '2024-01-01' AS d"
    )
    return session


def foreign(session: InProcess, text: str, dialect: str = "spark", made: str = "1 AS x") -> None:
    """Make ``v`` a view of another engine with the columns of ``SELECT made``."""
    session.update(f"CREATE OR REPLACE VIEW v AS SELECT {made}")
    name = TableName("lake", "main", "v")
    path = Path(session.engine.lake.look_up([name])[name].location.removeprefix("file://"))
    stored = json.loads(path.read_text())
    for version in stored["versions"]:
        version["representations"] = [{"type": "sql", "sql": text, "dialect": dialect}]
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize("dialect", ["spark", "duckdb"])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM one",
        "SELECT one.* FROM one",
        "SELECT * FROM one JOIN one AS other USING (x)",
        "SELECT x FROM (SELECT * FROM one) AS a",
        "WITH a AS (SELECT * FROM one) SELECT x FROM a",
        "SELECT x FROM one UNION ALL SELECT * FROM one",
    ],
)
def test_a_star_is_refused(text: str, dialect: str, one: InProcess) -> None:
    foreign(one, text, dialect)
    with pytest.raises(Refused, match=rf"0A000.*a star .* dialect {dialect} .*in view lake\.main\.v"):
        one.query("SELECT x FROM v")


@pytest.mark.parametrize(
    "text", ["FROM one", "TABLE one", "SELECT COLUMNS('x') FROM one", "SELECT unnest({'x': x}) FROM one"]
)
def test_what_else_is_a_star(text: str, one: InProcess) -> None:
    foreign(one, text, "duckdb")
    with pytest.raises(Refused, match=r"0A000.*dialect duckdb"):
        one.query("SELECT x FROM v")


@pytest.mark.parametrize("dialect", ["spark", "duckdb"])
def test_a_star_that_gives_no_columns(dialect: str, one: InProcess) -> None:
    foreign(one, "SELECT count(*) AS x FROM one", dialect, "1::BIGINT AS x")
    assert one.rows("SELECT x FROM v") == [(1,)]
    foreign(one, "SELECT x FROM one WHERE EXISTS (SELECT * FROM one AS b WHERE b.x = one.x)", dialect)
    assert one.rows("SELECT x FROM v") == [(1,)]


@pytest.mark.parametrize(
    "condition",
    [
        "x = '1'",
        "'1' <> x",
        "x < '1.5'",
        "x <=> '1'",
        "x IN ('1', '7')",
        "x IN ('1', 7)",
        "x BETWEEN '0' AND '2'",
        "x = s",
        "d = '2024-01-01'",
        "f = '0.1'",
        "CASE x WHEN '1' THEN TRUE END",
        "coalesce(x, '1') = '1'",
        "NOT (s = 's' AND x = '1')",
        "x IN (SELECT '1' FROM one)",
        "EXISTS (SELECT x FROM one WHERE x = '1')",
    ],
)
def test_text_is_compared_with_text_alone(condition: str, one: InProcess) -> None:
    foreign(one, f"SELECT x FROM one WHERE {condition}")
    with pytest.raises(Refused, match=r"42804.*in view lake\.main\.v"):
        one.query("SELECT x FROM v")


@pytest.mark.parametrize(
    "condition",
    [
        "f = 0.1",
        "f > 1e0",
        "p IN (1, 1.5)",
        "p BETWEEN 1 AND 1.5",
        "f + 0.5 < 1",
        "CASE f WHEN 0.1 THEN TRUE END",
        "CASE WHEN x = 1 THEN 0.5 END = f",
    ],
)
def test_decimal_constants_are_not_compared(condition: str, one: InProcess) -> None:
    foreign(one, f"SELECT x FROM one WHERE {condition}")
    with pytest.raises(Refused, match=r"0A000.*a comparison with .*dialect spark.*in view lake\.main\.v"):
        one.query("SELECT x FROM v")


def test_a_column_made_as_double_is_no_float(one: InProcess) -> None:
    foreign(one, "SELECT f + f AS x FROM one", made="1::DOUBLE AS x")
    with pytest.raises(Refused, match="42P11"):
        one.query("SELECT x FROM v")


@pytest.mark.parametrize(
    "condition",
    [
        "s = 's'",
        "s <=> 's'",
        "s <> 't'",
        "'a' < s",
        "s IN ('s', 't')",
        "s IN ('s', NULL)",
        "s NOT IN ('t')",
        "s BETWEEN 'a' AND 'z'",
        "x = 1",
        "x IN (1, 2)",
        "x IN (SELECT x FROM one)",
        "(x = 1) = (s = 's')",
        "CASE s WHEN 's' THEN TRUE END",
        "CASE WHEN s = 's' THEN 'a' ELSE 'b' END = 'a'",
        "coalesce(s, 'q') = 's'",
    ],
)
def test_what_both_compare_alike(condition: str, one: InProcess) -> None:
    foreign(one, f"SELECT x FROM one WHERE {condition}")
    assert one.rows("SELECT x FROM v") == [(1,)]


@pytest.fixture
def two(one: InProcess) -> InProcess:
    one.update(
        "CREATE TABLE other AS SELECT '1' AS x, 's' AS s, 16777216.0::DOUBLE AS f, 16777216 AS n, 3 AS y"
    )
    return one


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("SELECT x FROM one WHERE f = 16777217", "a comparison of FLOAT and INTEGER"),
        ("SELECT x FROM one WHERE x < f", "a comparison of FLOAT and INTEGER"),
        ("SELECT x FROM one WHERE f IN (x, 1)", "a comparison of FLOAT and INTEGER"),
        ("SELECT x FROM one WHERE f IN (1, 99999999)", "a comparison of FLOAT and INTEGER"),
        ("SELECT x FROM one WHERE x IN (SELECT f AS x FROM one)", "a comparison of FLOAT and INTEGER"),
        ("SELECT x FROM one WHERE x IN (SELECT x FROM one UNION SELECT f FROM one)", "a comparison of FLOAT and INTEGER"),
        ("SELECT x FROM one WHERE f BETWEEN p AND 2", r"a comparison of DECIMAL\(4, 2\) and FLOAT"),
        ("SELECT x FROM one WHERE EXISTS (SELECT 1 FROM other AS o WHERE o.n = one.f)", "a comparison of FLOAT and INTEGER"),
        ("SELECT a.x FROM one AS a JOIN other AS o ON o.n <=> a.f", "a comparison of FLOAT and INTEGER"),
        ("SELECT max(x) AS x FROM one GROUP BY s HAVING max(f) > max(x)", "a comparison of FLOAT and INTEGER"),
        ("SELECT x FROM one WHERE f + 1 > 1e0 * 2", "a comparison with 1e0"),
        ("SELECT one.x FROM one JOIN other AS o ON one.f + 1 = o.f", "arithmetic of FLOAT and INTEGER"),
        ("SELECT one.x FROM one JOIN other AS o ON one.f * coalesce(NULL, -1 - 2) = o.f", "arithmetic of FLOAT and INTEGER"),
        ("SELECT one.x FROM one JOIN other AS o ON 0.5 - one.f = o.f - o.f", "a comparison with 0.5"),
        ("SELECT o.y AS x FROM one JOIN other AS o ON coalesce(one.f, one.x) < o.f", "coalesce of FLOAT and INTEGER"),
        ("SELECT o.y AS x FROM one JOIN other AS o ON CASE WHEN TRUE THEN one.f ELSE 2 END < o.f", "CASE of FLOAT and INTEGER"),
        ("WITH w AS (SELECT x AS k FROM one UNION ALL SELECT f FROM one) SELECT o.y FROM w JOIN other AS o ON k = o.f", "UNION of FLOAT and INTEGER"),
        ("SELECT x FROM one JOIN other USING (x)", "USING of INTEGER and VARCHAR"),
        ("SELECT o.y FROM one RIGHT JOIN other AS o USING (x)", "USING of INTEGER and VARCHAR"),
        ("SELECT a.x FROM one AS a FULL JOIN one AS b USING (x, s) LEFT JOIN other USING (s, x)", "USING of INTEGER and VARCHAR"),
        ("SELECT o.y FROM one JOIN (SELECT n AS f, y FROM other) AS o USING (f)", "USING of FLOAT and INTEGER"),
        ("SELECT avg(p) AS x FROM one", r"avg of DECIMAL\(4, 2\)"),
        ("SELECT x FROM one GROUP BY x HAVING avg(p + 1) > 2", r"avg of DECIMAL\(13, 2\)"),
    ],
)  # fmt: skip
def test_types_that_meet_by_other_rules(text: str, met: str, two: InProcess) -> None:
    foreign(two, text)
    with pytest.raises(Refused, match=rf"0A000.*{met} .*dialect spark.*in view lake\.main\.v"):
        two.query("SELECT x FROM v")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT x FROM one WHERE f > 0 AND f < 16777216 AND -1 < f",
        "SELECT x FROM one WHERE f IN (0, 1) OR f = f",
        "SELECT x FROM one WHERE f + f > f AND x + 1 = 2",
        "SELECT a.x FROM one AS a JOIN other AS o ON a.f < o.f AND a.p < o.n",
        "SELECT o.y - 2 FROM one JOIN other AS o USING (s)",
        "SELECT a.x FROM one AS a FULL JOIN one AS b USING (x, s) WHERE s = 's'",
        "SELECT x + 1 - 1 AS x FROM one GROUP BY x + 1 HAVING avg(x) < 2 AND sum(f) < 1 ORDER BY x + 1",
        "SELECT DISTINCT x + 1 - 1 AS x FROM one ORDER BY x + 1 - 1",
        "SELECT CASE WHEN x = 1 THEN x ELSE 2 END FROM one UNION SELECT x FROM one",
        "WITH w AS (SELECT x, f FROM one UNION SELECT x, f FROM one) SELECT x FROM w WHERE f < 1",
        "SELECT x FROM one WHERE x IN (SELECT n - 16777215 AS x FROM other WHERE other.s = one.s)",
    ],
)
def test_types_that_meet_by_one_rule(text: str, two: InProcess) -> None:
    foreign(two, text)
    assert two.rows("SELECT x FROM v") == [(1,)]
