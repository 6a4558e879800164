"""Arrow's JDBC driver as tools use it: what DBeaver, Tableau and Metabase call, and a program of its own."""

import shutil
import subprocess
import threading

import java
import pyarrow as pa
import pytest
from flight_sql import Client, certificate, served, wait_for
from proofs import proves
from pyarrow import flight

from scoter.catalog.principals import Role
from scoter.server.binders import binder_schema

pytestmark = pytest.mark.java
PROGRAM = java.CACHE.parent.parent / "tests" / "java_program" / "Dashboard.java"
SLOW = "SELECT i FROM range(100000000000) t(i)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    java.jvm()
    with served(tmp_path_factory.mktemp("jdbc")) as running:
        with java.connection(running.address) as connection:
            statement = connection.createStatement()
            statement.executeUpdate(
                "CREATE TABLE flights (n BIGINT NOT NULL, origin VARCHAR, d DECIMAL(9, 2), t TIMESTAMPTZ)"
            )
            statement.executeUpdate("COMMENT ON COLUMN flights.origin IS 'where from'")
            statement.executeUpdate("CREATE TABLE sales (day DATE, shop VARCHAR, price DECIMAL(9, 2))")
        yield running


@pytest.fixture(scope="module")
def connection(lake):
    with java.connection(lake.address) as made:
        yield made


@pytest.fixture(scope="module")
def about(connection):
    return connection.getMetaData()


# Metadata

EMPTY = {
    "getTypeInfo": (),
    "getIndexInfo": (None, "main", "flights", False, False),
    "getProcedures": (None, None, None),
    "getProcedureColumns": (None, None, None, None),
    "getFunctions": (None, None, None),
    "getFunctionColumns": (None, None, None, None),
    "getColumnPrivileges": (None, "main", "flights", "%"),
    "getTablePrivileges": (None, "main", "flights"),
    "getBestRowIdentifier": (None, "main", "flights", 0, True),
    "getVersionColumns": (None, "main", "flights"),
    "getPrimaryKeys": (None, "main", "flights"),
    "getImportedKeys": (None, "main", "flights"),
    "getExportedKeys": (None, "main", "flights"),
    "getCrossReference": (None, "main", "flights", None, "main", "flights"),
    "getUDTs": (None, None, None, None),
    "getSuperTypes": (None, None, None),
    "getSuperTables": (None, None, None),
    "getAttributes": (None, None, None, None),
    "getClientInfoProperties": (),
    "getPseudoColumns": (None, None, None, None),
}
SAID = {
    "getDatabaseProductName": "Scoter",
    "getDriverName": "Arrow Flight SQL JDBC Driver Core",
    "getDriverVersion": java.VERSION,
    "getIdentifierQuoteString": '"',
    "getSearchStringEscape": "\\",
    "getSchemaTerm": "schema",
    "getCatalogTerm": "catalog",
    "getCatalogSeparator": ".",
    "isCatalogAtStart": True,
    "isReadOnly": False,
    "getDefaultTransactionIsolation": 0,
    "allTablesAreSelectable": True,
    "dataDefinitionCausesTransactionCommit": False,
}


@proves("JDBC", "Every metadata getter that tools call", "yes; `getTypeInfo` is empty in the driver")
def test_every_getter_answers(about):
    for name, arguments in EMPTY.items():
        assert java.rows(getattr(about, name)(*arguments)) == [], name
    for name, wanted in SAID.items():
        found = getattr(about, name)()
        assert (str(found) if isinstance(wanted, str) else found) == wanted, name
    for name in (
        "getSQLKeywords", "getNumericFunctions", "getStringFunctions", "getSystemFunctions",
        "getTimeDateFunctions", "getURL", "getDatabaseProductVersion",
    ):  # fmt: skip
        assert str(getattr(about, name)()), name


