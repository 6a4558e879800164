"""Rows that are deleted by their values: by the fields that a delete file names, and by no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, write_positions
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.update import AddPartitionSpecUpdate, SetDefaultSpecUpdate
from pyiceberg.transforms import IdentityTransform, VoidTransform
from pyiceberg.types import DoubleType, IntegerType, LongType, NestedField, StringType
from scan_tables import opened, write_parquet
from supported import reads

from scoter.errors import CorruptData, NotSupported

SCHEMA = Schema(
    NestedField(1, "k", IntegerType(), required=False),
    NestedField(2, "s", StringType(), required=False),
    NestedField(3, "f", DoubleType(), required=False),
)
ARROW = pa.schema([("k", pa.int32()), ("s", pa.string()), ("f", pa.float64())])
IDS = {"k": 1, "s": 2, "f": 3}
BY_S = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "s"))


@pytest.fixture
def lake(tmp_path: Path):
    yield from opened(tmp_path)


def added(table: Table, *rows: tuple[Any, ...]) -> None:
    table.refresh().append(pa.Table.from_pylist([dict(zip(IDS, row, strict=True)) for row in rows], ARROW))


def deleting(table: Table, place: Path, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Commit equality deletes on the columns of ``rows``."""
    names = list(rows[0])
    schema = facts.pop("schema", None) or pa.schema([ARROW.field(name) for name in names])
    ids = facts.pop("ids", None) or [IDS[name] for name in names]
    write_parquet(place, pa.Table.from_pylist(rows, schema), dict(zip(names, ids, strict=True)))
    commit_deletes(
        table.refresh(),
        delete_file(table, place, len(rows), DataFileContent.EQUALITY_DELETES, equality_ids=ids, **facts),
    )


def found(lake, table: Table, where: str | None = None) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in lake.rows(table.refresh(), where)), key=repr)


