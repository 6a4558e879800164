"""Commits beside other writers, and commits of which the answer is lost: no row is lost or written twice."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import duckdb
import pytest
from pyiceberg.table import Transaction
from sqlalchemy import event
from sqlalchemy.orm import Session
from write_tables import BY_G, NAME, SCHEMA, created, data_files, locked, opened, rows

from scoter.engine.writing import QUERY_ID, append
from scoter.errors import DuplicateTable, OutcomeUnknown, WriteConflict

lake = pytest.fixture(opened)
connection = pytest.fixture(locked)
table = pytest.fixture(created)


def test_a_table_that_came_first_wins(lake, connection):
    create = lake.begin_create(NAME, SCHEMA)
    first = lake.create_table(NAME, SCHEMA)
    with pytest.raises(DuplicateTable):
        append(connection, "SELECT 1, 'x'", create._table, properties={}, create=create)
    assert lake.load(NAME).metadata.table_uuid == first.metadata.table_uuid
    assert data_files(lake) == []


def test_a_concurrent_append_is_no_conflict(lake, connection, table):
    stale = lake.load(NAME)
    append(connection, "SELECT 1, 'first'", table, properties={})
    append(connection, "SELECT 2, 'second'", stale, properties={})
    assert rows(lake) == [{"k": 1, "g": "first"}, {"k": 2, "g": "second"}]
    assert len(lake.load(NAME).metadata.snapshots) == 2


def test_many_writers_lose_nothing(lake, table):
    failures = []

    def work(number):
        try:
            with duckdb.connect(config={"threads": 1, "async_threads": 0}) as own:
                for turn in range(4):
                    append(own, f"SELECT {number * 10 + turn}, 'x'", lake.load(NAME), properties={})
        except Exception as error:  # noqa: BLE001  # shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [row["k"] for row in rows(lake)] == [n * 10 + t for n in range(5) for t in range(4)]


@pytest.mark.parametrize("before", [0, 1])
def test_a_changed_spec_is_a_conflict_and_hides_no_row(lake, connection, before):
    lake.create_table(NAME, SCHEMA, BY_G)
    if before:
        append(connection, "SELECT 0, 'y'", lake.load(NAME), properties={})
    stale = lake.load(NAME)
    changed = lake.load(NAME)
    with changed.update_spec() as update:
        update.remove_field("g")
        update.add_identity("k")
    with pytest.raises(WriteConflict):
        append(connection, "SELECT 1, 'y'", stale, properties={})
    assert len(rows(lake)) == before
    assert len(data_files(lake)) == before
    append(connection, "SELECT 1, 'y'", lake.load(NAME), properties={})
    assert lake.load(NAME).scan(row_filter="g = 'y'").count() == before + 1
    assert lake.load(NAME).scan(row_filter="k = 1").count() == 1


def test_a_spec_changed_between_files_and_commit_is_a_conflict(lake, connection, table, monkeypatch):
    """The race itself: another writer changes the spec after our files are staged, and also appends."""
    commit = Transaction.commit_transaction
    done = []

    def late(self):
        if not done:
            done.append(True)
            other = lake.load(NAME)
            with other.update_spec() as update:
                update.add_identity("g")
            append(connection, "SELECT 5, 'other'", lake.load(NAME), properties={})
        return commit(self)

    monkeypatch.setattr(Transaction, "commit_transaction", late)
    with duckdb.connect(config={"async_threads": 0}) as own, pytest.raises(WriteConflict):
        append(own, "SELECT 1, 'y'", table, properties={})
    assert rows(lake) == [{"k": 5, "g": "other"}]
    assert len(data_files(lake)) == 1


def test_a_replaced_or_dropped_table_is_a_conflict(lake, connection, table):
    stale = lake.load(NAME)
    lake.drop_table(NAME)
    with pytest.raises(WriteConflict):
        append(connection, "SELECT 1, 'x'", stale, properties={})
    lake.create_table(NAME, SCHEMA)
    with pytest.raises(WriteConflict):
        append(connection, "SELECT 1, 'x'", stale, properties={})
    assert rows(lake) == []
    assert data_files(lake) == []


def after_commit_fails(times=1):
    """Make SQLAlchemy lose the answer of the next commits, after they were made."""
    left = [times]

    def lose(_session):
        if left[0]:
            left[0] -= 1
            raise ConnectionResetError("the connection was lost")

    event.listen(Session, "after_commit", lose)
    return lambda: event.remove(Session, "after_commit", lose)


@pytest.mark.parametrize("create", [False, True])
def test_a_lost_answer_is_found_out(lake, connection, create):
    if create:
        transaction = lake.begin_create(NAME, SCHEMA)
        target = transaction._table
    else:
        transaction, target = None, lake.create_table(NAME, SCHEMA)
    restore = after_commit_fails()
    try:
        written = append(connection, "SELECT 1, 'x'", target, properties={QUERY_ID: "q"}, create=transaction)
    finally:
        restore()
    assert rows(lake) == [{"k": 1, "g": "x"}]
    assert lake.load(NAME).current_snapshot().snapshot_id == written.snapshot_id


def test_a_commit_that_failed_before_it_was_made_leaves_nothing(lake, connection, table):
    def fail(_session):
        raise ConnectionResetError("the connection was lost")

    event.listen(Session, "before_commit", fail)
    try:
        with pytest.raises(Exception, match="nothing was written") as caught:
            append(connection, "SELECT 1, 'x'", table, properties={})
    finally:
        event.remove(Session, "before_commit", fail)
    assert type(caught.value).__module__.startswith("scoter.errors.")
    assert rows(lake) == []
    assert data_files(lake) == []


def test_an_outcome_that_stays_unknown_keeps_the_files(lake, connection, table, monkeypatch):
    restore = after_commit_fails()
    load = type(table.catalog).load_table
    calls = []

    def unreachable(self, identifier):
        calls.append(identifier)
        if len(calls) > 1:
            raise ConnectionRefusedError("no answer")
        return load(self, identifier)

    monkeypatch.setattr(type(table.catalog), "load_table", unreachable)
    try:
        with pytest.raises(OutcomeUnknown):
            append(connection, "SELECT 1, 'x'", table, properties={})
    finally:
        restore()
        monkeypatch.undo()
    assert rows(lake) == [{"k": 1, "g": "x"}]


def test_a_killed_write_leaves_orphans_only(lake, connection, table, tmp_path):
    append(connection, "SELECT 1, 'x'", table, properties={})
    script = textwrap.dedent(
        f"""
        import duckdb
        from scoter import settings
        from scoter.catalog.lake import Lake
        from scoter.catalog.metastore import Metastore
        from scoter.catalog.names import TableName
        from scoter.engine.writing import append
        settled = settings.load({str(tmp_path)!r})
        lake = Lake(settled, Metastore.open(settled.metastore_url))
        table = lake.load(TableName("lake", "main", "t"))
        append(duckdb.connect(config={{"async_threads": 0}}), "SELECT i, md5(i::VARCHAR) FROM range(2000000000) t(i)", table, properties={{}})
        """
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[1], env=dict(os.environ)
    )
    try:
        deadline = time.monotonic() + 60
        while len(data_files(lake)) < 2 or max(p.stat().st_size for p in data_files(lake)) < 1_000_000:
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert rows(lake) == [{"k": 1, "g": "x"}]
    append(connection, "SELECT 2, 'x'", lake.load(NAME), properties={})
    assert len(rows(lake)) == 2
