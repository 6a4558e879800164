"""Write a call of a linear model as the sum that it is.

DuckDB computes the sum for the rows that it is certain for; every other row, with NULL, NaN, infinity or a score on
the edge between two labels, is given to the model. This module must not know how arguments are bound.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from scoter.engine.binding import data_type
from scoter.engine.call_sites import is_volatile
from scoter.engine.statements import Predict
from scoter.udfs.functions import Function
from scoter.udfs.linear import Linear

_FLOATS = frozenset({"FLOAT", "DOUBLE"})  # sums of integers wrap, and are exact beyond 2^53
_INPUTS_MOST = 256
_NODES_MOST = 5000  # of the arguments, which are written twice
_LARGEST = 1e30  # a FLOAT holds it, and 1 / it
_STEEPEST = 500.0  # exp of it is a DOUBLE
_ROUNDING = 2.0**-24  # of one operation in 32 bits
_LOST = 1e-34  # more than what all products lose that are too small for 32 bits


def can_inline(call: Predict, function: Function, linear: Linear | None) -> bool:
    """Say whether a call can be written as a sum: its arguments may be evaluated twice, its result is a number."""
    if (
        linear is None
        or not linear.sizes
        or function.tries
        or len(linear.weights) > _INPUTS_MOST
        or is_volatile(call)
    ):
        return False
    if any(each.depth for each in function.signature.inputs):
        return False
    inner = [node for argument in call.arguments for node in argument.walk()]
    if len(inner) > _NODES_MOST or any(isinstance(node, Predict | exp.Query) for node in inner):
        return False
    if function.kind == "proba_class":
        return linear.is_logistic
    if function.kind != "predict":
        return False
    return len(linear.labels) == 2 if linear.is_score else function.return_type in _FLOATS


def inlined(function: Function, linear: Linear, values: Sequence[exp.Expr], model: exp.Expr) -> exp.Expr:
    """Return a call as SQL; ``values`` are the inputs in their order and types, ``model`` calls the model itself."""
    kind = function.return_type
    if linear.is_score and function.kind != "proba_class":
        return _labelled(function, linear, values, model)
    score = _total([_times(value, weight) for value, weight in zip(values, linear.weights, strict=True)])
    score = exp.Paren(this=exp.Add(this=score, expression=_number(linear.bias)))
    if function.kind == "proba_class":
        second = function.signature.label_index(function.class_label or "") == 1
        return _where_plain(score, _STEEPEST, _logistic(score, positive=second), model)
    return _where_plain(score, _LARGEST, _cast(score, kind), model)


def _labelled(function: Function, linear: Linear, values: Sequence[exp.Expr], model: exp.Expr) -> exp.Expr:
    """Return the label by the side of 0 on which the score is, the model's own where rounding may move it over.

    The model's sum and this one may each be wrong by steps * 2^-24 of the size of their parts, in any order of the
    additions (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
    """
    kind = "FLOAT" if _fits_float(function, linear) else "DOUBLE"
    part = 1.01 * (linear.steps + len(linear.weights) + 4) * _ROUNDING
    score = _total(
        [_times(value, weight, kind) for value, weight in zip(values, linear.weights, strict=True)]
    )
    score = exp.Paren(this=exp.Add(this=score, expression=_number(linear.bias, kind)))
    sizes = [
        exp.Mul(this=exp.Abs(this=_cast(value.copy(), kind)), expression=_number(part * most, kind))
        for value, most in zip(values, linear.sizes, strict=True)
    ]
    edge = exp.Paren(this=exp.Add(this=_total(sizes), expression=_number(part * linear.size + _LOST, kind)))
    # NaN is above all numbers, infinity above the largest of them: neither is certain.
    certain = exp.Between(this=exp.Abs(this=score), low=edge, high=_number(_LARGEST, kind))
    first, second = (_cast(exp.Literal.string(str(label)), function.return_type) for label in linear.labels)
    side = exp.If(this=exp.GT(this=score.copy(), expression=_number(0.0, kind)), true=second)
    return exp.Case(ifs=[exp.If(this=certain, true=exp.Case(ifs=[side], default=first))], default=model)


def _fits_float(function: Function, linear: Linear) -> bool:
    """Say whether 32 bits hold the columns, the weights and the rounding of their products."""
    if any(each.argument != "FLOAT" for each in function.signature.inputs):
        return False
    given = (*linear.weights, *linear.sizes)
    return max(map(abs, (linear.bias, linear.size, *given))) < _LARGEST and all(
        each == 0 or abs(each) > 1 / _LARGEST for each in given
    )


def _where_plain(score: exp.Expr, most: float, value: exp.Expr, model: exp.Expr) -> exp.Expr:
    size = exp.Abs(this=score.copy())
    return exp.Case(ifs=[exp.If(this=exp.LT(this=size, expression=_number(most)), true=value)], default=model)


def _logistic(score: exp.Expr, *, positive: bool) -> exp.Expr:
    power = exp.Exp(this=exp.Neg(this=score.copy()) if positive else score.copy())
    chance = exp.Div(
        this=_number(1.0), expression=exp.Paren(this=exp.Add(this=_number(1.0), expression=power))
    )
    # As precise as the model gives it.
    return _cast(_cast(chance, "FLOAT"), "DOUBLE")


def _times(value: exp.Expr, weight: float, kind: str = "DOUBLE") -> exp.Expr:
    return exp.Mul(this=_cast(value.copy(), kind), expression=_number(weight, kind))


def _total(parts: Sequence[exp.Expr]) -> exp.Expr:
    """Return the sum of parts as a balanced tree: chains of hundreds are too deep."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return exp.Paren(this=exp.Add(this=_total(parts[:middle]), expression=_total(parts[middle:])))


def _number(value: float, kind: str = "DOUBLE") -> exp.Expr:
    # A text keeps all digits; a literal would be a DECIMAL.
    return _cast(exp.Literal.string(repr(value)), kind)


def _cast(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=value, to=data_type(kind).copy())
