"""Which data files can hold a row that satisfies a predicate, from bounds and partition values.

This module must not know how files are read. Whatever it does not understand keeps the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import numpy as np
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import BooleanType, DateType, IntegerType, LongType, NestedField, StringType
from sqlglot import exp

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.scanning.bounds import Bounds, Mask, Order
from scoter.engine.scanning.constants import NULL, Interval, fold, in_terms_of
from scoter.engine.scanning.terms import Term, term

_NEGATED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
    exp.GT: exp.LTE,
    exp.GTE: exp.LT,
    exp.LT: exp.GTE,
    exp.LTE: exp.GT,
}
_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}
_PARTS = frozenset({"this", "expression", "expressions", "low", "high"})


def kept_files(files: DataFiles, metadata: TableMetadata, schema: Schema, predicate: exp.Expr | None) -> Ints:
    """Return the numbers of the files that may hold rows for which ``predicate`` is true, ascending.

    A row counts only when the predicate is TRUE for it, not when it is NULL. Comparisons follow DuckDB:
    NaN equals itself and is greater than every other number.
    """
    # A manifest may say that a file with rows has none: only its bounds leave a file out.
    keep: Mask = np.ones(len(files), np.bool_)
    if predicate is not None and len(files):
        possible = _Pruning(files, metadata, schema).may_be_true(predicate, negated=False)
        if possible is not None:
            keep &= possible
    return np.flatnonzero(keep)


class _Pruning:
    """Masks over the files of one snapshot; None stands for "every file"."""

    def __init__(self, files: DataFiles, metadata: TableMetadata, schema: Schema) -> None:
        self._files = files
        self._metadata = metadata
        self._schema = schema
        self._rules: dict[type[exp.Expr], Callable[[Any, bool], Mask | None]] = {
            exp.Paren: lambda e, negated: self.may_be_true(e.this, negated=negated),
            exp.Not: lambda e, negated: self.may_be_true(e.this, negated=not negated),
            exp.And: lambda e, negated: (_any if negated else _all)(self._sides(e, negated)),
            exp.Or: lambda e, negated: (_all if negated else _any)(self._sides(e, negated)),
            exp.Boolean: lambda e, negated: None if bool(e.this) != negated else self._nothing(),
            exp.Null: lambda _, __: self._nothing(),
            exp.Column: self._truth,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Is: self._is,
            exp.NullSafeEQ: lambda e, negated: None if negated else self._same(e),
            exp.NullSafeNEQ: lambda e, negated: self._same(e) if negated else None,
            exp.Like: lambda e, negated: None if negated else self._like(e),
            exp.StartsWith: lambda e, negated: None if negated else self._prefix(e.this, fold(e.expression)),
        }

    def may_be_true(self, expression: exp.Expr, *, negated: bool) -> Mask | None:
        kind = type(expression)
        if any(arg for name, arg in expression.args.items() if name not in _PARTS):
            # Something that the parser noted beside the operands may change the meaning.
            return None
        if kind in _NEGATED:
            return self._comparison(expression, negated)
        rule = self._rules.get(kind)
        return rule(expression, negated) if rule is not None else None

    def _nothing(self) -> Mask:
        return np.zeros(len(self._files), np.bool_)

    def _sides(self, connector: exp.Expr, negated: bool) -> list[Mask | None]:
        """Return the masks of the sides; De Morgan's laws hold with NULLs too."""
        return [self.may_be_true(side, negated=negated) for side in connector.flatten(unnest=False)]

    def _comparison(self, expression: exp.Expr, negated: bool) -> Mask | None:
        kind = _NEGATED[type(expression)] if negated else type(expression)
        left, right = expression.this, expression.expression
        found, value = self._term(left), fold(right)
        if found is None:
            found, value, kind = self._term(right), fold(left), _MIRRORED[kind]
        if found is None or value is None:
            return None
        return self._compared(found, kind, value)

    def _compared(self, found: Term, kind: type[exp.Expr], value: object) -> Mask | None:
        if value is NULL:
            return self._nothing()
        known, place = found.bounds, in_terms_of(found.kind, value)
        mask = None if known is None else ~known.empty
        if known is not None and mask is not None and place is not None:
            mask &= _COMPARED[kind](known, place) | ~known.known
            if kind in (exp.GT, exp.GTE, exp.NEQ):
                mask |= known.nans
        bucket = self._bucket(found.field, value, place) if kind is exp.EQ and found.plain else None
        return _all([mask, bucket])

    def _truth(self, column: exp.Column, negated: bool) -> Mask | None:
        found = self._term(column)
        if found is None or not isinstance(found.kind, BooleanType):
            return None
        return self._compared(found, exp.EQ, not negated)

    def _between(self, expression: exp.Between, negated: bool) -> Mask | None:
        found = self._term(expression.this)
        if found is None:
            return None
        low, high = fold(expression.args["low"]), fold(expression.args["high"])
        first = None if low is None else self._compared(found, exp.LT if negated else exp.GTE, low)
        last = None if high is None else self._compared(found, exp.GT if negated else exp.LTE, high)
        return _any([first, last]) if negated else _all([first, last])

    def _in(self, expression: exp.In, negated: bool) -> Mask | None:
        found = self._term(expression.this)
        items = expression.expressions
        if (
            found is None
            or found.bounds is None
            or not items
            or set(expression.args) - {"this", "expressions"}
        ):
            return None
        if negated:
            return ~found.bounds.empty
        values = [fold(item) for item in items]
        if any(value is None for value in values):
            return ~found.bounds.empty
        return _any([self._compared(found, exp.EQ, value) for value in values])

    def _is(self, expression: exp.Is, negated: bool) -> Mask | None:
        found = self._term(expression.this)
        if found is None or found.bounds is None or not found.plain:
            return None
        if isinstance(expression.expression, exp.Null):
            return ~found.bounds.empty if negated else found.bounds.nulls
        if isinstance(expression.expression, exp.Boolean) and not negated:
            return self._truth(expression.this, not expression.expression.this)
        return None

    def _same(self, expression: exp.Expression) -> Mask | None:
        """IS NOT DISTINCT FROM: an equality when one side is a constant other than NULL."""
        sides = (fold(expression.this), fold(expression.expression))
        if NULL in sides:
            return None
        return self._comparison(exp.EQ(this=expression.this, expression=expression.expression), negated=False)

    def _like(self, expression: exp.Like) -> Mask | None:
        pattern = fold(expression.expression)
        if not isinstance(pattern, str):
            return None
        ends = [pattern.find(sign) for sign in "%_" if sign in pattern]
        return self._prefix(expression.this, pattern[: min(ends)] if ends else pattern)

    def _prefix(self, operand: exp.Expression, prefix: object) -> Mask | None:
        found = self._term(operand)
        if found is None or found.bounds is None or found.bounds.order is not Order.BYTES:
            return None
        if not isinstance(prefix, str):
            return None
        known, start = found.bounds, prefix.encode()
        # Cut to the prefix's length, the bounds still enclose every value that is cut likewise.
        low = np.array([value[: len(start)] <= start for value in known.low], np.bool_)
        high = np.array([value[: len(start)] >= start for value in known.high], np.bool_)
        return ~known.empty & (low & high | ~known.known)

    def _term(self, expression: exp.Expression) -> Term | None:
        return term(expression, self._files, self._metadata, self._schema)

    def _bucket(self, field: NestedField, value: object, place: Interval | None) -> Mask | None:
        """Return the files whose bucket is that of ``value``, for files whose spec has one."""
        if place is None or not place.exact:
            return None
        if not isinstance(field.field_type, IntegerType | LongType | DateType | StringType):
            return None
        operand: Any = value if isinstance(field.field_type, StringType) else place.low
        if isinstance(operand, int) and not -(2**63) <= operand < 2**63:
            return None
        mask: Mask | None = None
        for spec in self._metadata.specs().values():
            for position, part in enumerate(spec.fields):
                values = self._files.partitions.get(spec.spec_id, ())
                if part.source_id != field.field_id or position >= len(values):
                    continue
                if isinstance(part.transform, BucketTransform):
                    bucket = part.transform.transform(field.field_type)(operand)
                    fits = (values[position] == bucket) | (self._files.spec_ids != spec.spec_id)
                    mask = fits if mask is None else mask & fits
        return None if mask is None else mask.astype(np.bool_)


