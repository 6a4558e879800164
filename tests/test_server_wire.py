"""The wire as any client sees it: schemas, tickets, handles, sessions, errors."""

import json
import re

import pyarrow as pa
import pytest
from flight_sql import Client, packed, served, values
from pyarrow import flight

from scoter.errors import ConfigurationError
from scoter.server.flightsql import messages_pb2 as m

INT = pa.schema([("1", pa.int64())])
LEAKS = re.compile(r"Traceback|\.py\b|site-packages|/tmp/|/home/|File \"")


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("wire")) as running:
        with Client(running.address) as client:
            client.update("CREATE TABLE seven (n BIGINT NOT NULL, s VARCHAR)")
            client.update("INSERT INTO seven SELECT i, 'x' || i FROM range(7) t(i)")
        yield running


@pytest.fixture
def client(lake):
    with Client(lake.address) as made:
        yield made


def test_a_query_is_planned_then_fetched_as_often_as_one_likes(client):
    info = client.info(m.CommandStatementQuery(query="SELECT n, s FROM seven WHERE n < 2 ORDER BY n"))
    assert info.schema.types == [pa.int64(), pa.string()]
    assert all(field.nullable for field in info.schema)
    assert info.endpoints[0].locations == []
    for _ in range(3):
        table = client.flight.do_get(info.endpoints[0].ticket).read_all()
        assert values(table) == [(0, "x0"), (1, "x1")]


def test_a_ticket_reads_what_was_there_when_it_was_made(client):
    client.update("CREATE TABLE pinned (n BIGINT)")
    client.update("INSERT INTO pinned VALUES (1)")
    ticket = client.info(m.CommandStatementQuery(query="SELECT n FROM pinned")).endpoints[0].ticket
    client.update("INSERT INTO pinned VALUES (2)")
    assert values(client.flight.do_get(ticket).read_all()) == [(1,)]
    assert len(client.query("SELECT n FROM pinned")) == 2


def test_an_empty_result_has_its_schema(client):
    table = client.query("SELECT n, s FROM seven WHERE n > 100")
    assert (table.num_rows, table.schema.names) == (0, ["n", "s"])


def test_writes_on_the_query_path_run_once_whether_fetched_or_not(client):
    command = m.CommandStatementQuery(query="CREATE TABLE once (n BIGINT)")
    client.info(command)
    insert = client.info(m.CommandStatementQuery(query="INSERT INTO once VALUES (1), (2), (3)"))
    assert insert.total_records == 3
    for _ in range(3):
        table = client.flight.do_get(insert.endpoints[0].ticket).read_all()
        assert values(table) == [(3,)]
    assert table.schema == insert.schema == pa.schema([("Count", pa.int64())])
    assert values(client.query("SELECT count(*) FROM once")) == [(3,)]


def test_asking_for_a_schema_runs_nothing(client):
    assert client.schema(m.CommandStatementQuery(query="SELECT n FROM seven")).names == ["n"]
    client.schema(m.CommandStatementQuery(query="CREATE TABLE never (n BIGINT)"))
    inserted = client.schema(m.CommandStatementUpdate(query="INSERT INTO seven VALUES (99, 'x')"))
    assert inserted.names == ["Count"]
    handle = client.prepare("INSERT INTO seven VALUES (99, 'x')").prepared_statement_handle
    client.schema(m.CommandPreparedStatementQuery(prepared_statement_handle=handle))
    assert values(client.query("SELECT count(*) FROM seven")) == [(7,)]
    assert "UNDEFINED_TABLE" in str(client.refusal(client.query, "SELECT * FROM never"))


def test_updates_answer_their_count(client):
    assert client.update("CREATE TABLE counted (n BIGINT)") == 0
    assert client.update("INSERT INTO counted VALUES (1), (2)") == 2
    assert client.update("INSERT INTO counted SELECT n FROM counted") == 2
    assert client.update("USE main") == 0
    error = client.refusal(client.update, "SELECT 1")
    assert "send it as a query" in str(error)


def test_prepare_says_what_is_to_come(client):
    query = client.prepare("SELECT n, s FROM seven WHERE n > ? AND s <> ?")
    assert not query.is_update
    assert pa.ipc.read_schema(pa.py_buffer(query.dataset_schema)).types == [pa.int64(), pa.string()]
    wanted = pa.ipc.read_schema(pa.py_buffer(query.parameter_schema))
    assert wanted.types == [pa.int64(), pa.string()]
    update = client.prepare("INSERT INTO seven VALUES (?, ?)")
    assert update.is_update
    assert update.dataset_schema == b""
    assert pa.ipc.read_schema(pa.py_buffer(update.parameter_schema)).types == [pa.int64(), pa.string()]
    none = client.prepare("SELECT 1")
    assert len(pa.ipc.read_schema(pa.py_buffer(none.parameter_schema))) == 0


