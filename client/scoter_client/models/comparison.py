"""Whether a file says what the model says, on each row of a sample.

This module must not know converters or servers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scoter_client.models.answers import Spoken, agreeing, plain
from scoter_client.models.conversion import Attempt, takes_texts
from scoter_client.models.failures import ConversionError, MismatchError
from scoter_client.models.refusals import refuse
from scoter_client.models.running import run
from scoter_client.models.samples import Column, columns_of, rows_of
from scoter_client.models.statements import Input, holds_nul

GOLDEN_MOST = 200
"""The most golden rows that a server takes."""
_ONE_EACH = "log a model for each, fitted on one column of the target"


@dataclass(frozen=True)
class Proven:
    """A file that says what its model says, its INPUT, and the rows on which that was seen."""

    data: bytes
    inputs: tuple[Input, ...]
    rows: list[dict[str, Any]]
    expected: list[dict[str, Any]]

    def golden(self, most: int) -> list[dict[str, Any]]:
        """Return at most so many rows, from all over the sample, with what is expected of each.

        Raises ConversionError where there are rows and none can be written in SQL.
        """
        if most == 0:
            return []
        made = [{**row, "expected": expected} for row, expected in zip(self.rows, self.expected)]
        written = [row for row in made if not holds_nul(row)]
        if made and not written:
            raise ConversionError(
                "every row of the sample, or a label of the model, holds a NUL character, which SQL can not write: "
                "golden_rows=0 logs the model without golden rows"
            )
        return written[:: max(1, math.ceil(len(written) / most))]


def prove(
    model: Any, frame: Any, attempts: Iterable[Attempt], on_null: dict[str, Any], tolerance: float
) -> Proven:
    """Return the first file that says what the model says.

    Raises MismatchError with the first rows that differ, ConversionError where no file can be run.
    """
    refuse(model)
    columns = columns_of(model, frame)
    unknown = sorted(set(on_null) - {column.name for column in columns})
    if unknown:
        raise ConversionError(f"on_null names {unknown[0]!r}, which is no column of the model")
    inputs, kept, said = _asked(model, rows_of(frame, columns), columns, on_null)
    try:
        return _first(attempts, inputs, columns, kept, said, tolerance)
    except (ConversionError, MismatchError) as error:
        if said.outputs == 1:
            raise
        hint = f"the model has {said.outputs} outputs for each row: {_ONE_EACH}"
        raise type(error)(f"{error}\n{hint}") from error


def _first(
    attempts: Iterable[Attempt],
    inputs: tuple[Input, ...],
    columns: tuple[Column, ...],
    kept: Any,
    said: Spoken,
    tolerance: float,
) -> Proven:
    failures: list[tuple[Attempt, ConversionError | MismatchError]] = []
    for attempt in attempts:
        try:
            candidate = attempt.make()
            found, names, places = run(candidate, kept)
            clear = agreeing(kept, said, found, tolerance)
        except (ConversionError, MismatchError) as error:
            failures.append((attempt, error))
            continue
        rows = _values(kept, {columns[place].name: place for place in places})
        expected = [_results(said, row, names) for row in clear]
        used = tuple(inputs[place] for place in places)
        return Proven(candidate.data, used, [rows[row] for row in clear], expected)
    raise _cause(failures)


def _cause(failures: list[tuple[Attempt, ConversionError | MismatchError]]) -> Exception:
    """Return the failure that tells most: of a file that runs, else of numbers that all have one type."""
    differing = [error for _, error in failures if isinstance(error, MismatchError)]
    alike = [error for attempt, error in failures if not attempt.mixed]
    return (differing + alike)[0]


def _asked(
    model: Any, frame: Any, columns: tuple[Column, ...], on_null: dict[str, Any]
) -> tuple[tuple[Input, ...], Any, Spoken]:
    """Return the INPUT, the rows that can be compared, and what the model says of them."""
    gaps = frame.isna()
    nan = float("nan")
    has_gaps = {column.name for place, column in enumerate(columns) if gaps.iloc[:, place].any()}
    numbers = {column.name for column in columns if column.kind != "text"}
    takes_nan = {name for name in has_gaps & numbers if name not in on_null}
    said = None
    if takes_nan:
        kept = frame[~_any(gaps, columns, has_gaps - takes_nan)].reset_index(drop=True)
        try:
            said = _say(model, kept, columns) if len(kept) else None
        except ConversionError:
            raise
        except (ValueError, TypeError):  # most models refuse missing values
            takes_nan = set()
    if said is None:
        given_nan = {
            name for name, value in on_null.items() if isinstance(value, float) and math.isnan(value)
        }
        kept = frame[~_any(gaps, columns, has_gaps - given_nan)].reset_index(drop=True)
        if not len(kept):
            raise ConversionError("every row of the sample has missing values that the model does not take")
        said = _say(model, kept, columns)
    policies = {**dict.fromkeys(takes_nan, nan), **on_null}
    inputs = tuple(Input(column.name, column.type, policies.get(column.name)) for column in columns)
    return inputs, kept, said


def _any(gaps: Any, columns: tuple[Column, ...], names: set[str]) -> Any:
    places = [place for place, column in enumerate(columns) if column.name in names]
    return gaps.iloc[:, places].any(axis=1)


def _say(model: Any, frame: Any, columns: tuple[Column, ...]) -> Spoken:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = frame.iloc[:, 0] if takes_texts(model, columns) else frame
        predictions = model.predict(given)
        shape: tuple[int, ...] = getattr(predictions, "shape", ())
        outputs = shape[1] if len(shape) > 1 else 1
        if outputs > 1:
            _refuse_classes(model, outputs)
        try:
            chances = model.predict_proba(given)
        except AttributeError:
            chances = None
    classes = getattr(model, "classes_", None)
    if chances is None or isinstance(chances, list) or classes is None:
        return Spoken(plain(predictions), None, outputs)
    names = [_label(each) for each in classes]
    return Spoken(plain(predictions), [dict(zip(names, row)) for row in chances.tolist()])


def _refuse_classes(model: Any, outputs: int) -> None:
    """Raise ConversionError for a classifier of several outputs: a prediction in SQL is one class."""
    classes = getattr(model, "classes_", None)
    if not hasattr(model, "predict_proba") and (classes is None or not len(classes)):
        return
    raise ConversionError(
        f"{type(model).__name__} is a classifier with {outputs} outputs for each row, and in SQL a classifier has "
        f"one: {_ONE_EACH}"
    )


def _label(value: Any) -> str:
    given = value.item() if hasattr(value, "item") else value
    return (
        str(int(given))
        if isinstance(given, bool) or (isinstance(given, float) and given.is_integer())
        else str(given)
    )


def _values(frame: Any, places: dict[str, int]) -> list[dict[str, Any]]:
    """Return the rows as SQL's values, by name: None for what is missing."""
    made = []
    for place in places.values():
        column = frame.iloc[:, place]
        missing = column.isna().tolist()
        values = column.astype(object).tolist()
        made.append([None if gone else value for gone, value in zip(missing, values)])
    unboxed = [[getattr(value, "item", lambda kept=value: kept)() for value in values] for values in made]
    return [dict(zip(places, row)) for row in zip(*unboxed)]


def _results(said: Spoken, row: int, names: tuple[str, str | None]) -> dict[str, Any]:
    prediction = said.predictions[row]
    results = {names[0]: int(prediction) if isinstance(prediction, bool) else prediction}
    if said.chances is not None and names[1] is not None:
        results[names[1]] = said.chances[row]
    return results
