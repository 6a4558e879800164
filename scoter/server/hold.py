"""Bound values and results too large for a handle: files of the lake's directory, named by their hash.

This module must not know what the bytes mean or whose they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import time
from pathlib import Path

from scoter.errors import DiskFull, ValueTooLarge

_OFTEN = 30.0  # seconds between two looks for what has expired
_ABANDONED = 600  # seconds after which a file that is only half written belongs to no one


class Hold:
    """Bytes kept by their SHA-256 until they expire or newer ones need the room.

    They lie in a directory that all servers of a lake share, so that any of them can go on with a
    handle, also after a restart. A file's modification time is the moment at which it expires.
    """

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self._directory = directory
        self._most = most_bytes
        self._lock = threading.Lock()
        self._swept = -_OFTEN
        self._since = 0  # bytes written since then

    def put(self, data: bytes, expires: float) -> bytes:
        """Keep ``data`` until ``expires`` (seconds since 1970) and return its hash.

        Raises ValueTooLarge, DiskFull.
        """
        if len(data) > self._most:
            raise ValueTooLarge(
                f"{len(data)} bytes of values are more than the {self._most} that are held",
                hint="bind fewer rows at a time, or have server.held_bytes raised",
            )
        key = hashlib.sha256(data).digest()
        try:
            self._write(self._path(key), data, expires)
        except OSError as error:
            raise DiskFull("the values can not be kept: the lake's disk is full or read only") from error
        with self._lock:
            # To look at every file costs time by their number, so that not every write does it.
            self._since += len(data)
            due = time.monotonic() - self._swept >= _OFTEN or self._since > self._most // 64
            if due:
                self._swept, self._since = time.monotonic(), 0
        if due:
            self.sweep(keep=self._path(key))
        return key

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes of a hash, or None when they are gone or damaged."""
        path = self._path(key)
        try:
            if path.stat().st_mtime < time.time():
                return None
            data = path.read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).digest() == key else None

    def prolong(self, key: bytes, expires: float) -> bool:
        """Keep bytes until ``expires`` at least, and say whether they are there still."""
        if self.get(key) is None:
            return False
        path = self._path(key)
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < expires:
                os.utime(path, (expires, expires))
            return True
        return False

    def _path(self, key: bytes) -> Path:
        return self._directory / key.hex()

    def _write(self, path: Path, data: bytes, expires: float) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        # A reader on another server sees the whole file or none.
        handle, name = tempfile.mkstemp(dir=self._directory, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            with self._lock:
                with contextlib.suppress(OSError):
                    expires = max(expires, path.stat().st_mtime)
                os.utime(name, (expires, expires))
                Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def sweep(self, keep: Path | None = None) -> None:
        """Remove what has expired, and then what expires first, until the rest fits; ``keep`` stays.

        What can not be removed now is left for the next time.
        """
        found = []
        with contextlib.suppress(OSError):
            for path in self._directory.iterdir():
                with contextlib.suppress(OSError):
                    known = path.stat()
                    found.append((known.st_mtime, known.st_size, path))
        now, size = time.time(), sum(each for _, each, _ in found)
        for expires, each, path in sorted(found):
            if path.name.startswith("."):
                # Another server is writing it, or left it when it was killed.
                gone = expires < now - _ABANDONED
            else:
                gone = path != keep and (expires < now or size > self._most)
            if gone:
                with contextlib.suppress(OSError):
                    path.unlink()
                size -= each
