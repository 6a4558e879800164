"""From a resolved query to bound types: parameters, calls' arguments, result columns.

This module must not know commands, writes, or what becomes of the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from scoter.engine.arguments import check_count
from scoter.engine.binding import (
    Binder,
    Binding,
    empty_relation,
    number_parameters,
    parameters_of,
    substitute,
    typed_null,
)
from scoter.engine.call_types import argument_types, without_calls
from scoter.engine.context import Context
from scoter.engine.dialect import to_duckdb
from scoter.engine.inference import infer_parameters
from scoter.engine.model_functions import signature_for
from scoter.engine.model_stars import expand_stars
from scoter.engine.resolved import Resolved
from scoter.engine.result_names import name_results
from scoter.engine.rules.pin_now import uses_now
from scoter.engine.rules.pin_session import constants, pin_session, settle_words
from scoter.engine.rules.read_tables import read_tables
from scoter.engine.rules.unfold import unfold
from scoter.engine.statements import Predict
from scoter.engine.values import parameter_schema
from scoter.errors import UndefinedColumn
from scoter.suggestions import closest


@dataclass(frozen=True)
class Bound:
    """A query with every type known: parameters, calls' arguments, result columns.

    ``exact`` are the parameters whose values must not be rounded to their types, which nobody wrote; ``given`` those
    that are a model's arguments.
    """

    tree: exp.Expr
    resolved: Resolved
    parameters: Mapping[str, str]
    arguments: Mapping[int, tuple[str, ...]]
    result: Binding
    parameter_schema: pa.Schema
    uses_now: bool
    exact: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()


def bind(
    query: exp.Expr,
    resolved: Resolved,
    binder: Binder,
    context: Context,
    known: Mapping[str, str] | None = None,
) -> Bound:
    """Return ``query`` with its types; ``known`` are parameter types that the statement's target gives."""
    names = number_parameters(query)
    name_results(query, binder.name_of)
    settle_words(query, (column for source in resolved.sources for column in source.columns))
    pin_session(query, constants(context, binder.engine))
    types = dict(known or {})
    given: frozenset[str] = frozenset()
    # A tree is copied and searched only for what is in it: it may have ten thousand columns.
    if resolved.models:
        expand_stars(query, resolved)
        from_calls = _from_calls(query, resolved)
        types, given = types | from_calls, frozenset(from_calls)
    empties = over_empties(query, resolved)
    bare = without_calls(empties, resolved) if resolved.models else empties
    exact: frozenset[str] = frozenset()
    arguments: Mapping[int, tuple[str, ...]] = {}
    if names:
        types, exact = infer_parameters(binder, bare, names, types)
    if resolved.models:
        arguments = argument_types(binder, query, empties, resolved, types)
    if names:
        bare = substitute(bare, lambda _, name: typed_null(types[name]))
    try:
        result = binder.columns(bare, query)
    except UndefinedColumn as error:
        quoted = error.message.split('"')
        columns = [name for source in resolved.sources for name, _ in source.columns]
        error.hint = error.hint or (closest(quoted[1], columns) if len(quoted) > 2 else None)
        raise
    return Bound(
        query,
        resolved,
        types,
        arguments,
        result,
        parameter_schema(names, types),
        uses_now(query),
        exact,
        given,
    )


def over_empties(query: exp.Expr, resolved: Resolved) -> exp.Expr:
    """Return a copy of ``query`` that reads typed empty relations, so that DuckDB can bind it."""
    return unfold(
        read_tables(query.copy(), resolved, lambda _, s: str(empty_relation((*s.columns, *s.hidden)).this))
    )


def rows_query(values: exp.Expr | None) -> exp.Select | None:
    """Return `SELECT a, b FROM rows` for `VALUES (a, b)` of one tuple with parameters, else None.

    So that many bound rows are one statement: each parameter becomes a column of the bound rows.
    """
    if not isinstance(values, exp.Values) or len(values.expressions) != 1:
        return None
    if not list(values.find_all(exp.Placeholder)):
        return None
    row = values.expressions[0]
    parts = row.expressions if isinstance(row, exp.Tuple) else [row]
    return exp.Select(expressions=[part.copy() for part in parts])


