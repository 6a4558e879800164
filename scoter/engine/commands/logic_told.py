"""The logic that WITH (pre = {…}, post = …) gives a version: checked here, and typed by DuckDB's binder.

This module must not know how it is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from scoter.engine.binding import Binder, typed_null, uses_time_zone
from scoter.engine.commands.constants import pairs
from scoter.engine.dialect import Scoter
from scoter.engine.functions import AGGREGATES, NOW, SCALARS, SESSION, VOLATILE
from scoter.engine.gate import function_name
from scoter.engine.logic import Logic, Step, columns_in
from scoter.engine.statements import Predict, span_of
from scoter.errors import InvalidDefinition, NotSupported, ScoterError, TypeMismatch, UndefinedColumn
from scoter.suggestions import closest
from scoter.udfs.declared import DeclaredInput
from scoter.udfs.signature import Signature

# A lambda's variable could stand for a caller's column, and so could the name before a method.
_NOT_HERE = (
    exp.Query, exp.Window, exp.Placeholder, exp.Star, exp.Columns, exp.Lambda, exp.Comprehension, exp.Dot, exp.Any,
    Predict,
)  # fmt: skip
_ROWS = frozenset({"unnest", "generate_subscripts"})
# Sums of integers, which no model takes; what does not fit is an error.
_SMALLER = {"HUGEINT": "BIGINT", "UHUGEINT": "UBIGINT"}
_EXAMPLE = "{age: least(years, 100)}"


def logic_before(
    pre: exp.Expr, declared: Sequence[DeclaredInput], binder: Binder
) -> tuple[Logic, tuple[DeclaredInput, ...]]:
    """Return the logic of ``pre``, and the inputs that the model itself is asked for.

    These are the names in ``pre``, and the inputs in ``declared`` that it does not read. Raises InvalidDefinition,
    UndefinedColumn, NotSupported, and what DuckDB's binder says.
    """
    if not declared:
        raise InvalidDefinition(
            "pre needs INPUT: the names and types of what callers give", span=span_of(pre)
        )
    given = {each.name.casefold(): each for each in declared}
    for place, each in enumerate(declared):
        if each.name.casefold() in {other.name.casefold() for other in declared[:place]}:
            raise InvalidDefinition(f'INPUT names "{each.name}" twice', span=each.span)
    expressions = dict(pairs("pre", _EXAMPLE, pre))
    if len({name.casefold() for name in expressions}) < len(expressions):
        raise InvalidDefinition("pre names an input twice", span=span_of(pre))
    read: set[str] = set()
    for expression in expressions.values():
        _check(expression, [each.name for each in declared], "INPUT")
        read |= {column.name.casefold() for column in columns_in(expression)}
    columns = [exp.column(exp.to_identifier(each.name, quoted=True)) for each in declared]
    # The first types are those of INPUT as DuckDB spells them.
    types = _types([*columns, *expressions.values()], [(each.name, each.type) for each in declared], binder)
    inputs = tuple(zip((each.name for each in declared), types, strict=False))
    made = {name.casefold() for name in expressions}
    for each in declared:
        if each.on_null.upper() != "NULL" and each.name.casefold() in read - made:
            raise InvalidDefinition(
                f'ON NULL of "{each.name}" has no meaning: the model does not take it',
                hint=f"write coalesce({each.name}, …) in pre",
                span=each.span,
            )
    steps = [
        Step(name, _text(expression), kind)
        for (name, expression), kind in zip(expressions.items(), types[len(declared) :], strict=True)
    ]
    asked = [
        DeclaredInput(
            step.name,
            _SMALLER.get(step.type, step.type),
            _on_null(given.get(step.name.casefold())),
            span_of(expression) or span_of(pre),
        )
        for step, expression in zip(steps, expressions.values(), strict=True)
    ]
    asked += [each for each in declared if each.name.casefold() not in read | made]
    return Logic(inputs, tuple(steps)), tuple(asked)


def logic_behind(logic: Logic, post: exp.Expr, signature: Signature, binder: Binder) -> Logic:
    """Return ``logic`` with the expression over the model's outputs; raises as ``logic_before`` does."""
    outputs = [(output.name, output.type) for output in signature.outputs]
    _check(post, [name for name, _ in outputs], "the model's outputs")
    (kind,) = _types([post], outputs, binder)
    if kind == '"NULL"':
        raise InvalidDefinition("post has no type", hint="write a cast", span=span_of(post))
    return replace(logic, behind=_text(post), type=kind)


