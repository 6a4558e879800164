"""One statement, one commit: what append leaves behind when all goes well, and when it does not."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import duckdb
import psutil
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Transaction
from pyiceberg.transforms import IdentityTransform
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
from sqlalchemy import event
from sqlalchemy.orm import Session

from scoter import settings
from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.catalog.names import TableName
from scoter.engine.writing import QUERY_ID, append
from scoter.engine.writing import append as append_function
from scoter.errors import (
    DuplicateTable,
    InvalidValue,
    NotNullViolation,
    NotSupported,
    OutcomeUnknown,
    UndefinedSnapshot,
    WriteConflict,
)

NAME = TableName("lake", "main", "t")
SCHEMA = Schema(
    NestedField(1, "k", LongType(), required=True), NestedField(2, "g", StringType(), required=False)
)
BY_G = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "g"))


@pytest.fixture
def lake(tmp_path):
    settled = settings.load(tmp_path)
    metastore = Metastore.open(settled.metastore_url)
    lake = Lake(settled, metastore)
    yield lake
    lake.close()
    metastore.close()


@pytest.fixture
def connection(lake):
    """Give a connection as locked as the ones that run statements."""
    with duckdb.connect(config={"threads": 2, "async_threads": 0}) as connection:
        for directory in lake.directories():
            connection.execute(f"SET allowed_directories=['{directory}/']")
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        yield connection


@pytest.fixture
def table(lake):
    return lake.create_table(NAME, SCHEMA)


def rows(lake, name=NAME):
    return sorted(lake.load(name).scan().to_arrow().to_pylist(), key=lambda row: row["k"])


def data_files(lake):
    return [path for directory in lake.directories() for path in Path(directory).rglob("*.parquet")]


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


def test_a_table_that_came_first_wins(lake, connection):
    create = lake.begin_create(NAME, SCHEMA)
    first = lake.create_table(NAME, SCHEMA)
    with pytest.raises(DuplicateTable):
        append(connection, "SELECT 1, 'x'", create._table, properties={}, create=create)
    assert lake.load(NAME).metadata.table_uuid == first.metadata.table_uuid
    assert data_files(lake) == []


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


def test_a_concurrent_append_is_no_conflict(lake, connection, table):
    stale = lake.load(NAME)
    append(connection, "SELECT 1, 'first'", table, properties={})
    append(connection, "SELECT 2, 'second'", stale, properties={})
    assert rows(lake) == [{"k": 1, "g": "first"}, {"k": 2, "g": "second"}]
    assert len(lake.load(NAME).metadata.snapshots) == 2


def test_many_writers_lose_nothing(lake, table):
    failures = []

    def work(number):
        try:
            with duckdb.connect(config={"threads": 1, "async_threads": 0}) as own:
                for turn in range(4):
                    append_function(own, f"SELECT {number * 10 + turn}, 'x'", lake.load(NAME), properties={})
        except Exception as error:  # noqa: BLE001  # shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [row["k"] for row in rows(lake)] == [n * 10 + t for n in range(5) for t in range(4)]


@pytest.mark.parametrize("before", [0, 1])
def test_a_changed_spec_is_a_conflict_and_hides_no_row(lake, connection, before):
    lake.create_table(NAME, SCHEMA, BY_G)
    if before:
        append(connection, "SELECT 0, 'y'", lake.load(NAME), properties={})
    stale = lake.load(NAME)
    changed = lake.load(NAME)
    with changed.update_spec() as update:
        update.remove_field("g")
        update.add_identity("k")
    with pytest.raises(WriteConflict):
        append(connection, "SELECT 1, 'y'", stale, properties={})
    assert len(rows(lake)) == before
    assert len(data_files(lake)) == before
    append(connection, "SELECT 1, 'y'", lake.load(NAME), properties={})
    assert lake.load(NAME).scan(row_filter="g = 'y'").count() == before + 1
    assert lake.load(NAME).scan(row_filter="k = 1").count() == 1


def test_a_spec_changed_between_files_and_commit_is_a_conflict(lake, connection, table, monkeypatch):
    """The race itself: another writer changes the spec after our files are staged, and also appends."""
    commit = Transaction.commit_transaction
    done = []

    def late(self):
        if not done:
            done.append(True)
            other = lake.load(NAME)
            with other.update_spec() as update:
                update.add_identity("g")
            append_function(connection, "SELECT 5, 'other'", lake.load(NAME), properties={})
        return commit(self)

    monkeypatch.setattr(Transaction, "commit_transaction", late)
    with duckdb.connect(config={"async_threads": 0}) as own, pytest.raises(WriteConflict):
        append(own, "SELECT 1, 'y'", table, properties={})
    assert rows(lake) == [{"k": 5, "g": "other"}]
    assert len(data_files(lake)) == 1


def test_a_replaced_or_dropped_table_is_a_conflict(lake, connection, table):
    stale = lake.load(NAME)
    lake.drop_table(NAME)
    with pytest.raises(WriteConflict):
        append(connection, "SELECT 1, 'x'", stale, properties={})
    lake.create_table(NAME, SCHEMA)
    with pytest.raises(WriteConflict):
        append(connection, "SELECT 1, 'x'", stale, properties={})
    assert rows(lake) == []
    assert data_files(lake) == []


def after_commit_fails(times=1):
    """Make SQLAlchemy lose the answer of the next commits, after they were made."""
    left = [times]

    def lose(_session):
        if left[0]:
            left[0] -= 1
            raise ConnectionResetError("the connection was lost")

    event.listen(Session, "after_commit", lose)
    return lambda: event.remove(Session, "after_commit", lose)


@pytest.mark.parametrize("create", [False, True])
def test_a_lost_answer_is_found_out(lake, connection, create):
    if create:
        transaction = lake.begin_create(NAME, SCHEMA)
        target = transaction._table
    else:
        transaction, target = None, lake.create_table(NAME, SCHEMA)
    restore = after_commit_fails()
    try:
        written = append(connection, "SELECT 1, 'x'", target, properties={QUERY_ID: "q"}, create=transaction)
    finally:
        restore()
    assert rows(lake) == [{"k": 1, "g": "x"}]
    assert lake.load(NAME).current_snapshot().snapshot_id == written.snapshot_id


def test_a_commit_that_failed_before_it_was_made_leaves_nothing(lake, connection, table):
    def fail(_session):
        raise ConnectionResetError("the connection was lost")

    event.listen(Session, "before_commit", fail)
    try:
        with pytest.raises(Exception, match="nothing was written") as caught:
            append(connection, "SELECT 1, 'x'", table, properties={})
    finally:
        event.remove(Session, "before_commit", fail)
    assert type(caught.value).__module__ == "scoter.errors"
    assert rows(lake) == []
    assert data_files(lake) == []


def test_an_outcome_that_stays_unknown_keeps_the_files(lake, connection, table, monkeypatch):
    restore = after_commit_fails()
    load = type(table.catalog).load_table
    calls = []

    def unreachable(self, identifier):
        calls.append(identifier)
        if len(calls) > 1:
            raise ConnectionRefusedError("no answer")
        return load(self, identifier)

    monkeypatch.setattr(type(table.catalog), "load_table", unreachable)
    try:
        with pytest.raises(OutcomeUnknown):
            append(connection, "SELECT 1, 'x'", table, properties={})
    finally:
        restore()
        monkeypatch.undo()
    assert rows(lake) == [{"k": 1, "g": "x"}]


def test_a_killed_write_leaves_orphans_only(lake, connection, table, tmp_path):
    append(connection, "SELECT 1, 'x'", table, properties={})
    script = textwrap.dedent(
        f"""
        import duckdb
        from scoter import settings
        from scoter.catalog.lake import Lake
        from scoter.catalog.metastore import Metastore
        from scoter.catalog.names import TableName
        from scoter.engine.writing import append
        settled = settings.load({str(tmp_path)!r})
        lake = Lake(settled, Metastore.open(settled.metastore_url))
        table = lake.load(TableName("lake", "main", "t"))
        append(duckdb.connect(config={{"async_threads": 0}}), "SELECT i, md5(i::VARCHAR) FROM range(2000000000) t(i)", table, properties={{}})
        """
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[1], env=dict(os.environ)
    )
    try:
        deadline = time.monotonic() + 60
        while len(data_files(lake)) < 2 or max(p.stat().st_size for p in data_files(lake)) < 1_000_000:
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert rows(lake) == [{"k": 1, "g": "x"}]
    append(connection, "SELECT 2, 'x'", lake.load(NAME), properties={})
    assert len(rows(lake)) == 2


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


def test_large_writes_stream_into_files_of_many_row_groups(lake, table):
    with duckdb.connect(config={"memory_limit": "400MB", "threads": 2, "async_threads": 0}) as own:
        append(own, "SELECT 1, 'x'", table, properties={})
        before = psutil.Process().memory_info().rss
        written = append(
            own, "SELECT i, 'abc' || i % 5000 FROM range(5000000) t(i)", table.refresh(), properties={}
        )
        grown = psutil.Process().memory_info().rss - before
    assert written.rows == 5_000_000
    assert grown < 400_000_000
    largest = max(data_files(lake), key=lambda path: path.stat().st_size)
    metadata = pq.read_metadata(largest)
    assert metadata.row_group(0).num_rows == 122_880
    assert metadata.row_group(0).column(0).compression == "SNAPPY"
    assert lake.load(NAME).scan().count() == 5_000_001


@pytest.mark.parametrize(
    ("properties", "codec"),
    [
        ({"write.parquet.compression-codec": "zstd", "write.parquet.compression-level": "19"}, "ZSTD"),
        ({"write.parquet.compression-codec": "GZIP"}, "GZIP"),
        ({"write.parquet.compression-codec": "lz4"}, "LZ4"),
        ({"write.parquet.compression-codec": "none"}, "UNCOMPRESSED"),
        (None, "ZSTD"),
    ],
)
def test_a_table_names_the_codec_of_its_files(lake, connection, table, properties, codec):
    """A table of another engine that names none gets Iceberg's default."""
    with table.transaction() as transaction:
        if properties is None:
            transaction.remove_properties("write.parquet.compression-codec")
        else:
            transaction.set_properties(properties)
    append(connection, "SELECT 1, 'x'", lake.load(NAME), properties={})
    assert pq.read_metadata(data_files(lake)[0]).row_group(0).column(0).compression == codec
    assert rows(lake) == [{"k": 1, "g": "x"}]


