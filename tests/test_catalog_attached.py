"""Other catalogs beside the lake's own, and properties that would load code: never imported, whoever sets them."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from test_catalog_lake import Opened, bare, rows, values

from scoter.catalog import properties
from scoter.catalog.names import TableName
from scoter.errors import (
    ConfigurationError,
    InvalidDefinition,
    NotSupported,
    PermissionDenied,
    UndefinedTable,
)

SCHEMA = Schema(NestedField(1, "a", LongType(), required=False))
TABLE = TableName("lake", "main", "t")

CODEC = {"write.parquet.compression-codec": "snappy"}
POISON = {
    "py-io-impl": "scoter_poison.Poison",
    "write.py-location-provider.impl": "scoter_poison.Poison",
    "write.location-provider.impl": "scoter_poison.Poison",
    "s3.retry-strategy-impl": "scoter_poison.Poison",
    "io-impl": "scoter_poison.Poison",
}
REDIRECT = {
    "write.data.path": "/elsewhere",
    "write.metadata.path": "/elsewhere",
    "write.object-storage.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "s3.endpoint": "http://127.0.0.1:1",
    "commit.retry.num-retries": "1000000000",
}


@pytest.fixture
def poison(tmp_path, monkeypatch):
    """A module that can be imported; gives a function that says whether it was."""
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "scoter_poison.py").write_text(
        "class Poison:\n    def __init__(self, *a, **k): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "poison"))
    yield lambda: "scoter_poison" in sys.modules
    sys.modules.pop("scoter_poison", None)


def set_in_file(location, **changes):
    """Give the metadata file at ``location`` other properties, as another engine might have written it."""
    path = Path(location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    metadata["properties"] |= changes
    path.write_text(json.dumps(metadata))


def test_the_poison_works(tmp_path, poison):
    """Show with bare pyiceberg that the properties would load code, or the tests below would prove nothing."""
    other = SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/bare.db", warehouse=f"file://{tmp_path}/w")
    try:
        other.create_namespace("main")
        made = other.create_table("main.t", SCHEMA)
        set_in_file(made.metadata_location, **{"py-io-impl": POISON["py-io-impl"]})
        other.load_table("main.t")
    finally:
        other.close()
    assert poison()


def test_properties_in_a_table_load_no_code_and_move_no_file(tmp_path, poison):
    opened = Opened(tmp_path / "lake")
    made = opened.lake.create_table(TABLE, SCHEMA, properties={"comment": "x"})
    opened.close()
    set_in_file(made.metadata_location, **POISON, **REDIRECT, foreign="kept")

    opened = Opened(tmp_path / "lake")
    try:
        lake = opened.lake
        loaded = lake.load(TABLE)
        assert loaded.properties == CODEC | {"comment": "x"}
        assert lake.metadata(loaded.metadata_location).properties == CODEC | {"comment": "x"}
        for number in range(3):
            loaded.append(rows(number))
            assert loaded.properties == CODEC | {"comment": "x"}
        loaded.refresh()
        loaded.location_provider()
        with loaded.transaction() as transaction:
            transaction.set_properties({"comment": "y"})
        lake.io(loaded.metadata)
        assert values(lake.load(TABLE)) == [0, 1, 2]
        assert lake.load(TABLE).properties == CODEC | {"comment": "y"}
        newest = lake.pointers([TABLE])[TABLE]
        assert newest.startswith(loaded.location() + "/metadata/")
        for snapshot in loaded.metadata.snapshots:
            assert snapshot.manifest_list.startswith(loaded.location() + "/metadata/")
        assert Path(made.metadata_location.removeprefix("file://")).exists()
        lake.rename_table(TABLE, TableName("lake", "main", "u"))
        lake.drop_table(TableName("lake", "main", "u"))
    finally:
        opened.close()
    assert not poison()
    # What other engines set stays in the table.
    stored = json.loads(Path(newest.removeprefix("file://")).read_text())["properties"]
    assert stored == {**CODEC, **POISON, **REDIRECT, "foreign": "kept", "comment": "y"}


@pytest.mark.parametrize(
    "key", [*POISON, *REDIRECT, "", "x", "SCOTER.x", "write.parquet.", "py-catalog-impl"]
)
def test_properties_that_can_not_be_set(tmp_path, poison, key):
    value = POISON.get(key) or REDIRECT.get(key) or "scoter_poison.Poison"
    opened = Opened(tmp_path / "lake")
    try:
        with pytest.raises(InvalidDefinition):
            opened.lake.create_table(TABLE, SCHEMA, properties={key: value})
        with pytest.raises(InvalidDefinition):
            opened.lake.begin_create(TABLE, SCHEMA, properties={key: value})
        assert opened.lake.tables("lake", "main") == []
    finally:
        opened.close()
    assert not poison()


def test_properties_that_can_be_set():
    given = {
        "comment": "late arrivals",
        "scoter.owner": "ann",
        "write.target-file-size-bytes": "1000000",
        "write.metadata.metrics.column.a": "none",
        "commit.retry.num-retries": "20",
        "format-version": "2",
    }
    assert properties.check(given) == given
    with pytest.raises(NotSupported):
        properties.check({"format-version": "3"})
    with pytest.raises(NotSupported):
        properties.check({"write.format.default": "orc"})
    with pytest.raises(InvalidDefinition):
        properties.check({"comment": "x" * 40_000})
    with pytest.raises(InvalidDefinition) as caught:
        properties.check({"coment": "x"})
    assert caught.value.hint == 'did you mean "comment"?'


def other_sql(tmp_path):
    return {
        "type": "sql",
        "properties": {
            "uri": f"sqlite:///{tmp_path}/other.db",
            "warehouse": f"file://{tmp_path}/other files",
        },
    }


def test_a_second_sql_catalog(tmp_path):
    opened = Opened(tmp_path / "lake", catalogs={"other": other_sql(tmp_path)})
    try:
        lake = opened.lake
        assert lake.catalogs() == ["lake", "other"]
        assert lake.directories() == [f"{tmp_path}/lake/warehouse", f"{tmp_path}/other files"]
        assert lake.schemas("other") == []
        lake.create_schema("other", "main")
        name = TableName("Other", "main", "t")
        lake.create_table(name, SCHEMA).append(rows(1))
        lake.create_table(TABLE, SCHEMA).append(rows(2))
        assert set(lake.pointers([name, TABLE])) == {name, TABLE}
        assert lake.load(name).location().startswith(f"file://{tmp_path}/other files/main/t-")
        assert (values(lake.load(name)), values(lake.load(TABLE))) == ([1], [2])
        assert lake.drop_table(name)
        assert lake.drop_schema("other", "main")
    finally:
        opened.close()


def test_the_default_catalog_can_be_another(tmp_path):
    opened = Opened(tmp_path / "lake", catalog="prod", catalogs={"prod": other_sql(tmp_path)})
    try:
        assert opened.lake.catalogs() == ["prod"]
        assert opened.lake.default_catalog == "prod"
        assert opened.lake.directories() == [f"{tmp_path}/other files"]
        opened.lake.create_schema("prod", "main")
    finally:
        opened.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "nope", "properties": {}},
        {"type": "sql", "properties": {}},
        {"type": "sql", "properties": {"uri": "sqlite:////nowhere/at/all.db"}},
        {"type": "sql", "properties": {"uri": "nonsense"}},
        {"type": "rest", "properties": {"uri": "http://127.0.0.1:9/secret"}},
        {"type": "sql", "properties": {"uri": "sqlite://", "py-io-impl": "scoter_poison.Poison"}},
        {
            "type": "rest",
            "properties": {"uri": "http://127.0.0.1:9", "py-catalog-impl": "scoter_poison.Poison"},
        },
    ],
)
def test_catalogs_that_can_not_be_opened_do_not_stop_the_lake(tmp_path, poison, settings):
    opened = Opened(tmp_path / "lake", catalogs={"bad": settings})
    try:
        with pytest.raises(ConfigurationError) as caught:
            opened.lake.schemas("bad")
        assert "secret" not in caught.value.text()
        assert "nowhere" not in caught.value.text()
        assert opened.lake.schemas("lake") == ["main"]
        assert opened.lake.pointers([TABLE]) == {}
    finally:
        opened.close()
    assert not poison()


class IcebergRest(BaseHTTPRequestHandler):
    """The part of the Iceberg REST protocol that reading needs, over the tables of an SQL catalog."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")][1:]
        if path == ["config"]:
            self.answer({"defaults": {}, "overrides": POISON | self.server.overrides})
        elif path == ["namespaces"]:
            self.answer({"namespaces": [] if "parent=" in self.path else [["main"]]})
        elif path == ["namespaces", "main", "tables"]:
            names = [name for _, name in self.server.catalog.list_tables("main")]
            self.answer({"identifiers": [{"namespace": ["main"], "name": name} for name in names]})
        elif path[:-1] == ["namespaces", "main", "tables"] and self.server.catalog.table_exists(
            ("main", path[-1])
        ):
            found = self.server.catalog.load_table(("main", path[-1]))
            metadata = json.loads(found.metadata.model_dump_json())
            metadata["properties"] |= POISON | REDIRECT
            told = {
                "metadata-location": found.metadata_location,
                "metadata": metadata,
                "config": dict(POISON),
            }
            if self.server.elsewhere:
                place, told["config"] = self.server.elsewhere
                told["metadata-location"] = f"{place}/t/metadata/1.metadata.json"
                metadata |= {"location": f"{place}/t"}
                metadata["snapshots"][0]["manifest-list"] = f"{place}/t/metadata/1.avro"
            self.answer(told)
        else:
            error = {"message": "no", "type": "NoSuchTableException", "code": 404}
            self.answer({"error": error}, status=404)

    def answer(self, body, status=200):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args):
        pass


