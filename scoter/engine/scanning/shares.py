"""About which share of a table's rows satisfies a predicate, as far as bounds tell: a guess, never a proof.

This module must not know how files are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.scanning.bounds import Order
from scoter.engine.scanning.constants import NULL, fold, in_terms_of
from scoter.engine.scanning.terms import term

Shares = NDArray[np.float64]
_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}


def share_kept(
    files: DataFiles, numbers: Ints, metadata: TableMetadata, schema: Schema, predicate: exp.Expr | None
) -> float:
    """Return at least which share of the rows of some files a predicate keeps, values being spread evenly.

    It is 0 for what is not understood: such a predicate may keep any number of rows.
    """
    rows = files.rows[numbers]
    if predicate is None or not rows.sum():
        return 1.0
    found = _Shares(files, metadata, schema).of(predicate)
    return float(np.average(found[numbers], weights=rows))


class _Shares:
    """The share of each file's rows for which a condition is true."""

    def __init__(self, files: DataFiles, metadata: TableMetadata, schema: Schema) -> None:
        self._files = files
        self._metadata = metadata
        self._schema = schema
        self._rules: dict[type[exp.Expr], Callable[[Any], Shares]] = {
            exp.Paren: lambda e: self.of(e.this),
            exp.And: lambda e: np.prod([self.of(side) for side in e.flatten(unnest=False)], axis=0),
            exp.Or: lambda e: np.max([self.of(side) for side in e.flatten(unnest=False)], axis=0),
            exp.Between: self._between,
            exp.NEQ: lambda e: self._all(
                any(isinstance(side, exp.Column) for side in (e.this, e.expression))
            ),
            exp.Not: self._not,
        }

    def of(self, condition: exp.Expr) -> Shares:
        if type(condition) in _MIRRORED:
            return self._compared(condition)
        rule = self._rules.get(type(condition))
        return rule(condition) if rule is not None else self._all(0)

    def _all(self, share: float) -> Shares:
        return np.full(len(self._files), float(share))

    def _compared(self, condition: exp.Expr) -> Shares:
        kind, below = type(condition), self._below(condition.this, condition.expression)
        if below is None:
            kind, below = _MIRRORED[kind], self._below(condition.expression, condition.this)
        if below is None:
            return self._all(0)
        return below if kind in (exp.LT, exp.LTE) else 1 - below

    def _between(self, condition: exp.Between) -> Shares:
        low = self._below(condition.this, condition.args["low"])
        high = self._below(condition.this, condition.args["high"])
        return self._all(0) if low is None or high is None else np.maximum(high - low, 0)

    def _not(self, condition: exp.Not) -> Shares:
        """Values are seldom NULL, and seldom equal to one given; of other conditions the contrary says nothing."""
        inner = condition.this.unnest()
        is_null = isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null)
        return self._all(1 if is_null or isinstance(inner, exp.EQ) else 0)

    def _below(self, operand: exp.Expression, constant: exp.Expression) -> Shares | None:
        """Return which share of a term's values lies below a constant; None where bounds do not tell."""
        found, value = term(operand, self._files, self._metadata, self._schema), fold(constant)
        if found is None or found.bounds is None or value is None or value is NULL:
            return None
        place, known = in_terms_of(found.kind, value), found.bounds
        if place is None or known.order is Order.BYTES or not known.known.all():
            return None
        try:
            low, high, value = known.low.astype(np.float64), known.high.astype(np.float64), float(place.low)
        except OverflowError:
            return None
        with np.errstate(all="ignore"):
            width = np.where(high > low, high - low, 1.0)
            # Where a bound is infinite nothing is known.
            share = np.nan_to_num((value - low) / width, nan=0.0)
        return np.clip(share, 0.0, 1.0)
