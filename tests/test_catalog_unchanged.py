"""What was read of a database is kept until something is committed to it, by whomever."""

import sqlite3
from contextlib import closing
from itertools import count

import pytest

from scoter.catalog.metastore import Metastore, engine_for
from scoter.catalog.unchanged import unchanged


@pytest.fixture
def metastore(tmp_path):
    opened = Metastore.open(f"sqlite:///{tmp_path / 'metastore.db'}")
    opened.writing(lambda connection: connection.exec_driver_sql("CREATE TABLE t (n INTEGER)"))
    yield opened
    opened.close()


@pytest.fixture
def read(metastore):
    turns = count(1)
    return lambda key="n": unchanged(metastore.engine, key, lambda: next(turns))


def test_a_value_is_read_once(read):
    assert [read(), read(), read("other"), read("other"), read()] == [1, 1, 2, 2, 1]


def test_a_commit_of_this_process_is_seen(metastore, read):
    assert read() == 1
    metastore.writing(lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (1)"))
    assert [read(), read()] == [2, 2]


def test_a_commit_from_elsewhere_is_seen(tmp_path, read):
    assert read() == 1
    elsewhere = sqlite3.connect(tmp_path / "metastore.db")
    with elsewhere:
        elsewhere.execute("INSERT INTO t VALUES (1)")
        assert read() == 1  # nothing is committed yet
    assert [read(), read()] == [2, 2]
    elsewhere.rollback()
    elsewhere.close()
    assert read() == 2


def test_what_changes_while_it_is_read_is_read_again(metastore):
    turns = count(1)

    def reading():
        metastore.writing(lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (1)"))
        return next(turns)

    assert [unchanged(metastore.engine, "n", reading) for _ in range(3)] == [1, 2, 3]


def test_where_the_database_is_locked_the_value_is_read(tmp_path):
    """Where the number can not be had, the value is read each time."""
    place = tmp_path / "plain.db"
    with closing(sqlite3.connect(place, isolation_level=None)) as holding:
        holding.execute("CREATE TABLE t (n INTEGER)")
        engine = engine_for(f"sqlite:///{place}")
        turns = count(1)
        assert [unchanged(engine, "n", lambda: next(turns)) for _ in range(2)] == [1, 1]
        holding.execute("BEGIN EXCLUSIVE")
        assert [unchanged(engine, "n", lambda: next(turns)) for _ in range(3)] == [2, 3, 4]
        holding.execute("COMMIT")
        assert [unchanged(engine, "n", lambda: next(turns)) for _ in range(2)] == [1, 1]
        engine.dispose()


def test_an_error_is_not_kept(metastore):
    def fails():
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            unchanged(metastore.engine, "n", fails)
    assert unchanged(metastore.engine, "n", lambda: 7) == 7


def test_an_engine_is_used_after_its_connections_were_closed(metastore, read):
    assert read() == 1
    metastore.close()
    assert [read(), read()] == [2, 2]
