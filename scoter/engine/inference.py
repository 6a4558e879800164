"""The types of parameters, from what stands around them.

DuckDB's binder is asked first. What it leaves open takes the type of the operand beside it, of what
it is compared with, or of the function's argument; where that would be a guess, a cast is asked for.
This module must not know where tables live or how values are bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlglot import exp

from scoter.engine.binding import (
    UNTYPED,
    Binder,
    marked,
    marker_types,
    parameter_name,
    parameter_types,
    parameters_of,
    substitute,
    typed_null,
)
from scoter.engine.statements import span_of
from scoter.errors import UndefinedColumn, UnknownParameterType

# Functions whose arguments have one type, which is that of the result.
_ALIKE = frozenset({"coalesce", "ifnull", "nullif", "greatest", "least"})
# Functions whose result has the type of the argument at this position.
_KEPT = {
    "abs": 0,
    "round": 0,
    "floor": 0,
    "ceil": 0,
    "ceiling": 0,
    "trunc": 0,
    "date_trunc": 1,
    "datetrunc": 1,
}
_TEXTS = frozenset({"concat", "concat_ws"})
_TEMPORAL = ("DATE", "TIME", "TIMESTAMP", "INTERVAL")
_GENERIC = ("ANY", "DECIMAL", "STRUCT", "TUPLE", "MAP", "LAMBDA", "UNION", "ENUM", "NULL")
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_SIDES = (exp.Add, exp.Sub)
# What has the type of its operands: while all of them are open, the whole is looked at.
_WHOLES = (
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.DPipe, exp.Anonymous, exp.Case, exp.If,
)  # fmt: skip

_SILENT = (exp.Placeholder, exp.Null, exp.Interval)

_Rule = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class _Place:
    """Where a parameter stands: what to look at, inside of what, and the type that follows from it."""

    around: exp.Expr
    beside: tuple[exp.Expr, ...]
    rule: _Rule


def infer_parameters(
    binder: Binder, query: exp.Expr, names: tuple[str, ...], known: dict[str, str]
) -> tuple[dict[str, str], frozenset[str]]:
    """Return the DuckDB type of every parameter of ``query``, and the names of those that no cast gives.

    ``known`` are types that the caller already has. Raises UnknownParameterType with a place and a hint.
    """
    types = dict(known)
    for node in parameters_of(query):
        if isinstance(node.parent, exp.Cast):
            types.setdefault(parameter_name(node), node.parent.to.sql(dialect="duckdb"))
    given = frozenset(types)
    before = -1
    # What one round finds lets DuckDB bind more in the next.
    while len(types) > before and any(name not in types for name in names):
        before = len(types)
        plan = binder.serialise(substitute(query, partial(_typed, types)))
        if not plan.get("error"):
            types |= {k: v for k, v in parameter_types(plan).items() if k not in types}
        if any(name not in types for name in names):
            types |= _from_places(binder, query, types)
    for node in parameters_of(query):
        if parameter_name(node) not in types:
            raise _unknown(binder, query, node, types)
    # A sum of integers is a HUGEINT, which is a decimal on the wire: drivers bind integers to integers.
    found = {k: "BIGINT" if v == "HUGEINT" and k not in given else v for k, v in types.items()}
    return found, frozenset(names) - given


def operands(expression: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the parameters that have the type of the whole expression, as those of a COALESCE."""
    match expression:
        case exp.Placeholder():
            yield expression
        case exp.Alias() | exp.Paren() | exp.Neg():
            yield from operands(expression.this)
        case exp.Case():
            for part in _branches(expression):
                yield from operands(part)
        case exp.Anonymous() if expression.name.casefold() in _ALIKE:
            for part in expression.expressions:
                yield from operands(part)


def _typed(types: Mapping[str, str], node: exp.Expr, name: str) -> exp.Expr:
    return typed_null(types[name]) if name in types else node


def _known_null(known: Mapping[str, str], _node: exp.Expr, name: str) -> exp.Expr:
    return typed_null(known.get(name, UNTYPED))


