"""What is constant for a session is never another session's, also where statements are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import InProcess, opened

from scoter import __version__
from scoter.catalog.principals import Principal, Role

WHO = "SELECT current_user, count(*) FROM range(2) GROUP BY 1"


@pytest.fixture
def engine(tmp_path: Path):
    with opened(tmp_path) as engine:
        InProcess(engine).update("CREATE SCHEMA other")
        yield engine


def test_each_principal_gets_its_own_name(engine):
    sessions = [InProcess(engine, Principal(name, Role.READER)) for name in ("ada", "o'bob", "ada")]
    for _ in range(2):
        assert [session.rows(WHO) for session in sessions] == [[("ada", 2)], [("o'bob", 2)], [("ada", 2)]]
        assert [session.value('SELECT "user"') for session in sessions] == ["ada", "o'bob", "ada"]


def test_who_asks_is_a_part_of_the_plan_only_where_it_is_asked(engine):
    ada, bob = (engine.context(Principal(name, Role.READER)) for name in ("ada", "bob"))
    assert engine.plan("SELECT 1 AS x", ada) is engine.plan("SELECT 1 AS x", bob)
    assert engine.plan(WHO, ada) is not engine.plan(WHO, bob)
    assert engine.plan(WHO, ada) is engine.plan(WHO, ada)


def test_the_place_is_the_sessions(engine):
    here, there = InProcess(engine), InProcess(engine)
    there.update("USE other")
    for session, schema in ((here, "main"), (there, "other"), (here, "main")):
        assert session.rows("SELECT current_schema(), current_schema") == [(schema, schema)]


def test_version(engine):
    session = InProcess(engine)
    assert session.value("SELECT version()").startswith(f"Scoter {__version__} (DuckDB ")


def test_a_write_keeps_who_wrote(engine):
    bob = InProcess(engine, Principal("bob", Role.WRITER))
    bob.update("CREATE TABLE notes AS SELECT current_user AS who, 1 AS n")
    for name in ("ada", "bob"):
        InProcess(engine, Principal(name, Role.WRITER)).update("INSERT INTO notes VALUES (session_user, 2)")
    assert bob.rows("SELECT who, n FROM notes ORDER BY n, who") == [("bob", 1), ("ada", 2), ("bob", 2)]
    assert bob.rows("SELECT n FROM notes WHERE who = current_user ORDER BY n") == [(1,), (2,)]
