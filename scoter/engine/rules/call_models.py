"""Replace model calls by DuckDB functions: which value goes to which input, by number, name and type.

This module must not know how a model runs, nor how types are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.binding import Binder, data_type, marked, marker_types, substitute, typed_null
from scoter.engine.dialect import Scoter
from scoter.engine.functions import NOW
from scoter.engine.gate import function_name
from scoter.engine.plan import ModelCall, ModelPin
from scoter.engine.relations import is_row_and_column, relations_of
from scoter.engine.replacing import put
from scoter.engine.resolve import MODEL, Resolved
from scoter.engine.rules.inline_linear import can_inline, inlined
from scoter.engine.rules.pin_session import is_constant
from scoter.engine.rules.score_once import VOLATILE_CALL, is_volatile
from scoter.engine.rules.unfold import GROWING
from scoter.engine.statements import WRITTEN, Predict, span_of
from scoter.engine.table_calls import BESIDE
from scoter.errors import NotSupported, Span, TypeMismatch, WrongArguments
from scoter.suggestions import closest
from scoter.udfs.functions import UNFIT, Function
from scoter.udfs.linear import Linear
from scoter.udfs.signature import Input, Signature

ROWS = "scoter_rows"
_GIVEN = "scoter_given"
_VERBS = {"predict": "predict", "proba": "predict_proba", "all": "predict_all", "try": "try_predict"}

_NUMBERS = frozenset(
    {
        exp.DType.TINYINT,
        exp.DType.SMALLINT,
        exp.DType.INT,
        exp.DType.BIGINT,
        exp.DType.INT128,
        exp.DType.UTINYINT,
        exp.DType.USMALLINT,
        exp.DType.UINT,
        exp.DType.UBIGINT,
        exp.DType.UINT128,
        exp.DType.FLOAT,
        exp.DType.DOUBLE,
        exp.DType.DECIMAL,
        exp.DType.BOOLEAN,
    }
)
_TEXTS = frozenset({exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.CHAR, exp.DType.UUID})


@dataclass(frozen=True)
class _Value:
    """One value that a call offers: an expression, its DuckDB type, and its name where it has one."""

    expression: exp.Expr
    type: str
    name: str | None


def function_of(call: Predict, version: ModelVersion) -> Function:
    """Return the function that a call runs; raises NotSupported, WrongArguments."""
    signature = Signature.from_json(version.signature)
    label = call.class_label
    kind = "predict" if call.kind == "try" else call.kind
    function = Function(version.sha256, signature, kind, tries=call.tries)
    try:
        _ = function.return_type
    except NotSupported as error:
        error.span = span_of(call)
        raise
    if label is None:
        return function
    if not isinstance(label, exp.Literal):
        raise NotSupported("class => takes a constant", span=span_of(call))
    known = [str(value) for value in signature.labels]
    if label.name not in known:
        raise WrongArguments(
            f"{version.model} has no class {label.name}",
            hint=closest(label.name, known) or f"its classes are {', '.join(known[:20])}",
            span=span_of(call),
        )
    return Function(version.sha256, signature, "proba_class", label.name)


def argument_types(
    binder: Binder, tree: exp.Expr, resolved: Resolved, parameters: Mapping[str, str]
) -> dict[int, tuple[str, ...]]:
    """Return the DuckDB types of every call's arguments, by the call's number in the statement.

    ``tree`` has typed empty relations for tables. DuckDB's binder answers for all calls at once.
    """
    calls = list(tree.find_all(Predict))
    if not calls:
        return {}
    keys: dict[tuple[int, str], int] = {}
    numbers: dict[int, int] = {}
    for call in calls:
        scope = call.find_ancestor(exp.Select)
        # Equal calls of one SELECT share a marker, so that GROUP BY still finds them equal.
        numbers[id(call)] = keys.setdefault((id(scope), call.sql(dialect=Scoter)), len(keys))
    probe = substitute(
        _without_calls(tree, resolved, numbers), lambda _, name: typed_null(parameters.get(name, '"NULL"'))
    )
    binder.columns(probe.copy(), tree)
    types = marker_types(binder.serialise(probe))
    found: dict[int, tuple[str, ...]] = {}
    for call in calls:
        number = numbers[id(call)]
        keys_of = [f"{number}_{j}" for j in range(len(call.arguments))]
        if all(key in types for key in keys_of):
            found[_number(call)] = tuple(types[key] for key in keys_of)
        else:
            found[_number(call)] = _constant_types(binder, call, resolved, parameters)
    return found


def _constant_types(
    binder: Binder, call: Predict, resolved: Resolved, parameters: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the types of arguments that DuckDB folded away while binding, which only constants are."""
    query = _without_calls(exp.Select(expressions=[a.copy() for a in call.arguments]), resolved, {})
    typed = substitute(query, lambda _, name: typed_null(parameters.get(name, '"NULL"')))
    return binder.columns(typed, call).texts


