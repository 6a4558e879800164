"""The lake: names found whatever their case, tables in directories of their own, bare pyiceberg beside us."""

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import LongType, NestedField, TimestampType
from sent_sql import noted
from test_catalog_metastore import run_together

from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.catalog.model_records import Made
from scoter.catalog.models import Models
from scoter.catalog.names import ModelName, TableName
from scoter.catalog.translation import translated
from scoter.errors import (
    AmbiguousName,
    ConfigurationError,
    CorruptData,
    DuplicateSchema,
    DuplicateTable,
    InvalidDefinition,
    NotSupported,
    SchemaNotEmpty,
    UndefinedCatalog,
    UndefinedSchema,
    UndefinedTable,
    WriteConflict,
)
from scoter.settings import load

SCHEMA = Schema(NestedField(1, "a", LongType(), required=False))


def table(name, schema="main"):
    return TableName("lake", schema, name)


def rows(*values):
    return pa.table({"a": pa.array(values, pa.int64())})


def values(found):
    return sorted(found.scan().to_arrow()["a"].to_pylist())


def bare(directory):
    return SqlCatalog(
        "lake", uri=f"sqlite:///{directory}/metastore.db", warehouse=f"file://{directory}/warehouse"
    )


class Opened:
    """A lake and its metastore in a directory."""

    def __init__(self, directory, **flags):
        self.settings = load(directory, **flags)
        self.metastore = Metastore.open(self.settings.metastore_url)
        try:
            self.lake = Lake(self.settings, self.metastore)
        except BaseException:
            self.metastore.close()
            raise

    def close(self):
        self.lake.close()
        self.metastore.close()


@pytest.fixture
def opened(tmp_path):
    found = Opened(tmp_path / "lake")
    yield found
    found.close()


@pytest.fixture
def lake(opened):
    return opened.lake


def test_a_fresh_lake(lake, tmp_path):
    assert lake.catalogs() == ["lake"]
    assert lake.default_catalog == "lake"
    assert lake.schemas("lake") == ["main"]
    assert lake.tables("lake", "main") == []
    assert lake.directories() == [str(tmp_path / "lake" / "warehouse")]


def test_schemas(lake):
    assert lake.create_schema("lake", "Sales") is True
    assert lake.create_schema("LAKE", "sales", if_not_exists=True) is False
    with pytest.raises(DuplicateSchema):
        lake.create_schema("lake", "SALES")
    assert lake.create_schema("lake", "sales.eu") is True
    assert lake.schemas("lake") == ["Sales", "main", "sales.eu"]
    assert lake.has_schema("lake", "SALES")
    assert not lake.has_schema("lake", "nope")
    with pytest.raises(SchemaNotEmpty, match=r"sales\.eu"):
        lake.drop_schema("lake", "sales")
    assert lake.drop_schema("lake", "sales.eu") is True
    assert lake.drop_schema("lake", "sales") is True
    assert lake.drop_schema("lake", "sales", if_exists=True) is False
    with pytest.raises(UndefinedSchema) as caught:
        lake.drop_schema("lake", "mian")
    assert caught.value.hint == 'did you mean "main"?'
    for name in ("", "a/b", "a..b", "information_schema", "System"):
        with pytest.raises(InvalidDefinition):
            lake.create_schema("lake", name)
    with pytest.raises(UndefinedCatalog) as caught:
        lake.create_schema("lak", "x")
    assert caught.value.hint == 'did you mean "lake"?'


def test_a_schema_with_something_in_it_stays(lake, opened):
    lake.create_schema("lake", "s")
    lake.create_table(table("t", "s"), SCHEMA)
    with pytest.raises(SchemaNotEmpty, match='holds "t"'):
        lake.drop_schema("lake", "s")
    lake.drop_table(table("t", "s"))
    models = Models(opened.metastore)
    models.create(ModelName("S", "m"), Made("a", 1, "", "", "p"))
    with pytest.raises(SchemaNotEmpty, match=r"holds .s\.m."):
        lake.drop_schema("lake", "s")
    models.drop(ModelName("s", "m"))
    assert lake.drop_schema("lake", "s")


