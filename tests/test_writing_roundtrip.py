"""What append writes, bare pyiceberg reads back unchanged, and its bounds hold for every value."""

import datetime as dt
import math
import struct
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.conversions import from_bytes
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema, assign_fresh_schema_ids
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
    TimeType,
    UUIDType,
)
from write_tables import bare

from scoter.engine.types import duckdb_type
from scoter.engine.writing import append
from scoter.engine.writing.datafiles import leaves

NAMES = ("a", 'qu"ote', "it's", "sp ace", "select", "ünï", "x.y", "_")

PRIMITIVES = {
    BooleanType(): st.booleans(),
    IntegerType(): st.integers(-(2**31), 2**31 - 1),
    LongType(): st.integers(-(2**63), 2**63 - 1),
    FloatType(): st.floats(width=32),
    DoubleType(): st.floats(),
    DecimalType(9, 2): st.decimals(-(10**7) + 1, 10**7 - 1, places=2),
    DecimalType(18, 0): st.integers(-(10**18) + 1, 10**18 - 1).map(Decimal),
    DecimalType(38, 38): st.integers(-(10**38) + 1, 10**38 - 1).map(
        lambda n: Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -38))
    ),
    DecimalType(2, 2): st.decimals(Decimal("-0.99"), Decimal("0.99"), places=2),
    DateType(): st.dates(),
    TimeType(): st.times(),
    TimestampType(): st.datetimes(),
    TimestamptzType(): st.datetimes(timezones=st.just(dt.UTC)),
    StringType(): st.text(max_size=24),
    BinaryType(): st.binary(max_size=24)
    | st.binary(min_size=16, max_size=40).map(lambda b: b"\xff" * 15 + b),
    UUIDType(): st.uuids(),
}


@st.composite
def kinds(draw, depth=0):
    """Draw an Iceberg type (ids 0: assigned later) and a strategy of its values."""
    what = draw(st.sampled_from(("leaf",) * 4 + (("struct", "list", "map") if depth < 2 else ())))
    if what == "leaf":
        kind = draw(st.sampled_from(list(PRIMITIVES)))
        return kind, PRIMITIVES[kind]
    if what == "struct":
        parts = [
            (name, *draw(kinds(depth + 1)))
            for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
        ]
        kind = StructType(*(NestedField(0, name, part, required=False) for name, part, _ in parts))
        return kind, st.fixed_dictionaries({name: st.none() | values for name, _, values in parts})
    if what == "list":
        part, values = draw(kinds(depth + 1))
        return ListType(0, part, element_required=False), st.lists(st.none() | values, max_size=3)
    key = draw(st.sampled_from([StringType(), LongType(), DateType(), UUIDType()]))
    part, values = draw(kinds(depth + 1))
    pairs = st.lists(
        st.tuples(PRIMITIVES[key], st.none() | values), max_size=3, unique_by=lambda pair: pair[0]
    )
    return MapType(0, key, 0, part, value_required=False), pairs


@st.composite
def tables(draw):
    """Draw a schema with a row number first, and rows."""
    columns = [
        (name, *draw(kinds()))
        for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    ]
    fields = [NestedField(1, "row", LongType(), required=True)]
    fields += [NestedField(i, name, kind, required=False) for i, (name, kind, _) in enumerate(columns, 2)]
    row = st.fixed_dictionaries({name: st.none() | values for name, _, values in columns})
    rows = draw(st.lists(row, max_size=6))
    return fields, [{"row": number, **row} for number, row in enumerate(rows)]


catalog = pytest.fixture(scope="module")(bare)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(config={"async_threads": 0}) as connection:
        connection.execute("SET TimeZone='Asia/Kolkata'")
        yield connection


def make(catalog, fields, spec=None):
    """Make a table; pyiceberg's own creation refuses some nested schemas, so ids are assigned first."""
    schema = assign_fresh_schema_ids(Schema(*fields, identifier_field_ids=[]))
    return catalog.create_table(
        f"main.t{uuid.uuid4().hex}", schema, **({} if spec is None else {"partition_spec": spec})
    )


def arrow_of(schema, rows):
    """Return the rows as Arrow; UUIDs as 16 bytes, which DuckDB casts."""
    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    plain = pa.schema([pa.field(field.name, plain_type(field.type)) for field in arrow])
    return pa.Table.from_pylist([storable(row) for row in rows], schema=plain)


