"""Only what is listed passes; each refusal says why and where."""

import duckdb
import pytest
from sqlglot import exp

from scoter.engine.binding import Binder
from scoter.engine.dialect import parse, to_duckdb
from scoter.engine.functions import (
    AGGREGATES,
    CALLABLE,
    NOW,
    SCALARS,
    SESSION,
    TABLE_FUNCTIONS,
    VOLATILE,
    WINDOWS,
    refusal,
)
from scoter.engine.gate import check, function_name
from scoter.errors import (
    InternalError,
    InvalidDefinition,
    InvalidSyntax,
    NotSupported,
    Span,
    TooComplex,
    TooLarge,
    UndefinedFunction,
)

LIMIT = 1_000_000


def gate(sql):
    tree = parse(sql, LIMIT)
    check(tree)
    return tree


HOSTILE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('x.parquet')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('x')",
    "SELECT * FROM read_json('x')",
    "SELECT * FROM parquet_scan('x')",
    "SELECT * FROM parquet_metadata('x')",
    "SELECT * FROM sniff_csv('x')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM 'file.csv'",
    "SELECT * FROM t, 'file.csv'",
    "SELECT * FROM t JOIN 's3://b/x.parquet' ON true",
    "FROM 'x'",
    "PIVOT 'x.csv' ON a USING sum(b)",
    "SELECT 1 IN (FROM 'x')",
    "INSERT INTO t FROM 'x.csv'",
    "CREATE TABLE t AS SELECT * FROM 'x'",
    "COPY t TO 'x'",
    "COPY (SELECT 1) TO 'x'",
    "COPY t FROM 'x'",
    "ATTACH 'x.db'",
    "ATTACH DATABASE ':memory:' AS y",
    "DETACH x",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs",
    "LOAD httpfs",
    "SET GLOBAL threads = 1",
    "SET VARIABLE x = 1",
    "PRAGMA database_list",
    "PRAGMA threads = 4",
    "CREATE MACRO f(x) AS x",
    "CREATE OR REPLACE MACRO f(x) AS TABLE SELECT 1",
    "CREATE TEMP MACRO f(x) AS x",
    "CREATE FUNCTION f(x) AS x",
    "CREATE TEMP TABLE t (a INT)",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE MATERIALIZED VIEW v AS SELECT 1",
    "CREATE RECURSIVE VIEW v AS SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "CREATE TYPE x AS ENUM ('a')",
    "CREATE SEQUENCE s",
    "CREATE INDEX i ON t (a)",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "CALL pragma_version()",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "EXPLAIN ANALYZE COPY t TO 'x'",
    "EXPLAIN SELECT * FROM read_csv('x')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('t')",
    "SELECT json_execute_serialized_sql('x')",
    "SELECT json_serialize_sql('SELECT 1')",
    "SELECT json_serialize_plan('SELECT 1')",
    "SELECT getenv('HOME')",
    "SELECT \"GetEnv\"('HOME')",
    "SELECT getenv /* x */ ('HOME')",
    "SELECT 'HOME'.getenv()",
    "SELECT main.getenv('x')",
    "SELECT system.main.getenv('x')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_version()",
    "SELECT * FROM main.read_csv('x')",
    "SELECT * FROM system.main.range(3)",
    "SELECT * FROM LATERAL read_csv('x')",
    "SELECT * FROM (read_csv('x'))",
    "SELECT * FROM ROWS FROM (read_csv('x'))",
    "SELECT * FROM which_secret('x', 's3')",
    "SELECT * FROM seq_scan('x')",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM enable_logging()",
    "SELECT current_setting('threads')",
    "SELECT getvariable('x')",
    "SELECT current_query()",
    "SELECT current_role()",
    "SELECT current_schemas(true)",
    "SELECT current_connection_id()",
    "SELECT pg_catalog.version()",
    "SELECT version(1)",
    "SELECT 'a'.current_user()",
    "SELECT nextval('s')",
    "SELECT setseed(0.5)",
    "SELECT sleep_ms(1000)",
    "SELECT pg_sleep(1)",
    "SELECT write_log('x')",
    "WITH x AS (FROM read_csv('x')) SELECT 1",
    "WITH x AS (INSERT INTO t SELECT 1) SELECT 1",
    "WITH x AS (SHOW TABLES) SELECT 1",
    "SELECT (FROM read_csv('x'))",
    "SELECT a FROM t ORDER BY (SELECT 1 FROM glob('x'))",
    "SELECT a FROM t LIMIT (SELECT count(*) FROM glob('x'))",
    "SELECT list_transform([1], lambda x : getenv('x'))",
    "SELECT [getenv(x) FOR x IN ['HOME']]",
    "SELECT COLUMNS(c -> getenv(c) = '') FROM t",
    "SELECT {'a': getenv('x')}",
    "SELECT MAP {'a': getenv('x')}",
    "SELECT * REPLACE (getenv('x') AS a) FROM t",
    "SELECT sum(a) OVER (PARTITION BY getenv('x')) FROM t",
    "SELECT INTERVAL (getenv('HOME')) DAY",
    "SELECT EXTRACT(getenv('x') FROM DATE '2020-01-01')",
    "SELECT CAST(1 AS getenv('x'))",
    "SELECT PREDICT('m', (SELECT getenv('x')))",
    "SELECT PREDICT(getenv('x'), a)",
    "SELECT * FROM ML_PREDICT(MODEL m, TABLE (FROM read_csv('x')))",
    "INSERT INTO t VALUES (getenv('x'))",
    "CREATE TABLE t AS FROM read_csv('x')",
    "SELECT 1 INTO x",
    "SELECT * FROM t FOR UPDATE",
    "SELECT 1::regclass",
    "SELECT a FROM t TABLESAMPLE getenv('x')",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_refused(sql):
    with pytest.raises(NotSupported) as caught:
        gate(sql)
    assert caught.value.span is not None
    assert "/etc" not in caught.value.text()


