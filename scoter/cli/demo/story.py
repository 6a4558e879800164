"""`scoter demo`: one story on a year of real flights, from an empty lake to a recovered crash.

This module must not know how steps are shown, nor how the server process is kept.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pyarrow.compute as pc
from pyiceberg.catalog.sql import SqlCatalog

from scoter.cli.demo import program
from scoter.cli.demo import statements as st
from scoter.cli.demo.examples import PROGRAM, TABLES, checkout, table_file
from scoter.cli.demo.server import ServerProcess
from scoter.cli.demo.stage import Shown, Stage
from scoter.cli.importing import load_files
from scoter.cli.sessions import RemoteSession, connect, open_lake
from scoter.errors import ConfigurationError, InternalError, ScoterError

_SETTINGS = """\
[models]
allowed_prefixes = ["examples/models"]
"""
_NEEDED = ("pandas", "scoter_client", "skl2onnx", "sklearn")  # what a model is logged with
_STAGED = 60.0  # seconds until a long INSERT has written its first file


@dataclass(frozen=True)
class _Setting:
    """What every step needs."""

    stage: Stage
    root: Path
    lake: Path
    server: ServerProcess


def tell(keep: Path | None) -> None:
    """Tell the story; leave nothing running, and no files unless ``keep`` names a directory for the lake.

    Raises ScoterError when a step does not go as told.
    """
    root = checkout()
    with _interruptible(), _lake(keep) as lake:
        (lake / "scoter.toml").write_text(_SETTINGS)
        with ServerProcess(lake, root) as server:
            setting = _Setting(Stage(), root, lake, server)
            _tell(setting)
            setting.stage.end()


def _tell(setting: _Setting) -> None:
    session = _start(setting)
    try:
        _load(setting)
        _query(setting, session)
        _models(setting, session)
        _compare(setting, session)
        _log(setting, session)
        _score(setting, session)
        before = _state(setting, session)
        _crash(setting)
    finally:
        session.close()
    session = _restart(setting)
    try:
        _recovered(setting, session, before)
        _flip(setting, session)
    finally:
        session.close()
    _bare(setting, before)
    _addresses(setting)


def _start(setting: _Setting) -> RemoteSession:
    stage = setting.stage
    stage.step("Start a server", "a fresh lake in an empty directory, a free port")
    stage.code(f"scoter serve {setting.lake} --port 0", "bash")
    started = time.monotonic()
    setting.server.start()
    stage.say(f"scoter ready {setting.server.address}", style="green")
    stage.timed(f"process {setting.server.pid}", time.monotonic() - started)
    return connect(setting.server.address)


def _load(setting: _Setting) -> None:
    stage = setting.stage
    stage.step(
        "Load five tables",
        "every flight that left New York in 2013; this process opens the same lake beside the server",
    )
    files = table_file(Path(), "$table")
    stage.code(st.LOAD.format(tables=" ".join(TABLES), files=files, lake=setting.lake), "bash")
    started = time.monotonic()
    rows = 0
    engine = open_lake(setting.lake)
    try:
        for table in TABLES:
            file = table_file(setting.root, table)
            rows += load_files(engine, table, [file]).written.rows
    finally:
        engine.close()
    stage.timed(f"{rows:,} rows in {len(TABLES)} commits", time.monotonic() - started)


def _query(setting: _Setting, session: RemoteSession) -> None:
    setting.stage.step("Ask what a dashboard asks", "a join of all five tables, over ADBC from the server")
    setting.stage.sql(session, st.DASHBOARD)


def _models(setting: _Setting, session: RemoteSession) -> None:
    stage = setting.stage
    stage.step(
        "Register two versions of a model",
        "will a flight arrive 15 minutes late or more? a logistic regression, then 100 boosted trees",
    )
    stage.sql(session, st.CREATE_MODEL)
    stage.sql(session, st.ADD_VERSION, only=["model", "output"])
    for statement in st.ALIASES:
        stage.sql(session, statement)
    stage.sql(session, st.VERSIONS)
    stage.step("Make the table that will be scored", "each flight with the weather at its departure")
    stage.sql(session, st.DEPARTURES)
    stage.step(
        "See how a prediction will run", "version and file are pinned; one of twelve partitions is read"
    )
    stage.sql(session, st.EXPLAIN)


def _compare(setting: _Setting, session: RemoteSession) -> None:
    stage = setting.stage
    stage.step("Measure both versions", "on November and December, which neither has seen")
    stage.sql(session, st.HOLDOUT)
    stage.sql(session, st.EVALUATE)
    stage.step(
        "Put them to an A/B test",
        "a flight number is always scored by the same one of the two; hits are flights that were called "
        "late and were late",
    )
    stage.sql(session, st.A_B)


def _log(setting: _Setting, session: RemoteSession) -> None:
    stage = setting.stage
    stage.step(
        "Log a model from Python",
        "scikit-learn learns from a sample over ADBC; log_model makes it ONNX and proves the file on the sample",
    )
    if program.missing(_NEEDED):
        stage.say("left out, as it needs: pip install scikit-learn './client[models]'", style="yellow")
        return
    source = (setting.root / PROGRAM).read_text()
    stage.code(source[source.index("import ") :], "python")
    stage.code(f"python {PROGRAM} {setting.server.address}", "bash")
    started = time.monotonic()
    lines = program.run(PROGRAM, setting.server.address, setting.root)
    for line in lines:
        stage.say(line, style="green")
    stage.timed("ok", time.monotonic() - started)
    stage.sql(session, st.EVALUATE_CANDIDATE)


def _score(setting: _Setting, session: RemoteSession) -> None:
    stage = setting.stage
    stage.step(
        "Score the year in one commit",
        "cancelled flights have no delay at departure: a NULL goes in, a NULL comes out",
    )
    stage.sql(session, st.CREATE_SCORES)
    stage.sql(session, st.SCORE)
    stage.say("the snapshot says which model made its rows:")
    stage.sql(session, st.SNAPSHOTS)


def _state(setting: _Setting, session: RemoteSession) -> Shown:
    setting.stage.step("Pull the plug", "first, what the table holds now")
    return setting.stage.sql(session, st.STATE)


def _crash(setting: _Setting) -> None:
    """Kill the server while an INSERT is writing files; raises InternalError when it ended before."""
    stage = setting.stage
    stage.say("December ten thousand times, in another connection:")
    stage.code(f"{st.LONG_INSERT.strip()};")
    before = _files(setting.lake)
    ended: list[str] = []
    failed: list[ScoterError] = []
    writer = connect(setting.server.address)

    def write() -> None:
        try:
            for _ in writer.run(st.LONG_INSERT).batches:
                pass
            ended.append("committed")
        except ScoterError as error:
            failed.append(error)

    thread = threading.Thread(target=write, name="scoter-demo-insert", daemon=True)
    started = time.monotonic()
    thread.start()
    deadline = started + _STAGED
    while not (written := _files(setting.lake) - before) and thread.is_alive():
        if time.monotonic() > deadline:
            raise InternalError("the INSERT has written no file yet; it can not be killed in the middle")
        time.sleep(0.05)
    time.sleep(1.0)
    if not thread.is_alive():
        raise failed[0] if failed else InternalError("the INSERT ended before it could be killed")
    pid = setting.server.pid
    setting.server.kill()
    elapsed = time.monotonic() - started
    thread.join(_STAGED)
    writer.close()
    if ended or thread.is_alive():
        raise InternalError("the INSERT outlived its server")
    stage.code(f"kill -9 {pid}", "bash")
    stage.say(f"the client is told: {failed[0].message}", style="red")
    size = sum(path.stat().st_size for path in written) / 1_000_000
    files = f"{len(written)} file{'' if len(written) == 1 else 's'}"
    stage.timed(f"{files} with {size:.1f} MB written, nothing committed", elapsed)


def _restart(setting: _Setting) -> RemoteSession:
    stage = setting.stage
    stage.step("Start it again", "the same lake")
    seconds = setting.server.start()
    stage.say(f"scoter ready {setting.server.address}", style="green")
    stage.timed(f"process {setting.server.pid}", seconds)
    return connect(setting.server.address)


def _recovered(setting: _Setting, session: RemoteSession, before: Shown) -> None:
    after = setting.stage.sql(session, st.STATE)
    if after != before:
        raise InternalError("the table is not what it was before the crash")
    setting.stage.say("the same rows, the same snapshot: nothing was lost, nothing came half", style="green")


def _flip(setting: _Setting, session: RemoteSession) -> None:
    stage = setting.stage
    stage.step("Put the challenger in charge", "the queries stay as they are: they name the alias")
    first = stage.sql(session, st.CHAMPION)
    stage.sql(session, st.FLIP)
    second = stage.sql(session, st.CHAMPION)
    if first.value("called_late") == second.value("called_late"):
        raise InternalError("the alias was moved and the predictions are the same")


def _bare(setting: _Setting, before: Shown) -> None:
    """Read the scored table without any part of Scoter; raises InternalError for other rows."""
    stage = setting.stage
    stage.step("Read the scores with bare pyiceberg", "they are an Iceberg table like any other")
    stage.code(st.PYICEBERG.format(lake=setting.lake), "python")
    started = time.monotonic()
    catalog = SqlCatalog(
        "lake",
        uri=f"sqlite:///{setting.lake}/metastore.db",
        warehouse=f"file://{setting.lake}/warehouse",
    )
    try:
        table = catalog.load_table("main.scores")
        snapshot = table.current_snapshot()
        scores = table.scan(row_filter="month == 12").to_arrow()
    finally:
        catalog.close()
    if snapshot is None or snapshot.snapshot_id != before.value("snapshot_id"):
        raise InternalError("pyiceberg sees another snapshot than the server")
    groups = scores.group_by("carrier").aggregate(
        [("late", "count"), ("late", "sum"), ("probability", "mean")]
    )
    groups = groups.rename_columns(["carrier", "scored", "called_late", "probability"])
    rounded = pc.round(groups.column("probability"), 3)
    groups = groups.set_column(3, "probability", rounded).sort_by([("scored", "descending")])
    stage.table(groups.slice(0, 5))
    stage.timed(f"{scores.num_rows:,} rows of December", time.monotonic() - started)


def _addresses(setting: _Setting) -> None:
    stage = setting.stage
    stage.step("Connect your own tools", "`make serve` keeps a server with this data at port 31337")
    place = "127.0.0.1:31337"
    stage.say(f"shell   scoter sql grpc://{place}")
    stage.say(f'ADBC    adbc_driver_flightsql.dbapi.connect("grpc://{place}")')
    stage.say(f"JDBC    jdbc:arrow-flight-sql://{place}/?useEncryption=false")
    stage.say(f"models  python {PROGRAM} grpc://{place}")


def _files(lake: Path) -> set[Path]:
    """Return the data files of the scores that hold something, committed or not."""
    return {path for path in lake.glob("warehouse/main/scores-*/data/**/*.parquet") if path.stat().st_size}


@contextmanager
def _lake(keep: Path | None) -> Iterator[Path]:
    """Give an empty directory for the lake; remove it at the end unless it is to be kept."""
    if keep is not None:
        lake = keep.absolute()
        if lake.exists() and any(lake.iterdir()):
            raise ConfigurationError(f"{keep} is not empty", hint="the demo makes a fresh lake")
        lake.mkdir(parents=True, exist_ok=True)
        yield lake
        return
    lake = Path(tempfile.mkdtemp(prefix="scoter-demo-"))
    try:
        yield lake
    finally:
        shutil.rmtree(lake, ignore_errors=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM end the story as Ctrl-C does, so that the server is stopped."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
