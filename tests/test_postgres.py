"""Lakes whose metastore and Iceberg catalog stand in a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import psycopg
import pytest
import slt
from flight_sql import served
from postgres import PASSWORD, Postgres, running
from pyiceberg.catalog.sql import SqlCatalog
from sessions import InProcess, opened
from test_engine_processes import Process
from test_sql import values

from scoter.catalog.metastore import Metastore
from scoter.catalog.models import Models
from scoter.catalog.principals import Principals, Role
from scoter.cli.sessions import open_lake
from scoter.errors import ConfigurationError, ScoterError, Unreachable, WriteConflict

SQL = Path(__file__).with_name("sql")
FILES = (
    "comments",
    "ctas",
    "insert",
    "metadata",
    "models",
    "names",
    "schemas",
    "tables",
    "time_travel",
    "views",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running() as made:
        yield made


@pytest.fixture
def url(server: Postgres) -> str:
    return server.database()


@pytest.mark.parametrize("name", FILES)
def test_sql_files(name: str, url: str, tmp_path: Path, model_files: Path) -> None:
    models = {"allowed_prefixes": [str(model_files)]}
    with opened(tmp_path, metastore=url, models=models) as engine:
        assert slt.run(SQL / f"{name}.slt", "process", lambda: InProcess(engine), values(model_files)) > 0
    assert not (tmp_path / "metastore.db").exists()


def test_a_driver_s_client_uses_it_and_a_second_server_sees_the_same(url: str, tmp_path: Path) -> None:
    with served(tmp_path, metastore=url) as one, served(tmp_path, metastore=url) as two:
        with adbc.connect(one.address, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t AS SELECT range AS n FROM range(10)")
        with adbc.connect(two.address, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT sum(n) AS n FROM t")
            assert cursor.fetchall() == [(45,)]


def test_scoter_sql_opens_its_directory(url: str, tmp_path: Path) -> None:
    with opened(tmp_path, metastore=url) as engine:
        InProcess(engine).update("CREATE TABLE t AS SELECT 1 AS n")
    engine = open_lake(tmp_path, metastore=url)
    try:
        assert InProcess(engine).rows("SELECT n FROM t") == [(1,)]
    finally:
        engine.close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(ConfigurationError, match="no lake"):
        open_lake(tmp_path / "other", metastore=url)


def test_bare_pyiceberg_reads_and_writes_the_same_catalog(url: str, tmp_path: Path) -> None:
    with opened(tmp_path, metastore=url) as engine:
        session = InProcess(engine)
        session.update("CREATE TABLE t AS SELECT 1 AS n")
        uri = url.replace("postgresql://", "postgresql+psycopg://")
        catalog = SqlCatalog("lake", uri=uri, warehouse=f"file://{tmp_path}/warehouse")
        table = catalog.load_table("main.t")
        table.append(table.scan().to_arrow())
        catalog.close()
        assert session.value("SELECT count(*) AS n FROM t") == 2


def test_it_can_be_a_catalog_beside_the_lake_s_own(url: str, tmp_path: Path) -> None:
    properties = {"uri": url, "warehouse": f"file://{tmp_path}/other"}
    with opened(tmp_path / "lake", catalogs={"pg": {"type": "sql", "properties": properties}}) as engine:
        session = InProcess(engine)
        session.update("CREATE SCHEMA pg.s")
        session.update("CREATE TABLE pg.s.t AS SELECT 5 AS n")
        session.update("CREATE TABLE t AS SELECT 7 AS n")
        assert session.value("SELECT a.n * b.n AS n FROM t AS a, pg.s.t AS b") == 35


def test_processes_race_to_make_a_lake_and_to_write(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOTER_METASTORE", url)
    create = "CREATE TABLE IF NOT EXISTS t (n BIGINT)"
    inserts = [f"INSERT INTO t VALUES ({number})" for number in range(5)]
    with Process(tmp_path, create, *inserts) as one, Process(tmp_path, create, *inserts) as two:
        for each in (one, two):
            each.opened()
        for each in (one, two):
            each.go()
        for each in (one, two):
            each.finished()
    with opened(tmp_path) as engine:
        assert InProcess(engine).rows("SELECT n, count(*) AS k FROM t GROUP BY n ORDER BY n") == [
            (number, 2) for number in range(5)
        ]


def test_writers_take_turns_and_readers_see_one_state(url: str) -> None:
    metastore = Metastore.open(url)
    models = Models(metastore)
    try:
        with metastore.reading() as connection:
            before = connection.exec_driver_sql("SELECT count(*) FROM scoter_principals").scalar()
            Principals(metastore).add("ann", Role.READER, "a right long horse")
            again = connection.exec_driver_sql("SELECT count(*) FROM scoter_principals").scalar()
        assert (before, again) == (0, 0)

        def count_up(connection: object) -> None:
            value = connection.exec_driver_sql("SELECT max(n) FROM counted").scalar()
            connection.exec_driver_sql("INSERT INTO counted VALUES (%s)", (value + 1,))

        metastore.writing(
            lambda connection: connection.exec_driver_sql("CREATE TABLE counted AS SELECT 0 AS n")
        )
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: metastore.writing(count_up), range(40)))
        with metastore.reading() as connection:
            rows = connection.exec_driver_sql("SELECT n FROM counted ORDER BY n").scalars().all()
        assert list(rows) == list(range(41))
        assert models.revision() >= 0
    finally:
        metastore.close()


def test_a_lock_held_for_good_is_an_error_of_ours(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scoter.catalog.metastore.LOCK_SECONDS", 1.0)
    monkeypatch.setattr("scoter.catalog.metastore.RETRY_SECONDS", 0.5)
    metastore = Metastore.open(url)
    entered, leave = threading.Event(), threading.Event()

    def hold(_connection: object) -> None:
        entered.set()
        leave.wait(30)

    holder = threading.Thread(target=metastore.writing, args=(hold,))
    holder.start()
    try:
        assert entered.wait(10)
        with pytest.raises(WriteConflict):
            metastore.writing(lambda _connection: None)
    finally:
        leave.set()
        holder.join()
        metastore.close()


def test_a_database_that_goes_away_is_an_error_and_comes_back(tmp_path: Path) -> None:
    with running() as server:
        url = server.database()
        with opened(tmp_path, metastore=url) as engine:
            session = InProcess(engine)
            session.update("CREATE TABLE t AS SELECT 1 AS n")
            server.stop("immediate")
            for statement in ("SELECT n FROM t", "INSERT INTO t VALUES (2)", "SHOW TABLES", "SHOW MODELS"):
                with pytest.raises(slt.Refused) as refused:
                    session.query(statement)
                text = str(refused.value)
                assert text.startswith("[58000] UNREACHABLE"), text
                assert PASSWORD not in text
                assert "127.0.0.1" not in text
            with pytest.raises(Unreachable):
                Metastore.open(url)
            server.start()
            assert session.rows("SELECT n FROM t") == [(1,)]
            session.update("INSERT INTO t VALUES (2)")
            assert session.value("SELECT count(*) AS n FROM t") == 2
        log = (tmp_path / "log.jsonl").read_text()
        assert "Connection refused" in log
        assert PASSWORD not in log


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u:hidden@h/d", "another kind"),
        ("no url, hidden", "can not be read"),
        ("postgresql+nodriver://u:hidden@h/d", "can not be read"),
    ],
)
def test_urls_that_cannot_be_used(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused, opened(tmp_path, metastore=url):
        pass
    assert isinstance(refused.value, ScoterError)
    assert "hidden" not in refused.value.text()


def test_a_newer_metastore_is_refused(server: Postgres, url: str) -> None:
    Metastore.open(url).close()
    with psycopg.connect(server.conninfo(url.rsplit("/", 1)[1]), autocommit=True) as connection:
        connection.execute("UPDATE scoter_alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="newer version"):
        Metastore.open(url)