def test_settings_of_the_engine_never_reach_it():
    """SET is our own statement; it is never written as SQL for DuckDB."""
    with pytest.raises(InternalError):
        to_duckdb(gate("SET threads = 1"))


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1; SELECT 2", InvalidSyntax),
        ("SELECT 1; DROP TABLE t", InvalidSyntax),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, TooComplex),
        ("SELECT '" + "x" * 2_000_000 + "'", TooLarge),
    ],
    ids=["two", "drop", "nested", "large"],
)
def test_refused_by_the_parser(sql, kind):
    with pytest.raises(kind):
        gate(sql)


@pytest.mark.parametrize(
    ("sql", "name", "hint"),
    [
        ("SELECT sume(1)", "sume", 'did you mean "sum"?'),
        ("SELECT a + lowr(b) FROM t", "lowr", 'did you mean "lower"?'),
        ("SELECT * FROM rang(1)", "rang", 'did you mean "range"?'),
        ("SELECT * FROM sum(1)", "sum", "it gives a value and stands in the select list"),
        ("SELECT json_each('x')", "json_each", "it gives rows and stands behind FROM"),
        ("SELECT qqqqqqqq(1)", "qqqqqqqq", None),
    ],
)
def test_unknown_functions(sql, name, hint):
    with pytest.raises(UndefinedFunction) as caught:
        gate(sql)
    assert f'"{name}"' in caught.value.message
    assert caught.value.hint == hint
    assert caught.value.span == Span(1, sql.index(name) + 1)


def test_a_refusal_says_why():
    with pytest.raises(NotSupported) as caught:
        gate("SELECT 1,\n  read_csv('x')")
    assert caught.value.hint == "files are read as tables of the lake only"
    assert caught.value.span == Span(2, 3)
    assert refusal("lower") is None


@pytest.mark.parametrize(
    "kind",
    ["DECIMAL(39, 0)", "DECIMAL(3, 4)[]", "MAP", "STRUCT(a LIST)", "MAP(VARCHAR, ENUM)", "DECIMAL(x, 1)"],
)
@pytest.mark.parametrize("sql", ["CREATE TABLE t (a {})", "SELECT CAST(a AS {}) FROM t"])
def test_types_that_do_not_exist_are_refused_with_a_place(sql, kind):
    with pytest.raises(InvalidDefinition) as caught:
        gate(sql.format(kind))
    assert caught.value.span is not None


