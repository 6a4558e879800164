"""Comments as commits: one each, none lost, and nothing else of the table changed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import LongType
from sessions import InProcess, opened

from scoter.catalog.comments import comment_on_column, comment_on_table
from scoter.catalog.names import TableName
from scoter.engine.plan import Target
from scoter.engine.running import _writable
from scoter.errors import InvalidDefinition, UndefinedTable, WriteConflict

T = TableName("lake", "main", "t")


@pytest.fixture
def session(tmp_path: Path):
    with opened(tmp_path) as engine:
        session = InProcess(engine)
        session.update("CREATE TABLE t (a INTEGER NOT NULL, s STRUCT(f INTEGER), l STRUCT(x DOUBLE)[])")
        session.update("INSERT INTO t VALUES (1, {f: 2}, [{x: 0.5}])")
        yield session


def test_each_comment_is_one_commit_that_other_engines_read(session, tmp_path):
    lake = session.engine.lake
    before = lake.load(T)
    before.transaction().set_properties({"owner.of.another.engine": "kept"}).commit_transaction()
    versions = len(lake.load(T).metadata.metadata_log)
    comment_on_table(lake, T, "numbers")
    comment_on_column(lake, T, ["A"], "first")
    comment_on_column(lake, T, ["l", "element", "x"], "deep")
    comment_on_column(lake, T, ["a"], "first")
    assert len(lake.load(T).metadata.metadata_log) == versions + 3

    settings = session.engine.settings
    bare = SqlCatalog("lake", uri=settings.metastore_url, warehouse=f"file://{settings.warehouse}")
    table = bare.load_table("main.t")
    assert table.properties["comment"] == "numbers"
    assert table.properties["owner.of.another.engine"] == "kept"
    schema = table.schema()
    assert schema.find_field("a").doc == "first"
    assert schema.find_field("a").required
    assert schema.find_field("l.element.x").doc == "deep"
    assert {f.name: f.field_id for f in schema.fields} == {f.name: f.field_id for f in before.schema().fields}
    assert table.scan().to_arrow().num_rows == 1
    assert table.current_snapshot().snapshot_id == before.current_snapshot().snapshot_id

    comment_on_column(lake, T, ["a"], None)
    comment_on_table(lake, T, None)
    table = bare.load_table("main.t")
    assert table.schema().find_field("a").doc is None
    assert "comment" not in table.properties


def test_a_text_that_comes_back_uses_the_schema_that_was(session):
    lake = session.engine.lake
    for text in ("one", None, "one", None):
        comment_on_column(lake, T, ["a"], text)
    metadata = lake.load(T).metadata
    assert len(metadata.schemas) == 2
    assert metadata.schema().find_field("a").doc is None


def test_limits(session):
    lake = session.engine.lake
    for call in (
        lambda: comment_on_table(lake, T, "x" * 40_000),
        lambda: comment_on_column(lake, T, ["a"], "x" * 40_000),
    ):
        with pytest.raises(InvalidDefinition):
            call()
    with pytest.raises(UndefinedTable):
        comment_on_column(lake, TableName("lake", "main", "u"), ["a"], "x")


def test_a_write_planned_before_a_comment_runs_and_one_planned_before_other_columns_does_not(session):
    lake = session.engine.lake
    planned = Target(T, lake.load(T).metadata_location, None, columns=lake.load(T).schema())
    comment_on_column(lake, T, ["l", "element", "x"], "deep")
    assert _writable(lake, planned).schema().find_field("l.element.x").doc == "deep"
    with lake.load(T).update_schema() as change:
        change.add_column("b", LongType())
    with pytest.raises(WriteConflict, match="have changed since the statement was planned"):
        _writable(lake, planned)


def test_comments_and_rows_at_once(session):
    engine = session.engine
    failures: list[Exception] = []

    def run(*statements: str) -> None:
        mine = InProcess(engine)
        try:
            for sql in statements:
                mine.update(sql)
        except Exception as error:  # noqa: BLE001  # told below
            failures.append(error)

    jobs = [
        [f"COMMENT ON COLUMN t.a IS 'a{i}'" for i in range(4)],
        [f"COMMENT ON COLUMN t.s.f IS 'f{i}'" for i in range(4)],
        [f"COMMENT ON TABLE t IS 't{i}'" for i in range(4)],
        ["INSERT INTO t VALUES (2, NULL, NULL)"] * 4,
    ]
    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    table = engine.lake.load(T)
    assert table.schema().find_field("a").doc == "a3"
    assert table.schema().find_field("s.f").doc == "f3"
    assert table.properties["comment"] == "t3"
    assert session.value("SELECT count(*) FROM t") == 5
