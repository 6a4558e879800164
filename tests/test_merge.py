"""MERGE beyond its SQL: what it commits and leaves, who may, conflicts, limits, how often models run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, write_positions
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform, VoidTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType
from sessions import InProcess, bound, opened
from slt import Refused

from scoter.catalog.names import TableName
from scoter.catalog.principals import Principal, Role
from scoter.engine.cancellation import Cancellation
from scoter.engine.service import Engine
from scoter.errors import Cancelled, DiskFull, WriteConflict

NAME = TableName("lake", "main", "t")
SCHEMA = Schema(NestedField(1, "k", LongType()), NestedField(2, "g", StringType()))
BY_G = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "g"))
UPSERT = (
    "MERGE INTO t USING (VALUES (1, 'x'), (90, 'y')) AS s (k, g) ON t.k = s.k "
    "WHEN MATCHED THEN UPDATE SET g = s.g WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.g)"
)


def table(session: InProcess, spec: PartitionSpec | None = None, **properties: str) -> Table:
    """A table of three files with ten rows each."""
    lake = session.engine.lake
    seed = lake.create_table(TableName("lake", "main", "seed"), SCHEMA)
    # Our own tables are of format version 2.
    made = seed.catalog.create_table(
        ("main", "t"), SCHEMA, partition_spec=spec or PartitionSpec(), properties=properties
    )
    session.update("DROP TABLE seed")
    for start, name in ((0, "a"), (10, "b"), (20, "c")):
        made.append(pa.table({"k": pa.array(range(start, start + 10), pa.int64()), "g": [name] * 10}))
    return made


def files(made: Table) -> dict[str, int]:
    """Return the data files with their rows."""
    tasks = made.refresh().scan().plan_files()
    return {task.file.file_path: task.file.record_count for task in tasks}


def on_disk(session: InProcess) -> set[Path]:
    """Return every data file and manifest of the table, committed or not."""
    places = [Path(directory) for directory in session.engine.lake.directories()]
    return {path for place in places for kind in ("parquet", "avro") for path in place.rglob(f"*.{kind}")}


def rows(made: Table) -> list[tuple[Any, ...]]:
    """Return the rows as pyiceberg reads them."""
    found = made.refresh().scan().to_arrow()
    return sorted(
        zip(*(column.to_pylist() for column in found.columns), strict=True),
        key=lambda row: (row[0] is None, row),
    )


def logged(session: InProcess) -> dict[str, Any]:
    """Return the last line of the log."""
    return json.loads((session.engine.settings.directory / "log.jsonl").read_text().splitlines()[-1])


def test_only_files_with_changes_are_written_anew(session: InProcess) -> None:
    made = table(session)
    before = files(made)
    assert session.update(UPSERT) == 2
    after = files(made)
    assert len(set(before) & set(after)) == 2
    assert sorted(after.values()) == [10, 10, 11]
    assert rows(made) == sorted([(k, "x" if k == 1 else "abc"[k // 10]) for k in range(30)] + [(90, "y")])
    summary = made.current_snapshot().summary
    assert summary.operation.value == "overwrite"
    assert {key: summary[key] for key in ("added-records", "deleted-records", "total-records")} == {
        "added-records": "11",
        "deleted-records": "10",
        "total-records": "31",
    }
    assert (summary["added-data-files"], summary["deleted-data-files"], summary["total-data-files"]) == (
        "1",
        "1",
        "3",
    )
    assert summary["scoter.query-id"] == logged(session)["query_id"]


def test_files_that_go_or_stay_whole(session: InProcess) -> None:
    made = table(session)
    before = files(made)
    assert session.update("DELETE FROM t WHERE k < 10") == 10
    assert set(files(made)) < set(before)
    assert made.current_snapshot().summary.operation.value == "delete"
    assert session.update("UPDATE t SET g = 'z' WHERE k = 15 OR k > 100") == 1
    assert len(set(files(made)) & set(before)) == 1
    assert session.rows("SELECT g, count(*) FROM t GROUP BY g ORDER BY g") == [("b", 9), ("c", 10), ("z", 1)]


def test_values_of_every_type_are_carried_over(session: InProcess) -> None:
    session.update(
        "CREATE TABLE every (id INTEGER, u UUID, b BLOB, t TIME, ts TIMESTAMP, tz TIMESTAMPTZ, d DECIMAL(38, 10), "
        "f FLOAT, l INTEGER[], m MAP(VARCHAR, DATE), s STRUCT(a BOOLEAN, n STRUCT(x DOUBLE))) PARTITIONED BY (day(ts))"
    )
    session.update(
        "INSERT INTO every SELECT i, uuid(), 'a'::BLOB, '01:02:03.000004', TIMESTAMP '1969-12-31 23:59:59.999999' "
        "+ i * INTERVAL 1 DAY, '9999-12-31 00:00:00+00', '1234567890123456789012345678.0123456789', 'nan', "
        "[i, NULL], MAP {'a': NULL}, {'a': NULL, 'n': {'x': 0.1}} FROM range(9) AS r(i)"
    )
    session.update("INSERT INTO every (id) VALUES (100), (101)")
    before = str(session.rows("SELECT * EXCLUDE (id) FROM every ORDER BY id"))
    assert session.update("UPDATE every SET id = id + 1000 WHERE id % 2 = 0") == 6
    assert str(session.rows("SELECT * EXCLUDE (id) FROM every ORDER BY id % 1000")) == before
    sql = "MERGE INTO every AS t USING every AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = s.id, s = s.s, m = s.m, u = s.u"
    assert session.update(sql) == 11
    assert str(session.rows("SELECT * EXCLUDE (id) FROM every ORDER BY id % 1000")) == before


def test_older_snapshots_are_as_they_were(session: InProcess) -> None:
    made = table(session)
    old = made.current_snapshot().snapshot_id
    session.update("MERGE INTO t USING (SELECT 1 AS x) AS s ON false WHEN NOT MATCHED BY SOURCE THEN DELETE")
    assert rows(made) == []
    assert session.value("SELECT count(*) FROM t") == 0
    assert session.value(f"SELECT count(*) FROM t FOR VERSION AS OF {old}") == 30


@pytest.mark.parametrize("version", ["1", "2"])
def test_format_versions(session: InProcess, version: str) -> None:
    made = table(session, BY_G, **{"format-version": version})
    assert made.metadata.format_version == int(version)
    before = set(files(made))
    assert session.update(UPSERT) == 2
    assert len(before & set(files(made))) == 2
    assert session.rows("SELECT k, g FROM t WHERE g IN ('x', 'y') ORDER BY k") == [(1, "x"), (90, "y")]
    assert len(rows(made)) == 31
    # What was written anew can be merged again, with entries that were carried over.
    assert (
        session.update(
            "MERGE INTO t USING range(30) AS r (i) ON k = i AND i % 10 = 5 WHEN MATCHED THEN DELETE"
        )
        == 3
    )
    assert len(rows(made)) == 28


def test_format_version_three_is_refused(session: InProcess) -> None:
    made = table(session)
    written = Path(made.metadata_location.removeprefix("file://"))
    newer = json.loads(written.read_text()) | {"format-version": 3, "next-row-id": 0}
    place = written.with_name("00009-newer.metadata.json")
    place.write_text(json.dumps(newer))
    session.update(f"CALL system.register_table(table => 'newer', metadata_file => '{place}')")
    assert session.value("SELECT count(*) FROM newer") == 30
    with pytest.raises(Refused, match=r"0A000.*format 3"):
        session.update(UPSERT.replace("INTO t", "INTO newer AS t"))


def test_rows_deleted_before_stay_deleted(session: InProcess) -> None:
    made = table(session)
    (path,) = [name for name in files(made) if 1 in keys_of(session, name)]
    place = Path(made.location().removeprefix("file://")) / "p.parquet"
    commit_deletes(made, delete_file(made, write_positions(place, [(path, 2), (path, 3)]), 2))
    assert session.value("SELECT count(*) FROM t") == 28
    assert session.update(UPSERT) == 2
    found = [k for k, _ in rows(made)]
    assert found == [k for k in range(30) if k not in (2, 3)] + [90]
    assert session.value("SELECT count(*) FROM t") == 29
    # A row that is not there any more is not matched.
    assert (
        session.update("MERGE INTO t USING (SELECT 2 AS k) AS s ON t.k = s.k WHEN MATCHED THEN DELETE") == 0
    )


def test_a_table_that_has_a_file_twice(session: InProcess) -> None:
    made = table(session)
    (first, *_) = partitions(made)
    with made.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        append.append_data_file(first)
    assert session.value("SELECT count(*) FROM t") == 40
    for sql in ("DELETE FROM t", "UPDATE t SET g = 'x'", f"DELETE FROM t WHERE _file = '{first.file_path}'"):
        with pytest.raises(Refused, match=r"XX001.*twice"):
            session.update(sql)
    assert session.value("SELECT count(*) FROM t") == 40


def keys_of(session: InProcess, path: str) -> list[int]:
    return [k for (k,) in session.rows("SELECT k FROM t WHERE _file = ?", path)]


def test_files_of_older_columns_and_partitions(session: InProcess) -> None:
    made = table(session, BY_G)
    with made.update_schema() as update:
        update.add_column("n", IntegerType())
        update.rename_column("g", "h")
    with made.update_spec() as update:
        update.remove_field("g")
        update.add_identity("k")
    made.append(pa.table({"k": pa.array([50], pa.int64()), "h": ["d"], "n": pa.array([5], pa.int32())}))
    before = set(files(made))
    sql = "MERGE INTO t USING (VALUES (1), (50)) AS s (k) ON t.k = s.k WHEN MATCHED THEN UPDATE SET n = coalesce(n, 0) + 1"
    assert session.update(sql) == 2
    assert len(before & set(files(made))) == 2
    assert session.rows("SELECT k, h, n FROM t WHERE n IS NOT NULL ORDER BY k") == [(1, "a", 1), (50, "d", 6)]
    assert len(rows(made)) == 31
    specs = {task.file.spec_id for task in made.refresh().scan().plan_files()}
    assert specs == {0, made.spec().spec_id}
    assert session.value("SELECT count(*) FROM t WHERE k = 7 AND h = 'a'") == 1


def test_partitions_whose_column_is_gone(session: InProcess) -> None:
    made = table(session, BY_G)
    made.append(pa.table({"k": pa.array([60, 61], pa.int64()), "g": ["e", "f"]}))
    with made.update_spec() as update:
        update.remove_field("g")
    with made.update_schema() as update:
        update.delete_column("g")
    assert (
        session.update("MERGE INTO t USING (VALUES (1), (60)) AS s (k) ON t.k = s.k WHEN MATCHED THEN DELETE")
        == 2
    )
    assert session.value("SELECT count(*) FROM t") == 30
    assert len(rows(made)) == 30
    old = {next(iter(f.partition)) for f in partitions(made) if f.spec_id == 0}
    assert old == {"b", "c", "f"}


def test_a_field_that_format_version_one_keeps(session: InProcess) -> None:
    """A partition field that was taken out is void there, and stays when its column goes."""
    made = table(session, BY_G, **{"format-version": "1"})
    with made.update_spec() as update:
        update.remove_field("g")
    with made.update_schema() as update:
        update.delete_column("g")
    assert session.update("INSERT INTO t VALUES (60)") == 1
    assert session.update("UPDATE t SET k = k + 100 WHERE k IN (1, 60)") == 2
    assert session.update("DELETE FROM t WHERE k IN (2, 160)") == 2
    assert rows(made) == [(k,) for k in (0, *range(3, 30), 101)]
    assert session.value("SELECT count(*) FROM t") == 29
    (spec,) = [spec for spec in made.specs().values() if spec.spec_id == 1]
    assert spec.fields[0].transform == VoidTransform()
    with made.transaction() as transaction:
        transaction.upgrade_table_version(2)
    assert session.update("DELETE FROM t WHERE k < 5") == 3
    assert rows(made) == [(k,) for k in (*range(5, 30), 101)]


def partitions(made: Table) -> list[Any]:
    return [task.file for task in made.refresh().scan().plan_files()]


@pytest.mark.parametrize(
    "sql", [UPSERT, "UPDATE t SET g = 'x' WHERE k = 1", "DELETE FROM t WHERE k = 1", "DELETE FROM t"]
)
def test_another_writer_comes_first(session: InProcess, sql: str) -> None:
    made = table(session)
    plan = session.engine.plan(sql, session.context)
    session.update("INSERT INTO t VALUES (100, 'late')")
    before = on_disk(session)
    with pytest.raises(WriteConflict, match="another writer"):
        session.engine.run(plan, session.context)
    assert on_disk(session) == before
    assert len(rows(made)) == 31
    assert session.update(sql) > 0


def test_another_writer_comes_while_rows_are_written(
    session: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = table(session)
    other = InProcess(session.engine)

    def late(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        other.update("INSERT INTO t VALUES (100, 'late')")

    monkeypatch.setattr(import_module("scoter.engine.writing.append"), "check_required", late)
    with pytest.raises(Refused, match="40001"):
        session.update(UPSERT)
    assert len(rows(made)) == 31
    assert session.value("SELECT count(*) FROM t WHERE g IN ('x', 'y')") == 0


def before_the_commit(session: InProcess, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """Let another session run a statement once, right before the next commit of a table is sent."""
    other = InProcess(session.engine)
    commit = Table._do_commit

    def late(*given: Any, **named: Any) -> None:
        monkeypatch.undo()
        other.update(sql)
        commit(*given, **named)

    monkeypatch.setattr(Table, "_do_commit", late)


def test_another_writer_comes_between_the_look_and_the_commit(
    session: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyiceberg tries a commit again on what is there by then: that must not lose the other writer's rows."""
    made = table(session)
    before_the_commit(session, monkeypatch, "INSERT INTO t VALUES (100, 'late')")
    with pytest.raises(Refused, match="40001"):
        session.update(UPSERT)
    assert len(rows(made)) == 31
    assert session.value("SELECT count(*) FROM t WHERE k = 100") == 1
    left = {path for path in on_disk(session) if path.suffix == ".parquet"}
    assert {str(path) for path in left} == {name.removeprefix("file://") for name in files(made)}


