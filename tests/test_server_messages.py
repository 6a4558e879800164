import pyarrow as pa
import pytest
from google.protobuf.any_pb2 import Any

from scoter.errors import InvalidValue, NotSupported
from scoter.server.flightsql import commands, info, typeinfo
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.flightsql.schemas import TYPE_INFO
from scoter.server.metadata import _like

URL = "type.googleapis.com/arrow.flight.protocol.sql."


def test_a_command_is_read_by_its_field_numbers():
    # Bytes as the protocol has them: field 1, a text of 8 bytes.
    body = b"\x0a\x08SELECT 1"
    command = commands.read(Any(type_url=URL + "CommandStatementQuery", value=body).SerializeToString())
    assert isinstance(command, m.CommandStatementQuery)
    assert (command.query, command.transaction_id) == ("SELECT 1", b"")
    tables = b"\x0a\x04lake\x1a\x02t%\x22\x05TABLE\x22\x04VIEW\x28\x01"
    command = commands.read(Any(type_url=URL + "CommandGetTables", value=tables).SerializeToString())
    assert isinstance(command, m.CommandGetTables)
    assert not command.HasField("db_schema_filter_pattern")
    assert (command.catalog, command.table_name_filter_pattern) == ("lake", "t%")
    assert (list(command.table_types), command.include_schema) == (["TABLE", "VIEW"], True)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotSupported),
        (b"\xff\xff\xff", InvalidValue),
        (Any(type_url=URL + "CommandStatementSubstraitPlan").SerializeToString(), NotSupported),
        (Any(type_url="CommandStatementQuery").SerializeToString(), NotSupported),
        (Any(type_url="evil.example/" + URL + "CommandStatementQuery").SerializeToString(), NotSupported),
        (Any(type_url=URL + "CommandStatementQuery", value=b"\x0a\xff").SerializeToString(), InvalidValue),
    ],
)
def test_other_bytes_are_refused(data, error):
    with pytest.raises(error):
        commands.read(data)


def test_session_values_have_the_protocols_encodings():
    value = m.SessionOptionValue(int64_value=5).SerializeToString()
    assert value == b"\x19" + (5).to_bytes(8, "little")
    assert m.SessionOptionValue(double_value=1.0).SerializeToString()[0] == 0x21


def test_sql_info_has_the_unions_layout():
    table = info.table()
    kind = table.schema.field("value").type
    assert [kind.field(i).name for i in range(kind.num_fields)] == [
        "string_value",
        "bool_value",
        "bigint_value",
        "int32_bitmask",
        "string_list",
        "int32_to_int32_list_map",
    ]
    assert [kind.field(i).type for i in range(4)] == [pa.string(), pa.bool_(), pa.int64(), pa.int32()]
    assert kind.mode == "dense"
    assert list(kind.type_codes) == [0, 1, 2, 3, 4, 5]
    assert table.schema == info.schema()
    assert table.schema.field("info_name") == pa.field("info_name", pa.uint32(), nullable=False)
    table.validate(full=True)
    values = dict(zip(table["info_name"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert list(values) == [*range(12), 100, 101, *range(500, 577)]
    assert (values[0], values[8], values[563]) == ("Scoter", 0, False)
    assert values[19 + 498][0][0] == 0  # a map of conversions, from BIGINT


def test_sql_info_of_some_codes():
    table = info.table([8, 4711, 0, 8])
    assert table["info_name"].to_pylist() == [0, 8]
    assert table["value"].to_pylist() == ["Scoter", 0]
    assert info.table([4711]).num_rows == 0
    assert info.table([4711]).schema == info.schema()


def test_types_are_ordered_and_can_be_asked_by_code():
    table = typeinfo.table()
    assert table.schema == TYPE_INFO
    table.validate(full=True)
    keys = [(row["data_type"], row["type_name"]) for row in table.to_pylist()]
    assert keys == sorted(keys)
    assert {row["type_name"] for row in typeinfo.table(12).to_pylist()} == {"VARCHAR", "UUID", "JSON"}
    assert typeinfo.table(4711).num_rows == 0


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        (None, ["", "a"], []),
        ("%", ["", "a", "a.b"], []),
        ("", [""], ["a"]),
        ("abc", ["abc", "ABC"], ["abcd", "ab"]),
        ("a%", ["a", "abc"], ["ba"]),
        ("%c", ["c", "abc", "acbc"], ["cb"]),
        ("a_c", ["abc", "a_c"], ["ac", "abbc"]),
        ("a\\_c", ["a_c"], ["abc"]),
        ("a\\%", ["a%"], ["ab"]),
        ("a\\\\", ["a\\"], ["a"]),
        ("a\\", ["a\\"], ["a"]),
        ("%a%b%", ["ab", "xaxbx", "aab"], ["ba", "a"]),
        ("%ab", ["aab", "abab"], ["aba"]),
        ("a.c", ["a.c"], ["abc"]),
        ("%%%", ["", "x"], []),
    ],
)
def test_like_patterns(pattern, fits, fits_not):
    test = _like(pattern)
    assert [name for name in fits if not test(name)] == []
    assert [name for name in fits_not if test(name)] == []


def test_a_hostile_pattern_costs_little():
    assert not _like("%a" * 64 + "%b")("a" * 128)
