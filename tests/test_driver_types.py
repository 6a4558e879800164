"""The types on the wire: what a client is told, what it gets, and what JDBC's driver makes of it."""

from dataclasses import dataclass

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import duckdb
import java
import proofs
import pytest
from flight_sql import Client, served
from proofs import proves
from slt import written

from scoter.server.flightsql import messages_pb2 as m


@dataclass(frozen=True)
class Case:
    """A type, a value in SQL, and what a client is told; the value's text too, where a client shows another."""

    kind: str
    value: str
    arrow: str
    jdbc: str
    text: str = ""
    java: str = ""

    @property
    def over_adbc(self) -> str:
        return self.text or self.value.strip("'")

    @property
    def over_jdbc(self) -> str:
        return self.java or self.over_adbc


CASES = [
    Case("BOOLEAN", "true", "bool", "BOOLEAN"),
    Case("TINYINT", "-128", "int8", "TINYINT"),
    Case("SMALLINT", "-32768", "int16", "SMALLINT"),
    Case("INTEGER", "2147483647", "int32", "INTEGER"),
    Case("BIGINT", "-9223372036854775808", "int64", "BIGINT"),
    Case("UTINYINT", "255", "int16", "SMALLINT"),
    Case("USMALLINT", "65535", "int32", "INTEGER"),
    Case("UINTEGER", "4294967295", "int64", "BIGINT"),
    Case("UBIGINT", "18446744073709551615", "decimal128(20, 0)", "DECIMAL"),
    Case("HUGEINT", "-99999999999999999999999999999999999999", "decimal128(38, 0)", "DECIMAL"),
    Case("UHUGEINT", "99999999999999999999999999999999999999", "decimal128(38, 0)", "DECIMAL"),
    Case("FLOAT", "1.5", "float", "FLOAT"),
    Case("DOUBLE", "'-inf'", "double", "DOUBLE", java="-Infinity"),
    Case("DECIMAL(4, 1)", "-999.9", "decimal128(4, 1)", "DECIMAL"),
    Case("DECIMAL(9, 2)", "1234567.89", "decimal128(9, 2)", "DECIMAL"),
    Case("DECIMAL(18, 6)", "123456789012.345678", "decimal128(18, 6)", "DECIMAL"),
    Case("DECIMAL(38, 10)", "'1234567890123456789012345678.0123456789'", "decimal128(38, 10)", "DECIMAL"),
    Case("DECIMAL(38, 38)", "'0.99999999999999999999999999999999999999'", "decimal128(38, 38)", "DECIMAL"),
    Case("VARCHAR", "'ü漢😀'", "string", "VARCHAR"),
    Case("UUID", "'00000000-0000-0000-0000-000000000005'", "string", "VARCHAR"),
    Case("ENUM('sad', 'happy')", "'happy'", "string", "VARCHAR"),
    Case("JSON", "'{\"a\": [1, 2]}'", "string", "VARCHAR"),
    Case("UNION(n INTEGER, s VARCHAR)", "2", "string", "VARCHAR", text='{"n":2}'),
    Case("VARIANT", "7", "string", "VARCHAR"),
    Case("BLOB", "'\\xAA\\x41'", "binary", "VARBINARY", text="\\xaa41", java="�A"),
    Case("BIT", "'10101'", "string", "VARCHAR"),
    Case("DATE", "'2020-02-29'", "date32[day]", "DATE"),
    Case("TIME", "'12:34:56.789'", "time64[us]", "TIME"),
    Case("TIMETZ", "'12:34:56.789+02:30'", "string", "VARCHAR"),
    Case("TIMESTAMP", "'2020-02-29 12:34:56.789012'", "timestamp[us]", "TIMESTAMP"),
    Case(
        "TIMESTAMP_S",
        "'2020-02-29 12:34:56'",
        "timestamp[us]",
        "TIMESTAMP",
        java="2020-02-29 12:34:56.0",
    ),
    Case("TIMESTAMP_MS", "'2020-02-29 12:34:56.789'", "timestamp[us]", "TIMESTAMP"),
    Case("TIMESTAMP_NS", "'2020-02-29 12:34:56.789012345'", "timestamp[ns]", "TIMESTAMP"),
    Case(
        "TIMESTAMPTZ",
        "'2020-02-29 12:34:56.789012+02'",
        "timestamp[us, tz=UTC]",
        "TIMESTAMP_WITH_TIMEZONE",
        text="2020-02-29 10:34:56.789012Z",
        java="2020-02-29 10:34:56.789012",
    ),
    Case(
        "INTERVAL",
        "'1 month 2 days 3.5 seconds'",
        "month_day_nano_interval",
        "JAVA_OBJECT",
        text="1m 2d 3500000us",
        java="P1M2DT3.5S",
    ),
    Case("INTEGER[]", "[1, NULL, 3]", "list<element: int32>", "ARRAY", java="[1,null,3]"),
    Case("INTEGER[3]", "[1, 2, 3]", "list<element: int32>", "ARRAY", java="[1,2,3]"),
    Case(
        "VARCHAR[][]",
        "[['a'], NULL, []]",
        "list<element: list<element: string>>",
        "ARRAY",
        text="[[a], NULL, []]",
        java='[["a"],null,[]]',
    ),
    Case("HUGEINT[]", "[9]", "list<element: decimal128(38, 0)>", "ARRAY"),
    Case(
        "ENUM('sad', 'happy')[]",
        "['happy', NULL]",
        "list<element: string>",
        "ARRAY",
        text="[happy, NULL]",
        java='["happy",null]',
    ),
    Case(
        "UNION(n INTEGER, s VARCHAR)[]",
        "[2, NULL]",
        "list<element: string>",
        "ARRAY",
        text='[{"n":2}, {"n":null}]',
        java='["{\\"n\\":2}","{\\"n\\":null}"]',
    ),
    Case(
        "TIMESTAMP[]",
        "['2020-02-29 12:34:56']",
        "list<element: timestamp[us]>",
        "ARRAY",
        text="[2020-02-29 12:34:56]",
        java="[[2020,2,29,12,34,56]]",
    ),
    Case(
        "STRUCT(a INTEGER, b VARCHAR)",
        "{'a': 1, 'b': 'x'}",
        "struct<a: int32, b: string>",
        "JAVA_OBJECT",
        text="{a: 1, b: x}",
        java='{"a":1,"b":"x"}',
    ),
    Case(
        "STRUCT(e ENUM('a'), u UNION(n INTEGER))",
        "{'e': 'a', 'u': 2}",
        "struct<e: string, u: string>",
        "JAVA_OBJECT",
        text='{e: a, u: {"n":2}}',
        java='{"e":"a","u":"{\\"n\\":2}"}',
    ),
    Case(
        "MAP(VARCHAR, DOUBLE)",
        "MAP {'k': 1.5, 'l': NULL}",
        "map<string, double>",
        "JAVA_OBJECT",
        text="{k: 1.5, l: NULL}",
        java='{"k":1.5,"l":null}',
    ),
    Case(
        "MAP(INTEGER, STRUCT(l INTEGER[]))",
        "MAP {1: {'l': [2]}}",
        "map<int32, struct<l: list<element: int32>>>",
        "JAVA_OBJECT",
        text="{1: {l: [2]}}",
        java='{"1":{"l":[2]}}',
    ),
]
# SQL type, a value that can not travel, what the error says
REFUSED = [
    ("HUGEINT", "170141183460469231731687303715884105727", r"\[22003\] NUMERIC_OUT_OF_RANGE"),
    ("UHUGEINT", "340282366920938463463374607431768211455", r"\[22003\] NUMERIC_OUT_OF_RANGE"),
    ("TIME", "'24:00:00'", r"\[22023\] INVALID_VALUE: column \"v\" has the TIME 24:00:00.*CAST"),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("types")) as running:
        yield running


