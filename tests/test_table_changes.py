"""Rows that snapshots added: never rows of a part of what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, write_positions
from foreign_cases import FOLDER, cases, path_map
from pyiceberg.table import Table
from pyiceberg.types import LongType
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName

COMPACTED = [case for case in cases() if case.table == "iceberg_v3_row_lineage"]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[InProcess]:
    with opened(tmp_path) as engine:
        found = InProcess(engine)
        found.query("CREATE TABLE t (a INTEGER, b VARCHAR)")
        yield found


def loaded(session: InProcess) -> Table:
    return session.engine.lake.load(TableName("lake", "main", "t"))


def insert(session: InProcess, values: str) -> int:
    """Add rows; return the snapshot."""
    session.query(f"INSERT INTO t VALUES {values}")
    return loaded(session).current_snapshot().snapshot_id


def test_removed_rows_are_an_error_that_names_the_snapshot(session: InProcess) -> None:
    first = insert(session, "(1, 'x'), (2, 'y')")
    loaded(session).delete("a = 1")
    gone = loaded(session).current_snapshot().snapshot_id
    last = insert(session, "(3, 'z')")
    for range_ in ("NULL", str(first), f"{first}, {gone}", f"NULL, {last}"):
        with pytest.raises(Refused, match=rf"\[0A000\].*snapshot {gone} of t .*removed rows"):
            session.query(f"SELECT * FROM table_changes('t', {range_})")
    assert session.rows(f"SELECT a FROM table_changes('t', {gone})") == [(3,)]
    assert session.rows(f"SELECT a FROM table_changes('t', NULL, {first}) ORDER BY a") == [(1,), (2,)]


def test_an_overwrite_is_an_error(session: InProcess) -> None:
    insert(session, "(1, 'x')")
    loaded(session).overwrite(pa.table({"a": pa.array([5], pa.int32()), "b": ["q"]}))
    with pytest.raises(Refused, match=r"\[0A000\].*removed rows"):
        session.query("SELECT * FROM table_changes('t', NULL)")


def test_delete_files_of_what_says_that_it_appends_are_an_error(session: InProcess, tmp_path: Path) -> None:
    first = insert(session, "(1, 'x'), (2, 'y')")
    path = write_positions(
        tmp_path / "warehouse" / "deletes.parquet", [(session.value("SELECT file_path FROM t.files"), 0)]
    )
    commit_deletes(loaded(session), delete_file(loaded(session), path, 1))
    operation = session.rows("SELECT operation FROM t.snapshots")
    assert operation == [("append",), ("append",)]
    with pytest.raises(Refused, match=r"\[0A000\].*removed rows"):
        session.query(f"SELECT * FROM table_changes('t', {first})")


def test_an_expired_snapshot_of_the_range_is_an_error(session: InProcess) -> None:
    first = insert(session, "(1, 'x')")
    second = insert(session, "(2, 'y')")
    insert(session, "(3, 'z')")
    loaded(session).maintenance.expire_snapshots().by_id(first).commit()
    for begin in ("NULL", "'2000-01-01'"):
        with pytest.raises(Refused, match=rf"\[42704\].*before snapshot {second} of t.*has expired"):
            session.query(f"SELECT * FROM table_changes('t', {begin})")
    with pytest.raises(Refused, match=r"\[42704\]"):
        session.query(f"SELECT * FROM table_changes('t', {first})")
    assert session.rows(f"SELECT a FROM table_changes('t', {second})") == [(3,)]


def test_rows_are_read_under_the_schema_of_the_end(session: InProcess) -> None:
    first = insert(session, "(1, 'x')")
    with loaded(session).update_schema() as update:
        update.rename_column("b", "c")
        update.update_column("a", LongType())
        update.add_column("d", LongType())
    session.query("INSERT INTO t VALUES (2, 'y', 7)")
    found = (
        "SELECT * EXCLUDE (_commit_snapshot_id, _commit_timestamp) FROM table_changes('t', NULL{}) ORDER BY a"
    )
    table = session.query(found.format(""))
    assert table.column_names == ["a", "c", "d", "_change_type", "_change_ordinal"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (1, "x", None, "insert", 0),
        (2, "y", 7, "insert", 1),
    ]
    assert session.query(found.format(f", {first}")).column_names[:2] == ["a", "b"]


def test_a_snapshot_that_is_no_ancestor_is_an_error(session: InProcess) -> None:
    first = insert(session, "(1, 'x')")
    aside = insert(session, "(2, 'y')")
    loaded(session).manage_snapshots().set_current_snapshot(snapshot_id=first).commit()
    last = insert(session, "(3, 'z')")
    assert session.rows(f"SELECT a FROM table_changes('t', {first})") == [(3,)]
    with pytest.raises(Refused, match=rf"snapshot {aside} of t is not one of those that led to {last}"):
        session.query(f"SELECT * FROM table_changes('t', {aside})")


def test_tags_and_branches_are_ends(session: InProcess) -> None:
    first = insert(session, "(1, 'x')")
    loaded(session).manage_snapshots().create_tag(first, "day").commit()
    insert(session, "(2, 'y')")
    assert session.rows("SELECT a FROM table_changes('t', 'day')") == [(2,)]
    assert session.rows("SELECT a FROM table_changes('t', NULL, 'day')") == [(1,)]


def test_files_that_can_not_match_are_not_read_and_the_plan_says_so(session: InProcess) -> None:
    first = insert(session, "(1, 'x')")
    insert(session, "(2, 'y')")
    insert(session, "(30, 'z')")
    sql = f"SELECT a, b FROM table_changes('t', {first}) WHERE a > 10 AND _change_ordinal < 5"
    assert session.rows(sql) == [(30, "z")]
    (told,) = [text for key, text in session.rows(f"EXPLAIN {sql}") if key == "tables"]
    assert "files 0 of 1" in told
    assert "files 1 of 1" in told


def test_what_was_planned_stays_what_it_was(session: InProcess) -> None:
    insert(session, "(1, 'x')")
    sql = "SELECT count(*) FROM table_changes('t', NULL)"
    plan = session.engine.plan(sql, session.context)
    insert(session, "(2, 'y')")
    again = session.engine.plan(sql, session.context, plan.pins)
    result = session.engine.run(again, session.context)
    assert [batch.to_pylist() for batch in result] == [[{"count_star()": 1}]]
    assert session.value(sql) == 2


@pytest.mark.skipif(not COMPACTED, reason="the tables of other engines are not beside this folder")
def test_a_compaction_adds_no_rows(tmp_path: Path) -> None:
    with opened(tmp_path, catalogs={"lake": {"path_map": path_map(COMPACTED)}}) as engine:
        session = InProcess(engine)
        place = FOLDER / COMPACTED[0].metadata
        session.query(f"CALL system.register_table(table => 't', metadata_file => '{place}')")
        operations = session.rows("SELECT operation FROM t.snapshots ORDER BY committed_at")
        assert operations == [("append",)] * 3 + [("replace",)]
        rows = session.rows("SELECT i, _change_ordinal, _row_id FROM table_changes('t', NULL) ORDER BY i")
        assert rows == [(1, 0, 0), (2, 1, 1), (3, 2, 2)]
