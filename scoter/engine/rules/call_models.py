"""Replace model calls by DuckDB functions: which value goes to which input, by number, name and type.

This module must not know how a model runs, nor how types are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.arguments import ROWS, Value, bound, check_type
from scoter.engine.binding import data_type
from scoter.engine.call_sites import is_volatile
from scoter.engine.functions import NOW
from scoter.engine.gate import function_name
from scoter.engine.logic import Logic, logic_of
from scoter.engine.marks import VOLATILE_CALL
from scoter.engine.plan import ModelCall, ModelPin
from scoter.engine.relations import is_row_and_column, relations_of
from scoter.engine.replacing import put
from scoter.engine.resolve import MODEL, Resolved
from scoter.engine.rules.inline_linear import can_inline, inlined
from scoter.engine.rules.pin_session import is_constant
from scoter.engine.rules.unfold import GROWING
from scoter.engine.statements import WRITTEN, Predict, span_of
from scoter.errors import NotSupported, Span, WrongArguments
from scoter.suggestions import closest
from scoter.udfs.functions import UNFIT, Function
from scoter.udfs.linear import Linear
from scoter.udfs.signature import Input, Signature

_GIVEN = "scoter_given"
_VERBS = {"predict": "predict", "proba": "predict_proba", "all": "predict_all", "try": "try_predict"}


def result_type(call: Predict, version: ModelVersion) -> str:
    """Return the DuckDB type of a call; raises NotSupported, WrongArguments."""
    logic = _logic_behind(call, version)
    return function_of(call, version).return_type if logic is None else str(logic.type)


def _logic_behind(call: Predict, version: ModelVersion) -> Logic | None:
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
    if _logic_behind(call, version) is not None:
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


def expand_stars(tree: exp.Expr, resolved: Resolved) -> None:
    """Replace ``PREDICT('m', *)`` by the rows of every table of its SELECT, ``t.*`` by that of t, in place.

    Raises WrongArguments where the star is not alone, leaves columns out, or where a column has the
    name of the row.
    """
    for call in tree.find_all(Predict):
        stars = [argument for argument in call.arguments if _star(argument) is not None]
        if not stars:
            continue
        select = call.find_ancestor(exp.Select)
        if len(call.arguments) != 1 or select is None:
            raise WrongArguments("* stands alone in a model call", span=span_of(call))
        star = _star(stars[0])
        if star is not None and any(star.args.get(key) for key in ("except_", "replace", "rename")):
            raise WrongArguments(
                "* in a model call is of all columns", hint="write a struct", span=span_of(call)
            )
        relations = list(relations_of(select))
        if not relations:
            raise WrongArguments("* needs a FROM", span=span_of(call))
        whole = isinstance(stars[0], exp.Star)
        names = [r.alias_or_name for r in relations] if whole else [stars[0].args["table"].name]
        for name in names:
            if not name:
                raise WrongArguments(
                    "* needs a name for every relation", hint="write AS and an alias", span=span_of(call)
                )
            if is_row_and_column(name, call, resolved):
                raise WrongArguments(
                    f'"{name}" may be a column of the row "{name}", too',
                    hint="give the table another alias, or name its columns",
                    span=span_of(call),
                )
        if not whole:
            call.set("arguments", [exp.Column(this=stars[0].args["table"].copy())])
            continue
        call.set("arguments", [exp.column(name) for name in names])
        joins = select.args.get("joins") or []
        natural = any(str(join.args.get("method", "")).upper() == "NATURAL" for join in joins)
        merged = [column.name.casefold() for join in joins for column in join.args.get("using") or []]
        call.meta[ROWS] = ("*",) if natural else tuple(merged)


def _star(argument: exp.Expr) -> exp.Star | None:
    inner = argument.this if isinstance(argument, exp.Column) else argument
    return inner if isinstance(inner, exp.Star) else None


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
    return frozenset(id(call) for call in calls if _logic_behind(call, resolved.model(call)) is not None)


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
        behind = _logic_behind(call, version)
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
    return [Value(each.expression, each.type, None, each.failed) for each in made]


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


def number_of(call: Predict) -> int:
    """Return which of the statement's calls a call is, or is a copy of."""
    return int(call.meta[MODEL])


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
    """Return the argument of a function that tries: NULL for a value that does not fit, and whose that is."""
    parts: dict[str, exp.Expr] = {}
    unfit: list[exp.If] = []
    for place, (wanted, value) in enumerate(zip(signature.inputs, values, strict=True)):
        parts[f"i{place}"] = value.expression
        if value.failed is not None:
            unfit.append(exp.If(this=value.failed, true=exp.Literal.number(place)))
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
