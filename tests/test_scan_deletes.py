"""Rows that are deleted by position or by a deletion vector: they are left out, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, vector_file, write_positions, write_vectors
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType
from scan_tables import add_file, as_iceberg, opened, ordered, write_parquet
from supported import reads

from scoter.errors import CorruptData, NotSupported

SCHEMA = Schema(
    NestedField(1, "k", LongType(), required=False), NestedField(2, "s", StringType(), required=False)
)
BY_S = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "s"))


@pytest.fixture
def lake(tmp_path: Path):
    yield from opened(tmp_path)


def paths(table: Table) -> list[str]:
    """Return the data files' paths, in the order of their first k."""
    tasks = [task.file for task in table.refresh().scan().plan_files()]
    return [file.file_path for file in sorted(tasks, key=lambda file: file.lower_bounds[1])]


def filled(lake, spec: PartitionSpec | None = None) -> Table:
    """A table of three files with ten rows each."""
    table = lake.create(SCHEMA, spec)
    for start, name in ((0, "a"), (10, "b"), (20, "c")):
        table.append(pa.table({"k": pa.array(range(start, start + 10), pa.int64()), "s": [name] * 10}))
    return table


def keys(lake, table: Table, where: str | None = None) -> list[int]:
    return sorted(row["k"] for row in lake.rows(table.refresh(), where))


def without(*gone: int) -> list[int]:
    return [k for k in range(30) if k not in gone]


def deleting(table: Table, place: Path, rows, **facts) -> None:
    commit_deletes(table, delete_file(table, write_positions(place, rows), len(rows), **facts))


@reads("position deletes", 2)
def test_positions_of_several_files(lake, tmp_path: Path) -> None:
    table = filled(lake)
    first, second, _ = paths(table)
    before = table.current_snapshot().snapshot_id
    deleting(table, tmp_path / "d1.parquet", [(first, 0), (first, 9), (second, 3)])
    assert keys(lake, table) == without(0, 9, 13)
    assert ordered(lake.rows(table)) == as_iceberg(table)
    scan = lake.scan(table)
    assert (scan.files, scan.rows) == (3, 27)
    assert scan.note.endswith("delete files 1 of 1")
    # A second file: unsorted, twice the same, behind the end, and of a file that is gone.
    deleting(
        table,
        tmp_path / "d2.parquet",
        [(second, 5), (second, 4), (second, 3), (second, 99), ("file:///gone", 1)],
    )
    assert keys(lake, table) == without(0, 9, 13, 14, 15)
    assert keys(lake, table, "k > 8 AND k < 16") == [10, 11, 12]
    assert len(lake.rows(table, snapshot_id=before)) == 30
    assert lake.query(f"SELECT count(*) AS n FROM {lake.scan(table, columns=frozenset()).sql}") == [{"n": 25}]