@pytest.fixture
def server(tmp_path):
    catalog = SqlCatalog("r", uri=f"sqlite:///{tmp_path}/rest.db", warehouse=f"file://{tmp_path}/rest")
    catalog.create_namespace("main")
    catalog.create_table("main.Flights", SCHEMA).append(pa.table({"a": [1, 2]}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), IcebergRest)
    server.catalog, server.overrides, server.elsewhere = catalog, {}, None
    server.address = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
    catalog.close()


@pytest.fixture
def rest(server):
    return server.address


def remote(directory, rest):
    known = {"uri": rest, "token": "x", "oauth2-server-uri": rest, "warehouse": f"file://{directory}/rest"}
    return {"type": "rest", "properties": known}


def test_a_rest_catalog(tmp_path, poison, rest):
    settings = remote(tmp_path, rest)
    opened = Opened(tmp_path / "lake", catalogs={"remote": settings})
    try:
        lake = opened.lake
        assert lake.schemas("remote") == ["main"]
        assert lake.tables("remote", "main") == ["Flights"]
        exact = TableName("remote", "main", "Flights")
        other_case = TableName("remote", "MAIN", "flights")
        missing = TableName("remote", "main", "nope")
        found = lake.pointers([exact, other_case, missing])
        assert set(found) == {exact, other_case}
        loaded = lake.load(other_case)
        assert loaded.properties == {}
        assert values(loaded) == [1, 2]
        assert lake.metadata(found[exact]).table_uuid == loaded.metadata.table_uuid
        lake.io(loaded.metadata).new_input(found[exact]).open().close()
        with pytest.raises(UndefinedTable):
            lake.load(missing)
    finally:
        opened.close()
    assert not poison()


