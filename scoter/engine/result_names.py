"""Names of unnamed results that are rewritten: those that DuckDB gives what was written.

This module must not know what becomes of the results.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from scoter.engine.functions import NOW
from scoter.engine.gate import function_name
from scoter.engine.replacing import put
from scoter.engine.rules.pin_session import is_constant
from scoter.engine.rules.unfold import GROWING
from scoter.engine.statements import WRITTEN, Predict

_VERBS = {"predict": "predict", "proba": "predict_proba", "all": "predict_all", "try": "try_predict"}


def name_results(tree: exp.Expr, name_of: Callable[[exp.Expr], str]) -> None:
    """Name unnamed result columns that will be rewritten as DuckDB names what was written, in place."""
    parts: dict[int, exp.Expr] = {}
    for node in tree.walk():
        if not _is_rewritten(node):
            continue
        part: exp.Expr = node
        while part.parent is not None:
            is_projection = isinstance(part.parent, exp.Select) and part.arg_key == "expressions"
            if is_projection and not isinstance(part, exp.Alias | exp.Star | exp.Column):
                parts[id(part)] = part
            part = part.parent
    # Outer parts first: their names are of what was written inside them.
    named = [(part, name_of(_readable(part))) for part in parts.values()]
    for part, name in sorted(named, key=lambda pair: pair[0].depth, reverse=True):
        put(part, exp.alias_(part.copy(), name, quoted=True))


def _is_rewritten(node: exp.Expr) -> bool:
    if isinstance(node, Predict | exp.Table | exp.Placeholder):
        return True
    if isinstance(node, exp.Subquery) and WRITTEN in node.meta:
        return True
    return function_name(node) in GROWING | NOW or is_constant(node)


def _readable(part: exp.Expr) -> exp.Expr:
    """Return a copy in which calls are plain functions, for their text only."""
    holder = exp.Paren(this=part.copy())
    for call in reversed(list(holder.find_all(Predict))):
        verb = _VERBS[call.kind]
        named = {"class": call.class_label, "on_error": call.on_error}
        more = [
            exp.PropertyEQ(this=exp.to_identifier(name), expression=value.copy())
            for name, value in named.items()
            if value is not None
        ]
        given = [argument.copy() for argument in call.arguments]
        model = call.model.meta.get(WRITTEN, call.model)
        call.replace(exp.Anonymous(this=verb, expressions=[model.copy(), *given, *more]))
    for relation in list(holder.find_all(exp.Table, exp.Subquery)):
        written = relation.meta.get(WRITTEN)
        if written is not None:
            relation.replace(written.copy())
    for table in holder.find_all(exp.Table):
        table.set("version", None)
    found: exp.Expr = holder.this
    return found
