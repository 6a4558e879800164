"""The engine's ingest: types of Arrow as columns, rows for existing tables, replaced tables, failures."""

from __future__ import annotations

import datetime as dt
import math
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from sessions import InProcess

from scoter.engine.cancellation import Cancellation
from scoter.engine.ingest import Mode, Present, ingest
from scoter.errors import (
    Cancelled,
    DuplicateColumn,
    DuplicateTable,
    InvalidDefinition,
    InvalidText,
    InvalidValue,
    NotNullViolation,
    NumericOutOfRange,
    ScoterError,
    StatementTimeout,
    TypeMismatch,
    UndefinedColumn,
    UndefinedTable,
    WriteConflict,
)

REPLACE = Mode(create=True, present=Present.REPLACE)
APPEND = Mode(create=False, present=Present.APPEND)
AWARE = dt.datetime(2020, 2, 29, 12, 34, 56, tzinfo=dt.UTC)
NAIVE = AWARE.replace(tzinfo=None)
MIDNIGHT = NAIVE.replace(hour=0, minute=0, second=0)
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def put(session: InProcess, table: str, given: Any, mode: Mode | None = None, **more: Any) -> int:
    reader = given.to_reader() if isinstance(given, pa.Table) else given
    return ingest(session.engine, table, reader, session.context, mode=mode, **more).written.rows


def types(session: InProcess, table: str) -> dict[str, str]:
    return dict(
        session.rows(
            f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{table}'"
        )
    )


def parquet_files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*.parquet") if path.is_file()]


