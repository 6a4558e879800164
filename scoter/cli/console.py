"""The two streams of the command: results on standard output, everything else on standard error.

This module must not know SQL, lakes or servers.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from scoter.errors import ScoterError, Span

_WIDEST = 10_000  # columns of a stream that is no terminal: nothing is cut there


def output() -> Console:
    """Return a console on standard output, as wide as the terminal, or unlimited when there is none."""
    return _console(sys.stdout.isatty(), stderr=False)


def errors() -> Console:
    """Return a console on standard error."""
    return _console(sys.stderr.isatty(), stderr=True)


def is_interactive() -> bool:
    """Say whether somebody sits at the keyboard and sees what we write."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def notice(text: str) -> None:
    """Write one line of information to standard error."""
    errors().print(Text(text, style="dim"), soft_wrap=True)


def show_error(error: ScoterError, sql: str | None = None) -> None:
    """Write an error to standard error: condition, message, the place in ``sql``, hint, query id."""
    console = errors()
    line = Text.assemble(
        ("error", "bold red"), f": [{error.sqlstate}] {error.condition}: ", printable(error.message.strip())
    )
    console.print(line, soft_wrap=True)
    if sql is not None and error.span is not None:
        for shown in _excerpt(sql, error.span):
            console.print(shown, soft_wrap=True)
    if error.hint:
        console.print(Text.assemble(("hint", "bold"), ": ", printable(error.hint)), soft_wrap=True)
    if error.query_id:
        console.print(Text(f"query id {error.query_id}", style="dim"), soft_wrap=True)


def printable(text: str) -> str:
    r"""Return ``text`` with control characters shown, so that data can not steer the terminal.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _SIGNS.get(c) or ascii(c)[1:-1] for c in text)


_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


def _excerpt(sql: str, span: Span) -> list[Text]:
    """Return the line of ``sql`` at ``span`` and a caret under it, both cut around the place."""
    lines = sql.splitlines()
    if not 1 <= span.line <= len(lines):
        return []
    line = lines[span.line - 1].replace("\t", " ")
    start = max(0, span.column - 61)
    before = f"{span.line}: " if len(lines) > 1 else ""
    place = span.column - 1 - start + len(before)
    return [
        Text(f"  {before}{printable(line[start : start + 100])}"),
        Text(f"  {' ' * place}^", style="bold red"),
    ]


def _console(terminal: bool, *, stderr: bool) -> Console:
    if terminal:
        return Console(stderr=stderr, highlight=False)
    return Console(stderr=stderr, highlight=False, width=_WIDEST)
