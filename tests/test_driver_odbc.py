"""What the open Arrow Flight SQL ODBC driver sends, replayed as Flight calls: the driver itself is not run.

The sequence is the driver's: Handshake with a login, cookies, everything through GetFlightInfo of plain
statements, prepared statements without parameters, and its metadata calls.
"""

import pyarrow as pa
import pytest
from flight_sql import Client, packed, served, values
from proofs import proves
from pyarrow import flight

from scoter.catalog.principals import Role
from scoter.server.flightsql import messages_pb2 as m


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("odbc")) as running:
        with Client(running.address) as client:
            client.update("CREATE TABLE flights (n BIGINT NOT NULL, origin VARCHAR)")
            client.update("INSERT INTO flights VALUES (1, 'EWR'), (2, NULL)")
        yield running


@pytest.fixture
def client(lake):
    # SQLConnect: a Handshake with Basic; every later call has the token, the cookie, and connection
    # properties that the driver does not know as headers in small letters.
    opener = flight.FlightClient(lake.address)
    name, token = opener.authenticate_basic_token("ann", "secret")
    opener.close()
    assert (name, token.split()[0]) == (b"authorization", b"Bearer")
    with Client(lake.address, authorization=token.decode(), application="replay") as made:
        yield made


@proves("ODBC", "Login with user and password, or with a token")
@proves("ODBC", "Queries")
def test_statements(client):
    # SQLExecDirect
    assert values(client.query("SELECT n, origin FROM flights ORDER BY n")) == [(1, "EWR"), (2, None)]
    assert client.query("SELECT n FROM flights WHERE false").num_rows == 0


@proves("ODBC", "Tables defined and rows written through the query call")
def test_writes_go_the_way_of_queries(client):
    def run(sql):
        info = client.info(m.CommandStatementQuery(query=sql))
        return info.total_records, values(client.flight.do_get(info.endpoints[0].ticket).read_all())

    assert run("CREATE TABLE written (n BIGINT)") == (0, [])
    assert run("INSERT INTO written VALUES (1), (2)") == (2, [(2,)])
    assert values(client.query("SELECT n FROM written ORDER BY n")) == [(1,), (2,)]
    assert run("DROP TABLE written") == (0, [])
    assert "UNDEFINED_TABLE" in str(client.refusal(client.query, "SELECT n FROM written"))


@proves("ODBC", "Prepared statements", "yes; the driver binds no parameters")
def test_prepared(client):
    # SQLPrepare, SQLNumResultCols, SQLExecute twice, SQLFreeStmt
    prepared = client.prepare("SELECT origin FROM flights WHERE n = 1")
    told = pa.ipc.read_schema(pa.py_buffer(prepared.dataset_schema))
    handle = prepared.prepared_statement_handle
    for _ in range(2):
        table = client.table(m.CommandPreparedStatementQuery(prepared_statement_handle=handle))
        assert table.schema.equals(told)
        assert values(table) == [("EWR",)]
    request = m.ActionClosePreparedStatementRequest(prepared_statement_handle=handle)
    client.act("ClosePreparedStatement", packed(request))


@proves("ODBC", "Every metadata getter that tools call")
@proves("ODBC", "Catalogs, schemas, tables and columns with filters")
def test_metadata(client):
    # SQLGetInfo asks once for everything.
    info = client.table(m.CommandGetSqlInfo())
    assert {0, 8, 500, 576} <= set(info.column("info_name").to_pylist())
    assert values(client.table(m.CommandGetCatalogs())) == [("lake",)]
    assert ("lake", "main") in values(client.table(m.CommandGetDbSchemas(db_schema_filter_pattern="%")))
    assert values(client.table(m.CommandGetTableTypes())) == [("TABLE",), ("VIEW",)]
    # SQLTables, SQLColumns
    asked = m.CommandGetTables(
        catalog="lake",
        db_schema_filter_pattern="main",
        table_name_filter_pattern="fli%",
        table_types=["TABLE"],
        include_schema=True,
    )
    ((catalog, schema, name, kind, columns),) = values(client.table(asked))
    assert (catalog, schema, name, kind) == ("lake", "main", "flights", "TABLE")
    found = pa.ipc.read_schema(pa.py_buffer(columns))
    assert [f.metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"] for f in found] == [b"BIGINT", b"VARCHAR"]
    # SQLGetTypeInfo: of all types, and of one.
    names = client.table(m.CommandGetXdbcTypeInfo()).column("type_name").to_pylist()
    assert {"BIGINT", "VARCHAR", "DECIMAL", "DATE", "TIMESTAMP"} <= set(names)
    assert "BIGINT" in client.table(m.CommandGetXdbcTypeInfo(data_type=-5)).column("type_name").to_pylist()


@proves("ODBC", "Errors with SQLSTATE and query id")
def test_errors(client):
    error = str(client.refusal(client.query, "SELECT nothing FROM flights"))
    assert error.startswith("[42703] UNDEFINED_COLUMN")
    assert "Query id" in error


def test_a_wrong_login_is_refused(tmp_path):
    with served(tmp_path) as running:
        running.engine.principals.add("ann", Role.READER, "right horse")
        client = flight.FlightClient(running.address)
        with pytest.raises(flight.FlightUnauthenticatedError, match=r"\[28000\]"):
            client.authenticate_basic_token("ann", "wrong")
        client.close()