COLUMNS = [
    (pa.array([True, None]), "BOOLEAN", [True, None]),
    (pa.array([-128, None], pa.int8()), "INTEGER", [-128, None]),
    (pa.array([255, None], pa.uint8()), "INTEGER", [255, None]),
    (pa.array([-32768, None], pa.int16()), "INTEGER", [-32768, None]),
    (pa.array([65535, None], pa.uint16()), "INTEGER", [65535, None]),
    (pa.array([2**32 - 1, None], pa.uint32()), "BIGINT", [2**32 - 1, None]),
    (pa.array([2**63 - 1, None], pa.int64()), "BIGINT", [2**63 - 1, None]),
    (pa.array([2**64 - 1, None], pa.uint64()), "DECIMAL(20,0)", [Decimal(2**64 - 1), None]),
    (pa.array([1.5, None], pa.float16()), "FLOAT", [1.5, None]),
    (pa.array([1.5, None], pa.float32()), "FLOAT", [1.5, None]),
    (pa.array([1e300, None], pa.float64()), "DOUBLE", [1e300, None]),
    (pa.array([Decimal("1.5"), None], pa.decimal32(5, 1)), "DECIMAL(5,1)", [Decimal("1.5"), None]),
    (pa.array([Decimal("1.5"), None], pa.decimal64(12, 1)), "DECIMAL(12,1)", [Decimal("1.5"), None]),
    (pa.array([Decimal("1.5"), None], pa.decimal128(38, 1)), "DECIMAL(38,1)", [Decimal("1.5"), None]),
    (pa.array([Decimal("1.5"), None], pa.decimal256(50, 1)), "DECIMAL(38,1)", [Decimal("1.5"), None]),
    (pa.array([Decimal(1200), None], pa.decimal128(3, -2)), "DECIMAL(5,0)", [Decimal(1200), None]),
    (pa.array(["ä", None], pa.string()), "VARCHAR", ["ä", None]),
    (pa.array(["ä", None], pa.large_string()), "VARCHAR", ["ä", None]),
    (pa.array(["a longer text than fits a view", None], pa.string_view()), "VARCHAR",
     ["a longer text than fits a view", None]),
    (pa.array([b"\0", None], pa.binary()), "BLOB", [b"\0", None]),
    (pa.array([b"\0", None], pa.large_binary()), "BLOB", [b"\0", None]),
    (pa.array([b"\0", None], pa.binary_view()), "BLOB", [b"\0", None]),
    (pa.array([b"ab", None], pa.binary(2)), "BLOB", [b"ab", None]),
    (pa.array([ID.bytes, None], pa.uuid()), "UUID", [str(ID), None]),
    (pa.array(['{"a": 1}', None], pa.json_()), "VARCHAR", ['{"a": 1}', None]),
    (pa.array([dt.date(2020, 2, 29), None], pa.date32()), "DATE", [dt.date(2020, 2, 29), None]),
    (pa.array([dt.date(2020, 2, 29), None], pa.date64()), "DATE", [dt.date(2020, 2, 29), None]),
    *(
        (pa.array([dt.time(12, 34, 56), None], kind), "TIME", [dt.time(12, 34, 56), None])
        for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
    ),
    *((pa.array([NAIVE, None], pa.timestamp(unit)), "TIMESTAMP", [NAIVE, None]) for unit in ("s", "ms", "us", "ns")),
    *(
        (pa.array([AWARE, None], pa.timestamp(unit, "Asia/Tokyo")), "TIMESTAMP WITH TIME ZONE", [AWARE, None])
        for unit in ("s", "ms", "us", "ns")
    ),
    (pa.array(["a", None, "b", "a"]).dictionary_encode().slice(2), "VARCHAR", ["b", "a"]),
    (pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.uint8()), pa.array(["x", None])), "VARCHAR", [None, "x"]),
    (pa.array([NAIVE, None], pa.timestamp("ns")).dictionary_encode(), "TIMESTAMP", [NAIVE, None]),
    (pa.RunEndEncodedArray.from_arrays([1, 2], ["x", None]), "VARCHAR", ["x", None]),
    (pa.array([[1, None], None]), "BIGINT[]", [[1, None], None]),
    (pa.array([[1], None], pa.large_list(pa.uint64())), "DECIMAL(20,0)[]", [[Decimal(1)], None]),
    (pa.array([[1, 2], None], pa.list_(pa.int32(), 2)), "INTEGER[]", [[1, 2], None]),
    (pa.array([[1, 2], None], pa.list_view(pa.int32())), "INTEGER[]", [[1, 2], None]),
    (pa.array([["x"], None], pa.large_list_view(pa.string())), "VARCHAR[]", [["x"], None]),
    (pa.array([[NAIVE], None], pa.list_(pa.timestamp("ns"))), "TIMESTAMP[]", [[NAIVE], None]),
    (pa.array([{"a": 1, "b": [{"c": "x"}]}, None]), "STRUCT(a BIGINT, b STRUCT(c VARCHAR)[])",
     [{"a": 1, "b": [{"c": "x"}]}, None]),
    (pa.array([[("k", 1.5)], None], pa.map_(pa.string(), pa.float16())), "MAP(VARCHAR, FLOAT)",
     [[("k", 1.5)], None]),
]  # fmt: skip


def test_each_type_of_arrow_is_a_column_with_its_values(session: InProcess) -> None:
    assert put(session, "t", pa.table({f"c{n}": array for n, (array, _, _) in enumerate(COLUMNS)})) == 2
    described, found = types(session, "t"), session.query("SELECT * FROM t")
    for number, (array, kind, expected) in enumerate(COLUMNS):
        assert described[f"c{number}"] == kind, array.type
        assert found.column(f"c{number}").to_pylist() == expected, array.type


def test_a_table_of_all_types_goes_in_and_comes_out_in_its_order(session: InProcess) -> None:
    rows = 300_000
    repeated = pa.table({f"c{n}": pa.concat_arrays([a] * 1) for n, (a, _, _) in enumerate(COLUMNS) if n < 35})
    big = pa.concat_tables([repeated] * 1000).combine_chunks()
    big = big.append_column("n", pa.array(range(len(big)), pa.int64()))
    assert put(session, "big", big) == len(big)
    found = session.query("SELECT * FROM big")
    assert found.column("n").to_pylist() == list(range(len(big)))
    for number, (_, _, expected) in enumerate(COLUMNS[:35]):
        assert found.column(f"c{number}").to_pylist() == expected * 1000
    # A batch is cut on its way; nested values with offsets stay what they are.
    nested = pa.table({"n": range(rows), "l": [[i, None] if i % 3 else None for i in range(rows)]})
    assert put(session, "nested", nested.combine_chunks()) == rows
    query = "SELECT count(*) FROM nested WHERE (n % 3 = 0) = (l IS NULL) AND (l IS NULL OR l = [n, NULL])"
    assert session.value(query) == rows


