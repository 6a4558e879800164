"""Where parameters stand, and what their types follow from there.

What an operand stands beside, what it is compared with, or the argument that it is. This module must not know how
types are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlglot import exp

from scoter.engine.binding import UNTYPED, Binder

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
SIDES = (exp.Add, exp.Sub)
# What has the type of its operands: while all of them are open, the whole is looked at.
_WHOLES = (
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.DPipe, exp.Anonymous, exp.Case, exp.If,
)  # fmt: skip

_SILENT = (exp.Placeholder, exp.Null, exp.Interval)

_Rule = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class Place:
    """Where a parameter stands: what to look at, inside of what, and the type that follows from it."""

    around: exp.Expr
    beside: tuple[exp.Expr, ...]
    rule: _Rule


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


def _first(kinds: Sequence[str]) -> str | None:
    return next((kind for kind in kinds if kind not in {UNTYPED, "UNKNOWN"}), None)


def parent_of(node: exp.Expr) -> exp.Expr | None:
    """Return what a node is an operand of, past parentheses and signs."""
    parent = node.parent
    while isinstance(parent, exp.Paren | exp.Neg):
        parent = parent.parent
    return parent


def place_of(node: exp.Expr, binder: Binder) -> Place | None:
    """Return the place from which a parameter takes its type; None where that would be a guess."""
    here = node
    while (parent := parent_of(here)) is not None:
        within = here if here.parent is parent else _child(parent, here)
        beside = _operands_beside(parent, within)
        if beside is None:
            return _of_itself(parent, within, binder)
        telling = tuple(part for part in beside if not isinstance(part, _SILENT))
        if isinstance(parent, exp.DPipe) and any(part.is_string for part in telling):
            return Place(parent, (), lambda _: "VARCHAR")
        if telling:
            return Place(_whole(parent), telling, partial(_operand, parent))
        if not isinstance(parent, _WHOLES):
            return None
        # All beside it is open, too: the whole takes the type of what stands beside the whole.
        here = parent.parent if isinstance(parent, exp.If) and parent.parent is not None else parent
    return None


def _of_itself(parent: exp.Expr, node: exp.Expr, binder: Binder) -> Place | None:
    """Return the place of a part whose type is not that of the parts beside it."""
    match parent:
        case exp.Interval():
            return Place(parent, (), lambda _: "DOUBLE")
        case exp.AtTimeZone() if parent.args.get("zone") is node:
            return Place(parent, (), lambda _: "VARCHAR")
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
    if kind is not None and isinstance(parent, SIDES) and kind.startswith(_TEMPORAL):
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


def _list_of(any_: exp.Any) -> Place | None:
    """Type the list of `x = ANY(?)` by x."""
    comparison = any_.parent
    if not isinstance(comparison, exp.Binary):
        return None
    beside = comparison.left if comparison.right is any_ else comparison.right

    def rule(kinds: Sequence[str]) -> str | None:
        kind = _first(kinds)
        return None if kind is None else f"{kind}[]"

    return Place(comparison, (beside,), rule)


def _is_row(node: exp.Expr) -> bool:
    return isinstance(node, exp.Tuple) or (isinstance(node, exp.Anonymous) and node.name.casefold() == "row")


def _by_position(row: exp.Expr, node: exp.Expr) -> Place | None:
    """Type a part of a row by the parts at its position in the rows that it is compared with."""
    position = next(i for i, part in enumerate(row.expressions) if part is node)
    comparison = parent_of(row)
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
    return Place(comparison, telling, _first) if telling else None


def _argument(call: exp.Anonymous, node: exp.Expr, binder: Binder) -> Place | None:
    """Type a function's argument by the function's overloads that fit its other arguments."""
    position = next((i for i, part in enumerate(call.expressions) if part is node), None)
    if position is None:
        return None
    if call.name.casefold() in _TEXTS:
        return Place(call, (), lambda _: "VARCHAR")
    overloads = binder.overloads(call.name)
    count = len(call.expressions)
    fitting = [
        (list(kinds) + [more] * (count - len(kinds)) if more else list(kinds)) for kinds, more in overloads
    ]
    fitting = [kinds for kinds in fitting if len(kinds) == count]
    if isinstance(call.parent, exp.Table):
        return Place(call, (), lambda _: _agreed({kinds[position] for kinds in fitting}))

    def rule(kinds: Sequence[str]) -> str | None:
        like = [wanted for wanted in fitting if all(_fits(k, w) for k, w in zip(kinds, wanted, strict=True))]
        return _agreed({wanted[position] for wanted in like or fitting})

    beside = tuple(
        exp.Placeholder() if isinstance(part, exp.Literal) or part is node else part
        for part in call.expressions
    )
    return Place(_whole(call), beside, rule)


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
