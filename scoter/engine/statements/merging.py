"""MERGE, UPDATE and DELETE as they are written, and as they are once their rows are a query.

This module must not know how it is read, checked or run.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

from scoter.engine.statements.places import Statement


class MergeWhen(exp.Expression):
    """``WHEN [NOT] MATCHED [BY …] [AND condition] THEN action``.

    ``kind`` is ``MATCHED``, ``NOT MATCHED`` or ``NOT MATCHED BY SOURCE``; ``action`` is ``UPDATE``, ``DELETE``,
    ``INSERT`` or ``DO NOTHING``. UPDATE and INSERT have ``columns`` (an INSERT may name none) and ``values``.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "kind": True,
        "action": True,
        "condition": False,
        "columns": False,
        "values": False,
    }

    @property
    def kind(self) -> str:
        """Which rows it is for."""
        return str(self.args["kind"])

    @property
    def action(self) -> str:
        """What it does with them."""
        return str(self.args["action"])

    @property
    def condition(self) -> exp.Expr | None:
        """What stands behind AND."""
        return self.args.get("condition")

    @property
    def columns(self) -> list[exp.Column]:
        """The columns that get a value, as they were named."""
        return self.args.get("columns") or []

    @property
    def values(self) -> list[exp.Expr]:
        """The values in the order of the columns."""
        return self.args.get("values") or []


class Merge(Statement):
    """``MERGE INTO t [AS a] USING source ON condition WHEN …``.

    ``this`` is the target's table with its alias. Once its rows are a query, that is the ``expression``, which
    holds what stood in ``using``, ``on`` and ``with_``, and the conditions and values of ``whens``.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "using": False,
        "on": False,
        "whens": True,
        "with_": False,
        "expression": False,
    }

    @property
    def whens(self) -> list[MergeWhen]:
        """The clauses in their order."""
        whens: list[MergeWhen] = self.args["whens"]
        return whens


class _Changing(Merge):
    """Rows of one table that meet a condition; ``whens`` is the one clause that says what becomes of them."""

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "whens": True,
        "where": False,
        "with_": False,
        "expression": False,
    }


class Update(_Changing):
    """``UPDATE t [AS a] SET column = value, … [WHERE condition]``."""


class Delete(_Changing):
    """``DELETE FROM t [AS a] [WHERE condition]``."""
