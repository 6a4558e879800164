"""The interactive prompt, with keys as a terminal sends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from scoter.cli.completion import Names, SqlCompleter
from scoter.cli.output import TableSink
from scoter.cli.prompt import Prompt
from scoter.cli.sessions import LocalSession, open_lake

MODELS = Path(__file__).parent.parent / "examples" / "models"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSession]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    engine = open_lake(tmp_path / "lake", create=True, models={"allowed_prefixes": [str(MODELS)]})
    opened = LocalSession(engine)
    for sql in (
        "CREATE TABLE flights (carrier VARCHAR, dep_delay INTEGER)",
        "CREATE SCHEMA sales",
        'CREATE TABLE sales.orders (id INTEGER, "order" INTEGER)',
        f"CREATE MODEL late FROM '{MODELS / 'late_v1.onnx'}'",
    ):
        opened.run(sql)
    yield opened
    opened.close()


@contextmanager
def typed(keys: str) -> Iterator[None]:
    """Have the next prompts read ``keys``."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        yield


def played(session: LocalSession, keys: str, capfd: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return what the prompt writes to both streams for ``keys``, up to the end of input."""
    with typed(keys + "\x04"):
        Prompt(session, TableSink(), timing=False).loop("hello")
    caught = capfd.readouterr()
    return caught.out, caught.err


def test_a_statement_may_have_many_lines(session: LocalSession, capfd: pytest.CaptureFixture[str]) -> None:
    out, err = played(session, "SELECT 1 AS a,\r  ';' AS b\r;\r", capfd)
    assert "│ 1 │ ; │" in out
    assert err == ""


def test_errors_do_not_end_the_prompt(session: LocalSession, capfd: pytest.CaptureFixture[str]) -> None:
    out, err = played(session, "SELECT nope;\rSELECT 2 AS b; SELECT 3 AS c;\r", capfd)
    assert "[42703] UNDEFINED_COLUMN" in err
    assert ("│ 2 │" in out, "│ 3 │" in out) == (True, True)


def test_ctrl_c_drops_the_line(session: LocalSession, capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = played(session, "SELECT 1 AS dropped\x03SELECT 2 AS kept;\r", capfd)
    assert "kept" in out
    assert "dropped" not in out


def test_backslash_commands(session: LocalSession, capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = played(
        session, "\\d\r\\d flights\r\\m\r\\timing\rSELECT 1;\r\\?\r\\nope\r\\q\rSELECT 7;\r", capfd
    )
    assert "│ sales  │ orders  │" in out
    assert "│ dep_delay   │ INTEGER" in out
    assert "│ late" in out
    assert "timing is on" in out
    assert " ms" in out.split("timing is on")[1]
    assert "\\timing     show or hide times" in out
    assert "\\nope is not a command" in out
    assert "│ 7 │" not in out


def test_the_history_is_kept_for_the_user_alone(
    session: LocalSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    played(session, "SELECT 41;\r", capfd)
    out, _ = played(session, "\x1b[A\r", capfd)
    assert "│ 41 │" in out
    history = tmp_path / "state" / "scoter" / "history"
    assert history.stat().st_mode & 0o077 == 0


def test_use_and_set_hold_for_what_follows(session: LocalSession, capfd: pytest.CaptureFixture[str]) -> None:
    out, err = played(session, "USE sales;\rSELECT count(*) AS n FROM orders;\r", capfd)
    assert err == ""
    assert "│ 0 │" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM fl", ["flights"]),
        ("sel", ["select"]),
        ("SEL", ["SELECT"]),
        ("SELECT dep", ["dep_delay"]),
        ("SELECT * FROM sales.", ["orders"]),
        ("SELECT carrier FROM flights f WHERE f.d", ["dep_delay"]),
        ("SELECT o. FROM sales.orders o", ["id", '"order"']),
        ("SELECT PREDICT('la", ["late"]),
        ("DROP MODEL l", ["late"]),
        ("INSERT INTO ", ["flights", "orders", "information_schema", "main", "sales", "system"]),
        ("\\d", []),
    ],
)
def test_names_are_completed(session: LocalSession, text: str, expected: list[str]) -> None:
    completer = SqlCompleter()
    completer.names = Names.read(session)
    place = text.index(" FROM") if text.startswith("SELECT o.") else len(text)
    found = completer.get_completions(Document(text, place), CompleteEvent())
    assert [completion.text for completion in found] == expected
