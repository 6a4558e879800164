"""Messages that no driver sends: refused with a code and a query id, and the server is none the worse."""

import re
import signal
import time

import pyarrow as pa
import pytest
from flight_sql import Client, packed
from google.protobuf.any_pb2 import Any as Packed
from hypothesis import given
from mutation import damaged, often
from raw_flight import Raw, descriptor, field, outcome
from sessions import ADMIN, opened
from test_server_process import process

from scoter.errors import AuthenticationFailed, InvalidHandle, InvalidTicket, InvalidValue, NotSupported
from scoter.server.authentication import LOCAL, Authentication
from scoter.server.capacity import HEADER, message_limit
from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.flightsql.sealed_pb2 import Cargo, Prepared, Ticket
from scoter.server.hold import Hold
from scoter.server.options import set_options
from scoter.server.seal import Seals
from scoter.server.tokens import State, Tokens

LEAKS = re.compile(r"Traceback|\.py\b|site-packages|/tmp/|/home/|File \"|\.cc:")
OURS = re.compile(r"\[\w{5}\] [A-Z_]+: .*Query id [0-9a-f]{32}", re.DOTALL)

COMMANDS = [
    m.CommandGetSqlInfo(info=[0, 8, 500]),
    m.CommandGetXdbcTypeInfo(data_type=12),
    m.CommandGetCatalogs(),
    m.CommandGetDbSchemas(catalog="lake", db_schema_filter_pattern="m%"),
    m.CommandGetTables(catalog="lake", table_name_filter_pattern="_", table_types=["TABLE"], include_schema=True),
    m.CommandGetTableTypes(),
    m.CommandGetPrimaryKeys(table="t"),
    m.CommandGetExportedKeys(catalog="lake", db_schema="main", table="t"),
    m.CommandGetImportedKeys(table="t"),
    m.CommandGetCrossReference(pk_table="t", fk_table="u"),
    m.CommandStatementQuery(query="SELECT 1 AS n"),
    m.CommandStatementUpdate(query="SET query_tag = 'x'"),
    m.CommandPreparedStatementQuery(prepared_statement_handle=b"x" * 40),
    m.CommandPreparedStatementUpdate(prepared_statement_handle=b"x" * 40),
    m.CommandStatementIngest(table="t"),
    m.TicketStatementQuery(statement_handle=b"x" * 40),
]  # fmt: skip
OPTIONS = m.SetSessionOptionsRequest()
OPTIONS.session_options["catalog"].string_value = "lake"
OPTIONS.session_options["schema"].string_value = "main"
OPTIONS.session_options["timezone"].string_value = "Europe/Oslo"
OPTIONS.session_options["statement_timeout"].int64_value = 30
OPTIONS.session_options["query_tag"].string_list_value.values.extend(["a", "b"])
ENDPOINT = m.FlightEndpoint(ticket=m.FlightTicket(ticket=packed(COMMANDS[-1])))
INFO = m.FlightInfo(endpoint=[ENDPOINT])
OWN = [
    m.CancelFlightInfoRequest(info=INFO),
    m.RenewFlightEndpointRequest(endpoint=ENDPOINT),
    OPTIONS,
    m.GetSessionOptionsRequest(),
    m.CloseSessionRequest(),
]
WRAPPED = [
    m.ActionCreatePreparedStatementRequest(query="SELECT ? + 1"),
    m.ActionClosePreparedStatementRequest(prepared_statement_handle=b"x" * 40),
    m.ActionCancelQueryRequest(info=INFO.SerializeToString()),
]
FLIGHT = "type.googleapis.com/arrow.flight.protocol."
BODIES = [packed(message) for message in WRAPPED] + [message.SerializeToString() for message in OWN]
BODIES += [
    Packed(type_url=FLIGHT + message.DESCRIPTOR.name, value=message.SerializeToString()).SerializeToString()
    for message in OWN
]


# In process: each decoder gives what it promises or raises what it promises


@pytest.mark.decoder
@often()
@given(damaged([packed(command) for command in COMMANDS]))
def test_commands(data):
    try:
        command = commands.read(data)
    except (InvalidValue, NotSupported):
        return
    assert type(command) in {type(known) for known in COMMANDS}


@pytest.mark.decoder
@often()
@given(damaged(BODIES))
def test_bodies_of_actions(data):
    for message, read in [
        *((known, commands.own) for known in OWN),
        *((w, commands.unpack) for w in WRAPPED),
    ]:
        try:
            found = read(data, type(message)())
        except InvalidValue:
            continue
        assert type(found) is type(message)


