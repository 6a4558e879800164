"""A version's own logic: expressions over what callers give, before its model, and over what it gives, behind it.

This module must not know how they are told, nor how calls become functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.binding import data_type
from scoter.engine.dialect import parse
from scoter.errors import CorruptData
from scoter.udfs.signature import Input, Signature

BEHIND = "scoter_behind"
"""Marks an expression over a model's result, which holds the one call of it."""

_RESULT = "scoter_result"
_VALUE = "v"
_LENGTH_MOST = 1 << 20


@dataclass(frozen=True)
class Step:
    """One of a model's inputs as an expression over what callers give: its SQL, and the DuckDB type of that."""

    name: str
    sql: str
    type: str


@dataclass(frozen=True)
class Made:
    """One of a model's inputs as an expression in a statement, its DuckDB type, and whether it failed to be made.

    One that ``passes`` is what the caller gives, in the type that INPUT declares.
    """

    expression: exp.Expr
    type: str
    failed: exp.Expr | None = None
    passes: bool = False


@dataclass(frozen=True)
class Logic:
    """``inputs`` are names and DuckDB types of what callers give, ``before`` makes the model's inputs of them.

    Both are empty where callers give the model's inputs themselves. ``behind`` is the value of PREDICT as SQL over
    the model's outputs, ``type`` its DuckDB type; None where that is the model's own.
    """

    inputs: tuple[tuple[str, str], ...] = ()
    before: tuple[Step, ...] = ()
    behind: str | None = None
    type: str | None = None

    def to_json(self) -> str:
        """Return the logic as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Logic:
        """Read what ``to_json`` wrote; raises CorruptData for anything else."""
        try:
            found = json.loads(text)
            return cls(
                tuple((name, kind) for name, kind in found["inputs"]),
                tuple(Step(**step) for step in found["before"]),
                found["behind"],
                found["type"],
            )
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptData("the stored logic of a model can not be read") from error

    def outside(self, signature: Signature) -> Signature:
        """Return the signature as callers see it."""
        if not self.inputs:
            return signature
        on_null = {each.name.casefold(): each.on_null for each in signature.inputs}
        inputs = tuple(
            Input(name, kind, name, None, on_null.get(name.casefold(), "NULL")) for name, kind in self.inputs
        )
        return replace(signature, inputs=inputs, named=True)

    def values(self, signature: Signature, given: Sequence[exp.Expr], *, tries: bool) -> list[Made]:
        """Return the values of the model's inputs; ``given`` are those of ``outside``, in order.

        With ``tries`` what fails is NULL, and is said to have failed.
        """
        by_name = {
            name.casefold(): _fitting(value, kind, tries=tries)
            for (name, kind), value in zip(self.inputs, given, strict=True)
        }
        steps = {step.name.casefold(): step for step in self.before}
        found: list[Made] = []
        for wanted in signature.inputs:
            step = steps.get(wanted.name.casefold())
            if step is None:
                found.append(replace(by_name[wanted.name.casefold()], passes=True))
                continue
            made = _put(_read(step.sql), lambda name: by_name[name].expression)
            if not tries:
                found.append(Made(exp.Paren(this=made), step.type))
                continue
            read = dict.fromkeys(column.name.casefold() for column in columns_in(_parsed(step.sql)))
            lost = [failed for name in read if (failed := by_name[name].failed) is not None]
            # A struct is NULL only where the expression in it fails.
            whole = _tried(exp.Anonymous(this="struct_pack", expressions=[_named(_VALUE, made)]))
            lost.append(exp.Is(this=whole, expression=exp.Null()))
            value = exp.Anonymous(
                this="struct_extract", expressions=[whole.copy(), exp.Literal.string(_VALUE)]
            )
            found.append(Made(value, step.type, exp.Paren(this=exp.or_(*lost, copy=True))))
        return found

    def result(self, call: exp.Expr, signature: Signature, *, tries: bool) -> exp.Expr:
        """Return the value of PREDICT, where ``call`` gives all outputs as a struct; NULL where that has none.

        With ``tries`` what fails is NULL.

        The expression holds ``call`` once, however often it names an output.
        """
        names = {output.name.casefold(): output.name for output in signature.outputs}
        value: exp.Expr = exp.Cast(
            this=exp.Paren(this=_put(_read(self.behind or ""), lambda name: _field(names[name]))),
            to=data_type(self.type or "").copy(),
        )
        if tries:
            value = _tried(value)
        missing = exp.Is(this=_field(signature.primary.name), expression=exp.Null())
        each = exp.Lambda(
            this=exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=value),
            expressions=[exp.to_identifier(_RESULT)],
        )
        rows = exp.Array(expressions=[call])
        made = exp.Bracket(
            this=exp.Anonymous(this="list_transform", expressions=[rows, each]),
            expressions=[exp.Literal.number(1)],
        )
        made.meta[BEHIND] = True
        return made


def logic_of(version: ModelVersion) -> Logic | None:
    """Return a version's logic, None where it is its model alone."""
    return None if version.facts.logic is None else _logic(version.facts.logic)


