"""Files that another writer registered: read where they can be, refused where they can not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)
from scan_tables import NESTED, NESTED_ROWS, PLAIN, add_file, opened, ordered, write_parquet
from supported import reads

from scoter.catalog.data_files import DeleteFile, DeleteKind
from scoter.engine.scan import refuse_unreadable
from scoter.errors import CorruptData, NotSupported

lake = pytest.fixture(opened)


@reads("files without field ids, by name mapping or plain names", 2)
def test_files_without_ids_are_read_by_the_name_mapping(lake, tmp_path):
    table = lake.create(PLAIN)
    path = write_parquet(tmp_path / "x.parquet", pa.table({"b": ["x"], "a": pa.array([1], pa.int32())}))
    table.add_files([f"file://{path}"])
    with table.update_schema() as update:
        update.rename_column("b", "c")
    table.append(pa.table({"a": pa.array([2], pa.int32()), "c": ["y"]}))
    assert ordered(lake.rows(table)) == [{"a": 1, "c": "x"}, {"a": 2, "c": "y"}]


def test_files_without_ids_and_without_name_mapping_are_an_error(lake, tmp_path):
    table = lake.create(PLAIN)
    path = write_parquet(tmp_path / "x.parquet", pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}))
    add_file(table, path, 1)
    # The table has had these columns only, and the file has them all in this order.
    assert lake.rows(table) == [{"a": 1, "b": "x"}]
    with table.update_schema() as update:
        update.rename_column("a", "c")
    with pytest.raises(NotSupported, match="without field ids"):
        lake.scan(table)


@pytest.mark.parametrize(
    "columns",
    [
        {"b": ["x"], "a": pa.array([1], pa.int32())},
        {"a": pa.array([1], pa.int32())},
        {"_col0": [1], "_col1": ["x"]},
    ],
)
def test_files_without_ids_whose_columns_are_in_doubt(lake, tmp_path, columns):
    table = lake.create(PLAIN)
    add_file(table, write_parquet(tmp_path / "x.parquet", pa.table(columns)), 1)
    with pytest.raises(NotSupported, match="without field ids"):
        lake.scan(table)


def test_inner_renames_over_files_without_ids_are_an_error(lake, tmp_path):
    table = lake.create(NESTED)
    rows = pa.Table.from_pylist(
        NESTED_ROWS, schema=schema_to_pyarrow(table.schema(), include_field_ids=False)
    )
    path = write_parquet(tmp_path / "x.parquet", rows)
    table.add_files([f"file://{path}"])
    assert ordered(lake.rows(table)) == ordered(NESTED_ROWS)
    with table.update_schema() as update:
        update.rename_column("s.x", "z")
    with pytest.raises(NotSupported, match="renamed since"):
        lake.scan(table)


@reads("partition columns that are not in the files", 2)
def test_identity_partition_values_stand_in_for_columns_that_files_lack(lake, tmp_path):
    schema = Schema(
        NestedField(1, "a", IntegerType()),
        NestedField(2, "day", DateType(), required=True),
        NestedField(3, "tz", TimestamptzType()),
        NestedField(4, "s", StringType()),
        NestedField(5, "m", DecimalType(9, 2)),
    )
    spec = PartitionSpec(
        *(PartitionField(n, 1000 + n, IdentityTransform(), f"p{n}") for n in (2, 3, 4, 5)), spec_id=0
    )
    table = lake.create(schema, spec)
    moment = dt.datetime(2020, 5, 1, 12, tzinfo=dt.UTC)
    micros = int(moment.timestamp()) * 10**6
    days = (dt.date(2020, 5, 1) - dt.date(1970, 1, 1)).days
    for number, tail in enumerate([(micros, "it's", Decimal("1.25")), (None, None, None)]):
        path = write_parquet(
            tmp_path / f"{number}.parquet", pa.table({"a": pa.array([number], pa.int32())}), {"a": 1}
        )
        add_file(table, path, 1, partition=(days, *tail))
    expected = [
        {"a": 0, "day": dt.date(2020, 5, 1), "tz": moment, "s": "it's", "m": Decimal("1.25")},
        {"a": 1, "day": dt.date(2020, 5, 1), "tz": None, "s": None, "m": None},
    ]
    assert ordered(lake.rows(table)) == expected
    assert lake.rows(table, "s = 'it''s'") == expected[:1]
    assert lake.scan(table, "s = 'it''s'").files == 1
    assert lake.scan(table, "m < 1.25").files == 0
    assert lake.scan(table, "s IS NULL").files == 1


def test_a_required_column_that_is_nowhere_is_corrupt(lake, tmp_path):
    table = lake.create(
        Schema(NestedField(1, "a", IntegerType()), NestedField(2, "b", StringType(), required=True))
    )
    path = write_parquet(tmp_path / "x.parquet", pa.table({"a": pa.array([1], pa.int32())}), {"a": 1})
    add_file(table, path, 1)
    with pytest.raises(CorruptData, match='lacks the required column "b"'):
        lake.scan(table)


def test_an_initial_default_stands_in_for_an_added_column(lake, tmp_path):
    schema = Schema(
        NestedField(1, "a", IntegerType()),
        NestedField(2, "n", LongType(), initial_default=7),
        NestedField(3, "s", StringType(), initial_default="it's"),
    )
    table = lake.create(PLAIN)
    path = write_parquet(tmp_path / "x.parquet", pa.table({"a": pa.array([1], pa.int32())}), {"a": 1})
    add_file(table, path, 1)
    newer = table.metadata.model_copy(update={"schemas": [schema.model_copy(update={"schema_id": 0})]})
    sql = lake.scans.build(newer, None).sql
    assert lake.query(f"SELECT * FROM {sql}") == [{"a": 1, "n": 7, "s": "it's"}]


def test_paths_with_wildcards_and_spaces(lake, tmp_path):
    (tmp_path / "q1x").mkdir()
    write_parquet(tmp_path / "q1x" / "f.parquet", pa.table({"a": pa.array([99], pa.int32())}), {"a": 1})
    table = lake.create(Schema(NestedField(1, "a", IntegerType())))
    for number, name in enumerate(["q[1]x", "q?x", "a b%20", "q*"]):
        path = tmp_path / name / "f.parquet"
        write_parquet(path, pa.table({"a": pa.array([number], pa.int32())}), {"a": 1})
        add_file(table, path, 1)
    assert sorted(row["a"] for row in lake.rows(table)) == [0, 1, 2, 3]


def test_hive_like_directories_do_not_replace_columns(lake, tmp_path):
    table = lake.create(PLAIN)
    rows = pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]})
    add_file(table, write_parquet(tmp_path / "a=5" / "b=z" / "f.parquet", rows, {"a": 1, "b": 2}), 1)
    assert lake.rows(table) == [{"a": 1, "b": "x"}]


def test_hive_like_directories_do_not_replace_columns_read_by_id(lake, tmp_path):
    table = lake.create(NESTED)
    table.append(pa.Table.from_pylist(NESTED_ROWS, schema=schema_to_pyarrow(table.schema())))
    written = next((tmp_path / "lake").rglob("*.parquet"))
    moved = tmp_path / "k=5" / "f.parquet"
    moved.parent.mkdir()
    written.rename(moved)
    other = lake.create(NESTED)
    add_file(other, moved, 3)
    with other.update_schema() as update:
        update.rename_column("s.x", "z")
    assert [row["k"] for row in lake.rows(other)] == [1, 2, 3]
    assert "matched by field id" in lake.scan(other).note


def test_other_formats_are_an_error_that_names_them(lake, tmp_path):
    rows = pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]})
    path = write_parquet(tmp_path / "x.parquet", rows, {"a": 1, "b": 2})
    table = lake.create(PLAIN)
    add_file(table, path, 1, kind=FileFormat.ORC)
    with pytest.raises(NotSupported, match=r"lake\.main\.t has data files of format ORC"):
        lake.scan(table, name="lake.main.t")


def test_a_missing_data_file_is_corrupt_and_its_path_is_not_shown(lake, tmp_path):
    table = lake.create(PLAIN)
    rows = pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]})
    path = write_parquet(tmp_path / "x.parquet", rows, {"a": 1, "b": 2})
    add_file(table, path, 1)
    path.unlink()
    with pytest.raises(CorruptData) as caught:
        lake.scan(table)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_manifest_is_corrupt_and_its_path_is_not_shown(lake, tmp_path):
    rows = pa.table({"a": pa.array([1], pa.int32())})
    table = lake.create(rows.schema)
    table.append(rows)
    for path in (tmp_path / "lake").rglob("*-m0.avro"):
        path.unlink()
    with pytest.raises(CorruptData) as caught:
        lake.scan(table)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("delete", "words"),
    [
        (DeleteFile("x", DeleteKind.EQUALITY, 1, "AVRO"), "equality deletes of format AVRO"),
        (DeleteFile("x", DeleteKind.POSITION, 1, "ORC"), "position deletes of format ORC"),
    ],
)
def test_deletes_that_are_not_read_are_refused(lake, delete, words):
    rows = pa.table({"a": pa.array([1], pa.int32())})
    table = lake.create(rows.schema)
    table.append(rows)
    files = lake.manifests.files(table.metadata, None)
    with pytest.raises(NotSupported, match=f"lake.main.t has {words}"):
        refuse_unreadable(replace(files, deletes=(delete,)), "lake.main.t")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (DataFileContent.POSITION_DELETES, FileFormat.PARQUET, "position deletes"),
        (DataFileContent.EQUALITY_DELETES, FileFormat.PARQUET, "equality deletes"),
        (DataFileContent.POSITION_DELETES, FileFormat.PUFFIN, "deletion vectors"),
    ],
)
def test_delete_entries_inside_a_data_manifest_are_refused_too(lake, tmp_path, content, kind, message):
    table = lake.create(PLAIN)
    table.append(pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}))
    path = write_parquet(tmp_path / "d.parquet", pa.table({"pos": [0]}))
    add_file(table, path, 1, content=content, kind=kind)
    with pytest.raises(NotSupported, match=message):
        lake.scan(table)


def test_a_manifest_that_says_no_rows_hides_none(lake, tmp_path):
    table = lake.create(PLAIN)
    rows = pa.table({"a": pa.array([1, 2], pa.int32()), "b": ["x", "y"]}, schema=schema_to_pyarrow(PLAIN))
    add_file(table, write_parquet(tmp_path / "x.parquet", rows), 0)
    assert ordered(lake.rows(table)) == ordered(rows.to_pylist())
    add_file(table, write_parquet(tmp_path / "y.parquet", rows), -1)
    with pytest.raises(CorruptData):
        lake.scan(table)
