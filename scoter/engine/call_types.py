"""Which DuckDB types the arguments of model calls have, and what stands for a call while types are asked for.

This module must not know what becomes of the calls.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from scoter.engine.binding import Binder, data_type, marked, marker_types, substitute, typed_null
from scoter.engine.dialect import Scoter
from scoter.engine.model_functions import number_of, result_type
from scoter.engine.relations import relations_of
from scoter.engine.replacing import put
from scoter.engine.resolved import Resolved
from scoter.engine.statements import Predict

# Types of columns that DuckDB's binder gives by the same name.
_PLAIN = frozenset({"BIGINT", "BOOLEAN", "DATE", "DOUBLE", "FLOAT", "INTEGER", "TIMESTAMP", "VARCHAR"})


def argument_types(
    binder: Binder, query: exp.Expr, empties: exp.Expr, resolved: Resolved, parameters: Mapping[str, str]
) -> dict[int, tuple[str, ...]]:
    """Return the DuckDB types of every call's arguments, by the call's number in the statement.

    ``empties`` is the query with typed empty relations for tables. Where all arguments are columns of a table the
    catalog tells; else DuckDB's binder answers for all calls at once.
    """
    told = {number_of(call): _told(call, resolved) for call in query.find_all(Predict)}
    known = {number: types for number, types in told.items() if types is not None}
    return known if len(known) == len(told) else _bound_types(binder, empties, resolved, parameters)


def _told(call: Predict, resolved: Resolved) -> tuple[str, ...] | None:
    """Return the types of arguments that can only be columns of the one table that the call's SELECT reads."""
    select = call.find_ancestor(exp.Select)
    if select is None or call.find_ancestor(
        exp.Lambda, exp.Order, exp.Group, exp.Having, exp.Qualify, exp.Window, exp.Join
    ):
        return None
    relations = list(relations_of(select))
    source = resolved.source(relations[0]) if len(relations) == 1 else None
    if source is None or relations[0].args.get("pivots") or relations[0].args.get("joins"):
        return None
    # A column may be called like the table's alias, or like a result before it: DuckDB knows which one is meant.
    alias = relations[0].args.get("alias")
    if alias is not None and alias.args.get("columns"):
        return None
    others = {relations[0].alias_or_name.casefold()}
    others |= {part.alias.casefold() for part in select.expressions if isinstance(part, exp.Alias)}
    columns: dict[str, str] = {}
    for name, kind in source.columns:
        folded = name.casefold()
        columns[folded] = "" if folded in columns else kind
    kinds = []
    for argument in call.arguments:
        name = argument.name.casefold()
        kind = columns.get(name, "")
        if type(argument) is not exp.Column or argument.table or name in others or kind not in _PLAIN:
            return None
        kinds.append(kind)
    return tuple(kinds)


def _bound_types(
    binder: Binder, tree: exp.Expr, resolved: Resolved, parameters: Mapping[str, str]
) -> dict[int, tuple[str, ...]]:
    calls = list(tree.find_all(Predict))
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
            found[number_of(call)] = tuple(types[key] for key in keys_of)
        else:
            found[number_of(call)] = _constant_types(binder, call, resolved, parameters)
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
        kind = result_type(original, resolved.model(original))
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
        result = _empty(kind)
        standing = exp.Case(
            ifs=[exp.If(this=exp.Is(this=binds, expression=exp.Null()), true=result)], default=result.copy()
        )
        if call is copied:
            return standing
        put(call, standing)
    return copied


def _empty(kind: str) -> exp.Expr:
    """Return an expression of a type that holds NULL: of a constant NULL struct DuckDB forgets the fields' types."""
    fields = data_type(kind).expressions if kind.startswith("STRUCT(") else []
    if not fields:
        return typed_null(kind)
    return exp.Anonymous(
        this="struct_pack",
        expressions=[
            exp.PropertyEQ(
                this=field.this.copy(), expression=typed_null(field.args["kind"].sql(dialect="duckdb"))
            )
            for field in fields
        ],
    )