@pytest.fixture(scope="module")
def seals(tmp_path_factory):
    return Seals(b"k" * 32, Hold(tmp_path_factory.mktemp("held"), 1_000_000), 1_000_000)


def tickets(seals):
    soon = int(time.time()) + 3600
    query = Ticket(principal="ann", expires=soon, query_id="q")
    query.query.sql = "SELECT 1"
    finished = Ticket(principal="ann", expires=soon)
    finished.finished.rows.inline = b"rows"
    large = Cargo(sha256=b"h" * 32)
    prepared = [Prepared(principal="ann", expires=soon, sql="SELECT ?", parameters=p) for p in (None, large)]
    return [seals.seal_ticket(t) for t in (query, finished)], [seals.seal_prepared(p) for p in prepared]


@pytest.mark.decoder
def test_tickets_and_handles(seals):
    good_tickets, good_handles = tickets(seals)

    @often()
    @given(damaged(good_tickets + good_handles))
    def check(data):
        for good, read, refusal in (
            (good_tickets, seals.open_ticket, InvalidTicket),
            (good_handles, seals.open_prepared, InvalidHandle),
        ):
            if data in good:
                assert read(data, "ann").principal == "ann"
            else:
                with pytest.raises(refusal):
                    read(data, "ann")

    check()


@pytest.mark.decoder
def test_session_options(tmp_path):
    with opened(tmp_path) as engine:
        default = engine.context(ADMIN)

        @often()
        @given(damaged([OPTIONS.SerializeToString()]))
        def check(data):
            try:
                request = commands.own(data, m.SetSessionOptionsRequest())
            except InvalidValue:
                return
            result, after = set_options(request, default, default, engine.lake)
            assert set(result.errors) <= set(request.session_options)
            assert all(error.value in (1, 2) for error in result.errors.values())
            assert (after.catalog, after.schema, after.principal) == ("lake", "main", ADMIN)
            assert after.timezone in {"UTC", "Europe/Oslo"} or "timezone" not in result.errors
            assert 0 <= after.statement_timeout <= 7 * 86400
            assert len(after.query_tag) <= 200

        check()


class Users:
    """A lake with a user, as far as tokens ask for it."""

    def exist(self):
        return True

    def get(self, name):
        return LOCAL if name == LOCAL.name else None


@pytest.mark.decoder
def test_tokens_and_headers():
    tokens = Tokens(b"k" * 32, 3600)
    state = State("lake", "main", "UTC", 0.0, "tag")
    good = tokens.mint("local", LOCAL.generation, "s", 3, state).encode()
    door = Authentication(Users(), tokens, lambda *_, **__: None)

    @often()
    @given(damaged([good, b"a" * 40]), damaged([b"268435456", b"65536"]))
    def check(token, size):
        headers = {"authorization": [b"Bearer " + token], "cookie": [b"scoter-session=" + token + b"; a"]}
        try:
            caller = door.identify(headers)
        except AuthenticationFailed:
            assert token.strip() != good
        else:
            assert (caller.session, caller.state) == ("s", state)
        try:
            assert 65536 <= message_limit({HEADER: [size]}, 1) < 2**31
        except InvalidValue:
            assert not size.isdigit() or not 65536 <= int(size) < 2**31

    check()


# Over the wire: the bytes go through gRPC and Arrow's C++ to a server in a process of its own


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    directory = tmp_path_factory.mktemp("victim")
    with process(directory) as server:
        with Client(server.address) as client:
            client.update("CREATE TABLE t (n BIGINT, s VARCHAR)")
            client.update("CREATE TABLE strict (n BIGINT NOT NULL, s VARCHAR)")
        yield server
        # It answers still, has no row that was not sent, and stops when it is told to.
        with Client(server.address) as client:
            assert client.query("SELECT count(s) AS n FROM t").to_pydict() == {"n": [0]}
        assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    log = (directory / "log.jsonl").read_text()
    assert '"event": "failure"' not in log, [line for line in log.splitlines() if '"failure"' in line][:3]


@pytest.fixture(scope="module")
def raw(victim):
    made = Raw(victim.address)
    yield made
    made.close()


def judge(call):
    """Return a call's error; it must be one of ours, or of gRPC and Arrow for bytes that are no message."""
    code, said = outcome(call)
    assert not LEAKS.search(said), said
    assert "INTERNAL_ERROR" not in said, said
    assert code not in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}, said
    return said


WIRE = 0.3


@pytest.mark.decoder
@often(2, WIRE)
@given(data=damaged([descriptor(packed(command)) for command in COMMANDS]))
def test_descriptors_over_the_wire(raw, data):
    for method in ("GetFlightInfo", "GetSchema"):
        judge(raw.ask(method, data))