def test_data_that_is_newer_than_its_deletes_stays(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    place = write_parquet(
        tmp_path / "x.parquet",
        pa.table({"k": pa.array([1, 2], pa.int64()), "s": ["x", "y"]}),
        {"k": 1, "s": 2},
    )
    deleting(table, tmp_path / "d.parquet", [(f"file://{place}", 0)])
    add_file(table.refresh(), place, 2)
    assert keys(lake, table) == [1, 2]
    deleting(table.refresh(), tmp_path / "e.parquet", [(f"file://{place}", 1)])
    assert keys(lake, table) == [1]


@reads("position deletes of one partition", 2)
def test_deletes_hold_in_their_partition(lake, tmp_path: Path) -> None:
    table = filled(lake, BY_S)
    first, second, _ = paths(table)
    deleting(table, tmp_path / "d1.parquet", [(first, 1), (second, 1)], partition=("a",))
    assert keys(lake, table) == without(1)
    assert keys(lake, table, "s = 'b'") == list(range(10, 20))
    assert "delete files 0 of 1" in lake.scan(table, "s = 'b'").note
    # One that refers to a data file needs no partition.
    deleting(table, tmp_path / "d2.parquet", [(second, 2)], partition=("b",), referenced_data_file=second)
    assert keys(lake, table) == without(1, 12)


@reads("paths in metadata that are spelled in another way", 2)
def test_a_path_may_be_spelled_otherwise(lake, tmp_path: Path) -> None:
    table = filled(lake)
    first, second, _ = paths(table)
    deleting(
        table,
        tmp_path / "d.parquet",
        [(first.replace("file://", "file:"), 2), (second.removeprefix("file://"), 2), (None, 3)],
    )
    assert keys(lake, table) == without(2, 12)


def test_all_rows_of_a_file(lake, tmp_path: Path) -> None:
    table = filled(lake)
    first, *_ = paths(table)
    deleting(table, tmp_path / "d.parquet", [(first, i) for i in range(10)])
    assert keys(lake, table) == list(range(10, 30))
    assert lake.rows(table, "k < 5") == []


def test_columns_read_by_field_id(lake, tmp_path: Path) -> None:
    kind = pa.struct([pa.field("x", pa.int32()), pa.field("y", pa.string())])
    rows = pa.table({"k": pa.array([1, 2, 3], pa.int64()), "p": pa.array([{"x": 1, "y": "a"}] * 3, kind)})
    table = lake.create(rows.schema)
    table.append(rows)
    with table.update_schema() as update:
        update.rename_column("p.x", "z")
    (only,) = [task.file.file_path for task in table.scan().plan_files()]
    deleting(table, tmp_path / "d.parquet", [(only, 1)])
    assert "field id" in lake.scan(table.refresh()).note
    assert ordered(lake.rows(table)) == as_iceberg(table.refresh())
    assert keys(lake, table) == [1, 3]


def test_random_positions(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    rng = np.random.default_rng(7)
    gone: set[int] = set()
    for start in range(0, 40_000, 10_000):
        ks = pa.array(range(start, start + 10_000), pa.int64())
        table.append(
            pa.table({"k": ks, "s": [None] * 10_000}, schema=pa.schema({"k": ks.type, "s": pa.string()}))
        )
    files = paths(table)
    for number in range(3):
        found = [(n, path, int(p)) for n, path in enumerate(files) for p in rng.integers(0, 10_000, 700)]
        gone |= {n * 10_000 + p for n, _, p in found}
        deleting(table, tmp_path / f"d{number}.parquet", [(path, p) for _, path, p in found])
    assert keys(lake, table) == [k for k in range(40_000) if k not in gone]
    assert ordered(lake.rows(table)) == as_iceberg(table)


@reads("deletion vectors", 3)
def test_vectors(lake, tmp_path: Path) -> None:
    table = filled(lake)
    first, second, third = paths(table)
    # A vector takes the place of position deletes, also of newer ones.
    deleting(table, tmp_path / "d1.parquet", [(first, 0), (third, 5)])
    place = tmp_path / "v.puffin"
    wanted = {first: [7, 8], second: [0, 5, 3 << 32]}
    found = write_vectors(place, wanted)
    commit_deletes(table, *(vector_file(table, place, len(wanted[p]), p, found[p]) for p in wanted))
    deleting(table, tmp_path / "d2.parquet", [(second, 9)])
    assert keys(lake, table) == without(7, 8, 10, 15, 25)


@pytest.mark.parametrize("spoiled", ["checksum", "count", "offset", "cut", "missing", "twice"])
def test_vectors_that_do_not_fit_are_refused(lake, tmp_path: Path, spoiled: str) -> None:
    table = filled(lake)
    first, *_ = paths(table)
    place = tmp_path / "v.puffin"
    at = write_vectors(place, {first: [1, 2]}, spoil=spoiled == "checksum")[first]
    entry = vector_file(table, place, 3 if spoiled == "count" else 2, first, at + (spoiled == "offset"))
    commit_deletes(table, *([entry] * (2 if spoiled == "twice" else 1)))
    if spoiled == "cut":
        place.write_bytes(place.read_bytes()[:20])
    if spoiled == "missing":
        place.unlink()
    with pytest.raises(CorruptData, match="vector"):
        lake.scan(table.refresh())


@pytest.mark.parametrize(
    "content",
    [
        pa.table({"file_path": ["x"]}),
        pa.table({"file_path": ["x"], "pos": ["x"]}),
        pa.table({"file_path": ["x"], "pos": pa.array([None], pa.int64())}),
        None,
    ],
    ids=["no positions", "texts", "NULL", "missing"],
)
def test_position_deletes_that_are_damaged_are_refused(
    lake, tmp_path: Path, content: pa.Table | None
) -> None:
    table = filled(lake)
    place = write_parquet(tmp_path / "d.parquet", pa.table({"x": [1]}) if content is None else content)
    commit_deletes(table, delete_file(table, place, 1))
    if content is None:
        place.unlink()
    with pytest.raises(CorruptData, match="position deletes is missing or damaged"):
        lake.rows(table.refresh())


def test_a_column_that_hides_the_positions(lake, tmp_path: Path) -> None:
    rows = pa.table({"file_row_number": pa.array([5, 6], pa.int64())})
    table = lake.create(rows.schema)
    table.append(rows)
    (only,) = [task.file.file_path for task in table.scan().plan_files()]
    deleting(table, tmp_path / "d.parquet", [(only, 1)])
    with pytest.raises(NotSupported, match="file_row_number"):
        lake.scan(table.refresh())
