"""How the story looks: numbered steps, each with its SQL, its result and its time.

This module must not know what the story is about.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from rich.syntax import Syntax
from rich.text import Text

from scoter.cli import tables
from scoter.cli.console import output
from scoter.cli.running import duration
from scoter.cli.sessions import Session
from scoter.cli.waiting import Meter, wait_for


@dataclass(frozen=True)
class Shown:
    """A result that was shown, its columns by name."""

    columns: dict[str, list[object]]
    affected: int | None

    def value(self, name: str) -> object:
        """Return a column's first value."""
        return self.columns[name][0]


class Stage:
    """Prints the story and runs its statements."""

    def __init__(self) -> None:
        self._console = output()
        self._step = 0
        self._started = time.monotonic()

    def step(self, title: str, remark: str = "") -> None:
        """Begin a step."""
        self._step += 1
        self._console.print()
        self._console.print(Text(f"{self._step}  {title}", style="bold cyan"))
        if remark:
            self.say(remark, style="dim")

    def say(self, text: str, *, style: str = "") -> None:
        """Print a line of the story."""
        for line in textwrap.wrap(text, self._console.width - 3):
            self._console.print(Text(f"   {line}", style=style), soft_wrap=True)

    def code(self, text: str, language: str = "sql") -> None:
        """Print a piece of code as it will run."""
        self._console.print()
        if self._console.is_terminal:
            shown = Syntax(
                text.strip("\n"),
                language,
                theme="ansi_dark",
                background_color="default",
                padding=(0, 3),
                word_wrap=True,
            )
            self._console.print(shown)
            return
        for line in text.strip("\n").splitlines():
            self._console.print(Text(f"   {line}"))

    def sql(self, session: Session, statement: str, *, only: Sequence[str] = ()) -> Shown:
        """Show a statement, run it, show its rows and its time; raises ScoterError.

        ``only`` keeps the rows whose first column is one of these texts.
        """
        self.code(f"{statement.strip()};")
        started = time.monotonic()

        def work() -> tuple[pa.Table, int | None]:
            answer = session.run(statement)
            return pa.Table.from_batches(list(answer.batches), answer.schema), answer.affected

        table, affected = wait_for(work, session.cancel, Meter("running"))
        elapsed = time.monotonic() - started
        shown = table.filter(pa.compute.is_in(table.column(0), pa.array(only))) if only else table
        self.table(shown, keep_lines=table.schema.names[:1] == ["explain_key"])
        if affected:
            self.timed(f"{affected:,} rows written", elapsed)
        else:
            shorter = f"{shown.num_rows:,} of " if shown.num_rows < table.num_rows else ""
            rows = f"{shorter}{table.num_rows:,} row{'' if table.num_rows == 1 else 's'}"
            self.timed(rows if table.schema.names else "ok", elapsed)
        return Shown({name: shown.column(name).to_pylist() for name in shown.schema.names}, affected)

    def table(self, table: pa.Table, *, keep_lines: bool = False) -> None:
        """Print rows as a table."""
        if table.schema.names:
            tables.show(
                self._console, tables.grid_of(table.schema, table.to_batches()), keep_lines=keep_lines
            )

    def timed(self, text: str, seconds: float) -> None:
        """Print how something went and how long it took."""
        self._console.print(Text(f"{text} · {duration(seconds)}", style="dim"), soft_wrap=True)

    def end(self) -> None:
        """Print how long the story took."""
        self._console.print()
        self._console.print(
            Text(f"That was all of it, in {duration(time.monotonic() - self._started)}.", style="bold green")
        )