def without_calls(tree: exp.Expr, resolved: Resolved) -> exp.Expr:
    """Return a copy of ``tree`` with every call replaced by a NULL of its type that still binds its arguments."""
    return _without_calls(tree, resolved, {})


def _without_calls(tree: exp.Expr, resolved: Resolved, numbers: Mapping[int, int]) -> exp.Expr:
    copied = tree.copy()
    originals = list(tree.find_all(Predict, bfs=False))
    copies = list(copied.find_all(Predict, bfs=False))
    # Inner calls first: an outer call's arguments then hold no call any more.
    for original, call in reversed(list(zip(originals, copies, strict=True))):
        number = numbers.get(id(original))
        kind = function_of(original, resolved.model(original)).return_type
        parts = [
            argument if number is None else marked(argument, f"{number}_{j}")
            for j, argument in enumerate(call.arguments)
        ]
        binds = exp.Anonymous(
            this="struct_pack",
            expressions=[
                exp.PropertyEQ(this=exp.to_identifier(f"a{j}"), expression=part)
                for j, part in enumerate(parts)
            ],
        )
        standing = exp.Case(
            ifs=[exp.If(this=exp.Is(this=binds, expression=exp.Null()), true=typed_null(kind))]
        )
        if call is copied:
            return standing
        put(call, standing)
    return copied


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


def linear_calls(tree: exp.Expr, resolved: Resolved) -> dict[int, Linear]:
    """Return the calls of linear models that can be written as SQL, by identity."""
    found = {}
    for call in tree.find_all(Predict):
        version = resolved.model(call)
        if version.facts.linear is not None:
            linear = Linear.from_json(version.facts.linear)
            if can_inline(call, function_of(call, version), linear):
                found[id(call)] = linear
    return found


def call_models(
    tree: exp.Expr,
    resolved: Resolved,
    types: Mapping[int, tuple[str, ...]],
    *,
    volatile: bool = False,
    inline: bool = False,
) -> tuple[exp.Expr, tuple[ModelCall, ...]]:
    """Replace every call by its DuckDB function over one STRUCT of cast arguments.

    With ``volatile`` every call is volatile, so that DuckDB runs no model while it only plans; with ``inline``
    linear models are computed in SQL.
    Raises WrongArguments for a wrong number or unknown names, TypeMismatch for a type that does not
    fit, each with the place of the call.
    """
    used: dict[tuple[str, bool], ModelCall] = {}
    linear = linear_calls(tree, resolved) if inline else {}
    for call in reversed(list(tree.find_all(Predict, bfs=False))):
        version = resolved.model(call)
        function = function_of(call, version)
        number = _number(call)
        struct = _struct(call, version, function.signature, types[number], resolved)
        once = volatile or bool(call.meta.get(VOLATILE_CALL))
        name = function.name + ("_v" if once else "")
        pin = ModelPin(version.model, version.version, version.sha256, resolved.written[number])
        used.setdefault(
            (name, once),
            ModelCall(pin, function, once, golden=version.facts.verify, inlined=id(call) in linear),
        )
        new: exp.Expr = exp.Anonymous(this=name, expressions=[struct])
        if id(call) in linear:
            values = [field.expression for field in struct.expressions]
            new = inlined(function, linear[id(call)], values, new)
        if call is tree:
            return new, tuple(used.values())
        put(call, new)
    return tree, tuple(used.values())


