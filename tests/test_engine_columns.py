"""What every schema says of its columns: DuckDB's type, sizes, and the table where it is plain."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import TimestamptzNanoType
from sessions import InProcess, opened

from scoter.engine import columns
from scoter.engine.types import listed_type

KEY = b"ARROW:FLIGHT:SQL:"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory):
    with opened(tmp_path_factory.mktemp("lake")) as engine:
        session = InProcess(engine)
        session.update("CREATE TABLE t (a INTEGER COMMENT 'the first', b VARCHAR, c DECIMAL(9, 2))")
        session.update("CREATE TABLE u (a INTEGER, z DOUBLE)")
        yield session


def about(field: pa.Field) -> dict[str, str]:
    found = field.metadata or {}
    assert all(key.startswith(KEY) for key in found)
    return {key.removeprefix(KEY).decode(): value.decode() for key, value in found.items()}


def schema(session: InProcess, sql: str) -> pa.Schema:
    plan = session.engine.plan(sql, session.context)
    result = session.engine.run(plan, session.context)
    assert result.schema.equals(plan.schema, check_metadata=True)
    for batch in result:
        assert batch.schema.equals(plan.schema, check_metadata=True)
    return plan.schema


@pytest.mark.parametrize(
    ("sql", "name", "size", "scale"),
    [
        ("true", "BOOLEAN", "1", None),
        ("1", "INTEGER", "10", "0"),
        ("1::UBIGINT", "UBIGINT", "20", "0"),
        ("1::HUGEINT", "HUGEINT", "38", "0"),
        ("1.25", "DECIMAL(3,2)", "3", "2"),
        ("1e0", "DOUBLE", "15", None),
        ("1::FLOAT", "FLOAT", "7", None),
        ("'x'", "VARCHAR", None, None),
        ("uuid()", "UUID", "36", None),
        ("'x'::BLOB", "BLOB", None, None),
        ("current_date", "DATE", "10", None),
        ("TIME '12:00:00'", "TIME", "15", "6"),
        ("TIMESTAMP '2020-01-01'", "TIMESTAMP", "26", "6"),
        ("'2020-01-01'::TIMESTAMP_NS", "TIMESTAMP_NS", "29", "9"),
        ("now()", "TIMESTAMP WITH TIME ZONE", "32", "6"),
        ("INTERVAL 1 DAY", "INTERVAL", None, None),
        ("[1, 2]", "INTEGER[]", None, None),
        ("{a: 1.5, b: 'x'}", "STRUCT(a DECIMAL(2,1), b VARCHAR)", None, None),
        ("MAP {'a': 1}", "MAP(VARCHAR, INTEGER)", None, None),
        ("'a'::ENUM('a', 'b')", "ENUM", None, None),
        ("NULL", "INTEGER", "10", "0"),
    ],
)
def test_types_by_name(session: InProcess, sql: str, name: str, size: str | None, scale: str | None):
    (field,) = schema(session, f"SELECT {sql} AS x")
    found = about(field)
    assert (found["TYPE_NAME"], found.get("PRECISION"), found.get("SCALE")) == (name, size, scale)
    assert found["IS_CASE_SENSITIVE"] == ("1" if field.type == pa.string() else "0")
    assert (found["IS_AUTO_INCREMENT"], found["IS_SEARCHABLE"], found["IS_READ_ONLY"]) == ("0", "1", "1")
    assert "TABLE_NAME" not in found
    assert field.nullable


def tables(found: pa.Schema) -> list[str | None]:
    return [about(field).get("TABLE_NAME") for field in found]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM t", ["t", "t", "t"]),
        ("FROM lake.main.t", ["t", "t", "t"]),
        ("SELECT a AS b, x.c, a + 1, 'k' FROM t AS x WHERE a > 0", ["t", "t", None, None]),
        ("SELECT b, count(*) FROM t GROUP BY b", ["t", None]),
        ("SELECT * FROM t, u", ["t", "t", "t", "u", "u"]),
        ("SELECT t.*, z, u.a FROM t JOIN u ON t.a = u.a", ["t", "t", "t", "u", "u"]),
        ("SELECT a, b, z FROM t JOIN u USING (a)", [None, "t", "u"]),
        # Where it can not be told from the text, nothing is said.
        ("SELECT * FROM t JOIN u USING (a)", [None] * 4),
        ("SELECT * FROM t NATURAL JOIN u", [None] * 4),
        ("SELECT * FROM t SEMI JOIN u ON t.a = u.a", [None] * 3),
        ("SELECT * EXCLUDE (a) FROM t", [None] * 2),
        ("SELECT * REPLACE ('x' AS a) FROM t", [None] * 3),
        ("SELECT COLUMNS('[ab]') FROM t", [None] * 2),
        ("SELECT b FROM t AS x(p, b, q)", [None]),
        ("SELECT * FROM (SELECT a FROM t)", [None]),
        ("WITH t AS (SELECT 1 AS a) SELECT a FROM t", [None]),
        ("SELECT a FROM t UNION ALL SELECT a FROM u", [None]),
        ("SELECT a FROM t, LATERAL (SELECT t.a + 1 AS y)", [None]),
        ("SELECT i.i, b FROM t, range(2) AS i(i)", [None, None]),
        ("SELECT t FROM t", [None]),
    ],
)
def test_where_columns_come_from(session: InProcess, sql: str, expected: list[str | None]):
    assert tables(schema(session, sql)) == expected


def test_places_and_comments(session: InProcess):
    first, second, _ = schema(session, "SELECT * FROM t")
    found = about(first)
    assert (found["CATALOG_NAME"], found["SCHEMA_NAME"], found["REMARKS"]) == ("lake", "main", "the first")
    assert "REMARKS" not in about(second)
    (field,) = schema(session, "SELECT table_name FROM information_schema.tables")
    assert (about(field)["SCHEMA_NAME"], about(field)["TABLE_NAME"]) == ("information_schema", "tables")


def place(found: pa.Field) -> tuple[str, str, str]:
    facts = about(found)
    return facts["CATALOG_NAME"], facts["SCHEMA_NAME"], facts["TABLE_NAME"]


def test_tables_are_spelled_as_in_the_catalog(tmp_path: Path):
    with opened(tmp_path) as engine:
        session = InProcess(engine)
        session.update("CREATE SCHEMA Sales")
        session.update("CREATE TABLE sales.Orders (id INTEGER)")
        settings = engine.settings
        catalog = SqlCatalog("lake", uri=settings.metastore_url, warehouse=f"file://{settings.warehouse}")
        catalog.create_table("Sales.orders", pa.schema([("id", pa.int64())]))
        catalog.engine.dispose()
        sql = 'SELECT a.id, b.id FROM SALES."Orders" AS a, LAKE.sales.orders AS b'
        plan = engine.plan(sql, session.context)
        assert [place(found) for found in plan.schema] == [
            ("lake", "Sales", "Orders"),
            ("lake", "Sales", "orders"),
        ]
        (own,) = schema(session, "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES")
        assert place(own) == ("lake", "information_schema", "tables")
    with opened(tmp_path) as engine:
        again = engine.plan(sql, InProcess(engine).context, pins=plan.pins)
        assert again.pins == plan.pins
        assert again.schema.equals(plan.schema, check_metadata=True)


def test_a_comment_is_seen_at_once(session: InProcess):
    session.update("CREATE TABLE noted (a INTEGER)")
    assert "REMARKS" not in about(schema(session, "SELECT a FROM noted").field(0))
    session.update("COMMENT ON COLUMN noted.a IS 'now'")
    assert about(schema(session, "SELECT a FROM noted").field(0))["REMARKS"] == "now"


@pytest.mark.parametrize("sql", ["SHOW TABLES", "DESCRIBE t", "EXPLAIN SELECT 1", "SHOW MODELS"])
def test_commands_have_types_too(session: InProcess, sql: str):
    found = schema(session, sql)
    assert all(about(field)["TYPE_NAME"] for field in found)


def test_a_type_that_can_not_be_read_is_listed():
    assert listed_type(TimestamptzNanoType()) == "TIMESTAMPTZ_NS"
    found = about(columns.field("x", pa.string(), "STRUCT<1: A: OPTIONAL TIMESTAMPTZ_NS>"))
    assert found["TYPE_NAME"] == "STRUCT<1: A: OPTIONAL TIMESTAMPTZ_NS>"


def test_many_columns(tmp_path: Path):
    with opened(tmp_path) as engine:
        session = InProcess(engine)
        session.update("CREATE TABLE w AS SELECT " + ", ".join(f"{i} AS c{i}" for i in range(1000)))
        assert set(tables(schema(session, "SELECT * FROM w"))) == {"w"}
