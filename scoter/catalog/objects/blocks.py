"""Blocks of objects on local disk: a bounded cache that several threads and processes share.

This module must not know where blocks come from.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import zlib
from collections import OrderedDict
from pathlib import Path

BLOCK = 1024 * 1024
"""Bytes of a block; an object's last one is shorter."""

_SUM = 4  # bytes of the checksum behind a block
_KNOWN = 200_000  # blocks of which this process knows that they are whole
_FRESH = 60.0  # seconds in which a block's use is not noted again
_ABANDONED = 600.0  # seconds after which an unfinished file belongs to a process that is gone
_SHARE = 16  # a process looks what others have added after each such part of the bound


class Blocks:
    """Blocks by their object's name and their number, the most recently used ones, up to so many bytes.

    A block is written under a name of its own and renamed, and carries a checksum, so that whatever ends
    a process or the machine, a block is right or is not there. Each further process at the same
    directory may exceed the bound by a sixteenth.
    """

    def __init__(self, directory: Path, most_bytes: int) -> None:
        """Keep up to ``most_bytes`` in ``directory``; with 0, or where it can not be written, nothing."""
        self._directory = directory
        self._most = most_bytes
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._known: OrderedDict[str, float] = OrderedDict()
        self._held = 0
        self._writing = 0  # of blocks that are not there yet, and would not be counted
        self._added = most_bytes  # so that the first block looks at what is there
        if most_bytes:
            with contextlib.suppress(OSError):
                directory.mkdir(parents=True, exist_ok=True)

    def has(self, name: str, number: int, length: int) -> bool:
        """Say whether a block of so many bytes is there; it may be gone when it is read."""
        try:
            return self._path(name, number).stat().st_size == length + _SUM
        except OSError:
            return False

    def get(self, name: str, number: int, length: int, start: int, stop: int) -> bytes | None:
        """Return bytes ``start`` to ``stop`` of a block of ``length`` bytes, None where it is not there whole."""
        path = self._path(name, number)
        noted = self._known.get(path.name)
        try:
            with path.open("rb", buffering=0) as file:
                if noted is None:
                    held = file.readall()
                    if len(held) != length + _SUM or _sum(held[:length]) != held[length:]:
                        path.unlink()
                        return None
                    found = held[start:stop]
                else:
                    found = os.pread(file.fileno(), stop - start, start)
                    if len(found) != stop - start or os.fstat(file.fileno()).st_size != length + _SUM:
                        self._known.pop(path.name, None)
                        return None
            now = time.monotonic()
            if noted is None or now - noted > _FRESH:
                os.utime(path)
                self._note(path.name, now)
        except OSError:
            return None
        return found

    def put(self, name: str, number: int, data: bytes) -> None:
        """Keep a block; what was used longest ago makes room. A full disk or a lost directory is no error."""
        length = len(data) + _SUM
        with self._lock:
            if length > self._most:
                return
            if self._held + length > self._most or self._added >= self._most // _SHARE:
                self._sweep(self._most - length)
            self._held += length
            self._added += length
            self._writing += length
        try:
            self._write(self._path(name, number), data)
        finally:
            with self._lock:
                self._writing -= length

    def _write(self, path: Path, data: bytes) -> None:
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.{next(self._numbers)}.new")
        try:
            with unfinished.open("wb", buffering=0) as file:
                file.write(data + _sum(data))
            unfinished.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            return
        self._note(path.name, time.monotonic())

    def _path(self, name: str, number: int) -> Path:
        return self._directory / f"{name}-{number}"

    def _note(self, file: str, now: float) -> None:
        with self._lock:
            self._known[file] = now
            self._known.move_to_end(file)
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)

    def _sweep(self, room: int) -> None:
        """Count what is there; if it is more than ``room``, remove the oldest blocks to four fifths of it."""
        found = []
        total = self._writing
        gone_before = time.time() - _ABANDONED
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        status = entry.stat()
                        if entry.name.endswith(".new") and status.st_mtime < gone_before:
                            Path(entry.path).unlink()
                            continue
                        total += status.st_size
                        found.append((status.st_mtime_ns, status.st_size, entry.name))
        except OSError:
            return
        if total > room:
            for _, size, file in sorted(found):
                if total <= room * 4 // 5:
                    break
                with contextlib.suppress(OSError):
                    (self._directory / file).unlink()
                self._known.pop(file, None)
                total -= size
        self._held = total
        self._added = 0


def _sum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_SUM, "big")
