"""Arrow's Flight SQL JDBC driver, as BI tools use it."""

import java
import pytest
from flight_sql import certificate, served, wait_for

from scoter.catalog.principals import Role

pytestmark = pytest.mark.java


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    java.jvm()
    with served(tmp_path_factory.mktemp("jdbc")) as running:
        with java.connection(running.address) as connection:
            statement = connection.createStatement()
            statement.executeUpdate(
                "CREATE TABLE flights (n BIGINT NOT NULL, origin VARCHAR, d DECIMAL(9, 2))"
            )
            statement.executeUpdate("INSERT INTO flights VALUES (1, 'EWR', 1.25), (2, 'JFK', NULL)")
        yield running


@pytest.fixture(params=["anonymous", "login", "token"])
def connection(lake, request):
    login = {"login": {"user": "x", "password": "y"}, "token": {"token": "z"}}.get(request.param, {})
    with java.connection(lake.address, **login) as made:
        yield made


def ask(connection, sql):
    statement = connection.createStatement()
    try:
        return java.rows(statement.executeQuery(sql))
    finally:
        statement.close()


def test_queries(connection):
    assert ask(connection, "SELECT n, origin, d FROM flights ORDER BY n") == [
        (1, "EWR", "1.25"),
        (2, "JFK", None),
    ]
    assert ask(connection, "SELECT n FROM flights WHERE n > 10") == []


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("true", True),
        ("1::TINYINT", 1),
        ("1::BIGINT", 1),
        ("9::HUGEINT", "9"),
        ("1.5::DOUBLE", 1.5),
        ("1.25::DECIMAL(9, 2)", "1.25"),
        ("'ü'", "ü"),
        ("DATE '2020-02-29'", "2020-02-29"),
        ("TIME '12:34:56'", "12:34:56"),
        ("TIMESTAMP '2020-02-29 12:34:56.789'", "2020-02-29 12:34:56.789"),
        ("TIMESTAMPTZ '2020-02-29 12:34:56+02'", "2020-02-29 10:34:56.0"),
        ("[1, 2]", "[1,2]"),
        ("{'x': 1}", '{"x":1}'),
        ("NULL", None),
        ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_types(lake, sql, value):
    with java.connection(lake.address) as connection:
        assert ask(connection, f"SELECT {sql} AS v") == [(value,)]


def test_prepared_queries(connection):
    prepared = connection.prepareStatement("SELECT origin FROM flights WHERE n = ? AND origin <> ?")
    assert prepared.getParameterMetaData().getParameterCount() == 2
    assert str(prepared.getMetaData().getColumnName(1)) == "origin"
    for n, origin in ((1, "EWR"), (2, "JFK"), (1, "EWR")):
        prepared.setLong(1, n)
        prepared.setString(2, "other")
        assert java.rows(prepared.executeQuery()) == [(origin,)]
    prepared.close()


def test_what_a_result_says_of_its_columns(connection):
    result = connection.createStatement().executeQuery("SELECT n, d, d * 2 AS x FROM flights")
    about = result.getMetaData()
    columns = [(str(about.getColumnName(i)), str(about.getTableName(i) or "")) for i in (1, 2, 3)]
    assert columns == [("n", "flights"), ("d", "flights"), ("x", "")]
    assert [about.getPrecision(i) for i in (1, 2, 3)] == [19, 9, 18]
    assert [about.getScale(i) for i in (1, 2, 3)] == [0, 2, 2]
    assert str(about.getSchemaName(1)) == "main"
    assert about.isReadOnly(1)
    assert about.isSearchable(1)
    assert not about.isAutoIncrement(1)
    assert java.rows(result)


