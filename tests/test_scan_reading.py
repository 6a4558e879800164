"""Scans yield the rows of a snapshot, whatever happened to its schema and whoever wrote its files."""

from __future__ import annotations

import datetime as dt
import math
import struct
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
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)
from scan_tables import Lake, add_file, write_parquet

from scoter.catalog.manifests import DeleteFile, DeleteKind
from scoter.engine.scan import refuse_unreadable
from scoter.engine.types import duckdb_type
from scoter.errors import CorruptData, NotSupported, UndefinedSnapshot


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path / "lake")
    yield lake
    lake.close()


def field(number, name, kind, **options):
    return NestedField(number, name, kind, required=options.pop("required", False), **options)


def naive(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC).replace(tzinfo=None)


def ordered(rows):
    return sorted(rows, key=repr)


def as_iceberg(table):
    """Return the rows as pyiceberg reads them, the reference for what a scan must yield."""
    return ordered(table.scan().to_arrow().to_pylist())


def test_every_primitive_type_reads_as_pyiceberg_reads_it(lake):
    schema = Schema(
        field(1, "b", BooleanType()),
        field(2, "i", IntegerType()),
        field(3, "l", LongType()),
        field(4, "f", FloatType()),
        field(5, "d", DoubleType()),
        field(6, "m", DecimalType(12, 2)),
        field(7, "day", DateType()),
        field(8, "at", TimestampType()),
        field(9, "tz", TimestamptzType()),
        field(10, "s", StringType()),
        field(11, "raw", BinaryType()),
        field(12, "u", UUIDType()),
    )
    table = lake.create(schema)
    moment = naive(1969, 12, 31, 23, 59, 59, 999999)
    rows = [
        {
            "b": True, "i": -1, "l": 2**60, "f": 0.5, "d": -0.1, "m": Decimal("-12.34"), "day": dt.date(1900, 2, 28),
            "at": moment, "tz": moment.replace(tzinfo=dt.UTC), "s": "é", "raw": b"\x00\xff", "u": b"0123456789abcdef",
        },
        dict.fromkeys([f.name for f in schema.fields]),
    ]  # fmt: skip
    table.append(pa.Table.from_pylist(rows, schema=schema_to_pyarrow(schema)))
    read = lake.rows(table)
    assert [{**row, "u": row["u"] and str(row["u"])} for row in read] == [
        {**row, "u": row["u"] and "30313233-3435-3637-3839-616263646566"} for row in rows
    ]
    assert lake.scan(table).note == "columns matched by name"


def test_a_table_without_snapshot_is_empty_and_has_its_columns(lake):
    table = lake.create(pa.schema([("a", pa.int32()), ("s", pa.struct([("x", pa.string())]))]))
    scan = lake.scan(table)
    assert (scan.files, scan.files_total, scan.rows) == (0, 0, 0)
    described = lake.query(f"DESCRIBE SELECT * FROM {scan.sql} AS t")
    assert [(c["column_name"], c["column_type"]) for c in described] == [
        ("a", "INTEGER"),
        ("s", "STRUCT(x VARCHAR)"),
    ]
    assert lake.rows(table) == []


def test_an_empty_snapshot_is_empty(lake):
    rows = pa.table({"a": pa.array([1], pa.int32())})
    table = lake.create(rows.schema)
    table.append(rows)
    table.delete("a = 1")
    assert lake.rows(table) == []
    table.append(rows.slice(0, 0))
    assert lake.rows(table) == []


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


NESTED = Schema(
    field(1, "k", LongType()),
    field(2, "s", StructType(field(3, "x", IntegerType()), field(4, "y", StringType()))),
    field(5, "l", ListType(6, StructType(field(7, "p", IntegerType())), element_required=False)),
    field(
        8, "m", MapType(9, StringType(), 10, StructType(field(11, "v", DoubleType())), value_required=False)
    ),
)
NESTED_ROWS = [
    {"k": 1, "s": {"x": 1, "y": "a"}, "l": [{"p": 1}, None], "m": [("a", {"v": 0.5})]},
    {"k": 2, "s": None, "l": None, "m": None},
    {"k": 3, "s": {"x": None, "y": None}, "l": [], "m": []},
]


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


