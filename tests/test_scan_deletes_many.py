"""Many files with deletes, many delete files: the same rows, one SELECT, and memory that is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, vector_file, write_positions, write_vectors
from pyiceberg.manifest import DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType
from scan_tables import as_iceberg, opened, ordered, write_parquet

from scoter.engine.scanning import grouping
from scoter.engine.scanning.deletes import Deletes
from scoter.errors import Cancelled, CorruptData, NotSupported

SCHEMA = Schema(
    NestedField(1, "k", LongType(), required=False), NestedField(2, "s", StringType(), required=False)
)
ARROW = pa.schema([("k", pa.int64()), ("s", pa.string())])


@pytest.fixture
def lake(tmp_path: Path):
    yield from opened(tmp_path)


def add_files(table: Table, place: Path, count: int, rows: int = 10) -> list[str]:
    """Commit data files of as many rows, whose k go up through all of them; return their paths."""
    paths = []
    for number in range(count):
        ks = pa.array(range(number * rows, (number + 1) * rows), pa.int64())
        content = pa.table({"k": ks, "s": pa.array(["x"] * rows)}, schema=ARROW)
        # Without field ids, as add_files wants them.
        paths.append(f"file://{write_parquet(place / f'{number:05}.parquet', content)}")
    table.add_files(paths)
    table.refresh()
    return paths


def delete_positions(table: Table, path: Path, rows: list[tuple[str, int]], **facts: Any) -> None:
    commit_deletes(table.refresh(), delete_file(table, write_positions(path, rows), len(rows), **facts))


def delete_values(table: Table, path: Path, rows: list[dict[str, Any]], ids: list[int], **facts: Any) -> Any:
    schema = pa.schema([ARROW.field(name) for name in rows[0]])
    write_parquet(path, pa.Table.from_pylist(rows, schema), dict(zip(rows[0], ids, strict=True)))
    equal = DataFileContent.EQUALITY_DELETES
    return delete_file(table, path, len(rows), equal, equality_ids=ids, **facts)


def partition(table: Table, name: str | None) -> None:
    """Partition what comes next by a column, or by none."""
    with table.refresh().update_spec() as update:
        if name is None:
            update.remove_field("s")
        else:
            update.add_identity(name)
    table.refresh()


def keys(lake, table: Table, where: str | None = None) -> list[int]:
    return sorted(row["k"] for row in lake.rows(table.refresh(), where))


def test_small_files_with_deletes_share_one_select(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    paths = add_files(table, tmp_path / "data", 120)
    entries = []
    for number, path in enumerate(paths[20:]):
        place = write_positions(tmp_path / f"p{number}.parquet", [(path, number % 10), (path, 9)])
        entries.append(delete_file(table, place, 2, referenced_data_file=path))
    commit_deletes(table, *entries)
    scan = lake.scan(table.refresh())
    assert scan.sql.count("read_parquet") == 2
    assert scan.note.endswith("delete files 100 of 100")
    gone = {(20 + n) * 10 + p for n in range(100) for p in (n % 10, 9)}
    assert keys(lake, table) == [k for k in range(1200) if k not in gone]
    assert scan.rows == 1200 - len(gone)
    assert ordered(lake.rows(table)) == as_iceberg(table)
    # Of files that a filter leaves, those of others are not read.
    assert lake.scan(table, "k < 250").note.endswith("delete files 5 of 100")
    assert keys(lake, table, "k >= 195 AND k < 215") == [
        195,
        196,
        197,
        198,
        199,
        *range(201, 209),
        210,
        212,
        213,
        214,
    ]


@pytest.mark.parametrize("most", [0, 32])
def test_large_files_are_joined_alone(lake, tmp_path: Path, monkeypatch, most: int) -> None:
    monkeypatch.setattr(grouping, "_LARGE", 10)
    monkeypatch.setattr(grouping, "_MOST_ALONE", most)
    table = lake.create(SCHEMA)
    paths = add_files(table, tmp_path / "data", 4)
    place = tmp_path / "v.puffin"
    wanted = {path: [number, 7] for number, path in enumerate(paths[1:])}
    at = write_vectors(place, wanted)
    commit_deletes(table, *(vector_file(table, place, 2, path, at[path]) for path in wanted))
    assert lake.scan(table.refresh()).sql.count("read_parquet") == (4 if most else 2)
    assert keys(lake, table) == [k for k in range(40) if k not in (10, 17, 21, 27, 32, 37)]


def test_rows_are_counted_without_reading_them(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    paths = add_files(table, tmp_path / "data", 3)
    # Twice the same, and one behind the end.
    delete_positions(
        table, tmp_path / "p.parquet", [(paths[0], 1), (paths[0], 1), (paths[2], 0), (paths[2], 10)]
    )
    scan = lake.scan(table.refresh(), columns=frozenset())
    assert "ANTI JOIN" not in scan.sql
    assert lake.query(f"SELECT count(*) AS n FROM {scan.sql}") == [{"n": 28}]
    delete_positions(table, tmp_path / "q.parquet", [(path, n) for path in paths for n in range(10)])
    assert lake.query(f"SELECT count(*) AS n FROM {lake.scan(table.refresh(), columns=frozenset()).sql}") == [
        {"n": 0}
    ]
    assert lake.rows(table) == []


def test_a_stream_of_upserts_is_one_join(lake, tmp_path: Path) -> None:
    def upserted(commits: int) -> Table:
        table = lake.create(SCHEMA)
        for number in range(commits):
            ks = [(number * 7 + i) % 50 for i in range(5)]
            place = tmp_path / f"u{commits}-{number}.parquet"
            commit_deletes(table.refresh(), delete_values(table, place, [{"k": k} for k in ks], [1]))
            content = {"k": pa.array(ks, pa.int64()), "s": [str(number)] * 5}
            table.refresh().append(pa.table(content, schema=ARROW))
        return table.refresh()

    small, large = upserted(15), upserted(30)
    scan = lake.scan(large)
    assert (scan.sql.count("read_parquet"), scan.sql.count("ANTI JOIN")) == (3, 1)
    assert len(scan.sql) < 2.5 * len(lake.scan(small).sql)
    newest = {(number * 7 + i) % 50: str(number) for number in range(30) for i in range(5)}
    assert {row["k"]: row["s"] for row in lake.rows(large)} == newest
    assert len(lake.rows(large)) == len(newest)


@pytest.mark.parametrize("seed", range(4))
def test_random_deletes_of_all_kinds(lake, tmp_path: Path, seed: int) -> None:
    """Deletes of one partition, of all, by position and by values, between data of many ages."""
    rng = np.random.default_rng(seed)
    table = lake.create(SCHEMA)
    partition(table, "s")
    model: list[tuple[int, str, str, int]] = []
    for number in range(12):
        name = "abc"[rng.integers(0, 3)]
        rows = [int(k) for k in rng.integers(0, 30, 8)]
        before = set(lake.manifests.files(table.refresh().metadata, None).paths)
        table.append(pa.table({"k": pa.array(rows, pa.int64()), "s": [name] * 8}, schema=ARROW))
        (path,) = set(lake.manifests.files(table.refresh().metadata, None).paths) - before
        model += [(k, name, path, position) for position, k in enumerate(rows)]
        gone = {int(k) for k in rng.integers(0, 30, 3)}
        place = tmp_path / f"d{number}.parquet"
        kind = rng.integers(0, 4)
        if kind in (0, 2):
            partition(table, None)
        match kind:
            case 0:
                entry = delete_values(table, place, [{"k": k} for k in sorted(gone)], [1])
                model = [row for row in model if row[0] not in gone]
            case 1:
                part = "abc"[rng.integers(0, 3)]
                entry = delete_values(table, place, [{"k": k} for k in sorted(gone)], [1], partition=(part,))
                model = [row for row in model if row[0] not in gone or row[1] != part]
            case 2:
                pairs = [{"k": k, "s": "b"} for k in sorted(gone)]
                entry = delete_values(table, place, pairs, [1, 2])
                model = [row for row in model if row[0] not in gone or row[1] != "b"]
            case _:
                _, part, path, _ = model[rng.integers(0, len(model))]
                listed = [(path, 1), (path, 5)]
                entry = delete_file(table, write_positions(place, listed), 2, partition=(part,))
                model = [row for row in model if row[2:] not in listed]
        commit_deletes(table, entry)
        if kind in (0, 2):
            partition(table, "s")
    for where in (None, "s = 'b'", "k < 12"):
        found = sorted((row["k"], row["s"]) for row in lake.rows(table.refresh(), where))
        rows = [row[:2] for row in model]
        if where is not None:
            rows = [(k, s) for k, s in rows if (s == "b" if "s" in where else k < 12)]
        assert found == sorted(rows)


def test_a_column_that_hides_the_numbers_of_files(lake, tmp_path: Path) -> None:
    rows = pa.table({"file_index": pa.array([1, 2, 3], pa.int64())})
    table = lake.create(rows.schema)
    for _ in range(3):
        table.append(rows)
    files = list(lake.manifests.files(table.metadata, None).paths)
    delete_positions(table, tmp_path / "p.parquet", [(files[0], 0), (files[1], 1)])
    assert sorted(row["file_index"] for row in lake.rows(table.refresh())) == [1, 1, 2, 2, 3, 3, 3]
    for number in (2, 3):
        place = write_parquet(
            tmp_path / f"e{number}.parquet",
            pa.table({"file_index": pa.array([number], pa.int64())}),
            {"file_index": 1},
        )
        equal = DataFileContent.EQUALITY_DELETES
        commit_deletes(table.refresh(), delete_file(table, place, 1, equal, equality_ids=[1]))
        table.refresh().append(rows)
    found = sorted(row["file_index"] for row in lake.rows(table.refresh()))
    assert found == [1, 1, 1, 1, 2, 2, 3]


def test_several_files_read_by_field_id(lake, tmp_path: Path) -> None:
    kind = pa.struct([pa.field("x", pa.int32())])
    schema = pa.schema([("k", pa.int64()), ("p", kind)])
    table = lake.create(schema)
    for start in (0, 10, 20):
        content = {"k": pa.array(range(start, start + 10), pa.int64()), "p": pa.array([{"x": 1}] * 10, kind)}
        table.append(pa.table(content, schema=schema))
    with table.update_schema() as update:
        update.rename_column("p.x", "z")
    files = [task.file for task in table.refresh().scan().plan_files()]
    delete_positions(table, tmp_path / "d.parquet", [(file.file_path, 4) for file in files[:2]])
    assert ordered(lake.rows(table.refresh())) == as_iceberg(table)
    # DuckDB must not build its hash table of the data, which it takes for a single row.
    assert "RIGHT_ANTI" not in lake.explain(f"SELECT * FROM {lake.scan(table).sql}")


def test_equality_deletes_stored_as_another_type(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    table.append(pa.table({"k": [1, 2, 2**40, 4], "s": ["a"] * 4}, schema=ARROW))
    for number, values in enumerate((pa.array([1], pa.int32()), pa.array([2**40], pa.int64()))):
        place = write_parquet(tmp_path / f"{number}.parquet", pa.table({"k": values}), {"k": 1})
        equal = DataFileContent.EQUALITY_DELETES
        commit_deletes(table.refresh(), delete_file(table, place, 1, equal, equality_ids=[1]))
    assert keys(lake, table) == [2, 4]


def test_what_is_not_kept_is_read_again_and_never_by_half(lake, tmp_path: Path) -> None:
    lake.scans._deletes = Deletes(lake.manifests.real, kept=1)
    table = lake.create(SCHEMA)
    paths = add_files(table, tmp_path / "data", 3)
    for number, path in enumerate(paths):
        delete_positions(table, tmp_path / f"p{number}.parquet", [(path, number)], referenced_data_file=path)
    scan = lake.scan(table.refresh())
    (wanted,) = scan.removed
    assert len(lake.scans._deletes._read) == 1
    io = lake.manifests.io_for(table.metadata)

    def cancelled() -> None:
        raise Cancelled("the statement was cancelled")

    lake.scans._deletes = Deletes(lake.manifests.real, kept=1)
    with pytest.raises(Cancelled):
        lake.scans.tables(scan.removed, lambda: io, cancelled)
    rows = lake.scans.tables(scan.removed, lambda: io)[wanted.name]
    assert sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True)) == sorted(
        (held.number, paths.index(f"file://{held.place.removeprefix('file://')}")) for held in wanted.files
    )
    lake.scans._deletes = Deletes(lake.manifests.real)
    (tmp_path / "p1.parquet").unlink()
    with pytest.raises(CorruptData, match="missing"):
        lake.scans.tables(scan.removed, lambda: io)


def test_immutable_files_are_read_once(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    paths = add_files(table, tmp_path / "data", 2)
    delete_positions(table, tmp_path / "p.parquet", [(path, 3) for path in paths])
    assert len(keys(lake, table)) == 18
    (tmp_path / "p.parquet").unlink()
    assert keys(lake, table, "k < 10") == [k for k in range(10) if k != 3]
    assert len(keys(lake, table)) == 18


def test_more_deleted_rows_than_memory_is_for(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    (path,) = add_files(table, tmp_path / "data", 1)
    place = write_positions(tmp_path / "p.parquet", [(path, 3)])
    commit_deletes(table, delete_file(table, place, 60_000_000))
    with pytest.raises(NotSupported, match="hold more than 50,000,000 rows"):
        lake.scan(table.refresh())
