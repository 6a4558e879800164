"""The guide, executed from its first line to its last: commands, SQL, Python and JDBC addresses."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import java
import pytest
from documents import ROOT, Block, blocks, differs, shown, statements
from sessions import OverTheWire

GUIDE = ROOT / "docs" / "guide.md"
PORT = "31337"


class Reader:
    """Someone who does what the guide says, in a directory, with one server at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = str(_free_port())
        self.server: subprocess.Popen[str] | None = None
        self.names: dict[str, object] = {}
        shim = directory / "bin" / "scoter"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m scoter.cli "$@"\n')
        shim.chmod(0o755)
        self.environment = {
            **os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"
        }  # fmt: skip

    def do(self, block: Block) -> list[str] | None:
        """Do what a block says and return what it prints; None for a block that is not done."""
        text = block.text.replace(PORT, self.port)
        match block.language:
            case "sh" if text.startswith("scoter serve"):
                return self._serve(text)
            case "sh":
                return self._shell(text, fails="fails" in block.options)
            case "toml":
                (self.directory / "lake" / "scoter.toml").write_text(text)
                return []
            case "sql":
                return self._sql(text)
            case "python":
                return self._python(text)
            case "jdbc":
                return _jdbc(text.replace("cert.pem", str(self.directory / "cert.pem")))
        return None

    def stop(self) -> None:
        """Stop the server as Ctrl-C would."""
        if self.server is None:
            return
        server, self.server = self.server, None
        server.send_signal(signal.SIGINT)
        code = server.wait(timeout=60)
        if server.stdout is not None:
            server.stdout.close()
        assert code == 0, "the server did not end well"

    def _serve(self, command: str) -> list[str]:
        self.stop()
        with (self.directory / "server.log").open("a") as log:
            self.server = subprocess.Popen(
                command.split(), cwd=self.directory, env=self.environment,
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.server.stdout is not None
        return [self.server.stdout.readline()]

    def _shell(self, commands: str, *, fails: bool) -> list[str]:
        done = subprocess.run(
            ["bash", "-e", "-c", commands], cwd=self.directory, env=self.environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) is fails, f"{commands}\n{done.stderr}"
        return (done.stderr if fails else done.stdout).splitlines()

    def _sql(self, text: str) -> list[str]:
        session = OverTheWire(f"grpc://127.0.0.1:{self.port}")
        found: list[str] = []
        try:
            for sql in statements(text):
                found = shown(session.query(sql))
        finally:
            session.close()
        return found

    def _python(self, text: str) -> list[str]:
        said = io.StringIO()
        # A lake's address is absolute; the guide's reader has it in the root.
        text = text.replace(":///lake/", f":///{self.directory}/lake/")
        with contextlib.redirect_stdout(said), contextlib.chdir(self.directory):
            exec(compile(text, "guide.md", "exec"), self.names)  # noqa: S102  # our own document
            if "catalog" in self.names:
                self.names.pop("catalog").close()  # type: ignore[attr-defined]  # a variable of the guide
        return said.getvalue().splitlines()


def _jdbc(address: str) -> list[str]:
    manager = java.jvm().JClass("java.sql.DriverManager")
    connection = manager.getConnection(address)
    try:
        assert java.rows(connection.createStatement().executeQuery("SELECT 41 + 1")) == [(42,)]
    finally:
        connection.close()
    return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    found = Reader(tmp_path)
    try:
        yield found
    finally:
        found.stop()


def test_the_guide(reader: Reader) -> None:
    wrong = []
    for block in blocks(GUIDE):
        try:
            found = reader.do(block)
        except pytest.skip.Exception:
            continue  # a machine without Java does all the rest
        except (AssertionError, RuntimeError, flight_sql.Error) as error:
            wrong.append(f"{block.where}: {error}")
            continue
        assert found is not None, f"{block.where}: a block that is not tested"
        lines = [line.replace(reader.port, PORT) for line in found]
        if block.expected is not None and differs(lines, block.expected):
            wrong.append("\n".join([f"{block.where}: found", *lines]))
    assert not wrong, "\n\n".join(wrong)