def test_a_change_that_touches_no_row_is_no_conflict(
    session: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = table(session)
    before_the_commit(session, monkeypatch, "COMMENT ON TABLE t IS 'told meanwhile'")
    assert session.update(UPSERT) == 2
    assert len(rows(made)) == 31
    assert made.properties["comment"] == "told meanwhile"


def test_a_table_that_was_made_again(session: InProcess) -> None:
    table(session)
    plan = session.engine.plan(UPSERT, session.context)
    session.update("DROP TABLE t")
    table(session)
    with pytest.raises(WriteConflict, match="replaced"):
        session.engine.run(plan, session.context)


@pytest.mark.parametrize(
    "sql",
    [
        "MERGE INTO t USING (VALUES (1), (1)) AS s (k) ON t.k = s.k WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING (VALUES (1)) AS s (k) ON t.k = s.k WHEN MATCHED THEN UPDATE SET k = 'x'",
        "MERGE INTO t USING (VALUES (1)) AS s (k) ON t.k = s.k WHEN MATCHED AND error('no') = 1 THEN DELETE",
        "MERGE INTO need USING (VALUES (1)) AS s (k) ON need.k = s.k WHEN NOT MATCHED THEN INSERT VALUES (NULL)",
    ],
)
def test_a_failure_leaves_nothing(session: InProcess, sql: str) -> None:
    made = table(session)
    session.update("CREATE TABLE need (k INTEGER NOT NULL)")
    before, seen = on_disk(session), rows(made)
    with pytest.raises(Refused):
        session.update(sql)
    assert on_disk(session) == before
    assert rows(made) == seen
    assert temporary(session.engine) == []


def temporary(engine: Engine) -> list[Any]:
    """Return the tables that statements have left in the idle instances."""
    found = [
        i.connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        for i in engine.instances._idle
    ]
    return [row for tables in found for row in tables]


def test_a_statement_leaves_no_temporary_table(session: InProcess) -> None:
    table(session)
    for _ in range(2):
        assert session.update(UPSERT) == 2
        assert temporary(session.engine) == []
        assert (
            session.update("MERGE INTO t USING (VALUES (90)) AS s (k) ON t.k = s.k WHEN MATCHED THEN DELETE")
            == 1
        )


def test_a_cancelled_statement_changes_nothing(session: InProcess) -> None:
    made = table(session)
    before = on_disk(session)
    cancellation = Cancellation()
    plan = session.engine.plan(UPSERT, session.context)
    cancellation.cancel()
    with pytest.raises(Cancelled):
        session.engine.run(plan, session.context, cancellation=cancellation)
    assert on_disk(session) == before
    assert len(rows(made)) == 30
    assert temporary(session.engine) == []


def test_who_may(session: InProcess) -> None:
    table(session)
    reader = InProcess(session.engine, Principal("reader", Role.READER))
    with pytest.raises(Refused, match="MERGE needs the role writer"):
        reader.update(UPSERT)
    with pytest.raises(Refused, match="needs the role writer"):
        reader.query(f"EXPLAIN {UPSERT}")
    writer = InProcess(session.engine, Principal("writer", Role.WRITER))
    assert writer.update(UPSERT) == 2


def test_parameters_have_the_types_of_what_they_are_compared_with_or_written_to(session: InProcess) -> None:
    made = table(session)
    sql = (
        "MERGE INTO t USING (SELECT ? AS k, ? AS g) AS s ON t.k = s.k AND t.k > ? "
        "WHEN MATCHED THEN UPDATE SET g = s.g, k = t.k + ? WHEN NOT MATCHED THEN INSERT (k, g) VALUES (s.k, ?)"
    )
    plan = session.engine.plan(sql, session.context)
    assert plan.parameters.types == [pa.int64(), pa.string(), pa.int64(), pa.int64(), pa.string()]
    assert session.update(sql, bound(1, "one", 0, 0, "never")) == 1
    assert session.update(sql, bound(200, "two", 0, 0, "new")) == 1
    assert session.rows("SELECT * FROM t WHERE k IN (1, 200) ORDER BY k") == [(1, "one"), (200, "new")]
    assert len(rows(made)) == 31
    with pytest.raises(Refused, match="07001"):
        session.update(sql, bound(1))
    many = pa.record_batch({str(n): [1, 2] if n in (1, 3, 4) else ["a", "b"] for n in range(1, 6)})
    with pytest.raises(Refused, match="the statement takes one"):
        session.update(sql, many)


@pytest.mark.parametrize("join", ["", " AND s.p > 20"])
@pytest.mark.parametrize("inserts", ["", " WHEN NOT MATCHED THEN INSERT (k) VALUES (s.id)"])
@pytest.mark.parametrize("deletes", ["", " WHEN NOT MATCHED BY SOURCE THEN DELETE"])
def test_models_of_the_source_run_once_for_each_row(
    session: InProcess, model_files: Path, join: str, inserts: str, deletes: str
) -> None:
    table(session)
    session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
    session.update("CREATE TABLE c AS SELECT i AS id, i % 7 AS a, i % 5 AS b FROM range(25) AS r(i)")
    session.update(
        "MERGE INTO t USING (SELECT id, PREDICT('pair', a, b) AS p FROM c) AS s ON t.k = s.id"
        f"{join} WHEN MATCHED AND s.p <> 30 THEN UPDATE SET g = s.p WHEN MATCHED THEN DELETE{inserts}{deletes}"
    )
    assert logged(session)["rows_scored"] == 25
    assert logged(session)["action"] == "MERGE"


def test_models_in_conditions_run_for_rows_that_reach_them(session: InProcess, model_files: Path) -> None:
    table(session)
    session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
    session.update(
        "MERGE INTO t USING range(0, 60) AS r (i) ON k = i "
        "WHEN MATCHED AND i >= 20 THEN DELETE WHEN MATCHED AND PREDICT('pair', i, 0) < 5 THEN UPDATE SET g = 'low'"
    )
    assert logged(session)["rows_scored"] == 20
    assert session.value("SELECT count(*) FROM t WHERE g = 'low'") == 5
    summary = session.engine.lake.load(NAME).current_snapshot().summary
    assert (summary["scoter.model"], summary["scoter.model-version"]) == ("main.pair", "1")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[InProcess]:
    """A session with little memory and little room on disk."""
    query = {"statement_memory": 64 * 1024 * 1024, "temp_bytes": 16 * 1024 * 1024}
    with opened(tmp_path / "lake", query=query) as engine:
        yield InProcess(engine)


def test_rows_that_are_found_have_no_more_room_than_others(small: InProcess) -> None:
    small.update("CREATE TABLE t (k BIGINT, g VARCHAR)")
    sql = (
        "MERGE INTO t USING (SELECT i, repeat(md5(i::VARCHAR), 20) AS g FROM range(1000000) AS r (i)) AS s ON k = i "
        "WHEN NOT MATCHED THEN INSERT VALUES (i, g)"
    )
    plan = small.engine.plan(sql, small.context)
    with pytest.raises(DiskFull, match="temporary space"):
        small.engine.run(plan, small.context)
    assert small.value("SELECT count(*) FROM t") == 0
    assert small.update(sql.replace("1000000", "1000")) == 1000