def test_bound_values_travel_in_the_handle_that_comes_back(client):
    handle = client.prepare("SELECT n FROM seven WHERE n >= ? ORDER BY n").prepared_statement_handle
    bare = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    assert "WRONG_PARAMETER_COUNT" in str(client.refusal(client.info, bare))
    for least in (5, 6):
        bound = client.put(bare, INT, [pa.record_batch([[least]], schema=INT)])
        assert bound != handle
        found = client.table(m.CommandPreparedStatementQuery(prepared_statement_handle=bound))
        assert values(found) == [(n,) for n in range(least, 7)]
    assert (
        client.act(
            "ClosePreparedStatement",
            packed(m.ActionClosePreparedStatementRequest(prepared_statement_handle=handle)),
        )
        is None
    )


def test_large_bound_values_stay_on_the_server(client):
    handle = client.prepare("SELECT length(CAST(? AS VARCHAR))").prepared_statement_handle
    text = pa.schema([("1", pa.string())])
    command = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    bound = client.put(command, text, [pa.record_batch([["x" * 1_000_000]], schema=text)])
    assert len(bound) < 1000
    found = client.table(m.CommandPreparedStatementQuery(prepared_statement_handle=bound))
    assert values(found) == [(1_000_000,)]


def test_many_bound_rows_are_one_statement_and_one_commit(client):
    client.update("CREATE TABLE bulk (n BIGINT, s VARCHAR)")
    handle = client.prepare("INSERT INTO bulk VALUES (?, ?)").prepared_statement_handle
    schema = pa.schema([("1", pa.int64()), ("2", pa.string())])
    batches = [
        pa.record_batch([list(range(i, i + 10)), [f"s{i}"] * 10], schema=schema) for i in range(0, 50, 10)
    ]
    command = m.CommandPreparedStatementUpdate(prepared_statement_handle=handle)
    assert client.put(command, schema, batches) == 50
    assert values(client.query("SELECT count(*), sum(n) FROM bulk")) == [(50, sum(range(50)))]
    assert len(client.query('SELECT * FROM "bulk$snapshots"')) == 1


def test_damaged_arrow_data_is_refused(client):
    handle = client.prepare("SELECT length(CAST(? AS VARCHAR))").prepared_statement_handle
    text = pa.schema([("1", pa.string())])
    offsets = pa.py_buffer((0).to_bytes(4, "little") + (2).to_bytes(4, "little"))
    lying = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])
    error = client.refusal(
        client.put,
        m.CommandPreparedStatementQuery(prepared_statement_handle=handle),
        text,
        [pa.record_batch([lying], schema=text)],
    )
    assert "[22023] INVALID_VALUE" in str(error)
    assert not LEAKS.search(str(error))


def test_tickets_and_handles_of_others_are_refused(client):
    info = client.info(m.CommandStatementQuery(query="SELECT 1"))
    ticket = bytearray(info.endpoints[0].ticket.ticket)
    ticket[-1] ^= 1
    for bad in (bytes(ticket), b"", b"nonsense", packed(m.TicketStatementQuery(statement_handle=b"x" * 99))):
        error = client.refusal(lambda bad=bad: client.flight.do_get(flight.Ticket(bad)).read_all())
        assert not LEAKS.search(str(error))
    error = client.refusal(client.info, m.CommandPreparedStatementQuery(prepared_statement_handle=b"x" * 9))
    assert "[26000] INVALID_HANDLE" in str(error)


# Sessions


def test_a_session_is_handed_out_with_the_first_answer(lake):
    with Client(lake.address) as client:
        client.query("SELECT 1")
        token = client.headers["authorization"]
        client.query("SELECT 1")
        assert client.headers["authorization"] == token
        client.update("CREATE SCHEMA IF NOT EXISTS mine")
        client.update("USE mine")
        assert client.headers["authorization"] != token
        client.update("CREATE TABLE here (n BIGINT)")
        assert client.query("SELECT * FROM mine.here").num_rows == 0
        # The first token is still the same session: JDBC never takes a newer one.
        with Client(lake.address, keep_token=False, authorization=token.decode()) as old:
            assert old.query("SELECT * FROM here").num_rows == 0
    with Client(lake.address) as other:
        assert "UNDEFINED_TABLE" in str(other.refusal(other.query, "SELECT * FROM here"))


