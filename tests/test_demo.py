"""`scoter demo` from its first step to its last, and when it is ended on the way."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from command import start
from pyiceberg.catalog.sql import SqlCatalog

from scoter.cli.demo import program, story
from scoter.cli.demo.server import ServerProcess
from scoter.cli.demo.stage import Stage
from scoter.errors import ConfigurationError

STEPS = [
    "Start a server",
    "Load five tables",
    "Ask what a dashboard asks",
    "Register two versions of a model",
    "Make the table that will be scored",
    "See how a prediction will run",
    "Measure both versions",
    "Put them to an A/B test",
    "Log a model from Python",
    "Score the year in one commit",
    "Pull the plug",
    "Start it again",
    "Put the challenger in charge",
    "Read the scores with bare pyiceberg",
    "Connect your own tools",
]

HOLDOUT = 52_983  # flights of November and December that have arrived and have weather
ARM = """
SELECT count(*) AS flights, sum(was_late) AS were_late, sum(PREDICT('late@{version}', d)) AS called_late,
       count(*) FILTER (was_late = 1 AND PREDICT('late@{version}', d) = 1) AS hits
FROM holdout d WHERE hash(carrier, flight) % 2 = {half}
"""


def tables(out: str) -> list[list[dict[str, str]]]:
    """Return the tables of an output, each row by its column names."""
    found = []
    for block in re.findall(r"╭.*?╰", out, re.DOTALL):
        lines = [line for line in block.splitlines() if line.startswith("│")]
        names, *rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
        found.append([dict(zip(names, row, strict=True)) for row in rows])
    return found


def asked(lake: Path, sql: str) -> dict[str, str]:
    """Return the row that a statement gives."""
    process = start("sql", lake, "-c", sql, "--format", "json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    (row,) = [json.loads(line) for line in out.splitlines()]
    return {name: str(value) for name, value in row.items()}


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
    shown = tables(out)
    both, alone = (each for each in shown if "accuracy" in each[0])
    before, after = (each[0] for each in shown if "called_right" in each[0])
    # What ML_EVALUATE says is what the alias says of the same flights before and after it is moved.
    for measured, counted in zip(both, (before, after), strict=True):
        assert int(measured["n"]) == int(counted["flights"]) == HOLDOUT
        right, called = int(counted["called_right"]), int(counted["called_late"])
        hits = (right + called + int(counted["were_late"]) - HOLDOUT) / 2
        assert float(measured["accuracy"]) == round(right / HOLDOUT, 4)
        assert float(measured["precision"]) == round(hits / called, 4)
    assert [row["version"] for row in both] == ["1", "2"]
    assert both[0]["accuracy"] != both[1]["accuracy"]
    # Each arm of the A/B test is what its version says of its half of the flights.
    (arms,) = (each for each in shown if "arm" in each[0])
    halves = {"champion": (1, 0), "challenger": (2, 1)}
    assert sum(int(row["flights"]) for row in arms) == HOLDOUT
    for row in arms:
        version, half = halves.pop(row.pop("arm"))
        assert float(row.pop("hit_rate")) == round(int(row["hits"]) / int(row["called_late"]), 3)
        assert row == asked(tmp_path / "lake", ARM.format(version=version, half=half))
    assert not halves
    assert "fitted on 13,754 flights" in out
    assert "main.late version 3 is the candidate" in out
    assert int(alone[0]["n"]) == HOLDOUT
    assert float(alone[0]["accuracy"]) > 0.87, "to call every flight on time is right for 0.74"
    aliases = "SELECT aliases[1] AS alias FROM system.model_versions WHERE version = 3"
    assert asked(tmp_path / "lake", aliases) == {"alias": "candidate"}
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


def test_ended_while_a_model_is_logged_it_leaves_nothing() -> None:
    process = start("demo")
    timer = threading.Timer(120, process.kill)
    timer.start()
    while "python examples/models/log_model.py" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    deadline = time.monotonic() + 30
    children: list[psutil.Process] = []
    # A process that was begun a moment ago still has the command line of the one that began it.
    while not any("examples/models/log_model.py" in each.cmdline() for each in children):
        assert time.monotonic() < deadline, "the program was not started"
        time.sleep(0.05)
        children = psutil.Process(process.pid).children()
    assert len(children) == 2, "the server and the program"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    timer.cancel()
    assert process.returncode == 130
    assert "candidate" not in out, "the program had ended before"
    assert not [each for each in children if each.is_running()]


def test_without_packages_for_models_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.missing(["sklearn", "no_such_package", "scoter_client"]) == ["no_such_package"]
    monkeypatch.setattr(story, "_NEEDED", ("no_such_package",))
    server = ServerProcess(tmp_path, tmp_path)
    story._log(story._Setting(Stage(), tmp_path, tmp_path, server), session=None)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "   left out, as it needs: pip install scikit-learn './client[models]'"


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("import sys; print('begun'); sys.exit(f'no {sys.argv[1]}')")
    with pytest.raises(ConfigurationError, match=r"program\.py has failed: no luck"):
        program.run(file, "luck", tmp_path)
    file.write_text("import os, sys; print(os.getcwd(), sys.argv[1])")
    assert program.run(file, "luck", tmp_path) == [f"{tmp_path} luck"]


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
