"""Tables whose files lie in an S3 store: read through the cache, written by upload, and what fails."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import slt
from delete_files import commit_deletes, delete_file, write_positions
from far_tables import check_table
from pyiceberg.manifest import DataFileContent
from s3_server import BUCKET, KEY_ID, SECRET, S3Server, serving
from sessions import InProcess, opened

from scoter.catalog.names import TableName
from scoter.engine.cancellation import Cancellation
from scoter.engine.service import Engine
from scoter.errors import Cancelled, ConfigurationError
from scoter.settings import load


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


def catalogs(server: S3Server, directory: Path, **changed: Any) -> dict[str, Any]:
    """Settings of a catalog `far` in a database of its own, with a warehouse of its own in the bucket."""
    properties = {"uri": f"sqlite:///{directory}/far.db", "warehouse": f"s3://{BUCKET}/{directory.name}"}
    return {"far": {"type": "sql", "properties": properties, "s3": server.settings() | changed}}


@contextmanager
def lake(server: S3Server, directory: Path, **flags: Any) -> Iterator[InProcess]:
    flags.setdefault("catalogs", catalogs(server, directory))
    with opened(directory / "lake", **flags) as engine:
        made = InProcess(engine)
        made.query("CREATE SCHEMA IF NOT EXISTS far.one")
        yield made


@pytest.fixture
def session(server: S3Server, tmp_path: Path) -> Iterator[InProcess]:
    with lake(server, tmp_path) as made:
        yield made


def data_files(server: S3Server, directory: Path) -> list[Path]:
    """Return the data files of all tables, as the server keeps them."""
    return sorted((server.data / BUCKET / directory.name).rglob("*.parquet"))


def refused(session: InProcess, sql: str) -> str:
    """Return the text of the error that a statement ends with, which tells no address, place or secret."""
    with pytest.raises(slt.Refused) as error:
        session.query(sql)
    text = str(error.value)
    for hidden in (SECRET, KEY_ID, "127.0.0.1", "s3://", ".parquet", f"/{BUCKET}/"):
        assert hidden not in text
    return text


def test_tables_are_made_written_and_read(session: InProcess) -> None:
    check_table(session)
    session.update("DROP TABLE far.one.t")
    assert "42P01" in refused(session, "SELECT n FROM far.one.t")


def test_explain_tells_the_way_and_no_secret(session: InProcess) -> None:
    session.update("CREATE TABLE far.one.t (n BIGINT) PARTITIONED BY (n)")
    session.update("INSERT INTO far.one.t SELECT range FROM range(10)")
    shown = str(session.rows("EXPLAIN SELECT n FROM far.one.t WHERE n < 3"))
    assert "files 3 of 10" in shown
    assert "read through the cache of objects, 3 files ahead" in shown
    analysed = str(session.rows("EXPLAIN ANALYZE SELECT sum(n) FROM far.one.t"))
    log = (session.engine.settings.directory / "log.jsonl").read_text()
    for text in (shown, analysed, log, repr(session.engine.settings)):
        assert SECRET not in text
        assert KEY_ID not in text
        assert "s3://" not in text or text.startswith("Settings(")


def test_predictions_read_and_fill_its_tables(server: S3Server, tmp_path: Path, model_files: Path) -> None:
    with lake(server, tmp_path, models={"allowed_prefixes": [str(model_files)]}) as session:
        session.query(f"CREATE MODEL pair FROM '{model_files / 'pair.onnx'}'")
        session.update(
            "CREATE TABLE t AS SELECT range AS id, range % 90 AS a, range % 7 AS b FROM range(20000)"
        )
        session.update("CREATE TABLE far.one.t AS SELECT * FROM t")
        scores = "SELECT id, PREDICT('pair', a, b) AS p FROM {}"
        session.update(f"CREATE TABLE far.one.scores AS {scores.format('far.one.t')}")
        session.update(f"CREATE TABLE scores AS {scores.format('t')}")
        assert session.rows("SELECT * FROM far.one.scores ORDER BY id") == session.rows(
            "SELECT * FROM scores ORDER BY id"
        )


def test_deleted_rows_are_left_out(server: S3Server, tmp_path: Path, session: InProcess) -> None:
    session.update("CREATE TABLE far.one.t AS SELECT range AS n FROM range(1000)")
    table = session.engine.lake.load(TableName("far", "one", "t"))
    (file,) = session.rows("SELECT file_path FROM far.one.t.files")[0]

    def uploaded(name: str) -> str:
        location = f"{table.location()}/data/{name}"
        with server.files().open_output_stream(location.removeprefix("s3://")) as stream:
            stream.write((tmp_path / name).read_bytes())
        return location

    positions = write_positions(tmp_path / "positions.parquet", [(file, 0), (file, 999)])
    equal = tmp_path / "equal.parquet"
    pq.write_table(
        pa.table(
            {"n": [5, 7, 5000]}, pa.schema([pa.field("n", pa.int64(), metadata={"PARQUET:field_id": "1"})])
        ),
        equal,
    )
    commit_deletes(table, delete_file(table, positions, 2, location=uploaded("positions.parquet")))
    assert session.value("SELECT sum(n) AS s FROM far.one.t") == 499_500 - 999
    kind = DataFileContent.EQUALITY_DELETES
    deletes = delete_file(table, equal, 3, kind, uploaded("equal.parquet"), equality_ids=[1])
    commit_deletes(table.refresh(), deletes)
    assert session.value("SELECT sum(n) AS s FROM far.one.t") == 499_500 - 999 - 12
    (server.data / BUCKET / deletes.file_path.removeprefix(f"s3://{BUCKET}/")).unlink()
    session.engine.close()
    with lake(server, tmp_path) as again:
        assert refused(again, "SELECT sum(n) AS s FROM far.one.t").startswith("[XX001] CORRUPT_DATA")


def test_files_of_many_blocks(server: S3Server, tmp_path: Path, session: InProcess) -> None:
    session.update(
        "CREATE TABLE t AS SELECT range AS n, range * 7919 % 999983 * range AS h, (hash(range) % 1000000007)::BIGINT * range AS g FROM range(2000000)"
    )
    session.update("CREATE TABLE far.one.t AS SELECT * FROM t")
    (file,) = data_files(server, tmp_path)
    assert file.stat().st_size > 16 * 2**20
    query = "SELECT sum(n) AS n, bit_xor(h) AS h, bit_xor(g) AS g FROM {} WHERE n % 3 = 0"
    assert session.rows(query.format("far.one.t")) == session.rows(query.format("t"))
    assert session.rows("SELECT n FROM far.one.t WHERE n = 1999999") == [(1999999,)]


def test_a_lake_of_its_own_may_lie_in_a_bucket(server: S3Server, tmp_path: Path) -> None:
    properties = {"uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"s3://{BUCKET}/{tmp_path.name}"}
    own = {"lake": {"type": "sql", "properties": properties, "s3": server.settings()}}
    with opened(tmp_path / "lake", catalogs=own) as engine:
        session = InProcess(engine)
        session.query("CREATE SCHEMA IF NOT EXISTS main")
        session.update("CREATE TABLE t AS SELECT 7 AS n")
        assert session.value("SELECT n FROM t") == 7


def test_the_keys_may_come_from_the_environment(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOTER_CATALOGS__FAR__S3__ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("SCOTER_CATALOGS__FAR__S3__SECRET_ACCESS_KEY", SECRET)
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "scoter.toml").write_text(
        f"""
        [catalogs.far]
        type = "sql"
        [catalogs.far.properties]
        uri = "sqlite:///{tmp_path}/far.db"
        warehouse = "s3://{BUCKET}/{tmp_path.name}"
        [catalogs.far.s3]
        endpoint = "{server.endpoint}"
        region = "here-1"
        """
    )
    with opened(tmp_path / "lake") as engine:
        session = InProcess(engine)
        session.update("CREATE SCHEMA far.one")
        session.update("CREATE TABLE far.one.t AS SELECT 1 AS n")
        assert session.value("SELECT n FROM far.one.t") == 1


def test_keys_that_are_wrong_and_a_bucket_that_is_missing(
    server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with lake(server, tmp_path) as session:
        session.update("CREATE TABLE far.one.t AS SELECT 1 AS n")
    wrong = catalogs(server, tmp_path, secret_access_key="another-secret")
    with lake(server, tmp_path, catalogs=wrong) as session:
        assert refused(session, "SELECT n FROM far.one.t").startswith("[F0000] CONFIGURATION_ERROR")
        assert refused(session, "CREATE TABLE far.one.u AS SELECT 1 AS n").startswith("[F0000]")
        log = (session.engine.settings.directory / "log.jsonl").read_text()
        assert "F0000" in log
        assert not [key for key in (SECRET, KEY_ID, "another-secret") if key in log]
        words = [record.getMessage() for record in caplog.records if record.name.endswith("objects.store")]
        assert words
        assert not [key for key in (SECRET, KEY_ID, "another-secret") if key in "".join(words)]
    elsewhere = catalogs(server, tmp_path)
    elsewhere["far"]["properties"]["warehouse"] = "s3://no-such-bucket/x"
    with lake(server, tmp_path, catalogs=elsewhere) as session:
        assert refused(session, "CREATE TABLE far.one.v AS SELECT 1 AS n").startswith("[F0000]")


def test_a_table_that_is_led_out_of_the_warehouse(server: S3Server, tmp_path: Path) -> None:
    with lake(server, tmp_path) as session:
        session.update("CREATE TABLE far.one.t AS SELECT 1 AS n")
    (server.data / "other").mkdir()
    shutil.copytree(server.data / BUCKET / tmp_path.name, server.data / "other" / tmp_path.name)
    with sqlite3.connect(tmp_path / "far.db") as catalog:
        catalog.execute(
            f"UPDATE iceberg_tables SET metadata_location = replace(metadata_location, 's3://{BUCKET}/', 's3://other/')"
        )
    with lake(server, tmp_path) as session:
        assert refused(session, "SELECT n FROM far.one.t").startswith("[42501] PERMISSION_DENIED")
        assert refused(session, "INSERT INTO far.one.t SELECT 2").startswith("[42501] PERMISSION_DENIED")


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_file_that_is_missing_or_cut_off(server: S3Server, tmp_path: Path, damage: str) -> None:
    with lake(server, tmp_path) as session:
        session.update("CREATE TABLE far.one.t (n BIGINT) PARTITIONED BY (n)")
        session.update("INSERT INTO far.one.t SELECT range FROM range(4)")
        session.update("INSERT INTO far.one.t SELECT 9")
    (victim, *_) = data_files(server, tmp_path)
    data = victim.read_bytes()
    victim.unlink()
    if damage == "truncated":
        victim.write_bytes(data[: len(data) // 2])
    with lake(server, tmp_path) as session:
        assert refused(session, "SELECT sum(n) AS s FROM far.one.t").startswith("[XX001] CORRUPT_DATA")
        assert refused(session, "CREATE TABLE u AS SELECT * FROM far.one.t").startswith("[XX001]")


def test_a_file_that_grew_is_not_read(server: S3Server, tmp_path: Path) -> None:
    # Its footer is that of another file: only the size tells.
    with lake(server, tmp_path) as session:
        session.update("CREATE TABLE far.one.t AS SELECT 1 AS n")
        session.update("CREATE TABLE far.one.u AS SELECT range AS n FROM range(1000)")
    small, large = sorted(data_files(server, tmp_path), key=lambda path: path.stat().st_size)
    other = large.read_bytes()
    small.unlink()
    small.write_bytes(other)
    with lake(server, tmp_path) as session:
        assert refused(session, "SELECT sum(n) AS s FROM far.one.t").startswith("[XX001] CORRUPT_DATA")


def test_a_store_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    with serving(tmp_path / "s3") as server, lake(server, tmp_path) as session:
        session.update("CREATE TABLE far.one.t AS SELECT range AS n FROM range(1000)")
        session.update("CREATE TABLE here AS SELECT 1 AS n")
        server.stop()
        assert refused(session, "SELECT sum(n) AS s FROM far.one.t").startswith("[58000] UNREACHABLE")
        assert refused(session, "INSERT INTO far.one.t SELECT 1").startswith("[58000] UNREACHABLE")
        assert session.value("SELECT n FROM here") == 1
        server.start()
        assert session.value("SELECT sum(n) AS s FROM far.one.t") == 499_500
        server.stop()
        # All of it is in the cache.
        assert session.value("SELECT sum(n) AS s FROM far.one.t") == 499_500
        server.start()
        session.update("INSERT INTO far.one.t SELECT 1")
        assert session.value("SELECT count(*) AS n FROM far.one.t") == 1001


def test_listings_wait_once_for_a_store_that_is_away(server: S3Server, tmp_path: Path) -> None:
    with lake(server, tmp_path) as session:
        for number in range(8):
            session.update(f"CREATE TABLE far.one.t{number} (n BIGINT)")
        session.update("CREATE TABLE here (n BIGINT)")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        with opened(tmp_path / "lake", catalogs=catalogs(server, tmp_path), objects={"timeout": 1}) as engine:
            session = InProcess(engine)
            begin = time.monotonic()
            columns = (
                "SELECT table_name FROM information_schema.columns WHERE table_schema IN ('one', 'main')"
            )
            assert session.rows(columns) == [("here",)]
            once = time.monotonic() - begin
            begin = time.monotonic()
            assert refused(session, "SELECT n FROM far.one.t0").startswith("[58000] UNREACHABLE")
            assert once < 3 * (time.monotonic() - begin)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    with lake(server, tmp_path) as session:
        assert session.value(columns.replace("table_name", "count(*) AS n")) == 9


def test_a_write_that_fails_leaves_no_file(server: S3Server, tmp_path: Path) -> None:
    with lake(server, tmp_path) as session:
        session.update("CREATE TABLE far.one.t (n BIGINT NOT NULL)")
        assert "23502" in refused(session, "INSERT INTO far.one.t SELECT NULLIF(range, 5) FROM range(10)")
        assert data_files(server, tmp_path) == []
        session.update("INSERT INTO far.one.t SELECT range FROM range(0)")
        assert data_files(server, tmp_path) == []


def test_rows_are_merged(server: S3Server, tmp_path: Path) -> None:
    with lake(server, tmp_path) as session:
        session.update("CREATE TABLE far.one.t (n BIGINT NOT NULL, g VARCHAR)")
        for start in (0, 100, 200):
            session.update(f"INSERT INTO far.one.t SELECT {start} + range, 'old' FROM range(100)")
        before = set(data_files(server, tmp_path))
        merge = (
            "MERGE INTO far.one.t AS t USING range(190, 210) AS r (i) ON n = i "
            "WHEN MATCHED AND i % 2 = 0 THEN UPDATE SET g = 'new' WHEN MATCHED AND i > 205 THEN UPDATE SET n = {}"
        )
        assert "23502" in refused(session, merge.format("NULL"))
        assert set(data_files(server, tmp_path)) == before
        assert "s3://" not in str(session.rows(f"EXPLAIN {merge.format('-n')}"))
        assert session.update(merge.format("-n")) == 12
        assert session.rows("SELECT count(*), sum(n), count(*) FILTER (g = 'new') FROM far.one.t") == [
            (300, 44850 - 2 * (207 + 209), 10)
        ]
        assert session.value("SELECT count(*) FROM far.one.t.files") == 2
        assert set(data_files(server, tmp_path)) > before


def test_a_statement_that_waits_for_a_stalled_store_is_cancelled(server: S3Server, tmp_path: Path) -> None:
    with lake(server, tmp_path, objects={"timeout": 60}) as session:
        session.update(
            "CREATE TABLE far.one.t AS SELECT range AS n, (hash(range) % 1000000007)::BIGINT AS h FROM range(3000000)"
        )
        session.value("SELECT max(n) AS n FROM far.one.t")
        plan = session.engine.plan("SELECT bit_xor(h) AS h FROM far.one.t", session.context)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            cancellation = Cancellation()
            timer = threading.Timer(0.5, cancellation.cancel)
            timer.start()
            begin = time.monotonic()
            with pytest.raises(Cancelled):
                session.engine.run(plan, session.context, None, cancellation=cancellation).read_all()
            assert time.monotonic() - begin < 30
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert session.value("SELECT count(*) AS n FROM far.one.t") == 3_000_000


def test_the_cache_keeps_its_bound(server: S3Server, tmp_path: Path) -> None:
    bound = 4 * 2**20
    with lake(server, tmp_path, objects={"cache_bytes": bound}) as session:
        session.update("CREATE TABLE t AS SELECT range AS n, range % 9 AS p FROM range(1500000)")
        session.update(
            "CREATE TABLE far.one.t PARTITIONED BY (p) AS SELECT n, (hash(n) % 1000003)::BIGINT AS h, p FROM t"
        )
        total = session.value("SELECT sum((hash(n) % 1000003)::BIGINT) AS s FROM t")
        for _ in range(3):
            assert session.value("SELECT sum(h) AS s FROM far.one.t") == total
            held = sum(file.stat().st_size for file in (tmp_path / "lake" / "cache").glob("*-*"))
            assert 0 < held <= bound


def test_without_a_cache(server: S3Server, tmp_path: Path) -> None:
    with lake(server, tmp_path, objects={"cache_bytes": 0}) as session:
        session.update("CREATE TABLE far.one.t AS SELECT range AS n FROM range(500000)")
        assert session.value("SELECT sum(n) AS s FROM far.one.t") == 500000 * 499999 // 2
        assert not (tmp_path / "lake" / "cache").exists()


@pytest.mark.parametrize("place", ["s3://{}", "s3://{}/", "s3a://{}", "s3n://{}/inside"])
def test_catalogs_that_open_one_place_otherwise_are_refused(
    server: S3Server, tmp_path: Path, place: str
) -> None:
    one = catalogs(server, tmp_path)
    other = catalogs(server, tmp_path, endpoint="http://127.0.0.1:1")["far"]
    other["properties"]["warehouse"] = place.format(f"{BUCKET}/{tmp_path.name}")
    settings = load(tmp_path / "lake", catalogs=one | {"other": other})
    with pytest.raises(ConfigurationError, match="opens the same place otherwise"):
        Engine(settings)
