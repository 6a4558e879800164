"""What a reader, a writer and an administrator may do; prepare and EXPLAIN take the same path."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName
from scoter.catalog.principals import Principal, Role

READS = (
    "SELECT * FROM t",
    "SELECT PREDICT('m', a, 1) FROM t",
    "SELECT * FROM t.snapshots",
    "SELECT table_name FROM information_schema.tables",
    "SHOW TABLES",
    "SHOW MODELS",
    "SHOW CREATE TABLE t",
    "DESCRIBE t",
    "DESCRIBE MODEL m",
    "SHOW CREATE MODEL m",
    "SELECT * FROM system.models, system.model_versions",
    "DESCRIBE SELECT * FROM t",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN ANALYZE SELECT PREDICT('m', a, 1) FROM t",
    "SET timezone = 'UTC'",
    "RESET ALL",
    "SHOW timezone",
    "USE main",
)
WRITES = (
    "INSERT INTO t VALUES (1)",
    "INSERT INTO t SELECT a FROM t",
    "CREATE TABLE {new} (a INTEGER)",
    "CREATE TABLE {new}_as AS SELECT 1 AS a",
    "DROP TABLE IF EXISTS {new}",
    "CREATE SCHEMA {new}",
    "DROP SCHEMA {new}",
    "EXPLAIN INSERT INTO t VALUES (1)",
    "COMMENT ON TABLE t IS 'x'",
    "COMMENT ON COLUMN t.a IS 'x'",
)
MODELS = (
    "CREATE OR REPLACE MODEL {new} FROM '{models}/pair.onnx'",
    "ALTER MODEL {new} ADD VERSION FROM '{models}/pair.onnx'",
    "ALTER MODEL {new} SET ALIAS best = 1",
    "ALTER MODEL {new} SET DEFAULT_VERSION = 2",
    "ALTER MODEL {new} DROP ALIAS best",
    "ALTER MODEL {new} DROP VERSION 1",
    "ALTER MODEL {new} SET TAG a = 'x'",
    "ALTER MODEL {new} UNSET TAG a",
    "COMMENT ON MODEL {new} IS 'x'",
    "ALTER MODEL {new} RENAME TO {new}_b",
    "DROP MODEL {new}_b",
    "CALL system.register_table(table => '{new}', metadata_file => '{metadata}')",
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory, model_files: Path):
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)]}) as engine:
        admin = InProcess(engine)
        admin.update("CREATE TABLE t AS SELECT 1 AS a")
        admin.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
        yield engine


T = TableName("lake", "main", "t")


def filled(sql: str, role: Role, model_files: Path, metadata: str = "/none") -> str:
    return sql.format(new=f"made_by_{role.value}", models=model_files, metadata=metadata)


@pytest.mark.parametrize("role", list(Role))
def test_everybody_reads(engine, role: Role) -> None:
    session = InProcess(engine, Principal("someone", role))
    for sql in READS:
        session.query(sql)


@pytest.mark.parametrize("role", [Role.WRITER, Role.ADMIN])
def test_writers_write(engine, role: Role, model_files: Path) -> None:
    session = InProcess(engine, Principal("someone", role))
    for sql in WRITES:
        session.query(filled(sql, role, model_files))


def test_administrators_do_all(engine, model_files: Path) -> None:
    session = InProcess(engine, Principal("boss", Role.ADMIN))
    metadata = engine.lake.find([T])[T].location
    for sql in MODELS:
        session.query(filled(sql, Role.ADMIN, model_files, metadata))


def test_an_owner_is_a_user(tmp_path, model_files: Path) -> None:
    with opened(tmp_path, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine, Principal("boss", Role.ADMIN))
        session.query(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
        session.query("ALTER MODEL m OWNER TO boss")
        engine.principals.add("ann", Role.READER, "a right long horse")
        session.query("ALTER MODEL m OWNER TO ann")
        assert session.rows("SELECT owner FROM system.models") == [("ann",)]
        with pytest.raises(Refused, match=r'\[22023\].*there is no user "anne".*did you mean "ann"'):
            session.query("ALTER MODEL m OWNER TO anne")


@pytest.mark.parametrize("sql", [*WRITES, *MODELS])
def test_readers_change_nothing(engine, sql: str, model_files: Path) -> None:
    reader = Principal("reader", Role.READER)
    session = InProcess(engine, reader)
    text = filled(sql.replace("{new}", "m" if "MODEL" in sql else "{new}"), Role.READER, model_files)
    with pytest.raises(Refused, match=r"\[42501\] PERMISSION_DENIED"):
        session.query(text)
    # A statement that is only prepared is refused the same way, also where somebody else's plan is kept.
    with pytest.raises(Exception, match=r"\[42501\]"):
        engine.plan(text, engine.context(reader))


def test_a_kept_plan_is_not_a_right(engine) -> None:
    sql = "INSERT INTO t SELECT 5"
    plan = engine.plan(sql, engine.context(Principal("admin", Role.ADMIN)))
    reader = engine.context(Principal("reader", Role.READER))
    with pytest.raises(Exception, match=r"\[42501\]"):
        engine.plan(sql, reader)
    with pytest.raises(Exception, match=r"\[42501\]"):
        engine.plan(sql, reader, plan.pins)


def test_a_denied_write_does_not_tell_what_exists(engine) -> None:
    session = InProcess(engine, Principal("reader", Role.READER))
    for sql in ("DROP TABLE t", "DROP TABLE nope", "DROP MODEL m", "DROP MODEL nope"):
        with pytest.raises(Refused, match=r"\[42501\]"):
            session.query(sql)
