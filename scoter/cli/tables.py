"""A result as a table for people: as wide as the terminal, and only so many rows.

This module must not know where rows come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scoter.cli.cells import is_number, texts
from scoter.cli.console import printable

ROWS = 40  # rows of a result that are shown
_CELL = 60  # columns of the terminal that one value may take
_LEAST = 10  # columns that a text or a name keeps where the terminal is narrow
_EDGE = 3  # what a column costs besides its values: two spaces and a line
_NULL = "NULL"


@dataclass(frozen=True)
class Grid:
    """Texts to lay out: a name, a side and the values of each column; None is NULL."""

    names: tuple[str, ...]
    right: tuple[bool, ...]
    columns: tuple[tuple[str | None, ...], ...]


def grid_of(schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> Grid:
    """Return the texts of a few batches."""
    columns = []
    for position in range(len(schema)):
        values: list[str | None] = []
        for batch in batches:
            values += texts(batch.column(position))
        columns.append(tuple(values))
    right = tuple(is_number(field.type) for field in schema)
    return Grid(tuple(schema.names), right, tuple(columns))


def show(console: Console, grid: Grid, *, keep_lines: bool = False) -> int:
    """Print a table and return how many columns the terminal had no room for.

    With ``keep_lines`` line breaks in values stay, as plans need them; else each row is one line.
    """
    wanted = _widths(grid, keep_lines=keep_lines, limited=console.is_terminal)
    least = _least(grid, wanted, keep_lines=keep_lines)
    kept = fitting(least, console.width)
    hidden = len(wanted) - len(kept)
    room = console.width - 1 - _EDGE * len(kept) - (_EDGE + 1) * bool(hidden)
    widths = shared([wanted[i] for i in kept], [least[i] for i in kept], room)
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold", show_lines=False)
    gap = (len(kept) + 1) // 2
    for place, (position, width) in enumerate(zip(kept, widths, strict=True)):
        if hidden and place == gap:
            table.add_column("…", style="dim", width=1)
        table.add_column(
            Text(printable(grid.names[position])),
            justify="right" if grid.right[position] else "left",
            no_wrap=not keep_lines,
            overflow="fold" if keep_lines else "ellipsis",
            width=width,
        )
    if hidden and gap == len(kept):
        table.add_column("…", style="dim", width=1)
    for row in zip(*grid.columns, strict=True):
        cells = [_cell(row[position], keep_lines=keep_lines) for position in kept]
        if hidden:
            cells.insert(gap, Text("…"))
        table.add_row(*cells)
    console.print(table)
    return hidden


def _cell(value: str | None, *, keep_lines: bool) -> Text:
    if value is None:
        return Text(_NULL, style="dim italic")
    if keep_lines:
        return Text("\n".join(printable(line) for line in value.splitlines()))
    return Text(printable(value))


def _widths(grid: Grid, *, keep_lines: bool, limited: bool) -> list[int]:
    widths = []
    for name, values in zip(grid.names, grid.columns, strict=True):
        widest = max(cell_len(printable(name)), 1)
        for value in values:
            lines = [_NULL] if value is None else value.splitlines() if keep_lines else [value]
            widest = max([widest, *(cell_len(printable(line)) for line in lines)])
        widths.append(min(widest, _CELL) if limited and not keep_lines else widest)
    return widths


def _least(grid: Grid, wanted: list[int], *, keep_lines: bool) -> list[int]:
    """Return the widths below which columns say nothing: a number cut short would be another number."""
    least = []
    for width, name, right, values in zip(wanted, grid.names, grid.right, grid.columns, strict=True):
        if right:
            digits = max((cell_len(value or _NULL) for value in values), default=1)
            least.append(max(digits, min(cell_len(printable(name)), _LEAST)))
        else:
            least.append(min(width, 2 * _LEAST if keep_lines else _LEAST))
    return least


def shared(wanted: list[int], least: list[int], room: int) -> list[int]:
    """Return widths that fit ``room`` together: the widest columns give way first, none below its least.

    >>> shared([10, 30, 50], [5, 5, 5], 60)
    [10, 25, 25]
    """
    level = max(wanted, default=1)
    while level > 1:
        widths = [max(low, min(width, level)) for width, low in zip(wanted, least, strict=True)]
        if sum(widths) <= room:
            return widths
        level -= 1
    return least


def fitting(least: list[int], room: int) -> list[int]:
    """Return the positions of the columns that fit: all where possible, else first and last ones.

    >>> fitting([10, 10, 10, 10], 40)
    [0, 3]
    """
    if sum(least) + _EDGE * len(least) + 1 <= room:
        return list(range(len(least)))
    left, right = 0, len(least) - 1
    used = 1 + 1 + _EDGE  # the border and the column of dots
    kept: list[int] = []
    take_left = True
    while left <= right:
        position = left if take_left else right
        used += least[position] + _EDGE
        if used > room and kept:
            break
        kept.append(position)
        left, right = (left + 1, right) if take_left else (left, right - 1)
        take_left = not take_left
    return sorted(kept)