def test_tables_are_found_whatever_the_case(lake):
    made = lake.create_table(table("Flights"), SCHEMA)
    for asked in (table("Flights"), table("flights"), TableName("LAKE", "MAIN", "FLIGHTS")):
        assert lake.pointers([asked]) == {asked: made.metadata_location}
        assert lake.load(asked).name() == ("main", "Flights")
    with pytest.raises(DuplicateTable):
        lake.create_table(table("FLIGHTS"), SCHEMA)
    with pytest.raises(DuplicateTable):
        lake.begin_create(table("FLIGHTS"), SCHEMA)
    assert lake.tables("lake", "main") == ["Flights"]


def test_the_exact_spelling_wins(lake, tmp_path):
    lake.create_table(table("Tt"), SCHEMA)
    other = bare(tmp_path / "lake")
    other.create_table("main.tT", SCHEMA)
    other.close()
    assert lake.load(table("Tt")).name() == ("main", "Tt")
    assert lake.load(table("tT", "MAIN")).name() == ("main", "tT")
    with pytest.raises(AmbiguousName) as caught:
        lake.pointers([table("tt")])
    assert caught.value.hint == "write it as one of lake.main.Tt, lake.main.tT"


def test_missing_tables(lake):
    lake.create_table(table("flights"), SCHEMA)
    assert lake.pointers([table("nope"), TableName("nope", "main", "t"), table("t", "nope")]) == {}
    with pytest.raises(UndefinedTable) as caught:
        lake.load(table("flihgts"))
    assert caught.value.hint == 'did you mean "flights"?'
    with pytest.raises(UndefinedTable) as caught:
        lake.load(table("flights", "mian"))
    assert caught.value.hint == 'did you mean "main"?'
    with pytest.raises(UndefinedCatalog):
        lake.load(TableName("nope", "main", "flights"))
    with pytest.raises(UndefinedSchema):
        lake.tables("lake", "nope")
    with pytest.raises(UndefinedSchema):
        lake.create_table(table("t", "nope"), SCHEMA)


def test_all_pointers_come_from_one_select(lake, opened):
    names = [table(f"t{number}") for number in range(5)]
    for name in names:
        lake.create_table(name, SCHEMA)
    with noted(opened.metastore.engine) as statements:
        found = lake.pointers([*names, table("nope"), TableName("Lake", "Main", "T3")])
    assert len(found) == 6
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1


def test_locations_are_ours_and_never_given_twice(lake, tmp_path):
    name = table("t")
    seen = [lake.create_table(name, SCHEMA).location()]
    lake.drop_table(name)
    seen.append(lake.create_table(name, SCHEMA).location())
    lake.rename_table(name, table("u"))
    assert lake.load(table("u")).location() == seen[-1]
    seen.append(lake.create_table(name, SCHEMA).location())
    transaction = lake.begin_create(table("v"), SCHEMA)
    transaction.append(rows(1))
    transaction.commit_transaction()
    seen.append(lake.load(table("v")).location())
    assert len(set(seen)) == len(seen)
    for location in seen:
        assert location.startswith(f"file://{tmp_path}/lake/warehouse/main/")
        assert location.count("/") == f"file://{tmp_path}/lake/warehouse/main/x".count("/")
    for refused in (table("../t"), table("a/b"), table("t\0")):
        with pytest.raises(InvalidDefinition):
            lake.create_table(refused, SCHEMA)


def test_dropping_keeps_the_files(lake):
    made = lake.create_table(table("t"), SCHEMA)
    made.append(rows(1, 2))
    location = made.metadata_location
    assert lake.drop_table(table("T")) is True
    assert lake.drop_table(table("t"), if_exists=True) is False
    with pytest.raises(UndefinedTable):
        lake.drop_table(table("t"))
    assert lake.metadata(location).current_snapshot() is not None
    assert Path(location.removeprefix("file://")).is_file()


