"""What a model and its file say of some rows, and whether that is the same.

This module must not know how either was asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scoter_client.models.failures import MismatchError
from scoter_client.models.libraries import library

_SHOWN = 5
_PART = 100  # one row of so many may have another class that is as likely
_KNOWN = "docs/models.md says of which conversions this is known, and what to do"


@dataclass(frozen=True)
class Spoken:
    """What a model says of some rows: predictions, each of ``outputs`` values, and probabilities by class."""

    predictions: list[Any]
    chances: list[dict[str, float]] | None
    outputs: int = 1


def plain(values: Any) -> list[Any]:
    """Return one value for each row, or a list of values where a row has several."""
    array = library("numpy").asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    made: list[Any] = array.tolist()
    return made


def agreeing(frame: Any, said: Spoken, found: Spoken, tolerance: float) -> list[int]:
    """Return the rows on which both say the same and leave no doubt; raises MismatchError where they differ."""
    rows = len(said.predictions)
    given = [len(found.predictions), rows if found.chances is None else len(found.chances)]
    if given != [rows, rows]:
        raise MismatchError(
            f"the file gives results for {min(given)} rows of the sample, which has {rows}\n{_KNOWN}"
        )
    clear, wrong, other = _compared(said, found, tolerance)
    # Rounding may turn two classes that are as likely now and then; a file that does so often decides otherwise.
    if wrong or len(other) > max(1, rows // _PART):
        raise MismatchError(_shown(frame, said, found, wrong or other))
    return clear


def _compared(said: Spoken, found: Spoken, tolerance: float) -> tuple[list[int], list[int], list[int]]:
    """Return the rows that agree and leave no doubt, those that differ, and those of other classes as likely."""
    clear, wrong, other_class = [], [], []
    for row, (wanted, given) in enumerate(zip(said.predictions, found.predictions)):
        doubt = False
        same = True
        if said.chances is not None:
            chances = list(said.chances[row].values())
            ordered = sorted(chances)
            doubt = len(ordered) > 1 and ordered[-1] - ordered[-2] <= 2 * tolerance
            other = [] if found.chances is None else list(found.chances[row].values())
            same = _close(chances, other, tolerance)
        if same and not doubt:
            same = _close(wanted, given, tolerance)
        if not same:
            wrong.append(row)
        elif not doubt:
            clear.append(row)
        elif wanted != given:
            other_class.append(row)
    return clear, wrong, other_class


def _close(wanted: Any, given: Any, tolerance: float) -> bool:
    if isinstance(wanted, list):
        return (
            isinstance(given, list)
            and len(wanted) == len(given)
            and all(_close(left, right, tolerance) for left, right in zip(wanted, given))
        )
    if isinstance(wanted, float) and isinstance(given, (int, float)):
        both_nan = math.isnan(wanted) and math.isnan(given)
        return both_nan or math.isclose(wanted, given, rel_tol=tolerance, abs_tol=tolerance)
    return bool(wanted == given)


def _shown(frame: Any, said: Spoken, found: Spoken, wrong: list[int]) -> str:
    lines = [
        f"the file says something else than the model on {len(wrong)} of {len(frame)} rows of the sample:"
    ]
    for row in wrong[:_SHOWN]:
        pair = f"the model says {said.predictions[row]!r}, the file {found.predictions[row]!r}"
        if said.predictions[row] == found.predictions[row] and said.chances is not None:
            chances = [] if found.chances is None else list(found.chances[row].values())
            pair = f"the model says {said.chances[row]!r}, the file {chances!r}"
        lines.append(f"  row {row} {frame.iloc[row].to_dict()!r}: {pair}")
    return "\n".join([*lines, _KNOWN])
