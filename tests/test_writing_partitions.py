"""Partition tuples that append writes are those of Iceberg's transforms, for every type and any value."""

import datetime as dt
import math
import struct
import uuid
from decimal import Decimal

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.avro.decoder import StreamingBinaryDecoder
from pyiceberg.expressions import EqualTo, IsNull
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    VoidTransform,
    YearTransform,
)
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
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)
from write_tables import bare, lock

from scoter.engine.writing import append
from scoter.errors import NumericOutOfRange


def float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # TIMESTAMP has no zone
TRICKY = ("__HIVE_DEFAULT_PARTITION__", "", "a/b=c%", "None", "NULL", "..", "\x00", "🦆é́x", "é" * 300)
VALUES = {
    BooleanType(): st.booleans(),
    IntegerType(): st.integers(-50, 50) | st.integers(-(2**31) + 1000, 2**31 - 1),
    LongType(): st.integers(-50, 50) | st.integers(-(2**63) + 1000, 2**63 - 1),
    FloatType(): st.floats(width=32) | st.sampled_from([0.0, -0.0, math.nan, 0.1]).map(float32),
    DoubleType(): st.floats() | st.sampled_from([0.0, -0.0, math.nan, -math.nan, 0.1]),
    DecimalType(9, 2): st.decimals(-9_999_000, 9_999_000, places=2) | st.decimals(-5, 5, places=2),
    DecimalType(18, 0): st.integers(-(10**17), 10**17).map(Decimal),
    DecimalType(38, 10): st.integers(-(10**37), 10**37).map(
        lambda n: Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -10))
    ),
    DateType(): st.dates() | st.dates(dt.date(1969, 12, 1), dt.date(1970, 2, 1)),
    TimeType(): st.times(),
    TimestampType(): st.datetimes() | st.datetimes(EPOCH - dt.timedelta(1), EPOCH + dt.timedelta(1)),
    TimestamptzType(): st.datetimes(timezones=st.just(dt.UTC)),
    StringType(): st.text(max_size=12) | st.sampled_from(TRICKY),
    BinaryType(): st.binary(max_size=12),
    UUIDType(): st.uuids(),
}
TRANSFORMS = (
    IdentityTransform(),
    YearTransform(),
    MonthTransform(),
    DayTransform(),
    HourTransform(),
    BucketTransform(7),
    BucketTransform(1000),
    TruncateTransform(1),
    TruncateTransform(10),
)
PAIRS = [(kind, transform) for kind in VALUES for transform in TRANSFORMS if transform.can_transform(kind)]


catalog = pytest.fixture(scope="module")(bare)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(config={"async_threads": 0}) as connection:
        connection.execute("SET TimeZone='America/St_Johns'")
        yield connection


def make(catalog, fields, *parts):
    spec = PartitionSpec(
        *(
            PartitionField(source, 1000 + position, transform, f"p{position}")
            for position, (source, transform) in enumerate(parts)
        )
    )
    return catalog.create_table(f"main.t{uuid.uuid4().hex}", Schema(*fields), partition_spec=spec)


def write(connection, table, values, kind):
    arrow = pa.binary() if isinstance(kind, UUIDType) else table.schema().as_arrow().field("v").type
    stored = [value.bytes if isinstance(value, uuid.UUID) else value for value in values]
    given = pa.table({"v": pa.array(stored, arrow), "row": range(len(values))})
    connection.register("given", given)
    try:
        return append(connection, "SELECT * FROM given", table, properties={})
    finally:
        connection.unregister("given")


def files_of(table):
    return [
        entry.data_file
        for manifest in table.current_snapshot().manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io)
    ]


def rows_of(file):
    return pq.ParquetFile(file.file_path.removeprefix("file://")).read().to_pylist()


def expected(kind, transform, value):
    """Return Iceberg's value for a row, from pyiceberg's transform of the Python value."""
    if value is None:
        return None
    if isinstance(transform, BucketTransform) and isinstance(kind, UUIDType):
        value = value.bytes
    return plain(transform.transform(kind)(value))


def plain(value):
    """Return a value in the one form that both sides share."""
    if isinstance(value, dt.datetime):
        return (value.replace(tzinfo=None) - EPOCH) // dt.timedelta(microseconds=1)
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days
    if isinstance(value, dt.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    return value


@pytest.mark.parametrize(("kind", "transform"), PAIRS, ids=str)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_tuples_are_those_of_pyiceberg(catalog, connection, kind, transform, data):
    values = data.draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=12))
    table = make(
        catalog,
        [NestedField(1, "v", kind, required=False), NestedField(2, "row", LongType(), required=False)],
        (1, transform),
    )
    written = write(connection, table, values, kind)
    table.refresh()
    seen = []
    tuples = set()
    for file in files_of(table):
        own = plain(file.partition[0])
        if isinstance(kind, DoubleType):
            own = exact_double(table, file)
        assert own not in tuples
        tuples.add(own)
        for row in rows_of(file):
            seen.append(row["row"])
            assert expected(kind, transform, values[row["row"]]) == own
    assert sorted(seen) == list(range(len(values)))
    assert written.files == len(tuples)
    check_pruned(table, kind, transform, values)


