"""The types of parameters, from what stands around them.

DuckDB's binder is asked first. What it leaves open takes the type of the operand beside it, of what
it is compared with, or of the function's argument; where that would be a guess, a cast is asked for.
This module must not know where tables live or how values are bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from scoter.engine.parameter_places import SIDES, Place, parent_of, place_of
from scoter.engine.statements import span_of
from scoter.errors import UndefinedColumn, UnknownParameterType


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
    if isinstance(parent_of(node), SIDES):
        hint += "; for a time span, INTERVAL (?) DAY"
    return UnknownParameterType(
        f"the type of parameter {name} can not be found from the statement", hint=hint, span=span_of(node)
    )


def _from_places(binder: Binder, query: exp.Expr, types: dict[str, str]) -> dict[str, str]:
    nodes = list(parameters_of(query))
    untyped = [number for number, node in enumerate(nodes) if parameter_name(node) not in types]
    places = {number: place for number in untyped if (place := place_of(nodes[number], binder)) is not None}
    # What stands beside another open parameter is clearer when that one is known.
    waiting = {number for number, place in places.items() if _is_open(place, types)}
    found: dict[str, str] = {}
    for numbers in (sorted(places.keys() - waiting), sorted(waiting)):
        for number, kinds in _types_beside(binder, query, numbers, types) if not found else ():
            kind = places[number].rule(kinds)
            if kind is not None:
                found.setdefault(parameter_name(nodes[number]), kind)
    return found


def _is_open(place: Place, types: Mapping[str, str]) -> bool:
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
        place = place_of(nodes[number], binder)
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
        place = place_of(nodes[number], binder)
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
