"""A table's metadata tables: what they say is what its metadata says, and what pyiceberg says where it can."""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, write_positions
from foreign_cases import FOLDER, cases, path_map
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.transforms import MonthTransform, YearTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DecimalType, DoubleType, LongType
from scan_tables import add_file
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.avro import ROWS
from scoter.catalog.names import TableName
from scoter.catalog.principals import Principal, Role
from scoter.engine.metadata.tables import METADATA_TABLES

COMPARED = (
    "snapshots",
    "history",
    "refs",
    "entries",
    "files",
    "data_files",
    "delete_files",
    "all_files",
    "all_data_files",
    "all_delete_files",
    "manifests",
    "all_manifests",
    "partitions",
    "metadata_log_entries",
)
# pyiceberg does not open a table with a variant.
FOREIGN = {case.table: case for case in cases() if case.table != "trino_variant"}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[InProcess]:
    with opened(tmp_path) as engine:
        yield InProcess(engine)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, catalogs={"lake": {"path_map": path_map(list(FOREIGN.values()))}}) as engine:
        found = InProcess(engine)
        for case in FOREIGN.values():
            found.query(
                f"CALL system.register_table(table => '{case.table}', metadata_file => '{FOLDER / case.metadata}')"
            )
        yield found


def loaded(session: InProcess, name: str) -> Table:
    return session.engine.lake.load(TableName("lake", "main", name))


def plain(value: Any) -> Any:
    """Return a value so that what the two say in different types is equal."""
    match value:
        case dt.datetime():
            return value.replace(tzinfo=None)
        case float():
            return "NaN" if math.isnan(value) else value
        case dict():
            return {key: plain(part) for key, part in value.items()}
        case []:
            return None  # an empty map and none: it gives the one for the other in entries
        case [(_, _), *_]:
            return dict(value)
        case list():
            return [plain(part) for part in value]
    return value


def names(kind: pa.DataType | pa.Schema) -> dict[str, Any]:
    """Return the names of columns and of the fields inside."""
    fields = kind if isinstance(kind, pa.Schema) else list(kind) if pa.types.is_struct(kind) else []
    return {field.name: names(field.type) for field in fields}