def exact_double(table, file):
    """Return a partition's double by pyiceberg's slow decoder, as its fast one makes it a float."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyiceberg.avro.file.new_decoder", StreamingBinaryDecoder)
        for other in files_of(table):
            if other.file_path == file.file_path:
                return plain(other.partition[0])
    raise AssertionError(file.file_path)


def check_pruned(table, kind, transform, values):
    """A scan that prunes by partition finds every row that has the value."""
    identity = isinstance(transform, IdentityTransform)
    if isinstance(kind, TimeType) or (identity and isinstance(kind, DoubleType | UUIDType)):
        # pyiceberg's expressions take no time; it reads a partition's double as a float, and compares a
        # partition's UUID with bytes, so that its own scans lose rows.
        return
    for value in values[:3]:
        if value is None:
            found = table.scan(row_filter=IsNull("v")).to_arrow()
            assert found.num_rows == values.count(None)
        elif not isinstance(value, float) or math.isfinite(value):  # pyiceberg finds no infinite float
            literal = value.isoformat() if isinstance(value, dt.datetime) else value
            if isinstance(kind, UUIDType | DateType):
                literal = str(value)
            found = table.scan(row_filter=EqualTo("v", literal), selected_fields=("row",)).to_arrow()
            assert found.num_rows == sum(1 for other in values if other is not None and other == value)


def test_tricky_texts_are_told_apart(catalog, connection):
    table = make(
        catalog,
        [
            NestedField(1, "v", StringType(), required=False),
            NestedField(2, "row", LongType(), required=False),
        ],
        (1, IdentityTransform()),
    )
    values = [None, *TRICKY]
    write(connection, table, values, StringType())
    table.refresh()
    found = {file.partition[0]: [row["v"] for row in rows_of(file)] for file in files_of(table)}
    assert found == {value: [value] for value in values}


def test_several_fields_nested_source_void_and_taken_names(catalog, connection):
    fields = [
        NestedField(1, "partition_0", StringType(), required=False),
        NestedField(
            2,
            "st",
            StructType(NestedField(3, "in'ner", TimestamptzType(), required=False)),
            required=False,
        ),
    ]
    table = make(
        catalog,
        fields,
        (1, TruncateTransform(2)),
        (3, HourTransform()),
        (1, VoidTransform()),
        (1, BucketTransform(3)),
    )
    append(
        connection,
        """SELECT CASE WHEN i % 2 = 0 THEN 'ab' || i END,
                  CASE WHEN i < 4 THEN {'in''ner': TIMESTAMPTZ '1969-12-31 23:30:00+00' + to_hours(i::INT)} END
           FROM range(6) t(i)""",
        table,
        properties={},
    )
    table.refresh()
    count = 0
    for file in files_of(table):
        for row in rows_of(file):
            count += 1
            inner = None if row["st"] is None else row["st"]["in'ner"]
            text = row["partition_0"]
            assert file.partition[0] == (None if text is None else text[:2])
            assert file.partition[1] == (None if inner is None else math.floor(inner.timestamp() / 3600))
            assert file.partition[2] is None
            assert file.partition[3] == expected(StringType(), BucketTransform(3), text)
    assert count == 6


@pytest.mark.parametrize(
    ("kind", "value"),
    [(IntegerType(), -(2**31)), (LongType(), -(2**63)), (DecimalType(4, 2), Decimal("-99.99"))],
)
def test_truncation_below_the_least_value_is_refused(catalog, connection, kind, value):
    """Java wraps around and pyiceberg does not, so that one of them would prune the row away."""
    table = make(
        catalog,
        [NestedField(1, "v", kind, required=False), NestedField(2, "row", LongType(), required=False)],
        (1, TruncateTransform(1000)),
    )
    with pytest.raises((NumericOutOfRange, duckdb.ConversionException)):
        write(connection, table, [value], kind)
    assert table.refresh().current_snapshot() is None


def test_a_thousand_partitions_and_bounded_memory(catalog):
    table = make(
        catalog,
        [
            NestedField(1, "v", LongType(), required=False),
            NestedField(2, "row", DoubleType(), required=False),
        ],
        (1, BucketTransform(1000)),
    )
    with duckdb.connect(config={"memory_limit": "300MB", "threads": 2, "async_threads": 0}) as connection:
        append(connection, "SELECT 1, 2.0", table, properties={})
        before = psutil.Process().memory_info().rss
        written = append(
            connection, "SELECT i, i / 3 FROM range(2000000) t(i)", table.refresh(), properties={}
        )
        grown = psutil.Process().memory_info().rss - before
    assert (written.rows, written.files) == (2_000_000, 1000)
    assert grown < 1_000_000_000
    table.refresh()
    assert sum(file.record_count for file in files_of(table)) == 2_000_001
    assert table.scan(row_filter="v = 77").to_arrow().num_rows == 1


def test_buckets_work_on_a_locked_connection_and_twice(catalog):
    table = make(
        catalog,
        [NestedField(1, "v", LongType(), required=False), NestedField(2, "row", LongType(), required=False)],
        (1, BucketTransform(4)),
    )
    warehouse = table.location().removeprefix("file://").rsplit("/", 1)[0]
    with duckdb.connect(config={"async_threads": 0}) as connection:
        lock(connection, warehouse)
        for _ in range(2):
            append(connection, "SELECT i, i FROM range(100) t(i)", table, properties={})
            table.refresh()
        with connection.cursor() as cursor:
            append(cursor, "SELECT i, i FROM range(100) t(i)", table, properties={})
    assert table.refresh().scan().to_arrow().num_rows == 300