@pytest.mark.decoder
@often(1, WIRE)
@given(data=damaged([field(1, packed(command)) for command in COMMANDS]))
def test_tickets_over_the_wire(raw, data):
    judge(raw.ask("DoGet", data))


ACTIONS = [
    field(1, name.encode()) + field(2, body)
    for name, body in zip(
        (
            "CreatePreparedStatement",
            "ClosePreparedStatement",
            "CancelQuery",
            "CancelFlightInfo",
            "RenewFlightEndpoint",
            "SetSessionOptions",
            "GetSessionOptions",
        ),
        BODIES,
        strict=False,
    )
]


@pytest.mark.decoder
@often(1, WIRE)
@given(data=damaged(ACTIONS))
def test_actions_over_the_wire(raw, data):
    judge(raw.ask("DoAction", data))


BATCH = pa.record_batch(
    {
        "1": pa.array([1], pa.int64()),
        "2": pa.array(["text"], pa.string()),
        "3": pa.array([[1.5, None]], pa.list_(pa.float64())),
        "4": pa.array([{"a": 1, "b": "x"}], pa.struct([("a", pa.int32()), ("b", pa.string())])),
    }
)
BOUND = "SELECT CAST(? AS BIGINT), CAST(? AS VARCHAR), CAST(? AS DOUBLE[]), CAST(? AS STRUCT(a INTEGER, b VARCHAR))"


def parts(batch):
    """Return what Arrow sends of a batch: the schema's metadata, the batch's metadata, its body."""
    schema, rows = pa.ipc.read_message(batch.schema.serialize()), pa.ipc.read_message(batch.serialize())
    return schema.metadata.to_pybytes(), rows.metadata.to_pybytes(), rows.body.to_pybytes()


def flight_data(handle):
    """Return the messages of a bind: descriptor with schema, then a batch."""
    command = packed(m.CommandPreparedStatementQuery(prepared_statement_handle=handle))
    schema, metadata, body = parts(BATCH)
    return field(1, descriptor(command)) + field(2, schema), field(2, metadata) + field(1000, body)


def prepared(victim, sql):
    with Client(victim.address) as client:
        return client.prepare(sql).prepared_statement_handle


def flood(raw, command, batch):
    """Send a batch with a command again and again, damaged anew: within its parts, and as a whole."""
    schema, metadata, body = parts(batch)
    to = field(1, descriptor(command))
    first, second = to + field(2, schema), field(2, metadata) + field(1000, body)

    @often(5, WIRE)
    @given(
        damaged([schema], most=2),
        damaged([metadata], most=2),
        damaged([body], most=3),
        damaged([first], most=3),
        damaged([second], most=3),
    )
    def check(columns, about, rows, start, rest):
        judge(raw.send("DoPut", [first, field(2, metadata) + field(1000, rows)]))
        judge(raw.send("DoPut", [first, field(2, about) + field(1000, body)]))
        judge(raw.send("DoPut", [to + field(2, columns), second]))
        judge(raw.send("DoPut", [first, rest]))
        judge(raw.send("DoPut", [start, second]))

    check()


@pytest.mark.decoder
def test_bound_values_over_the_wire(raw, victim):
    handle = prepared(victim, BOUND)
    assert judge(raw.send("DoPut", flight_data(handle))) == ""
    flood(raw, packed(m.CommandPreparedStatementQuery(prepared_statement_handle=handle)), BATCH)


@pytest.mark.decoder
def test_rows_to_insert_over_the_wire(raw, victim):
    handle = prepared(victim, "INSERT INTO t VALUES (?, CAST(? AS DATE))")
    # No text is a date. What the damage makes of a row may be an error, or valid: a NULL, never a text.
    batch = pa.record_batch({"1": pa.array([1, None], pa.int64()), "2": pa.array(["text", "more"])})
    flood(raw, packed(m.CommandPreparedStatementUpdate(prepared_statement_handle=handle)), batch)


@pytest.mark.decoder
def test_rows_to_write_over_the_wire(raw):
    # Append, and fail where there is no table; NULL does not fit, so that no batch is committed.
    options = m.TableDefinitionOptions(if_not_exist=2, if_exists=2)
    command = packed(m.CommandStatementIngest(table="strict", table_definition_options=options))
    batch = pa.record_batch({"n": pa.array([1, None], pa.int64()), "s": pa.array(["text", "more"])})
    schema, metadata, body = parts(batch)
    first, second = field(1, descriptor(command)) + field(2, schema), field(2, metadata) + field(1000, body)
    assert "[23502] NOT_NULL_VIOLATION" in judge(raw.send("DoPut", [first, second]))
    flood(raw, command, batch)