@reads("equality deletes", 2)
def test_only_older_data_is_compared(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    added(table, (1, "a", 1.0), (2, "b", 2.0), (3, "c", 3.0))
    before = table.refresh().current_snapshot().snapshot_id
    deleting(table, tmp_path / "d1.parquet", [{"k": 1}, {"k": 3}, {"k": 9}])
    added(table, (1, "new", 1.5))
    assert found(lake, table) == [(1, "new", 1.5), (2, "b", 2.0)]
    assert found(lake, table, "k = 1") == [(1, "new", 1.5)]
    assert len(lake.rows(table, snapshot_id=before)) == 3
    assert lake.scan(table).note.endswith("delete files 1 of 1")
    names = lake.query(f"SELECT s FROM {lake.scan(table, columns=frozenset({'s'})).sql} ORDER BY s")
    assert names == [{"s": "b"}, {"s": "new"}]
    assert lake.query(f"SELECT count(*) AS n FROM {lake.scan(table, columns=frozenset()).sql}") == [{"n": 2}]


@reads("equality deletes of NULL and NaN", 2)
def test_null_and_nan_are_values(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    nan = float("nan")
    added(table, (1, None, nan), (2, "b", None), (None, "c", 0.5), (None, None, None), (5, "", 5.0))
    deleting(table, tmp_path / "d1.parquet", [{"s": None}])
    assert found(lake, table) == [(2, "b", None), (5, "", 5.0), (None, "c", 0.5)]
    deleting(table, tmp_path / "d2.parquet", [{"f": None}, {"f": nan}])
    assert found(lake, table) == [(5, "", 5.0), (None, "c", 0.5)]


@reads("equality deletes of several sets of columns", 2)
def test_sets_of_fields(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    added(table, *((k, s, 0.0) for k in range(4) for s in "abc"))
    deleting(table, tmp_path / "d1.parquet", [{"k": 0}])
    deleting(table, tmp_path / "d2.parquet", [{"s": "a"}])
    deleting(table, tmp_path / "d3.parquet", [{"k": 1, "s": "b"}, {"k": 2, "s": "z"}])
    deleting(table, tmp_path / "d4.parquet", [{"k": 3}])
    assert found(lake, table) == [(1, "c", 0.0), (2, "b", 0.0), (2, "c", 0.0)]


def test_partitions(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA, BY_S)
    added(table, (1, "a", 0.0), (1, "b", 0.0), (2, "b", 0.0))
    deleting(table, tmp_path / "d1.parquet", [{"k": 1}], partition=("b",))
    assert found(lake, table) == [(1, "a", 0.0), (2, "b", 0.0)]
    assert lake.scan(table, "s = 'a'").note.endswith("delete files 0 of 1")


@reads("equality deletes across partition specs", 2)
def test_a_spec_without_fields_means_every_partition(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    added(table, (1, "a", 0.0), (2, "a", 0.0))
    with table.refresh().update_spec() as update:
        update.add_identity("s")
    added(table, (1, "b", 0.0), (2, "b", 0.0))
    with table.refresh().update_spec() as update:
        update.remove_field("s")
    deleting(table.refresh(), tmp_path / "d1.parquet", [{"k": 1}])
    assert found(lake, table) == [(2, "a", 0.0), (2, "b", 0.0)]


def test_a_spec_of_void_fields_means_every_partition(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA, PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "s")))
    added(table, (1, "a", 0.0), (2, "b", 0.0))
    void = PartitionSpec(PartitionField(2, 1000, VoidTransform(), "s"), spec_id=1)
    with table.refresh().transaction() as transaction:
        transaction._apply((AddPartitionSpecUpdate(spec=void), SetDefaultSpecUpdate(spec_id=-1)), ())
    deleting(table.refresh(), tmp_path / "d1.parquet", [{"k": 1}], partition=(None,))
    assert found(lake, table) == [(2, "b", 0.0)]


@reads("equality deletes of columns that changed since", 2)
def test_columns_that_changed_since(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    added(table, (1, "a", 0.0), (2, "b", 0.0), (3, "c", 0.0), (4, "d", 0.0))
    deleting(table, tmp_path / "d1.parquet", [{"k": 1}])
    deleting(table, tmp_path / "d2.parquet", [{"s": "b"}])
    with table.refresh().update_schema() as update:
        update.rename_column("k", "key")
        update.update_column("k", LongType())
        update.delete_column("s")
        update.add_column("t", StringType())
    assert found(lake, table) == [(3, 0.0, None), (4, 0.0, None)]
    # Rows of before the column was added have NULL there.
    deleting(table, tmp_path / "d3.parquet", [{"t": "x"}], schema=pa.schema([("t", pa.string())]), ids=[4])
    assert found(lake, table) == [(3, 0.0, None), (4, 0.0, None)]
    both = pa.schema([("key", pa.int64()), ("t", pa.string())])
    deleting(table, tmp_path / "d4.parquet", [{"key": 3, "t": None}], schema=both, ids=[1, 4])
    assert found(lake, table) == [(4, 0.0, None)]


@reads("equality and position deletes together", 2)
def test_with_positions(lake, tmp_path: Path) -> None:
    table = lake.create(SCHEMA)
    added(table, *((k, "a", 0.0) for k in range(5)))
    deleting(table, tmp_path / "d1.parquet", [{"k": 1}])
    (only,) = set(lake.manifests.files(table.refresh().metadata, None).paths)
    place = write_positions(tmp_path / "p.parquet", [(only, 3)])
    commit_deletes(table.refresh(), delete_file(table, place, 1))
    assert [row[0] for row in found(lake, table)] == [0, 2, 4]


def test_random_upserts(lake, tmp_path: Path) -> None:
    """Each commit takes keys out and adds rows, as a stream of upserts does."""
    table = lake.create(SCHEMA)
    rng = np.random.default_rng(3)
    model: list[tuple[int, str, float]] = []
    for number in range(8):
        keys = sorted({int(k) for k in rng.integers(0, 40, 12)})
        texts = sorted({str(t) for t in rng.integers(0, 30, 2)})
        if number:
            deleting(table, tmp_path / f"k{number}.parquet", [{"k": k} for k in keys])
            deleting(table, tmp_path / f"s{number}.parquet", [{"s": t} for t in texts])
            model = [row for row in model if row[0] not in keys and row[1] not in texts]
        rows = [(k, str(rng.integers(0, 30)), float(number)) for k in keys]
        added(table, *rows)
        model += rows
        assert found(lake, table) == sorted(model, key=repr)
        assert found(lake, table, "k < 10") == sorted((row for row in model if row[0] < 10), key=repr)


def test_deletes_that_can_not_be_read(lake, tmp_path: Path) -> None:
    def fresh() -> Table:
        table = lake.create(SCHEMA)
        added(table, (1, "a", 0.0))
        return table

    table = fresh()
    place = write_parquet(tmp_path / "x.parquet", pa.table({"k": pa.array([1], pa.int32())}), {"k": 1})
    equal = DataFileContent.EQUALITY_DELETES
    commit_deletes(table, delete_file(table, place, 1, equal, equality_ids=[2]))
    with pytest.raises(CorruptData, match="lacks a column"):
        lake.scan(table.refresh())
    table = fresh()
    commit_deletes(table, delete_file(table, place, 1, equal, equality_ids=[99]))
    with pytest.raises(CorruptData, match="never had"):
        lake.scan(table.refresh())
    table = fresh()
    commit_deletes(table, delete_file(table, place, 1, equal, equality_ids=[]))
    with pytest.raises(CorruptData, match="manifests"):
        lake.scan(table.refresh())
    table = fresh()
    commit_deletes(table, delete_file(table, place, 1, equal, equality_ids=[1], kind=FileFormat.ORC))
    with pytest.raises(NotSupported, match="equality deletes of format ORC"):
        lake.scan(table.refresh())
    table = fresh()
    commit_deletes(table, delete_file(table, place, 1, equal, equality_ids=[1]))
    place.unlink()
    lake.scans._layouts = type(lake.scans._layouts)()
    with pytest.raises(CorruptData, match="missing"):
        lake.scan(table.refresh())


def test_a_field_inside_a_column(lake, tmp_path: Path) -> None:
    kind = pa.struct([pa.field("x", pa.int32())])
    rows = pa.table({"p": pa.array([{"x": 1}], kind)})
    table = lake.create(rows.schema)
    table.append(rows)
    place = write_parquet(tmp_path / "x.parquet", pa.table({"x": pa.array([1], pa.int32())}), {"x": 2})
    for field, words in ((2, "inside a column"), (1, "of type struct")):
        entry = delete_file(table, place, 1, DataFileContent.EQUALITY_DELETES, equality_ids=[field])
        commit_deletes(table.refresh(), entry)
        with pytest.raises(NotSupported, match=words):
            lake.scan(table.refresh())