def signature_outside(version: ModelVersion) -> Signature:
    """Return a version's signature as callers see it."""
    signature, logic = Signature.from_json(version.signature), logic_of(version)
    return signature if logic is None else logic.outside(signature)


def columns_in(expression: exp.Expr) -> list[exp.Column]:
    """Return the columns that an expression names, without the variables of its lambdas."""
    return [
        column
        for column in expression.find_all(exp.Column)
        if not any(
            column.name.casefold() in {name.name.casefold() for name in each.expressions}
            for each in _lambdas_around(column)
        )
    ]


def _lambdas_around(node: exp.Expr) -> list[exp.Lambda]:
    found = []
    around = node.parent
    while around is not None:
        if isinstance(around, exp.Lambda):
            found.append(around)
        around = around.parent
    return found


@lru_cache(maxsize=256)
def _logic(text: str) -> Logic:
    return Logic.from_json(text)


@lru_cache(maxsize=256)
def _parsed(sql: str) -> exp.Expr:
    found: exp.Expr = parse(f"SELECT ({sql})", _LENGTH_MOST).expressions[0]
    return found


def _read(sql: str) -> exp.Expr:
    return _parsed(sql).copy()


def _put(expression: exp.Expr, value_of: Callable[[str], exp.Expr]) -> exp.Expr:
    """Return an expression with values in place of its columns."""
    holder = exp.Paren(this=expression)
    for column in columns_in(holder):
        column.replace(exp.Paren(this=value_of(column.name.casefold()).copy()))
    return holder


def _fitting(value: exp.Expr, kind: str, *, tries: bool) -> Made:
    """Return what a caller gives as the type that INPUT declares."""
    to = data_type(kind)
    if not tries:
        return Made(exp.Cast(this=value, to=to.copy()), kind)
    fitted = exp.TryCast(this=value, to=to.copy())
    lost = exp.And(
        this=exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null())),
        expression=exp.Is(this=fitted.copy(), expression=exp.Null()),
    )
    return Made(fitted, kind, exp.Paren(this=lost))


def _named(name: str, value: exp.Expr) -> exp.PropertyEQ:
    return exp.PropertyEQ(this=exp.to_identifier(name), expression=value)


def _tried(expression: exp.Expr) -> exp.Expr:
    """Return an expression that is NULL where it fails; DuckDB can not say that of one with a subquery."""
    if expression.find(exp.Query):
        return exp.Paren(this=expression)
    return exp.Anonymous(this="try", expressions=[expression])


def _field(name: str) -> exp.Expr:
    return exp.Anonymous(
        this="struct_extract",
        expressions=[exp.column(exp.to_identifier(_RESULT)), exp.Literal.string(name)],
    )
