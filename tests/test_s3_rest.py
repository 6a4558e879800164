"""Tables of an Iceberg REST catalog in an S3 store: with keys of our own, and with those that its server lends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rest_server
import s3_server
import slt
from rest_server import RestServer
from s3_server import BUCKET, KEY_ID, REGION, SECRET, S3Server
from sessions import InProcess, opened

from scoter.catalog.objects.access import Access
from scoter.errors import PermissionDenied


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture(scope="module")
def server(store: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestServer]:
    storage = {
        "warehouse": f"s3://{BUCKET}/far",
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "http-client.type": "urlconnection",
        "client.region": REGION,
        "s3.endpoint": store.endpoint,
        "s3.access-key-id": KEY_ID,
        "s3.secret-access-key": SECRET,
        "s3.path-style-access": "true",
    }
    with rest_server.serving(tmp_path_factory.mktemp("rest"), storage) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_lent(server: RestServer) -> Iterator[None]:
    yield
    server.lent.unlink(missing_ok=True)


def far(server: RestServer, **s3: Any) -> dict[str, Any]:
    return {"far": {"type": "rest", "properties": server.properties(), "s3": s3}}


def lent(store: S3Server) -> dict[str, str]:
    return {
        "s3.endpoint": store.endpoint,
        "s3.access-key-id": KEY_ID,
        "s3.secret-access-key": SECRET,
        "s3.path-style-access": "true",
        "client.region": REGION,
    }


def filled(session: InProcess, schema: str) -> None:
    session.update(f"CREATE SCHEMA far.{schema}")
    session.update(f"CREATE TABLE far.{schema}.t (n BIGINT)")
    session.update(f"INSERT INTO far.{schema}.t SELECT range FROM range(1000)")
    assert session.value(f"SELECT sum(n) AS s FROM far.{schema}.t") == 499_500


def test_keys_of_our_own(store: S3Server, server: RestServer, tmp_path: Path) -> None:
    with opened(tmp_path, catalogs=far(server, **store.settings())) as engine:
        filled(InProcess(engine), "own")


def test_lent_keys_open_the_table(store: S3Server, server: RestServer, tmp_path: Path) -> None:
    server.lend(lent(store))
    with opened(tmp_path, catalogs=far(server, allowed_endpoints=[store.endpoint])) as engine:
        filled(InProcess(engine), "lent")
    assert SECRET not in (tmp_path / "log.jsonl").read_text()


def test_lent_keys_take_the_place_of_our_own(store: S3Server, server: RestServer, tmp_path: Path) -> None:
    with opened(tmp_path, catalogs=far(server, **store.settings())) as engine:
        session = InProcess(engine)
        filled(session, "both")
        server.lend(lent(store) | {"s3.secret-access-key": "spoiled"})
        with pytest.raises(slt.Refused, match="F0000"):
            session.update("INSERT INTO far.both.t SELECT 1")
        server.lend(lent(store))
        session.update("INSERT INTO far.both.t SELECT 1")
        assert session.value("SELECT count(*) AS n FROM far.both.t") == 1001


@pytest.mark.parametrize("endpoint", ["http://127.0.0.2:1", "https://store.example.org", "file:///etc"])
def test_a_server_may_not_lead_elsewhere(
    store: S3Server, server: RestServer, tmp_path: Path, endpoint: str
) -> None:
    with opened(tmp_path, catalogs=far(server, **store.settings())) as engine:
        session = InProcess(engine)
        session.query("CREATE SCHEMA IF NOT EXISTS far.led")
        session.query("CREATE TABLE IF NOT EXISTS far.led.t (n BIGINT)")
        server.lend({"s3.endpoint": endpoint})
        with pytest.raises(slt.Refused) as refused:
            session.query("SELECT n FROM far.led.t")
    assert str(refused.value).startswith("[F0000] CONFIGURATION_ERROR"), refused.value
    assert "allowed_endpoints" in str(refused.value)
    assert endpoint not in str(refused.value)


def test_a_table_that_a_server_leads_elsewhere_is_listed(
    store: S3Server, server: RestServer, tmp_path: Path
) -> None:
    with opened(tmp_path, catalogs=far(server, **store.settings())) as engine:
        session = InProcess(engine)
        session.query("CREATE SCHEMA IF NOT EXISTS far.led")
        session.query("CREATE TABLE IF NOT EXISTS far.led.t (n BIGINT)")
        session.query("CREATE TABLE here (m BIGINT)")
        places = "table_schema IN ('led', 'main')"
        columns = f"SELECT table_name FROM information_schema.columns WHERE {places} ORDER BY 1"
        assert session.rows(columns) == [("here",), ("t",)]
        server.lend({"s3.endpoint": "http://127.0.0.2:1"})
        assert session.rows(columns) == [("here",)]
        assert session.rows(columns.replace("columns", "tables")) == [("here",), ("t",)]


def test_a_server_may_not_stand_for_the_store_of_another_catalog(
    store: S3Server, server: RestServer, tmp_path: Path
) -> None:
    known = far(server, **store.settings())
    known["own"] = {
        "type": "sql",
        "properties": {"uri": f"sqlite:///{tmp_path}/own.db", "warehouse": f"s3://{BUCKET}/own"},
        "s3": store.settings(),
    }
    with opened(tmp_path, catalogs=known) as engine:
        objects = engine.lake.objects
        elsewhere = Access.of({"s3.endpoint": "https://s3.eu-west-1.amazonaws.com"})
        other_keys = Access.of(
            store_properties(store) | {"s3.access-key-id": "x", "s3.secret-access-key": "y"}
        )
        for place in ("own", "own/one", "own/one/t-1"):
            for access in (elsewhere, other_keys):
                with pytest.raises(PermissionDenied):
                    objects.lend(f"s3://{BUCKET}/{place}", "far", access)
        # A wider place takes nothing away from what is known better, and its own files stay in it.
        objects.lend(f"s3://{BUCKET}", "far", elsewhere)
        kept = objects.at(f"{BUCKET}/own/one/t-1/data/a.parquet", 1).store
        assert kept is not objects.at(f"{BUCKET}/else/a.parquet", 1).store
        assert kept.place == objects.io(Access.of(store_properties(store))).store.place
        # Nor does a second server take over what the first one lent; the first may change its keys.
        objects.lend(f"s3://{BUCKET}/lent/t-1", "far", other_keys)
        for place in ("lent/t-1", "lent/t-1/data"):
            with pytest.raises(PermissionDenied):
                objects.lend(f"s3://{BUCKET}/{place}", "third", Access.of(store_properties(store)))
        objects.lend(f"s3://{BUCKET}/lent/t-1", "far", elsewhere)
        assert objects.at(f"{BUCKET}/lent/t-1/data/a.parquet", 1).store.access == elsewhere


def store_properties(store: S3Server) -> dict[str, str]:
    return {"s3.endpoint": store.endpoint, "s3.region": REGION}


def test_one_server_under_two_names_lends_each_its_keys(
    store: S3Server, server: RestServer, tmp_path: Path
) -> None:
    # Two spellings of the address stand for two keys: the store has one pair.
    other = store.endpoint.replace("127.0.0.1", "localhost")
    (known,) = far(server, allowed_endpoints=[store.endpoint, other]).values()
    with opened(tmp_path, catalogs={"far": known, "again": known}) as engine:
        session = InProcess(engine)
        server.lend(lent(store))
        filled(session, "twice")
        server.lend(lent(store) | {"s3.endpoint": other})
        for name in ("again", "far"):
            session.update(f"INSERT INTO {name}.twice.t SELECT 0")
            assert session.value(f"SELECT sum(n) AS s FROM {name}.twice.t") == 499_500


def test_what_else_a_server_sends_is_not_used(store: S3Server, server: RestServer, tmp_path: Path) -> None:
    server.lend(
        lent(store) | {"s3.proxy-uri": "http://127.0.0.1:1", "s3.signer": "X", "py-io-impl": "os.system"}
    )
    with opened(tmp_path, catalogs=far(server, allowed_endpoints=[store.endpoint])) as engine:
        filled(InProcess(engine), "more")
