"""S3Proxy in a JVM, fetched with Maven, started for tests and ended by them: it checks signatures of version 4.

This module must not know what is stored in it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from java import jars, missing
from pyarrow import fs

HERE = Path(__file__).resolve().parent / "s3_server"
KEY_ID = "scoter-of-the-tests"
SECRET = "a-secret-of-the-bucket"
BUCKET = "lake"
REGION = "eu-north-7"


@cache
def _jars() -> Path:
    return jars("the S3 server", HERE / "pom.xml", "s3-server", "-DincludeScope=runtime")


class S3Server:
    """A running server; its buckets are directories in ``data``."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("java") is None:
            missing("Java is not installed")
        self._directory = directory
        self.data = directory / "data"
        (self.data / BUCKET).mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        properties = {
            "s3proxy.endpoint": self.endpoint,
            "s3proxy.authorization": "aws-v4",
            "s3proxy.identity": KEY_ID,
            "s3proxy.credential": SECRET,
            "jclouds.provider": "filesystem-nio2",
            "jclouds.identity": "unused",
            "jclouds.credential": "unused",
            "jclouds.filesystem.basedir": str(self.data),
        }
        file = self._directory / "s3proxy.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        command = ["java", "-Xmx384m", f"-Dlogback.configurationFile={HERE / 'logback.xml'}"]
        command += ["-cp", f"{_jars()}/*", "org.gaul.s3proxy.Main", "--properties", str(file)]
        with (self._directory / "s3proxy.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, (self._directory / "s3proxy.log").read_text()[-2000:]
                assert time.monotonic() < deadline, "the S3 server does not start"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def settings(self, endpoint: str | None = None) -> dict[str, str]:
        """Return a catalog's settings ``s3`` for it."""
        return {
            "endpoint": endpoint or self.endpoint,
            "region": REGION,
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
        }

    def files(self) -> fs.S3FileSystem:
        """Return a client of its own."""
        return fs.S3FileSystem(
            access_key=KEY_ID,
            secret_key=SECRET,
            region=REGION,
            scheme="http",
            endpoint_override=f"127.0.0.1:{self.port}",
        )


@contextmanager
def serving(directory: Path) -> Iterator[S3Server]:
    """Start a server on files in a directory and end it."""
    server = S3Server(directory)
    try:
        yield server
    finally:
        server.stop()