def test_renaming(lake):
    lake.create_table(table("t"), SCHEMA).append(rows(7))
    lake.create_table(table("other"), SCHEMA)
    lake.create_schema("lake", "s")
    with pytest.raises(DuplicateTable):
        lake.rename_table(table("t"), table("OTHER"))
    with pytest.raises(UndefinedTable):
        lake.rename_table(table("nope"), table("x"))
    with pytest.raises(UndefinedSchema):
        lake.rename_table(table("t"), table("t", "nope"))
    with pytest.raises(InvalidDefinition):
        lake.rename_table(table("t"), table("a/b"))
    with pytest.raises(NotSupported):
        lake.rename_table(table("t"), TableName("elsewhere", "main", "t"))
    lake.rename_table(table("t"), table("T"))
    assert lake.tables("lake", "main") == ["T", "other"]
    lake.rename_table(table("t"), table("moved", "S"))
    assert lake.tables("lake", "s") == ["moved"]
    assert values(lake.load(table("moved", "s"))) == [7]


def test_a_table_appears_with_its_rows(lake):
    lake.create_schema("lake", "a.b")
    for name in (table("t"), table("t", "a.b")):
        transaction = lake.begin_create(name, SCHEMA, properties={"scoter.x": "1"})
        transaction.append(rows(1, 2))
        assert lake.pointers([name]) == {}
        transaction.commit_transaction()
        found = lake.load(name)
        assert values(found) == [1, 2]
        assert len(found.metadata.snapshots) == 1
        assert found.metadata.metadata_log == []
        assert found.properties == {"scoter.x": "1", "write.parquet.compression-codec": "snappy"}


def test_two_writers_make_one_table(lake):
    transactions = [lake.begin_create(table("t"), SCHEMA) for _ in range(2)]
    for number, transaction in enumerate(transactions):
        transaction.append(rows(number))
    transactions[1].commit_transaction()
    with pytest.raises(TableAlreadyExistsError):
        transactions[0].commit_transaction()
    assert values(lake.load(table("t"))) == [1]
    transaction = lake.begin_create(table("u"), SCHEMA)
    lake.create_table(table("u"), SCHEMA)
    with pytest.raises(DuplicateTable), translated("table u"):
        transaction.commit_transaction()


def test_partitioned_tables(lake):
    schema = Schema(
        NestedField(1, "a", LongType(), required=False), NestedField(2, "at", TimestampType(), required=False)
    )
    spec = PartitionSpec(PartitionField(2, 1000, DayTransform(), "at_day"))
    made = lake.create_table(table("t"), schema, spec)
    assert str(made.spec().fields[0].transform) == "day"
    assert made.format_version == 2


def test_bare_pyiceberg_beside_us(lake, tmp_path):
    lake.create_table(table("ours"), SCHEMA).append(rows(1, 2))
    other = bare(tmp_path / "lake")
    try:
        assert values(other.load_table("main.ours")) == [1, 2]
        other.load_table("main.ours").append(rows(3))
        assert values(lake.load(table("ours"))) == [1, 2, 3]
        lake.load(table("ours")).append(rows(4))
        assert values(other.load_table("main.ours")) == [1, 2, 3, 4]
        other.create_namespace("theirs")
        other.create_table("theirs.t", SCHEMA).append(rows(5))
        assert lake.schemas("lake") == ["main", "theirs"]
        assert values(lake.load(table("t", "theirs"))) == [5]
    finally:
        other.close()


def test_views_are_no_tables(lake, opened):
    with opened.metastore.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO iceberg_tables VALUES ('lake', 'main', 'v', 'file:///nowhere', NULL, 'VIEW')"
        )
    assert lake.tables("lake", "main") == []
    assert lake.pointers([table("v")]) == {}


def test_metadata_is_decoded_once(lake):
    made = lake.create_table(table("t"), SCHEMA)
    assert lake.metadata(made.metadata_location) is lake.metadata(made.metadata_location)
    assert lake.load(table("t")).metadata is lake.metadata(made.metadata_location)
    assert lake.io(made.metadata_location) is lake.io(made.metadata)