def _on_null(declared: DeclaredInput | None) -> str:
    return "NULL" if declared is None else declared.on_null


def _text(expression: exp.Expr) -> str:
    return Scoter().generate(expression, comments=False)


def _check(expression: exp.Expr, names: Sequence[str], where: str) -> None:
    known = {name.casefold() for name in names}
    for node in expression.walk():
        name = function_name(node)
        if isinstance(node, _NOT_HERE) or (
            name is not None
            and (name not in SCALARS or name in VOLATILE | NOW | SESSION | AGGREGATES | _ROWS)
        ):
            raise NotSupported(
                "pre and post are scalar expressions that give the same value each time, without lambdas and methods",
                hint="a field of a struct is s['field']" if isinstance(node, exp.Dot) else None,
                span=span_of(node) or span_of(expression),
            )
    for column in columns_in(expression):
        if column.table:
            raise UndefinedColumn(
                f'"{column.table}.{column.name}" has a table, where names stand alone',
                hint=f"a field of a struct is {column.table}['{column.name}']"
                if column.table.casefold() in known
                else f"there are: {', '.join(names)}",
                span=span_of(column),
            )
        if column.name.casefold() not in known:
            raise UndefinedColumn(
                f'"{column.name}" is not in {where}',
                hint=closest(column.name, list(names)) or f"there are: {', '.join(names)}",
                span=span_of(column),
            )


def _types(
    expressions: Sequence[exp.Expr], columns: Sequence[tuple[str, str]], binder: Binder
) -> tuple[str, ...]:
    rows = exp.Select(expressions=[exp.alias_(typed_null(kind), name, quoted=True) for name, kind in columns])
    query = _over(rows, expressions)
    origin = exp.Tuple(expressions=list(expressions)).copy()
    try:
        found = binder.columns(query.copy(), origin).texts
    except ScoterError as error:
        error.span = error.span or span_of(expressions[0])
        raise
    _check_casts(expressions, rows, binder)
    if uses_time_zone(binder.serialise(query)):
        raise NotSupported(
            "pre and post give the same value in every time zone, and a TIMESTAMPTZ is read in that of the session",
            hint="take a TIMESTAMP in INPUT, and call with t AT TIME ZONE 'UTC'",
            span=next((span_of(each) for each in reversed(expressions) if span_of(each)), None),
        )
    return found


def _over(rows: exp.Select, expressions: Sequence[exp.Expr]) -> exp.Select:
    named = [exp.alias_(expression.copy(), f"e{place}") for place, expression in enumerate(expressions)]
    given = exp.Subquery(this=rows.copy(), alias=exp.TableAlias(this=exp.to_identifier("given")))
    return exp.Select(expressions=named, from_=exp.From(this=given))


def _check_casts(expressions: Sequence[exp.Expr], rows: exp.Select, binder: Binder) -> None:
    """Raise TypeMismatch for a cast that no value can pass."""
    casts = [cast for expression in expressions for cast in expression.find_all(exp.Cast)]
    casts = [cast for cast in casts if not isinstance(cast, exp.TryCast)]
    if not casts:
        return
    types = binder.columns(_over(rows, [*(cast.this for cast in casts), *casts]), exp.Tuple()).texts
    for cast, source, target in zip(casts, types, types[len(casts) :], strict=False):
        if not binder.casts(source, target):
            raise TypeMismatch(
                f"{source} can not be cast to {target}", span=span_of(cast) or span_of(cast.this)
            )