def _greater(known: Bounds, place: Interval) -> Mask:
    return np.asarray(known.high > place.low, np.bool_)


def _at_least(known: Bounds, place: Interval) -> Mask:
    return np.asarray(known.high >= place.low, np.bool_)


def _less(known: Bounds, place: Interval) -> Mask:
    return np.asarray(known.low < place.high, np.bool_)


def _at_most(known: Bounds, place: Interval) -> Mask:
    return np.asarray(known.low <= place.high, np.bool_)


def _equal(known: Bounds, place: Interval) -> Mask:
    return _at_most(known, place) & _at_least(known, place)


def _other(known: Bounds, place: Interval) -> Mask:
    if not place.exact:
        return np.ones(len(known.known), np.bool_)
    return np.asarray((known.low != place.low) | (known.high != place.low), np.bool_)


_COMPARED: dict[type[exp.Expr], Callable[[Bounds, Interval], Mask]] = {
    exp.EQ: _equal,
    exp.NEQ: _other,
    exp.GT: _greater,
    exp.GTE: _at_least,
    exp.LT: _less,
    exp.LTE: _at_most,
}


def _all(masks: Iterable[Mask | None]) -> Mask | None:
    known = [mask for mask in masks if mask is not None]
    return reduce(np.logical_and, known) if known else None


def _any(masks: Iterable[Mask | None]) -> Mask | None:
    gathered: list[Mask] = []
    for mask in masks:
        if mask is None:
            return None
        gathered.append(mask)
    return reduce(np.logical_or, gathered) if gathered else None
