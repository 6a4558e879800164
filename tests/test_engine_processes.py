"""Several processes on one lake, one that is killed, and tables shared with bare pyiceberg."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
)
from sessions import InProcess, opened

TESTS = Path(__file__).parent
RUN = """
import sys
from pathlib import Path
from sessions import InProcess, opened
with opened(Path(sys.argv[1])) as engine:
    session = InProcess(engine)
    print("open", flush=True)
    sys.stdin.readline()
    try:
        for sql in sys.argv[2:]:
            session.query(sql)
        print("done", flush=True)
    except BaseException as error:
        print(repr(error), flush=True)
"""


class Process:
    """A process that opens the lake, says so, and runs statements once it is told to."""

    def __init__(self, directory: Path, *statements: str) -> None:
        paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(directory), *statements],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self.pid = self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def opened(self) -> None:
        """Wait until the lake is open."""
        assert self.process.stdout.readline() == "open\n"

    def go(self) -> None:
        """Let the statements run."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finished(self) -> None:
        """Wait for the end, which must be a good one."""
        assert self.process.stdout.readline() == "done\n"
        assert self.process.wait(timeout=60) == 0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def session(directory: Path):
    with opened(directory) as engine:
        yield InProcess(engine)


@pytest.fixture
def bare(session: InProcess, directory: Path):
    """The same catalog as pyiceberg alone opens it."""
    catalog = SqlCatalog(
        "lake", uri=f"sqlite:///{directory}/metastore.db", warehouse=f"file://{directory}/warehouse"
    )
    yield catalog
    catalog.engine.dispose()


def test_processes_insert_into_one_table_at_once(session: InProcess, directory: Path) -> None:
    session.update("CREATE TABLE t (who INTEGER, n INTEGER) PARTITIONED BY (bucket(2, n))")
    each = 8
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                Process(
                    directory,
                    *[f"INSERT INTO t VALUES ({who}, {n}), ({who}, {n + 100})" for n in range(each)],
                )
            )
            for who in (1, 2)
        ]
        for process in processes:
            process.opened()
        for process in processes:
            process.go()
        for n in range(each):
            session.update(f"INSERT INTO t VALUES (0, {n}), (0, {n + 100})")
        for process in processes:
            process.finished()
    assert session.rows("SELECT who, count(*), count(DISTINCT n) FROM t GROUP BY who ORDER BY who") == [
        (who, 2 * each, 2 * each) for who in range(3)
    ]
    assert session.value('SELECT count(*) FROM "t$snapshots"') == 3 * each


def test_processes_create_one_table_at_once(session: InProcess, directory: Path) -> None:
    statements = [f"CREATE TABLE IF NOT EXISTS t{n} AS SELECT {{}} AS a" for n in range(6)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Process(directory, *[sql.format(who) for sql in statements]))
            for who in (1, 2)
        ]
        for process in processes:
            process.opened()
        for process in processes:
            process.go()
        for process in processes:
            process.finished()
    for n in range(6):
        assert session.rows(f"SELECT a FROM t{n}") in ([(1,)], [(2,)])


def test_a_process_that_is_killed_while_it_writes(session: InProcess, directory: Path) -> None:
    session.update("CREATE TABLE t AS SELECT i AS a, i * 1.5 AS b FROM range(1000) AS r(i)")
    before = session.rows("SELECT count(*), sum(a)::BIGINT FROM t")
    snapshots = session.rows('SELECT * FROM "t$snapshots"')
    data = next((directory / "warehouse" / "main").glob("t-*")) / "data"
    there = {path for path in data.rglob("*") if path.is_file()}
    sql = "INSERT INTO t SELECT i, random() FROM range(4000000000) AS r(i)"
    with Process(directory, sql) as process:
        process.opened()
        process.go()
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 1 << 20 for path in data.rglob("*.parquet") if path not in there):
            assert time.monotonic() < deadline, "the write did not start"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        assert process.process.wait(timeout=30) == -signal.SIGKILL
    assert session.rows("SELECT count(*), sum(a)::BIGINT FROM t") == before
    assert session.rows('SELECT * FROM "t$snapshots"') == snapshots
    with opened(directory) as engine:
        again = InProcess(engine)
        assert again.rows("SELECT count(*), sum(a)::BIGINT FROM t") == before
        assert again.update("INSERT INTO t VALUES (5000, 1)") == 1
    assert session.value("SELECT count(*) FROM t") == 1001


