"""The `scoter` command: in the test's process where that is enough, else as a process of its own.

This module must not know what is tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scoter.cli import main

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


class Command:
    """Runs `scoter` in this process, with its streams caught."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, streams: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._streams = streams

    def __call__(self, *arguments: object) -> Ended:
        self._monkeypatch.setattr(sys, "argv", ["scoter", *map(str, arguments)])
        self._streams.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        caught = self._streams.readouterr()
        return Ended(int(ended.value.code or 0), caught.out, caught.err)

    def well(self, *arguments: object) -> str:
        """Run it, demand success, return its standard output."""
        ended = self(*arguments)
        assert ended.code == 0, ended.err
        return ended.out


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start `scoter` as a process of its own; its streams are pipes unless told otherwise."""
    environment = {**os.environ, **(options.pop("env", None) or {})}
    return subprocess.Popen(
        [sys.executable, "-m", "scoter.cli", *map(str, arguments)],
        cwd=options.pop("cwd", ROOT),
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


@contextmanager
def serving(*arguments: object, **options: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve as a process of its own; give the address and the process, and end it."""
    process = start("serve", *arguments, "--port", 0, **options)
    try:
        line = process.stdout.readline()
        if not line.startswith("scoter ready "):
            raise AssertionError(process.communicate(timeout=20))
        yield line.split()[2], process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)
