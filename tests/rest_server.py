"""Apache Iceberg's own REST catalog in a JVM, fetched with Maven, started for tests and ended by them.

This module must not know what is stored in it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from java import jars, missing

HERE = Path(__file__).resolve().parent / "rest_catalog"
CREDENTIAL = "scoter:a-secret-of-the-client"


@cache
def _jars() -> Path:
    return jars("Iceberg's REST catalog", HERE / "pom.xml", "rest-catalog")


class RestServer:
    """A running catalog."""

    def __init__(self, directory: Path, storage: dict[str, str]) -> None:
        java = shutil.which("java")
        if java is None:
            missing("Java is not installed")
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        on_disk = {
            "warehouse": f"file://{directory}/warehouse",
            "io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
        }
        self._storage = storage or on_disk
        self.warehouse = self._storage["warehouse"]
        self.lent = directory / "lent.properties"
        self.start()

    def start(self) -> None:
        """Start it on a port of its own and wait until it answers."""
        properties = {
            "uri": f"jdbc:sqlite:{self._directory}/catalog.db",
            "jdbc.schema-version": "V1",
            "lent": str(self.lent),
            **self._storage,
        }
        command = ["java", "-Xmx256m", "-cp", f"{_jars()}/*", str(HERE / "RestCatalog.java")]
        command += [f"{name}={value}" for name, value in properties.items()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        word, port = self._process.stdout.readline().split()
        assert word == "ready"
        self.uri = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=10)
            self._process = None

    def lend(self, settings: dict[str, str]) -> None:
        """Send settings for storage with every table from now on."""
        self.lent.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def properties(self) -> dict[str, str]:
        """Return pyiceberg's properties for it."""
        return {
            "uri": self.uri,
            "credential": CREDENTIAL,
            "oauth2-server-uri": f"{self.uri}/v1/oauth/tokens",
            "warehouse": self.warehouse,
        }


@contextmanager
def serving(directory: Path, storage: dict[str, str] | None = None) -> Iterator[RestServer]:
    """Start a catalog in a directory and end it; its tables' files are there too, or in ``storage``."""
    server = RestServer(directory, storage or {})
    try:
        yield server
    finally:
        server.stop()
