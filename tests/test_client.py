"""The client's own tests, with the newest libraries and with the versions that Apache Superset pins."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import scoter_client
import sqlalchemy
from documents import blocks
from flight_sql import certificate, served
from java import one_process
from scoter_client import address
from scoter_client.dialect import types

from scoter.catalog.principals import Role

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "client"
OLD_PYTHONS = ("python3.11", "python3.12")  # those that the pinned numpy has wheels for
SECONDS = 900
# A quarter of SQLAlchemy's suite is about JSON; it runs beside the rest.
SUITE = {"suite": "not JSONTest", "suite of JSON": "JSONTest"}
LEAST = {"own": 90, "suite": 280, "suite of JSON": 80}  # the tests that must have passed


def interpreter() -> str:
    """Return a Python that the pinned libraries run on."""
    if sys.version_info < (3, 13):
        return sys.executable
    for found in map(shutil.which, OLD_PYTHONS):
        if found:
            return found
    message = f"none of {', '.join(OLD_PYTHONS)} is there"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def environment() -> Path:
    """Make the virtual environment with the pinned libraries, once for each state of the files that describe it."""
    constraints = CLIENT / "constraints-superset.txt"
    described = constraints.read_bytes() + (CLIENT / "pyproject.toml").read_bytes() + interpreter().encode()
    directory = ROOT / ".venv-client" / sha256(described).hexdigest()[:12]
    python = directory / "bin" / "python"
    done = directory / ".installed"
    with one_process(ROOT / ".venv-client"):
        if not done.exists():
            _install(directory, python, constraints)
            done.touch()
    return python


def _install(directory: Path, python: Path, constraints: Path) -> None:
    subprocess.run([interpreter(), "-m", "venv", "--clear", directory], check=True, timeout=SECONDS)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints]
    subprocess.run([*install, "-e", CLIENT, "pandas", "pytest"], check=True, timeout=SECONDS)


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve a new lake as a process of its own, give host and port, and end it."""
    directory.mkdir()
    command = [sys.executable, "-m", "scoter.cli", "serve", directory / "lake", "--port", "0"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("scoter ready "), (directory / "log").read_text()
        yield urlsplit(line.split()[2]).netloc
    finally:
        process.terminate()
        process.communicate(timeout=60)


def run(python: Path, parts: Sequence[str], lake: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run parts of the client's tests, one behind the other, against a server of their own."""
    with serving(lake) as place:
        return {part: pytest_in(python, part, f"scoter://{place}") for part in parts}


def pytest_in(python: Path, part: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run a part of the client's tests with a Python of another environment."""
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", "--tb=short"]
    directory = CLIENT / "tests"
    if part == "own":
        command += ["-c", "pytest.ini", "--rootdir", ".", "."]
    else:
        directory /= "suite"
        command += ["--rootdir", ".", "--dburi", f"{url}/lake/main", "-k", SUITE[part], "test_suite.py"]
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "SCOTER_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All runs, begun at once, as each waits for its server more than it works."""
    with ThreadPoolExecutor() as pool:
        begun: dict[tuple[str, str], Future] = {}
        for versions, python in (("newest", lambda: Path(sys.executable)), ("superset", environment)):
            found = python()
            for parts in (("suite",), ("suite of JSON", "own")):
                future = pool.submit(run, found, parts, tmp_path_factory.mktemp("lake") / "served")
                begun |= {(versions, part): future for part in parts}
        yield begun


@pytest.mark.parametrize("part", LEAST)
@pytest.mark.parametrize("versions", ["newest", "superset"])
def test_the_client_works(runs, versions, part):
    ended = runs[versions, part].result()[part]
    last = ended.stdout.splitlines()[-1]
    assert ended.returncode == 0, ended.stdout[-20000:]
    assert int(last.split(" passed")[0].split()[-1]) >= LEAST[part], last


@pytest.fixture
def place(tmp_path):
    with serving(tmp_path / "served") as found:
        yield found


def test_the_readme_tells_what_is(place, capsys):
    for block in blocks(CLIENT / "README.md"):
        if block.language == "python":
            exec(compile(block.text.replace("127.0.0.1:31337", place), block.where, "exec"), {})  # noqa: S102  # our own document
            assert capsys.readouterr().out.strip() == block.expected.strip(), block.where
    text = (CLIENT / "README.md").read_text()
    for name in inspect.signature(scoter_client.connect).parameters:
        assert f"`{name}`" in text, name


def test_tls_and_logins(tmp_path):
    cert, key = certificate(tmp_path)
    with served(tmp_path, server={"tls_cert": cert, "tls_key": key}) as running:
        running.engine.principals.add("ann", Role.READER, "p@ss/word")
        place = urlsplit(running.address).netloc
        secret = quote("p@ss/word", safe="")
        with scoter_client.connect(f"grpc+tls://{place}", tls_verify=False, user="ann", password="p@ss/word"):
            pass
        url = f"scoter://ann:{secret}@{place}/lake/main?tls=true&tls_root_certs={quote(str(cert))}"
        with scoter_client.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchall() == [("ann",)]
            with pytest.raises(scoter_client.ProgrammingError) as refused:
                cursor.execute("CREATE TABLE t (n BIGINT)")
            assert refused.value.sqlstate == "42501"
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
        engine.dispose()
        # Neither a certificate that is not trusted nor a connection without TLS gets through.
        for tail in ("?tls=true", "?tls=false", ""):
            with pytest.raises(scoter_client.Error):
                scoter_client.connect(f"scoter://ann:{secret}@{place}{tail}")


def test_the_dialects_options_are_documented():
    text = (ROOT / "docs" / "sqlalchemy.md").read_text()
    for name in address.OPTIONS:
        assert f"| `{name}` |" in text, name
    for name in types.__all__:
        assert f"`{name}`" in text, name


def test_the_newest_pins_are_those_that_are_tested():
    pins = {line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    newest = {line for line in (CLIENT / "constraints-newest.txt").read_text().splitlines() if "==" in line}
    assert newest
    assert newest <= pins


def test_the_client_imports_nothing_of_the_server():
    imported = set()
    for path in (CLIENT / "scoter_client").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    assert "scoter_client" in imported
    assert "scoter" not in imported
