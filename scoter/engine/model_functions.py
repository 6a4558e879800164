"""What a call of a model runs, and what it gives.

This module must not know which values a call gives.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.logic import Logic, logic_of
from scoter.engine.resolved import MODEL
from scoter.engine.statements import Predict, span_of
from scoter.errors import NotSupported, WrongArguments
from scoter.suggestions import closest
from scoter.udfs.functions import Function
from scoter.udfs.signature import Signature


def result_type(call: Predict, version: ModelVersion) -> str:
    """Return the DuckDB type of a call; raises NotSupported, WrongArguments."""
    logic = logic_behind(call, version)
    return function_of(call, version).return_type if logic is None else str(logic.type)


def logic_behind(call: Predict, version: ModelVersion) -> Logic | None:
    """Return the logic that makes a call's value of the model's outputs, None where it is an output."""
    logic = logic_of(version)
    return logic if logic is not None and logic.behind and call.kind in {"predict", "try"} else None


def signature_for(call: Predict, version: ModelVersion) -> Signature:
    """Return the signature that a call's arguments have to fit; raises NotSupported, WrongArguments."""
    signature, logic = function_of(call, version).signature, logic_of(version)
    return signature if logic is None else logic.outside(signature)


def function_of(call: Predict, version: ModelVersion) -> Function:
    """Return the function that a call runs; raises NotSupported, WrongArguments."""
    signature = Signature.from_json(version.signature)
    if call.results:
        return Function(
            version.sha256,
            signature,
            "together",
            parts=tuple(function_of(_only(call, result), version) for result in call.results),
        )
    label = call.class_label
    kind = "predict" if call.kind == "try" else call.kind
    if logic_behind(call, version) is not None:
        kind = "all"
    function = Function(version.sha256, signature, kind, tries=call.tries)
    try:
        _ = function.return_type
    except NotSupported as error:
        error.span = span_of(call)
        raise
    if label is None:
        return function
    negative = isinstance(label, exp.Neg) and isinstance(label.this, exp.Literal) and not label.this.is_string
    if not isinstance(label, exp.Literal) and not negative:
        raise NotSupported(
            "class => takes a constant",
            hint="write class => 'yes'; PREDICT_PROBA('m', …)[?] takes a parameter",
            span=span_of(label) or span_of(call),
        )
    wanted = f"-{label.this.name}" if negative else label.name
    known = [str(value) for value in signature.labels]
    if wanted not in known:
        raise WrongArguments(
            f"{version.model} has no class {wanted}",
            hint=closest(wanted, known) or f"its classes are {', '.join(known[:20])}",
            span=span_of(label) or span_of(call),
        )
    return Function(version.sha256, signature, "proba_class", wanted)


def _only(call: Predict, result: exp.Expr) -> Predict:
    """Return the one of the calls that are ``call`` together which wants that."""
    if isinstance(result, exp.Identifier):
        return Predict(model=call.model.copy(), kind=result.name)
    return Predict(model=call.model.copy(), kind="proba", class_label=result.copy())


def number_of(call: Predict) -> int:
    """Return which of the statement's calls a call is, or is a copy of."""
    return int(call.meta[MODEL])
