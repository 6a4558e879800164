"""An INSERT that is asked again is not prepared again, unless what it reads or where it writes to has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_models
from sessions import InProcess, bound, opened
from slt import Refused

from scoter.engine import service
from scoter.errors import WriteConflict


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were prepared, in turn."""
    found: list[str] = []
    prepare = service.pipeline.prepare

    def noted(sql, *rest):
        found.append(sql)
        return prepare(sql, *rest)

    monkeypatch.setattr(service.pipeline, "prepare", noted)
    return found


INSERT = "INSERT INTO t SELECT b, b * 2 FROM u"


@pytest.fixture
def session(session: InProcess) -> InProcess:
    session.update("CREATE TABLE t (a INTEGER, c INTEGER)")
    session.update("CREATE TABLE u AS SELECT 1 AS b")
    return session


def test_an_insert_asked_again_is_prepared_once(session: InProcess, prepared: list[str]) -> None:
    for _ in range(3):
        assert session.update(INSERT) == 1
    assert prepared == [INSERT]
    assert session.rows("SELECT * FROM t") == [(1, 2)] * 3


def test_its_pins_are_those_of_the_table_as_it_is(session: InProcess) -> None:
    plans = []
    for _ in range(2):
        plans.append(session.engine.plan(INSERT, session.context))
        session.update("INSERT INTO t VALUES (0, 0)")
    metadata = [{pin.name.name: pin.metadata_location for pin in plan.pins.tables} for plan in plans]
    assert metadata[0]["u"] == metadata[1]["u"]
    assert metadata[0]["t"] != metadata[1]["t"] == plans[1].target.metadata_location
    # A plan that is older runs all the same, as the columns are what they were: rows are only added.
    for plan in plans:
        session.engine.run(plan, session.context).close()
    assert session.value("SELECT count(*) FROM t") == 4


def test_bound_rows_too(session: InProcess, prepared: list[str]) -> None:
    for number in range(3):
        session.update("INSERT INTO t VALUES (?, ?)", bound(number, number))
    assert len(prepared) == 1
    assert session.rows("SELECT a FROM t ORDER BY a") == [(0,), (1,), (2,)]


def test_rows_of_another_process(session: InProcess, prepared: list[str]) -> None:
    session.update(INSERT)
    with opened(session.engine.settings.directory) as engine:
        InProcess(engine).update("INSERT INTO t VALUES (9, 9)")
    del prepared[:]
    session.update(INSERT)
    assert prepared == []
    assert session.rows("SELECT a FROM t ORDER BY a") == [(1,), (1,), (9,)]


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ("INSERT INTO u VALUES (5)", [(1, 2), (1, 2), (5, 10)]),
        ("DELETE FROM u", [(1, 2)]),
    ],
)
def test_what_it_reads_has_changed(session: InProcess, change: str, rows: list[tuple[int, int]]) -> None:
    session.update(INSERT)
    session.update(change)
    session.update(INSERT)
    assert session.rows("SELECT * FROM t ORDER BY a") == rows


@pytest.mark.parametrize(
    "query",
    [
        "SELECT max(a) + 1, 0 FROM t",
        "WITH w AS (SELECT * FROM t) SELECT max(a) + 1, 0 FROM w",
        "SELECT b + (SELECT max(a) FROM t), 0 FROM u",
        "SELECT max(a) + 1, 0 FROM v",
    ],
)
def test_a_table_that_is_read_too(session: InProcess, query: str) -> None:
    session.update("INSERT INTO t VALUES (0, 0)")
    session.update("CREATE VIEW v AS SELECT * FROM t")
    for _ in range(3):
        session.update(f"INSERT INTO t {query}")
    assert session.rows("SELECT a FROM t ORDER BY a") == [(0,), (1,), (2,), (3,)]


def test_a_table_with_other_columns(session: InProcess, tmp_path) -> None:
    session.update(INSERT)
    session.update("DROP TABLE t")
    session.update("CREATE TABLE t (c INTEGER, a BIGINT, more VARCHAR)")
    with pytest.raises(Refused, match="3 columns, the query gives 2"):
        session.update(INSERT)
    session.update("DROP TABLE t")
    session.update("CREATE TABLE t (c VARCHAR, a VARCHAR)")
    session.update(INSERT)
    assert session.rows("SELECT c, a FROM t") == [("1", "2")]


def test_a_table_in_the_place_of_another(session: InProcess) -> None:
    session.update(INSERT)
    session.update("DROP TABLE t")
    session.update("CREATE TABLE t (a INTEGER, c INTEGER)")
    session.update(INSERT)
    assert session.rows("SELECT * FROM t") == [(1, 2)]
    session.update("DROP TABLE t")
    with pytest.raises(Refused, match="UNDEFINED_TABLE"):
        session.update(INSERT)


def test_a_view_in_the_place_of_the_table(session: InProcess) -> None:
    session.update(INSERT)
    session.update("DROP TABLE t")
    session.update("CREATE VIEW t AS SELECT 1 AS a, 2 AS c")
    for _ in range(2):
        with pytest.raises(Refused, match="is a view"):
            session.update(INSERT)


def test_older_metadata_files_may_be_gone(session: InProcess) -> None:
    """Other engines delete them after a number of commits."""
    session.update(INSERT)
    with opened(session.engine.settings.directory) as engine:
        InProcess(engine).update("INSERT INTO t VALUES (9, 9)")
    (pin,) = (
        pin
        for pin in session.engine.plan("SELECT * FROM t", session.context).pins.tables
        if pin.name.name == "t"
    )
    now = Path(pin.metadata_location.removeprefix("file://"))
    for file in now.parent.glob("*.metadata.json"):
        if file.name != now.name:
            file.unlink()
    session.engine.lake._catalogs.cache._entries.clear()
    assert session.update(INSERT) == 1


def test_a_plan_for_columns_that_are_others_now_writes_nothing(session: InProcess) -> None:
    plan = session.engine.plan("INSERT INTO t (a) SELECT b FROM u", session.context)
    session.update("DROP TABLE t")
    session.update("CREATE TABLE t (c INTEGER, a INTEGER)")
    with pytest.raises(WriteConflict, match="columns of table"):
        session.engine.run(plan, session.context)
    assert session.value("SELECT count(*) FROM t") == 0


def test_an_older_plan_with_another_model_is_not_what_the_text_means_later(
    session: InProcess, model_files: Path, tmp_path: Path
) -> None:
    session.update("CREATE TABLE scores (p FLOAT)")
    session.update("CREATE MODEL m FROM ?", bound(small_models.pair(10)))
    session.update("ALTER MODEL m ADD VERSION FROM ?", bound(small_models.pair(100)))
    texts = {
        "SELECT PREDICT('m', 1::FLOAT, 1::FLOAT) + ? AS p": None,
        "INSERT INTO scores SELECT PREDICT('m', 1::FLOAT, 1::FLOAT) + ?": "scores",
    }
    for sql, table in texts.items():
        session.update("ALTER MODEL m SET DEFAULT_VERSION = 1")
        planned = session.engine.plan(sql, session.context)
        session.update("ALTER MODEL m SET DEFAULT_VERSION = 2")
        session.query(sql, bound(0.0))
        found = session.engine.run(planned, session.context, bound(0.0)).read_all()
        then = [session.query(sql, bound(0.0)) for _ in range(2)]
        if table is None:
            assert [each["p"].to_pylist() for each in (found, *then)] == [[11.0], [101.0], [101.0]]
        else:
            assert session.rows("SELECT p FROM scores ORDER BY p") == [(11.0,), (101.0,), (101.0,), (101.0,)]