def test_a_session_goes_on_by_cookie_alone(lake):
    with Client(lake.address, keep_token=False) as client:
        client.query("SELECT 1")
        cookie = client.answered["set-cookie"][0]
    with Client(lake.address, keep_token=False, cookie=cookie) as client:
        client.update("SET timezone = 'Asia/Tokyo'")
        assert values(client.query("SHOW timezone")) == [("timezone", "Asia/Tokyo")]


def test_a_prepared_statement_keeps_the_names_it_was_prepared_with(client):
    client.update("CREATE SCHEMA IF NOT EXISTS elsewhere")
    handle = client.prepare("SELECT count(*) FROM seven").prepared_statement_handle
    use = client.prepare("USE elsewhere").prepared_statement_handle
    client.update("SET timezone = 'Asia/Tokyo'")
    client.info(m.CommandPreparedStatementQuery(prepared_statement_handle=use))
    assert values(client.query("SHOW schema")) == [("schema", "elsewhere")]
    assert values(client.query("SHOW timezone")) == [("timezone", "Asia/Tokyo")]
    found = client.table(m.CommandPreparedStatementQuery(prepared_statement_handle=handle))
    assert values(found) == [(7,)]


def set_options(client, **options):
    request = m.SetSessionOptionsRequest()
    for name, value in options.items():
        if value is None:
            request.session_options[name].SetInParent()
        else:
            request.session_options[name].string_value = value
    result = m.SetSessionOptionsResult()
    result.ParseFromString(client.act("SetSessionOptions", request.SerializeToString()))
    return {name: error.value for name, error in result.errors.items()}


def get_options(client):
    result = m.GetSessionOptionsResult()
    result.ParseFromString(client.act("GetSessionOptions", b""))
    return {name: value.string_value for name, value in result.session_options.items()}


def test_session_options(client):
    client.update("CREATE SCHEMA IF NOT EXISTS options")
    before = get_options(client)
    assert (before["catalog"], before["schema"], before["timezone"]) == ("lake", "main", "UTC")
    assert set_options(client, schema="OPTIONS", catalog="lake", timezone="Europe/Oslo") == {}
    after = get_options(client)
    assert (after["schema"], after["timezone"]) == ("options", "Europe/Oslo")
    assert values(client.query("SHOW schema")) == [("schema", "options")]
    errors = set_options(client, schema="nowhere", catalog="none", colour="red", timezone="Mars/Base")
    assert errors == {"schema": 2, "catalog": 2, "colour": 1, "timezone": 2}
    assert get_options(client) == after
    assert set_options(client, schema=None, timezone=None) == {}
    assert get_options(client) == before


def test_a_closed_session_is_closed(client):
    client.update("SET timezone = 'Asia/Tokyo'")
    result = m.CloseSessionResult()
    result.ParseFromString(client.act("CloseSession", b""))
    assert result.status == 1
    error = client.refusal(client.query, "SELECT 1")
    assert isinstance(error, flight.FlightUnauthenticatedError)


# Metadata

METADATA = [
    m.CommandGetCatalogs(),
    m.CommandGetDbSchemas(),
    m.CommandGetTables(),
    m.CommandGetTables(include_schema=True),
    m.CommandGetTableTypes(),
    m.CommandGetSqlInfo(),
    m.CommandGetSqlInfo(info=[8]),
    m.CommandGetXdbcTypeInfo(),
    m.CommandGetPrimaryKeys(table="seven"),
    m.CommandGetExportedKeys(table="seven"),
    m.CommandGetImportedKeys(table="seven"),
    m.CommandGetCrossReference(pk_table="seven", fk_table="seven"),
]


@pytest.mark.parametrize("command", METADATA, ids=lambda command: command.DESCRIPTOR.name)
def test_metadata_comes_in_the_schema_that_is_announced(client, command):
    schema = client.schema(command)
    info = client.info(command)
    found = client.flight.do_get(info.endpoints[0].ticket).read_all()
    assert found.schema.equals(schema, check_metadata=True)
    assert info.schema.equals(schema, check_metadata=True)
    found.validate(full=True)


