"""Flight SQL to the letter: each command and action on each call that the protocol knows."""

import re
import time

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pyarrow as pa
import pytest
from flight_sql import URL, Client, packed, served
from google.protobuf.any_pb2 import Any as Packed
from pyarrow import flight
from raw_flight import connected, descriptor, field, refusal

from scoter.server.actions import OFFERED
from scoter.server.flightsql import info as sql_info
from scoter.server.flightsql import messages_pb2 as m

FLIGHT = "type.googleapis.com/arrow.flight.protocol."


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("protocol")) as running:
        with Client(running.address) as client:
            client.update("CREATE TABLE t (n BIGINT, s VARCHAR)")
        yield running


@pytest.fixture
def client(lake):
    with Client(lake.address) as made:
        yield made


def fields(*told):
    """Return a schema from (name, type, whether it must have a value)."""
    return pa.schema([pa.field(name, kind, nullable=not required) for name, kind, required in told])


# As the protocol's reference has them, written down here a second time.
TEXT, INT, BYTE, BOOL = pa.string(), pa.int32(), pa.uint8(), pa.bool_()
TABLES = (
    ("catalog_name", TEXT, False),
    ("db_schema_name", TEXT, False),
    ("table_name", TEXT, True),
    ("table_type", TEXT, True),
)
KEYS = fields(
    ("pk_catalog_name", TEXT, False),
    ("pk_db_schema_name", TEXT, False),
    ("pk_table_name", TEXT, True),
    ("pk_column_name", TEXT, True),
    ("fk_catalog_name", TEXT, False),
    ("fk_db_schema_name", TEXT, False),
    ("fk_table_name", TEXT, True),
    ("fk_column_name", TEXT, True),
    ("key_sequence", INT, True),
    ("fk_key_name", TEXT, False),
    ("pk_key_name", TEXT, False),
    ("update_rule", BYTE, True),
    ("delete_rule", BYTE, True),
)
UNION = pa.dense_union(
    [
        pa.field("string_value", pa.string()),
        pa.field("bool_value", pa.bool_()),
        pa.field("bigint_value", pa.int64()),
        pa.field("int32_bitmask", pa.int32()),
        pa.field("string_list", pa.list_(pa.string())),
        pa.field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32()))),
    ],
    [0, 1, 2, 3, 4, 5],
)
SCHEMAS = [
    (m.CommandGetCatalogs(), fields(("catalog_name", TEXT, True))),
    (m.CommandGetDbSchemas(), fields(("catalog_name", TEXT, False), ("db_schema_name", TEXT, True))),
    (m.CommandGetTables(), fields(*TABLES)),
    (m.CommandGetTables(include_schema=True), fields(*TABLES, ("table_schema", pa.binary(), True))),
    (m.CommandGetTableTypes(), fields(("table_type", TEXT, True))),
    (
        m.CommandGetPrimaryKeys(table="t"),
        fields(
            ("catalog_name", TEXT, False),
            ("db_schema_name", TEXT, False),
            ("table_name", TEXT, True),
            ("column_name", TEXT, True),
            ("key_name", TEXT, False),
            ("key_sequence", INT, True),
        ),
    ),
    (m.CommandGetExportedKeys(table="t"), KEYS),
    (m.CommandGetImportedKeys(table="t"), KEYS),
    (m.CommandGetCrossReference(pk_table="t", fk_table="t"), KEYS),
    (m.CommandGetSqlInfo(), fields(("info_name", pa.uint32(), True), ("value", UNION, True))),
    (
        m.CommandGetXdbcTypeInfo(),
        fields(
            ("type_name", TEXT, True),
            ("data_type", INT, True),
            ("column_size", INT, False),
            ("literal_prefix", TEXT, False),
            ("literal_suffix", TEXT, False),
            ("create_params", pa.list_(pa.field("item", TEXT, nullable=False)), False),
            ("nullable", INT, True),
            ("case_sensitive", BOOL, True),
            ("searchable", INT, True),
            ("unsigned_attribute", BOOL, False),
            ("fixed_prec_scale", BOOL, True),
            ("auto_increment", BOOL, False),
            ("local_type_name", TEXT, False),
            ("minimum_scale", INT, False),
            ("maximum_scale", INT, False),
            ("sql_data_type", INT, True),
            ("datetime_subcode", INT, False),
            ("num_prec_radix", INT, False),
            ("interval_precision", INT, False),
        ),
    ),
]


