"""Apache Spark in a JVM with Iceberg's runtime, fetched with Maven, started for tests and ended by them.

This module must not know what is stored in its catalog.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from java import jars, missing

HERE = Path(__file__).resolve().parent / "spark"
# Spark and its Arrow reach into these parts of Java 17.
OPENED = [
    "java.lang",
    "java.lang.invoke",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
]
OPENED += ["sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar"]


@cache
def _jars() -> Path:
    return jars("Apache Spark", HERE / "pom.xml", "spark", "-DincludeScope=runtime")


class Refused(Exception):
    """A statement that Spark did not run."""


class Spark:
    """A running Spark."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        if shutil.which("java") is None:
            missing("Java is not installed")
        settings = {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.local.dir": str(directory),
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.datetime.java8API.enabled": "true",
            "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.warehouse.dir": str(directory / "warehouse"),
            "spark.ui.enabled": "false",
        } | settings
        command = [
            "java",
            "-Xmx768m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dlog4j2.level=off",
            f"-Djava.io.tmpdir={directory}",
        ]
        command += [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
        command += ["-cp", f"{_jars()}/*", str(HERE / "SparkStatements.java")]
        command += [f"{name}={value}" for name, value in settings.items()]
        self._log = (directory / "spark.log").open("w")
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
        )
        self._read("ready")

    def query(self, sql: str) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
        """Return the columns, each with Spark's name of its type, and the rows of a statement; raises Refused."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"sql": sql}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._read(), object_hook=_value)
        if "error" in answer:
            raise Refused(f"{answer['error']}\n{sql}")
        return [(name, kind) for name, kind in answer["columns"]], [tuple(row) for row in answer["rows"]]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; raises Refused."""
        return self.query(sql)[1]

    def run(self, *statements: str) -> None:
        """Run statements whose rows are of no interest; raises Refused."""
        for sql in statements:
            self.query(sql)

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate(timeout=10)
        self._log.close()

    def _read(self, expected: str | None = None) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().rstrip("\n")
        assert line, f"Spark has ended: {Path(self._log.name).read_text()[-2000:]}"
        assert expected is None or line == expected, line
        return line


@contextmanager
def running(directory: Path, settings: dict[str, str]) -> Iterator[Spark]:
    """Start Spark with its files in a directory, and end it."""
    spark = Spark(directory, settings)
    try:
        yield spark
    finally:
        spark.stop()


_KINDS = {
    "double": float,
    "decimal": Decimal,
    "binary": bytes.fromhex,
    "struct": dict,
    "map": lambda entries: [(key, value) for key, value in entries],
    "LocalDate": date.fromisoformat,
    "LocalDateTime": datetime.fromisoformat,
    "Instant": datetime.fromisoformat,
}


def _value(found: dict[str, Any]) -> Any:
    """Return the Python value, as pyarrow gives it, of what the program wrote as {kind: value}."""
    if len(found) == 1:
        ((kind, value),) = found.items()
        if kind in _KINDS:
            return _KINDS[kind](value)
    return found


def rest_catalog(name: str, properties: dict[str, str]) -> dict[str, str]:
    """Return Spark's settings for a REST catalog of pyiceberg's properties."""
    prefix = f"spark.sql.catalog.{name}"
    settings = {prefix: "org.apache.iceberg.spark.SparkCatalog", f"{prefix}.type": "rest"}
    # Without its cache Spark sees at once what others commit.
    settings[f"{prefix}.cache-enabled"] = "false"
    return settings | {f"{prefix}.{key}": value for key, value in properties.items()}