def first_places(tree: exp.Expr, resolved: Resolved) -> dict[str, Span]:
    """Return where each function is called first in a statement as written, by the function's name."""
    found: dict[str, Span] = {}
    for call in tree.find_all(Predict):
        span = span_of(call)
        name = function_of(call, resolved.model(call)).name
        if span is not None and (name not in found or span < found[name]):
            found[name] = span
    return found


def _number(call: Predict) -> int:
    return int(call.meta[MODEL])


def _struct(
    call: Predict, version: ModelVersion, signature: Signature, types: Sequence[str], resolved: Resolved
) -> exp.Expr:
    span = span_of(call)
    values = _bound(call, version, signature, types, span, resolved)
    for wanted, value in zip(signature.inputs, values, strict=True):
        _check_type(wanted, value, version, span)
    if not call.tries:
        parts = {
            f"i{place}": value.expression if _is_of(value, wanted) else _cast(value.expression, wanted)
            for place, (wanted, value) in enumerate(zip(signature.inputs, values, strict=True))
        }
        return _struct_pack(parts)
    if not is_volatile(call):
        return _tried(signature, values)
    # Each value stands twice there, and must be the same both times.
    given = [
        replace(value, expression=exp.column(f"v{place}", table=_GIVEN)) for place, value in enumerate(values)
    ]
    rows = exp.Array(
        expressions=[_struct_pack({f"v{i}": value.expression for i, value in enumerate(values)})]
    )
    each = exp.Lambda(this=_tried(signature, given), expressions=[exp.to_identifier(_GIVEN)])
    tried = exp.Anonymous(this="list_transform", expressions=[rows, each])
    return exp.Bracket(this=tried, expressions=[exp.Literal.number(1)])


def _tried(signature: Signature, values: Sequence[_Value]) -> exp.Expr:
    """Return the argument of a function that tries: NULL for a value that does not fit, and whose that is."""
    parts: dict[str, exp.Expr] = {}
    unfit: list[exp.If] = []
    for place, (wanted, value) in enumerate(zip(signature.inputs, values, strict=True)):
        parts[f"i{place}"] = value.expression
        if not _is_of(value, wanted):
            parts[f"i{place}"] = fitting = exp.TryCast(
                this=value.expression, to=data_type(wanted.type).copy()
            )
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


def _is_of(value: _Value, wanted: Input) -> bool:
    return data_type(value.type) == data_type(wanted.type)


def _cast(value: exp.Expr, wanted: Input) -> exp.Expr:
    return exp.Cast(this=value, to=data_type(wanted.type).copy())


def _bound(
    call: Predict,
    version: ModelVersion,
    signature: Signature,
    types: Sequence[str],
    span: Span | None,
    resolved: Resolved,
) -> list[_Value]:
    kinds = [data_type(text) for text in types]
    rows = [kind.this == exp.DType.STRUCT for kind in kinds]
    if rows and all(rows) and (len(rows) == 1 or ROWS in call.meta):
        return _by_name(call, version, signature, kinds, span, resolved)
    if any(rows):
        raise WrongArguments(
            f"{version.model} takes either one row or one value for each input",
            hint=_usage(signature),
            span=span,
        )
    if len(types) != len(signature.inputs):
        raise WrongArguments(
            f"{version.model}@{version.version} takes {len(signature.inputs)} arguments, {len(types)} are given",
            hint=_usage(signature),
            span=span,
        )
    return [_Value(a, t, None) for a, t in zip(call.arguments, types, strict=True)]


