"""Hidden columns of rows: the file, the place in it, and what format version 3 keeps of a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, write_positions
from foreign_cases import FOLDER, cases, path_map
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import Table
from scan_tables import write_parquet
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName

FOREIGN = [case for case in cases() if case.table == "iceberg_v3_row_lineage"]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[InProcess]:
    with opened(tmp_path) as engine:
        yield InProcess(engine)


def loaded(session: InProcess, name: str = "t") -> Table:
    return session.engine.lake.load(TableName("lake", "main", name))


def test_places_are_those_of_the_file_where_rows_were_deleted(session: InProcess, tmp_path: Path) -> None:
    session.query("CREATE TABLE t (a INTEGER)")
    session.query("INSERT INTO t SELECT unnest(range(10))")
    session.query("INSERT INTO t SELECT unnest(range(10, 20))")
    first, second = (
        path
        for (path,) in session.rows("SELECT DISTINCT _file FROM t ORDER BY min(a) OVER (PARTITION BY _file)")
    )
    path = write_positions(tmp_path / "warehouse" / "deletes.parquet", [(first, 0), (first, 5), (second, 9)])
    commit_deletes(loaded(session), delete_file(loaded(session), path, 3))
    rows = session.rows("SELECT a, _file, _pos FROM t ORDER BY a")
    assert rows == [(n, first if n < 10 else second, n % 10) for n in range(20) if n not in (0, 5, 19)]
    # With values that delete too.
    gone = write_parquet(
        tmp_path / "warehouse" / "equal.parquet", pa.table({"a": pa.array([1, 12], pa.int32())}), {"a": 1}
    )
    commit_deletes(
        loaded(session),
        delete_file(loaded(session), gone, 2, DataFileContent.EQUALITY_DELETES, equality_ids=[1]),
    )
    session.query("INSERT INTO t VALUES (1)")
    rows = session.rows("SELECT a, _pos FROM t WHERE _file <> '' ORDER BY a")
    assert rows == [(1, 0), *((n, n % 10) for n in range(20) if n not in (0, 1, 5, 12, 19))]
    assert session.rows("SELECT _pos FROM t WHERE a = 18 AND _file = ?", second) == [(8,)]


def test_columns_that_changed_since_are_read_beside_them(session: InProcess) -> None:
    session.query("CREATE TABLE t (a INTEGER, s STRUCT(x INTEGER))")
    session.query("INSERT INTO t VALUES (1, {x: 1})")
    with loaded(session).update_schema() as update:
        update.rename_column("a", "b")
        update.rename_column("s.x", "y")
    session.query("INSERT INTO t VALUES (2, {y: 2})")
    rows = session.rows(
        "SELECT b, s.y, _pos, _file = (SELECT max(_file) FROM t WHERE b = 1) FROM t ORDER BY b"
    )
    assert rows == [(1, 1, 0, True), (2, 2, 0, False)]


def test_a_column_that_hides_the_numbers_of_rows_is_an_error(session: InProcess) -> None:
    session.query("CREATE TABLE t (file_row_number INTEGER)")
    session.query("INSERT INTO t VALUES (1)")
    with pytest.raises(Refused, match=r"\[0A000\].*file_row_number"):
        session.query("SELECT _pos FROM t")


@pytest.mark.skipif(not FOREIGN, reason="the tables of other engines are not beside this folder")
def test_rows_of_version_3_keep_their_ids(tmp_path: Path) -> None:
    with opened(tmp_path, catalogs={"lake": {"path_map": path_map(FOREIGN)}}) as engine:
        session = InProcess(engine)
        place = FOLDER / FOREIGN[0].metadata
        session.query(f"CALL system.register_table(table => 't', metadata_file => '{place}')")
        every = "SELECT i, _row_id, _last_updated_sequence_number FROM t{} ORDER BY i"
        # The newest snapshot's one file was written anew and holds them; before, files hand them out.
        assert session.rows(every.format("")) == [(1, 0, 1), (2, 1, 2), (3, 2, 3)]
        for count, (snapshot,) in enumerate(
            session.rows(
                "SELECT snapshot_id FROM t.snapshots WHERE operation = 'append' ORDER BY committed_at"
            ),
            1,
        ):
            rows = session.rows(every.format(f" FOR VERSION AS OF {snapshot}"))
            assert rows == [(n, n - 1, n) for n in range(1, count + 1)]
        assert session.query("SELECT * FROM t").column_names == ["i"]
        # The path is the metadata's, not that of where it is read from.
        assert session.rows("SELECT DISTINCT _file FROM t") == session.rows("SELECT file_path FROM t.files")