@pytest.mark.parametrize(
    ("key", "value"), [("codec", "brotli"), ("codec", "x'); DROP"), ("level", "23"), ("level", "¹")]
)
def test_a_codec_that_can_not_be_written_is_refused(lake, connection, table, key, value):
    asked = {"write.parquet.compression-codec": "zstd", f"write.parquet.compression-{key}": value}
    table.transaction().set_properties(asked).commit_transaction()
    with pytest.raises(NotSupported, match=f"the table asks for the .*{key}"):
        append(connection, "SELECT 1, 'x'", lake.load(NAME), properties={})
    assert data_files(lake) == []


def test_the_codec_of_new_tables_is_a_setting(tmp_path):
    settled = settings.load(tmp_path, tables={"compression": "zstd"})
    metastore = Metastore.open(settled.metastore_url)
    lake = Lake(settled, metastore)
    properties = lake.create_table(NAME, SCHEMA).metadata.properties
    assert properties["write.parquet.compression-codec"] == "zstd"
    lake.close()
    metastore.close()


def test_files_are_closed_at_their_size(lake, connection, table, monkeypatch):
    monkeypatch.setattr(importlib.import_module("scoter.engine.writing.append"), "FILE_BYTES", 1_000_000)
    written = append(connection, "SELECT i, md5(i::VARCHAR) FROM range(1000000) t(i)", table, properties={})
    assert written.files > 3
    assert written.rows == lake.load(NAME).scan().count() == 1_000_000
    assert lake.load(NAME).scan(row_filter="k = 999999").to_arrow().num_rows == 1


def test_sorted_rows_give_row_groups_with_narrow_ranges(lake, connection, table):
    """Files keep no exact order, but a query sorted for pruning is not shuffled either."""
    append(connection, "SELECT i, 'x' FROM range(1000000) t(i) ORDER BY hash(i), i", table, properties={})
    append(connection, "SELECT i, 'x' FROM range(1000000) t(i) ORDER BY i", table.refresh(), properties={})
    widths = []
    for path in sorted(data_files(lake), key=lambda path: path.stat().st_mtime):
        metadata = pq.read_metadata(path)
        bounds = [metadata.row_group(g).column(0).statistics for g in range(metadata.num_row_groups)]
        widths.append(sum(bound.max - bound.min for bound in bounds))
    shuffled, ordered = widths
    assert ordered < 2_000_000 < shuffled
