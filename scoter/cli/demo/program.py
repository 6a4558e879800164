"""A Python program of the story: whether its packages are here, and its run, which leaves no process behind.

This module must not know what the program does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from scoter.cli.waiting import Meter, wait_for
from scoter.errors import ConfigurationError

_LONGEST = 300.0  # seconds until a program that does not end is ended


def missing(modules: Iterable[str]) -> list[str]:
    """Return the modules that this Python does not have."""
    return [name for name in modules if find_spec(name) is None]


def run(program: Path, argument: str, root: Path) -> list[str]:
    """Run a program with one argument and return the lines that it wrote.

    Raises ConfigurationError with the last line of what it said when it fails, Cancelled after Ctrl-C.
    """
    # A session of its own: Ctrl-C at the terminal reaches us only, and we end the program. One thread of its own:
    # the server has the other cores.
    process = subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, str(program), argument],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        return wait_for(lambda: _lines(process, program), process.kill, Meter("running"))
    finally:
        with process:
            process.kill()


def _lines(process: subprocess.Popen[str], program: Path) -> list[str]:
    try:
        written, said = process.communicate(timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{program} does not end") from None
    if process.returncode != 0:
        lines = said.strip().splitlines()
        raise ConfigurationError(f"{program} has failed: {lines[-1] if lines else 'it says nothing'}")
    return written.splitlines()
