"""Which statements only sum up the rows of one table: in whatever order these come, the result is the same.

This module must not know how tables are read.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.functions import SCALARS, UNORDERED
from scoter.engine.gate import function_name
from scoter.engine.statements import Predict

_OTHERS = (exp.With, exp.Join, exp.Lateral, exp.SetOperation, exp.Window, exp.TableSample, exp.Pivot, Predict)
_FROM = frozenset({"this", "alias", "db", "catalog", "version"})
_PASSING = frozenset({"expressions", "from_", "where"})
_SUMMING = _PASSING | {"group", "having", "order", "limit", "offset"}


def is_summed(tree: exp.Expr) -> bool:
    """Say whether a statement reads one table once, sums up its rows, and never shows their order.

    >>> from scoter.engine.dialect import parse
    >>> is_summed(parse("SELECT k, sum(v) FROM t WHERE v > 0 GROUP BY k", 1000))
    True
    >>> is_summed(parse("SELECT list(v) FROM t", 1000))
    False
    """
    nodes = list(tree.walk())
    tables = [node for node in nodes if isinstance(node, exp.Table)]
    if len(tables) != 1 or any(isinstance(node, _OTHERS) for node in nodes):
        return False
    names = {name for name in map(function_name, nodes) if name is not None}
    if not names <= SCALARS | UNORDERED or not names & UNORDERED:
        return False
    node: exp.Expr | None = tables[0]
    selects, summed = 0, False
    while True:
        if node is None or not isinstance(node.parent, exp.From) or not _given(node) <= _FROM:
            return False
        select = node.parent.parent
        if not isinstance(select, exp.Select):
            return False
        summed = summed or _sums_up(select)
        if not _given(select) <= (_SUMMING if summed else _PASSING):
            return False
        selects += 1
        if select is tree:
            break
        node = select.parent
    # Any other SELECT is a subquery in an expression.
    return summed and selects == sum(isinstance(node, exp.Select) for node in nodes)


def _given(node: exp.Expr) -> set[str]:
    return {name for name, value in node.args.items() if value}


def _sums_up(select: exp.Select) -> bool:
    if select.args.get("group"):
        return True
    parts = [*select.expressions, *filter(None, [select.args.get("having")])]
    return any(function_name(node) in UNORDERED for part in parts for node in part.walk())
