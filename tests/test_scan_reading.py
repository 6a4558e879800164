"""Scans yield the values of a snapshot as pyiceberg reads them, whoever wrote its files."""

from __future__ import annotations

import datetime as dt
import math
import struct
from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)
from scan_tables import PLAIN, add_file, naive, opened, write_parquet
from supported import reads

from scoter.engine.types import duckdb_type
from scoter.errors import CorruptData, NotSupported

lake = pytest.fixture(opened)


@reads("every primitive type", 2)
def test_every_primitive_type_reads_as_pyiceberg_reads_it(lake):
    schema = Schema(
        NestedField(1, "b", BooleanType()),
        NestedField(2, "i", IntegerType()),
        NestedField(3, "l", LongType()),
        NestedField(4, "f", FloatType()),
        NestedField(5, "d", DoubleType()),
        NestedField(6, "m", DecimalType(12, 2)),
        NestedField(7, "day", DateType()),
        NestedField(8, "at", TimestampType()),
        NestedField(9, "tz", TimestamptzType()),
        NestedField(10, "s", StringType()),
        NestedField(11, "raw", BinaryType()),
        NestedField(12, "u", UUIDType()),
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


@reads("tables without rows", 2)
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


def test_names_that_differ_only_by_case_are_an_error(lake):
    table = lake.create(Schema(NestedField(1, "a", IntegerType()), NestedField(2, "A", IntegerType())))
    with pytest.raises(NotSupported, match='"a" and "A", which differ only by case'):
        lake.scan(table)


def test_names_with_quotes_dots_and_commas(lake):
    rows = pa.table({'we"ird, x': [1], "a.b": [2], "it's": [3], "ö Ä": [4], "select": [5]})
    table = lake.create(rows.schema)
    table.append(rows)
    assert lake.rows(table) == rows.to_pylist()


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
    table = lake.create(Schema(NestedField(1, "a", kind)))
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


@reads("NaN", 2)
@pytest.mark.parametrize("writer", ["pyarrow", "duckdb", "pyiceberg"])
@pytest.mark.parametrize("kind", [FloatType(), DoubleType()])
def test_nan_is_never_lost(lake, tmp_path, writer, kind):
    table = lake.create(Schema(NestedField(1, "f", kind)))
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
