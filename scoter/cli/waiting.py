"""Waiting for work: Ctrl-C ends it, and after two seconds the terminal shows that it goes on.

This module must not know what the work is.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from scoter.cli.console import errors
from scoter.errors import Cancelled

QUIET = 2.0  # seconds before anything is shown
_TICK = 0.1

T = TypeVar("T")


class Meter:
    """How far the work has come; set by the work, read by the display. ``total`` 0 means unknown."""

    def __init__(self, label: str, total: int = 0) -> None:
        self.label = label
        self.total = total
        self.rows = 0


def wait_for(work: Callable[[], T], cancel: Callable[[], None], meter: Meter, *, show: bool = True) -> T:
    """Run ``work`` in a thread and return what it returns, or raise what it raises.

    Ctrl-C calls ``cancel`` and waits for the work to end; a second one leaves it behind. Raises
    Cancelled after Ctrl-C unless the work had ended well before.
    """
    done = threading.Event()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
            failure.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="scoter-statement", daemon=True)
    thread.start()
    try:
        _watch(done, meter, show=show and sys.stderr.isatty())
    except KeyboardInterrupt:
        cancel()
        try:
            done.wait()
        except KeyboardInterrupt:
            raise Cancelled("the statement was left behind") from None
        if not outcome:
            raise Cancelled("the statement was cancelled") from None
    if failure:
        raise failure[0]
    return outcome[0]


def _watch(done: threading.Event, meter: Meter, *, show: bool) -> None:
    if not show:
        while not done.wait(_TICK * 5):
            pass
        return
    if done.wait(QUIET):
        return
    with progress() as bar:
        task = bar.add_task(meter.label, total=meter.total or None, rows="")
        started = time.monotonic() - QUIET
        bar.tasks[0].start_time = bar.get_time() - (time.monotonic() - started)
        while not done.wait(_TICK):
            rows = f"{meter.rows:,} rows" if meter.rows else ""
            bar.update(task, completed=meter.rows, total=meter.total or None, rows=rows)


def progress() -> Progress:
    """Return a progress display on standard error that vanishes at its end."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
        console=errors(),
        transient=True,
    )
