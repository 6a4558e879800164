"""Branches and tags as names: `t.branch_b` and `t.tag_b`."""

from __future__ import annotations

import pytest
from sessions import InProcess
from slt import Refused

from scoter.catalog.names import TableName


@pytest.fixture
def session(session: InProcess) -> InProcess:
    """A table of one row at branch `b` and tag `Old`, of two rows and one column more now."""
    session.update("CREATE TABLE t AS SELECT 1 AS n")
    table = session.engine.lake.load(TableName("lake", "main", "t"))
    first = table.current_snapshot()
    assert first is not None
    with table.manage_snapshots() as refs:
        refs.create_branch(first.snapshot_id, "b").create_tag(first.snapshot_id, "Old")
    with table.update_schema() as schema:
        schema.rename_column("n", "m")
    session.update("INSERT INTO t VALUES (2)")
    return session


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT m FROM t ORDER BY m", [(1,), (2,)]),
        ("SELECT m FROM t.branch_b", [(1,)]),
        ("SELECT n FROM t.tag_Old", [(1,)]),
        ("SELECT branch_b.m FROM main.t.Branch_b", [(1,)]),
        ("SELECT x.m FROM lake.main.t.branch_b AS x", [(1,)]),
        ("SELECT x.z FROM t.branch_b AS x(z)", [(1,)]),
        ("SELECT count(*) FROM t JOIN t.branch_b AS x USING (m)", [(1,)]),
        ("SELECT count(*) FROM t, t.branch_b, t.tag_Old", [(2,)]),
        ("WITH branch_b AS (SELECT 5 AS m) SELECT m FROM branch_b", [(5,)]),
        ("SELECT n FROM (SELECT * FROM t.tag_Old)", [(1,)]),
    ],
)
def test_reading(session: InProcess, sql: str, rows: list[tuple[int]]) -> None:
    assert session.rows(sql) == rows


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT * FROM t.branch_c", r"\[42704\].*no branch 'c' \(1:15\)"),
        (
            "SELECT * FROM t.branch_Old",
            r"\[42704\].*no branch 'Old' \(1:15\).*it is a tag: lake.main.t.tag_Old",
        ),
        ("SELECT * FROM t.tag_b", r"\[42704\].*no tag 'b' .*it is a branch: lake.main.t.branch_b"),
        ("SELECT * FROM t.branch_b FOR VERSION AS OF 1", r"\[0A000\].*a branch has no versions"),
        ("SELECT * FROM nope.branch_b", r"\[42P01\]"),
        ("CREATE TABLE nope.branch_b (n INTEGER)", r"\[3F000\]"),
        ("INSERT INTO t.branch_b VALUES (1)", r"\[0A000\].*can be read, not written"),
        ("DROP TABLE t.tag_Old", r"\[0A000\].*can be read, not written"),
    ],
)
def test_refusals(session: InProcess, sql: str, error: str) -> None:
    with pytest.raises(Refused, match=error):
        session.rows(sql)


def test_a_table_of_the_name_comes_first(session: InProcess) -> None:
    session.update("CREATE SCHEMA t")
    session.update("CREATE TABLE t.branch_b AS SELECT 7 AS x")
    assert session.rows("SELECT * FROM t.branch_b") == [(7,)]
    assert session.rows("SELECT * FROM main.t.branch_b") == [(1,)]


def test_views_keep_the_name(session: InProcess) -> None:
    session.update("CREATE VIEW v AS SELECT branch_b.m, o.n FROM t.branch_b, t.tag_Old AS o")
    assert session.rows("SELECT * FROM v") == [(1, 1)]
    assert session.rows("SELECT t.* FROM v AS t") == [(1, 1)]
    with pytest.raises(Refused, match=r"\[0A000\].*a view and has no branches"):
        session.rows("SELECT * FROM v.branch_b")


def test_a_snapshots_number_is_no_tag(session: InProcess) -> None:
    number = session.value("SELECT snapshot_id FROM t.snapshots ORDER BY committed_at LIMIT 1")
    with pytest.raises(Refused, match=rf"\[42704\].*no tag '{number}'"):
        session.rows(f"SELECT * FROM t.tag_{number}")


@pytest.mark.parametrize("asked", ["lake.t.branch_b", "lake.t.snapshots"])
def test_two_tables_that_are_meant_are_an_error(session: InProcess, asked: str) -> None:
    session.update("CREATE SCHEMA lake")
    session.update("CREATE TABLE lake.lake.t AS SELECT 1 AS n")
    with pytest.raises(Refused, match=r"\[42725\].*can be read as lake.lake.t.* and as lake.main.t"):
        session.rows(f"SELECT * FROM {asked}")
