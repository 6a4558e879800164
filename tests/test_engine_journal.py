"""The statement log: one line for every statement, refusals included, without values and without paths."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sessions import InProcess, bound
from slt import Refused

from scoter.catalog.principals import Principal, Role

SECRET = "s3cretvalue"


def lines(session: InProcess) -> list[dict[str, Any]]:
    log = session.engine.settings.log
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def statements(session: InProcess, after: int = 0) -> list[dict[str, Any]]:
    return [line for line in lines(session) if line["event"] == "statement"][after:]


def last(session: InProcess) -> dict[str, Any]:
    return statements(session)[-1]


def test_one_line_a_statement(session: InProcess, model_files) -> None:
    done = [
        "CREATE TABLE t (a INTEGER, b VARCHAR)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
        "SELECT * FROM t",
        "SHOW TABLES",
        "SET timezone = 'UTC'",
        "EXPLAIN SELECT * FROM t",
        f"CREATE MODEL m FROM '{model_files}/pair.onnx'",
        "SELECT PREDICT('m', a, 1) FROM t",
        "DROP TABLE t",
    ]
    for sql in done:
        session.query(sql)
    found = statements(session)
    assert [line["action"] for line in found] == [
        "CREATE TABLE", "INSERT", "SELECT", "SHOW TABLES", "SET SETTING", "EXPLAIN", "CREATE MODEL", "SELECT", "DROP TABLE",
    ]  # fmt: skip
    assert len({line["query_id"] for line in found}) == len(done)
    for line in found:
        assert line["outcome"] == "ok"
        assert line["principal"] == "local"
        assert line["times_ms"]["total"] >= 0
        assert line["timestamp"].endswith("Z")
    inserted, selected, scored = found[1], found[2], found[7]
    assert (inserted["rows"], inserted["files"], inserted["target"]) == (2, 1, "lake.main.t")
    assert inserted["bytes"] > 0
    assert isinstance(inserted["snapshot_id"], int)
    assert selected["rows"] == 2
    assert selected["bytes"] > 0
    assert [pin["table"] for pin in selected["pins"]["tables"]] == ["lake.main.t"]
    assert scored["rows_scored"] == 2
    assert scored["rows_skipped"] == 0
    (pin,) = scored["pins"]["models"]
    assert pin["model"] == "main.m"
    assert pin["version"] == 1
    assert len(pin["sha256"]) == 64
    assert {"resolve", "bind", "plan", "queue", "execute"} <= set(selected["times_ms"])


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nope", "42P01"),
        ("SELEC 1", "42601"),
        ("SELECT * FROM read_csv('/etc/passwd')", "0A000"),
        ("COPY t TO '/tmp/x'", "0A000"),
        ("SELECT CAST('x' AS INTEGER)", "22P02"),
        ("INSERT INTO n VALUES (NULL)", "23502"),
        ("SET threads = 4", "42704"),
        ("SELECT PREDICT('nope', 1)", "42704"),
        ("SELECT 1; SELECT 2", "42601"),
        ("SELECT ?", "42P18"),
    ],
)
def test_refusals_have_a_line(session: InProcess, sql: str, code: str) -> None:
    session.update("CREATE TABLE n (a INTEGER NOT NULL)")
    before = len(statements(session))
    with pytest.raises(Refused):
        session.query(sql)
    (line,) = statements(session, before)
    assert line["outcome"] == "error"
    assert line["error"]["sqlstate"] == code


def test_denials_have_a_line(session: InProcess) -> None:
    session.update("CREATE TABLE t (a INTEGER)")
    reader = InProcess(session.engine, Principal("eve", Role.READER))
    before = len(statements(session))
    with pytest.raises(Refused, match="42501"):
        reader.update("INSERT INTO t VALUES (1)")
    (line,) = statements(session, before)
    assert line["principal"] == "eve"
    assert line["error"]["condition"] == "PERMISSION_DENIED"
    assert "INSERT" in line["sql"]


def test_no_values_and_no_paths(session: InProcess, model_files) -> None:
    session.update(f"CREATE TABLE t AS SELECT '{SECRET}' AS a, 4217.75 AS b, DATE '1987-06-05' AS d")
    session.rows(f"SELECT a FROM t WHERE a = '{SECRET}' AND b < 4217.76 AND d = DATE '1987-06-05'")
    session.rows("SELECT a FROM t WHERE a = ?", SECRET)
    session.update("INSERT INTO t VALUES (?, ?, NULL)", bound(SECRET, 4217.75))
    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx' INPUT (a FLOAT ON NULL 4217.75, b FLOAT)")
    session.query(f"EXPLAIN SELECT * FROM t WHERE a = '{SECRET}'")
    session.update(f"CREATE TABLE c (a INTEGER) COMMENT '{SECRET}'")
    for sql in (
        f"SELECT CAST('{SECRET}' AS INTEGER)",
        f"SELECT CAST(a AS INTEGER) FROM t WHERE a = '{SECRET}'",
        f"SELECT * FROM nope WHERE a = '{SECRET}'",
        f"SELECT * FROM read_csv('/{SECRET}/x.csv')",
        f"CREATE MODEL n FROM '/{SECRET}/m.onnx'",
        f"SELECT * FROM t FOR VERSION AS OF '{SECRET}'",
        f"SET timezone = '{SECRET}'",
    ):
        with pytest.raises(Refused):
            session.query(sql)
    for line in statements(session):
        text = json.dumps(line)
        assert SECRET not in text, line
        # Longer than what the numbers of a query or a file may hold by chance.
        assert "4217.7" not in text
        assert "1987-06" not in text
        for path in (session.engine.settings.directory, model_files, "/etc", "site-packages"):
            assert str(path) not in text, line
        assert "Traceback" not in text


def test_the_same_statement_reads_the_same(session: InProcess) -> None:
    session.update("CREATE TABLE t (a INTEGER)")
    texts = set()
    for sql in (
        "SELECT a FROM t WHERE a = 1",
        "select  a\nfrom T -- x\n where a = 2",
        "SELECT a FROM t WHERE a=3",
    ):
        session.query(sql)
        texts.add(last(session)["sql"].lower())
    assert len(texts) == 1


def test_query_tag_and_query_id(session: InProcess) -> None:
    session.update("SET query_tag = 'nightly'")
    plan = session.engine.plan("SELECT 1 AS a", session.context)
    result = session.engine.run(plan, session.context, query_id="cafe")
    result.read_all()
    assert result.query_id == "cafe"
    assert last(session)["query_id"] == "cafe"
    assert last(session)["query_tag"] == "nightly"


def test_a_result_that_is_not_read_to_its_end(session: InProcess) -> None:
    result = session.engine.execute("SELECT * FROM range(10000000)", session.context)
    next(iter(result))
    before = len(statements(session))
    result.close()
    (line,) = statements(session, before)
    assert line["outcome"] == "error"
    assert line["error"]["sqlstate"] == "57014"
    assert session.value("SELECT 1") == 1


def test_a_result_that_is_never_read(session: InProcess) -> None:
    result = session.engine.execute("SELECT 1 AS a", session.context)
    before = len(statements(session))
    result.close()
    result.close()
    assert len(statements(session, before)) == 1
    assert session.engine.instances.running == 0


SCORED = [
    ("SELECT PREDICT('m', a, b) FROM t", 100),
    ("SELECT id FROM t WHERE PREDICT('m', a, b) > 40", 100),
    ("SELECT PREDICT('m', a, b) AS s FROM t WHERE PREDICT('m', a, b) > 40", 100),
    ("SELECT PREDICT('m', a, b) AS s FROM t WHERE s > 40 ORDER BY s DESC LIMIT 3", 100),
    ("SELECT *, PREDICT('m', t) AS s FROM t WHERE s > 40", 100),
    ("SELECT *, PREDICT('m', *) AS s FROM t WHERE PREDICT('m', *) > 40", 100),
    ("SELECT g, max(PREDICT('m', a, b)) FROM t WHERE PREDICT('m', a, b) > 40 GROUP BY g", 100),
    ("SELECT id, PREDICT('m', a, b) AS s FROM t WHERE g = 'x' AND s > 40", 50),
    ("WITH q AS (SELECT id, PREDICT('m', a, b) AS s FROM t) SELECT * FROM q WHERE s > 40", 100),
    (
        "WITH q AS (SELECT id, PREDICT('m', a, b) AS s FROM t) SELECT max(s), count(*) FROM q WHERE s > 40 AND s < 90",
        100,
    ),
    ("SELECT * FROM (SELECT *, PREDICT('m', a, b) AS s FROM t) AS q WHERE s > 40 ORDER BY s", 100),
    ("SELECT s, count(*) FROM (SELECT PREDICT('m', a, b) > 40 AS s FROM t) AS q WHERE s GROUP BY s", 100),
    (
        "SELECT t.id, PREDICT('m', a, u.d) AS s FROM t JOIN u ON t.id = u.id WHERE PREDICT('m', a, u.d) > 40",
        10,
    ),
    (
        "SELECT *, PREDICT('m', a, u.d) AS s FROM t LEFT JOIN u ON t.id = u.id WHERE PREDICT('m', a, u.d) > 40",
        100,
    ),
    (
        "SELECT t.id, PREDICT('m', a, b) AS s FROM t JOIN u ON t.id = u.id AND u.d < 5 WHERE g = 'x' AND s > 0",
        3,
    ),
    ("SELECT id, rank() OVER (ORDER BY PREDICT('m', a, b)) FROM t WHERE PREDICT('m', a, b) > 40", 100),
    ("CREATE TABLE made AS SELECT id, PREDICT('m', a, b) AS s FROM t WHERE PREDICT('m', a, b) > 40", 100),
    ("SELECT id FROM t WHERE g = 'nowhere' AND PREDICT('m', a, b) > 40", None),
    ("SELECT count(*) FROM t", None),
    ("EXPLAIN SELECT PREDICT('m', a, b) FROM t", None),
]


def test_a_prediction_is_made_once_a_row(session: InProcess, model_files) -> None:
    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
    session.update(
        "CREATE TABLE t AS SELECT i AS id, i % 10 AS a, i % 7 AS b, CASE i % 2 WHEN 0 THEN 'x' ELSE 'y' END AS g "
        "FROM range(100) AS r(i)"
    )
    session.update("CREATE TABLE u AS SELECT i AS id, i AS d FROM range(10) AS r(i)")
    for sql, rows in SCORED:
        session.query(sql)
        assert last(session).get("rows_scored") == rows, sql
