"""CALL system.register_table and path_map: tables from metadata files, read from where they are now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from scan_tables import add_file, write_parquet
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.catalog.names import TableName
from scoter.catalog.reach import Reach, merged
from scoter.errors import ConfigurationError
from scoter.settings import load

OLD = "hdfs://nn:8020/warehouse"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table's directory whose metadata says another place for the metadata and the files."""
    home = tmp_path_factory.mktemp("home")
    with opened(home) as engine:
        session = InProcess(engine)
        session.update(
            "CREATE TABLE t PARTITIONED BY (a) AS SELECT i % 3 AS a, 'x' || i AS b FROM range(9) r(i)"
        )
        session.update("INSERT INTO t VALUES (7, 'late')")
        name = TableName("lake", "main", "t")
        location = Path(engine.lake.find([name])[name].location.removeprefix("file://"))
    target = tmp_path_factory.mktemp("data") / "warehouse" / "t"
    shutil.copytree(location.parents[1], target)
    found = target / "metadata" / location.name
    text = found.read_text("utf-8").replace(f"file://{location.parents[1]}", f"{OLD}/t")
    (target / "metadata" / "v9.metadata.json").write_text(text)
    # What manifest lists and manifests say is left as it is: the home's prefix is mapped as well.
    (target / "home").write_text(str(location.parents[1]))
    return target


def maps(moved: Path) -> dict[str, str]:
    return {OLD: str(moved.parent), (moved / "home").read_text(): str(moved)}


@pytest.fixture
def session(tmp_path: Path, moved: Path) -> Iterator[InProcess]:
    with opened(tmp_path / "lake", catalogs={"lake": {"path_map": maps(moved)}}) as engine:
        yield InProcess(engine)


def register(session: InProcess, place: str, name: str = "t") -> list[tuple[object, ...]]:
    return session.rows(f"CALL system.register_table(table => '{name}', metadata_file => '{place}')")


def test_spellings_of_a_place_and_of_the_call(session: InProcess, moved: Path) -> None:
    file = "t/metadata/v9.metadata.json"
    ((snapshot, records, files),) = register(session, f"{moved.parent}/{file}")
    assert (records, files) == (10, 4)
    assert session.value("SELECT snapshot_id FROM t.snapshots ORDER BY committed_at DESC LIMIT 1") == snapshot
    register(session, f"file://{moved.parent}/{file}", "main.u")
    register(session, f"{OLD}/{file}", 'lake.main."V w"')
    session.query(f"call lake.SYSTEM.Register_Table('main.x', '{OLD}/{file}')")
    session.query(f"CALL system.register_table(metadata_file => '{OLD}/{file}', table => 'y')")
    for name in ("t", "u", '"V w"', "x", "y"):
        assert session.rows(f"SELECT count(*), max(b) FROM {name} WHERE a < 5") == [(9, "x8")]
        assert session.value(f"SELECT count(*) FROM {name}") == 10
    first = session.value("SELECT min_by(snapshot_id, committed_at) FROM t.snapshots")
    assert session.value(f"SELECT count(*) FROM t FOR VERSION AS OF {first}") == 9
    assert session.rows("DESCRIBE t")[0][:2] == ("a", "BIGINT")


def test_a_mapped_table_is_read_only(session: InProcess, moved: Path) -> None:
    register(session, f"{OLD}/t/metadata/v9.metadata.json")
    before = sorted(moved.rglob("*"))
    merge = "MERGE INTO t USING (SELECT 1 AS a) AS s ON t.a = s.a WHEN MATCHED THEN DELETE"
    for sql in (
        merge,
        "INSERT INTO t VALUES (1, 'x')",
        "COMMENT ON TABLE t IS 'x'",
        "COMMENT ON COLUMN t.a IS 'x'",
    ):
        with pytest.raises(Refused, match=r"\[0A000\].*read through path_map and can not be written"):
            session.query(sql)
    session.update("CREATE TABLE own AS SELECT * FROM t")
    assert session.update("INSERT INTO own SELECT * FROM t") == 10
    session.query("DROP TABLE t")
    assert sorted(moved.rglob("*")) == before


def test_a_table_of_the_own_warehouse_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as engine:
        session = InProcess(engine)
        session.update("CREATE TABLE t AS SELECT 1 AS a")
        name = TableName("lake", "main", "t")
        place = engine.lake.find([name])[name].location
        session.query("DROP TABLE t")
        register(session, place)
        assert session.update("INSERT INTO t VALUES (2)") == 1
        assert session.rows("SELECT a FROM t ORDER BY a") == [(1,), (2,)]
        with pytest.raises(Refused, match=r"\[42P07\]"):
            register(session, place)
        with pytest.raises(Refused, match=r"\[3F000\]"):
            register(session, place, "nowhere.t")


