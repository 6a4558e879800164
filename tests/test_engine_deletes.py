"""Statements over tables with delete files: plans that travel, writes, models, EXPLAIN, cancellation."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, write_positions
from sessions import InProcess, opened

from scoter.catalog.names import TableName
from scoter.engine.cancellation import Cancellation
from scoter.engine.plan import Plan
from scoter.engine.scanning import masks
from scoter.engine.scanning.deletes import Deletes
from scoter.errors import Cancelled

ROWS = 60_000
GONE = 600
SETTING = "SELECT current_setting('preserve_insertion_order')"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, model_files: Path) -> Iterator[InProcess]:
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
        session.update(f"CREATE TABLE t AS SELECT i AS id, i % 7 AS a, i % 5 AS b FROM range({ROWS}) AS r(i)")
        table = engine.lake.writable(TableName("lake", "main", "t"))
        (path,) = [task.file.file_path for task in table.scan().plan_files()]
        place = write_positions(
            directory / "warehouse" / "main" / "p.parquet", [(path, 100 * i) for i in range(GONE)]
        )
        commit_deletes(table, delete_file(table, place, GONE))
        yield session


def forget(session: InProcess) -> None:
    """Let go of what was read of delete files, as a server that was started anew."""
    session.engine._parts.scans._deletes = Deletes(session.engine.lake.real)


def read(session: InProcess, plan: Plan) -> pa.Table:
    return session.engine.run(plan, session.context).read_all()


def test_rows_that_are_left(session: InProcess) -> None:
    assert session.value("SELECT count(*) FROM t") == ROWS - GONE
    assert session.rows("SELECT count(*), min(id), count(*) FILTER (id % 100 = 0) FROM t") == [
        (ROWS - GONE, 1, 0)
    ]
    assert session.rows("SELECT count(*) FROM t JOIN t AS u USING (id) WHERE t.id < 1000") == [(990,)]
    assert session.update("CREATE TABLE kept AS SELECT * FROM t") == ROWS - GONE
    assert session.value("SELECT min(id) FROM kept") == 1


def test_rows_that_are_summed_up(session: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "FEWEST", 1)
    monkeypatch.setattr(masks, "_UNEVEN", 1000)
    sql = "SELECT a, count(*), sum(id), sum(b::DOUBLE) FROM t WHERE b > 0 GROUP BY a ORDER BY a"
    plan = session.engine.plan(sql, session.context)
    assert [one.is_mask for scan in plan.scans for one in scan.removed] == [True]
    ids = [i for i in range(ROWS) if i % 5 and (i % 100 or i >= 100 * GONE)]
    parts = [[i for i in ids if i % 7 == a] for a in range(7)]
    expected = [(a, len(part), sum(part), float(sum(i % 5 for i in part))) for a, part in enumerate(parts)]
    assert session.rows(sql) == expected
    forget(session)
    again = pickle.loads(pickle.dumps(plan))  # noqa: S301  # our own bytes
    assert [tuple(row.values()) for row in read(session, again).to_pylist()] == expected
    assert "Positional scan" in str(session.rows(f"EXPLAIN {sql}"))
    # The next statement's rows keep their order.
    assert session.rows("SELECT id FROM t LIMIT 3 OFFSET 98") == [(99,), (101,), (102,)]
    idle = session.engine.instances._idle
    assert {one.connection.sql(SETTING).fetchall()[0] for one in idle} == {(True,)}


def test_plans_are_data(session: InProcess) -> None:
    for sql in ("SELECT sum(id) FROM t", "SELECT count(*) FROM t"):
        plan = session.engine.plan(sql, session.context)
        assert len(pickle.dumps(plan)) < 100_000
        expected = read(session, plan)
        forget(session)
        again = pickle.loads(pickle.dumps(plan))  # noqa: S301  # our own bytes
        assert read(session, again).equals(expected)


def test_rows_that_are_scored_apart(session: InProcess) -> None:
    sql = "SELECT avg(PREDICT('pair', a, b)) FROM t"
    assert session.engine.plan(sql, session.context).staged is not None
    assert session.value(sql) == pytest.approx(session.value("SELECT avg((a + 10 * b)::FLOAT) FROM t"))


def test_explain_says_which_delete_files_apply(session: InProcess) -> None:
    for statement in ("EXPLAIN SELECT id FROM t", "EXPLAIN ANALYZE SELECT id FROM t"):
        texts = dict(session.rows(statement))
        assert f"rows {ROWS - GONE:,}" in texts["tables"]
        assert "delete files 1 of 1" in texts["tables"]


def test_a_statement_that_was_cancelled_reads_no_delete_files(session: InProcess) -> None:
    plan = session.engine.plan("SELECT sum(a) FROM t", session.context)
    forget(session)
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        session.engine.run(plan, session.context, cancellation=cancellation)
    assert len(session.engine._parts.scans._deletes._read) == 0
    assert session.value("SELECT sum(a) FROM t") == session.value("SELECT sum(id % 7) FROM t")