PLAIN = Schema(field(1, "a", IntegerType()), field(2, "b", StringType()))


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


def test_identity_partition_values_stand_in_for_columns_that_files_lack(lake, tmp_path):
    schema = Schema(
        field(1, "a", IntegerType()),
        field(2, "day", DateType(), required=True),
        field(3, "tz", TimestamptzType()),
        field(4, "s", StringType()),
        field(5, "m", DecimalType(9, 2)),
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
    table = lake.create(Schema(field(1, "a", IntegerType()), field(2, "b", StringType(), required=True)))
    path = write_parquet(tmp_path / "x.parquet", pa.table({"a": pa.array([1], pa.int32())}), {"a": 1})
    add_file(table, path, 1)
    with pytest.raises(CorruptData, match='lacks the required column "b"'):
        lake.scan(table)


def test_an_initial_default_stands_in_for_an_added_column(lake, tmp_path):
    schema = Schema(
        field(1, "a", IntegerType()),
        field(2, "n", LongType(), initial_default=7),
        field(3, "s", StringType(), initial_default="it's"),
    )
    table = lake.create(PLAIN)
    path = write_parquet(tmp_path / "x.parquet", pa.table({"a": pa.array([1], pa.int32())}), {"a": 1})
    add_file(table, path, 1)
    newer = table.metadata.model_copy(update={"schemas": [schema.model_copy(update={"schema_id": 0})]})
    sql = lake.scans.build(newer, None).sql
    assert lake.query(f"SELECT * FROM {sql}") == [{"a": 1, "n": 7, "s": "it's"}]


def test_names_that_differ_only_by_case_are_an_error(lake):
    table = lake.create(Schema(field(1, "a", IntegerType()), field(2, "A", IntegerType())))
    with pytest.raises(NotSupported, match='"a" and "A", which differ only by case'):
        lake.scan(table)


def test_a_name_may_change_its_case(lake):
    rows = pa.table({"Name": ["x"], "Total": pa.array([1], pa.int32())})
    table = lake.create(rows.schema)
    table.append(rows)
    with table.update_schema() as update:
        update.rename_column("Name", "name")
    assert lake.rows(table) == [{"name": "x", "Total": 1}]


def test_names_with_quotes_dots_and_commas(lake):
    rows = pa.table({'we"ird, x': [1], "a.b": [2], "it's": [3], "ö Ä": [4], "select": [5]})
    table = lake.create(rows.schema)
    table.append(rows)
    assert lake.rows(table) == rows.to_pylist()


def test_paths_with_wildcards_and_spaces(tmp_path):
    (tmp_path / "q1x").mkdir()
    write_parquet(tmp_path / "q1x" / "f.parquet", pa.table({"a": pa.array([99], pa.int32())}), {"a": 1})
    lake = Lake(tmp_path / "lake")
    table = lake.create(Schema(field(1, "a", IntegerType())))
    for number, name in enumerate(["q[1]x", "q?x", "a b%20", "q*"]):
        path = tmp_path / name / "f.parquet"
        write_parquet(path, pa.table({"a": pa.array([number], pa.int32())}), {"a": 1})
        add_file(table, path, 1)
    assert sorted(row["a"] for row in lake.rows(table)) == [0, 1, 2, 3]
    lake.close()


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


def test_no_name_of_the_reader_can_be_seen(lake):
    rows = pa.table({"a": pa.array([1], pa.int32())})
    table = lake.create(rows.schema)
    table.append(rows)
    for name in ("filename", "file_row_number", "file_index", "rowid"):
        with pytest.raises(Exception, match=f'"{name}" not found'):
            lake.query(f"SELECT {name} FROM {lake.scan(table).sql} AS t")


@pytest.mark.parametrize(
    ("stored", "kind", "value"),
    [
        (pa.array([b"h\xc3\xa9"]), StringType(), "hé"),
        (pa.array(["h\\xC3"]), BinaryType(), b"h\\xC3"),
        (pa.array([0], pa.timestamp("us")), TimestamptzType(), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        (pa.array([0], pa.timestamp("us", "UTC")), TimestampType(), naive(1970, 1, 1)),
        (pa.array([0], pa.timestamp("ms")), TimestampType(), naive(1970, 1, 1)),
        (pa.array([1], pa.date32()), TimestampType(), naive(1970, 1, 2)),
        (pa.array([5], pa.int8()), LongType(), 5),
        (pa.array([5], pa.uint32()), LongType(), 5),
        (pa.array([5], pa.int8()), IntegerType(), 5),
        (pa.array([5], pa.uint16()), IntegerType(), 5),
        (pa.array(["{}"], pa.json_()), StringType(), "{}"),
        (pa.array([Decimal("1.50")], pa.decimal128(5, 2)), DecimalType(10, 2), Decimal("1.50")),
    ],
    ids=str,
)
def test_values_stored_under_another_annotation(lake, tmp_path, stored, kind, value):
    table = lake.create(Schema(field(1, "a", kind)))
    add_file(table, write_parquet(tmp_path / "x.parquet", pa.table({"a": stored}), {"a": 1}), 1)
    lake.connection.execute("SET TimeZone = 'America/New_York'")
    read = lake.query(
        f"SELECT a, typeof(a) = typeof(NULL::{duckdb_type(kind)}) AS fits FROM {lake.scan(table).sql} AS t"
    )[0]
    assert read == {"a": value, "fits": True}
    lake.connection.execute("SET TimeZone = 'UTC'")


def test_a_type_that_can_not_have_been_written_is_corrupt(lake, tmp_path):
    table = lake.create(PLAIN)
    path = write_parquet(tmp_path / "x.parquet", pa.table({"a": ["5"], "b": ["x"]}), {"a": 1, "b": 2})
    add_file(table, path, 1)
    with pytest.raises(CorruptData, match='column "a" of type int as string'):
        lake.scan(table)


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


@pytest.mark.parametrize("writer", ["pyarrow", "duckdb", "pyiceberg"])
@pytest.mark.parametrize("kind", [FloatType(), DoubleType()])
def test_nan_is_never_lost(lake, tmp_path, writer, kind):
    table = lake.create(Schema(field(1, "f", kind)))
    arrow = pa.float32() if isinstance(kind, FloatType) else pa.float64()
    values = [1.0, math.nan, None, 2.0]
    path = tmp_path / "x.parquet"
    if writer == "pyarrow":
        write_parquet(path, pa.table({"f": pa.array(values, arrow)}), {"f": 1})
        add_file(table, path, 4, **bounds_of(kind))
    elif writer == "duckdb":
        lake.connection.execute(
            f"COPY (SELECT unnest([1, 'nan'::DOUBLE, NULL, 2])::{duckdb_type(kind)} AS f) "
            f"TO '{path}' (FIELD_IDS {{f: 1}})"
        )
        add_file(table, path, 4, nans={1: 1}, **bounds_of(kind))
    else:
        table.append(pa.table({"f": pa.array(values, arrow)}))
    for where, count in [
        ("f > 5", 1), ("f >= 2", 2), ("f <> 1", 2), ("f > 'nan'::DOUBLE", 0), ("f = 'nan'::FLOAT", 1),
        ("f < 5", 2), ("NOT f < 5", 1), ("f BETWEEN 1.5 AND 'nan'::DOUBLE", 2), ("isnan(f)", 1), ("f IS NULL", 1),
    ]:  # fmt: skip
        assert len(lake.rows(table, where)) == count, where
    largest = lake.query(f"SELECT max(f) AS m, min(f) AS n FROM {lake.scan(table).sql} AS t")
    assert math.isnan(largest[0]["m"])
    assert largest[0]["n"] == 1.0


def bounds_of(kind):
    form = "<f" if isinstance(kind, FloatType) else "<d"
    return {"lower": {1: struct.pack(form, 1.0)}, "upper": {1: struct.pack(form, 2.0)}, "nulls": {1: 1}}


@pytest.mark.parametrize("kind", list(DeleteKind))
def test_files_with_deletes_are_refused(lake, kind):
    rows = pa.table({"a": pa.array([1], pa.int32())})
    table = lake.create(rows.schema)
    table.append(rows)
    files = lake.manifests.files(table.metadata, None)
    with pytest.raises(NotSupported, match=f"lake.main.t has {kind}"):
        refuse_unreadable(replace(files, deletes=(DeleteFile("x", kind, 1),)), "lake.main.t")


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