@pytest.mark.decoder
@often(4, WIRE)
@given(data=damaged([field(1, 0) + field(2, b"payload"), field(1, b"criteria")]))
def test_handshakes_and_lists_over_the_wire(raw, data):
    judge(raw.send("Handshake", [data]))
    judge(raw.ask("ListFlights", data))
    judge(raw.ask("ListActions", data))
    judge(raw.send("DoExchange", [data]))


def truncated(share):
    """Return the message of a batch with a part of its body, as one that is whole in itself.

    Half a protobuf message is not refused: Arrow's C++ takes it for the end of the stream.
    """
    batch = pa.record_batch({"1": pa.array([1], pa.int64()), "2": pa.array(["text"], pa.string())})
    message = pa.ipc.read_message(batch.serialize())
    body = message.body.to_pybytes()
    return field(2, message.metadata.to_pybytes()) + field(1000, body[: int(len(body) * share)])


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO t VALUES (?, CAST(? AS DATE))", "SELECT CAST(? AS BIGINT), CAST(? AS STRUCT(yy BIGINT[]))"],
)
def test_names_that_are_no_text(raw, victim, sql):
    insert = sql.startswith("INSERT")
    kind = m.CommandPreparedStatementUpdate if insert else m.CommandPreparedStatementQuery
    command = packed(kind(prepared_statement_handle=prepared(victim, sql)))
    batch = pa.record_batch({"xx": pa.array([1]), "s": pa.array([{"yy": [1]}])})
    schema, metadata, body = parts(batch)
    for name in (b"xx", b"yy"):
        assert name in schema
        first = field(1, descriptor(command)) + field(2, schema.replace(name, b"\xb1\xb1"))
        said = judge(raw.send("DoPut", [first, field(2, metadata) + field(1000, body)]))
        assert said.startswith("[22"), said


def test_errors_of_ours_have_a_code_and_a_query_id(raw, victim):
    handle = prepared(victim, "SELECT CAST(? AS BIGINT), CAST(? AS DATE)")
    command = packed(m.CommandPreparedStatementQuery(prepared_statement_handle=handle))
    first, second = flight_data(handle)
    said = {
        "no command": judge(raw.ask("GetFlightInfo", descriptor(b"\xff"))),
        "an unknown command": judge(raw.ask("GetFlightInfo", descriptor(packed(m.FlightInfo())))),
        "a path": judge(raw.ask("GetFlightInfo", field(1, 1) + field(3, b"a"))),
        "a forged ticket": judge(raw.ask("DoGet", field(1, packed(COMMANDS[-1])))),
        "a forged handle": judge(raw.ask("GetFlightInfo", descriptor(packed(COMMANDS[12])))),
        "an unknown action": judge(raw.ask("DoAction", field(1, b"Destroy"))),
        "half a batch": judge(raw.send("DoPut", [first, truncated(0.5)])),
        "no schema": judge(raw.send("DoPut", [field(1, descriptor(command)), second])),
        "a batch of nonsense": judge(raw.send("DoPut", [first, field(2, b"\x01" * 64) + field(1000, b"x" * 8)])),
        "an empty body": judge(raw.send("DoPut", [first, truncated(0)])),
    }  # fmt: skip
    assert {what for what, text in said.items() if not OURS.search(text)} == set(), said


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        (pa.record_batch([[1]], names=["1"]), "07001"),
        (pa.record_batch([[1], ["2020-01-01"], [3]], names=["1", "2", "3"]), "07001"),
        (pa.record_batch([["x"], ["2020-01-01"]], names=["1", "2"]), "22"),
        (pa.record_batch([[1], ["no date"]], names=["1", "2"]), "22"),
        (pa.record_batch([[[1]], ["2020-01-01"]], names=["1", "2"]), "22"),
        (pa.record_batch([[1, 2], ["2020-01-01"] * 2], names=["1", "2"]), "07001"),
        (pa.record_batch([pa.array([], pa.int64()), pa.array([], pa.string())], names=["1", "2"]), "07001"),
    ],
)
def test_parameters_of_the_wrong_number_or_type(victim, rows, state):
    with Client(victim.address) as client:
        handle = client.prepare("SELECT CAST(? AS BIGINT), CAST(? AS DATE)").prepared_statement_handle
        bare = m.CommandPreparedStatementQuery(prepared_statement_handle=handle)

        def run():
            bound = client.put(bare, rows.schema, [rows])
            return client.table(m.CommandPreparedStatementQuery(prepared_statement_handle=bound))

        said = str(client.refusal(run))
    assert said.startswith(f"[{state}"), said
    assert OURS.search(said), said
    assert not LEAKS.search(said), said
