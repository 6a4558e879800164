"""The golden rows of WITH (verify = [{x: 1, expected: 2}]), read and shown.

This module must not know models, nor whether the rows hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlglot import exp

from scoter.engine.commands.constants import constant, constant_text, pairs, struct_text
from scoter.engine.statements import span_of
from scoter.errors import InvalidDefinition, NotSupported
from scoter.udfs.golden import PRIMARY, TOLERANCE, Golden

_EXPECTED = "expected"
_ROWS_MOST = 200
_VERIFY_MOST = 262_144  # characters of golden rows as JSON


def golden_of(rows: exp.Expr | None, tolerance: exp.Expr | None) -> Golden | None:
    """Return the rows of verify; raises InvalidDefinition for what is no list of structs of constants."""
    if rows is None:
        if tolerance is not None:
            raise InvalidDefinition("tolerance belongs to verify", span=span_of(tolerance))
        return None
    if not isinstance(rows, exp.Array) or not rows.expressions:
        raise InvalidDefinition("verify is a list of rows: [{x: 1, expected: 2}]", span=span_of(rows))
    if len(rows.expressions) > _ROWS_MOST:
        raise NotSupported(f"verify takes at most {_ROWS_MOST} rows", span=span_of(rows))
    inputs: dict[str, list[Any]] = {}
    expected: dict[str, list[Any]] = {}
    for place, row in enumerate(rows.expressions):
        values, results = _parts(row)
        for kept, named in ((inputs, values), (expected, results)):
            for name, value in named.items():
                kept.setdefault(name.casefold(), []).append(constant(value))
            if any(len(column) != place + 1 for column in kept.values()):
                what = "rows of verify" if kept is inputs else "values of expected in verify"
                raise InvalidDefinition(f"the {what} have different names", span=span_of(row))
    golden = Golden(inputs, expected, TOLERANCE if tolerance is None else _tolerance(tolerance))
    if len(golden.to_json()) > _VERIFY_MOST:
        raise NotSupported(
            f"the rows of verify have more than {_VERIFY_MOST:,} characters", span=span_of(rows)
        )
    return golden


def _parts(row: exp.Expr) -> tuple[dict[str, exp.Expr], dict[str, exp.Expr]]:
    """Return what a row gives the model and what it expects, by name."""
    values = dict(pairs("verify", "[{x: 1, expected: 2}]", row))
    result = values.pop(_EXPECTED, None)
    if result is None:
        raise InvalidDefinition(f"a row of verify has no {_EXPECTED}", span=span_of(row))
    if isinstance(result, exp.Struct):
        results = dict(pairs(_EXPECTED, "{label: 1}", result))
        if not results:
            raise InvalidDefinition(f"{_EXPECTED} names no output", span=span_of(row))
        return values, results
    return values, {PRIMARY: result}


def _tolerance(value: exp.Expr) -> float:
    number = constant(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise InvalidDefinition("tolerance is a number from 0 to 1", span=span_of(value))
    return float(number)


def golden_texts(golden: Golden) -> Iterator[str]:
    """Yield each row as it is written in SQL."""
    for row in range(golden.rows):
        values = {name: constant_text(column[row]) for name, column in golden.inputs.items()}
        results = {name: constant_text(column[row]) for name, column in golden.expected.items()}
        yield struct_text(values | {_EXPECTED: results.get(PRIMARY) or struct_text(results)})