def test_catalogs_schemas_and_tables(client):
    client.update("CREATE SCHEMA IF NOT EXISTS listed")
    client.update("CREATE TABLE IF NOT EXISTS listed.one (d DECIMAL(9, 2), t TIMESTAMPTZ, l VARCHAR[])")
    client.update("CREATE TABLE IF NOT EXISTS listed.two (n BIGINT NOT NULL)")
    client.update("COMMENT ON COLUMN listed.two.n IS 'how many'")
    assert values(client.table(m.CommandGetCatalogs())) == [("lake",)]
    assert values(client.table(m.CommandGetTableTypes())) == [("TABLE",), ("VIEW",)]
    schemas = m.CommandGetDbSchemas(db_schema_filter_pattern="list%")
    assert values(client.table(schemas)) == [("lake", "listed")]
    assert client.table(m.CommandGetDbSchemas(catalog="none")).num_rows == 0
    both = [("lake", "listed", "one", "TABLE"), ("lake", "listed", "two", "TABLE")]
    asked = m.CommandGetTables(catalog="lake", db_schema_filter_pattern="listed", table_types=["TABLE"])
    assert values(client.table(asked)) == both
    some = m.CommandGetTables(db_schema_filter_pattern="listed", table_name_filter_pattern="t_o")
    assert values(client.table(some)) == both[1:]
    assert client.table(m.CommandGetTables(table_types=["VIEW"])).num_rows == 0
    with_schema = m.CommandGetTables(db_schema_filter_pattern="listed", include_schema=True)
    encoded = client.table(with_schema).to_pylist()
    one, two = (pa.ipc.read_schema(pa.py_buffer(row["table_schema"])) for row in encoded)
    assert one.types == [pa.decimal128(9, 2), pa.timestamp("us", tz="UTC"), pa.list_(pa.string())]
    about = one.field("d").metadata
    assert about[b"ARROW:FLIGHT:SQL:TYPE_NAME"] == b"DECIMAL(9,2)"
    assert (about[b"ARROW:FLIGHT:SQL:PRECISION"], about[b"ARROW:FLIGHT:SQL:SCALE"]) == (b"9", b"2")
    assert one.field("d").nullable
    assert not two.field("n").nullable
    told = {
        key.decode().removeprefix("ARROW:FLIGHT:SQL:"): v.decode()
        for key, v in two.field("n").metadata.items()
    }
    assert told == {
        "CATALOG_NAME": "lake",
        "SCHEMA_NAME": "listed",
        "TABLE_NAME": "two",
        "TYPE_NAME": "BIGINT",
        "PRECISION": "19",
        "SCALE": "0",
        "REMARKS": "how many",
        "IS_AUTO_INCREMENT": "0",
        "IS_CASE_SENSITIVE": "0",
        "IS_READ_ONLY": "0",
        "IS_SEARCHABLE": "1",
    }


def test_actions_are_listed(client):
    names = {action.type for action in client.flight.list_actions()}
    assert {"CreatePreparedStatement", "CancelFlightInfo", "SetSessionOptions", "CloseSession"} <= names
    assert list(client.flight.list_flights()) == []


# Errors

BROKEN = [
    ("SELEC 1", "42601"),
    ("SELECT * FROM nowhere", "42P01"),
    ("SELECT nothing FROM seven", "42703"),
    ("SELECT PREDICT('none', n) FROM seven", "42704"),
    ("SELECT * FROM read_csv('/etc/passwd')", None),
    ("INSERT INTO seven VALUES ('x', 'y')", None),
    ("SELECT 1; SELECT 2", "42601"),
    ("SELECT 'é' || missing", "42703"),
]


@pytest.mark.parametrize(("sql", "state"), BROKEN)
def test_errors_are_one_line_with_a_query_id_and_nothing_of_the_server(client, lake, sql, state):
    calls = [
        lambda: client.query(sql),
        lambda: client.update(sql),
        lambda: client.prepare(sql),
        lambda: client.schema(m.CommandStatementQuery(query=sql)),
    ]
    if sql.startswith("INSERT"):
        calls = calls[:2]
    for call in calls:
        error = client.refusal(call)
        text = str(error)
        assert not LEAKS.search(text)
        found = re.match(
            r"\[(\w{5})\] [A-Z_]+: .*Query id ([0-9a-f]{32})\. Detail: (Failed|Python exception: PlainRefusal)",
            text,
        )
        assert found, text
        assert state in (None, found[1])
        log = (lake.engine.settings.log).read_text()
        assert found[2] in log