@pytest.fixture(scope="module")
def cursor(lake):
    with adbc.connect(lake.address, autocommit=True) as connection, connection.cursor() as made:
        yield made


@pytest.fixture(scope="module")
def client(lake):
    with Client(lake.address) as made:
        yield made


@pytest.fixture(scope="module")
def connection(lake):
    with java.connection(lake.address) as made:
        yield made


def read(connection, sql):
    """Return type name and text of the one value of a query."""
    statement = connection.createStatement()
    try:
        results = statement.executeQuery(sql)
        assert results.next()
        found = results.getString(1)
        return str(results.getMetaData().getColumnTypeName(1)), None if found is None else str(found)
    finally:
        statement.close()


@proves("ADBC", "Values of every type")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_over_adbc(cursor, client, case):
    sql = f"SELECT CAST({case.value} AS {case.kind}) AS v, CAST(NULL AS {case.kind}) AS n"
    cursor.execute(sql)
    table = cursor.fetch_arrow_table()
    table.validate(full=True)
    assert [str(found) for found in table.schema.types] == [case.arrow, case.arrow]
    assert all(field.nullable for field in table.schema)
    assert (written(table.column(0)[0]), table.column(1).null_count) == (case.over_adbc, 1)
    # Told, told again without a run, and sent: one schema each time. The client compares the first with the last.
    command = m.CommandStatementQuery(query=sql)
    assert client.schema(command).equals(client.table(command).schema)
    cursor.execute(f"SELECT * FROM ({sql}) WHERE n IS NOT NULL")
    empty = cursor.fetch_arrow_table()
    assert (empty.num_rows, empty.schema.types) == (0, table.schema.types)


@pytest.mark.java
@proves("JDBC", "Values of every type")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_over_jdbc(connection, case):
    assert read(connection, f"SELECT CAST({case.value} AS {case.kind}) AS v") == (case.jdbc, case.over_jdbc)
    assert read(connection, f"SELECT CAST(NULL AS {case.kind}) AS v") == (case.jdbc, None)


