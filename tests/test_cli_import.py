"""`scoter import` and the engine's ingest: files and Arrow batches become rows of tables."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import Command
from pyiceberg.catalog.sql import SqlCatalog
from sessions import InProcess

from scoter.catalog.principals import Principal, Role
from scoter.engine.cancellation import Cancellation
from scoter.engine.ingest import ingest
from scoter.errors import (
    Cancelled,
    DuplicateColumn,
    InvalidText,
    InvalidValue,
    NotNullViolation,
    PermissionDenied,
    TypeMismatch,
    UndefinedColumn,
    UndefinedSchema,
)

EXAMPLES = Path(__file__).parent.parent / "examples" / "flights"


@pytest.fixture
def scoter(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def values(scoter: Command, lake: Path, sql: str) -> list[dict]:
    return [json.loads(line) for line in scoter.well("sql", lake, "-c", sql, "--format", "json").splitlines()]


def put(session: InProcess, table: str, given: pa.Table | pa.RecordBatchReader) -> int:
    reader = given.to_reader() if isinstance(given, pa.Table) else given
    return ingest(session.engine, table, reader, session.context).written.rows


def files_of(lake: Path) -> list[Path]:
    return list((lake / "warehouse").glob("**/*.parquet"))


def test_parquet_becomes_a_table_that_pyiceberg_reads(scoter: Command, tmp_path: Path) -> None:
    lake, file = tmp_path / "lake", EXAMPLES / "weather.parquet"
    ended = scoter("import", "weather", file, "--lake", lake)
    assert ended.code == 0
    assert "imported 26,115 rows into the new table weather" in ended.err
    catalog = SqlCatalog("lake", uri=f"sqlite:///{lake}/metastore.db", warehouse=f"file://{lake}/warehouse")
    table = catalog.load_table("main.weather")
    assert len(table.snapshots()) == 1
    found, expected = table.scan().to_arrow(), pq.read_table(file)
    catalog.close()
    for name in expected.schema.names:
        assert found.column(name).to_pylist() == expected.column(name).to_pylist(), name


def test_several_files_are_one_commit_and_columns_go_by_name(scoter: Command, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    (tmp_path / "a.csv").write_text("code,n\n007,1\n")
    (tmp_path / "b.csv").write_text("n,code\n2,08\n")
    scoter.well("sql", lake, "-c", "CREATE TABLE t (n BIGINT, code VARCHAR, more DOUBLE)")
    scoter.well("import", "T", tmp_path / "a.csv", tmp_path / "b.csv", "--lake", lake)
    assert values(scoter, lake, "SELECT * FROM t ORDER BY n") == [
        {"n": 1, "code": "007", "more": None},
        {"n": 2, "code": "08", "more": None},
    ]
    assert values(scoter, lake, 'SELECT count(*) AS n FROM "t$snapshots"') == [{"n": 1}]


def test_json_compressed_files_and_names_with_signs(scoter: Command, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lines = '{"n": 1, "tags": ["a"], "day": "2013-01-31"}\n{"n": 2, "more": {"x": 1.5}}\n'
    (tmp_path / "rows[1]*.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    scoter.well("import", "t", tmp_path / "rows[1]*.jsonl.gz", "--lake", lake)
    assert values(scoter, lake, "SELECT * FROM t ORDER BY n") == [
        {"n": 1, "tags": ["a"], "day": "2013-01-31", "more": None},
        {"n": 2, "tags": None, "day": None, "more": {"x": 1.5}},
    ]
    (tmp_path / "array.json").write_text('[{"n": 3}, {"n": 4}]')
    scoter.well("import", "t", tmp_path / "array.json", "--lake", lake)
    assert values(scoter, lake, "SELECT sum(n) AS n FROM t") == [{"n": 10}]


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("x.csv", "n\n1\nx\n", 1, "[22P02] INVALID_TEXT"),
        ("x.csv", "m\n1\n", 1, 'the table has no column "m"'),
        ("x.json", '{"n": 1}\n{"n": ', 1, "the files can not be read"),
        ("x.parquet", "no such thing", 1, "the files can not be read"),
        ("x.txt", "n\n1\n", 2, "can not be read"),
        (".", "", 2, "there is no file"),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(
    scoter: Command, tmp_path: Path, name: str, text: str, code: int, said: str
) -> None:
    lake = tmp_path / "lake"
    scoter.well("sql", lake, "-c", "CREATE TABLE t (n BIGINT)")
    if name != ".":
        (tmp_path / name).write_text(text)
    ended = scoter("import", "t", tmp_path / name, "--lake", lake)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert values(scoter, lake, "SELECT count(*) AS n FROM t") == [{"n": 0}]
    assert files_of(lake) == []


def test_types_of_arrow_become_types_of_iceberg(session: InProcess) -> None:
    at = dt.datetime(2013, 1, 31, 5, tzinfo=dt.UTC)
    given = pa.table(
        {
            "word": pa.array(["a", "b"]).dictionary_encode(),
            "large": pa.array(["x", None], pa.large_string()),
            "wide": pa.array([2**64 - 1, 0], pa.uint64()),
            "ns": pa.array([at, None], pa.timestamp("ns", "UTC")),
            "s": pa.array([at.replace(tzinfo=None)] * 2, pa.timestamp("s")),
            "half": pa.array([0.5, None], pa.float16()),
            "day": pa.array([dt.date(2013, 1, 31)] * 2, pa.date64()),
            "price": pa.array([Decimal("1.10"), None], pa.decimal256(40, 2)),
            "parts": pa.array([[{"k": 1}], []], pa.list_(pa.struct([("k", pa.uint64())]))),
        }
    )
    assert put(session, "t", given) == 2
    described = dict(session.rows("SELECT column_name, data_type FROM information_schema.columns "
                                  "WHERE table_name = 't'"))  # fmt: skip
    assert described == {
        "word": "VARCHAR",
        "large": "VARCHAR",
        "wide": "DECIMAL(20,0)",
        "ns": "TIMESTAMP WITH TIME ZONE",
        "s": "TIMESTAMP",
        "half": "FLOAT",
        "day": "DATE",
        "price": "DECIMAL(38,2)",
        "parts": "STRUCT(k DECIMAL(20,0))[]",
    }
    (first, _) = session.rows(
        "SELECT word, wide, ns = TIMESTAMPTZ '2013-01-31 05:00+00', price, parts FROM t"
    )
    assert first == ("a", Decimal(2**64 - 1), True, Decimal("1.10"), [{"k": Decimal(1)}])


def test_what_would_lose_something_is_refused(session: InProcess) -> None:
    nanoseconds = pa.table({"at": pa.array([1], pa.timestamp("ns"))})
    with pytest.raises(InvalidValue, match=r'"at".*without loss'):
        put(session, "t", nanoseconds)
    with pytest.raises(TypeMismatch, match='"long"'):
        put(session, "t", pa.table({"long": pa.array([1], pa.duration("s"))}))
    with pytest.raises(TypeMismatch, match='"nothing"'):
        put(session, "t", pa.table({"n": [1], "nothing": pa.nulls(1)}))
    with pytest.raises(DuplicateColumn):
        put(session, "t", pa.Table.from_arrays([pa.array([1])] * 2, ["a", "A"]))
    with pytest.raises(UndefinedSchema):
        put(session, "nowhere.t", pa.table({"a": [1]}))
    assert session.rows("SHOW TABLES") == []


def test_an_existing_table_keeps_its_rules(session: InProcess) -> None:
    session.update("CREATE TABLE t (n INTEGER NOT NULL, day DATE) PARTITIONED BY (month(day))")
    rows = pa.table({"Day": ["2013-01-31", "2013-02-01"], "N": [1, 2]})
    assert put(session, "t", rows) == 2
    assert session.rows("SELECT n, day FROM t ORDER BY n") == [
        (1, dt.date(2013, 1, 31)),
        (2, dt.date(2013, 2, 1)),
    ]
    with pytest.raises(NotNullViolation):
        put(session, "t", pa.table({"day": ["2013-01-31"]}))
    with pytest.raises(UndefinedColumn, match='"x"'):
        put(session, "t", pa.table({"x": [1], "n": [1]}))
    with pytest.raises(InvalidText):
        put(session, "t", pa.table({"n": ["1", "one"]}))
    assert session.value("SELECT count(*) FROM t") == 2


def test_rows_that_fail_halfway_leave_nothing(session: InProcess, tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(20):
            yield pa.record_batch([pa.array(range(100_000))], schema=schema)
        raise OSError("the disk is on fire")

    with pytest.raises(InvalidValue, match="can not be read"):
        put(session, "t", pa.RecordBatchReader.from_batches(schema, batches()))
    assert session.rows("SHOW TABLES") == []
    assert files_of(tmp_path / "lake") == []
    assert put(session, "t", pa.table({"n": [1]})) == 1, "the engine goes on"


def test_a_cancelled_ingest_leaves_nothing(session: InProcess, tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])
    cancellation = Cancellation()

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(1000):
            if number == 20:
                cancellation.cancel()
            yield pa.record_batch([pa.array(range(100_000))], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(Cancelled):
        ingest(session.engine, "t", reader, session.context, cancellation)
    assert session.rows("SHOW TABLES") == []
    assert files_of(tmp_path / "lake") == []


def test_a_reader_may_not_ingest_and_the_log_says_so(session: InProcess, tmp_path: Path) -> None:
    context = session.engine.context(Principal("bi", Role.READER))
    with pytest.raises(PermissionDenied):
        ingest(session.engine, "t", pa.table({"n": [1]}).to_reader(), context)
    put(session, "t", pa.table({"n": [1]}))
    text = next(path for path in tmp_path.rglob("*.json*") if path.is_file() and "IMPORT" in path.read_text())
    lines = [json.loads(line) for line in text.read_text().splitlines()]
    imports = [line for line in lines if line.get("action") == "IMPORT"]
    assert [line["outcome"] for line in imports] == ["error", "ok"]
    assert imports[0]["error"]["sqlstate"] == "42501"
    assert imports[1]["rows"] == 1
