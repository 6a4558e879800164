"""Statements that end while they read metadata, delete files and footers from a store that answers nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from delete_files import commit_deletes, delete_file, write_positions
from flight_sql import Client, served, wait_for
from pyarrow import flight
from s3_server import S3Server, serving
from sessions import InProcess, opened
from test_s3 import catalogs

from scoter.catalog.names import TableName
from scoter.engine.cancellation import Cancellation
from scoter.errors import Cancelled, StatementTimeout
from scoter.server.flightsql import messages_pb2 as m

SUM = 66 - 3  # of 0 to 11 without the row that is deleted
# All files are pruned: manifests are read for it, neither delete files nor footers.
PRUNED = "SELECT sum(n) AS s FROM far.one.{} WHERE n < 0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture(scope="module")
def directory(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the tables `plain` and `deleted` of twelve files, and `here`, which is local and empty."""
    made: Path = tmp_path_factory.mktemp("lake")
    with opened(made / "lake", catalogs=catalogs(server, made)) as engine:
        session = InProcess(engine)
        session.update("CREATE SCHEMA far.one")
        session.update("CREATE TABLE here (n BIGINT)")
        for name in ("plain", "deleted"):
            session.update(f"CREATE TABLE far.one.{name} (n BIGINT) PARTITIONED BY (n)")
            session.update(f"INSERT INTO far.one.{name} SELECT range FROM range(12)")
        (file,) = session.rows(
            "SELECT file_path FROM far.one.deleted.files WHERE record_count = 1 AND partition.n = 3"
        )[0]
        session.update("CREATE VIEW far.one.seen AS SELECT n FROM far.one.plain")
        table = engine.lake.load(TableName("far", "one", "deleted"))
        location = f"{table.location()}/data/positions.parquet"
        positions = write_positions(made / "positions.parquet", [(file, 0)])
        with server.files().open_output_stream(location.removeprefix("s3://")) as stream:
            stream.write(positions.read_bytes())
        commit_deletes(table, delete_file(table, positions, 1, location=location, partition=(3,)))
    return made


@contextmanager
def frozen(server: S3Server) -> Iterator[None]:
    """Have the store accept connections and answer nothing."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


CASES = {
    "metadata": ("SELECT sum(n) AS s FROM far.one.plain", "SELECT 1"),
    "a view": ("SELECT sum(n) AS s FROM far.one.seen", "SELECT 1"),
    "describe": ("DESCRIBE far.one.plain", "SELECT 1"),
    "describe a view": ("DESCRIBE far.one.seen", "SELECT 1"),
    "show create view": ("SHOW CREATE VIEW far.one.seen", "SELECT 1"),
    "a listing": ("SELECT count(*) AS s FROM information_schema.columns", "SELECT 1"),
    "manifests": ("SELECT sum(n) AS s FROM far.one.plain", "DESCRIBE far.one.plain"),
    "footers": ("SELECT sum(n) AS s FROM far.one.plain", PRUNED.format("plain")),
    "delete files": ("SELECT sum(n) AS s FROM far.one.deleted", PRUNED.format("deleted")),
    "partitions": ("SELECT count(*) AS s FROM far.one.plain.partitions", "DESCRIBE far.one.plain"),
    "files": ("SELECT count(*) AS s FROM far.one.plain.files", "DESCRIBE far.one.plain"),
    "all_manifests": ("SELECT count(*) AS s FROM far.one.plain.all_manifests", "DESCRIBE far.one.plain"),
    "a write": ("INSERT INTO here SELECT n FROM far.one.plain", "DESCRIBE far.one.plain"),
    "explain": ("EXPLAIN SELECT n FROM far.one.plain", "DESCRIBE far.one.plain"),
}


def run(session: InProcess, sql: str, cancellation: Cancellation) -> None:
    plan = session.engine.plan(sql, session.context, cancellation=cancellation)
    session.engine.run(plan, session.context, cancellation=cancellation).read_all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", ["timeout", "cancel"])
def test_in_process(server: S3Server, directory: Path, case: str, way: str) -> None:
    sql, before = CASES[case]
    flags: dict[str, Any] = {"catalogs": catalogs(server, directory), "objects": {"timeout": 60}}
    with opened(directory / "lake", **flags) as engine:
        session = InProcess(engine)
        session.query(before)
        with frozen(server):
            cancellation = Cancellation()
            if way == "timeout":
                session.query("SET statement_timeout = '500ms'")
            else:
                timer = threading.Timer(0.5, cancellation.cancel)
                timer.start()
            begin = time.monotonic()
            with pytest.raises(StatementTimeout if way == "timeout" else Cancelled) as ended:
                run(session, sql, cancellation)
            assert time.monotonic() - begin < 30
            assert ended.value.sqlstate == "57014"
            assert wait_for(lambda: engine.instances.running == 0)
            session.query("RESET statement_timeout")
            assert session.value("SELECT count(*) AS n FROM here") == 0
        if "sum(" in sql:
            assert session.value(sql) == (SUM if "deleted" in sql else 66)


@pytest.mark.parametrize("case", ["metadata", "manifests", "delete files", "a write"])
def test_a_dropped_call(server: S3Server, directory: Path, case: str) -> None:
    sql, before = CASES[case]
    flags: dict[str, Any] = {"catalogs": catalogs(server, directory), "objects": {"timeout": 60}}
    with served(directory, **flags) as running, Client(running.address) as client:
        client.query(before)
        with frozen(server):
            error = client.refusal(lambda: client.info(m.CommandStatementQuery(query=sql), timeout=0.5))
            assert isinstance(error, flight.FlightTimedOutError)
            assert wait_for(lambda: len(running.server.calls) == 0)
            assert client.query("SELECT count(*) AS n FROM here").to_pylist() == [{"n": 0}]
