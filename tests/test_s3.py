"""Tables whose files lie in an S3 store: read through the cache, written by upload, and what fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from s3_server import BUCKET, S3Server, serving
from sessions import InProcess, opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


def catalogs(server: S3Server, directory: Path, **changed: Any) -> dict[str, Any]:
    """Settings of a catalog `far` in a database of its own, with a warehouse of its own in the bucket."""
    properties = {"uri": f"sqlite:///{directory}/far.db", "warehouse": f"s3://{BUCKET}/{uuid4()}"}
    return {"far": {"type": "sql", "properties": properties, "s3": server.settings() | changed}}


@pytest.fixture
def session(server: S3Server, tmp_path: Path) -> Iterator[InProcess]:
    with opened(tmp_path / "lake", catalogs=catalogs(server, tmp_path)) as engine:
        made = InProcess(engine)
        made.update("CREATE SCHEMA far.one")
        yield made


def test_tables_are_made_written_and_read(session: InProcess) -> None:
    session.update("CREATE TABLE far.one.t (n BIGINT, d DATE) PARTITIONED BY (month(d))")
    session.update("INSERT INTO far.one.t VALUES (1, DATE '2024-01-01'), (2, DATE '2024-02-01'), (3, NULL)")
    session.update("INSERT INTO far.one.t VALUES (4, DATE '2024-02-02')")
    assert session.rows("SELECT n FROM far.one.t WHERE d >= DATE '2024-02-01' ORDER BY n") == [(2,), (4,)]
    (first, second) = session.rows("SELECT snapshot_id FROM far.one.t.snapshots ORDER BY committed_at")
    assert session.value(f"SELECT count(*) AS n FROM far.one.t FOR VERSION AS OF {first[0]}") == 3
    assert first != second
    session.update("CREATE TABLE t AS SELECT * FROM far.one.t")
    assert session.value("SELECT count(*) AS n FROM t JOIN far.one.t AS u USING (n)") == 4