def test_two_lakes_beside_bare_pyiceberg_see_one_truth(tmp_path):
    first, second = Opened(tmp_path / "lake"), Opened(tmp_path / "lake")
    other = bare(tmp_path / "lake")
    try:
        first.lake.create_table(TABLE, SCHEMA)
        second.lake.load(TABLE).append(rows(1))
        other.load_table("main.t").append(rows(2))
        assert values(first.lake.load(TABLE)) == [1, 2]
    finally:
        other.close()
        first.close()
        second.close()


def test_a_server_says_nothing_of_the_tables_of_others(tmp_path, rest):
    opened = Opened(tmp_path / "lake", catalogs={"remote": remote(tmp_path, rest)})
    theirs = SqlCatalog("r", uri=f"sqlite:///{tmp_path}/rest.db", warehouse=f"file://{tmp_path}/rest")
    try:
        lake = opened.lake
        own = lake.create_table(TABLE, SCHEMA)
        before = lake.io(own.metadata)
        copied = json.loads(Path(own.metadata_location.removeprefix("file://")).read_text())
        copy = tmp_path / "rest" / "copy.metadata.json"
        copy.write_text(json.dumps(copied | {"location": f"file://{tmp_path}/rest/copy"}))
        theirs.register_table("main.same_uuid", f"file://{copy}")
        theirs.register_table("main.same_file", own.metadata_location)
        for name in ("same_uuid", "same_file"):
            loaded = lake.load(TableName("remote", "main", name))
            assert loaded.metadata.table_uuid == own.metadata.table_uuid
            assert lake.io(own.metadata) is lake.io(own.metadata_location) is before
    finally:
        theirs.close()
        opened.close()


