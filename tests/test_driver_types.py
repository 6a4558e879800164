"""The types on the wire: what a client is told, what it gets, and what JDBC's driver makes of it."""

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

# (SQL type, value, Arrow type, value over ADBC, JDBC's type, value over JDBC as text)
CASES = [
    ("BOOLEAN", "true", "bool", "true", "BOOLEAN", "true"),
    ("TINYINT", "-128", "int8", "-128", "TINYINT", "-128"),
    ("SMALLINT", "-32768", "int16", "-32768", "SMALLINT", "-32768"),
    ("INTEGER", "2147483647", "int32", "2147483647", "INTEGER", "2147483647"),
    ("BIGINT", "-9223372036854775808", "int64", "-9223372036854775808", "BIGINT", "-9223372036854775808"),
    ("UTINYINT", "255", "int16", "255", "SMALLINT", "255"),
    ("USMALLINT", "65535", "int32", "65535", "INTEGER", "65535"),
    ("UINTEGER", "4294967295", "int64", "4294967295", "BIGINT", "4294967295"),
    (
        "UBIGINT",
        "18446744073709551615",
        "decimal128(20, 0)",
        "18446744073709551615",
        "DECIMAL",
        "18446744073709551615",
    ),
    (
        "HUGEINT",
        "-99999999999999999999999999999999999999",
        "decimal128(38, 0)",
        "-99999999999999999999999999999999999999",
        "DECIMAL",
        "-99999999999999999999999999999999999999",
    ),
    (
        "UHUGEINT",
        "99999999999999999999999999999999999999",
        "decimal128(38, 0)",
        "99999999999999999999999999999999999999",
        "DECIMAL",
        "99999999999999999999999999999999999999",
    ),
    ("FLOAT", "1.5", "float", "1.5", "FLOAT", "1.5"),
    ("DOUBLE", "'-inf'", "double", "-inf", "DOUBLE", "-Infinity"),
    ("DECIMAL(4, 1)", "-999.9", "decimal128(4, 1)", "-999.9", "DECIMAL", "-999.9"),
    ("DECIMAL(9, 2)", "1234567.89", "decimal128(9, 2)", "1234567.89", "DECIMAL", "1234567.89"),
    (
        "DECIMAL(18, 6)",
        "123456789012.345678",
        "decimal128(18, 6)",
        "123456789012.345678",
        "DECIMAL",
        "123456789012.345678",
    ),
    (
        "DECIMAL(38, 10)",
        "'1234567890123456789012345678.0123456789'",
        "decimal128(38, 10)",
        "1234567890123456789012345678.0123456789",
        "DECIMAL",
        "1234567890123456789012345678.0123456789",
    ),
    (
        "DECIMAL(38, 38)",
        "'0.99999999999999999999999999999999999999'",
        "decimal128(38, 38)",
        "0.99999999999999999999999999999999999999",
        "DECIMAL",
        "0.99999999999999999999999999999999999999",
    ),
    ("VARCHAR", "'ü漢😀'", "string", "ü漢😀", "VARCHAR", "ü漢😀"),
    (
        "UUID",
        "'00000000-0000-0000-0000-000000000005'",
        "string",
        "00000000-0000-0000-0000-000000000005",
        "VARCHAR",
        "00000000-0000-0000-0000-000000000005",
    ),
    ("ENUM('sad', 'happy')", "'happy'", "string", "happy", "VARCHAR", "happy"),
    ("JSON", "'{\"a\": [1, 2]}'", "string", '{"a": [1, 2]}', "VARCHAR", '{"a": [1, 2]}'),
    ("UNION(n INTEGER, s VARCHAR)", "2", "string", '{"n":2}', "VARCHAR", '{"n":2}'),
    ("VARIANT", "7", "string", "7", "VARCHAR", "7"),
    ("BLOB", "'\\xAA\\x41'", "binary", "\\xaa41", "VARBINARY", "�A"),
    ("BIT", "'10101'", "string", "10101", "VARCHAR", "10101"),
    ("DATE", "'2020-02-29'", "date32[day]", "2020-02-29", "DATE", "2020-02-29"),
    ("TIME", "'12:34:56.789'", "time64[us]", "12:34:56.789", "TIME", "12:34:56.789"),
    ("TIMETZ", "'12:34:56.789+02:30'", "string", "12:34:56.789+02:30", "VARCHAR", "12:34:56.789+02:30"),
    (
        "TIMESTAMP",
        "'2020-02-29 12:34:56.789012'",
        "timestamp[us]",
        "2020-02-29 12:34:56.789012",
        "TIMESTAMP",
        "2020-02-29 12:34:56.789012",
    ),
    (
        "TIMESTAMP_S",
        "'2020-02-29 12:34:56'",
        "timestamp[us]",
        "2020-02-29 12:34:56",
        "TIMESTAMP",
        "2020-02-29 12:34:56.0",
    ),
    (
        "TIMESTAMP_MS",
        "'2020-02-29 12:34:56.789'",
        "timestamp[us]",
        "2020-02-29 12:34:56.789",
        "TIMESTAMP",
        "2020-02-29 12:34:56.789",
    ),
    (
        "TIMESTAMP_NS",
        "'2020-02-29 12:34:56.789012345'",
        "timestamp[ns]",
        "2020-02-29 12:34:56.789012345",
        "TIMESTAMP",
        "2020-02-29 12:34:56.789012345",
    ),
    (
        "TIMESTAMPTZ",
        "'2020-02-29 12:34:56.789012+02'",
        "timestamp[us, tz=UTC]",
        "2020-02-29 10:34:56.789012Z",
        "TIMESTAMP_WITH_TIMEZONE",
        "2020-02-29 10:34:56.789012",
    ),
    (
        "INTERVAL",
        "'1 month 2 days 3.5 seconds'",
        "month_day_nano_interval",
        "1m 2d 3500000us",
        "JAVA_OBJECT",
        "P1M2DT3.5S",
    ),
    ("INTEGER[]", "[1, NULL, 3]", "list<element: int32>", "[1, NULL, 3]", "ARRAY", "[1,null,3]"),
    ("INTEGER[3]", "[1, 2, 3]", "list<element: int32>", "[1, 2, 3]", "ARRAY", "[1,2,3]"),
    (
        "VARCHAR[][]",
        "[['a'], NULL, []]",
        "list<element: list<element: string>>",
        "[[a], NULL, []]",
        "ARRAY",
        '[["a"],null,[]]',
    ),
    ("HUGEINT[]", "[9]", "list<element: decimal128(38, 0)>", "[9]", "ARRAY", "[9]"),
    (
        "ENUM('sad', 'happy')[]",
        "['happy', NULL]",
        "list<element: string>",
        "[happy, NULL]",
        "ARRAY",
        '["happy",null]',
    ),
    (
        "UNION(n INTEGER, s VARCHAR)[]",
        "[2, NULL]",
        "list<element: string>",
        '[{"n":2}, {"n":null}]',
        "ARRAY",
        '["{\\"n\\":2}","{\\"n\\":null}"]',
    ),
    (
        "TIMESTAMP[]",
        "['2020-02-29 12:34:56']",
        "list<element: timestamp[us]>",
        "[2020-02-29 12:34:56]",
        "ARRAY",
        "[[2020,2,29,12,34,56]]",
    ),
    (
        "STRUCT(a INTEGER, b VARCHAR)",
        "{'a': 1, 'b': 'x'}",
        "struct<a: int32, b: string>",
        "{a: 1, b: x}",
        "JAVA_OBJECT",
        '{"a":1,"b":"x"}',
    ),
    (
        "STRUCT(e ENUM('a'), u UNION(n INTEGER))",
        "{'e': 'a', 'u': 2}",
        "struct<e: string, u: string>",
        '{e: a, u: {"n":2}}',
        "JAVA_OBJECT",
        '{"e":"a","u":"{\\"n\\":2}"}',
    ),
    (
        "MAP(VARCHAR, DOUBLE)",
        "MAP {'k': 1.5, 'l': NULL}",
        "map<string, double>",
        "{k: 1.5, l: NULL}",
        "JAVA_OBJECT",
        '{"k":1.5,"l":null}',
    ),
    (
        "MAP(INTEGER, STRUCT(l INTEGER[]))",
        "MAP {1: {'l': [2]}}",
        "map<int32, struct<l: list<element: int32>>>",
        "{1: {l: [2]}}",
        "JAVA_OBJECT",
        '{"1":{"l":[2]}}',
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
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_over_adbc(cursor, client, case):
    kind, value, arrow, text, *_ = case
    sql = f"SELECT CAST({value} AS {kind}) AS v, CAST(NULL AS {kind}) AS n"
    cursor.execute(sql)
    table = cursor.fetch_arrow_table()
    table.validate(full=True)
    assert [str(found) for found in table.schema.types] == [arrow, arrow]
    assert all(field.nullable for field in table.schema)
    assert (written(table.column(0)[0]), table.column(1).null_count) == (text, 1)
    # Told, told again without a run, and sent: one schema each time. The client compares the first with the last.
    command = m.CommandStatementQuery(query=sql)
    assert client.schema(command).equals(client.table(command).schema)
    cursor.execute(f"SELECT * FROM ({sql}) WHERE n IS NOT NULL")
    empty = cursor.fetch_arrow_table()
    assert (empty.num_rows, empty.schema.types) == (0, table.schema.types)


@pytest.mark.java
@proves("JDBC", "Values of every type")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_over_jdbc(connection, case):
    kind, value, _, _, name, text = case
    assert read(connection, f"SELECT CAST({value} AS {kind}) AS v") == (name, text)
    assert read(connection, f"SELECT CAST(NULL AS {kind}) AS v") == (name, None)


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
    kinds = [f"CAST({value} AS {kind}) AS c{i}" for i, (kind, value, *_) in enumerate(CASES)]
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
        [(f"`{kind}`", f"`{arrow}`", name, f"`{text}`") for kind, _, arrow, _, name, text in CASES],
    )