def test_updates_and_batches(connection, request):
    name = f"batch_{request.node.callspec.params['connection']}"
    statement = connection.createStatement()
    assert statement.executeUpdate(f"CREATE TABLE {name} (n BIGINT, s VARCHAR)") == 0
    assert statement.executeUpdate(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b')") == 2
    assert not statement.execute(f"INSERT INTO {name} VALUES (3, 'c')")
    assert statement.getUpdateCount() == 1
    prepared = connection.prepareStatement(f"INSERT INTO {name} VALUES (?, ?)")
    for n in range(4, 14):
        prepared.setLong(1, n)
        prepared.setString(2, "d")
        prepared.addBatch()
    assert list(prepared.executeBatch()) == [10]
    prepared.setLong(1, 14)
    prepared.setNull(2, 12)
    assert prepared.executeUpdate() == 1
    prepared.close()
    assert ask(connection, f"SELECT count(*), count(s) FROM {name}") == [(14, 13)]
    # One commit a statement, however many rows were bound.
    assert len(ask(connection, f'SELECT snapshot_id FROM "{name}$snapshots"')) == 4


def test_the_session_belongs_to_the_connection(lake, connection, request):
    name = f"session_{request.node.callspec.params['connection']}"
    statement = connection.createStatement()
    statement.executeUpdate(f"CREATE SCHEMA {name}")
    statement.executeUpdate(f"USE {name}")
    statement.executeUpdate("SET timezone = 'Asia/Tokyo'")
    statement.executeUpdate("CREATE TABLE here (n BIGINT)")
    assert ask(connection, "SHOW timezone") == [("timezone", "Asia/Tokyo")]
    assert ask(connection, "SELECT count(*) FROM here") == [(0,)]
    with java.connection(lake.address) as other, pytest.raises(Exception, match="UNDEFINED_TABLE"):
        ask(other, "SELECT * FROM here")


def test_a_catalog_in_the_address(lake):
    # The driver ends the session only after it has closed its own channel, and says so.
    with pytest.raises(Exception, match="Channel shutdown"):  # noqa: SIM117  # what is inside must not be what raises
        with java.connection(lake.address, catalog="lake") as connection:
            assert ask(connection, "SELECT count(*) FROM flights") == [(2,)]
    with pytest.raises(Exception, match="catalog"), java.connection(lake.address, catalog="none"):
        pass


def test_metadata(connection):
    about = connection.getMetaData()
    assert java.rows(about.getCatalogs()) == [("lake",)]
    assert ("main", "lake") in java.rows(about.getSchemas())
    assert java.rows(about.getTableTypes()) == [("TABLE",), ("VIEW",)]
    tables = java.rows(about.getTables("lake", "main", "fli%", None))
    assert [row[:4] for row in tables] == [("lake", "main", "flights", "TABLE")]
    columns = java.rows(about.getColumns(None, "main", "flights", "%"))
    assert [(row[3], row[4], row[5], row[10]) for row in columns] == [
        ("n", -5, "BIGINT", 0),
        ("origin", 12, "VARCHAR", 1),
        ("d", 3, "DECIMAL(9,2)", 1),
    ]
    assert java.rows(about.getPrimaryKeys(None, "main", "flights")) == []
    assert java.rows(about.getImportedKeys(None, "main", "flights")) == []
    assert java.rows(about.getExportedKeys(None, "main", "flights")) == []


def test_what_the_database_can(lake):
    with java.connection(lake.address) as connection:
        about = connection.getMetaData()
        assert str(about.getDatabaseProductName()) == "Scoter"
        assert str(about.getIdentifierQuoteString()) == '"'
        assert not about.supportsTransactions()
        assert about.getDefaultTransactionIsolation() == 0
        assert about.supportsFullOuterJoins()
        assert about.nullsAreSortedAtEnd()
        assert about.getMaxTableNameLength() == 128
        assert "PREDICT" in str(about.getSQLKeywords())
        # Each of these reads another part of one cached answer and casts it: none may throw.
        getters = [
            name for name in dir(about) if name.startswith(("supports", "getMax", "nullsAre", "stores"))
        ]
        assert len(getters) > 80
        for name in getters:
            if name not in {"supportsConvert", "supportsResultSetConcurrency", "supportsResultSetHoldability",
                            "supportsResultSetType", "supportsTransactionIsolationLevel"}:  # fmt: skip
                getattr(about, name)()


@pytest.mark.parametrize(
    ("sql", "condition"),
    [
        ("SELEC 1", r"\[42601\] SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", r"\[42P01\] UNDEFINED_TABLE"),
        ("SELECT CAST('x' AS INTEGER)", r"\[22P02\] INVALID_TEXT"),
        ("SELECT getenv('PATH')", r"\[\w{5}\] (NOT_SUPPORTED|UNDEFINED_FUNCTION)"),
    ],
)
def test_errors(connection, sql, condition):
    with pytest.raises(Exception, match=condition) as raised:
        ask(connection, sql)
    text = str(raised.value)
    assert "Query id" in text
    assert ".py" not in text
    assert ask(connection, "SELECT 1") == [(1,)]


def test_users_and_tls(tmp_path):
    cert, key = certificate(tmp_path)
    with served(tmp_path, server={"tls_cert": cert, "tls_key": key}) as running:
        running.engine.principals.add("ann", Role.READER, "right horse")
        trust = {"tlsRootCerts": str(cert)}

        def refused():
            try:
                with java.connection(running.address, **trust) as made:
                    ask(made, "SELECT 1")
            except Exception as error:  # noqa: BLE001  # Java's exceptions have no common Python class
                return str(error)
            return ""

        assert wait_for(lambda: "AUTHENTICATION_FAILED" in refused())
        wrong = java.connection(running.address, user="ann", password="wrong", **trust)
        with pytest.raises(Exception, match=r"\[28000\]"), wrong:
            pass
        with java.connection(running.address, user="ann", password="right horse", **trust) as made:
            assert ask(made, "SELECT 1") == [(1,)]
            with pytest.raises(Exception, match=r"\[42501\] PERMISSION_DENIED"):
                made.createStatement().executeUpdate("CREATE TABLE t (n BIGINT)")
