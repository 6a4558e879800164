"""One statement, one commit: what append writes, and what it refuses and leaves no trace of."""

import threading

import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DateType,
    FixedType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimeType,
)
from write_tables import BY_G, NAME, SCHEMA, created, data_files, locked, opened, rows

from scoter.catalog.names import TableName
from scoter.engine.writing import QUERY_ID, append
from scoter.errors import InvalidValue, NotNullViolation, NotSupported, UndefinedSnapshot

lake = pytest.fixture(opened)
connection = pytest.fixture(locked)
table = pytest.fixture(created)


def test_rows_and_properties_are_in_one_snapshot(lake, connection, table):
    written = append(
        connection,
        "SELECT i, 'g' || i FROM range(3) t(i)",
        table,
        properties={QUERY_ID: "q1", "scoter.x": "ä"},
    )
    now = lake.load(NAME)
    assert rows(lake) == [{"k": i, "g": f"g{i}"} for i in range(3)]
    assert len(now.metadata.snapshots) == 1
    snapshot = now.current_snapshot()
    assert (written.rows, written.files, written.snapshot_id) == (3, 1, snapshot.snapshot_id)
    assert written.bytes == sum(path.stat().st_size for path in data_files(lake))
    assert snapshot.summary[QUERY_ID] == "q1"
    assert snapshot.summary["scoter.x"] == "ä"
    assert snapshot.summary["added-records"] == "3"
    assert snapshot.summary["total-records"] == "3"


def test_bare_pyiceberg_reads_the_table(lake, connection, table, tmp_path):
    append(connection, "SELECT i, NULL FROM range(1000) t(i)", table, properties={})
    bare = SqlCatalog(
        "lake", uri=f"sqlite:///{tmp_path}/metastore.db", warehouse=f"file://{tmp_path}/warehouse"
    )
    try:
        found = bare.load_table("main.t").scan(row_filter="k >= 990").to_arrow()
        assert found.num_rows == 10
        assert found["g"].null_count == 10
    finally:
        bare.engine.dispose()


def test_parameters_are_bound(lake, connection, table):
    append(connection, "SELECT $1, $2", table, properties={}, parameters=[7, "it's"])
    append(connection, "SELECT $a, $b", table.refresh(), properties={}, parameters={"a": 8, "b": "x"})
    assert rows(lake) == [{"k": 7, "g": "it's"}, {"k": 8, "g": "x"}]


def test_no_rows_make_no_commit(lake, connection, table):
    written = append(connection, "SELECT 1, 'x' WHERE false", table, properties={})
    assert (written.rows, written.files, written.snapshot_id) == (0, 0, None)
    assert lake.load(NAME).metadata_location == table.metadata_location
    assert data_files(lake) == []


@pytest.mark.parametrize("count", [0, 5])
@pytest.mark.parametrize("spec", [UNPARTITIONED_PARTITION_SPEC, BY_G])
def test_a_table_appears_with_its_rows(lake, connection, count, spec):
    create = lake.begin_create(NAME, SCHEMA, spec)
    assert lake.pointers([NAME]) == {}
    written = append(
        connection,
        f"SELECT i, 'g' || i % 2 FROM range({count}) t(i)",
        create._table,
        properties={"scoter.x": "y"},
        create=create,
    )
    now = lake.load(NAME)
    assert len(rows(lake)) == count == written.rows
    assert now.current_snapshot().snapshot_id == written.snapshot_id
    assert now.current_snapshot().summary["scoter.x"] == "y"
    assert len(now.metadata.snapshots) == 1


def test_null_in_a_required_column_is_refused(lake, connection, table):
    with pytest.raises(NotNullViolation, match='"k"'):
        append(
            connection, "SELECT CASE WHEN i <> 7 THEN i END, 'x' FROM range(10) t(i)", table, properties={}
        )
    assert rows(lake) == []
    assert data_files(lake) == []


