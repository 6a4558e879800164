"""The Arrow Flight SQL JDBC driver, fetched once with Maven, in a JVM of the test process.

This module must not know any server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ARTIFACT = "org.apache.arrow:flight-sql-jdbc-driver"
VERSION = "18.3.0"  # docs/connections.md says what this one can do
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "jdbc"


def missing(reason: str) -> None:
    """Skip the test because this machine lacks something; where CI=true that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI must run the tests with Java")
    pytest.skip(reason)


@contextmanager
def one_process(directory: Path) -> Iterator[None]:
    """Wait until no other process of the tests fills this directory; it is made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def maven(what: str, *arguments: str) -> None:
    """Run Maven's plugin for dependencies to fetch something; a machine without it skips the test."""
    found = shutil.which("mvn")
    if found is None:
        missing(f"Maven is not installed, which fetches {what}")
    command = [str(found), "--batch-mode", "--quiet", *arguments]
    done = subprocess.run(command, cwd=CACHE.parent, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        missing(f"Maven could not fetch {what}: {done.stdout[:500]}")


def jars(what: str, pom: Path, name: str, *arguments: str) -> Path:
    """Return the directory of all jars that a pom asks for; the first call on a machine fetches them."""
    # Named by the list of what is in it: another list is another directory.
    place = CACHE.parent / name
    wanted = place / hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    with one_process(place):
        if not wanted.is_dir():
            fresh = place / "new"
            shutil.rmtree(fresh, ignore_errors=True)
            maven(
                what, "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}", *arguments
            )
            fresh.rename(wanted)
    return wanted


@cache
def driver() -> Path:
    """Return the driver's jar; the first call on a machine fetches it."""
    found = CACHE / f"flight-sql-jdbc-driver-{VERSION}.jar"
    with one_process(CACHE):
        if not found.is_file():
            artifact = f"-Dartifact={ARTIFACT}:{VERSION}"
            maven("the JDBC driver", "dependency:copy", artifact, f"-DoutputDirectory={CACHE}")
    return found


@cache
def jvm() -> Any:
    """Return JPype with a JVM that has the driver on its class path."""
    if shutil.which("java") is None:
        missing("Java is not installed")
    import jpype  # noqa: PLC0415  # a machine without Java needs no JPype

    if not jpype.isJVMStarted():
        # Arrow's memory layer reaches into java.nio; the driver's log would drown the tests' output.
        jpype.startJVM(
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "-Djava.util.logging.config.file=/dev/null",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
            "-Duser.timezone=UTC",
            # A JVM that is started here leaves this thread no more stack than a thread of its own has: 1 MiB, and
            # types 60 deep, which have nothing to do with Java, then end the process without a word.
            "-Xss8m",
            classpath=[str(driver())],
        )
    return jpype


@contextmanager
def connection(address: str, **properties: str) -> Iterator[Any]:
    """Give a java.sql.Connection to ``grpc://host:port`` or ``grpc+tls://host:port``."""
    manager = jvm().JClass("java.sql.DriverManager")
    scheme, _, place = address.partition("://")
    options = jvm().JClass("java.util.Properties")()
    options.setProperty("useEncryption", "true" if scheme == "grpc+tls" else "false")
    for name, value in properties.items():
        options.setProperty(name, value)
    opened = manager.getConnection(f"jdbc:arrow-flight-sql://{place}/", options)
    try:
        yield opened
    finally:
        opened.close()


def rows(results: Any) -> list[tuple[Any, ...]]:
    """Return all rows of a java.sql.ResultSet as Python values, and close it."""
    kinds = [int(results.getMetaData().getColumnType(i + 1)) for i in range(_columns(results))]
    found = []
    while results.next():
        found.append(tuple(_python(_value(results, i + 1, kind)) for i, kind in enumerate(kinds)))
    results.close()
    return found


def _columns(results: Any) -> int:
    return int(results.getMetaData().getColumnCount())


def _value(results: Any, column: int, kind: int) -> Any:
    # The driver has not implemented getObject for a time stamp with a zone (java.sql.Types 2014).
    return results.getTimestamp(column) if kind == 2014 else results.getObject(column)


def _python(value: Any) -> Any:
    if value is None:
        return None
    name = type(value).__name__
    if name == "java.lang.String":
        return str(value)
    if name in {"java.lang.Integer", "java.lang.Long", "java.lang.Short", "java.lang.Byte"}:
        return int(value)
    if name in {"java.lang.Double", "java.lang.Float"}:
        return float(value)
    if name == "java.lang.Boolean":
        return bool(value)
    return str(value)