def only(row: dict[str, Any], *known: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a row that both know."""
    shared = [name for name in row if all(name in one for one in known)]
    return {
        name: only(row[name], *inner) if all(inner := [one[name] for one in known]) else row[name]
        for name in shared
    }


def differences(session: InProcess, table: Table, name: str, kind: str) -> list[str]:
    """Return how a metadata table differs from pyiceberg's.

    pyiceberg's has a partition where there are no fields, and metrics of columns at the top alone.
    """
    theirs = getattr(table.inspect, kind)()
    ours = session.query(f'SELECT * FROM "{name}${kind}"')
    known = [names(theirs.schema), names(ours.schema)]
    found, wanted = (
        sorted(
            (only(plain(row), *known) for row in rows.to_pylist()), key=lambda row: repr(sorted(row.items()))
        )
        for rows in (ours, theirs)
    )
    if len(found) != len(wanted):
        return [f"{len(found)} rows instead of {len(wanted)}"]
    return [f"{a}\n{b}" for a, b in zip(found, wanted, strict=True) if a != b]


# Where pyiceberg's own fails: a table without a snapshot, files without metrics.
NOT_COMPARED = {
    "entries": {
        "iceberg_uppercase_col",
        "iceberg_v2_null_delete_record",
        "iceberg_v3_default_value_avro",
        "iceberg_partitioned_orc",
    },
    "partitions": {"iceberg_uppercase_col"},
}


@pytest.mark.skipif(not FOREIGN, reason="the tables of other engines are not beside this folder")
@pytest.mark.parametrize("kind", COMPARED)
def test_foreign_tables_are_told_of_as_by_pyiceberg(foreign: InProcess, kind: str) -> None:
    wrong = []
    for name in FOREIGN:
        if name not in NOT_COMPARED.get(kind, ()):
            found = differences(foreign, loaded(foreign, name), name, kind)
            wrong += [f"{name}: {text}" for text in found]
    assert not wrong, "\n".join(wrong[:3])


@pytest.mark.skipif(not FOREIGN, reason="the tables of other engines are not beside this folder")
@pytest.mark.parametrize("kind", sorted(METADATA_TABLES))
def test_every_metadata_table_of_foreign_tables_is_read(foreign: InProcess, kind: str) -> None:
    for name in FOREIGN:
        foreign.query(f'SELECT * FROM "{name}${kind}"')


@pytest.mark.skipif(not FOREIGN, reason="the tables of other engines are not beside this folder")
def test_rows_of_version_3_have_their_ids(foreign: InProcess) -> None:
    rows = foreign.rows("SELECT first_row_id, record_count FROM iceberg_v3_row_lineage.files ORDER BY ALL")
    assert rows == [(3, 3)]
    gone = "SELECT data_file.first_row_id FROM iceberg_v3_row_lineage.entries WHERE status = 2 ORDER BY ALL"
    assert foreign.rows(gone) == [(0,), (1,), (2,)]


def test_partitions_of_all_specs_are_united(session: InProcess) -> None:
    session.query("CREATE TABLE t (a INTEGER, b DATE) PARTITIONED BY (a)")
    session.query("INSERT INTO t VALUES (1, '2024-01-01')")
    with loaded(session, "t").update_spec() as update:
        update.add_field("b", MonthTransform(), "b_month")
        update.rename_field("a", "first")
    session.query("INSERT INTO t VALUES (2, '2024-02-02')")
    with loaded(session, "t").update_spec() as update:
        update.remove_field("b_month")
    with loaded(session, "t").update_spec() as update:
        update.add_field("b", YearTransform(), "b_month")
    session.query("INSERT INTO t VALUES (3, '2025-03-03')")
    # The second field of a name has its id behind it.
    found = session.query("SELECT partition FROM t.files ORDER BY spec_id").to_pylist()
    assert [row["partition"] for row in found] == [
        {"first": 1, "b_month": None, "b_month_1002": None},
        {"first": 2, "b_month": 649, "b_month_1002": None},
        {"first": 3, "b_month": None, "b_month_1002": 55},
    ]
    sums = session.rows("SELECT record_count, partition.b_month_1002 FROM t.partitions ORDER BY spec_id")
    assert sums == [(1, None), (1, None), (1, 55)]
    # The list says for each manifest what its own spec's fields hold.
    summaries = "SELECT partition_summaries[-1].lower_bound FROM t.manifests ORDER BY partition_spec_id"
    assert session.rows(summaries) == [("1",), ("2024-02",), ("2025",)]


def test_delete_files_are_counted_and_not_applied(session: InProcess, tmp_path: Path) -> None:
    session.query("CREATE TABLE t (a INTEGER)")
    session.query("INSERT INTO t VALUES (1), (2), (3)")
    table = loaded(session, "t")
    data = session.value("SELECT file_path FROM t.files")
    path = write_positions(tmp_path / "warehouse" / "deletes.parquet", [(data, 0), (data, 2)])
    commit_deletes(table, delete_file(table, path, 2))
    equal = tmp_path / "warehouse" / "equal.parquet"
    equal.write_bytes(path.read_bytes())
    commit_deletes(
        loaded(session, "t"),
        delete_file(table, equal, 5, DataFileContent.EQUALITY_DELETES, equality_ids=[1]),
    )
    assert session.rows("SELECT content, record_count, equality_ids FROM t.files ORDER BY content") == [
        (0, 3, None),
        (1, 2, None),
        (2, 5, [1]),
    ]
    assert session.rows("SELECT content FROM t.data_files") == [(0,)]
    assert session.rows("SELECT content FROM t.delete_files ORDER BY ALL") == [(1,), (2,)]
    assert session.rows("SELECT content FROM t.all_delete_files ORDER BY ALL") == [(1,), (2,)]
    ((*counts, _, _),) = session.rows("SELECT * FROM t.partitions")
    size = session.value("SELECT file_size_in_bytes FROM t.data_files")
    assert counts == [3, 1, size, 2, 1, 5, 1]
    manifests = (
        "SELECT content, added_data_files_count, added_delete_files_count FROM t.manifests ORDER BY ALL"
    )
    assert session.rows(manifests) == [(0, 1, 0), (1, 0, 1), (1, 0, 1)]
    for kind in ("files", "delete_files", "partitions", "manifests", "all_manifests"):
        assert not differences(session, loaded(session, "t"), "t", kind)


def test_what_is_gone_is_an_entry_and_no_file(session: InProcess) -> None:
    session.query("CREATE TABLE t (a INTEGER)")
    session.query("INSERT INTO t VALUES (1)")
    before = session.value("SELECT snapshot_id FROM t.snapshots")
    loaded(session, "t").delete("a = 1")
    assert session.rows("SELECT * FROM t.files") == []
    assert session.rows("SELECT status, snapshot_id = " + str(before) + " FROM t.entries") == [(2, False)]
    assert session.rows(f"SELECT record_count FROM t.files FOR VERSION AS OF {before}") == [(1,)]
    assert session.rows("SELECT record_count FROM t.all_files") == [(1,)]
    assert session.rows("SELECT record_count FROM t.partitions") == []
    assert sorted(session.rows("SELECT status FROM t.all_entries")) == [(1,), (2,)]


def test_a_snapshot_that_expired_leaves_its_history(session: InProcess) -> None:
    session.query("CREATE TABLE t (a INTEGER)")
    session.query("INSERT INTO t VALUES (1)")
    first = session.value("SELECT snapshot_id FROM t.snapshots")
    session.query("INSERT INTO t VALUES (2)")
    loaded(session, "t").maintenance.expire_snapshots().by_id(first).commit()
    # The file is still there, the snapshot that added it is not.
    assert session.value("SELECT count(*) FROM t.entries WHERE snapshot_id = " + str(first)) == 1
    assert session.value("SELECT count(*) FROM t.partitions WHERE last_updated_at IS NULL") == 0
    with pytest.raises(Refused, match="42704"):
        session.query(f"SELECT * FROM t.files FOR VERSION AS OF {first}")


@pytest.mark.parametrize("kind", ["manifests", "files", "entries", "partitions", "all_manifests"])
def test_a_damaged_metadata_file_is_named(session: InProcess, tmp_path: Path, kind: str) -> None:
    session.query("CREATE TABLE t (a INTEGER)")
    session.query("INSERT INTO t VALUES (1)")
    session.query("INSERT INTO t VALUES (1)")
    pattern = "snap-*.avro" if "manifests" in kind else "*-m0.avro"
    lost = sorted((tmp_path / "warehouse").rglob(pattern))
    for path in lost:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        Refused, match=r"\[XX001\] CORRUPT_DATA: (a manifest of the table|the manifest list of)"
    ):
        session.query(f"SELECT * FROM t.{kind}")
    with pytest.raises(Refused, match=r"\[XX001\] CORRUPT_DATA: the manifest(s| list) of snapshot"):
        session.query("SELECT * FROM t")
    for path in lost:
        path.unlink()
    with pytest.raises(Refused, match=r"can not be read.*missing or damaged") as refused:
        session.query(f"SELECT * FROM t.{kind}")
    assert str(tmp_path) not in str(refused.value)
    assert session.value("SELECT count(*) FROM t.snapshots") == 2


def test_a_bound_that_is_none_is_named(session: InProcess, tmp_path: Path) -> None:
    session.query("CREATE TABLE t (a INTEGER, b UUID)")
    table = loaded(session, "t")
    (tmp_path / "x").write_bytes(b"x")
    add_file(table, tmp_path / "x", 1, lower={1: b"abc", 2: b"\0" * 16})
    assert session.rows("SELECT lower_bounds FROM t.files") == [([(1, b"abc"), (2, b"\0" * 16)],)]
    with pytest.raises(Refused, match=r"XX001.*column a is no value of type int.*Hint: lower_bounds"):
        session.query("SELECT * FROM t.files")


def test_bounds_of_before_a_column_was_widened(session: InProcess, tmp_path: Path) -> None:
    session.query("CREATE TABLE t (a INTEGER, f FLOAT, d DECIMAL(4, 2))")
    table = loaded(session, "t")
    (tmp_path / "x").write_bytes(b"x")
    add_file(table, tmp_path / "x", 1, lower={1: b"\xff" * 4, 2: struct.pack("<f", 1.5), 3: b"\xff\x38"})
    with table.update_schema() as update:
        update.update_column("a", LongType())
        update.update_column("f", DoubleType())
        update.update_column("d", DecimalType(9, 2))
    add_file(table, tmp_path / "x", 1, lower={1: b"\1" + b"\0" * 7, 2: struct.pack("<d", 2.5), 3: b"\1"})
    found = "SELECT m.a.lower_bound, m.f.lower_bound, m.d.lower_bound FROM (SELECT readable_metrics AS m FROM t.files) ORDER BY 1"
    assert session.rows(found) == [(-1, 1.5, Decimal("-2.00")), (1, 2.5, Decimal("0.01"))]


def test_thousands_of_files_in_one_manifest(session: InProcess) -> None:
    session.query("CREATE TABLE t (a INTEGER, g INTEGER) PARTITIONED BY (g)")
    table, count = loaded(session, "t"), ROWS * 2 + 1
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for number in range(count):
            file = DataFile.from_args(
                content=DataFileContent.DATA,
                file_path=f"file:///nowhere/{number}.parquet",
                file_format=FileFormat.PARQUET,
                partition=Record(number % 3),
                record_count=number,
                file_size_in_bytes=1,
                lower_bounds={1: struct.pack("<i", number)},
                upper_bounds={},
            )
            file.spec_id = table.spec().spec_id
            append.append_data_file(file)
    assert session.rows(
        "SELECT count(*), sum(record_count)::BIGINT, max(readable_metrics.a.lower_bound), count(DISTINCT file_path) FROM t.files"
    ) == [(count, count * (count - 1) // 2, count - 1, count)]
    assert session.rows("SELECT file_count FROM t.partitions ORDER BY 1 LIMIT 1") == [(count // 3,)]
    # Ended early, and read twice at the same time.
    assert len(session.rows("SELECT file_path FROM t.files LIMIT 3")) == 3
    twice = "WITH f AS NOT MATERIALIZED (FROM t.files) SELECT count(*) FROM f a JOIN f b USING (file_path)"
    assert session.value(twice) == count


def test_a_reader_may_look_and_paths_are_those_of_the_metadata(session: InProcess, tmp_path: Path) -> None:
    session.query("CREATE TABLE t (a INTEGER)")
    session.query("INSERT INTO t VALUES (1)")
    reader = InProcess(session.engine, Principal("r", Role.READER))
    (path,) = (tmp_path / "warehouse").rglob("*.parquet")
    assert reader.rows("SELECT file_path FROM t.files") == [(f"file://{path}",)]


def test_what_a_statement_does_not_use_is_not_made(session: InProcess) -> None:
    session.query("CREATE TABLE t (a INTEGER, b VARCHAR)")
    session.query("INSERT INTO t VALUES (1, 'x')")
    plan = session.engine.plan("SELECT file_path FROM t.files WHERE record_count > 0", session.context)
    ((_, source),) = plan.virtual
    assert [name for name, _ in source.columns] == ["file_path", "record_count"]