def test_null_in_a_required_nested_field_is_refused(lake, connection):
    part = StructType(
        NestedField(3, "a", LongType(), required=True), NestedField(4, "b", LongType(), required=False)
    )
    schema = Schema(
        NestedField(1, "k", part, required=False),
        NestedField(2, "l", ListType(5, LongType(), element_required=True), required=False),
        NestedField(
            6,
            "m",
            MapType(7, StringType(), 8, ListType(9, part, element_required=False), value_required=True),
            required=False,
        ),
    )
    nested = TableName("lake", "main", "nested")
    fine = "{'a': 1, 'b': NULL}"
    lake.create_table(nested, schema)
    append(
        connection,
        f"SELECT unnest([NULL, {fine}]), unnest([[], [1]]), unnest([NULL, MAP {{'x': [{fine}, NULL]}}])",
        lake.load(nested),
        properties={},
    )
    for first, second, third in (
        ("{'a': NULL, 'b': 1}", "[1]", "NULL"),
        (fine, "[1, NULL]", "NULL"),
        (fine, "[1]", "MAP {'x': NULL}"),
        (fine, "[1]", "MAP {'x': [{'a': NULL, 'b': 1}]}"),
    ):
        with pytest.raises(NotNullViolation):
            append(connection, f"SELECT {first}, {second}, {third}", lake.load(nested), properties={})
    assert lake.load(nested).scan().count() == 2


def test_values_that_iceberg_does_not_have_are_refused(lake, connection):
    schema = Schema(
        NestedField(1, "d", DateType(), required=False),
        NestedField(2, "l", ListType(3, TimestampType(), element_required=False), required=False),
        NestedField(4, "t", TimeType(), required=False),
    )
    times = TableName("lake", "main", "times")
    lake.create_table(times, schema)
    for first, second, third, name in (
        ("DATE '-infinity'", "NULL", "NULL", "d"),
        ("NULL", "[NULL, TIMESTAMP 'infinity']", "NULL", "l"),
        ("NULL", "NULL", "TIME '24:00:00'", "t"),
    ):
        with pytest.raises(InvalidValue, match=f'"{name}"'):
            append(connection, f"SELECT {first}, {second}, {third}", lake.load(times), properties={})
    # A row group of NULLs takes the statistics away, so that the rows have to be read.
    gap = "CASE WHEN i < 200000 THEN NULL WHEN i = 299999 THEN {} ELSE {} END"
    for name, columns in (
        ("d", gap.format("DATE 'infinity'", "DATE '2000-01-01'") + ", NULL, NULL"),
        ("l", "NULL, " + gap.format("[NULL, TIMESTAMP '-infinity']", "[TIMESTAMP '2000-01-01']") + ", NULL"),
    ):
        with pytest.raises(InvalidValue, match=f'"{name}"'):
            append(connection, f"SELECT {columns} FROM range(300000) t(i)", lake.load(times), properties={})
    assert data_files(lake) == []
    append(connection, "SELECT NULL, [NULL], TIME '23:59:59.999999'", lake.load(times), properties={})
    assert lake.load(times).scan().count() == 1
    assert len(data_files(lake)) == 1


def test_a_failing_query_leaves_no_files(lake, connection, table):
    with pytest.raises(duckdb.InvalidInputException):
        append(
            connection,
            "SELECT CASE WHEN i = 999999 THEN error('x')::BIGINT ELSE i END, 'x' FROM range(1000000) t(i)",
            table,
            properties={},
        )
    assert data_files(lake) == []
    assert rows(lake) == []


@pytest.mark.parametrize("turn", range(5))
def test_an_interrupted_query_leaves_no_files(lake, connection, table, turn):
    ended = threading.Event()

    def interrupt():
        while not ended.wait(0.05):
            if data_files(lake):
                connection.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(duckdb.InterruptException):
            append(connection, "SELECT i, 'x' || i FROM range(2000000000) t(i)", table, properties={})
    finally:
        ended.set()
        thread.join()
    assert data_files(lake) == []


def test_branches(lake, connection, table):
    append(connection, "SELECT 1, 'x'", table, properties={})
    now = lake.load(NAME)
    head = now.current_snapshot().snapshot_id
    now.manage_snapshots().create_branch(head, "dev").create_tag(head, "v1").commit()
    append(connection, "SELECT 2, 'x'", lake.load(NAME), properties={}, branch="dev")
    assert len(rows(lake)) == 1
    now = lake.load(NAME)
    assert now.scan(snapshot_id=now.snapshot_by_name("dev").snapshot_id).count() == 2
    for wrong in ("v1", "dve"):
        with pytest.raises(UndefinedSnapshot):
            append(connection, "SELECT 3, 'x'", now, properties={}, branch=wrong)


def test_tables_that_can_not_be_written_say_so(lake, connection):
    fixed = TableName("lake", "main", "fixed")
    lake.create_table(fixed, Schema(NestedField(1, "f", FixedType(4), required=False)))
    with pytest.raises(NotSupported, match="fixed"):
        append(connection, "SELECT 'abcd'::BLOB", lake.load(fixed), properties={})