def test_an_error_in_the_middle_of_the_rows_is_told(client):
    sql = "SELECT CAST(CASE WHEN i = 2900000 THEN 'x' ELSE '1' END AS INTEGER) AS n FROM range(3000000) t(i)"
    info = client.info(m.CommandStatementQuery(query=sql))
    reader = client.flight.do_get(info.endpoints[0].ticket)
    rows = 0

    def read():
        nonlocal rows
        while True:
            rows += reader.read_chunk().data.num_rows

    error = client.refusal(read)
    assert rows > 0
    assert re.match(r"\[22P02\] INVALID_TEXT: .*Query id [0-9a-f]{32}", str(error)), error
    assert not LEAKS.search(str(error))
    assert values(client.query("SELECT 1")) == [(1,)]


def test_a_long_error_arrives_shortened(client):
    # gRPC drops a call with trailers above 8 KiB, and the message with it.
    for letter in ("x", "é", "漢"):
        error = client.refusal(client.query, f'SELECT "{letter * 5000}" FROM seven')
        assert re.match(r"\[42703\] UNDEFINED_COLUMN: ", str(error))
        assert re.search(r"Query id [0-9a-f]{32}", str(error))


def test_what_is_not_offered_is_refused_cleanly(client):
    calls = [
        lambda: client.act(
            "BeginTransaction", packed(m.CloseSessionRequest(), "ActionBeginTransactionRequest")
        ),
        lambda: client.act("Nonsense", b""),
        lambda: client.act("CreatePreparedStatement", b"\xff\xff"),
        lambda: client.act("CreatePreparedStatement", packed(m.CommandGetCatalogs())),
        lambda: client.act("SetSessionOptions", b"\xff\xff"),
        lambda: client.info(m.CommandStatementQuery(query="SELECT 1", transaction_id=b"x")),
        lambda: client.info(m.CommandStatementUpdate(query="SELECT 1")),
        lambda: client.schema(m.TicketStatementQuery(statement_handle=b"x")),
        lambda: client.flight.get_flight_info(flight.FlightDescriptor.for_path("seven")),
        lambda: client.flight.get_flight_info(flight.FlightDescriptor.for_command(b"\xff\xff")),
        lambda: client.flight.do_get(flight.Ticket(b"\xff\xff")).read_all(),
        lambda: client.put(m.CommandGetCatalogs(), INT, []),
        lambda: client.exchange(b"x"),
    ]
    for call in calls:
        error = client.refusal(call)
        assert re.match(r"\[\w{5}\] [A-Z_]+: ", str(error)), error
        assert not LEAKS.search(str(error)), error
        assert "INTERNAL_ERROR" not in str(error), error


def test_a_defect_is_told_by_its_query_id_only(lake, client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret at /srv/secret.py")

    monkeypatch.setattr(lake.engine.lake, "catalogs", broken)
    for command in (m.CommandGetCatalogs(), m.CommandGetTables()):
        error = client.refusal(client.table, command)
        found = re.search(r"\[XX000\] INTERNAL_ERROR: .*Query id ([0-9a-f]{32})", str(error))
        assert found, error
        assert "secret" not in str(error)
        lines = lake.engine.settings.log.read_text().splitlines()
        (logged,) = [json.loads(line) for line in lines if found[1] in line]
        assert "secret at" in logged["exception"]


# The process


def test_tickets_and_sessions_survive_a_restart(tmp_path):
    with served(tmp_path) as running, Client(running.address) as client:
        client.update("CREATE SCHEMA s")
        client.update("USE s")
        client.update("CREATE TABLE t (n BIGINT)")
        client.update("INSERT INTO t VALUES (1)")
        ticket = client.info(m.CommandStatementQuery(query="SELECT n FROM t")).endpoints[0].ticket
        handle = client.prepare("SELECT n + 1 FROM t").prepared_statement_handle
        headers = dict(client.headers)
    with served(tmp_path) as running, Client(running.address) as client:
        client.headers = headers
        assert values(client.flight.do_get(ticket).read_all()) == [(1,)]
        assert values(client.query("SELECT n FROM t")) == [(1,)]
        prepared = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)
        assert values(client.table(prepared)) == [(2,)]


def test_addresses_that_others_reach_need_tls_and_a_user(tmp_path):
    for host in ("0.0.0.0", "::"):  # noqa: S104  # it must be refused
        with pytest.raises(ConfigurationError, match="no TLS"), served(tmp_path, server={"host": host}):
            pass
    with (
        pytest.raises(ConfigurationError, match="not known"),
        served(tmp_path, server={"host": "no.such.host"}),
    ):
        pass


def test_a_port_in_use_is_an_error(tmp_path, lake):
    port = int(lake.address.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match="can not listen"), served(tmp_path, server={"port": port}):
        pass
