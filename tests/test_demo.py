"""`scoter demo` from its first step to its last, and when it is ended on the way."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest
from command import start
from pyiceberg.catalog.sql import SqlCatalog

STEPS = [
    "Start a server",
    "Load five tables",
    "Ask what a dashboard asks",
    "Register two versions of a model",
    "Make the table that will be scored",
    "See how a prediction will run",
    "Compare both versions in one query",
    "Score the year in one commit",
    "Pull the plug",
    "Start it again",
    "Put the challenger in charge",
    "Read the scores with bare pyiceberg",
    "Connect your own tools",
]


def test_the_whole_story(tmp_path: Path) -> None:
    process = start("demo", "--keep", tmp_path / "lake")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert re.findall(r"^\d+  (.+)$", out, re.MULTILINE) == STEPS
    assert "367,687 rows in 5 commits" in out
    assert "335,220 rows written" in out
    assert "nothing was lost" in out
    for pid in re.findall(r"process (\d+)", out):
        assert not psutil.pid_exists(int(pid)), "a server was left running"
    catalog = SqlCatalog(
        "lake",
        uri=f"sqlite:///{tmp_path}/lake/metastore.db",
        warehouse=f"file://{tmp_path}/lake/warehouse",
    )
    table = catalog.load_table("main.scores")
    scores = table.scan().to_arrow()
    catalog.close()
    assert scores.num_rows == 335_220
    assert len(table.snapshots()) == 1, "the killed INSERT has committed nothing"
    # Cancelled flights have no delay at departure, and a few have no weather: no score.
    assert scores.column("late").null_count == scores.column("probability").null_count > 8_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_on_the_way_it_leaves_nothing(number: signal.Signals) -> None:
    process = start("demo")
    timer = threading.Timer(60, process.kill)
    timer.start()
    text = ""
    while "process" not in text:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        text += line
    (pid,) = re.findall(r"process (\d+)", text)
    (lake,) = re.findall(r"scoter serve (\S+)", text)
    assert lake.startswith(tempfile.gettempdir())
    process.send_signal(number)
    process.communicate(timeout=60)
    timer.cancel()
    assert process.returncode == 130
    assert not psutil.pid_exists(int(pid))
    assert not Path(lake).exists()


def test_without_the_examples_it_says_where_they_are(tmp_path: Path) -> None:
    # A package that is installed has no examples: only the package is copied.
    package = Path(__file__).parent.parent / "scoter"
    (tmp_path / "scoter").symlink_to(package)
    code = (
        "import scoter, sys; scoter.__file__ = sys.argv.pop(1); sys.argv.insert(1, 'demo');"
        "from scoter.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "elsewhere" / "scoter" / "__init__.py")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "run `make demo`" in done.stderr