REFUSED = [
    pa.nulls(1),
    pa.array([[None]], pa.list_(pa.null())),
    pa.array([1], pa.duration("s")),
    pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    pa.array([1], pa.int8()).cast(pa.bool8()),
    pa.array([{}], pa.struct([])),
    pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
    pa.array([{"a": 1, "A": 2}], pa.struct([("a", pa.int8()), ("A", pa.int8())])),
    pa.array([[(1.5, 1)]], pa.map_(pa.float16(), pa.int8())),
    pa.array([[NAIVE]], pa.list_view(pa.timestamp("ns"))),
    pa.array([Decimal(1)], pa.decimal256(76, 40)),
]  # fmt: skip


def test_a_type_that_no_table_has_is_refused_by_its_column(session: InProcess) -> None:
    for array in REFUSED:
        with pytest.raises(TypeMismatch, match='"second" of type') as refused:
            put(session, "t", pa.table({"first": pa.array([1]), "second": array}))
        assert '"first"' not in refused.value.message
    assert session.rows("SHOW TABLES") == []


def test_all_columns_that_do_not_fit_are_named_at_once(session: InProcess, tmp_path: Path) -> None:
    odd = pa.field("odd", pa.int64(), metadata={"ARROW:extension:name": "somebodys.own"})
    with pytest.raises(TypeMismatch, match=r'"odd".*somebodys\.own.*"none"'):
        put(session, "t", pa.table([[1], pa.nulls(1)], pa.schema([odd, ("none", pa.null())])))
    session.update("CREATE TABLE t (n INTEGER NOT NULL, d DATE, s STRUCT(a INTEGER), m BIGINT NOT NULL)")
    wrong = pa.table({"d": [b"x"], "s": [{"a": 1, "b": 2}], "x": [1], "n": [True]})
    with pytest.raises(TypeMismatch) as refused:
        put(session, "t", wrong)
    message = refused.value.message
    for part in (
        'column "d" is DATE in the table; the rows have binary, which does not fit',
        'column "s" is STRUCT',
        'which has a field "b" more',
        'the table has no column "x"',
        'column "n" is INTEGER in the table; the rows have bool',
        'column "m" is NOT NULL and is not given',
    ):
        assert part in message
    with pytest.raises(UndefinedColumn, match=r'"nn".*"x"'):
        put(session, "t", pa.table({"nn": [1], "x": [1], "n": [1], "m": [1]}))
    with pytest.raises(NotNullViolation, match=r'"n".*"m"'):
        put(session, "t", pa.table({"d": ["2020-01-01"]}))
    with pytest.raises(DuplicateColumn):
        put(session, "t", pa.Table.from_arrays([pa.array([1])] * 2, ["n", "N"]))
    with pytest.raises(DuplicateColumn, match=r'"s\.x"'):
        put(session, "new", pa.table({"s": [{"x": 1}], "s.x": [1]}))
    for names in ([], [""]):
        with pytest.raises(InvalidDefinition):
            put(session, "new", pa.Table.from_arrays([pa.array([1])] * len(names), names))
    assert session.value("SELECT count(*) FROM t") == 0
    assert parquet_files(tmp_path) == []


