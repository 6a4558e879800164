"""The other commands: help, `serve`, `user`, `model`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import flight_sql
import pytest
from command import Command, serving, start

from scoter.cli.sessions import connect

EVERYWHERE = "0.0.0.0"  # noqa: S104  # what is tested is that it is refused, or needs a login
COMMANDS = [
    ["serve"],
    ["sql"],
    ["demo"],
    ["import"],
    ["user", "add"],
    ["user", "password"],
    ["user", "list"],
    ["model", "add"],
]


@pytest.fixture
def scoter(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def rows(address: str, sql: str) -> list[dict]:
    session = connect(address)
    try:
        return [row for batch in session.run(sql).batches for row in batch.to_pylist()]
    finally:
        session.close()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_examples(scoter: Command, command: list[str]) -> None:
    shown = scoter.well(*command, "--help")
    examples = shown[shown.index("Examples") :]
    assert f"scoter {' '.join(command)}" in examples


def test_the_list_of_commands_is_complete(scoter: Command) -> None:
    shown = scoter.well("--help") + scoter.well("user", "--help") + scoter.well("model", "--help")
    # A command's line begins with its name inside the frame.
    listed = set(re.findall(r"^│ ([a-z]+) ", shown, re.MULTILINE))
    assert listed == {part for command in COMMANDS for part in command}


@pytest.mark.parametrize(
    "arguments", [["nope"], ["sql", "--nope"], ["user", "add", "anna", "--role", "king"]]
)
def test_a_wrong_call_exits_with_2(scoter: Command, arguments: list[str]) -> None:
    ended = scoter(*arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_the_version_is_the_packages(scoter: Command) -> None:
    assert re.fullmatch(r"scoter \d+\.\d+\.\d+\n", scoter.well("--version"))


def test_serve_says_one_line_and_stops_on_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path / "lake") as (address, process):
        assert rows(address, "SELECT 1 AS one") == [{"one": 1}]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert out == "", "the ready line is the only one"
    assert "no users: any login is user local with role admin" in err
    assert process.returncode == 0


def test_serve_refuses_what_is_unsafe_or_taken(tmp_path: Path) -> None:
    cert, key = flight_sql.certificate(tmp_path)
    with serving(tmp_path / "one") as (address, _):
        taken = address.rsplit(":", 1)[1]
        for arguments, said in (
            (["--host", EVERYWHERE], "there is no TLS"),
            (["--host", EVERYWHERE, "--tls-cert", cert, "--tls-key", key], "the lake has no user"),
            (["--tls-cert", cert], "needed together"),
            (["--port", taken], "can not listen"),
            (["--port", "x"], "--port"),
        ):
            process = start("serve", tmp_path / "two", *arguments)
            out, err = process.communicate(timeout=30)
            assert (process.returncode, out) == (2, ""), err
            assert said in err
            assert "Traceback" not in err


def test_settings_come_from_the_file_the_environment_and_flags(tmp_path: Path) -> None:
    (tmp_path / "scoter.toml").write_text('schema = "shop"\n[server]\nport = 1\nhost = "127.0.0.2"\n')
    env = {"SCOTER_SERVER__HOST": "127.0.0.1", "SCOTER_PASSWORD": "for clients"}
    with serving(tmp_path, env=env) as (address, _):
        assert address.startswith("grpc://127.0.0.1:")
        assert rows(address, "SHOW SCHEMAS")[0]["schema_name"] == "shop"
    (tmp_path / "scoter.toml").write_text("[server]\nprot = 1\n")
    process = start("serve", tmp_path)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert 'did you mean "port"?' in err


def test_tls_and_a_login(tmp_path: Path, scoter: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOTER_PASSWORD", "secret")
    cert, key = flight_sql.certificate(tmp_path)
    scoter.well("user", "add", "anna", "--role", "admin", "--lake", tmp_path / "lake")
    arguments = [tmp_path / "lake", "--host", EVERYWHERE, "--tls-cert", cert, "--tls-key", key]
    with serving(*arguments) as (address, _):
        local = address.replace(EVERYWHERE, "localhost")
        assert local.startswith("grpc+tls://")
        out = scoter.well("sql", local, "--user", "anna", "--tls-ca", cert, "-c", "SELECT 1 AS one")
        assert "one" in out
        ended = scoter("sql", local, "--user", "anna", "-c", "SELECT 1")
        assert ended.code == 2, "the certificate is nobody's that this machine trusts"


def test_users_are_added_listed_and_changed(
    tmp_path: Path, scoter: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    assert scoter("user", "add", "anna", "--role", "admin", "--lake", lake).code == 2, "no password"
    monkeypatch.setenv("SCOTER_PASSWORD", "one")
    first = scoter("user", "add", "anna", "--role", "admin", "--lake", lake)
    assert "added user anna with role admin" in first.err
    assert "demands a login" in first.err
    scoter.well("user", "add", "bi@example.org", "--role", "reader", "--lake", lake)
    again = scoter("user", "add", "anna", "--role", "admin", "--lake", lake)
    assert (again.code, 'user "anna" exists' in again.err) == (1, True)
    listed = scoter.well("user", "list", "--lake", lake)
    assert [line.split()[1::2] for line in listed.splitlines()[3:-1]] == [
        ["anna", "admin"],
        ["bi@example.org", "reader"],
    ]
    unknown = scoter("user", "password", "ana", "--lake", lake)
    assert 'did you mean "anna"?' in unknown.err


def test_a_password_comes_from_standard_input(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    process = start("user", "add", "anna", "--role", "reader", "--lake", lake, "--password-stdin")
    process.communicate("from stdin\n", timeout=30)
    assert process.returncode == 0
    process = start("user", "password", "anna", "--lake", lake, "--password-stdin")
    process.communicate("another\n", timeout=30)
    with serving(lake) as (address, _):
        session = connect(address, "anna", "another")
        session.close()


def test_a_server_and_the_command_line_share_a_lake(tmp_path: Path, scoter: Command) -> None:
    """Two processes: what one has committed the other sees, and a killed server loses none of it."""
    lake = tmp_path / "lake"
    with serving(lake) as (address, process):
        scoter.well("sql", lake, "-c", "CREATE TABLE t AS SELECT 1 AS n")
        assert rows(address, "SELECT * FROM t") == [{"n": 1}]
        assert rows(address, "INSERT INTO t VALUES (2)") == []
        assert rows(address, "CREATE TABLE u AS SELECT 3 AS n") == []
        assert "3 rows" not in scoter.well("sql", lake, "-c", "SELECT * FROM t")
        process.kill()
        process.wait(30)
    out = scoter.well("sql", lake, "--format", "csv", "-c", "SELECT sum(n) FROM t; SELECT n FROM u")
    assert [line for line in out.splitlines() if line.isdigit()] == ["3", "3"]


def test_a_defect_shows_a_message_and_keeps_the_traceback(
    tmp_path: Path, scoter: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    # An open file in the lake's place that the system refuses in a way nobody foresaw.
    monkeypatch.setattr(os, "getcwd", lambda: 1 / 0)
    monkeypatch.setattr(Path, "absolute", lambda _: 1 / 0)
    ended = scoter("user", "list", "--lake", tmp_path / "lake")
    assert ended.code == 1
    assert "ZeroDivisionError" in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in (tmp_path / "scoter" / "crash.txt").read_text()


def test_python_m_is_the_command(tmp_path: Path) -> None:
    process = start("--version", cwd=Path(__file__).parent.parent)
    out, _ = process.communicate(timeout=30)
    assert out.startswith("scoter ")
    assert isinstance(process, subprocess.Popen)