def listed_rows(query: exp.Expr) -> list[list[exp.Expr]]:
    """Return what stands in VALUES or in the lists of SELECTs, row by row."""
    if isinstance(query, exp.Values):
        return [part.expressions if isinstance(part, exp.Tuple) else [part] for part in query.expressions]
    if isinstance(query, exp.SetOperation):
        return listed_rows(query.left) + listed_rows(query.right)
    return [list(query.expressions)] if isinstance(query, exp.Select) else []


# What a value of these types is in Python, DuckDB takes as it is.
_PLAIN = frozenset(
    {
        "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
        "FLOAT", "DOUBLE", "VARCHAR", "BLOB",
    }
)  # fmt: skip


# What such a query consists of: one row, and nothing that makes much out of little.
_SINGLE = (
    exp.Alias, exp.Array, exp.Binary, exp.Boolean, exp.Bracket, exp.Case, exp.Cast, exp.Coalesce, exp.DataType,
    exp.DataTypeParam, exp.Identifier, exp.If, exp.Interval, exp.Literal, exp.Neg, exp.Not, exp.Null, exp.Paren,
    exp.Placeholder, exp.PropertyEQ, exp.Select, exp.Struct, exp.TryCast, exp.Var, Predict,
)  # fmt: skip


def is_of_values(bound: Bound) -> bool:
    """Say whether all that a query reads is values for models, so that DuckDB can bind them itself.

    Each execution of it is then the same SQL, and its one row is held in memory. Elsewhere DuckDB may ask for a
    constant, as in LIMIT, and scans are planned by values.
    """
    query = bound.tree
    if not isinstance(query, exp.Select) or not all(isinstance(node, _SINGLE) for node in query.walk()):
        return False
    parameters = list(parameters_of(query))
    kinds = {kind.replace("[]", "") for kind in bound.parameters.values()}
    return bool(parameters) and kinds <= _PLAIN and all(node.find_ancestor(Predict) for node in parameters)


# What VALUES of constants consist of: nothing that a rule would change, a name would mean or a place would tell.
_CONSTANT = (
    exp.Array, exp.Boolean, exp.Cast, exp.DataType, exp.DataTypeParam, exp.HexString, exp.Literal, exp.Neg,
    exp.Null, exp.Paren, exp.PropertyEQ, exp.Struct, exp.Tuple, exp.Values,
)  # fmt: skip


def constant_rows(values: exp.Expr) -> exp.Expr:
    """Return a query that reads VALUES of constants as one text, or ``values`` where it holds more.

    So that thousands of rows are not copied and searched by every stage.
    """
    for node in values.walk():
        key = isinstance(node, exp.Identifier) and isinstance(node.parent, exp.PropertyEQ)
        if not isinstance(node, _CONSTANT) and not (key and node.arg_key == "this"):
            return values
    rows = exp.Table(this=exp.Var(this=f"({to_duckdb(values, copy=False)})"))
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=rows))


# A call that tries takes a value that its input can not: the parameter must hold it.
_WIDER = {
    "FLOAT": "DOUBLE",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
}


def _from_calls(query: exp.Expr, resolved: Resolved) -> dict[str, str]:
    """Return the types of parameters that stand as a model's argument, by position or in a struct by name."""
    found: dict[str, str] = {}
    for call in query.find_all(Predict):
        signature = signature_for(call, resolved.model(call))
        # Parameters have no types yet: their number alone tells values from whole tensors.
        signature = signature.taking([None] * len(call.arguments))
        if any(isinstance(argument, exp.Placeholder) for argument in call.arguments):
            # A parameter is a value, never a row: DuckDB would only say that its type can not be found.
            check_count(call, resolved.model(call), signature)
        inputs = signature.inputs
        kinds = [_WIDER.get(each.argument, each.argument) if call.tries else each.argument for each in inputs]
        by_name = {wanted.name.casefold(): kind for wanted, kind in zip(inputs, kinds, strict=True)}
        for struct in call.arguments:
            for part in struct.expressions if isinstance(struct, exp.Struct) else []:
                if isinstance(part, exp.PropertyEQ) and isinstance(part.expression, exp.Placeholder):
                    named = by_name.get(part.this.name.casefold())
                    if named is not None:
                        found.setdefault(str(part.expression.this), named)
        if len(inputs) != len(call.arguments):
            continue
        for kind, argument in zip(kinds, call.arguments, strict=True):
            if isinstance(argument, exp.Placeholder):
                found.setdefault(str(argument.this), kind)
    return found
