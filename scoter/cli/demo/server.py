"""A server process that can be killed: started on a free port, ended by its process id.

This module must not know SQL.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from scoter.errors import ConfigurationError, InternalError

_START = 60.0  # seconds until the ready line
_STOP = 20.0  # seconds until a stopping server is killed
_READY = "scoter ready "


class ServerProcess:
    """`scoter serve` on a lake; a context manager that leaves nothing running."""

    def __init__(self, lake: Path, root: Path) -> None:
        self._lake = lake
        self._root = root
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def __enter__(self) -> Self:
        """Promise that a server that is started will be stopped."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server, whatever happened."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    def start(self) -> float:
        """Start the server and return the seconds until it was ready.

        Raises ConfigurationError with the last line that the server wrote when it does not start.
        """
        started = time.monotonic()
        errors = self._lake / "server.err"
        with errors.open("a") as stream:
            # A session of its own: Ctrl-C at the terminal reaches us only, and we end the server.
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-m", "scoter.cli", "serve", str(self._lake), "--port", "0"],
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                start_new_session=True,
            )
        line = self._first_line()
        if not line.startswith(_READY):
            self.stop()
            said = errors.read_text().strip().splitlines()
            raise ConfigurationError(f"the server does not start: {said[-1] if said else 'it says nothing'}")
        self.address = line.removeprefix(_READY).strip()
        return time.monotonic() - started

    def kill(self) -> None:
        """End the server as kill -9 does."""
        process = self._running()
        process.kill()
        process.wait(_STOP)
        self._forget()

    def stop(self) -> None:
        """End the server in good order, or by force when that takes too long; idempotent."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP)
        self._forget()

    def _first_line(self) -> str:
        process = self._running()
        stream = process.stdout
        if stream is None:
            raise InternalError("the server's output is not connected")
        # Reading has no time limit of its own; the end of the process ends it.
        timer = threading.Timer(_START, process.kill)
        timer.start()
        try:
            return stream.readline()
        finally:
            timer.cancel()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise InternalError("the server is not running")
        return self._process

    def _forget(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