@pytest.mark.parametrize("warehouse", ["file:///", "s3://elsewhere", "http://127.0.0.1:1", "gs://elsewhere"])
def test_what_a_server_calls_its_warehouse_opens_nothing(tmp_path, server, warehouse):
    server.overrides = {"warehouse": warehouse}
    opened = Opened(tmp_path / "lake", catalogs={"remote": remote(tmp_path, server.address)})
    try:
        lake = opened.lake
        assert lake.schemas("remote") == ["main"]
        assert lake.attached("remote").properties["warehouse"] == warehouse
        assert lake.directories() == [f"{tmp_path}/lake/warehouse", f"{tmp_path}/rest"]
        lake.create_table(TABLE, SCHEMA)
        place = f"{warehouse.rstrip('/')}/etc/hostname"
        for io in (lake.load(TABLE).io, lake.io(place), lake.load(TableName("remote", "main", "Flights")).io):
            with pytest.raises(PermissionDenied):
                io.new_input(place)
            with pytest.raises(PermissionDenied):
                io.new_output(place)
            with pytest.raises(PermissionDenied):
                io.delete(place)
        with pytest.raises(PermissionDenied):
            lake.register_table(TableName("lake", "main", "other"), place)
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("place", "config"),
    [
        ("gs://elsewhere", {"gcs.oauth2.token": "x", "gcs.service.host": "{}"}),
        (
            "abfss://x@elsewhere.example.org",
            {"adls.account-key": "eA==", "adls.blob-storage-authority": "{}"},
        ),
        ("oss://elsewhere", {"s3.endpoint": "{}", "s3.access-key-id": "x", "s3.secret-access-key": "y"}),
        ("hf://datasets/elsewhere", {"hf.token": "x", "hf.endpoint": "{}"}),
        ("hdfs://127.0.0.1:1", {}),
        ("http://127.0.0.1:1", {}),
        ("file:///elsewhere", {}),
    ],
)
def test_a_server_opens_no_other_kinds_of_places(tmp_path, server, place, config):
    asked = []
    other = ThreadingHTTPServer(("127.0.0.1", 0), IcebergRest)
    other.verify_request = lambda *_: asked.append(1)
    thread = threading.Thread(target=other.serve_forever, args=(0.05,))
    thread.start()
    there = f"http://127.0.0.1:{other.server_port}"
    server.elsewhere = place, {key: value.format(there) for key, value in config.items()}
    opened = Opened(tmp_path / "lake", catalogs={"remote": remote(tmp_path, server.address)})
    try:
        name = TableName("remote", "main", "Flights")
        loaded = opened.lake.load(name)
        assert loaded.location() == f"{place}/t"
        with pytest.raises(PermissionDenied):
            opened.lake.metadata(opened.lake.pointers([name])[name])
        with pytest.raises(PermissionDenied):
            values(loaded)
        with pytest.raises(PermissionDenied):
            loaded.io.new_output(f"{place}/t/data/1.parquet")
        assert not asked
    finally:
        opened.close()
        other.shutdown()
        other.server_close()
        thread.join()


@pytest.mark.parametrize(
    "place", ["s3://elsewhere", "s3://bucket/far/../x", "s3://bucket/fare", "http://127.0.0.1:1", "gone://x"]
)
def test_no_metadata_leads_elsewhere(tmp_path, place):
    opened = Opened(tmp_path / "lake", catalogs=in_a_bucket(tmp_path))
    try:
        lake = opened.lake
        lake.create_table(TABLE, SCHEMA)
        io = lake.load(TABLE).io
        for each in (io, lake.io(f"{place}/t/metadata/1.avro")):
            with pytest.raises(PermissionDenied):
                each.new_input(f"{place}/t/metadata/1.avro")
            with pytest.raises(PermissionDenied):
                each.new_output(f"{place}/t/metadata/1.avro")
        with opened.metastore.engine.begin() as connection:
            connection.exec_driver_sql(
                f"UPDATE iceberg_tables SET metadata_location = '{place}/t/metadata/1.metadata.json'"
            )
        for ask in (lambda: lake.load(TABLE), lambda: lake.metadata(lake.pointers([TABLE])[TABLE])):
            with pytest.raises(PermissionDenied):
                ask()
    finally:
        opened.close()


def test_each_place_is_opened_by_its_catalog(tmp_path):
    opened = Opened(tmp_path / "lake", catalogs=in_a_bucket(tmp_path))
    try:
        for location in ("s3://bucket/far/t/1.avro", "s3a://bucket/far/t/1.avro", "hdfs://nn/t/1.avro"):
            found = opened.lake.io(location).new_input(location)
            assert found._store.access.endpoint == "http://127.0.0.1:1"
            assert found.location.endswith("/t/1.avro")
    finally:
        opened.close()


def in_a_bucket(directory):
    far = {"uri": f"sqlite:///{directory}/far.db", "warehouse": "s3://bucket/far"}
    s3 = {"endpoint": "http://127.0.0.1:1", "access_key_id": "x", "secret_access_key": "y"}
    return {"far": {"type": "sql", "properties": far, "s3": s3, "path_map": {"hdfs://nn": "s3://moved/x"}}}
