"""A second catalog beside the lake's own: names with three parts, joins across, writes into it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import InProcess, opened
from slt import Refused


@pytest.fixture
def session(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    properties = {
        "uri": f"sqlite:///{tmp_path}/elsewhere/catalog.db",
        "warehouse": f"file://{tmp_path}/elsewhere/warehouse",
        "init_catalog_tables": "true",
    }
    with opened(tmp_path / "lake", catalogs={"other": {"type": "sql", "properties": properties}}) as engine:
        yield InProcess(engine)


def test_names_of_two_catalogs(session: InProcess) -> None:
    assert session.rows("SHOW CATALOGS") == [("lake",), ("other",)]
    session.update("CREATE SCHEMA other.sales")
    session.update("CREATE TABLE other.sales.t AS SELECT 1 AS id, 'theirs' AS s")
    session.update("CREATE TABLE t AS SELECT 1 AS id, 'ours' AS s")
    assert session.rows("SELECT a.s, b.s FROM t AS a JOIN other.sales.t AS b USING (id)") == [
        ("ours", "theirs")
    ]
    assert session.rows("SELECT main.t.s, other.sales.t.s FROM main.t, other.sales.t") == [("ours", "theirs")]
    assert session.rows("SHOW TABLES FROM other.sales") == [("other", "sales", "t")]
    assert session.rows("SHOW ALL TABLES") == [("lake", "main", "t"), ("other", "sales", "t")]
    assert session.update("INSERT INTO other.sales.t SELECT id + 1, s FROM t") == 1
    assert session.value("SELECT count(*) FROM other.sales.t") == 2
    assert session.value('SELECT count(*) FROM other.sales."t$snapshots"') == 2
    assert session.value("SELECT count(*) FROM other.sales.t.snapshots") == 2
    catalogs = (
        "SELECT DISTINCT table_catalog FROM information_schema.tables WHERE table_name = 't' ORDER BY 1"
    )
    assert session.rows(catalogs) == [("lake",), ("other",)]

    session.update("USE other.sales")
    assert session.rows("SELECT s FROM t WHERE id = 1") == [("theirs",)]
    assert session.rows("SELECT s FROM lake.main.t") == [("ours",)]
    session.update("CREATE TABLE u (a INTEGER) PARTITIONED BY (bucket(2, a))")
    assert session.update("INSERT INTO u VALUES (1), (2), (3)") == 3
    assert session.rows("SELECT a FROM u WHERE a = 2") == [(2,)]
    session.update("USE lake.main")
    session.update("DROP TABLE other.sales.u")
    with pytest.raises(Refused, match="42P01"):
        session.rows("SELECT * FROM other.sales.u")


def test_a_catalog_that_is_not_there(session: InProcess) -> None:
    for sql, code in (
        ("SELECT * FROM nowhere.main.t", "42P01"),
        ("USE nowhere.main", "3D000"),
        ("CREATE TABLE nowhere.main.t (a INTEGER)", "3D000"),
        ("CREATE SCHEMA nowhere.s", "3D000"),
        ("SHOW SCHEMAS FROM nowhere", "3D000"),
        ("SELECT * FROM other.nope.t", "42P01"),
    ):
        with pytest.raises(Refused) as caught:
            session.query(sql)
        assert f"[{code}]" in str(caught.value), sql


def test_a_join_across_sees_each_table_at_one_moment(session: InProcess) -> None:
    session.update("CREATE SCHEMA other.s")
    session.update("CREATE TABLE other.s.t AS SELECT 1 AS a")
    session.update("CREATE TABLE t AS SELECT 1 AS a")
    plan = session.engine.plan("SELECT count(*) FROM t JOIN other.s.t AS u USING (a)", session.context)
    session.update("INSERT INTO t VALUES (1)")
    session.update("INSERT INTO other.s.t VALUES (1)")
    assert session.engine.run(plan, session.context).read_all().to_pylist() == [{"count_star()": 1}]
    assert session.value("SELECT count(*) FROM t JOIN other.s.t AS u USING (a)") == 4
