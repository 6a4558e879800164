"""A plan reads what it was made for; a statement that is planned again sees what has changed since."""

from __future__ import annotations

import datetime as dt
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from sessions import ADMIN, InProcess, opened
from slt import Refused

from scoter.engine.plan import Pins
from scoter.errors import ScoterError


def read(session: InProcess, plan) -> list[tuple]:
    table = session.engine.run(plan, session.context).read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_a_plan_reads_the_snapshot_that_it_was_made_for(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    session.update("CREATE TABLE u AS SELECT 10 AS b")
    plan = session.engine.plan("SELECT a, b FROM t, u ORDER BY a", session.context)
    other = InProcess(session.engine)
    other.update("INSERT INTO t VALUES (2)")
    other.update("INSERT INTO u VALUES (20)")
    assert read(session, plan) == [(1, 10)]
    assert session.rows("SELECT a, b FROM t, u ORDER BY a, b") == [(1, 10), (1, 20), (2, 10), (2, 20)]
    assert read(session, plan) == [(1, 10)]


def test_another_process_commits_between_plan_and_run(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    plan = session.engine.plan("SELECT count(*) FROM t", session.context)
    with opened(session.engine.settings.directory) as engine:
        InProcess(engine).update("INSERT INTO t VALUES (2)")
    assert read(session, plan) == [(1,)]
    assert session.value("SELECT count(*) FROM t") == 2


def test_pins_travel_to_another_engine(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    sql = "SELECT a, now() AS at FROM t ORDER BY a"
    plan = session.engine.plan(sql, session.context)
    pins = Pins.from_text(plan.pins.text)
    assert pins == plan.pins
    assert len(pins.tables) == 1
    assert pins.instant is not None
    session.update("INSERT INTO t VALUES (2)")
    with opened(session.engine.settings.directory) as engine:
        there = InProcess(engine)
        again = engine.plan(sql, there.context, pins)
        assert read(there, again) == [(1, pins.instant)]
        assert read(there, engine.plan(sql, there.context)) != [(1, pins.instant)]
    # And after the plan for the present has been kept.
    session.rows(sql)
    assert read(session, session.engine.plan(sql, session.context, pins)) == [(1, pins.instant)]
    assert len(session.rows(sql)) == 2


def test_a_pinned_instant_is_kept_and_a_fresh_one_moves(session: InProcess) -> None:
    sql = "SELECT now(), current_date"
    first = session.engine.plan(sql, session.context)
    assert read(session, first) == read(session, first)
    second = session.engine.plan(sql, session.context)
    assert second.pins.instant > first.pins.instant
    long_ago = replace(first.pins, instant=dt.datetime(2001, 2, 3, 4, 5, 6, tzinfo=dt.UTC))
    pinned = session.engine.plan(sql, session.context, long_ago)
    assert read(session, pinned) == [(long_ago.instant, dt.date(2001, 2, 3))]


def test_pinned_model_versions(session: InProcess, model_files) -> None:
    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
    sql = "SELECT PREDICT('m', 1, 1) AS a, PREDICT('m@best', 1, 1) AS b"
    session.update("ALTER MODEL m SET ALIAS best = 1")
    plan = session.engine.plan(sql, session.context)
    assert [(pin.version, pin.written) for pin in plan.pins.models] == [(1, "m"), (1, "m@best")]
    session.update(f"ALTER MODEL m ADD VERSION FROM '{model_files}/pair_hundred.onnx'")
    session.update("ALTER MODEL m SET ALIAS best = 2")
    assert session.rows(sql) == [(11.0, 101.0)]
    assert read(session, session.engine.plan(sql, session.context, plan.pins)) == [(11.0, 11.0)]
    assert read(session, plan) == [(11.0, 11.0)]


def test_what_changed_is_seen_by_the_next_plan(session: InProcess, model_files) -> None:
    """Every kind of change that a kept plan must notice."""
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    sql = "SELECT * FROM t"
    assert session.rows(sql) == session.rows(sql) == [(1,)]
    session.update("INSERT INTO t VALUES (2)")
    assert sorted(session.rows(sql)) == [(1,), (2,)]
    session.update("DROP TABLE t")
    with pytest.raises(Refused, match="42P01"):
        session.rows(sql)
    session.update("CREATE TABLE t AS SELECT 'x' AS b, 1.5 AS c")
    assert session.engine.plan(sql, session.context).schema.names == ["b", "c"]
    session.update("CREATE SCHEMA s")
    session.update("CREATE TABLE s.t AS SELECT 'other' AS d")
    session.update("USE s")
    assert session.rows(sql) == [("other",)]
    session.update("USE main")
    assert session.engine.plan(sql, session.context).schema.names == ["b", "c"]

    session.update("CREATE TABLE z AS SELECT TIMESTAMPTZ '2024-01-01 23:00:00Z' AS at")
    assert session.value("SELECT day(at) FROM z") == 1
    session.update("SET timezone = 'Asia/Tokyo'")
    assert session.value("SELECT day(at) FROM z") == 2

    # A second reading of a name appears.
    assert session.value("SELECT count(*) FROM z.snapshots") == 1
    session.update("CREATE SCHEMA z")
    session.update("CREATE TABLE z.snapshots AS SELECT 1 AS a")
    with pytest.raises(Refused, match="42725"):
        session.rows("SELECT count(*) FROM z.snapshots")

    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
    predict = "SELECT PREDICT('m', 1, 1)"
    assert session.value(predict) == 11
    session.update(f"CREATE OR REPLACE MODEL m FROM '{model_files}/pair_hundred.onnx'")
    assert session.value(predict) == 101
    session.update("ALTER MODEL m SET DEFAULT_VERSION = 1")
    assert session.value(predict) == 11
    session.update("DROP MODEL m")
    with pytest.raises(Refused, match="42704"):
        session.value(predict)


def test_virtual_tables_are_never_kept(session: InProcess) -> None:
    sql = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'main'"
    assert session.value(sql) == 0
    session.update("CREATE TABLE t (a INTEGER)")
    assert session.value(sql) == 1
    history = 'SELECT count(*) FROM "t$snapshots"'
    assert session.value(history) == 0
    session.update("INSERT INTO t VALUES (1)")
    assert session.value(history) == 1


def test_a_dropped_and_recreated_table_is_another_one(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    plan = session.engine.plan("SELECT a FROM t", session.context)
    session.update("DROP TABLE t")
    session.update("CREATE TABLE t AS SELECT 'new' AS a")
    assert read(session, plan) == [(1,)]
    assert session.rows("SELECT a FROM t") == [("new",)]


def test_a_planned_insert_does_not_run(session: InProcess) -> None:
    session.update("CREATE TABLE t (a INTEGER)")
    plan = session.engine.plan("INSERT INTO t VALUES (1)", session.context)
    assert plan.is_update
    assert session.value("SELECT count(*) FROM t") == 0
    result = session.engine.run(plan, session.context)
    assert result.rows_affected == 1
    assert session.value("SELECT count(*) FROM t") == 1
    create = session.engine.plan("CREATE TABLE made AS SELECT 1 AS a", session.context)
    assert create.is_update
    with pytest.raises(Refused, match="42P01"):
        session.rows("SELECT * FROM made")


def test_plans_of_queries_are_data(session: InProcess, model_files) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a, 2 AS b")
    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
    for sql in ("SELECT a FROM t", "SELECT PREDICT('m', t) FROM t", 'SELECT * FROM "t$snapshots"'):
        plan = session.engine.plan(sql, session.context)
        again = pickle.loads(pickle.dumps(plan))  # noqa: S301  # our own bytes
        assert read(session, again) == read(session, plan)


def test_planning_has_no_side_effects(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    before = session.rows("SELECT count(*), max(table_name) FROM information_schema.tables")
    for sql in ("DROP TABLE t", "CREATE TABLE u (a INTEGER)", "CREATE SCHEMA s", "USE information_schema_x"):
        session.engine.plan(sql, session.context)
    assert session.rows("SELECT count(*), max(table_name) FROM information_schema.tables") == before


def test_a_missing_data_file_is_said_without_its_path(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    (file,) = session.engine.settings.warehouse.glob("main/t-*/data/**/*.parquet")
    file.unlink()
    with pytest.raises(Refused) as caught:
        session.rows("SELECT * FROM t")
    assert "[XX001] CORRUPT_DATA" in str(caught.value)
    assert "parquet" not in str(caught.value)
    assert str(session.engine.settings.directory) not in str(caught.value)


def test_errors_carry_a_query_id(session: InProcess) -> None:
    with pytest.raises(ScoterError) as caught:
        session.engine.plan("SELECT nope", session.engine.context(ADMIN), query_id="0123456789abcdef")
    assert caught.value.query_id == "0123456789abcdef"
    assert caught.value.text().endswith("Query id 0123456789abcdef")


def test_a_model_keeps_the_snapshots_that_it_was_trained_on(session: InProcess, model_files: Path) -> None:
    session.update("CREATE TABLE seen AS SELECT 1 AS a")
    first = session.value("SELECT snapshot_id FROM seen.snapshots")
    session.update("INSERT INTO seen VALUES (2)")
    made = f"CREATE MODEL m FROM '{model_files}/pair.onnx' WITH (trained_on = ["
    with pytest.raises(Refused, match=r"42611.*at two snapshots"):
        session.update(f"{made}'seen', 'seen FOR VERSION AS OF {first}'])")
    session.update(f"{made}'seen FOR VERSION AS OF {first}'])")
    assert session.value("SELECT trained_on FROM system.model_versions") == [("lake.main.seen", first)]