def test_bare_pyiceberg_reads_what_we_wrote(session: InProcess, bare: SqlCatalog) -> None:
    session.update(
        "CREATE TABLE t (id INTEGER NOT NULL, day DATE, price DECIMAL(9, 2), s VARCHAR, at TIMESTAMPTZ, f FLOAT, "
        "tags VARCHAR[], p STRUCT(x DOUBLE, y VARCHAR), m MAP(VARCHAR, INTEGER)) "
        "PARTITIONED BY (months(day), bucket(4, id), s)"
    )
    session.update(
        "INSERT INTO t VALUES "
        "(1, '2024-01-31', 1.5, 'a', '2024-01-01 00:00:00Z', 'nan', ['x', NULL], {x: 1, y: 'z'}, MAP {'k': 1}), "
        "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
        "(3, '1969-12-31', -0.01, '', '1969-12-31 23:59:59.5Z', 2, [], {x: NULL, y: ''}, MAP {})"
    )
    table = bare.load_table("main.t")
    rows = table.scan().to_arrow().sort_by("id").to_pylist()
    assert [row["id"] for row in rows] == [1, 2, 3]
    first = rows[0]
    assert first["f"] != first["f"]
    assert first | {"f": None} == {
        "id": 1,
        "day": dt.date(2024, 1, 31),
        "price": decimal.Decimal("1.50"),
        "s": "a",
        "at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "f": None,
        "tags": ["x", None],
        "p": {"x": 1.0, "y": "z"},
        "m": [("k", 1)],
    }
    assert all(value is None for name, value in rows[1].items() if name != "id")
    assert rows[2]["price"] == decimal.Decimal("-0.01")
    for filtered, ids in (
        ("day >= '2024-01-01'", [1]),
        ("day < '1970-01-01'", [3]),
        ("id = 2", [2]),
        ("s = ''", [3]),
        ("s is null", [2]),
        ("price < 0", [3]),
        ("f is nan", [1]),
    ):
        assert table.scan(row_filter=filtered).to_arrow()["id"].to_pylist() == ids, filtered
    assert table.schema().find_field("id").required
    summary = table.current_snapshot().summary
    assert summary["added-records"] == "3"
    assert summary["total-records"] == "3"
    assert table.inspect.partitions()["record_count"].to_pylist() == [1, 1, 1]