def plain_type(kind):
    if isinstance(kind, pa.BaseExtensionType):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, plain_type(part.type)) for part in kind])
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    return kind


def storable(value):
    if isinstance(value, dict):
        return {key: storable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [storable(part) for part in value]
    if isinstance(value, tuple):
        return tuple(storable(part) for part in value)
    return value.bytes if isinstance(value, uuid.UUID) else value


def same(value):
    """Return a form in which equal values are equal: NaN to itself, -0.0 not to 0.0, bytes for UUIDs."""
    if isinstance(value, dict):
        return {key: same(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [same(part) for part in value]
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, Decimal):
        return str(value)
    return value


def blurred(value):
    """Forget the difference between NULL and empty lists: pyiceberg reads its own NULLs as empty, too."""
    if isinstance(value, dict):
        return {key: blurred(part) for key, part in value.items()}
    return [blurred(part) for part in value] or None if isinstance(value, list) else value


def write(connection, table, rows):
    schema = table.schema()
    connection.register("given", arrow_of(schema, rows))
    try:
        return append(connection, "SELECT * FROM given", table, properties={})
    finally:
        connection.unregister("given")


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_rows_return_unchanged_and_bounds_hold(catalog, connection, drawn):
    fields, rows = drawn
    table = make(catalog, fields)
    written = write(connection, table, rows)
    table.refresh()
    assert written.rows == len(rows)
    if rows:
        found = table.scan().to_arrow().sort_by("row").to_pylist()
        assert [blurred(same(row)) for row in found] == [blurred(same(row)) for row in rows]
        (task,) = table.scan().plan_files()
        raw = pq.ParquetFile(task.file.file_path.removeprefix("file://")).read().to_pylist()
        assert [same(row) for row in raw] == [same(row) for row in rows]
        assert task.file.record_count == len(rows)
        check_metrics(table.schema(), rows, task.file)


def check_metrics(schema, rows, file):
    for leaf in leaves(schema):
        if not leaf.bounded:
            assert leaf.field_id not in file.lower_bounds
            assert leaf.field_id not in file.upper_bounds
            continue
        values = [at(row, leaf.path) for row in rows]
        known = [value for value in values if value is not None]
        assert file.value_counts[leaf.field_id] == len(rows)
        assert file.null_value_counts[leaf.field_id] == len(rows) - len(known)
        assert file.column_sizes[leaf.field_id] > 0
        ordered = [v for v in known if not (isinstance(v, float) and math.isnan(v))]
        if isinstance(leaf.kind, FloatType | DoubleType):
            assert file.nan_value_counts[leaf.field_id] == len(known) - len(ordered)
        else:
            assert leaf.field_id not in (file.nan_value_counts or {})
        lower, upper = file.lower_bounds.get(leaf.field_id), file.upper_bounds.get(leaf.field_id)
        if not ordered:
            assert lower is None
            assert upper is None
            continue
        check_bounds(leaf.kind, [number(v) for v in ordered], lower, upper)


def check_bounds(kind, values, lower, upper):
    text = isinstance(kind, StringType | BinaryType)
    assert lower is not None
    least = comparable(from_bytes(kind, lower))
    assert least <= min(values)
    if text:
        assert len(least) <= 16
        assert min(values).startswith(least)
    else:
        assert least == min(values)
    if upper is None:
        assert text
        assert len(max(values)) > 16
        return
    most = comparable(from_bytes(kind, upper))
    assert most >= max(values)
    if text:
        assert len(most) <= 16
    else:
        assert most == max(values)
    if isinstance(kind, FloatType | DoubleType):
        assert math.copysign(1, least) == -1 or least > 0
        assert math.copysign(1, most) == 1 or most < 0


def at(row, path):
    for name in path:
        if row is None:
            return None
        row = row[name]
    return row


def number(value):
    """Return a value as Iceberg stores it: times as integers, UUIDs as bytes."""
    if isinstance(value, dt.datetime):
        start = dt.datetime(1970, 1, 1, tzinfo=value.tzinfo)
        return (value - start) // dt.timedelta(microseconds=1)
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days
    if isinstance(value, dt.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    return comparable(value)


def comparable(value):
    return value.bytes if isinstance(value, uuid.UUID) else value


def test_every_type_has_a_duckdb_type():
    assert all(duckdb_type(kind) for kind in PRIMITIVES)


def file_of(catalog, connection, sql, *fields):
    table = make(catalog, fields)
    append(connection, sql, table, properties={})
    table.refresh()
    (task,) = table.scan().plan_files()
    return table, task.file


def test_times_beyond_python_have_right_bounds(catalog, connection):
    table, file = file_of(
        catalog,
        connection,
        """SELECT unnest([DATE '4714-01-01 (BC)', DATE '0001-02-28 (BC)', DATE '0005-02-29 (BC)', DATE '290000-12-31']),
                  unnest([TIMESTAMP '4714-01-01 (BC) 00:00:00.000001', TIMESTAMP '1969-12-31 23:59:59.5',
                          TIMESTAMP '0044-03-15 (BC) 01:02:03', TIMESTAMP '290000-12-31 23:59:59.999999']),
                  unnest([TIMESTAMPTZ '4714-01-01 (BC) 00:00:00+00', NULL, NULL, TIMESTAMPTZ '29000-01-01 00:00:00+00'])""",
        NestedField(1, "d", DateType(), required=False),
        NestedField(2, "t", TimestampType(), required=False),
        NestedField(3, "z", TimestamptzType(), required=False),
    )
    columns = table.scan().to_arrow()
    for field_id, name, width in ((1, "d", pa.int32()), (2, "t", pa.int64()), (3, "z", pa.int64())):
        stored = columns[name].combine_chunks().view(width).drop_null().to_pylist()
        form = "<i" if width == pa.int32() else "<q"
        assert struct.unpack(form, file.lower_bounds[field_id]) == (min(stored),)
        assert struct.unpack(form, file.upper_bounds[field_id]) == (max(stored),)


@pytest.mark.parametrize(
    "text", ["z" * 300, "é" * 300, "\U0010ffff" * 20, "\ud7ff" * 100, "a" * 20_000, "\x00" * 17]
)
def test_long_texts_have_bounds_that_hold(catalog, connection, text):
    field = NestedField(1, "s", StringType(), required=False)
    table = make(catalog, [field])
    append(connection, "SELECT unnest([$1, 'm'])", table, properties={}, parameters=[text])
    table.refresh()
    (task,) = table.scan().plan_files()
    lower, upper = task.file.lower_bounds.get(1), task.file.upper_bounds.get(1)
    assert lower is None or lower.decode() <= min(text, "m")
    assert upper is None or upper.decode() >= max(text, "m")
    assert table.scan(row_filter=f"s = '{text}'").to_arrow().num_rows == 1


def test_many_row_groups_with_gaps_keep_bounds_right(catalog, connection):
    """A row group without values, or with texts too long to have statistics, hides no value of others."""
    table, file = file_of(
        catalog,
        connection,
        """SELECT CASE WHEN i < 200000 THEN 'nan'::DOUBLE ELSE i END,
                  CASE WHEN i < 200000 THEN NULL ELSE i END,
                  CASE WHEN i < 200000 THEN repeat('é', 300) ELSE 'm' || i END,
                  CASE WHEN i >= 200000 THEN repeat('zz', 300) ELSE 'm' || i END FROM range(300000) t(i)""",
        NestedField(1, "d", DoubleType(), required=False),
        NestedField(2, "n", LongType(), required=False),
        NestedField(3, "s", StringType(), required=False),
        NestedField(4, "z", StringType(), required=False),
    )
    assert file.nan_value_counts[1] == 200_000
    assert file.null_value_counts[2] == 200_000
    for field_id, least, most in ((1, 200_000.0, 299_999.0), (2, 200_000, 299_999)):
        kind = table.schema().find_type(field_id)
        assert field_id not in file.lower_bounds or from_bytes(kind, file.lower_bounds[field_id]) <= least
        assert field_id not in file.upper_bounds or from_bytes(kind, file.upper_bounds[field_id]) >= most
    for field_id, most in ((3, "é" * 300), (4, "z" * 600)):
        assert field_id not in file.lower_bounds or file.lower_bounds[field_id].decode() <= "m0"
        assert field_id not in file.upper_bounds or file.upper_bounds[field_id].decode() >= most