@pytest.mark.parametrize(
    "kind", ["DECIMAL", "DECIMAL(38, 38)", "INTEGER[3]", "MAP(VARCHAR, DECIMAL(5)[])", "STRUCT(a INT)"]
)
def test_types_that_exist_pass(kind):
    gate(f"SELECT CAST(a AS {kind}) FROM t")


def test_one_argument_of_age_hides_the_clock():
    with pytest.raises(NotSupported):
        gate("SELECT age(TIMESTAMP '2020-01-01')")
    gate("SELECT age(current_timestamp, TIMESTAMP '2020-01-01')")


def test_quoted_names_are_names():
    """A quoted name that looks like a file is a table of the lake or nothing; the catalog decides."""
    table = gate('SELECT * FROM "file.csv"').find(exp.Table)
    assert table.name == "file.csv"


def test_an_unknown_node_is_refused():
    tree = gate("SELECT a FROM t")
    tree.selects[0].replace(exp.Uuid())
    with pytest.raises(NotSupported):
        check(tree)


def test_an_unknown_part_of_a_known_node_is_refused():
    tree = gate("SELECT a FROM t")
    tree.find(exp.Table).set("only", True)
    with pytest.raises(NotSupported):
        check(tree)


def test_listed_functions_are_functions_of_duckdb():
    with duckdb.connect() as connection:
        rows = connection.sql("SELECT DISTINCT lower(function_name) FROM duckdb_functions()").fetchall()
    known = {name for (name,) in rows}
    from_grammar = {
        *("array", "coalesce", "columns", "grouping", "grouping_id", "ifnull", "try"),
        *("percentile_cont", "percentile_disc"),
    }
    assert known | from_grammar >= CALLABLE | TABLE_FUNCTIONS
    assert SCALARS.isdisjoint(AGGREGATES)
    assert {"sum", "count", "list"}.issubset(AGGREGATES)
    assert "row_number" in WINDOWS


def test_what_depends_on_chance_or_clock_is_marked():
    """Every function that DuckDB calls volatile or constant within a query is marked or refused."""
    with duckdb.connect() as connection:
        rows = connection.sql(
            "SELECT DISTINCT lower(function_name), stability FROM duckdb_functions() "
            "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
        ).fetchall()
    for name, stability in rows:
        if name in CALLABLE:
            assert name in (VOLATILE if stability == "VOLATILE" else NOW | SESSION), name


def test_names_of_calls():
    tree = gate('SELECT "Now"(), CURRENT_DATE, localtime, RANDOM(), a FROM t')
    assert [function_name(node) for node in tree.selects] == [
        "now",
        "current_date",
        "localtime",
        "random",
        None,
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a' COLLATE \"nocase; CREATE MACRO upper(x) AS 'evil'; SELECT 1\"",
        "SELECT 'a' COLLATE \"nocase, (SELECT count(*) FROM duckdb_settings())\"",
        'SELECT \'a\' COLLATE "nocase"."x; SELECT 1"',
        "SELECT extract(\"year; SELECT 1\" FROM DATE '2020-01-01')",
        'SELECT CAST(1 AS "int; SELECT 1")',
        'SELECT $"a b"',
    ],
)
def test_nothing_written_raw_holds_sql(sql: str) -> None:
    with pytest.raises((NotSupported, InvalidSyntax)):
        check(parse(sql, 1_000_000))


def test_duckdb_must_read_one_query() -> None:
    binder = Binder()
    try:
        binder.check("SELECT 1")
        for sql in ("SELECT 1; SELECT 2", "CREATE MACRO f(x) AS 1", "COPY (SELECT 1) TO 'x'"):
            with pytest.raises(NotSupported):
                binder.check(sql)
    finally:
        binder.close()
