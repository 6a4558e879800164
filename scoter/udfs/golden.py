"""Golden rows: values for a model with the results that it gave, which it must give wherever it is served.

This module must not know SQL, nor where golden rows are kept or how results are made of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from scoter.errors import CorruptData, InvalidDefinition
from scoter.suggestions import closest
from scoter.udfs.signature import Signature

TOLERANCE = 1e-4
PRIMARY = ""  # stands for the output that PREDICT gives
NUMBERS_OF_TEXT = frozenset({"nan", "inf", "-inf", "infinity", "-infinity"})


@dataclass(frozen=True)
class Golden:
    """Rows as columns: inputs by name, expected results by output (``PRIMARY``: that of PREDICT).

    A float or decimal may differ by ``tolerance``, of its size where it is larger than 1; all else must be equal.
    """

    inputs: Mapping[str, Sequence[Any]]
    expected: Mapping[str, Sequence[Any]]
    tolerance: float = TOLERANCE

    def to_json(self) -> str:
        """Return the rows as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Golden:
        """Read what ``to_json`` wrote; raises CorruptData for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise CorruptData("the stored golden rows of a model can not be read") from error

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.expected.values())))


def fitted(golden: Golden, signature: Signature) -> Golden:
    """Return golden rows under the names of a signature as callers see it.

    Raises InvalidDefinition for names that it does not have.
    """
    signature = named_by(golden, signature)
    inputs = _named(golden.inputs, [one.name for one in signature.inputs], "an input")
    for one in signature.inputs:
        if one.name not in inputs:
            raise InvalidDefinition(f'the rows of verify have no value for the input "{one.name}"')
    outputs = {key: value for key, value in golden.expected.items() if key != PRIMARY}
    expected = _named(outputs, [one.name for one in signature.outputs], "an output")
    if PRIMARY in golden.expected:
        expected[PRIMARY] = golden.expected[PRIMARY]
    return Golden(inputs, expected, golden.tolerance)


def named_by(golden: Golden, signature: Signature) -> Signature:
    """Return the signature whose inputs golden rows name: values, or whole tensors."""
    whole = signature.of_tensors
    names = {name.casefold() for name in golden.inputs}
    if whole is None or names != {one.name.casefold() for one in whole.inputs}:
        return signature
    return whole


def _named(given: Mapping[str, Sequence[Any]], known: Sequence[str], what: str) -> dict[str, Sequence[Any]]:
    by_name = {name.casefold(): name for name in known}
    found = {}
    for name, values in given.items():
        own = by_name.get(name.casefold())
        if own is None:
            raise InvalidDefinition(
                f'verify names "{name}", which is not {what} of the model',
                hint=closest(name, list(known)) or f"there are: {', '.join(known[:20])}",
            )
        found[own] = values
    return found


def differences(golden: Golden, results: Mapping[str, Sequence[Any]], primary: str) -> tuple[str, ...]:
    """Say of each row whose results are not the expected ones what differs.

    ``results`` are columns as ``golden.expected`` has them; ``primary`` is what the value of PREDICT is called.
    """
    found: dict[int, str] = {}
    for output, expected in golden.expected.items():
        for row, (wanted, given) in enumerate(zip(expected, results[output], strict=True)):
            if not _same(wanted, given, golden.tolerance):
                name = primary if output == PRIMARY else output
                found.setdefault(row, f"row {row + 1}: {name} is {shown(given)}, not {shown(wanted)}")
    return tuple(found[row] for row in sorted(found))


def _same(wanted: Any, given: Any, tolerance: float) -> bool:
    if isinstance(wanted, dict) and isinstance(given, dict):
        given = {str(key): value for key, value in given.items()}
        return wanted.keys() == given.keys() and all(_same(wanted[k], given[k], tolerance) for k in wanted)
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(
            _same(left, right, tolerance) for left, right in zip(wanted, given, strict=True)
        )
    if isinstance(given, Decimal):
        given = float(given) if given.as_tuple().exponent else int(given)
    if isinstance(given, float) and isinstance(wanted, str) and wanted.lower() in NUMBERS_OF_TEXT:
        wanted = float(wanted)
    if isinstance(given, float) and isinstance(wanted, int | float) and not isinstance(wanted, bool):
        both_nan = math.isnan(given) and math.isnan(wanted)
        return both_nan or math.isclose(wanted, given, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(wanted, bool) != isinstance(given, bool):
        return False
    return bool(wanted == given)


def shown(value: Any) -> str:
    """Return a value as messages show it."""
    text = "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