def _by_name(
    call: Predict,
    version: ModelVersion,
    signature: Signature,
    kinds: Sequence[exp.DataType],
    span: Span | None,
    resolved: Resolved,
) -> list[_Value]:
    if not signature.named:
        raise WrongArguments(
            f"the inputs of {version.model}@{version.version} have no names, so a row can not be bound",
            hint="pass the values by position, or name them with INPUT (…) in CREATE MODEL",
            span=span,
        )
    offered: dict[str, list[_Value]] = {}
    for argument, kind in zip(call.arguments, kinds, strict=True):
        for field in kind.expressions:
            value = _Value(
                _field(argument, field.name, resolved), field.args["kind"].sql(dialect="duckdb"), field.name
            )
            offered.setdefault(_plain(field.name), []).append(value)
            if field.name.casefold() in call.meta.get(BESIDE, ()):
                raise WrongArguments(
                    f"the rows have a column {field.name}, as a result of {version.model} is called",
                    hint="leave it out with keep_original_columns, or rename it in TABLE (SELECT …)",
                    span=span,
                )
    bound = []
    for wanted in signature.inputs:
        found = offered.get(_plain(wanted.name), [])
        if len(found) > 1 and _is_merged(call, found):
            # The column that USING or NATURAL made of several: it has no table.
            column = exp.column(exp.Identifier(this=found[0].name, quoted=True))
            found = [_Value(column, found[0].type, found[0].name)]
        exact = [value for value in found if value.name == wanted.name]
        if len(found) > 1 and len(exact) != 1:
            raise WrongArguments(
                f"input {wanted.name} of {version.model} fits more than one column",
                hint="pass a struct such as {'" + wanted.name + "': …}",
                span=span,
            )
        if not found:
            names = [value.name or "" for values in offered.values() for value in values]
            raise WrongArguments(
                f"the row has no column {wanted.name}, which {version.model}@{version.version} needs",
                hint=closest(wanted.name, names) or _usage(signature),
                span=span,
            )
        bound.append(exact[0] if exact else found[0])
    return bound


def _is_merged(call: Predict, found: Sequence[_Value]) -> bool:
    merged = call.meta.get(ROWS, ())
    names = {(value.name or "").casefold() for value in found}
    return len(names) == 1 and ("*" in merged or names <= set(merged))


def _field(row: exp.Expr, name: str, resolved: Resolved) -> exp.Expr:
    """Return the expression of one field of a row: a table's column, a literal's value, or an extract."""
    if isinstance(row, exp.Column) and not row.table and not is_row_and_column(row.name, row, resolved):
        return exp.column(exp.to_identifier(name, quoted=True), table=row.this.copy())
    if isinstance(row, exp.Struct):
        for part in row.expressions:
            if isinstance(part, exp.PropertyEQ) and part.name == name:
                value: exp.Expr = part.expression.copy()
                return value
    return exp.Anonymous(this="struct_extract", expressions=[row.copy(), exp.Literal.string(name)])


def _plain(name: str) -> str:
    """Fold a name as exporters do: they turn every other sign than letters and digits into `_`."""
    return "".join(c if c.isalnum() else "_" for c in name.casefold())


def _check_type(wanted: Input, value: _Value, version: ModelVersion, span: Span | None) -> None:
    given = data_type(value.type).this
    if given == exp.DType.NULL:
        return
    target = data_type(wanted.type).this
    if target in _TEXTS:
        fits = given in _TEXTS or value.type.upper().startswith(("ENUM", "VARCHAR"))
    elif target == exp.DType.BOOLEAN:
        fits = given == exp.DType.BOOLEAN
    else:
        fits = given in _NUMBERS
    if not fits:
        raise TypeMismatch(
            f"input {wanted.name} of {version.model}@{version.version} is {wanted.type}, the argument is {value.type}",
            hint=f"write CAST(… AS {wanted.type}) if that is meant",
            span=span_of(value.expression) or span,
        )


def _usage(signature: Signature) -> str:
    return "its inputs are " + ", ".join(f"{i.name} {i.type}" for i in signature.inputs)
