"""Calls whose model is named by a bound value: ``PREDICT(?, a, b)::DOUBLE``.

The result's type depends on the model, so that a cast has to say it. While nothing is bound such a call is a NULL of
that type; with each execution's values it is a call like any other. This module must not know models.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from sqlglot import exp

from scoter.engine.binding import number_parameters, parameter_name, parameters_of
from scoter.engine.dialect import Scoter
from scoter.engine.replacing import put
from scoter.engine.statements import Predict, span_of
from scoter.errors import InvalidValue, NotSupported, WrongParameterCount


def names_models(tree: exp.Expr) -> bool:
    """Say whether a call of a statement has a parameter in the place of its model's name."""
    return any(True for _ in _calls(tree))


def without_names(tree: exp.Expr) -> exp.Expr:
    """Return a copy of ``tree`` with such calls as NULLs that bind their parameters.

    Raises NotSupported for a call without a cast.
    """
    tree = _numbered(tree)
    # Inner calls first: outer ones copy them.
    for call in reversed(list(_calls(tree))):
        holder = call.parent
        while isinstance(holder, exp.Paren):
            holder = holder.parent
        if not isinstance(holder, exp.Cast) or isinstance(holder, exp.TryCast):
            raise NotSupported(
                "a model that a parameter names gives no type before it is bound",
                hint="cast the call: PREDICT(?, …)::DOUBLE",
                span=span_of(call),
            )
        named = exp.Cast(this=call.model.copy(), to=exp.DataType.build("VARCHAR"))
        values = [value.copy() for value in call.arguments if value.find(exp.Star) is None]
        bound: list[exp.Expr] = [
            exp.Is(this=exp.Paren(this=value), expression=exp.Null()) for value in [named, *values]
        ]
        put(call, exp.Case(ifs=[exp.If(this=exp.and_(*bound, copy=False), true=exp.Null())]))
    return tree


def with_names(tree: exp.Expr, values: pa.RecordBatch) -> tuple[exp.Expr, tuple[str, ...], pa.RecordBatch]:
    """Return a copy of ``tree`` with the models' names in their places, these names, and the other values.

    ``values`` are by the parameters' names where they have these, else in their order. Raises WrongParameterCount,
    InvalidValue.
    """
    tree = _numbered(tree)
    names = number_parameters(tree)
    if set(values.schema.names) == set(names):
        values = values.select(list(names))
    if values.num_columns != len(names):
        raise WrongParameterCount(
            f"the statement has {len(names)} parameters, {values.num_columns} values are bound"
        )
    if values.num_rows != 1:
        raise WrongParameterCount(
            f"{values.num_rows} rows are bound, the statement takes one",
            hint="with the model's name as a text in the statement, INSERT INTO … VALUES (?, …) takes any number of rows",
        )
    of_models = {parameter_name(call.model): call for call in _calls(tree)}
    texts = {
        name: _text(values.column(names.index(name))[0].as_py(), call) for name, call in of_models.items()
    }
    for node in list(parameters_of(tree)):
        text = texts.get(parameter_name(node))
        if text is not None:
            literal: exp.Expr = exp.Literal.string(text)
            literal.meta.update(node.meta)
            is_model = isinstance(node.parent, Predict) and node.arg_key == "model"
            put(node, literal if is_model else exp.Cast(this=literal, to=exp.DataType.build("VARCHAR")))
    rest = [place for place, name in enumerate(names) if name not in texts]
    return tree, tuple(texts.values()), values.select(rest)


def _text(value: object, call: Predict) -> str:
    if not isinstance(value, str):
        raise InvalidValue("the name of a model is a text", span=span_of(call.model) or span_of(call))
    return value


def _calls(tree: exp.Expr) -> Iterator[Predict]:
    return (call for call in tree.find_all(Predict) if isinstance(call.model, exp.Placeholder))


def _numbered(tree: exp.Expr) -> exp.Expr:
    """Return a copy with numbers for parameters, and names for results that would be named after what is bound."""
    tree = tree.copy()
    number_parameters(tree)
    for call in list(_calls(tree)):
        part: exp.Expr = call
        while part.parent is not None and not isinstance(part.parent, exp.Select):
            part = part.parent
        listed = isinstance(part.parent, exp.Select) and part.arg_key == "expressions"
        if listed and not isinstance(part, exp.Alias):
            put(part, exp.alias_(part.copy(), part.sql(dialect=Scoter), quoted=True))
    return tree
