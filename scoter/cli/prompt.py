"""The interactive prompt: lines in, statements out, until the end of input.

This module must not know what statements mean, nor where they run.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer  # type: ignore[import-untyped]  # pygments ships no types
from rich.text import Text

from scoter.catalog.names import quoted
from scoter.cli.completion import Names, SqlCompleter
from scoter.cli.console import output, show_error
from scoter.cli.output import Sink
from scoter.cli.running import run
from scoter.cli.sessions import Session
from scoter.cli.splitting import first_word, is_complete, split
from scoter.errors import ScoterError

_HELP = r"""statements end with ;   Ctrl-C ends a running one, Ctrl-D the prompt
  \d           tables          \d NAME     a table's columns
  \m           models          \timing     show or hide times
  \?           this help       \q          leave"""

_TABLES = """
SELECT table_schema AS "schema", table_name AS "table"
FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'system')
ORDER BY ALL
"""

_READING = frozenset(
    {
        "SELECT",
        "FROM",
        "WITH",
        "VALUES",
        "SHOW",
        "DESCRIBE",
        "EXPLAIN",
        "SET",
        "RESET",
        "INSERT",
        "MERGE",
        "UPDATE",
        "DELETE",
    }
)


class Prompt:
    """Reads statements from the terminal and runs them one by one."""

    def __init__(self, session: Session, sink: Sink, *, timing: bool) -> None:
        self._session = session
        self._sink = sink
        self._timing = timing
        self._completer = SqlCompleter()
        self._lines: PromptSession[str] = PromptSession(
            history=_history(),
            lexer=PygmentsLexer(SqlLexer),
            completer=self._completer,
            complete_while_typing=False,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation=lambda width, _line, _soft: "...> ".rjust(width),
        )

    def loop(self, greeting: str) -> None:
        """Read and run until the end of input or the command to leave."""
        output().print(Text(greeting, style="dim"), soft_wrap=True)
        self._learn()
        while True:
            try:
                text = self._lines.prompt("scoter> ").strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text.startswith("\\"):
                if not self._command(text):
                    return
            else:
                self._statements(text)

    def _statements(self, text: str) -> None:
        try:
            pieces = split(text)
        except ScoterError as error:
            show_error(error)
            return
        for piece in pieces:
            if not self._statement(piece.sql):
                return
            if first_word(piece.sql) not in _READING:
                self._learn()

    def _statement(self, sql: str) -> bool:
        try:
            run(self._session, sql, self._sink, timing=self._timing)
        except ScoterError as error:
            show_error(error, sql)
            return False
        return True

    def _command(self, text: str) -> bool:
        """Run a backslash command; return whether to go on."""
        name, _, argument = text.rstrip(";").strip().partition(" ")
        argument = argument.strip()
        match name:
            case "\\q":
                return False
            case "\\d" if argument:
                written = argument if "." in argument or '"' in argument else quoted(argument)
                self._statement(f"DESCRIBE {written}")
            case "\\d":
                self._statement(_TABLES)
            case "\\m":
                self._statement("SHOW MODELS")
            case "\\timing":
                self._timing = not self._timing
                output().print(f"timing is {'on' if self._timing else 'off'}")
            case "\\?":
                output().print(Text(_HELP))
            case _:
                output().print(Text(f"{name} is not a command; \\? lists them"))
        return True

    def _learn(self) -> None:
        """Refresh the names that are offered; without them the prompt still works."""
        with suppress(ScoterError):
            self._completer.names = Names.read(self._session)


def state_directory() -> Path:
    """Return the user's directory for what programs remember, as desktops define it."""
    # Not a setting of Scoter: the place is the same for every program.
    base = os.environ.get("XDG_STATE_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "state"
    return root / "scoter"


def _history() -> History:
    path = state_directory() / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except (OSError, RuntimeError):
        return InMemoryHistory()
    return FileHistory(path)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @Condition
    def ended() -> bool:
        text = get_app().current_buffer.text
        return text.lstrip().startswith("\\") or is_complete(text)

    @keys.add("enter", filter=ended)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return keys