FITS = [
    ("BIGINT", pa.array([1.0, None]), [1, None]),
    ("INTEGER", pa.array([Decimal("2.00")]), [2]),
    ("INTEGER", pa.array([7], pa.uint64()), [7]),
    ("INTEGER", pa.array(["7"]).dictionary_encode(), [7]),
    ("DOUBLE", pa.array([1, None]), [1.0, None]),
    ("DECIMAL(9, 2)", pa.array([Decimal("1.100")]), [Decimal("1.10")]),
    ("DECIMAL(9, 2)", pa.array([1.1]), [Decimal("1.10")]),
    ("DATE", pa.array([MIDNIGHT, None], pa.timestamp("ns")), [dt.date(2020, 2, 29), None]),
    ("DATE", pa.array(["2020-02-29"]), [dt.date(2020, 2, 29)]),
    ("TIMESTAMP", pa.array([dt.date(2020, 2, 29)]), [MIDNIGHT]),
    ("TIMESTAMPTZ", pa.array([NAIVE]), [AWARE]),
    ("VARCHAR", pa.array([1.5]), ["1.5"]),
    ("VARCHAR", pa.nulls(1), [None]),
    ("UUID", pa.array([str(ID)]), [str(ID)]),
    ("STRUCT(a INTEGER, b VARCHAR)", pa.array([{"B": "x", "A": 1}]), [{"a": 1, "b": "x"}]),
    ("STRUCT(a INTEGER, b VARCHAR)", pa.array([{"a": 1.0}]), [{"a": 1, "b": None}]),
    ("STRUCT(a INTEGER)[]", pa.array([[{"a": 1.0}]]), [[{"a": 1}]]),
    ("MAP(VARCHAR, INTEGER)", pa.array([[("k", 1.0)]], pa.map_(pa.string(), pa.float64())), [[("k", 1)]]),
    ("MAP(VARCHAR, INTEGER)", pa.array([[(1, 1)]], pa.map_(pa.float64(), pa.int8())), [[("1.0", 1)]]),
]


def test_values_of_another_type_that_lose_nothing_are_taken(session: InProcess) -> None:
    for number, (kind, array, expected) in enumerate(FITS):
        session.update(f"CREATE TABLE t{number} (c {kind}, other INTEGER)")
        assert put(session, f"T{number}", pa.table({"C": array}), APPEND) == len(expected), kind
        found = session.query(f"SELECT c, other FROM t{number}")
        assert found.column("c").to_pylist() == expected, kind
        assert found.column("other").null_count == len(expected)


LOSSY = [
    ("BIGINT", pa.array([1.5]), InvalidValue),
    ("BIGINT", pa.array([math.nan]), InvalidValue),
    ("BIGINT", pa.array([2**64 - 1], pa.uint64()), NumericOutOfRange),
    ("INTEGER", pa.array([2**31]), NumericOutOfRange),
    ("INTEGER", pa.array([[1.5]]), TypeMismatch),
    ("INTEGER[]", pa.array([[1.5]]), InvalidValue),
    ("INTEGER", pa.array(["one"]), InvalidText),
    ("INTEGER", pa.array([True]), TypeMismatch),
    ("DECIMAL(9, 2)", pa.array([Decimal("1.111")]), InvalidValue),
    ("DECIMAL(4, 2)", pa.array([100.5]), (NumericOutOfRange, InvalidText)),
    ("FLOAT", pa.array([1e300]), NumericOutOfRange),
    ("DATE", pa.array([NAIVE]), InvalidValue),
    ("DATE", pa.array([AWARE]), TypeMismatch),
    ("DATE[]", pa.array([[NAIVE]]), TypeMismatch),
    ("TIMESTAMP", pa.array([AWARE]), TypeMismatch),
    ("TIMESTAMP", pa.array([1], pa.timestamp("ns")), InvalidValue),
    ("TIMESTAMP", pa.array([2**62]).view(pa.timestamp("s")), (InvalidValue, InvalidText, NumericOutOfRange)),
    ("TIMESTAMP", pa.array([2**63 - 1]).view(pa.timestamp("us")), InvalidValue),
    ("TIMESTAMP[]", pa.array([[2**63 - 1]]).cast(pa.list_(pa.timestamp("us"))), InvalidValue),
    ("DATE", pa.array([2**31 - 1], pa.int32()).view(pa.date32()), InvalidValue),
    ("VARCHAR", pa.array([b"x"]), TypeMismatch),
    ("BLOB", pa.array(["x"]), TypeMismatch),
    ("UUID", pa.array(["x"]), InvalidText),
    ("STRUCT(a INTEGER)", pa.array([{"x": 1}]), TypeMismatch),
    ("STRUCT(a INTEGER)[]", pa.array([[{"a": 2**40}]]), NumericOutOfRange),
    ("MAP(VARCHAR, INTEGER)",
     pa.MapArray.from_arrays([0, 2], pa.array(["k", "k"]), pa.array([1, 2])), InvalidValue),
]  # fmt: skip