def test_we_read_what_bare_pyiceberg_wrote(session: InProcess, bare: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=False),
        NestedField(2, "name", StringType(), required=False),
        NestedField(3, "at", TimestampType(), required=False),
        NestedField(4, "amount", DecimalType(9, 2), required=False),
        NestedField(5, "x", FloatType(), required=False),
        NestedField(
            6,
            "p",
            StructType(NestedField(7, "a", IntegerType(), required=False)),
            required=False,
        ),
        NestedField(8, "tags", ListType(9, StringType(), element_required=False), required=False),
    )
    spec = PartitionSpec(
        PartitionField(3, 1000, DayTransform(), "at_day"),
        PartitionField(2, 1001, IdentityTransform(), "name"),
        PartitionField(1, 1002, BucketTransform(4), "id_bucket"),
    )
    table = bare.create_table("main.t", schema, partition_spec=spec)

    def rows(*values: dict) -> pa.Table:
        return pa.Table.from_pylist(list(values), schema=table.schema().as_arrow())

    day = dt.datetime.fromisoformat("2024-01-01 10:00:00")
    table.append(
        rows(
            {
                "id": 1,
                "name": "a",
                "at": day,
                "amount": decimal.Decimal("1.50"),
                "x": 1.5,
                "p": {"a": 5},
                "tags": ["u"],
            },
            {"id": 2, "name": "b", "at": day + dt.timedelta(days=40), "amount": None, "x": float("nan")},
            {"id": 3, "name": None, "at": None},
        )
    )
    assert session.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]
    assert session.rows("SELECT id FROM t WHERE at < '2024-01-02'") == [(1,)]
    assert session.rows("SELECT id FROM t WHERE name = 'b' AND x > 5") == [(2,)]
    assert session.rows("SELECT id FROM t WHERE id = 3 AND name IS NULL") == [(3,)]
    assert session.rows("SELECT p.a, tags[1], amount FROM t WHERE id = 1") == [
        (5, "u", decimal.Decimal("1.50"))
    ]

    # Evolution: a rename, a promotion, a new column, a dropped one, another partition spec.
    with table.update_schema() as update:
        update.rename_column("name", "label")
        update.update_column("id", LongType())
        update.add_column("day", DateType())
        update.delete_column("x")
        update.add_column(("p", "b"), StringType())
    with table.update_spec() as update:
        update.remove_field("id_bucket")
    table.append(
        rows({"id": 2**40, "label": "c", "at": day, "day": dt.date(2024, 5, 5), "p": {"a": 6, "b": "new"}})
    )
    assert session.engine.plan("SELECT * FROM t", session.context).schema.names == [
        "id", "label", "at", "amount", "p", "tags", "day",
    ]  # fmt: skip
    assert session.rows("SELECT id, label, day, p.b FROM t ORDER BY id") == [
        (1, "a", None, None),
        (2, "b", None, None),
        (3, None, None, None),
        (2**40, "c", dt.date(2024, 5, 5), "new"),
    ]
    assert session.rows("SELECT id FROM t WHERE id > 5000000000") == [(2**40,)]
    assert session.rows("SELECT id FROM t WHERE label = 'a' OR day = '2024-05-05' ORDER BY id") == [
        (1,),
        (2**40,),
    ]
    first = table.metadata.snapshots[0].snapshot_id
    assert session.engine.plan(f"SELECT * FROM t FOR VERSION AS OF {first}", session.context).schema.names == [
        "id", "name", "at", "amount", "x", "p", "tags",
    ]  # fmt: skip
    assert session.rows(f"SELECT name FROM t FOR VERSION AS OF {first} WHERE id = 2") == [("b",)]

    # We write into it, pyiceberg reads; it deletes rows, we read.
    assert (
        session.update("INSERT INTO t BY NAME SELECT 7 AS id, 'ours' AS label, DATE '2024-06-06' AS day") == 1
    )
    table.refresh()
    assert table.scan(row_filter=EqualTo("label", "ours")).to_arrow()["id"].to_pylist() == [7]
    table.delete("id = 2")
    assert session.rows("SELECT id FROM t ORDER BY id") == [(1,), (3,), (7,), (2**40,)]
    operations = session.rows('SELECT operation FROM "t$snapshots" ORDER BY committed_at')
    assert ("overwrite",) in operations or ("delete",) in operations


def test_a_tag_and_a_branch_that_pyiceberg_made(session: InProcess, bare: SqlCatalog) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    table = bare.load_table("main.t")
    first = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_tag(first, "v1").create_branch(first, "dev").commit()
    session.update("INSERT INTO t VALUES (2)")
    assert session.value("SELECT count(*) FROM t FOR VERSION AS OF 'v1'") == 1
    assert session.value("SELECT count(*) FROM t FOR VERSION AS OF 'dev'") == 1
    assert session.value("SELECT count(*) FROM t FOR VERSION AS OF 'main'") == 2
    assert session.value("SELECT count(*) FROM t") == 2


def test_the_catalogs_agree_on_what_there_is(session: InProcess, bare: SqlCatalog) -> None:
    session.update("CREATE SCHEMA s")
    session.update("CREATE TABLE s.ours AS SELECT 1 AS a")
    bare.create_namespace("theirs")
    bare.create_table("theirs.t", Schema(NestedField(1, "a", IntegerType(), required=False)))
    assert ("s", "ours") in bare.list_tables("s")
    assert session.rows("SHOW TABLES FROM theirs") == [("lake", "theirs", "t")]
    assert session.rows("SELECT * FROM theirs.t") == []
    bare.drop_table("s.ours")
    assert session.rows("SHOW TABLES FROM s") == []
