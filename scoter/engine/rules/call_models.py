"""Replace model calls by DuckDB functions: which value goes to which input, by number, name and type.

This module must not know how a model runs, nor how types are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.arguments import Value, bound, check_type
from scoter.engine.binding import data_type
from scoter.engine.call_sites import is_volatile
from scoter.engine.logic import Logic, logic_of
from scoter.engine.marks import VOLATILE_CALL
from scoter.engine.model_functions import function_of, logic_behind, number_of
from scoter.engine.plan import ModelCall, ModelPin
from scoter.engine.replacing import put
from scoter.engine.resolved import Resolved
from scoter.engine.rules.inline_linear import can_inline, inlined
from scoter.engine.statements import Predict, span_of
from scoter.errors import NotSupported, Span
from scoter.udfs.functions import UNFIT, Function
from scoter.udfs.linear import Linear
from scoter.udfs.signature import Input, Signature

_GIVEN = "scoter_given"


def linear_calls(
    tree: exp.Expr, resolved: Resolved, types: Mapping[int, tuple[str, ...]]
) -> dict[int, Linear]:
    """Return the calls of linear models that can be written as SQL, by identity."""
    found = {}
    for call in tree.find_all(Predict):
        version = resolved.model(call)
        if version.facts.linear is not None:
            linear = Linear.from_json(version.facts.linear)
            function, _ = _called(call, version, types, resolved)
            if can_inline(call, function, linear):
                found[id(call)] = linear
    return found


def logic_calls(tree: exp.Expr, resolved: Resolved) -> frozenset[int]:
    """Return the calls whose value the logic of a version makes of the model's outputs, by identity."""
    calls = tree.find_all(Predict)
    return frozenset(id(call) for call in calls if logic_behind(call, resolved.model(call)) is not None)


def call_models(
    tree: exp.Expr,
    resolved: Resolved,
    types: Mapping[int, tuple[str, ...]],
    *,
    volatile: bool = False,
    inline: bool = False,
) -> tuple[exp.Expr, tuple[ModelCall, ...]]:
    """Replace every call by its DuckDB function over one STRUCT of cast arguments.

    With ``volatile`` calls on constants are volatile, so that DuckDB runs no model while it only plans; with ``inline``
    linear models are computed in SQL.
    Raises WrongArguments for a wrong number or unknown names, TypeMismatch for a type that does not
    fit, each with the place of the call.
    """
    used: dict[tuple[str, bool], ModelCall] = {}
    linear = linear_calls(tree, resolved, types) if inline else {}
    for call in reversed(list(tree.find_all(Predict, bfs=False))):
        version = resolved.model(call)
        function, values = _called(call, version, types, resolved)
        number = number_of(call)
        struct = _struct(call, version, function.signature, values)
        folds = volatile and call.find(exp.Column) is None
        once = folds or bool(call.meta.get(VOLATILE_CALL))
        name = function.name + ("_v" if once else "")
        pin = ModelPin(version.model, version.version, version.sha256, resolved.written[number])
        proven = None if version.facts.verify is None else version
        used.setdefault(
            (name, once), ModelCall(pin, function, once, proven=proven, inlined=id(call) in linear)
        )
        new: exp.Expr = exp.Anonymous(this=name, expressions=[struct])
        if id(call) in linear:
            given = [field.expression for field in struct.expressions]
            new = inlined(function, linear[id(call)], given, new)
        behind = logic_behind(call, version)
        if behind is not None:
            new = behind.result(new, function.signature, tries=call.tries)
        if call is tree:
            return new, tuple(used.values())
        put(call, new)
    return tree, tuple(used.values())


def _called(
    call: Predict, version: ModelVersion, types: Mapping[int, tuple[str, ...]], resolved: Resolved
) -> tuple[Function, list[Value]]:
    """Return the function that fits what a call gives, and the values that it gives in order."""
    function = function_of(call, version)
    given = types[number_of(call)]
    logic = logic_of(version)
    if logic is not None and logic.before:
        return function, _before(call, version, logic, function.signature, given, resolved)
    signature, values = bound(call, version, function.signature, given, span_of(call), resolved)
    return replace(function, signature=signature), values


def _before(
    call: Predict,
    version: ModelVersion,
    logic: Logic,
    signature: Signature,
    types: Sequence[str],
    resolved: Resolved,
) -> list[Value]:
    """Return the values of the model's inputs that its version makes of what a call gives."""
    span = span_of(call)
    if is_volatile(call):
        raise NotSupported(
            f"a value that is another one each time is not given to {version.model}@{version.version}",
            hint="its pre may read a value several times; compute it in a MATERIALIZED common table expression",
            span=span,
        )
    outside = logic.outside(signature)
    _, given = bound(call, version, outside, types, span, resolved)
    for wanted, value in zip(outside.inputs, given, strict=True):
        check_type(wanted, value, version, span)
    made = logic.values(signature, [value.expression for value in given], tries=call.tries)
    return [Value(each.expression, each.type, None, each.failed, each.passes) for each in made]


