"""The metastore: made once by whoever comes first, migrated, locked, refused when it is not ours."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from pyiceberg.catalog.sql import SqlCatalog
from sent_sql import noted

from scoter.catalog import metastore as module
from scoter.catalog.keys import signing_key
from scoter.catalog.metastore import HEAD, Metastore
from scoter.errors import ConfigurationError, CorruptData, WriteConflict

ROOT = Path(__file__).parents[1]


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'lake' / 'metastore.db'}"


@pytest.fixture
def metastore(url):
    opened = Metastore.open(url)
    yield opened
    opened.close()


def run_together(code, *arguments, count):
    """Run ``code`` in ``count`` processes that all start its work at one moment; return their outputs."""
    start = f"import time; time.sleep(max(0, {time.time() + 2.5} - time.time()))\n"
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code.replace("# START", start), *arguments, str(number)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    results = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * count, [err for _, err in results]
    return [out.strip() for out, _ in results]


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(ROOT / "scoter/catalog/migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_opens_again_with_one_select(url, metastore):
    with noted() as statements:
        Metastore.open(url).close()
    assert statements == ["SELECT version_num FROM scoter_alembic_version"]


def test_only_the_owner_may_read_the_file(url, metastore):
    mode = Path(metastore.engine.url.database).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_has_the_tables_that_pyiceberg_makes(tmp_path, metastore):
    other = SqlCatalog("lake", uri=f"sqlite:///{tmp_path / 'bare.db'}", warehouse=f"file://{tmp_path}")
    try:
        theirs = sa.inspect(other.engine)
        ours = sa.inspect(metastore.engine)
        for table in ("iceberg_tables", "iceberg_namespace_properties"):
            assert [
                (c["name"], str(c["type"]), c["nullable"], c["primary_key"]) for c in ours.get_columns(table)
            ] == [
                (c["name"], str(c["type"]), c["nullable"], c["primary_key"])
                for c in theirs.get_columns(table)
            ]
    finally:
        other.close()


def test_takes_over_a_lake_that_bare_pyiceberg_made(tmp_path):
    database = tmp_path / "metastore.db"
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TABLE iceberg_tables (catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL,"
            " table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000),"
            " previous_metadata_location VARCHAR(1000), PRIMARY KEY (catalog_name, table_namespace, table_name))"
        )
        connection.execute("INSERT INTO iceberg_tables VALUES ('lake', 'main', 't', 'file:///x', NULL)")
    connection.close()
    opened = Metastore.open(f"sqlite:///{database}")
    try:
        with opened.reading() as reading:
            rows = reading.exec_driver_sql("SELECT table_name, iceberg_type FROM iceberg_tables").all()
        assert [tuple(row) for row in rows] == [("t", None)]
    finally:
        opened.close()


def test_a_newer_metastore_is_refused(url, metastore):
    with metastore.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE scoter_alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="newer version"):
        Metastore.open(url)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "metastore.db"
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(CorruptData) as caught:
        Metastore.open(f"sqlite:///{path}")
    assert str(tmp_path) not in caught.value.text()


def test_a_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "lake").write_text("x")
    with pytest.raises(ConfigurationError) as caught:
        Metastore.open(f"sqlite:///{tmp_path / 'lake' / 'metastore.db'}")
    assert str(tmp_path) not in caught.value.text()


def test_a_failed_migration_leaves_nothing(url, monkeypatch):
    real = module._upgrade

    def fails(connection):
        real(connection)
        raise RuntimeError("power cut")

    monkeypatch.setattr(module, "_upgrade", fails)
    with pytest.raises(RuntimeError):
        Metastore.open(url)
    monkeypatch.undo()
    database = url.removeprefix("sqlite:///")
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    Metastore.open(url).close()


def test_a_lock_held_for_a_while_is_waited_for(metastore):
    holder = sqlite3.connect(metastore.engine.url.database, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, holder.execute, ["COMMIT"])
    timer.start()
    started = time.monotonic()
    assert len(signing_key(metastore)) == 32
    assert time.monotonic() - started >= 0.3
    timer.join()
    holder.close()


def test_a_lock_held_for_good_is_an_error_of_ours(url, metastore, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    hurried = Metastore.open(url)
    holder = sqlite3.connect(metastore.engine.url.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(WriteConflict, match="locked"):
            signing_key(hurried)
    finally:
        holder.execute("COMMIT")
        holder.close()
        hurried.close()


def test_many_threads_share_it(metastore):
    with ThreadPoolExecutor(40) as pool:
        seen = list(pool.map(lambda _: signing_key(metastore), range(800)))
    assert len(set(seen)) == 1


def test_processes_race_to_make_a_lake(tmp_path):
    code = """
import sys
from pathlib import Path
from scoter.catalog.keys import signing_key
from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.settings import load
settings = load(Path(sys.argv[1]))
# START
metastore = Metastore.open(settings.metastore_url)
lake = Lake(settings, metastore)
print(lake.schemas("lake"), signing_key(metastore).hex())
lake.close()
metastore.close()
"""
    for attempt in range(2):
        answers = run_together(code, str(tmp_path / f"lake{attempt}"), count=2)
        assert answers[0].startswith("['main']")
        assert answers[0] == answers[1]


def test_processes_race_to_create_models(url, metastore):
    code = """
import sys
from scoter.catalog.metastore import Metastore
from scoter.catalog.model_records import Made
from scoter.catalog.models import Models
from scoter.catalog.names import ModelName
me = sys.argv[2]
metastore = Metastore.open(sys.argv[1])
models = Models(metastore)
# START
for number in range(10):
    facts = Made(sha256=me, size=1, signature="{}", source="", principal=me)
    made = models.create(ModelName("main", "shared"), facts, replace=True)
    models.create(ModelName("main", f"own_{me}_{number}"), facts)
    print(made.version)
metastore.close()
"""
    answers = run_together(code, url, count=4)
    versions = sorted(int(version) for answer in answers for version in answer.split())
    assert versions == list(range(1, 41))
    with metastore.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM scoter_models").scalar() == 41
        assert connection.exec_driver_sql("SELECT revision FROM scoter_model_revision").scalar() == 80