def test_damaged_metadata(lake, tmp_path):
    made = lake.create_table(table("t"), SCHEMA)
    gone = made.metadata_location.replace("00000-", "00009-")
    with pytest.raises(CorruptData) as caught:
        lake.metadata(gone)
    assert str(tmp_path) not in caught.value.text()
    made.append(rows(1))
    newest = lake.pointers([table("t")])[table("t")]
    Path(newest.removeprefix("file://")).write_text('{"format-version": 2')
    fresh = Opened(tmp_path / "lake")
    try:
        with pytest.raises(CorruptData) as caught:
            fresh.lake.load(table("t"))
    finally:
        fresh.close()
    assert str(tmp_path) not in caught.value.text()


@pytest.mark.parametrize("name", ["a#b", "a?b", "a*b", "a[b]", "a%20b"])
def test_directories_that_can_not_be_used(tmp_path, name):
    with pytest.raises(ConfigurationError):
        Opened(tmp_path / name)


def test_a_directory_with_a_space(tmp_path):
    found = Opened(tmp_path / "my lake")
    try:
        found.lake.create_table(table("my table"), SCHEMA).append(rows(1))
        assert values(found.lake.load(table("my table"))) == [1]
    finally:
        found.close()


def test_an_existing_lake_opens_with_three_statements(opened, tmp_path):
    with noted() as statements:
        Opened(tmp_path / "lake").close()
    assert 1 <= len(statements) <= 3


def test_a_commit_waits_for_the_lock(lake, opened):
    made = lake.create_table(table("t"), SCHEMA)
    database = opened.metastore.engine.url.database
    holder = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, holder.execute, ["COMMIT"])
    timer.start()
    made.append(rows(1))
    lake.create_schema("lake", "s")
    timer.join()
    holder.close()
    assert values(lake.load(table("t"))) == [1]


def test_a_commit_that_stays_locked_out_is_a_clean_failure(opened, tmp_path, monkeypatch):
    opened.lake.create_table(table("t"), SCHEMA)
    monkeypatch.setattr("scoter.catalog.metastore.LOCK_SECONDS", 0.05)
    hurried = Opened(tmp_path / "lake")
    found = hurried.lake.load(table("t"))
    holder = sqlite3.connect(opened.metastore.engine.url.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(CommitFailedException):
            found.append(rows(1))
        with pytest.raises(WriteConflict):
            hurried.lake.create_schema("lake", "s")
    finally:
        holder.execute("COMMIT")
        holder.close()
        hurried.close()
    assert values(opened.lake.load(table("t"))) == []


def test_many_threads(lake):
    lake.create_table(table("t"), SCHEMA)

    def work(number):
        deadline = time.monotonic() + 60
        while True:
            try:
                lake.load(table("T")).append(rows(number))
                break
            except CommitFailedException:
                assert time.monotonic() < deadline
        name = table(f"own {number}")
        lake.create_table(name, SCHEMA)
        return lake.pointers([name, table("t")])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(12)))
    assert all(len(pointers) == 2 for pointers in found)
    assert values(lake.load(table("t"))) == list(range(12))
    assert len(lake.tables("lake", "main")) == 13


def test_two_processes_write_one_table(lake, tmp_path):
    lake.create_table(table("t"), SCHEMA)
    code = """
import sys
import pyarrow as pa
from pathlib import Path
from pyiceberg.exceptions import CommitFailedException
from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.catalog.names import TableName
from scoter.settings import load
settings = load(Path(sys.argv[1]))
metastore = Metastore.open(settings.metastore_url)
lake = Lake(settings, metastore)
# START
for number in range(5):
    for attempt in range(20):
        try:
            lake.load(TableName("lake", "main", "t")).append(pa.table({"a": [int(sys.argv[2]) * 100 + number]}))
            break
        except CommitFailedException:
            pass
lake.close()
metastore.close()
"""
    run_together(code, str(tmp_path / "lake"), count=2)
    assert values(lake.load(table("t"))) == [*range(5), *range(100, 105)]
