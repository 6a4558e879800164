"""Reads the fenced blocks of the project's documents and compares results with what they show.

A block of the language `text` right behind another one, with only empty lines between, is what the
document says comes out of it. There `…` stands for any text within a line, and alone on a line for any
lines. This module must not know how a block is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import slt

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^```(\w*)\s*(.*)$")
_RULE = re.compile(r"[-\s]+")


@dataclass
class Block:
    """A fenced block: `options` are the words behind the language, `name=value` or bare."""

    path: Path
    line: int
    heading: str
    language: str
    options: dict[str, str]
    text: str
    adjacent: bool = False
    expected: str | None = field(default=None)

    @property
    def where(self) -> str:
        """Return file and line."""
        return f"{self.path.name}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """Return the blocks of a document, each with the `text` block that shows its output."""
    found: list[Block] = []
    for block in _fences(path):
        if block.language == "text" and block.adjacent and found[-1].expected is None:
            found[-1].expected = block.text
        else:
            found.append(block)
    return found


def headings(path: Path) -> list[str]:
    """Return the headings of a document in order, without their signs."""
    inside = False
    found = []
    for line in path.read_text("utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside and line.startswith("#"):
            found.append(line.lstrip("#").strip())
    return found


def tables(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each row of each table of a document as its heading and its cells."""
    heading = ""
    inside = False
    for line in path.read_text("utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside and line.startswith("#"):
            heading = line.lstrip("#").strip()
        elif not inside and line.startswith("|") and not set(line) <= set("|-: "):
            yield heading, [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def statements(text: str) -> list[str]:
    """Return the statements of a block; each ends with a semicolon at the end of a line."""
    parts = re.split(r";[ \t]*(?:--[^\n]*)?(?:\n|$)", text)
    return [part.strip() for part in parts if part.strip()]


def shown(table: pa.Table) -> list[str]:
    """Return a result as documents show it: a line of names, then a line for each line of each row."""
    lines = ["  ".join(table.schema.names)] if table.schema.names else []
    for row in zip(*table.columns, strict=True):
        lines += "  ".join(slt.written(value) for value in row).replace("\\n", "\n").splitlines()
    return lines


def differs(found: list[str], expected: str) -> bool:
    """Say whether the lines found are other ones than the document shows; runs of spaces count once."""
    pattern = ""
    for line in expected.splitlines():
        squeezed = " ".join(line.split())
        if not squeezed or _RULE.fullmatch(squeezed):
            continue
        if squeezed == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in squeezed.split("…")) + r"\n"
    text = "".join(f"{' '.join(line.split())}\n" for line in found if line.strip())
    return re.fullmatch(pattern, text) is None


def _fences(path: Path) -> Iterator[Block]:
    heading, adjacent = "", False
    block: Block | None = None
    body: list[str] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if block is not None:
            if line.strip() == "```":
                block.text = "\n".join(body)
                yield block
                block, adjacent = None, True
            else:
                body.append(line)
        elif fence := _FENCE.match(line):
            words = (word.partition("=") for word in fence[2].split())
            options = {name: value for name, _, value in words}
            block, body = Block(path, number, heading, fence[1], options, "", adjacent), []
        elif line.strip():
            adjacent = False
            if line.startswith("#"):
                heading = line.lstrip("#").strip()
    assert block is None, f"{path.name}: a block is not closed"


def table_of(path: Path, heading: str) -> list[tuple[str, list[str]]]:
    """Return the rows of the tables under a heading, without the row of names."""
    found = [row for row in tables(path) if row[0] == heading]
    assert found, f"{path.name} has no table under {heading}"
    return found[1:]
