"""A PostgreSQL server of Debian's package in a directory of its own, started for tests and ended by them.

This module must not know what is stored in it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

PASSWORD = "s3cret-of-the-database"  # of a server that lives as long as a test
_NUMBERS = count()


def _binaries() -> Path:
    """Return the directory of PostgreSQL's programs; skip without it, or fail where CI=true."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is not installed, and CI must run its tests")
        pytest.skip("PostgreSQL is not installed")
    return found[-1].parent


class Postgres:
    """A running server on loopback."""

    def __init__(self, directory: Path) -> None:
        self._binaries = _binaries()
        self._directory = directory
        # PostgreSQL refuses to run as root.
        self._user = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(directory, "nobody")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        password = directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-U", "scoter", f"--pwfile={password}", "--auth=scram-sha-256", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._directory}"
        self._run("pg_ctl", "-w", "-o", options, "-l", f"{self._directory}/log", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` as a crash does."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"lake{next(_NUMBERS)}"
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql://scoter:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def conninfo(self, database: str) -> str:
        """Return libpq's words for a connection to a database."""
        return f"host=127.0.0.1 port={self.port} user=scoter password={PASSWORD} dbname={database}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._binaries / program), "-D", f"{self._directory}/data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60, cwd="/")


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server and end it."""
    # Not below pytest's directory, into which another user cannot look.
    directory = Path(tempfile.mkdtemp(prefix="scoter-postgres-"))
    try:
        server = Postgres(directory)
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(directory)
