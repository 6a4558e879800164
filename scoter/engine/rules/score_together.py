"""Let calls of one SELECT that differ only in what they want of the model's results be one call.

`SELECT PREDICT('m', a), PREDICT_PROBA('m', a, class => 1)` runs the model once for each row: both become fields of one
call with a STRUCT as its result. This module must not know how a call becomes a function.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from scoter.engine.arguments import ROWS
from scoter.engine.call_sites import calls_of, is_eager, is_volatile
from scoter.engine.marks import FIELD
from scoter.engine.model_runs import KINDS, IsAlone, call_text, first_written, run_text
from scoter.engine.replacing import put
from scoter.engine.statements import Predict

ResultOf = Callable[[Predict, exp.Expr], exp.Expr]


def score_together(tree: exp.Expr, is_alone: IsAlone = lambda _: False) -> exp.Expr:
    """Return ``tree``, changed in place, with such calls as fields of one; calls for which ``is_alone`` holds stay.

    Where rows are grouped calls stay: the fields would be none of the grouping expressions. So do calls that are not
    evaluated for every row, as in the filter and below CASE, COALESCE and TRY.
    """
    for select in list(tree.find_all(exp.Select)):
        if select.args.get("group") or select.args.get("having"):
            continue
        alike: dict[object, list[Predict]] = {}
        for call in calls_of(select):
            stays = call.tries or is_alone(call) or is_volatile(call)
            if call.kind in KINDS and not stays and is_eager(call, select):
                alike.setdefault((run_text(call), call.meta.get(ROWS)), []).append(call)
        for calls in alike.values():
            shared, result_of = together(calls)
            for call in calls if shared is not calls[0] else ():
                put(call, result_of(call, shared.copy()))
    return tree


def together(calls: list[Predict]) -> tuple[Predict, ResultOf]:
    """Return one call that has the results of all, and what takes the result of one of them out of its value.

    All are on the same values. Where they also want the same, it is the first of them.
    """
    wanted = {call_text(call): call for call in calls}
    if len(wanted) == 1:
        return calls[0], lambda _, value: value
    first = first_written(calls)
    results = [call.class_label or exp.to_identifier(call.kind) for call in wanted.values()]
    shared = Predict(
        model=first.model.copy(),
        arguments=[each.copy() for each in first.arguments],
        kind="together",
        results=[each.copy() for each in results],
    )
    shared.meta.update(first.meta)
    fields = {text: f"r{place}" for place, text in enumerate(wanted)}

    def result_of(call: Predict, value: exp.Expr) -> exp.Expr:
        field = exp.Literal.string(fields[call_text(call)])
        extracted = exp.Anonymous(this="struct_extract", expressions=[value, field])
        extracted.meta[FIELD] = True
        return extracted

    return shared, result_of