def given_by(call: Predict, resolved: Resolved, types: Mapping[int, tuple[str, ...]]) -> Sequence[exp.Expr]:
    """Return what a call gives: the model version, and the values of its inputs in order."""
    version = resolved.model(call)
    function, values = _called(call, version, types, resolved)
    inputs = (each.argument for each in function.signature.inputs)
    named = exp.Literal.string(" ".join([f"{version.model}@{version.version}", version.sha256, *inputs]))
    return [named, *(value.expression for value in values)]


def first_places(tree: exp.Expr, resolved: Resolved, types: Mapping[int, tuple[str, ...]]) -> dict[str, Span]:
    """Return where each function is called first in a statement as written, by the function's name."""
    found: dict[str, Span] = {}
    for call in tree.find_all(Predict):
        span = span_of(call)
        function, _ = _called(call, resolved.model(call), types, resolved)
        name = function.name
        if span is not None and (name not in found or span < found[name]):
            found[name] = span
    return found


def _struct(call: Predict, version: ModelVersion, signature: Signature, values: Sequence[Value]) -> exp.Expr:
    for wanted, value in zip(signature.inputs, values, strict=True):
        check_type(wanted, value, version, span_of(call))
    if not call.tries:
        cast = {
            f"i{place}": value.expression if _is_of(value, wanted) else _cast(value.expression, wanted)
            for place, (wanted, value) in enumerate(zip(signature.inputs, values, strict=True))
        }
        return _struct_pack(cast)
    plain = all(
        isinstance(value.expression, exp.Column) or not _is_nested(wanted) or _is_of(value, wanted)
        for wanted, value in zip(signature.inputs, values, strict=True)
    )
    if plain and not is_volatile(call):
        return _tried(signature, values)
    # Each value stands twice there, and must be the same both times; TRY takes no subquery and no volatile function.
    parts: dict[str, exp.Expr] = {}
    given = []
    for place, value in enumerate(values):
        parts[f"v{place}"] = value.expression
        failed = None
        if value.failed is not None:
            parts[f"f{place}"] = value.failed
            failed = exp.column(f"f{place}", table=_GIVEN)
        given.append(replace(value, expression=exp.column(f"v{place}", table=_GIVEN), failed=failed))
    rows = exp.Array(expressions=[_struct_pack(parts)])
    each = exp.Lambda(this=_tried(signature, given), expressions=[exp.to_identifier(_GIVEN)])
    tried = exp.Anonymous(this="list_transform", expressions=[rows, each])
    return exp.Bracket(this=tried, expressions=[exp.Literal.number(1)])


def _tried(signature: Signature, values: Sequence[Value]) -> exp.Expr:
    """Return the argument of a function that tries: NULL for a value that does not fit, and whose that is.

    An input is told by its place, and by as much more as there are inputs where its value could not be made.
    """
    parts: dict[str, exp.Expr] = {}
    unfit: list[exp.If] = []
    for place, (wanted, value) in enumerate(zip(signature.inputs, values, strict=True)):
        parts[f"i{place}"] = value.expression
        if value.failed is not None:
            number = place if value.passes else len(values) + place
            unfit.append(exp.If(this=value.failed, true=exp.Literal.number(number)))
        if not _is_of(value, wanted):
            # Of a list or a map TRY_CAST gives one with NULL in the place of what does not fit.
            nested = _is_nested(wanted)
            cast = (exp.Cast if nested else exp.TryCast)(
                this=value.expression, to=data_type(wanted.argument).copy()
            )
            fitting = exp.Try(this=cast) if nested else cast
            parts[f"i{place}"] = fitting
            held = exp.Paren(this=value.expression.copy())
            lost = exp.And(
                this=exp.Not(this=exp.Is(this=held, expression=exp.Null())),
                expression=exp.Is(this=fitting.copy(), expression=exp.Null()),
            )
            unfit.append(exp.If(this=lost, true=exp.Literal.number(place)))
    which = exp.Case(ifs=unfit) if unfit else exp.Null()
    return _struct_pack({**parts, UNFIT: exp.Cast(this=which, to=data_type("INTEGER").copy())})


def _struct_pack(parts: Mapping[str, exp.Expr]) -> exp.Expr:
    fields = [exp.PropertyEQ(this=exp.to_identifier(name), expression=part) for name, part in parts.items()]
    return exp.Anonymous(this="struct_pack", expressions=fields)


def _is_of(value: Value, wanted: Input) -> bool:
    return data_type(value.type) == data_type(wanted.argument)


def _is_nested(wanted: Input) -> bool:
    return wanted.depth > 0 or data_type(wanted.argument).this == exp.DType.MAP


def _cast(value: exp.Expr, wanted: Input) -> exp.Expr:
    return exp.Cast(this=value, to=data_type(wanted.argument).copy())