def _unknown(binder: Binder, query: exp.Expr, node: exp.Expr, types: Mapping[str, str]) -> Exception:
    """Return the request for a cast, or what else is wrong with the statement if DuckDB then finds that."""
    try:
        binder.columns(substitute(query, partial(_known_null, types)), query)
    except UndefinedColumn as error:
        return error
    except Exception as error:  # noqa: BLE001  # whatever an untyped NULL causes is not the user's fault
        del error
    name = parameter_name(node)
    hint = f"write CAST(${name} AS type), or CAST(? AS type)"
    if isinstance(_parent(node), _SIDES):
        hint += "; for a time span, INTERVAL (?) DAY"
    return UnknownParameterType(
        f"the type of parameter {name} can not be found from the statement", hint=hint, span=span_of(node)
    )


def _from_places(binder: Binder, query: exp.Expr, types: dict[str, str]) -> dict[str, str]:
    nodes = list(parameters_of(query))
    untyped = [number for number, node in enumerate(nodes) if parameter_name(node) not in types]
    places = {number: place for number in untyped if (place := _place(nodes[number], binder)) is not None}
    # What stands beside another open parameter is clearer when that one is known.
    waiting = {number for number, place in places.items() if _is_open(place, types)}
    found: dict[str, str] = {}
    for numbers in (sorted(places.keys() - waiting), sorted(waiting)):
        for number, kinds in _types_beside(binder, query, numbers, types) if not found else ():
            kind = places[number].rule(kinds)
            if kind is not None:
                found.setdefault(parameter_name(nodes[number]), kind)
    return found


def _is_open(place: _Place, types: Mapping[str, str]) -> bool:
    inside = (node for part in place.beside for node in part.find_all(exp.Placeholder))
    return any(node.this is not None and parameter_name(node) not in types for node in inside)