def test_values_that_would_lose_something_are_refused(session: InProcess, tmp_path: Path) -> None:
    for number, (kind, array, error) in enumerate(LOSSY):
        session.update(f"CREATE TABLE t{number} (n BIGINT, c {kind})")
        with pytest.raises(error) as refused:
            put(session, f"t{number}", pa.table({"n": [1], "c": array}))
        if "duplicate key" not in refused.value.message and "[]" not in kind:
            assert '"c"' in refused.value.message
        assert refused.value.query_id
        assert session.value(f"SELECT count(*) FROM t{number}") == 0
    assert parquet_files(tmp_path) == []


def test_modes(session: InProcess) -> None:
    rows = pa.table({"n": [1, 2]})
    with pytest.raises(UndefinedTable):
        put(session, "t", rows, APPEND)
    assert put(session, "t", rows, Mode(create=True, present=Present.REFUSE)) == 2
    with pytest.raises(DuplicateTable, match="append to it or replace it"):
        put(session, "t", rows, Mode(create=True, present=Present.REFUSE))
    with pytest.raises(UndefinedTable):
        put(session, "u", rows, Mode(create=False, present=Present.REPLACE))
    assert put(session, "t", rows, APPEND) == 2
    assert put(session, "t", rows.slice(0, 1), REPLACE) == 1
    assert session.rows("SELECT n FROM t") == [(1,)]
    assert session.value('SELECT count(*) FROM "t$snapshots"') == 3


def test_a_replaced_table_is_new_and_keeps_its_past(session: InProcess, tmp_path: Path) -> None:
    session.update("CREATE TABLE t (day DATE, n INTEGER NOT NULL) PARTITIONED BY (month(day), bucket(4, n))")
    session.update("INSERT INTO t VALUES (DATE '2020-01-01', 1), (DATE '2020-02-01', 2)")
    (before,) = session.rows('SELECT snapshot_id FROM "t$snapshots"')[0]
    assert put(session, "t", pa.table({"n": ["x"], "l": [[1]]}), REPLACE) == 1
    assert types(session, "t") == {"n": "VARCHAR", "l": "BIGINT[]"}
    assert session.rows("SELECT * FROM t") == [("x", [1])]
    assert session.rows(f"SELECT n, day FROM t FOR VERSION AS OF {before} ORDER BY n") == [
        (1, dt.date(2020, 1, 1)),
        (2, dt.date(2020, 2, 1)),
    ]
    assert put(session, "t", pa.table({"l": [[2]], "n": ["y"]}), APPEND) == 1
    assert put(session, "t", pa.table({"n": [], "l": []}, pa.schema([("n", pa.string()), ("l", pa.list_(pa.int64()))])), REPLACE) == 0  # fmt: skip
    assert session.rows("SELECT * FROM t") == []
    operations = [operation for (operation,) in session.rows('SELECT operation FROM "t$snapshots"')]
    assert operations == ["append", "overwrite", "append", "overwrite"]
    catalog = SqlCatalog(
        "lake", uri=f"sqlite:///{tmp_path}/lake/metastore.db", warehouse=f"file://{tmp_path}/lake/warehouse"
    )
    table = catalog.load_table("main.t")
    assert table.scan().to_arrow().num_rows == 0
    assert table.scan(snapshot_id=before).to_arrow().num_rows == 2
    assert table.spec().is_unpartitioned()
    # The same columns once more need no new ones.
    assert [schema.schema_id for schema in table.metadata.schemas] == [0, 1]
    catalog.close()


def test_a_table_is_replaced_whole_or_not_at_all(session: InProcess, tmp_path: Path) -> None:
    put(session, "t", pa.table({"n": [1, 2]}))
    files = parquet_files(tmp_path)
    schema = pa.schema([("n", pa.timestamp("ns"))])

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1000], pa.timestamp("ns"))], schema=schema)
        yield pa.record_batch([pa.array([1], pa.timestamp("ns"))], schema=schema)

    with pytest.raises(InvalidValue, match="without loss"):
        put(session, "t", pa.RecordBatchReader.from_batches(schema, batches()), REPLACE)
    assert session.rows("SELECT n FROM t ORDER BY n") == [(1,), (2,)]
    assert parquet_files(tmp_path) == files


