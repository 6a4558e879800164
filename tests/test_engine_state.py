"""No statement leaves anything behind in the instance that ran it, whatever it was."""

from __future__ import annotations

from pathlib import Path

import duckdb
import slt
from sessions import InProcess, opened

from scoter.engine.instances import Instance
from scoter.errors import ScoterError

FILES = sorted(Path(__file__).with_name("sql").glob("*.slt"))
WHAT = {
    "settings": "SELECT name, value FROM duckdb_settings() WHERE name NOT IN ('TimeZone', 'temp_directory')",
    "tables": "SELECT database_name, schema_name, table_name FROM duckdb_tables()",
    "views": "SELECT view_name FROM duckdb_views() WHERE NOT internal",
    "schemas": "SELECT database_name, schema_name FROM duckdb_schemas()",
    "databases": "SELECT database_name, path FROM duckdb_databases()",
    "types": "SELECT type_name FROM duckdb_types() WHERE NOT internal",
    "sequences": "SELECT sequence_name FROM duckdb_sequences()",
    "indexes": "SELECT index_name FROM duckdb_indexes()",
    "functions": "SELECT DISTINCT function_name FROM duckdb_functions() "
    "WHERE NOT internal AND NOT function_name LIKE 'predict\\_%' ESCAPE '\\'",
    "variables": "SELECT name FROM duckdb_variables()",
    "prepared": "SELECT name FROM duckdb_prepared_statements()",
}


def state(instance: Instance) -> dict[str, list[tuple]]:
    connection = instance.connection
    found = {name: sorted(connection.execute(sql).fetchall(), key=repr) for name, sql in WHAT.items()}
    # What is not listed anywhere: relations of Python, transactions, the search path.
    found["search_path"] = connection.execute("SELECT current_schemas(false)").fetchall()
    return found


def idle(session: InProcess) -> list[Instance]:
    return list(session.engine.instances._idle)


def test_every_statement_of_the_corpus_on_one_instance(tmp_path: Path, model_files: Path) -> None:
    models = {"allowed_prefixes": [str(model_files)]}
    with opened(tmp_path, models=models, query={"concurrency": 1}) as engine:
        session = InProcess(engine)
        session.rows("SELECT 1")
        (first,) = idle(session)
        fresh = state(first)
        count = 0
        for path in FILES:
            for record in slt.records(path.read_text("utf-8")):
                sql = record.sql.replace("${models}", str(model_files))
                # Errors are as good as rows here: neither may leave anything.
                try:
                    if sql and "CREATE MODEL" not in sql:
                        session.query(sql)
                except slt.Refused:
                    pass
                except ScoterError as error:
                    raise AssertionError(sql) from error
                count += 1
        assert count > 500
        assert engine.instances.running == 0
        (instance,) = idle(session)
        session.update("RESET ALL")
        session.rows("SELECT 1")
        found = state(instance)
        for name, rows in fresh.items():
            assert found[name] == rows, name


def test_the_lock_stands_behind_the_gate(tmp_path: Path) -> None:
    """What the gate refuses, the instance refuses too, as far as DuckDB can."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with opened(tmp_path / "lake") as engine:
        session = InProcess(engine)
        session.update("CREATE TABLE t AS SELECT 1 AS a")
        (instance,) = idle(session)
        for sql in (
            f"SELECT * FROM read_csv('{secret}')",
            f"SELECT * FROM '{secret}'",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/x.db'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access = true",
            "SET lock_configuration = false",
            "SET allowed_directories = ['/']",
            "SET autoload_known_extensions = true",
            "SELECT * FROM read_text('/etc/hostname')",
            "SELECT * FROM glob('/etc/*')",
        ):
            try:
                rows = instance.connection.execute(sql).fetchall()
            except duckdb.Error:
                continue
            assert rows == [], sql
        assert not (tmp_path / "out.csv").exists()


def test_temporary_files_go_with_the_instance(tmp_path: Path) -> None:
    with opened(tmp_path / "lake", query={"statement_memory": 64 << 20, "concurrency": 1}) as engine:
        session = InProcess(engine)
        session.query(
            "SELECT max(x) FROM (SELECT hash(i) AS x FROM range(8000000) AS r(i) ORDER BY x OFFSET 7)"
        )
        (instance,) = idle(session)
        directory = Path(instance._temporary.name)
        assert directory.is_dir()
        assert sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) == 0
    assert not directory.exists()


def test_a_statement_asked_again_is_not_parsed_again_and_reads_what_is_there_then(tmp_path: Path) -> None:
    sql = "SELECT CAST(TIMESTAMPTZ '2020-01-01 12:00:00+00' AS VARCHAR) AS t, (SELECT count(*) FROM t) AS n"
    with opened(tmp_path, query={"concurrency": 1}) as engine:
        session = InProcess(engine)
        session.update("CREATE TABLE t AS SELECT 1 AS n")
        assert session.rows(sql) == [("2020-01-01 12:00:00+00", 1)]
        (instance,) = idle(session)
        kept = dict(instance._queries._items)
        assert session.rows(sql) == [("2020-01-01 12:00:00+00", 1)]
        assert kept
        assert all(instance._queries.get(text) is relation for text, relation in kept.items())
        session.update("SET timezone = 'Asia/Tokyo'")
        assert session.rows(sql) == [("2020-01-01 21:00:00+09", 1)]
        session.update("INSERT INTO t VALUES (2)")
        assert session.rows(sql) == [("2020-01-01 21:00:00+09", 2)]
        # Bound rows stand under a name that means other rows the next time.
        session.rows("INSERT INTO t SELECT CAST(? AS INTEGER)", 3)
        session.rows("INSERT INTO t SELECT CAST(? AS INTEGER)", 4)
        assert session.rows("SELECT sum(n) AS n FROM t") == [(10,)]
        for number in range(100):
            assert session.rows(f"SELECT {number} AS n") == [(number,)]
        session.rows(f"SELECT length('{'x' * 100_000}') AS n")
        assert sum(map(len, instance._queries._items)) < 10_000
        assert len(instance._queries) == 64


def test_large_statements_are_kept_by_their_size(tmp_path: Path) -> None:
    with opened(tmp_path) as engine:
        session = InProcess(engine)
        for number in range(5):
            assert session.value(f"SELECT length('{'x' * 400_000}{number}') AS n") == 400_001
        for kept in (engine._parsed, engine._prepared._kept):
            assert len(kept) == 2
            assert kept._held == sum(one.size for one in kept._items.values()) <= 1024 * 1024
