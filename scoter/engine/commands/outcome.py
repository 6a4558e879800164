"""What a command gives: rows, and the session's new state where it changed.

This module must not know any command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlglot import exp

from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context
from scoter.engine.parts import Parts
from scoter.engine.resolved import Resolved

Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Call:
    """One command to run: its syntax tree, who asks, its bound values by parameter name, what may end it.

    ``described`` are names and DuckDB types of the columns of the query in it.
    """

    tree: exp.Expr
    context: Context
    parts: Parts
    resolved: Resolved
    values: dict[str, Any]
    cancellation: Cancellation
    described: Columns = ()


@dataclass(frozen=True)
class Outcome:
    """Rows of the command's columns, and the context to go on with."""

    rows: list[tuple[Any, ...]] | pa.Table
    context: Context


@dataclass(frozen=True)
class Command:
    """How one kind of statement is run; no columns means that it returns no rows."""

    columns: Columns
    run: Callable[[Call], Outcome]
    changes: bool = True


def done(call: Call, context: Context | None = None) -> Outcome:
    """Return an outcome without rows."""
    return Outcome([], context or call.context)