class Paused:
    """A reader whose rows come when they are let go, to have something happen while a table is written."""

    def __init__(self, table: pa.Table) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.reader = pa.RecordBatchReader.from_batches(table.schema, self._batches(table))

    def _batches(self, table: pa.Table) -> Iterator[pa.RecordBatch]:
        self.asked.set()
        assert self.go.wait(20)
        yield from table.to_batches()


def meanwhile(session: InProcess, table: str, given: pa.Table, mode: Mode, what: Any) -> Any:
    """Ingest ``given`` and do ``what`` before its rows come; return the rows written or the error."""
    paused, done = Paused(given), []

    def work() -> None:
        try:
            done.append(put(session, table, paused.reader, mode))
        except ScoterError as error:
            done.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert paused.asked.wait(20)
    try:
        what()
    finally:
        paused.go.set()
        thread.join(30)
    return done[0]


def test_writers_at_the_same_time(session: InProcess, tmp_path: Path) -> None:
    rows = pa.table({"n": [10]})
    put(session, "t", pa.table({"n": [1]}))
    # An append that comes first is replaced too; one that was planned before a replacement of equal
    # columns comes after it.
    assert meanwhile(session, "t", rows, REPLACE, lambda: put(session, "t", pa.table({"n": [2]}))) == 1
    assert session.rows("SELECT n FROM t") == [(10,)]
    assert (
        meanwhile(session, "t", rows, APPEND, lambda: put(session, "t", pa.table({"n": [3]}), REPLACE)) == 1
    )
    assert session.rows("SELECT n FROM t ORDER BY n") == [(3,), (10,)]
    # With other columns the rows of the append would be read as NULL.
    other = pa.table({"n": ["x"]})
    found = meanwhile(session, "t", rows, APPEND, lambda: put(session, "t", other, REPLACE))
    assert isinstance(found, WriteConflict)
    assert "columns were changed" in found.message
    found = meanwhile(session, "t", rows, REPLACE, lambda: put(session, "t", pa.table({"z": [1]}), REPLACE))
    assert isinstance(found, WriteConflict)
    assert session.rows("SELECT z FROM t") == [(1,)]
    found = meanwhile(session, "u", rows, REPLACE, lambda: session.update("CREATE TABLE u (n BIGINT)"))
    assert isinstance(found, WriteConflict)
    found = meanwhile(session, "u", rows, APPEND, lambda: session.update("DROP TABLE u"))
    assert isinstance(found, WriteConflict)
    assert len(parquet_files(tmp_path)) == 7, "what failed left no file"


def test_an_insert_meets_a_replacement(session: InProcess) -> None:
    session.update("CREATE TABLE t (n BIGINT, d DATE)")
    rows = pa.table({"n": [10], "d": [dt.date(2020, 1, 1)]})
    found = meanwhile(session, "t", rows, REPLACE, lambda: session.update("INSERT INTO t VALUES (1, NULL)"))
    assert found == 1
    assert session.rows("SELECT * FROM t") == [(10, dt.date(2020, 1, 1))]


def test_an_ingest_ends_at_its_timeout_and_when_it_is_cancelled(session: InProcess, tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])

    def endless(each: Any) -> Iterator[pa.RecordBatch]:
        for number in range(100_000):
            each(number)
            yield pa.record_batch([pa.array(range(50_000))], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, endless(lambda _: None))
    with pytest.raises(StatementTimeout):
        put(session, "t", reader, timeout=0.3)
    cancellation = Cancellation()
    reader = pa.RecordBatchReader.from_batches(
        schema, endless(lambda number: cancellation.cancel() if number == 7 else None)
    )
    with pytest.raises(Cancelled):
        put(session, "t", reader, cancellation=cancellation)
    assert session.rows("SHOW TABLES") == []
    assert parquet_files(tmp_path) == []
    assert session.engine.instances.running == 0
