"""Views of a catalog of type rest: Apache Iceberg's own server keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from pyiceberg.view.metadata import ViewVersion
from rest_server import RestServer, serving
from sessions import InProcess, opened
from slt import Refused


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestServer]:
    with serving(tmp_path_factory.mktemp("rest")) as made:
        yield made


@pytest.fixture
def session(server: RestServer, tmp_path: Path) -> Iterator[InProcess]:
    catalogs = {"far": {"type": "rest", "properties": server.properties()}}
    with opened(tmp_path, catalogs=catalogs) as engine:
        yield InProcess(engine)


def foreign(server: RestServer, name: str, **texts: str) -> None:
    """Make a view of another engine in the schema ``theirs``, with one column ``n``."""
    RestCatalog("other", **server.properties()).create_view(
        f"theirs.{name}",
        Schema(NestedField(1, "n", LongType(), required=False), schema_id=0),
        ViewVersion.model_validate(
            {
                "version-id": 1,
                "schema-id": 0,
                "representations": [
                    {"type": "sql", "sql": sql, "dialect": dialect} for dialect, sql in texts.items()
                ],
                "default-namespace": ["theirs"],
            }
        ),
    )


def test_a_view_from_its_making_to_its_end(server: RestServer, session: InProcess) -> None:
    session.update("CREATE SCHEMA far.one")
    session.update("CREATE TABLE far.one.t AS SELECT range AS n FROM range(5)")
    session.update("CREATE TABLE near AS SELECT 3 AS n")
    session.update("USE far.one")
    session.update(
        "CREATE VIEW v (n COMMENT 'number', s) COMMENT 'both' AS "
        "SELECT n, sum(n) OVER () FROM t JOIN lake.main.near USING (n)"
    )
    session.update("USE lake.main")
    assert session.rows("SELECT n, s FROM far.one.v") == [(3, 3)]
    assert session.rows("SELECT n, s FROM far.one.V") == [(3, 3)]
    other = RestCatalog("other", **server.properties())
    stored = other.load_view("one.v")
    assert [one.root.dialect for one in stored.current_version().representations] == ["scoter"]
    assert stored.properties["comment"] == "both"
    assert session.rows("SHOW VIEWS FROM far.one") == [("far", "one", "v")]
    described = session.rows("DESCRIBE far.one.v")
    assert [(name, kind, remark) for name, kind, *_, remark in described] == [
        ("n", "BIGINT", "number"),
        ("s", "HUGEINT", None),
    ]
    session.update("CREATE OR REPLACE VIEW far.one.v AS SELECT n + 1 AS n FROM far.one.t WHERE n > 3")
    assert session.rows("SELECT n FROM far.one.v") == [(5,)]
    assert other.load_view("one.v").properties.get("comment") is None
    session.update("COMMENT ON VIEW far.one.v IS 'again'")
    assert other.load_view("one.v").properties["comment"] == "again"
    assert session.rows("SELECT n FROM far.one.v") == [(5,)]
    for sql, state in (
        ("CREATE VIEW far.one.v AS SELECT 1 AS n", "42P07"),
        ("CREATE TABLE far.one.v (n INTEGER)", "42809"),
        ("CREATE VIEW far.one.t AS SELECT 1 AS n", "42809"),
        ("INSERT INTO far.one.v VALUES (1)", "42809"),
        ("DROP TABLE far.one.v", "42809"),
        ("DROP VIEW far.one.t", "42809"),
        ("DROP SCHEMA far.one", "2BP01"),
    ):
        with pytest.raises(Refused) as refused:
            session.query(sql)
        assert str(refused.value).startswith(f"[{state}]"), refused.value
    session.update("ALTER VIEW far.one.v RENAME TO w")
    assert session.rows("SELECT n FROM far.one.w") == [(5,)]
    session.update("CREATE VIEW far.one.v AS SELECT 1 AS n")
    with pytest.raises(Refused, match="42P07"):
        session.query("ALTER VIEW far.one.v RENAME TO w")
    session.update("DROP VIEW far.one.w")
    with pytest.raises(Refused, match="42P01"):
        session.query("SELECT n FROM far.one.w")


def test_a_view_that_another_client_changes_is_read_as_it_is_now(
    server: RestServer, session: InProcess
) -> None:
    session.update("CREATE SCHEMA far.shared")
    session.update("CREATE VIEW far.shared.v AS SELECT 1 AS n")
    plan = session.engine.plan("SELECT n FROM far.shared.v", session.context)
    assert session.value("SELECT n FROM far.shared.v") == 1
    other = RestCatalog("other", **server.properties())
    other.drop_view("shared.v")
    with pytest.raises(Refused, match="42P01"):
        session.query("SELECT n FROM far.shared.v")
    session.update("CREATE VIEW far.shared.v AS SELECT 2 AS n")
    assert session.value("SELECT n FROM far.shared.v") == 2
    # The plan has the text that it was made with.
    again = session.engine.plan("SELECT n FROM far.shared.v", session.context, plan.pins)
    (table,) = session.engine.run(again, session.context).read_all().to_pylist()
    assert table == {"n": 1}


def test_views_of_other_engines(server: RestServer, session: InProcess) -> None:
    session.update("CREATE SCHEMA far.theirs")
    session.update("CREATE TABLE far.theirs.t AS SELECT range AS n FROM range(5)")
    foreign(server, "duck", duckdb="SELECT n FROM t WHERE n > 3", spark="SELECT this is not read")
    foreign(server, "wide", duckdb="SELECT n, 1 AS more FROM t")
    foreign(server, "hive", hive="SELECT n FROM t")
    foreign(server, "sums", spark="SELECT sum(n) AS total FROM `theirs`.`t` GROUP BY n <=> 1 ORDER BY total")
    foreign(server, "real", spark="SELECT n * 1.5 FROM t")
    foreign(server, "half", spark="SELECT n / 2 FROM t")
    foreign(server, "gone", spark="SELECT m FROM t")
    assert session.rows("SELECT n FROM far.theirs.duck") == [(4,)]
    assert session.value("SELECT count(*) FROM far.theirs.duck AS d JOIN far.theirs.t USING (n)") == 1
    with pytest.raises(Refused, match=r"42P11.*far\.theirs\.wide"):
        session.query("SELECT n FROM far.theirs.wide")
    with pytest.raises(Refused, match=r"0A000.*dialect hive.*far\.theirs\.hive"):
        session.query("SELECT n FROM far.theirs.hive")
    assert session.rows("SELECT n FROM far.theirs.sums") == [(1,), (9,)]
    assert session.query("SELECT n FROM far.theirs.sums").schema.types == [pa.int64()]
    with pytest.raises(Refused, match="42P11"):
        session.query("SELECT n FROM far.theirs.real")
    with pytest.raises(
        Refused, match=r"0A000.*DIV in the view's text of the dialect spark.*far\.theirs\.half"
    ):
        session.query("SELECT n FROM far.theirs.half")
    with pytest.raises(Refused, match=r"42703.*in view far\.theirs\.gone"):
        session.query("SELECT n FROM far.theirs.gone")
    names = session.rows(
        "SELECT table_name FROM information_schema.views WHERE table_schema = 'theirs' ORDER BY ALL"
    )
    assert names == [("duck",), ("gone",), ("half",), ("hive",), ("real",), ("sums",), ("wide",)]