@proves("JDBC", "Catalogs, schemas, tables and columns with filters")
def test_tables_and_columns(about):
    assert [row[0] for row in java.rows(about.getCatalogs())] == ["lake"]
    assert ("main", "lake") in java.rows(about.getSchemas())
    tables = java.rows(about.getTables(None, "ma_n", "f%", None))
    assert [row[:4] for row in tables] == [("lake", "main", "flights", "TABLE")]
    assert java.rows(about.getTables("none", None, "%", None)) == []
    columns = about.getColumns(None, "main", "flights", "%")
    wanted = (
        "COLUMN_NAME",
        "DATA_TYPE",
        "TYPE_NAME",
        "NULLABLE",
        "ORDINAL_POSITION",
        "IS_NULLABLE",
        "COLUMN_SIZE",
    )
    found = []
    while columns.next():
        found.append([str(columns.getObject(name)) for name in wanted])
    columns.close()
    assert [row[:6] for row in found] == [
        ["n", "-5", "BIGINT", "0", "1", "NO"],
        ["origin", "12", "VARCHAR", "1", "2", "YES"],
        ["d", "3", "DECIMAL(9,2)", "1", "3", "YES"],
        ["t", "2014", "TIMESTAMP WITH TIME ZONE", "1", "4", "YES"],
    ]
    some = about.getColumns(None, None, "flights", "or%")
    assert [row[3] for row in java.rows(some)] == ["origin"]


@proves("JDBC", "Transactions", "the driver's `commit` does nothing; each statement commits")
def test_transactions_are_the_drivers_stubs(connection):
    assert connection.getAutoCommit()
    connection.setAutoCommit(False)
    connection.createStatement().executeUpdate("CREATE TABLE kept (n BIGINT)")
    connection.rollback()
    connection.commit()
    assert java.rows(connection.createStatement().executeQuery("SELECT count(*) FROM kept")) == [(0,)]
    connection.setAutoCommit(True)


@proves("JDBC", "Connection checks of pools")
def test_what_pools_ask(connection):
    assert connection.isValid(5)
    assert connection.getTransactionIsolation() == 0
    shown = connection.createStatement().executeQuery("SHOW TRANSACTION ISOLATION LEVEL")
    assert java.rows(shown) == [("none",)]
    assert connection.getWarnings() is None
    assert not connection.isClosed()


# Statements


@proves("JDBC", "Many rows in one statement and one commit")
def test_batches(connection):
    prepared = connection.prepareStatement("INSERT INTO flights (n, origin) VALUES (?, ?)")
    for n in range(100):
        prepared.setLong(1, n)
        prepared.setString(2, f"o{n}")
        prepared.addBatch()
    assert list(prepared.executeBatch()) == [100]
    prepared.close()
    statement = connection.createStatement()
    assert java.rows(statement.executeQuery("SELECT count(*), count(DISTINCT origin) FROM flights")) == [
        (100, 100)
    ]
    statement.addBatch("INSERT INTO flights (n) VALUES (1)")
    # The driver has not implemented batches of plain statements.
    with pytest.raises(Exception, match="updateCounts"):
        statement.executeBatch()
    statement.close()


@proves("JDBC", "Cancel from another thread")
def test_cancel_from_another_thread(lake):
    with java.connection(lake.address) as made:
        statement = made.createStatement()
        results = statement.executeQuery(SLOW)
        assert results.next()
        threading.Timer(0.2, statement.cancel).start()

        def read():
            while results.next():
                pass

        with pytest.raises(Exception, match=r"(?i)cancel"):
            read()
        assert wait_for(lambda: len(lake.server.calls) == 0)
        assert java.rows(made.createStatement().executeQuery("SELECT 1")) == [(1,)]


@proves("JDBC", "Query timeout", "ends the wait for the first row; `statement_timeout` ends the statement")
def test_a_query_timeout_ends_the_wait(lake):
    with java.connection(lake.address) as made:
        statement = made.createStatement()
        statement.executeUpdate("SET statement_timeout = '3s'")
        statement.setQueryTimeout(1)
        with pytest.raises(Exception, match="timed out after 1 SECONDS"):
            statement.executeQuery("SELECT count(*) FROM range(100000000000) t(i) WHERE i % 7 = 3")
        # The driver tells nobody: the session's own timeout is what ends the statement.
        assert len(lake.server.calls) == 1
        assert wait_for(lambda: len(lake.server.calls) == 0, 15)


# Addresses


