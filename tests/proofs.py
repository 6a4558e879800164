"""What the tests of drivers prove, and the tables of docs/connections.md that are made of it.

A test says with `@proves` which features of which client it proves; a table of the document holds just that.
This module must not know how anything is tested.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from documents import ROOT

CONNECTIONS = ROOT / "docs" / "connections.md"
CLIENTS = ("ADBC", "JDBC", "ODBC")
T = TypeVar("T", bound=Callable[..., object])
_proven: dict[tuple[str, str], str] = {}


def proves(client: str, feature: str, answer: str = "yes") -> Callable[[T], T]:
    """Say that a test proves what a client can do; ``answer`` is what the document says of it."""
    assert client in CLIENTS
    assert _proven.setdefault((feature, client), answer) == answer, f"{feature}: two answers for {client}"
    return lambda test: test


def features() -> list[tuple[str, ...]]:
    """Return a row for each feature with the answer of each client, a dash where nothing is proven."""
    names = sorted({feature for feature, _ in _proven})
    return [(name, *(_proven.get((name, client), "—") for client in CLIENTS)) for name in names]


def check_table(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[str]], document: Path = CONNECTIONS
) -> None:
    """Fail unless the document's table between `<!-- name -->` and `<!-- /name -->` is this one.

    With WRITE_DOCS=1 the table is written instead.
    """
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    text = document.read_text("utf-8")
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, found, rest = text.partition(start)
    assert found, f"{document.name} has no {start.strip()}"
    shown, _, after = rest.partition(end)
    if os.environ.get("WRITE_DOCS") == "1":
        document.write_text(f"{before}{start}{table}{end}{after}", "utf-8")
        return
    assert shown == table, "the table and the tests disagree: WRITE_DOCS=1 writes it anew"
