"""Let calls of one SELECT that differ only in what they want of the model's results be one call.

`SELECT PREDICT('m', a), PREDICT_PROBA('m', a, class => 1)` runs the model once for each row: both become fields of one
call with a STRUCT as its result. This module must not know how a call becomes a function.
"""

from __future__ import annotations

from collections.abc import Container

from sqlglot import exp

from scoter.engine.arguments import ROWS
from scoter.engine.replacing import put
from scoter.engine.rules.score_apart import is_eager
from scoter.engine.rules.score_once import FIELD, call_text, calls_of, is_volatile
from scoter.engine.statements import Predict, span_of
from scoter.errors import Span

_NOWHERE = Span(0, 0)
_KINDS = ("predict", "proba")


def score_together(tree: exp.Expr, kept: Container[int] = ()) -> exp.Expr:
    """Return ``tree``, changed in place, with such calls as fields of one; calls in ``kept``, by identity, stay.

    Where rows are grouped calls stay: the fields would be none of the grouping expressions. So do calls that are not
    evaluated for every row, as in the filter and below CASE, COALESCE and TRY.
    """
    for select in list(tree.find_all(exp.Select)):
        if select.args.get("group") or select.args.get("having"):
            continue
        alike: dict[object, list[Predict]] = {}
        for call in calls_of(select, select):
            alone = call.tries or id(call) in kept or is_volatile(call)
            if call.kind in _KINDS and not alone and is_eager(call, select):
                alike.setdefault((_without_result(call), call.meta.get(ROWS)), []).append(call)
        for calls in alike.values():
            _join(calls)
    return tree


def _without_result(call: Predict) -> str:
    return call_text(
        Predict(model=call.model.copy(), arguments=[each.copy() for each in call.arguments], kind="all")
    )


def _join(calls: list[Predict]) -> None:
    """Replace calls on the same values by the fields of a call of all that they want, where that is more than one."""
    wanted = {call_text(call): call for call in calls}
    if len(wanted) == 1:
        return
    first = min(calls, key=lambda call: span_of(call) or _NOWHERE)
    results = [call.class_label or exp.to_identifier(call.kind) for call in wanted.values()]
    places = {text: f"r{place}" for place, text in enumerate(wanted)}
    for call in calls:
        together = Predict(
            model=first.model.copy(),
            arguments=[each.copy() for each in first.arguments],
            kind="together",
            results=[each.copy() for each in results],
        )
        together.meta.update(first.meta)
        field = exp.Literal.string(places[call_text(call)])
        extracted = exp.Anonymous(this="struct_extract", expressions=[together, field])
        extracted.meta[FIELD] = True
        put(call, extracted)
