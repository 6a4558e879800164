"""`scoter sql`: statements from options, a file, standard input or the prompt.

This module must not know how one statement is run or shown.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from scoter import __version__
from scoter.cli.console import is_interactive, notice, show_error
from scoter.cli.formats import Format
from scoter.cli.output import Sink, format_of, open_sink
from scoter.cli.running import run
from scoter.cli.sessions import Session
from scoter.cli.splitting import Piece, split
from scoter.cli.targets import open_target
from scoter.errors import Cancelled, ConfigurationError, ScoterError


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    target: str
    commands: tuple[str, ...]
    file: Path | None
    format: Format | None
    output: Path | None
    rows: int
    user: str | None
    authority: Path | None
    timing: bool | None


def run_sql(request: Request) -> None:
    """Run all statements, or the prompt; stop at the first that fails, which exits with 1."""
    scripts = _scripts(request)
    session = open_target(request.target, request.user, request.authority)
    try:
        with open_sink(format_of(request.output, request.format), request.output, request.rows) as sink:
            if scripts is None:
                _prompt(request, session, sink)
                return
            for name, pieces in scripts:
                _run(session, sink, name, pieces, timing=bool(request.timing))
    except BrokenPipeError:
        # Who reads our output has enough; nothing is wrong. Python flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        session.close()


def _scripts(request: Request) -> list[tuple[str, list[Piece]]] | None:
    """Return the statements of every source by its name, or None for the prompt."""
    sources = [("", command) for command in request.commands]
    if request.file is not None:
        sources.append((str(request.file), _read(request.file)))
    elif not sources:
        if is_interactive():
            return None
        sources.append(("standard input", sys.stdin.read()))
    scripts = []
    for name, text in sources:
        try:
            scripts.append((name, split(text)))
        except ScoterError as error:
            show_error(error)
            raise typer.Exit(1) from error
    return scripts


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} can not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text") from error


def _run(session: Session, sink: Sink, name: str, pieces: list[Piece], *, timing: bool) -> None:
    for piece in pieces:
        try:
            run(session, piece.sql, sink, timing=timing)
        except ScoterError as error:
            if name:
                notice(f"in {name}, the statement of line {piece.line}:")
            show_error(error, piece.sql)
            raise typer.Exit(130 if isinstance(error, Cancelled) else 1) from error


def _prompt(request: Request, session: Session, sink: Sink) -> None:
    from scoter.cli.prompt import Prompt  # noqa: PLC0415  # only a terminal needs it

    timing = True if request.timing is None else request.timing
    Prompt(session, sink, timing=timing).loop(
        f"scoter {__version__} on {request.target}   \\? for help, \\q to leave"
    )