@pytest.mark.parametrize(
    ("command", "schema"), SCHEMAS, ids=lambda c: getattr(getattr(c, "DESCRIPTOR", None), "name", "")
)
def test_metadata_has_the_protocols_schemas(client, command, schema):
    assert client.schema(command).equals(schema)
    info = client.info(command)
    assert info.schema.equals(schema)
    for _ in range(2):
        assert client.flight.do_get(info.endpoints[0].ticket).read_all().schema.equals(schema)


def test_type_info_of_one_type(client):
    every = client.table(m.CommandGetXdbcTypeInfo()).to_pylist()
    for code in {row["data_type"] for row in every}:
        chosen = client.table(m.CommandGetXdbcTypeInfo(data_type=code)).to_pylist()
        assert chosen == [row for row in every if row["data_type"] == code]
    assert client.table(m.CommandGetXdbcTypeInfo(data_type=0)).num_rows == 0


# Which member of the union each code has, from the protocol's reference: drivers cast by it.
STRINGS = {0, 1, 2, 6, 7, 504, 513, 514, 529, 530, 531}
BOOLS = {3, 4, 5, 9, 10, 11, 500, 501, 502, 506, 515, 516, 518, 519, 520, 521, 523, 524, 527, 532}
BOOLS |= {536, 537, 539, 556, 563, 565, 566, 572, 573, 574, 575, 576}
BIGINTS = {*range(541, 563)} - {556}
LISTS = {508, 509, 510, 511, 512}
MAPS = {517}


def test_every_code_of_sql_info_stands_in_its_member():
    table = sql_info.table()
    codes = table["info_name"].to_pylist()
    assert codes == [*range(12), 100, 101, *range(500, 577)]
    kinds = table["value"].combine_chunks().type_codes.to_pylist()
    for code, kind in zip(codes, kinds, strict=True):
        groups = [STRINGS, BOOLS, BIGINTS, set(), LISTS, MAPS]
        wanted = next((i for i, group in enumerate(groups) if code in group), 3)
        assert kind == wanted, code


def said(lake, code):
    with Client(lake.address) as client:
        table = client.table(m.CommandGetSqlInfo(info=[code]))
    return table["value"][0].as_py()


def test_sql_info_says_what_is(lake, client):
    # Nothing of Substrait, no savepoints; cancelling is offered.
    assert (said(lake, 5), said(lake, 6), said(lake, 7), said(lake, 573)) == (False, "", "", False)
    assert said(lake, 9) is True
    assert said(lake, 100) == lake.engine.settings.server.handle_lifetime * 1000
    assert said(lake, 557) == lake.engine.settings.query.max_sql_bytes


REFUSED = [
    ("CommandStatementSubstraitPlan", "[0A000] NOT_SUPPORTED: Substrait plans are not offered. Hint: send"),
    ("CommandNobodyKnows", "[0A000] NOT_SUPPORTED: the Flight SQL command CommandNobodyKnows is not offered"),
]


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_commands_that_are_not_offered(client, name, text):
    command = Packed(type_url=URL + name, value=b"").SerializeToString()
    target = flight.FlightDescriptor.for_command(command)
    for call in (
        lambda: client.flight.get_flight_info(target),
        lambda: client.flight.get_schema(target),
        lambda: client.flight.do_get(flight.Ticket(command)).read_all(),
        lambda: put(client, target),
    ):
        assert str(client.refusal(call)).startswith(text)


def put(client, target):
    writer, reader = client.flight.do_put(target, pa.schema([]))
    writer.done_writing()
    reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("CreatePreparedSubstraitPlan", "Substrait plans are not offered. Hint: send the statement as SQL"),
        ("BeginSavepoint", "savepoints are not offered"),
        ("EndSavepoint", "savepoints are not offered"),
        ("Nonsense", "the action 'Nonsense' is not offered"),
    ],
)
def test_actions_that_are_not_offered(client, action, text):
    error = client.refusal(client.act, action, b"")
    assert re.match(rf"\[0A000\] NOT_SUPPORTED: {text}.*Query id [0-9a-f]{{32}}", str(error)), error


