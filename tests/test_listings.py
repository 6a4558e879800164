"""Listings of a lake in which the metadata of one table can not be read: they tell of all others."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pytest
from flight_sql import Client, served
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.listing import Listing
from scoter.catalog.lookup import Found
from scoter.catalog.names import TableName
from scoter.errors import Cancelled
from scoter.server.flightsql import messages_pb2 as m

OUTSIDE, CORRUPT = "42501", "XX001"
PLACES = {
    "/etc/passwd": OUTSIDE,
    "file://elsewhere/t.metadata.json": OUTSIDE,
    "s3://elsewhere/t.metadata.json": OUTSIDE,
    "unknown://elsewhere/t.metadata.json": OUTSIDE,
    "": OUTSIDE,
    "http://[elsewhere/t.metadata.json": OUTSIDE,
    "{}/missing.metadata.json": CORRUPT,
    "{}/cut.gz.metadata.json": CORRUPT,
    "{}/text.gz.metadata.json": CORRUPT,
    "{}/bytes.metadata.json": CORRUPT,
    "{}/empty.metadata.json": CORRUPT,
    "{}/directory": CORRUPT,
    "{}/a\0b": OUTSIDE,
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    directory = tmp_path_factory.mktemp("listings")
    with opened(directory / "lake") as engine:
        session = InProcess(engine)
        session.update("CREATE SCHEMA s")
        session.update("CREATE TABLE s.good (n BIGINT) COMMENT 'well'")
        session.update("CREATE TABLE s.bad (n BIGINT) COMMENT 'ill'")
        session.update("CREATE VIEW s.seen AS SELECT n FROM s.good")
    warehouse = directory / "lake" / "warehouse"
    (warehouse / "cut.gz.metadata.json").write_bytes(gzip.compress(b"{}" * 1000)[:20])
    (warehouse / "text.gz.metadata.json").write_bytes(b"{}")
    (warehouse / "bytes.metadata.json").write_bytes(b"\xff\xfe")
    (warehouse / "empty.metadata.json").write_bytes(b"")
    (warehouse / "directory").mkdir()
    with served(directory) as running:
        yield running


@pytest.fixture(params=PLACES)
def state(request: pytest.FixtureRequest, lake: Any) -> str:
    """Have the table's metadata at such a place; return the SQLSTATE of reading it."""
    directory = Path(lake.engine.settings.directory)
    with sqlite3.connect(directory / "metastore.db") as metastore:
        metastore.execute(
            "UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = 'bad'",
            (request.param.format(directory / "warehouse"),),
        )
    return PLACES[request.param]


def test_in_sql(lake: Any, state: str) -> None:
    session = InProcess(lake.engine)
    listed = session.rows(
        "SELECT table_name, table_type, table_comment FROM information_schema.tables WHERE table_schema = 's' ORDER BY 1"
    )
    assert listed == [("bad", "BASE TABLE", None), ("good", "BASE TABLE", "well"), ("seen", "VIEW", None)]
    columns = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 's' ORDER BY 1"
    )
    assert session.rows(columns) == [("good", "n"), ("seen", "n")]
    assert session.rows("SHOW TABLES IN s") == [("lake", "s", name) for name in ("bad", "good", "seen")]
    for sql in (
        "SELECT * FROM s.bad",
        "DESCRIBE s.bad",
        "SHOW CREATE TABLE s.bad",
        "INSERT INTO s.bad SELECT 1",
    ):
        with pytest.raises(Refused) as refused:
            session.query(sql)
        assert str(refused.value).startswith(f"[{state}]"), refused.value


def test_over_adbc(lake: Any, state: str) -> None:
    with adbc.connect(lake.address, autocommit=True) as connection:
        found = connection.adbc_get_objects(depth="all", db_schema_filter="s").read_all().to_pylist()
        (schema,) = [s for s in found[0]["catalog_db_schemas"] if s["db_schema_tables"]]
        columns = {
            t["table_name"]: [c["column_name"] for c in t["table_columns"]]
            for t in schema["db_schema_tables"]
        }
        assert columns == {"bad": [], "good": ["n"], "seen": ["n"]}
        assert connection.adbc_get_table_schema("good", db_schema_filter="s").names == ["n"]
        with pytest.raises(adbc_driver_manager.Error, match=state):
            connection.adbc_get_table_schema("bad", db_schema_filter="s")


def test_a_listing_ends_with_its_statement(lake: Any) -> None:
    session = InProcess(lake.engine)
    seen: list[Any] = []

    def check() -> None:
        if len(seen) == 2:
            raise Cancelled("enough")

    def reading(found: Found) -> None:
        seen.append(found)

    names = [TableName("lake", "s", name) for name in ("good", "bad", "seen")]
    listing = Listing(session.engine.lake, check)
    found = listing.look_up(names)
    assert len(found) == 3
    first, second, third = found.values()
    listing.read(first, reading)
    listing.read(second, reading)
    with pytest.raises(Cancelled):
        listing.read(third, reading)
    with pytest.raises(Cancelled):
        listing.look_up(names)


def test_a_name_with_signs_of_a_pattern_names_its_table(lake: Any) -> None:
    session = InProcess(lake.engine)
    session.query("CREATE TABLE IF NOT EXISTS s.of_signs (n BIGINT)")
    with sqlite3.connect(Path(lake.engine.settings.directory) / "metastore.db") as metastore:
        metastore.execute("UPDATE iceberg_tables SET metadata_location = '' WHERE table_name = 'of_signs'")
    with Client(lake.address) as client:
        for pattern in ("of_signs", r"of\_signs", "OF_SIGNS"):
            asked = m.CommandGetTables(table_name_filter_pattern=pattern, include_schema=True)
            assert "42501" in str(client.refusal(client.table, asked))
        for pattern in ("of_sign_", "of%"):
            asked = m.CommandGetTables(table_name_filter_pattern=pattern, include_schema=True)
            assert client.table(asked).num_rows == 1
    session.update("DROP TABLE s.of_signs")