def test_only_allowed_places_are_read(session: InProcess, moved: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(moved, outside)
    link = tmp_path / "lake" / "warehouse" / "link"
    link.symlink_to(outside)
    dots = f"{moved}/../../../{outside.relative_to(outside.parents[1])}"
    for place in (outside, link, dots, f"file://{outside}", "s3://bucket/t", "gone://x/t"):
        with pytest.raises(Refused, match=r"\[42501\].*outside of the directories.*\(1:59\)"):
            register(session, f"{place}/metadata/v9.metadata.json")
    with pytest.raises(Refused, match=r"\[42611\].*no absolute path"):
        register(session, "metadata/v9.metadata.json")
    with pytest.raises(Refused, match=r"\[XX001\]"):
        register(session, f"{moved}/metadata/none.json")
    assert session.rows("SHOW TABLES") == []


def test_metadata_can_not_lead_outside(session: InProcess, moved: Path, tmp_path: Path) -> None:
    known = json.loads((moved / "metadata" / "v9.metadata.json").read_text())
    outside = tmp_path / "outside"
    shutil.copytree(moved, outside)
    lists = [
        {**s, "manifest-list": s["manifest-list"].replace(f"{OLD}/t", str(outside))}
        for s in known["snapshots"]
    ]
    for number, changed in enumerate(({"location": "/etc"}, {"snapshots": lists})):
        place = moved / "metadata" / f"w{number}.metadata.json"
        place.write_text(json.dumps(known | changed))
        with pytest.raises(Refused, match=r"\[42501\]"):
            register(session, str(place))
        place.unlink()


def test_manifests_can_not_lead_outside(session: InProcess, tmp_path: Path) -> None:
    session.update("CREATE TABLE t (a BIGINT)")
    outside = write_parquet(tmp_path / "x.parquet", pa.table({"a": [1]}), {"a": 1})
    add_file(session.engine.lake.load(TableName("lake", "main", "t")), outside, 1)
    with pytest.raises(Refused, match=r"\[42501\]"):
        session.query("SELECT * FROM t")


def test_properties_that_load_code_are_not_honoured(session: InProcess, moved: Path) -> None:
    known = json.loads((moved / "metadata" / "v9.metadata.json").read_text())
    known["properties"] |= {"py-io-impl": "nowhere.Io", "write.py-location-provider.impl": "nowhere.P"}
    place = moved / "metadata" / "code.metadata.json"
    place.write_text(json.dumps(known))
    register(session, str(place))
    assert session.value("SELECT count(*) FROM t") == 10
    place.unlink()


@pytest.mark.parametrize("content", [b"", b"{}", b"PAR1\xff\xfe", b"[1]", b'{"format-version": 9}'])
def test_a_file_that_is_no_metadata(session: InProcess, moved: Path, content: bytes) -> None:
    place = moved / "metadata" / "bad.metadata.json"
    place.write_bytes(content)
    with pytest.raises(Refused, match=r"\[XX001\]"):
        register(session, str(place))
    place.unlink()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("system.expire_snapshots(table => 't')", "0A000.*register_table"),
        ("register_table('t', 'x')", "0A000.*register_table"),
        ("pragma_version()", "0A000.*register_table"),
        ("system.register_table('t')", "42601"),
        ("system.register_table()", "42601"),
        ("system.register_table('t', 'x', 'y')", "42601"),
        ("system.register_table(table => 't', 'x')", "42601"),
        ("system.register_table('t', metadata_file => 'x')", "42601"),
        ("system.register_table(table => 't', table => 'x')", "42601"),
        ("system.register_table(table => 't', file => 'x')", "42601"),
        ("system.register_table(table => 't', metadata_file => 1 + 1)", "42601"),
        ("system.register_table(table => 't', metadata_file => 'x'", "42601"),
        ("system.register_table(table => 't; DROP', metadata_file => 'x')", "0A000"),
        ("system.register_table(table => 'f(x)', metadata_file => 'x')", "0A000"),
        ("system.register_table(table => '', metadata_file => 'x')", "0A000"),
    ],
)
def test_calls_that_are_refused(session: InProcess, call: str, code: str) -> None:
    with pytest.raises(Refused, match=rf"\[{code}" if "." not in code else code):
        session.query(f"CALL {call}")


def test_the_longest_prefix_wins() -> None:
    reach = Reach({"hdfs://nn/a": "/one", "hdfs://nn/a/b/": "file:///two/", "/a": "s3://bucket/x"})
    assert reach.real("hdfs://nn/a/b/c") == "/two/c"
    assert reach.real("hdfs://nn/a/bc") == "/one/bc"
    assert reach.real("hdfs://nn/ab") == "hdfs://nn/ab"
    assert reach.real("file:///a/b") == reach.real("file:/a/b") == reach.real("/a/b") == "s3://bucket/x/b"


@pytest.mark.parametrize(
    "pairs",
    [
        {"x": {"a": "/b"}},
        {"x": {"/a": "b"}},
        {"x": {"/": "/b"}},
        {"x": {"/a": "/b"}, "y": {"/a": "/c"}},
        {"x": {"/a": "/b", "/b": "/c"}},
    ],
)
def test_maps_that_are_refused(pairs: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ConfigurationError, match="path_map"):
        merged(pairs)


def test_only_the_embedded_catalog_has_no_type(tmp_path: Path) -> None:
    settings = load(tmp_path, catalogs={"other": {"path_map": {"/a": "/b"}}})
    metastore = Metastore.open(settings.metastore_url)
    with pytest.raises(ConfigurationError, match=r"catalogs\.other\.type"):
        Lake(settings, metastore)
    metastore.close()