def test_polling_is_refused_by_name(lake):
    """pyarrow's server has no PollFlightInfo; ADBC asks for it when execution is incremental."""
    with connected(lake.address) as raw:
        command = packed(m.CommandStatementQuery(query="SELECT 1"))
        assert refusal(raw.ask("PollFlightInfo", descriptor(command)))[0] == "UNIMPLEMENTED"
    with adbc.connect(lake.address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.statement.exec.incremental": "true"})
        cursor.adbc_statement.set_sql_query("SELECT 1")
        with pytest.raises(adbc_driver_manager.NotSupportedError):
            cursor.adbc_statement.execute_partitions()
    with adbc.connect(lake.address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]


def test_every_action_is_listed_and_answers(client):
    listed = {action.type: action.description for action in client.flight.list_actions()}
    assert listed == OFFERED
    for name in listed:
        error = client.refusal(client.act, name, b"\xff\xff")
        assert "[22023] INVALID_VALUE" in str(error), (name, error)


def test_updates_on_every_way_and_their_counts(client):
    client.update("CREATE TABLE IF NOT EXISTS ways (n BIGINT)")
    schema = pa.schema([("1", pa.int64())])
    handle = client.prepare("INSERT INTO ways VALUES (?)").prepared_statement_handle
    command = m.CommandPreparedStatementUpdate(prepared_statement_handle=handle)
    assert client.schema(command).names == ["Count"]
    assert client.put(command, schema, [pa.record_batch([[1, 2, 3]], schema=schema)]) == 3
    assert client.update("INSERT INTO ways VALUES (4)") == 1
    assert client.query("INSERT INTO ways VALUES (5)").to_pydict() == {"Count": [1]}
    assert client.query("SELECT sum(n)::BIGINT AS s FROM ways").to_pydict() == {"s": [15]}


def test_prepare_says_whether_it_is_an_update(client):
    for sql, is_update in (
        ("SELECT 1", False),
        ("SHOW TABLES", False),
        ("EXPLAIN SELECT 1", False),
        ("INSERT INTO t VALUES (1, 'x')", True),
        ("CREATE TABLE never_made (n BIGINT)", True),
        ("CREATE SCHEMA never_made", True),
        ("DROP TABLE t", True),
        ("SET query_tag = 'x'", True),
    ):
        prepared = client.prepare(sql)
        assert prepared.HasField("is_update")
        assert prepared.is_update is is_update, sql
        assert (prepared.dataset_schema == b"") is is_update, sql


# Actions, bare as the protocol has them and wrapped as some clients send them


def endpoint_of(info):
    mine = m.FlightInfo()
    mine.ParseFromString(info.serialize())
    (endpoint,) = mine.endpoint
    return endpoint


def renewed(client, endpoint, *, wrapped=False):
    request = m.RenewFlightEndpointRequest(endpoint=endpoint)
    body = request.SerializeToString()
    if wrapped:
        body = Packed(type_url=FLIGHT + "RenewFlightEndpointRequest", value=body).SerializeToString()
    answer = m.FlightEndpoint()
    answer.ParseFromString(client.act("RenewFlightEndpoint", body))
    return answer


def test_an_endpoint_is_renewed_with_what_is_bound_to_it(tmp_path, clock):
    with served(tmp_path, server={"ticket_lifetime": 600}) as lake, Client(lake.address) as client:
        info = client.info(m.CommandStatementQuery(query="SELECT 7 AS n"))
        until = info.endpoints[0].expiration_time.as_py().timestamp()
        assert 500 <= until - time.time() <= 600
        endpoint = endpoint_of(info)
        assert endpoint.expiration_time.seconds == until
        endpoint.app_metadata = b"mine"
        handle = client.prepare("SELECT length(CAST(? AS VARCHAR)) AS n").prepared_statement_handle
        schema = pa.schema([("1", pa.string())])
        bare = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)
        bound = client.put(bare, schema, [pa.record_batch([["x" * 100_000]], schema=schema)])
        with_values = client.info(m.CommandPreparedStatementQuery(prepared_statement_handle=bound))
        clock.advance(400)
        later = [renewed(client, endpoint, wrapped=wrapped) for wrapped in (False, True)]
        for answer in later:
            assert answer.app_metadata == b"mine"
            assert answer.expiration_time.seconds >= until + 300
        later.append(renewed(client, endpoint_of(with_values)))
        clock.advance(400)
        old = client.refusal(lambda: client.flight.do_get(info.endpoints[0].ticket).read_all())
        assert "[34000] INVALID_TICKET" in str(old)
        for answer, n in zip(later, (7, 7, 100_000), strict=True):
            table = client.flight.do_get(flight.Ticket(answer.ticket.ticket)).read_all()
            assert table.to_pydict() == {"n": [n]}
        # What has ended is not renewed.
        assert "[34000] INVALID_TICKET" in str(client.refusal(renewed, client, endpoint))