def _types_beside(
    binder: Binder, query: exp.Expr, numbers: Sequence[int], types: Mapping[str, str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield, for parameters by number, the types of what stands beside each; UNTYPED where DuckDB can not say.

    One plan tells all of them. Where it can not be made, because what stands around one parameter does not bind over
    an untyped NULL, each half is asked for itself.
    """
    kinds: dict[str, str] | None = {}
    if numbers:
        kinds = _marked_types(binder, query, numbers, types, whole=True)
    if kinds is None and len(numbers) > 1:
        middle = len(numbers) // 2
        yield from _types_beside(binder, query, numbers[:middle], types)
        yield from _types_beside(binder, query, numbers[middle:], types)
        return
    if kinds is None:
        kinds = _marked_types(binder, query, numbers, types, whole=False) or {}
    nodes = list(parameters_of(query))
    for number in numbers:
        place = _place(nodes[number], binder)
        count = len(place.beside) if place is not None else 0
        yield number, tuple(kinds.get(f"{number}_{i}", UNTYPED) for i in range(count))


def _marked_types(
    binder: Binder, query: exp.Expr, numbers: Sequence[int], types: Mapping[str, str], *, whole: bool
) -> dict[str, str] | None:
    """Return the types of what stands beside parameters, by parameter and position; None if that does not bind.

    Without ``whole`` what stands around a parameter is left out, and only what stands beside it is bound.
    """
    probe = query.copy()
    nodes = list(parameters_of(probe))
    asked: dict[int, tuple[exp.Expr, list[exp.If]]] = {}
    for number in numbers:
        place = _place(nodes[number], binder)
        for i, part in enumerate(place.beside if place is not None else ()):
            if place is not None and not isinstance(part, exp.Placeholder):
                # DuckDB folds an operation on NULL away while it binds; the CASE keeps the operands in the plan.
                is_null = exp.Is(this=marked(part.copy(), f"{number}_{i}"), expression=exp.Null())
                around, seen = asked.setdefault(id(place.around), (place.around, []))
                seen.append(exp.If(this=is_null, true=exp.Null()))
    for around, seen in asked.values():
        case = exp.Case(ifs=seen)
        around.replace(case)
        if whole:
            case.set("default", around)
    if not asked:
        return {}
    plan = binder.serialise(substitute(probe, partial(_known_null, types)))
    return None if plan.get("error") else marker_types(plan)


def _first(kinds: Sequence[str]) -> str | None:
    return next((kind for kind in kinds if kind not in {UNTYPED, "UNKNOWN"}), None)


def _parent(node: exp.Expr) -> exp.Expr | None:
    """Return what a node is an operand of, past parentheses and signs."""
    parent = node.parent
    while isinstance(parent, exp.Paren | exp.Neg):
        parent = parent.parent
    return parent


def _place(node: exp.Expr, binder: Binder) -> _Place | None:
    """Return the place from which a parameter takes its type; None where that would be a guess."""
    here = node
    while (parent := _parent(here)) is not None:
        within = here if here.parent is parent else _child(parent, here)
        beside = _operands_beside(parent, within)
        if beside is None:
            return _of_itself(parent, within, binder)
        telling = tuple(part for part in beside if not isinstance(part, _SILENT))
        if isinstance(parent, exp.DPipe) and any(part.is_string for part in telling):
            return _Place(parent, (), lambda _: "VARCHAR")
        if telling:
            return _Place(_whole(parent), telling, partial(_operand, parent))
        if not isinstance(parent, _WHOLES):
            return None
        # All beside it is open, too: the whole takes the type of what stands beside the whole.
        here = parent.parent if isinstance(parent, exp.If) and parent.parent is not None else parent
    return None


def _of_itself(parent: exp.Expr, node: exp.Expr, binder: Binder) -> _Place | None:
    """Return the place of a part whose type is not that of the parts beside it."""
    match parent:
        case exp.Interval():
            return _Place(parent, (), lambda _: "DOUBLE")
        case exp.AtTimeZone() if parent.args.get("zone") is node:
            return _Place(parent, (), lambda _: "VARCHAR")
        case exp.Any():
            return _list_of(parent)
        case exp.Tuple() | exp.Anonymous() if _is_row(parent):
            return _by_position(parent, node)
        case exp.Anonymous():
            return _argument(parent, node, binder)
    return None


def _child(parent: exp.Expr, node: exp.Expr) -> exp.Expr:
    while node.parent is not None and node.parent is not parent:
        node = node.parent
    return node


def _whole(parent: exp.Expr) -> exp.Expr:
    """Return the expression that can be wrapped: a CASE for its branch, a window for its function."""
    if isinstance(parent, exp.If) and isinstance(parent.parent, exp.Case):
        parent = parent.parent
    while isinstance(parent.parent, exp.Window | exp.Filter | exp.WithinGroup | exp.IgnoreNulls):
        parent = parent.parent
    return parent


def _operand(parent: exp.Expr, kinds: Sequence[str]) -> str | None:
    kind = _first(kinds)
    # A day less a day, a number of days or a time span: three meanings.
    if kind is not None and isinstance(parent, _SIDES) and kind.startswith(_TEMPORAL):
        return None
    return kind


def _operands_beside(parent: exp.Expr, node: exp.Expr) -> list[exp.Expr] | None:
    """Return the operands that have one type with ``node`` in ``parent``; None where there is no such rule."""
    match parent:
        case exp.PropertyEQ():
            return None
        case exp.Binary():
            sides = [parent.left, parent.right]
        case exp.Between():
            sides = [parent.this, parent.args["low"], parent.args["high"]]
        case exp.In():
            sides = [parent.this] if parent.args.get("query") is None else []
        case exp.Anonymous() if parent.name.casefold() in _ALIKE:
            sides = list(parent.expressions)
        case exp.Anonymous() if _climbs(parent, node):
            sides = []
        case exp.If() if isinstance(parent.parent, exp.Case) and parent.args.get("true") is node:
            sides = _branches(parent.parent)
        case exp.Case() if parent.args.get("default") is node:
            sides = _branches(parent)
        case _:
            return None
    return [side for side in sides if side is not node]


def _branches(case: exp.Case) -> list[exp.Expr]:
    default = case.args.get("default")
    return [part.args["true"] for part in case.args["ifs"]] + ([default] if default is not None else [])


def _climbs(call: exp.Anonymous, node: exp.Expr) -> bool:
    """Say whether a call has the type of this argument."""
    name = call.name.casefold()
    position = _KEPT.get(name)
    return name in _ALIKE or (
        position is not None and len(call.expressions) > position and call.expressions[position] is node
    )


def _list_of(any_: exp.Any) -> _Place | None:
    """Type the list of `x = ANY(?)` by x."""
    comparison = any_.parent
    if not isinstance(comparison, exp.Binary):
        return None
    beside = comparison.left if comparison.right is any_ else comparison.right

    def rule(kinds: Sequence[str]) -> str | None:
        kind = _first(kinds)
        return None if kind is None else f"{kind}[]"

    return _Place(comparison, (beside,), rule)


def _is_row(node: exp.Expr) -> bool:
    return isinstance(node, exp.Tuple) or (isinstance(node, exp.Anonymous) and node.name.casefold() == "row")


def _by_position(row: exp.Expr, node: exp.Expr) -> _Place | None:
    """Type a part of a row by the parts at its position in the rows that it is compared with."""
    position = next(i for i, part in enumerate(row.expressions) if part is node)
    comparison = _parent(row)
    match comparison:
        case exp.In():
            others = [comparison.this, *comparison.expressions]
        case exp.Between():
            others = [comparison.this, comparison.args["low"], comparison.args["high"]]
        case exp.Binary() if isinstance(comparison, _COMPARISONS):
            others = [comparison.left, comparison.right]
        case _:
            return None
    rows = [other.unnest() for other in others]
    beside = tuple(
        other.expressions[position]
        for other in rows
        if other is not row and _is_row(other) and len(other.expressions) > position
    )
    telling = tuple(part for part in beside if not isinstance(part, _SILENT))
    return _Place(comparison, telling, _first) if telling else None


def _argument(call: exp.Anonymous, node: exp.Expr, binder: Binder) -> _Place | None:
    """Type a function's argument by the function's overloads that fit its other arguments."""
    position = next((i for i, part in enumerate(call.expressions) if part is node), None)
    if position is None:
        return None
    if call.name.casefold() in _TEXTS:
        return _Place(call, (), lambda _: "VARCHAR")
    overloads = binder.overloads(call.name)
    count = len(call.expressions)
    fitting = [
        (list(kinds) + [more] * (count - len(kinds)) if more else list(kinds)) for kinds, more in overloads
    ]
    fitting = [kinds for kinds in fitting if len(kinds) == count]
    if isinstance(call.parent, exp.Table):
        return _Place(call, (), lambda _: _agreed({kinds[position] for kinds in fitting}))

    def rule(kinds: Sequence[str]) -> str | None:
        like = [wanted for wanted in fitting if all(_fits(k, w) for k, w in zip(kinds, wanted, strict=True))]
        return _agreed({wanted[position] for wanted in like or fitting})

    beside = tuple(
        exp.Placeholder() if isinstance(part, exp.Literal) or part is node else part
        for part in call.expressions
    )
    return _Place(_whole(call), beside, rule)


def _fits(kind: str, wanted: str | None) -> bool:
    """Say whether an argument of type ``kind`` is what an overload asks for, without a cast."""
    return kind in {UNTYPED, "UNKNOWN", wanted} or _is_generic(wanted) or kind.startswith(f"{wanted}(")


def _is_generic(kind: str | None) -> bool:
    return kind is None or len(kind.removesuffix("[]")) == 1 or kind.startswith(_GENERIC)


def _agreed(kinds: set[str | None]) -> str | None:
    """Return the one type among those of a function's overloads; one value before a list of them."""
    single = {kind for kind in kinds if kind is None or not kind.endswith("[]")} or kinds
    if single == {"INTEGER", "BIGINT"}:
        return "BIGINT"
    (kind, *more) = single or {None}
    return None if more or _is_generic(kind) else kind
