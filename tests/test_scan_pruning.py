"""Pruning leaves out files that can not matter, and never a row that does."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
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
)
from scan_tables import Lake, add_file, naive, write_parquet
from supported import reads

SCHEMA = Schema(
    NestedField(1, "i", IntegerType()),
    NestedField(2, "l", LongType()),
    NestedField(3, "f", FloatType()),
    NestedField(4, "d", DoubleType()),
    NestedField(5, "m", DecimalType(9, 2)),
    NestedField(6, "day", DateType()),
    NestedField(7, "ts", TimestampType()),
    NestedField(8, "s", StringType()),
    NestedField(9, "b", BooleanType()),
    NestedField(10, "tz", TimestamptzType()),
)
ARROW = pa.schema(
    [
        ("i", pa.int32()),
        ("l", pa.int64()),
        ("f", pa.float32()),
        ("d", pa.float64()),
        ("m", pa.decimal128(9, 2)),
        ("day", pa.date32()),
        ("ts", pa.timestamp("us")),
        ("s", pa.string()),
        ("b", pa.bool_()),
        ("tz", pa.timestamp("us", "UTC")),
    ]
)


def row(number):
    """Return a row whose every column grows with ``number`` (0 to 9)."""
    return {
        "i": number * 10,
        "l": number * 2**40,
        "f": number / 10,
        "d": number * 1e10,
        "m": Decimal(number) + Decimal("0.25"),
        "day": dt.date(2020, 1 + number, 15),
        "ts": naive(2010 + number, 6, 1, 12),
        "s": "abcdefghij"[number] * 3,
        "b": number > 4,
        "tz": dt.datetime(2010 + number, 6, 1, 12, tzinfo=dt.UTC),
    }


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("pruning"))
    yield lake
    lake.close()


@pytest.fixture(scope="module")
def ten(lake):
    """A table of ten files, one row each, and an eleventh of NULLs."""
    table = lake.create(SCHEMA)
    for number in range(10):
        table.append(pa.Table.from_pylist([row(number)], schema=ARROW))
    table.append(pa.Table.from_pylist([dict.fromkeys(ARROW.names)], schema=ARROW))
    return table


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("i = 50", 1),
        ("50 = i", 1),
        ("i > 70", 2),
        ("70 < i", 2),
        ("i >= 70.5", 3),
        ("NOT i < 80", 2),
        ("NOT (i < 80 OR i = 90)", 1),
        ("i <> 0", 9),
        ("i = NULL", 0),
        ("NOT i = NULL", 0),
        ("i IN (0, 90, 91, NULL)", 2),
        ("i NOT IN (0, 90)", 10),
        ("i BETWEEN 20 AND 40", 3),
        ("i NOT BETWEEN 10 AND 80", 2),
        ("i IS NULL", 1),
        ("i IS NOT NULL", 10),
        ("i = 50 OR s = 'aaa'", 2),
        ("i = 50 OR length(s) = 3", 11),
        ("i = 50 AND length(s) = 3", 1),
        ("i IS NOT DISTINCT FROM 50", 1),
        ("i IS NOT DISTINCT FROM NULL", 11),
        ("i IS DISTINCT FROM 50", 11),
        ("i = 20 + 30", 1),
        ("i = -1", 0),
        ("i > 99999999999999999999999999", 0),
        ("i > 1e1", 9),
        ("i = '50'", 10),
        ("CAST(i AS BIGINT) = 50", 1),
        ("CAST(i AS VARCHAR) = '50'", 11),
        ("i + 1 = 51", 11),
        ("random() < 2 AND i = 50", 1),
        ("TRUE", 11),
        ("FALSE", 11),
        ("l >= 9895604649984", 1),
        ("f > 0.85", 11),
        ("f = 0.5", 1),
        ("d < 1", 1),
        ("m = 5.25", 1),
        ("m > 8.255", 1),
        ("m >= 9", 1),
        ("m < 0.25", 0),
        ("day = DATE '2020-03-15'", 1),
        ("day = '2020-03-15'", 1),
        ("day < DATE '2020-04-20' - INTERVAL 2 MONTH", 2),
        ("day >= DATE '2020-09-15' + INTERVAL '1 month'", 1),
        ("day > TIMESTAMP '2020-10-14 23:59:59'", 1),
        ("date_trunc('month', day) = DATE '2020-03-01'", 1),
        ("year(day) = 2020", 10),
        ("year(day) = 2021", 0),
        ("ts > TIMESTAMP '2018-12-31 10:00:00'", 1),
        ("ts > '2018-12-31'", 1),
        ("year(ts) IN (2011, 2012)", 2),
        ("EXTRACT(year FROM ts) = 2015", 1),
        ("CAST(ts AS DATE) = DATE '2015-06-01'", 1),
        ("CAST(ts AS DATE) = DATE '2015-06-02'", 0),
        ("date_trunc('week', ts) = TIMESTAMP '2015-06-01'", 1),
        ("date_trunc('year', ts) < TIMESTAMP '2012-01-01'", 2),
        ("date_trunc('decade', ts) < TIMESTAMP '2012-01-01'", 11),
        ("tz > '2018-12-31'", 1),
        ("tz = '2015-06-01 12:00:00+00'", 1),
        ("tz = '2015-06-02 12:00:00Z'", 0),
        ("tz::DATE = DATE '2015-06-01'", 11),
        ("s = 'ccc'", 1),
        ("s LIKE 'cc%'", 1),
        ("s LIKE 'c_c'", 1),
        ("s LIKE 'ccc'", 1),
        ("s LIKE '%c'", 10),
        ("s NOT LIKE 'c%'", 11),
        ("s ILIKE 'C%'", 11),
        ("s LIKE 'c!%' ESCAPE '!'", 11),
        ("starts_with(s, 'j')", 1),
        ("s ^@ 'j'", 1),
        ("s > 'i'", 2),
        ("s = 5", 10),
        ("upper(s) = 'CCC'", 11),
        ("s COLLATE NOCASE = 'CCC'", 11),
        ("b", 5),
        ("NOT b", 5),
        ("b = false", 5),
        ("b IS TRUE", 5),
        ("b IS NOT TRUE", 11),
        ("i = (SELECT 50)", 11),
        ("i IN (SELECT 50)", 11),
        ("CASE WHEN i = 50 THEN true END", 11),
        ("coalesce(i, 50) = 50", 11),
    ],
)
def test_files_that_are_kept(lake, ten, where, files):
    scan = lake.scan(ten, where)
    assert (scan.files, scan.files_total) == (files, 11)
    if "= 5" in where and where.startswith("s"):
        return
    whole = lake.query(f"SELECT * FROM {lake.scan(ten).sql} AS t WHERE {where}")
    assert sorted(lake.rows(ten, where), key=repr) == sorted(whole, key=repr)


def test_facts_for_explain(lake, ten):
    scan = lake.scan(ten, "i >= 80")
    assert (scan.files, scan.files_total, scan.rows) == (2, 11, 2)
    assert 0 < scan.bytes < scan.bytes_total
    assert lake.scan(ten, "i > 1000").note == "every file was pruned"


def test_dates_and_times_beyond_the_calendar(lake, tmp_path):
    table = lake.create(Schema(NestedField(1, "day", DateType()), NestedField(2, "ts", TimestampType())))
    for number, (day, ts) in enumerate(
        [("infinity", "infinity"), ("-infinity", "-infinity"), ("2020-01-01",) * 2]
    ):
        path = tmp_path / f"{number}.parquet"
        lake.connection.execute(
            f"COPY (SELECT DATE '{day}' AS day, TIMESTAMP '{ts}' AS ts) TO '{path}' (FIELD_IDS {{day: 1, ts: 2}})"
        )
        days = {"infinity": 2**31 - 1, "-infinity": -(2**31) + 1}.get(day, 18262)
        micros = {"infinity": 2**63 - 1, "-infinity": -(2**63) + 1}.get(ts, 18262 * 86_400_000_000)
        low = {1: days.to_bytes(4, "little", signed=True), 2: micros.to_bytes(8, "little", signed=True)}
        add_file(table, path, 1, lower=low, upper=low, nulls={1: 0, 2: 0})
    whole = lake.scan(table).sql
    for where in [
        "day > DATE '2021-01-01'",
        "day >= DATE 'infinity'",
        "day < DATE 'infinity'",
        "day > TIMESTAMP '2021-01-01'",
        "CAST(day AS TIMESTAMP) > TIMESTAMP '2021-01-01'",
        "ts > TIMESTAMP '2021-01-01'",
        "ts < DATE '2019-01-01'",
        "CAST(ts AS DATE) > DATE '2021-01-01'",
        "date_trunc('month', ts) >= TIMESTAMP '2020-01-01'",
        "date_trunc('month', day) <= TIMESTAMP '2020-01-01'",
        "year(ts) = 2020",
    ]:
        pruned = lake.scan(table, where).sql
        counts = [
            lake.query(f"SELECT count(*) AS n FROM {sql} AS t WHERE {where}")[0]["n"]
            for sql in (whole, pruned)
        ]
        assert counts[0] == counts[1], where


def partitioned(lake, *fields):
    spec = PartitionSpec(
        *(PartitionField(n, 1000 + i, t, f"p{i}") for i, (n, t) in enumerate(fields)), spec_id=0
    )
    return lake.create(SCHEMA, spec)


@reads("partition transforms", 2)
def test_pruning_by_bucket_and_identity_partitions(lake):
    table = partitioned(lake, (2, BucketTransform(8)), (8, IdentityTransform()))
    table.append(pa.Table.from_pylist([row(number) for number in range(10)], schema=ARROW))
    total = lake.scan(table).files
    assert total == 10
    # All files but one have another string; a bucket alone still leaves out most files.
    assert lake.scan(table, "s = 'ccc'").files == 1
    found = lake.scan(table, "l = 2199023255552")
    assert found.files == 1
    assert [r["i"] for r in lake.rows(table, "l = 2199023255552")] == [20]


def test_buckets_prune_files_without_bounds(lake, tmp_path):
    table = partitioned(lake, (1, BucketTransform(4)))
    transform = BucketTransform(4).transform(IntegerType())
    for number in range(8):
        data = pa.table({"i": pa.array([number], pa.int32())})
        path = write_parquet(tmp_path / f"{number}.parquet", data, {"i": 1})
        add_file(table, path, 1, partition=(transform(number),))
    for number in range(8):
        kept = lake.scan(table, f"i = {number}").files
        assert 0 < kept < 8
        assert [r["i"] for r in lake.rows(table, f"i = {number}")] == [number]
    assert len(lake.rows(table, "i IN (1, 5, 6)")) == 3


@reads("partition specs that changed", 2)
def test_spec_evolution_keeps_old_files_readable_and_prunable(lake):
    table = partitioned(lake, (8, IdentityTransform()))
    table.append(pa.Table.from_pylist([row(0), row(1)], schema=ARROW))
    with table.update_spec() as update:
        update.remove_field("p0")
        update.add_field("day", DayTransform(), "day_part")
    table.append(pa.Table.from_pylist([row(2), row(3)], schema=ARROW))
    with table.update_spec() as update:
        update.add_field("s", TruncateTransform(1), "s_part")
        update.add_field("i", BucketTransform(4), "i_part")
    table.append(pa.Table.from_pylist([row(4), row(5), row(0)], schema=ARROW))
    assert len(lake.rows(table)) == 7
    for where, rows in [
        ("s = 'aaa'", 2),
        ("s = 'ddd'", 1),
        ("i = 50", 1),
        ("i = 0", 2),
        ("day < '2020-02-01'", 2),
    ]:
        assert len(lake.rows(table, where)) == rows, where
        assert lake.scan(table, where).files == rows, where


def test_a_float_partition_of_nan(lake, tmp_path):
    table = partitioned(lake, (4, IdentityTransform()))
    for number, value in enumerate([1.0, math.nan, None]):
        data = pa.table({"d": pa.array([value], pa.float64())})
        add_file(table, write_parquet(tmp_path / f"{number}.parquet", data, {"d": 4}), 1, partition=(value,))
    assert [lake.scan(table, where).files for where in ("d > 5", "d <= 1", "d IS NULL", "d <> 1")] == [
        1,
        1,
        1,
        2,
    ]
    assert len(lake.rows(table, "d > 5")) == 1


def test_promoted_columns_are_pruned_by_old_and_new_bounds(lake):
    table = lake.create(Schema(NestedField(1, "a", IntegerType()), NestedField(2, "f", FloatType())))
    table.append(pa.table({"a": pa.array([1, 2], pa.int32()), "f": pa.array([0.1, 0.2], pa.float32())}))
    with table.update_schema() as update:
        update.update_column("a", LongType())
        update.update_column("f", DoubleType())
    table.append(pa.table({"a": [2**40], "f": [0.3]}))
    assert lake.scan(table, "a > 5").files == 1
    assert lake.scan(table, "a = 2").files == 1
    assert len(lake.rows(table, f"a IN (2, {2**40})")) == 2
    single = float(pa.scalar(0.1, pa.float32()).as_py())
    assert len(lake.rows(table, f"f = {single!r}")) == 1


def test_a_renamed_column_is_pruned_by_its_id(lake):
    table = lake.create(pa.schema([("a", pa.int32()), ("b", pa.int32())]))
    for number in range(3):
        table.append(pa.table({"a": pa.array([number], pa.int32()), "b": pa.array([100], pa.int32())}))
    with table.update_schema() as update:
        update.rename_column("a", "c")
    with table.update_schema() as update:
        update.rename_column("b", "a")
    assert lake.scan(table, "c = 1").files == 1
    assert lake.scan(table, "a = 1").files == 0
    assert lake.rows(table, "a = 100 AND c = 1") == [{"c": 1, "a": 100}]


def test_bounds_with_zero_bytes_and_cut_strings(lake):
    table = lake.create(pa.schema([("s", pa.string())]))
    long = "x" * 40
    for value in ["a", "a\x00", "é", long, long + "y", "\U0010ffff" * 20]:
        table.append(pa.table({"s": [value]}))
    for value in ["a", "é", long, long + "y", "\U0010ffff" * 20]:
        assert [r["s"] for r in lake.rows(table, f"s = '{value}'")] == [value]
    assert len(lake.rows(table, "s <= ('a' || chr(0))")) == 2
    assert len(lake.rows(table, "s LIKE 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx%'")) == 2


VALUES = {
    "i": st.integers(-3, 3),
    "l": st.sampled_from([-(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1]),
    "f": st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 0.1, 0.5, 16777216.0]),
    "d": st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 0.1, 0.5, 1e300]),
    "m": st.decimals(-2, 2, places=2),
    "day": st.dates(dt.date(1969, 12, 28), dt.date(1970, 1, 5)),
    "ts": st.datetimes(naive(1969, 12, 30), naive(1970, 1, 3)),
    "s": st.text(alphabet="abé\x00%_", max_size=3),
    "b": st.booleans(),
}
CONSTANTS = {
    "i": ["0", "-1", "2", "0.5", "1e0", "NULL", "99999999999", "CAST(1 AS BIGINT)", "1 + 1"],
    "l": ["0", "9007199254740993", "9007199254740992.5", "9.007199254740992e15", "-9223372036854775808"],
    "f": ["0", "0.1", "0.5", "'nan'::FLOAT", "1e-1", "16777217", "'inf'::FLOAT", "0.1::DOUBLE"],
    "d": ["0", "0.1", "-0.0", "'nan'::DOUBLE", "1e300", "'-inf'::DOUBLE", "0.3 - 0.2"],
    "m": ["0", "1.00", "0.005", "1e0", "-1", "1.5::DOUBLE"],
    "day": ["DATE '1970-01-01'", "'1969-12-31'", "TIMESTAMP '1969-12-31 12:00:00'", "DATE '1970-01-02' - INTERVAL 1 DAY"],
    "ts": ["TIMESTAMP '1970-01-01 00:00:00'", "DATE '1969-12-31'", "'1970-01-01 06:30:00.5'", "'1970-01-02'"],
    "s": ["''", "'a'", "'b'", "'aé'", "'a' || chr(0)"],
    "b": ["true", "false"],
}  # fmt: skip
FUNCTIONS = {
    "day": [("year({})", ["1969", "1970"]), ("date_trunc('week', {})", ["DATE '1969-12-29'"])],
    "ts": [
        ("CAST({} AS DATE)", ["DATE '1969-12-31'", "DATE '1970-01-01'"]),
        ("year({})", ["1969", "1970"]),
        ("date_trunc('hour', {})", ["TIMESTAMP '1969-12-31 23:00:00'"]),
        ("date_trunc('day', {})", ["TIMESTAMP '1970-01-01'"]),
    ],
    "i": [("CAST({} AS BIGINT)", ["0", "2"]), ("abs({})", ["1"])],
}
COMPARISONS = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]


def leaves():
    def comparison(name):
        operand = st.sampled_from(
            [(name, CONSTANTS[name]), *((f.format(name), c) for f, c in FUNCTIONS.get(name, []))]
        )
        return operand.flatmap(
            lambda pair: st.one_of(
                st.builds(
                    f"{pair[0]} {{}} {{}}".format, st.sampled_from(COMPARISONS), st.sampled_from(pair[1])
                ),
                st.builds(
                    lambda values, no: f"{pair[0]} {no}IN ({', '.join(values)})",
                    st.lists(st.sampled_from(pair[1]), min_size=1, max_size=3),
                    st.sampled_from(["", "NOT "]),
                ),
                st.builds(
                    f"{pair[0]} {{}}BETWEEN {{}} AND {{}}".format,
                    st.sampled_from(["", "NOT "]),
                    st.sampled_from(pair[1]),
                    st.sampled_from(pair[1]),
                ),
            )
        )

    plain = st.sampled_from(sorted(VALUES)).flatmap(
        lambda name: st.one_of(comparison(name), st.just(f"{name} IS NULL"), st.just(f"{name} IS NOT NULL"))
    )
    like = st.builds(
        "s {}LIKE '{}'".format, st.sampled_from(["", "NOT "]), st.text(alphabet="abé%_", max_size=3)
    )
    return st.one_of(
        plain, like, st.sampled_from(["b", "b IS TRUE", "length(s) > 1", "i = l", "NULL", "TRUE"])
    )


def predicates():
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.builds("({} AND {})".format, inner, inner),
            st.builds("({} OR {})".format, inner, inner),
            st.builds("(NOT {})".format, inner),
        ),
        max_leaves=4,
    )


def rows():
    return st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(rows(), min_size=1, max_size=3), min_size=1, max_size=4),
    wheres=st.lists(predicates(), min_size=30, max_size=30),
    spec=st.sampled_from(
        [(), ((1, BucketTransform(3)),), ((6, IdentityTransform()),), ((9, IdentityTransform()),)]
    ),
    promote=st.booleans(),
)
def test_a_pruned_scan_and_a_whole_one_give_the_same_rows(lake, files, wheres, spec, promote):
    table = partitioned(lake, *spec)
    for position, file in enumerate(files):
        if promote and position == 1:
            with table.update_schema() as update:
                update.update_column("f", DoubleType())
                update.rename_column("b", "b2").add_column("extra", LongType())
            with table.update_schema() as update:
                update.rename_column("b2", "b")
        schema = table.schema().as_arrow()
        table.append(pa.Table.from_pylist([{**r, "tz": None} for r in file], schema=schema))
    whole = lake.scan(table).sql
    columns = ", ".join(field.name for field in table.schema().fields)
    for where in wheres:
        pruned = lake.scan(table, where).sql
        left, right = (
            lake.query(f"SELECT {columns} FROM {sql} AS t WHERE {where} ORDER BY ALL")
            for sql in (whole, pruned)
        )
        assert repr(left) == repr(right), where