def test_an_endpoint_of_metadata_needs_no_renewal(client):
    info = client.info(m.CommandGetCatalogs())
    assert info.endpoints[0].expiration_time is None
    endpoint = endpoint_of(info)
    assert renewed(client, endpoint) == endpoint


@pytest.mark.parametrize("wrapped", [False, True])
def test_cancelling_answers_bare_and_wrapped_requests(client, wrapped):
    info = client.info(m.CommandStatementQuery(query="SELECT 1"))
    mine = m.FlightInfo()
    mine.ParseFromString(info.serialize())
    body = m.CancelFlightInfoRequest(info=mine).SerializeToString()
    if wrapped:
        body = Packed(type_url=FLIGHT + "CancelFlightInfoRequest", value=body).SerializeToString()
    result = m.CancelFlightInfoResult()
    result.ParseFromString(client.act("CancelFlightInfo", body))
    assert result.status == 3
    old = client.act("CancelQuery", packed(m.ActionCancelQueryRequest(info=info.serialize())))
    answer = Packed()
    answer.ParseFromString(old)
    assert answer.type_url == URL + "ActionCancelQueryResult"


def test_a_bare_option_that_looks_like_a_wrapped_one_is_an_option(client):
    request = m.SetSessionOptionsRequest()
    request.session_options["query_tag"].string_value = f"x.{FLIGHT}SetSessionOptionsRequest"
    result = m.SetSessionOptionsResult()
    result.ParseFromString(client.act("SetSessionOptions", request.SerializeToString()))
    assert not result.errors
    options = m.GetSessionOptionsResult()
    options.ParseFromString(client.act("GetSessionOptions", b""))
    assert options.session_options["query_tag"].string_value.startswith("x.type.googleapis")
    wrapped = Packed(type_url=FLIGHT + "GetSessionOptionsRequest").SerializeToString()
    again = m.GetSessionOptionsResult()
    again.ParseFromString(client.act("GetSessionOptions", wrapped))
    assert again == options


def test_session_options_take_values_of_every_kind(client):
    request = m.SetSessionOptionsRequest()
    request.session_options["statement_timeout"].int64_value = 30
    request.session_options["query_tag"].string_list_value.values.extend(["a", "b"])
    result = m.SetSessionOptionsResult()
    result.ParseFromString(client.act("SetSessionOptions", request.SerializeToString()))
    assert not result.errors
    options = m.GetSessionOptionsResult()
    options.ParseFromString(client.act("GetSessionOptions", b""))
    found = {name: value.string_value for name, value in options.session_options.items()}
    assert (found["statement_timeout"], found["query_tag"]) == ("30", "a,b")
    assert set(found) == {"catalog", "schema", "timezone", "statement_timeout", "query_tag"}
    request = m.SetSessionOptionsRequest()
    request.session_options["statement_timeout"].double_value = 2.5
    request.session_options["timezone"].bool_value = True
    result.ParseFromString(client.act("SetSessionOptions", request.SerializeToString()))
    assert {name: error.value for name, error in result.errors.items()} == {"timezone": 2}


def test_a_call_without_a_descriptor_of_a_command_is_refused(lake):
    with connected(lake.address) as raw:
        for request in (b"", field(1, 1) + field(3, b"a"), field(1, 2), field(1, 9), b"\xff"):
            for method in ("GetFlightInfo", "GetSchema"):
                code, text = refusal(raw.ask(method, request))
                assert code != "OK"
                assert "Traceback" not in text