@pytest.mark.parametrize(("kind", "value", "error"), REFUSED, ids=[case[0] for case in REFUSED])
def test_values_that_arrow_does_not_have(cursor, kind, value, error):
    with pytest.raises(adbc_driver_manager.Error, match=error):  # noqa: PT012  # either call may be the one that is refused
        cursor.execute(f"SELECT CAST({value} AS {kind}) AS v")
        cursor.fetchall()


@pytest.mark.java
@pytest.mark.parametrize(
    ("sql", "arrow", "name"),
    [
        ("NULL", "int32", "INTEGER"),
        ("[]", "list<element: int32>", "ARRAY"),
        ("{'a': NULL}", "struct<a: int32>", "JAVA_OBJECT"),
        ("row(1, 'a')", "string", "VARCHAR"),
    ],
)
def test_untyped_values(cursor, connection, sql, arrow, name):
    cursor.execute(f"SELECT {sql} AS v")
    assert [str(kind) for kind in cursor.fetch_arrow_table().schema.types] == [arrow]
    assert read(connection, f"SELECT {sql} AS v")[0] == name


@pytest.mark.java
@proves("ADBC", "Columns with one name")
@proves("JDBC", "Columns with one name")
def test_columns_with_one_name(cursor, connection):
    sql = "SELECT 1 AS a, 'x' AS a, a.n AS b, b.n AS b FROM (SELECT 3 AS n) a, (SELECT 4 AS n) b"
    cursor.execute(sql)
    table = cursor.fetch_arrow_table()
    assert table.schema.names == ["a", "a", "b", "b"]
    assert [column[0].as_py() for column in table.columns] == [1, "x", 3, 4]
    statement = connection.createStatement()
    results = statement.executeQuery(sql)
    about = results.getMetaData()
    assert [str(about.getColumnLabel(i)) for i in range(1, about.getColumnCount() + 1)] == [
        "a",
        "a",
        "b",
        "b",
    ]
    assert java.rows(results) == [(1, "x", 3, 4)]
    statement.close()


@pytest.mark.java
def test_the_driver_counts_the_columns_of_an_empty_result_twice(connection):
    # Its prepared statements count them right.
    sql = "SELECT 1 AS a, 'x' AS b WHERE false"
    statement = connection.createStatement()
    results = statement.executeQuery(sql)
    assert results.getMetaData().getColumnCount() == 4
    assert not results.next()
    statement.close()
    prepared = connection.prepareStatement(sql)
    assert prepared.getMetaData().getColumnCount() == 2
    prepared.close()


@pytest.mark.java
def test_many_columns_over_jdbc(connection):
    # tests/test_server_limits.py has 10,000 over ADBC.
    statement = connection.createStatement()
    results = statement.executeQuery(f"SELECT {', '.join(f'{i} AS c{i}' for i in range(1000))}")
    assert results.next()
    assert (results.getMetaData().getColumnCount(), results.getInt(1000)) == (1000, 999)
    statement.close()


@pytest.mark.java
def test_what_the_driver_makes_of_some_values(connection):
    statement = connection.createStatement()
    results = statement.executeQuery(
        "SELECT TIME '12:34:56.789012' AS t, TIMESTAMPTZ '2020-02-29 12:00:00+02' AS z, DATE 'infinity' AS d"
    )
    results.next()
    # Times have milliseconds; a time stamp with a zone has no getObject, but getTimestamp and an Instant.
    assert str(results.getString(1)) == "12:34:56.789"
    with pytest.raises(Exception, match="not implemented"):
        results.getObject(2)
    instant = java.jvm().JClass("java.time.Instant").class_
    assert str(results.getObject(2, instant)) == "2020-02-29T10:00:00Z"
    assert str(results.getTimestamp(2)) == "2020-02-29 10:00:00.0"
    assert results.getMetaData().getColumnClassName(1) is None
    statement.close()


def test_duckdb_reads_what_comes(cursor):
    kinds = [f"CAST({case.value} AS {case.kind}) AS c{i}" for i, case in enumerate(CASES)]
    cursor.execute(f"SELECT {', '.join(kinds)}")
    reader = cursor.fetch_record_batch()  # noqa: F841  # DuckDB finds it by its name
    with duckdb.connect() as here:
        table = here.sql("SELECT * FROM reader").to_arrow_table()
    assert (table.num_columns, table.num_rows) == (len(CASES), 1)


@pytest.mark.java
def test_the_document_shows_the_types():
    proofs.check_table(
        "types",
        ["SQL", "ADBC", "JDBC", "`getString` of an example"],
        [(f"`{case.kind}`", f"`{case.arrow}`", case.jdbc, f"`{case.over_jdbc}`") for case in CASES],
    )