@proves("JDBC", "`catalog=` in the address", "yes; `close()` then throws, in the driver")
def test_a_catalog_in_the_address(lake):
    place = lake.address.partition("://")[2]
    manager = java.jvm().JClass("java.sql.DriverManager")
    made = manager.getConnection(f"jdbc:arrow-flight-sql://{place}/?useEncryption=false&catalog=lake")
    assert java.rows(made.createStatement().executeQuery("SELECT current_catalog")) == [("lake",)]
    with pytest.raises(Exception, match="Channel shutdown"):
        made.close()
    with pytest.raises(Exception, match="none"):
        manager.getConnection(f"jdbc:arrow-flight-sql://{place}/?useEncryption=false&catalog=none")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("javac")
    if compiler is None:
        java.missing("There is no Java compiler")
    classes = tmp_path_factory.mktemp("classes")
    subprocess.run([compiler, "-d", classes, PROGRAM], check=True, timeout=120)
    return classes


def run(program, url, **login):
    """Run the program and return the lines it prints."""
    words = [word for pair in login.items() for word in pair]
    command = ["java", "-cp", f"{program}:{java.driver()}", "--add-opens=java.base/java.nio=ALL-UNNAMED"]
    command += ["-Duser.timezone=UTC", "Dashboard", url, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


SEEN = [
    "server Scoter",
    "column day 91",
    "column shop 12",
    "column price 3",
    "written [3]",
    "row 2024-01-02 null 2.00",
    "row 2024-01-03 shop 3 3.00",
    "cancelled",
]


@proves("JDBC", "Queries")
@proves("JDBC", "Prepared statements")
@proves("JDBC", "TLS with a given trust store")
@proves("JDBC", "Login with user and password, or with a token")
def test_a_program_over_tls_with_a_login(tmp_path, program):
    cert, key = certificate(tmp_path)
    store = tmp_path / "trust.jks"
    command = [
        "keytool",
        "-importcert",
        "-noprompt",
        "-file",
        cert,
        "-keystore",
        store,
        "-storepass",
        "changeit",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with served(tmp_path, server={"tls_cert": cert, "tls_key": key}) as running:
        running.engine.principals.add("ann", Role.WRITER, "right horse")
        place = running.address.partition("://")[2]
        trust = {"useSystemTrustStore": "false", "trustStore": str(store), "trustStorePassword": "changeit"}

        def login(**options):
            with java.connection(running.address, **options) as made:
                return java.rows(made.createStatement().executeQuery("SELECT current_user"))

        def refused():
            try:
                login(**trust)
            except Exception as error:  # noqa: BLE001  # Java's exceptions have no common Python class
                return str(error)
            return ""

        # A running server looks for its first user once a second.
        assert wait_for(lambda: "[28000]" in refused())
        with pytest.raises(Exception, match=r"\[28000\]"):
            login(user="ann", password="wrong", **trust)
        with java.connection(running.address, user="ann", password="right horse", **trust) as made:
            made.createStatement().executeUpdate(
                "CREATE TABLE sales (day DATE, shop VARCHAR, price DECIMAL(9, 2))"
            )
        client = flight.FlightClient(running.address, tls_root_certs=cert.read_bytes())
        _, header = client.authenticate_basic_token("ann", "right horse")
        client.close()
        token = header.decode().partition(" ")[2]
        assert login(token=token, **trust) == [("ann",)]
        with pytest.raises(Exception, match=r"(?i)certificat|unavailable|SSL|io exception"):
            login(user="ann", password="right horse")
        url = f"jdbc:arrow-flight-sql://{place}/"
        assert run(program, url, user="ann", password="right horse", **trust) == SEEN


def test_only_java_is_told_of_types_that_its_binder_can_fill(lake):
    sql = "SELECT n FROM flights WHERE t > ? AND n = ?"
    with Client(lake.address) as client:
        told = pa.ipc.read_schema(pa.py_buffer(client.prepare(sql).parameter_schema))
    assert told.types == [pa.timestamp("us", "UTC"), pa.int64()]
    wide = binder_schema(told, "grpc-java-netty/1.65")
    assert wide.types == [pa.timestamp("ms", "UTC"), pa.int64()]
