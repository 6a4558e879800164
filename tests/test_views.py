"""Views: what a plan keeps of them, who reads them, races for their names, and limits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import slt
import sqlalchemy as sa
from sessions import ADMIN, InProcess, opened
from slt import Refused
from test_sql import FILES_BY_NAME, values

from scoter.catalog.attached import TamedSql
from scoter.catalog.lake import Lake
from scoter.catalog.lookup import VIEW_TYPES
from scoter.catalog.names import TableName
from scoter.catalog.principals import Principal, Role
from scoter.engine.plan import Pins, Plan
from scoter.engine.views import MAX_DEPTH

NAME = TableName("lake", "main", "v")


def read(session: InProcess, plan: Plan) -> list[tuple[object, ...]]:
    table = session.engine.run(plan, session.context).read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_a_plan_keeps_the_text_that_it_was_made_with(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a, 2 AS b")
    session.update("CREATE VIEW inner_v AS SELECT a, b FROM t")
    session.update("CREATE VIEW v AS SELECT a AS x FROM inner_v")
    plan = session.engine.plan("SELECT x FROM v", session.context)
    assert [str(pin.name) for pin in plan.pins.views] == ["lake.main.inner_v", "lake.main.v"]
    session.update("CREATE OR REPLACE VIEW inner_v AS SELECT b AS a, a AS b FROM t")
    session.update("INSERT INTO t VALUES (3, 4)")
    assert read(session, plan) == [(1,)]
    assert session.rows("SELECT x FROM v ORDER BY x") == [(2,), (4,)]
    session.update("DROP VIEW v")
    pins = Pins.from_text(plan.pins.text)
    assert pins == plan.pins
    with opened(session.engine.settings.directory) as engine:
        there = InProcess(engine)
        assert read(there, engine.plan("SELECT x FROM v", there.context, pins)) == [(1,)]
        with pytest.raises(Refused, match="42P01"):
            there.query("SELECT x FROM v")


def test_a_kept_statement_sees_each_change_of_a_view(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    for number in range(5):
        session.update(f"CREATE OR REPLACE VIEW deep AS SELECT a + {number} AS a FROM t")
        session.query("CREATE VIEW IF NOT EXISTS v AS SELECT a FROM deep")
        assert session.rows("SELECT a FROM v") == [(1 + number,)]
        assert session.rows("SELECT a FROM v") == [(1 + number,)]
    session.update("INSERT INTO t VALUES (10)")
    assert len(session.rows("SELECT a FROM v")) == 2
    with opened(session.engine.settings.directory) as engine:
        InProcess(engine).update("CREATE OR REPLACE VIEW deep AS SELECT 7 AS a")
    assert session.rows("SELECT a FROM v") == [(7,)]


def test_a_kept_statement_costs_one_look_at_the_catalog(
    session: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    session.update("CREATE VIEW one AS SELECT a FROM t")
    session.update("CREATE VIEW two AS SELECT a FROM one")
    looks = []
    look_up = Lake.look_up

    def counted(lake: Lake, names: object) -> object:
        looks.append(names)
        return look_up(lake, names)

    monkeypatch.setattr(Lake, "look_up", counted)
    session.query("SELECT a FROM two")
    # One for each level, and one that shows all of them to be of one moment.
    assert len(looks) == 4
    looks.clear()
    session.query("SELECT a FROM two")
    assert len(looks) == 1


def test_who_asks_is_who_reads(session: InProcess) -> None:
    session.update("CREATE VIEW v AS SELECT current_user AS who, user() AS too")
    session.update("CREATE VIEW outer_v AS SELECT who FROM v")
    sessions = [InProcess(session.engine, Principal(name, Role.READER)) for name in ("ada", "bob", "eve")]
    for _ in range(2):
        for one in [session, *sessions]:
            name = one.context.principal.name
            assert one.rows("SELECT * FROM v") == [(name, name)]
            assert one.rows("SELECT * FROM outer_v") == [(name,)]
    session.update("CREATE OR REPLACE VIEW v AS SELECT 'all' AS who")
    assert [one.value("SELECT who FROM outer_v") for one in sessions] == ["all"] * 3
    session.update("CREATE OR REPLACE VIEW v AS SELECT current_user AS who")
    assert [one.value("SELECT who FROM outer_v") for one in sessions] == ["ada", "bob", "eve"]


def test_what_roles_may(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    writer = InProcess(session.engine, Principal("ada", Role.WRITER))
    reader = InProcess(session.engine, Principal("bob", Role.READER))
    for sql in (
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE OR REPLACE VIEW v AS SELECT a FROM t",
        "ALTER VIEW v RENAME TO v",
        "COMMENT ON VIEW v IS 'x'",
        "DROP VIEW v",
    ):
        with pytest.raises(Refused, match="42501"):
            reader.query(sql)
        writer.query(sql)
    plan = reader.engine.plan("SELECT 1 AS a", reader.context)
    assert plan.pins.views == ()


class ThroughViews(InProcess):
    """A session that asks each query by way of a view of it."""

    made = 0

    def query(self, sql: str, parameters: pa.RecordBatch | None = None) -> pa.Table:
        if parameters is not None or sql.split(None, 1)[0].upper() not in (
            "SELECT",
            "WITH",
            "FROM",
            "VALUES",
        ):
            return super().query(sql, parameters)
        try:
            super().query(f"CREATE OR REPLACE VIEW through_a_view AS {sql}")
        except Refused:
            # Two columns of one name, or the query itself is refused.
            return super().query(sql)
        self.made += 1
        return super().query("SELECT * FROM through_a_view")


@pytest.mark.parametrize(
    "name",
    ["ctes", "grouping", "joins", "names", "nested", "pivots", "predict", "select", "session_values", "sets",
     "subqueries", "time_travel", "windows"],
)  # fmt: skip
def test_a_view_of_a_query_is_the_query(name: str, session: InProcess, model_files: Path) -> None:
    through = ThroughViews(session.engine)
    assert slt.run(FILES_BY_NAME[name], "process", lambda: through, values(model_files)) > 0
    assert through.made > 3


def race(*works: Callable[[], object]) -> list[object]:
    """Run all at once and return what each returned or the refusal's SQLSTATE."""
    gate = threading.Barrier(len(works))
    found: list[object] = [None] * len(works)

    def run(position: int, work: Callable[[], object]) -> None:
        gate.wait()
        try:
            work()
            found[position] = "ok"
        except Refused as error:
            found[position] = str(error)[1:6]

    threads = [threading.Thread(target=run, args=(i, work)) for i, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize(
    "others", ["CREATE VIEW n{} AS SELECT {} AS a", "CREATE TABLE n{} AS SELECT {} AS a"]
)
def test_one_of_two_that_make_a_name_gets_it(session: InProcess, others: str) -> None:
    for number in range(8):
        statements = [f"CREATE VIEW n{number} AS SELECT 1 AS a", others.format(number, 2)]
        works = [lambda sql=sql: InProcess(session.engine).query(sql) for sql in statements]
        found = race(*works)
        assert sorted(found) in (["42809", "ok"], ["42P07", "ok"]), found
        assert session.rows(f"SELECT a FROM n{number}") == [(found.index("ok") + 1,)]
        names = [name for _, _, name in session.rows("SHOW TABLES")]
        assert names.count(f"n{number}") == 1


def test_views_that_are_replaced_at_once_lose_no_version(session: InProcess) -> None:
    session.update("CREATE VIEW v AS SELECT 0 AS a")

    def replace(number: int) -> None:
        InProcess(session.engine).query(f"CREATE OR REPLACE VIEW v AS SELECT {number} AS a")

    found = race(*(lambda n=n: replace(n) for n in range(1, 5)))
    assert set(found) <= {"ok", "40001"}
    assert session.value("SELECT a FROM v") in {n + 1 for n, one in enumerate(found) if one == "ok"}


def test_all_of_a_statement_is_of_one_moment(session: InProcess) -> None:
    """Two views that are always replaced together by one transaction's worth: never one old and one new."""
    session.update("CREATE TABLE t AS SELECT 0 AS a")
    session.update("CREATE VIEW low AS SELECT a FROM t")
    session.update("CREATE VIEW v AS SELECT a, 0 AS n FROM low")
    stop = time.monotonic() + 3
    seen = set()

    def write() -> None:
        writer, number = InProcess(session.engine), 0
        while time.monotonic() < stop:
            number += 1
            # The outer view's number is never above the inner one's, at any moment.
            writer.query(f"CREATE OR REPLACE VIEW low AS SELECT {number} AS a")
            writer.query(f"CREATE OR REPLACE VIEW v AS SELECT a, {number} AS n FROM low")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        position = 0
        while time.monotonic() < stop:
            position += 1
            # Another text each time, so that nothing is kept.
            ((a, n),) = session.rows(f"SELECT a, n FROM v WHERE {position} > 0")
            assert a - n in (0, 1)
            seen.add(a)
    finally:
        thread.join()
    assert len(seen) > 3


def test_a_cycle_is_named(session: InProcess) -> None:
    session.update("CREATE VIEW a AS SELECT 1 AS x")
    session.update("CREATE VIEW b AS SELECT x FROM a")
    session.update("CREATE VIEW c AS SELECT x FROM b")
    session.update("DROP VIEW a")
    session.update("ALTER VIEW c RENAME TO a")
    with pytest.raises(Refused) as refused:
        session.query("SELECT x FROM a")
    assert "view lake.main.a reads itself: lake.main.a → lake.main.b → lake.main.a (1:15" in str(
        refused.value
    )
    with pytest.raises(Refused, match="42611"):
        session.query("SELECT x FROM b")


def test_depth_is_limited(session: InProcess) -> None:
    session.update("CREATE VIEW v0 AS SELECT 1 AS x")
    for number in range(1, MAX_DEPTH):
        session.update(f"CREATE VIEW v{number} AS SELECT x FROM v{number - 1}")
    assert session.value(f"SELECT x FROM v{MAX_DEPTH - 1}") == 1
    session.update(f"CREATE VIEW top AS SELECT x FROM v{MAX_DEPTH - 1}")
    with pytest.raises(Refused, match="54001"):
        session.query("SELECT x FROM top")


def test_views_that_read_views_twice_are_limited(session: InProcess) -> None:
    session.update("CREATE VIEW v0 AS SELECT 1 AS x")
    number = 0
    refused = ""
    while not refused and number < MAX_DEPTH:
        number += 1
        below = f"v{number - 1}"
        try:
            session.update(
                f"CREATE VIEW v{number} AS SELECT a.x FROM {below} AS a JOIN {below} AS b USING (x)"
            )
        except Refused as error:
            refused = str(error)
    assert refused.startswith("[54001]")
    assert 5 < number < 15
    # What is refused must not have been made first: one more level would be twice as much.
    with pytest.raises(Refused, match="54001"):
        session.query(f"SELECT count(*) FROM v{number - 1} AS a, v{number - 1} AS b")


def test_a_text_that_somebody_changed_is_not_trusted(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    session.update("CREATE VIEW v AS SELECT a FROM t")
    lake = session.engine.lake
    path = Path(lake.look_up([NAME])[NAME].location.removeprefix("file://"))
    kept = path.read_text()
    for sql in (
        "SELECT a FROM read_csv('/etc/passwd')",
        "DROP TABLE t",
        "SELECT ? AS a",
        "SELECT (",
        "SELECT 1; SELECT 2",
    ):
        path.write_text(kept.replace(kept[kept.index('"sql":"SELECT') + 7 : kept.index('","dialect"')], sql))
        with pytest.raises(Refused, match=r"in view lake\.main\.v"):
            session.query(f"SELECT a FROM v WHERE '{sql[:8]}' <> ''".replace("(", ""))
    path.write_text("{")
    with pytest.raises(Refused, match="XX001"):
        session.query("SELECT a, 1 AS b FROM v")
    assert session.rows("SELECT table_name, view_definition FROM information_schema.views") == [("v", None)]
    path.unlink()
    with pytest.raises(Refused, match="XX001"):
        session.query("SELECT a, 2 AS b FROM v")


def metadata_of(session: InProcess, name: str) -> Path:
    asked = TableName("lake", "main", name)
    return Path(session.engine.lake.look_up([asked])[asked].location.removeprefix("file://"))


def listings(session: InProcess) -> list[list[tuple[Any, ...]]]:
    return [
        session.rows(
            f"SELECT {columns} FROM information_schema.{table} WHERE table_schema = 'main' ORDER BY ALL"
        )
        for table, columns in (
            ("tables", "table_name"),
            ("columns", "table_name, data_type"),
            ("views", "table_name, view_definition"),
        )
    ]


@pytest.mark.parametrize("kind", ["FOO", "INT[", "", "STRUCT(", "INTEGER)"])
def test_a_type_that_is_none_harms_its_view_alone(kind: str, session: InProcess) -> None:
    session.update("CREATE VIEW good AS SELECT 1 AS n")
    session.update("CREATE VIEW v AS SELECT 1 AS n")
    path = metadata_of(session, "v")
    stored = json.loads(path.read_text())
    hashed, _ = json.loads(stored["properties"][VIEW_TYPES])
    stored["properties"][VIEW_TYPES] = json.dumps([hashed, kind])
    path.write_text(json.dumps(stored))
    for sql in ("SELECT n FROM v", "DESCRIBE v", "SHOW CREATE VIEW v"):
        with pytest.raises(Refused, match=r"XX001.*lake\.main\.v"):
            session.query(sql)
    tables, columns, views = listings(session)
    assert tables == [("good",), ("v",)]
    assert columns == [("good", "INTEGER")]
    assert [name for name, text in views if text is None] == ["v"]
    session.update("DROP VIEW v")


@pytest.mark.parametrize("location", ["/etc/passwd", "foo://bar/x", "file:///", ""])
def test_a_place_that_can_not_be_read_harms_its_view_alone(location: str, session: InProcess) -> None:
    session.update("CREATE VIEW good AS SELECT 1 AS n")
    session.update("CREATE VIEW v AS SELECT 1 AS n")
    catalog = session.engine.lake.attached("lake")
    assert isinstance(catalog, TamedSql)
    with catalog.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE iceberg_tables SET metadata_location = :at WHERE table_name = 'v'"),
            {"at": location},
        )
    for sql in ("SELECT n FROM v", "DESCRIBE v"):
        with pytest.raises(Refused, match="42501"):
            session.query(sql)
    tables, columns, views = listings(session)
    assert tables == [("good",), ("v",)]
    assert columns == [("good", "INTEGER")]
    assert [name for name, text in views if text is None] == ["v"]
    session.update("DROP VIEW v")


def test_models_in_views(session: InProcess, model_files: Path) -> None:
    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
    session.update("CREATE TABLE t AS SELECT 1 AS a, 1 AS b")
    session.update("CREATE VIEW v AS SELECT a, predict('m', a, b) AS p FROM t")
    plan = session.engine.plan("SELECT p FROM v", session.context)
    before = read(session, plan)
    session.update("CREATE SCHEMA other")
    session.update("USE other")
    assert session.rows("SELECT p FROM main.v") == before
    session.update(f"ALTER MODEL main.m ADD VERSION FROM '{model_files}/pair_hundred.onnx'")
    session.update("ALTER MODEL main.m SET DEFAULT_VERSION = 2")
    assert session.rows("SELECT p FROM main.v") != before
    session.update("USE main")
    assert session.rows("SELECT p FROM v") != before
    assert read(session, plan) == before
    assert [(str(pin.name), pin.version) for pin in plan.pins.models] == [("main.m", 1)]


def test_time_travel_reads_every_table_of_a_view(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    session.update("CREATE TABLE u AS SELECT 10 AS b")
    session.update("CREATE VIEW low AS SELECT b FROM u")
    session.update("CREATE VIEW v AS SELECT a, b FROM t, low")
    ((then,),) = session.rows("SELECT now()::VARCHAR")
    first = session.value("SELECT snapshot_id FROM t.snapshots")
    session.update(f"CREATE VIEW fixed AS SELECT a, b FROM t FOR VERSION AS OF {first}, low")
    time.sleep(0.01)
    session.update("INSERT INTO t VALUES (2)")
    session.update("INSERT INTO u VALUES (20)")
    assert len(session.rows("SELECT * FROM v")) == 4
    assert session.rows(f"SELECT * FROM v FOR TIMESTAMP AS OF TIMESTAMPTZ '{then}'") == [(1, 10)]
    assert len(session.rows("SELECT * FROM fixed")) == 2
    assert len(session.rows("SELECT * FROM v FOR TIMESTAMP AS OF now()")) == 4


def test_ingest_into_a_view_is_refused(session: InProcess) -> None:
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    session.update("CREATE VIEW v AS SELECT a FROM t")
    assert ADMIN.role is Role.ADMIN
    with pytest.raises(Refused, match="42809"):
        session.update("INSERT INTO v SELECT 1")
