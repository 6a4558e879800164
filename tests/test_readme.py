"""The README's commands exist, and its SQL gives what it shows: over ADBC, from a server of its own process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import java
import pytest
from documents import ROOT, blocks, differs, shown, statements
from sessions import OverTheWire

README = ROOT / "README.md"
ADDRESS = "grpc://127.0.0.1:31337"
BLOCKS = blocks(README)


def scoter(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "scoter.cli", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a lake with the example tables as `make serve` does, in a process of its own."""
    lake = tmp_path_factory.mktemp("readme") / "lake"
    lake.mkdir()
    (lake / "scoter.toml").write_text('[models]\nallowed_prefixes = ["examples/models"]\n')
    for name in ("flights", "weather"):
        done = scoter("import", name, f"examples/flights/{name}.parquet", "--lake", str(lake))
        assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "scoter.cli", "serve", str(lake), "--port", "0"]
    with (lake / "log.jsonl").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    try:
        words = server.stdout.readline().split()
        assert words[:2] == ["scoter", "ready"], (lake / "log.jsonl").read_text()
        yield words[2]
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=60)
        server.stdout.close()
    assert code == 0


def test_every_block_is_tested() -> None:
    # The plot is part of the table of results.
    assert {block.language for block in BLOCKS} - {"mermaid"} == {"sh", "sql", "python", "text"}


def test_sql_gives_what_is_shown(address: str) -> None:
    session = OverTheWire(address)
    wrong = []
    try:
        for block in (b for b in BLOCKS if b.language == "sql"):
            assert block.expected is not None, f"{block.where} shows no result"
            found: list[str] = []
            for sql in statements(block.text):
                found = shown(session.query(sql))
            if differs(found, block.expected):
                wrong.append("\n".join([f"{block.where}: found", *found]))
    finally:
        session.close()
    assert not wrong, "\n\n".join(wrong)


def test_python_gives_what_is_shown(address: str) -> None:
    (block,) = [b for b in BLOCKS if b.language == "python"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(block.text.replace(ADDRESS, address), block.where, "exec"), {})  # noqa: S102  # our own document
    assert not differs(said.getvalue().splitlines(), block.expected or "")


def test_the_command_line_connects(address: str) -> None:
    commands = [line for b in BLOCKS if b.language == "sh" for line in b.text.splitlines()]
    (command,) = [line for line in commands if line.startswith("scoter ")]
    target, sql = re.fullmatch(r'scoter sql (\S+) -c "(.+)"', command).groups()
    assert target == ADDRESS
    done = scoter("sql", address, "-c", sql, "--format", "csv")
    assert (done.returncode, done.stdout.split()[-1]) == (0, "336776"), done.stderr


@pytest.mark.java
def test_the_jdbc_address_connects(address: str) -> None:
    (shown_url,) = [b.text for b in BLOCKS if b.language == "text" and b.text.startswith("jdbc:")]
    place = address.removeprefix("grpc://")
    manager = java.jvm().JClass("java.sql.DriverManager")
    connection = manager.getConnection(shown_url.replace("127.0.0.1:31337", place))
    try:
        results = connection.createStatement().executeQuery("SELECT count(*) FROM flights")
        assert java.rows(results) == [(336776,)]
    finally:
        connection.close()


def test_make_has_every_target_that_is_named() -> None:
    text = README.read_text("utf-8") + (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    named = set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE))
    targets = set(re.findall(r"^(\w+)\s*:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "test", "serve", "check", "bench", "soak"} <= named
    assert named <= targets


def test_links_lead_to_files() -> None:
    for path in [README, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks/README.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            assert "://" in target or (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_results_are_those_of_the_benchmarks() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import table  # noqa: PLC0415  # a script of another directory  # benchmarks are no package
    finally:
        sys.path.pop(0)
    text = README.read_text("utf-8")
    assert table.written(text, table.table()) == text, "run benchmarks/table.py"


def test_a_table_of_results(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import table  # noqa: PLC0415  # a script of another directory
    finally:
        sys.path.pop(0)
    machine = {"cpu": "some CPU", "cores": 2, "memory_gib": 8.0, "duckdb": "2.0.0"}
    rows = [
        {
            "name": "rows",
            "value": 12.345,
            "unit": "M rows/s",
            "ratio": 0.9,
            "target": ">= 0.85",
            "against": "x",
        },
        {"name": "Q7", "value": 1.0, "unit": "ms", "ratio": 1.0, "target": "<= 1.5", "against": "x"},
        {"name": "no peer", "value": 1.0, "unit": "ms", "ratio": None, "target": None, "against": None},
    ]
    for name in ("tpch", "wire"):
        found = {"benchmark": name, "machine": machine, "date": "2026-01-31", "results": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    assert table.table(tmp_path).splitlines() == [
        "| Measured | Result | Ratio | Target | Against |",
        "|---|---:|---:|---:|---|",
        "| wire: rows | 12.3 M rows/s | 0.90 | ≥ 0.85 | x |",
        "| tpch: rows | 12.3 M rows/s | 0.90 | ≥ 0.85 | x |",
        "",
        "Machine: some CPU, 2 cores, 8.0 GiB (duckdb 2.0.0), 2026-01-31.",
    ]


def test_nothing_of_this_machine_is_written_down() -> None:
    for path in [README, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text("utf-8")
        assert str(ROOT) not in text, path.name
        assert os.environ.get("HOME", "/root") + "/" not in text, path.name
