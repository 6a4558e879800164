"""Scans yield the rows of a snapshot, whatever happened to its schema since they were written."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, DoubleType, IntegerType, LongType, NestedField, StringType
from scan_tables import NESTED, NESTED_ROWS, PLAIN, as_iceberg, opened, ordered
from supported import reads

from scoter.errors import NotSupported, UndefinedSnapshot

lake = pytest.fixture(opened)


@reads("columns renamed, added, dropped, moved, promoted", 2)
def test_columns_added_dropped_renamed_added_again_and_promoted(lake):
    first = pa.table({"a": pa.array([1], pa.int32()), "b": ["old"], "f": pa.array([0.5], pa.float32())})
    table = lake.create(first.schema)
    table.append(first)
    with table.update_schema() as update:
        update.delete_column("b")
        update.rename_column("f", "g")
        update.add_column("n", LongType())
    with table.update_schema() as update:
        update.add_column("b", StringType())
        update.update_column("a", LongType())
        update.update_column("g", DoubleType())
    second = pa.table({"a": [2**40], "g": [1e300], "n": [7], "b": ["new"]})
    table.append(second)
    assert ordered(lake.rows(table)) == as_iceberg(table)
    assert {"a": 1, "g": 0.5, "n": None, "b": None} in lake.rows(table)
    assert lake.rows(table, "b = 'old'") == []
    assert lake.rows(table, "a > 5") == [{"a": 2**40, "g": 1e300, "n": 7, "b": "new"}]
    assert lake.scan(table).note.startswith("columns cast per physical schema, because")


def test_promotion_alone_stays_a_read_by_name(lake):
    first = pa.table({"a": pa.array([1], pa.int32()), "m": pa.array([Decimal("1.50")], pa.decimal128(5, 2))})
    table = lake.create(first.schema)
    table.append(first)
    with table.update_schema() as update:
        update.update_column("a", LongType())
        update.update_column("m", DecimalType(20, 2))
    table.append(pa.table({"a": [2**40], "m": pa.array([Decimal("123456789012.25")], pa.decimal128(20, 2))}))
    assert ordered(lake.rows(table)) == as_iceberg(table)
    assert lake.scan(table).note == "columns matched by name"


def test_swapped_names_are_matched_by_id(lake):
    rows = pa.table({"a": ["left"], "b": ["right"]})
    table = lake.create(rows.schema)
    table.append(rows)
    with table.update_schema() as update:
        update.rename_column("a", "c")
    with table.update_schema() as update:
        update.rename_column("b", "a")
    with table.update_schema() as update:
        update.rename_column("c", "b")
    assert lake.rows(table) == [{"b": "left", "a": "right"}]


def test_a_name_may_change_its_case(lake):
    rows = pa.table({"Name": ["x"], "Total": pa.array([1], pa.int32())})
    table = lake.create(rows.schema)
    table.append(rows)
    with table.update_schema() as update:
        update.rename_column("Name", "name")
    assert lake.rows(table) == [{"name": "x", "Total": 1}]


@reads("fields of structs, lists and maps renamed, added, dropped", 2)
@pytest.mark.parametrize(
    "change",
    [
        lambda u: u.rename_column("s.x", "z"),
        lambda u: u.rename_column("l.p", "q"),
        lambda u: u.rename_column("m.v", "w"),
        lambda u: u.add_column(("s", "z"), LongType()),
        lambda u: u.add_column(("l", "z"), LongType()),
        lambda u: u.delete_column("s.x"),
        lambda u: u.update_column("s.x", LongType()),
        lambda u: u.move_first("s.y"),
        lambda u: u.rename_column("s.x", "z").rename_column("k", "id").add_column("n", IntegerType()),
    ],
    ids=[
        "rename",
        "rename in list",
        "rename in map",
        "add",
        "add in list",
        "drop",
        "promote",
        "move",
        "mixed",
    ],
)
def test_nested_evolution(lake, change):
    table = lake.create(NESTED)
    table.append(pa.Table.from_pylist(NESTED_ROWS, schema=schema_to_pyarrow(table.schema())))
    with table.update_schema() as update:
        change(update)
    assert ordered(lake.rows(table)) == as_iceberg(table)
    new = schema_to_pyarrow(table.schema())
    table.append(pa.Table.from_pylist([dict.fromkeys(new.names)], schema=new))
    assert ordered(lake.rows(table)) == as_iceberg(table)


def test_an_inner_name_that_was_dropped_and_added_again_is_another_field(lake):
    table = lake.create(NESTED)
    table.append(pa.Table.from_pylist(NESTED_ROWS, schema=schema_to_pyarrow(table.schema())))
    with table.update_schema() as update:
        update.delete_column("s.x")
    with table.update_schema() as update:
        update.add_column(("s", "x"), IntegerType())
    assert lake.rows(table)[0]["s"] == {"y": "a", "x": None}


def test_a_struct_of_which_a_file_holds_no_field_is_an_error(lake):
    """A read by field id can not tell NULL from a struct of NULLs there."""
    table = lake.create(NESTED)
    table.append(pa.Table.from_pylist(NESTED_ROWS, schema=schema_to_pyarrow(table.schema())))
    with table.update_schema() as update:
        update.add_column(("l", "z"), LongType())
        update.delete_column("l.p")
    with pytest.raises(NotSupported, match=r'none of the fields inside column "l\.element"'):
        lake.scan(table)


@reads("time travel", 2)
def test_time_travel_uses_the_snapshots_schema(lake):
    rows = pa.table({"a": [1], "b": ["x"]})
    table = lake.create(rows.schema)
    table.append(rows)
    first = table.current_snapshot().snapshot_id
    with table.update_schema() as update:
        update.rename_column("b", "c")
        update.add_column("n", LongType())
    table.append(pa.table({"a": [2], "c": ["y"], "n": [5]}))
    assert lake.rows(table, snapshot_id=first) == [{"a": 1, "b": "x"}]
    assert ordered(lake.rows(table)) == [{"a": 1, "c": "x", "n": None}, {"a": 2, "c": "y", "n": 5}]
    second = table.current_snapshot().snapshot_id
    assert len(lake.rows(table, "c = 'y'", snapshot_id=second)) == 1
    with pytest.raises(UndefinedSnapshot):
        lake.scan(table, snapshot_id=12345)


def test_a_scan_is_not_taken_for_that_of_another_schema_with_the_same_id(lake):
    table = lake.create(PLAIN)
    table.append(pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}))
    metadata = table.metadata
    renamed = Schema(NestedField(1, "c", IntegerType()), NestedField(2, "b", StringType()), schema_id=0)
    # As where an older metadata file is registered again and changed in another way.
    other = metadata.model_copy(update={"schemas": [renamed]})
    for known, name in ((metadata, "a"), (other, "c")):
        assert lake.query(f"SELECT {name} FROM {lake.scans.build(known, None).sql} AS t") == [{name: 1}]
