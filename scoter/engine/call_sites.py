"""Where the model calls of a SELECT stand: which operator evaluates them, and for which rows.

DuckDB evaluates equal expressions of one operator once, and again in each other operator: filter, grouping, window,
select list. This module must not know what becomes of a call.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.clauses import conjuncts_of, path_to
from scoter.engine.functions import AGGREGATES, VOLATILE, WINDOWS
from scoter.engine.gate import function_name
from scoter.engine.grouping import is_aggregate
from scoter.engine.marks import FIELD, READ_WHOLE
from scoter.engine.statements import Predict

# The calls in them are not of the SELECT around; variables of the last two hide columns.
_HOLDERS = (exp.Select, exp.From, exp.Join, exp.Lateral, exp.With, exp.Lambda, exp.Comprehension)
# What stands below them is evaluated for some rows only, and may fail for the others.
_LAZY = frozenset({"coalesce", "if", "ifnull", "try"})
_PLAIN = AGGREGATES | WINDOWS | {"abs", "ceil", "exp", "floor", "ln", "round", "sqrt"}
# What may stand between a call and its SELECT: anything else might not evaluate the call for every row.
_EAGER = (
    exp.Alias,
    exp.Paren,
    exp.Cast,
    exp.Neg,
    exp.Not,
    exp.Ordered,
    exp.Order,
    exp.Group,
    exp.Having,
    exp.IgnoreNulls,
    exp.RespectNulls,
)


def calls_of(root: exp.Expr) -> list[Predict]:
    """Return the outermost calls of a SELECT itself, or of a part of one: not those of its FROM, nor of subqueries."""

    def is_apart(node: exp.Expr) -> bool:
        return isinstance(node, Predict) or (node is not root and isinstance(node, _HOLDERS))

    return [node for node in root.walk(prune=is_apart) if isinstance(node, Predict)]


def is_volatile(call: exp.Expr) -> bool:
    """Say whether two such calls, or queries, may give two values for one row, as on random()."""
    return any(function_name(node) in VOLATILE for node in call.find_all(exp.Func))


def site_of(node: exp.Expr, select: exp.Select) -> object:
    """Return which operator evaluates a node of ``select``; nodes of one site are evaluated once where they are equal."""
    path = list(path_to(node, select))
    windows = [part for part in path if isinstance(part, exp.Window)]
    clause = path[-1].arg_key
    if windows:
        return id(windows[-1])
    if clause in {"where", "qualify"}:
        return clause
    aggregated = any(map(is_aggregate, path))
    if clause == "having" and not aggregated:
        return clause
    if aggregated or clause == "group" or select.args.get("group"):
        return "group"
    return "order" if clause == "order" and select.args.get("limit") else "list"


def is_evaluated(call: exp.Expr, select: exp.Select) -> bool:
    """Say whether a call is evaluated for every row that its SELECT's other clauses leave."""
    path = list(path_to(call, select))
    if path[-1].arg_key == "where":
        return not is_lazy(call, exp.Where)
    qualify = select.args.get("qualify")
    site = site_of(call, select)
    if site == "qualify":
        return not is_lazy(call, exp.Qualify) and all(part.find(Predict) for part in conjuncts_of(qualify))
    # The others of these are evaluated for the rows that QUALIFY leaves.
    return is_eager(call, select) and (qualify is None or site not in {"list", "order"})


def is_lazy(call: exp.Expr, clause: type[exp.Expr]) -> bool:
    """Say whether a call in a condition, up to its ``clause``, may be spared for some rows."""
    node = call.parent
    while node is not None and not isinstance(node, clause):
        if isinstance(node, exp.Case) or function_name(node) in _LAZY:
            return True
        node = node.parent
    return False


def is_eager(call: exp.Expr, select: exp.Select) -> bool:
    """Say whether a call outside of the filter is evaluated for every row that its SELECT reads."""
    for node in path_to(call.parent, select):
        if isinstance(node, exp.Window):
            return True
        arithmetic = isinstance(node, exp.Binary) and not isinstance(node, exp.Connector)
        plain = function_name(node) in _PLAIN or FIELD in node.meta
        if not (isinstance(node, _EAGER) or arithmetic or plain):
            return False
    return True


def is_read_whole(select: exp.Select) -> bool:
    """Say whether every row and every score of the SELECT is in the statement's result.

    A stream is scored whole. Where another query reads the rows, DuckDB may need few of them, or no score.
    """
    if select.meta.get(READ_WHOLE):
        return True
    node: exp.Expr = select
    while isinstance(node.parent, exp.SetOperation):
        node = node.parent
        if node.args.get("limit") or node.args.get("offset"):
            return False
    return node.parent is None
