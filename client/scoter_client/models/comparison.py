"""Whether a file says what the model says, on each row of a sample.

This module must not know converters or servers.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scoter_client.models.conversion import (
    Candidate,
    Column,
    columns_of,
    library,
    refuse_booster,
    takes_texts,
)
from scoter_client.models.failures import ConversionError, MismatchError
from scoter_client.models.statements import Input

GOLDEN_MOST = 200
"""The most golden rows that a server takes."""
_FATAL_ONLY = 4
_SHOWN = 5
_FLOATS = "tensor(float)"
_WHOLE = {_FLOATS: (32, 24), "tensor(double)": (64, 53)}  # bits, and up to 2^n each integer is one
_ONE_EACH = "log a model for each, fitted on one column of the target"


@dataclass(frozen=True)
class Spoken:
    """What a model says of some rows: predictions, each of ``outputs`` values, and probabilities by class."""

    predictions: list[Any]
    chances: list[dict[str, float]] | None
    outputs: int = 1


@dataclass(frozen=True)
class Proven:
    """A file that says what its model says, its INPUT, and the rows on which that was seen."""

    data: bytes
    inputs: tuple[Input, ...]
    rows: list[dict[str, Any]]
    expected: list[dict[str, Any]]

    def golden(self, most: int) -> list[dict[str, Any]]:
        """Return at most so many rows, from all over the sample, with what is expected of each."""
        if most == 0:
            return []
        step = max(1, math.ceil(len(self.rows) / most))
        pairs = list(zip(self.rows, self.expected))[::step]
        return [{**row, "expected": expected} for row, expected in pairs]


def prove(
    model: Any, sample: Any, candidates: Iterable[Candidate], on_null: dict[str, Any], tolerance: float
) -> Proven:
    """Return the first candidate that says what the model says.

    Raises MismatchError with the first rows that differ, ConversionError where no file can be run.
    """
    if not hasattr(model, "predict"):
        raise ConversionError(f"{type(model).__name__} is not a model: it can not predict")
    refuse_booster(model)
    columns = columns_of(model, sample)
    unknown = sorted(set(on_null) - {column.name for column in columns})
    if unknown:
        raise ConversionError(f"on_null names {unknown[0]!r}, which is no column of the model")
    if "expected" in {column.name.casefold() for column in columns}:
        raise ConversionError('a column can not be called "expected", which golden rows use')
    frame = _frame(sample, columns)
    inputs, kept, said = _asked(model, frame, columns, on_null)
    try:
        return _first(candidates, inputs, columns, kept, said, tolerance)
    except (ConversionError, MismatchError) as error:
        if said.outputs == 1:
            raise
        hint = f"the model has {said.outputs} outputs for each row: {_ONE_EACH}"
        raise type(error)(f"{error}\n{hint}") from error


def _first(
    candidates: Iterable[Candidate],
    inputs: tuple[Input, ...],
    columns: tuple[Column, ...],
    kept: Any,
    said: Spoken,
    tolerance: float,
) -> Proven:
    failure: Exception | None = None
    for candidate in candidates:
        try:
            found, names, places = _run(candidate, kept)
        except ImportError:
            raise
        except ConversionError as error:
            failure = failure or error
            continue
        except Exception as error:  # noqa: BLE001  # the runtime raises classes of its own
            failure = failure or ConversionError(f"the converted file can not be run: {error}")
            continue
        clear, wrong = _compared(said, found, tolerance)
        if wrong:
            failure = failure or MismatchError(_shown(kept, said, found, wrong))
            continue
        rows = _values(kept, [columns[place] for place in places])
        expected = [_results(said, row, names) for row in clear]
        used = tuple(inputs[place] for place in places)
        return Proven(candidate.data, used, [rows[row] for row in clear], expected)
    raise failure or ConversionError("the model can not be converted to ONNX")


def _frame(sample: Any, columns: tuple[Column, ...]) -> Any:
    names = [str(name) for name in sample.columns]
    frame = sample.iloc[:, [names.index(column.name) for column in columns]].reset_index(drop=True)
    if not len(frame):
        raise ConversionError("the sample has no rows")
    return frame


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
        return Spoken(_plain(predictions), None, outputs)
    names = [_label(each) for each in classes]
    return Spoken(_plain(predictions), [dict(zip(names, row)) for row in chances.tolist()])


def _refuse_classes(model: Any, outputs: int) -> None:
    """Raise ConversionError for a classifier of several outputs: a prediction in SQL is one class."""
    classes = getattr(model, "classes_", None)
    if not hasattr(model, "predict_proba") and (classes is None or not len(classes)):
        return
    raise ConversionError(
        f"{type(model).__name__} is a classifier with {outputs} outputs for each row, and in SQL a classifier has "
        f"one: {_ONE_EACH}"
    )


def _plain(values: Any) -> list[Any]:
    array = library("numpy").asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    plain: list[Any] = array.tolist()
    return plain


def _label(value: Any) -> str:
    plain = value.item() if hasattr(value, "item") else value
    return (
        str(int(plain))
        if isinstance(plain, bool) or (isinstance(plain, float) and plain.is_integer())
        else str(plain)
    )


def _run(candidate: Candidate, frame: Any) -> tuple[Spoken, tuple[str, str | None], list[int]]:
    """Return what the file says of the rows, its outputs for predictions and probabilities, the columns it takes."""
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    session = runtime.InferenceSession(candidate.data, options, providers=["CPUExecutionProvider"])
    places = _places(candidate, [each.name for each in session.get_inputs()])
    results = session.run(
        None,
        _feeds(candidate, session, [candidate.columns[place] for place in places], frame.iloc[:, places]),
    )
    names = [output.name for output in session.get_outputs()]
    if len(results) == 1:
        return Spoken(_plain(results[0]), None), (names[0], None), places
    if isinstance(results[1], list):  # one mapping for each row
        rows = [{str(key): value for key, value in row.items()} for row in results[1]]
    else:
        rows = [{str(place): value for place, value in enumerate(row)} for row in results[1].tolist()]
    return Spoken(_plain(results[0]), rows), (names[0], names[1]), places


def _places(candidate: Candidate, inputs: list[str]) -> list[int]:
    """Return which columns the file takes: a converter may leave out those that nothing reads."""
    if candidate.element is not None or len(inputs) == len(candidate.columns):
        return list(range(len(candidate.columns)))
    by_name = {_folded(column.name): place for place, column in enumerate(candidate.columns)}
    return [by_name[_folded(name)] for name in inputs]


def _folded(name: str) -> str:
    return re.sub(r"\W|_", "", name).casefold()


def _feeds(candidate: Candidate, session: Any, columns: list[Column], frame: Any) -> dict[str, Any]:
    numpy = library("numpy")
    dtypes = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}
    inputs = session.get_inputs()
    types = (
        [inputs[0].type] * len(columns) if candidate.element is not None else [each.type for each in inputs]
    )
    for place, (column, kind) in enumerate(zip(columns, types)):
        if column.kind == "integer" and kind in _WHOLE:
            _refuse_large(column.name, frame.iloc[:, place], *_WHOLE[_FLOATS if candidate.rounds else kind])
    if candidate.element is not None:
        return {inputs[0].name: frame.to_numpy(dtype=dtypes[inputs[0].type], na_value=numpy.nan)}
    feeds = {}
    for place, each in enumerate(inputs):
        column = frame.iloc[:, place]
        if each.type == "tensor(string)":
            values = column.astype(object).to_numpy(dtype=object)
        elif each.type == "tensor(int64)":
            values = column.to_numpy(dtype="int64")
        else:
            values = column.to_numpy(dtype=dtypes[each.type], na_value=numpy.nan)
        feeds[each.name] = values.reshape(-1, 1)
    return feeds


def _refuse_large(name: str, values: Any, bits: int, exponent: int) -> None:
    """Raise ConversionError for an integer that the server refuses: it may not be a float of so many bits."""
    given = values.astype(object).dropna()
    largest = max(given.max(), given.min(), key=abs) if len(given) else 0
    if abs(largest) > 1 << exponent:
        raise ConversionError(
            f"the column {name!r} holds the integer {largest}, and the file takes floats of {bits} bits there, which "
            f"do not hold every integer above 2^{exponent}: fit the model on a column of smaller numbers, or, if "
            f"rounded values will do, give the sample floats, as sample.astype({{{name!r}: float}}) has them"
        )


def _compared(said: Spoken, found: Spoken, tolerance: float) -> tuple[list[int], list[int]]:
    """Return the rows that agree and leave no doubt, and those that differ."""
    clear, wrong = [], []
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
    return clear, wrong


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


def _values(frame: Any, columns: list[Column]) -> list[dict[str, Any]]:
    """Return the rows as SQL's values: None for what is missing."""
    made = []
    for each in columns:
        column = frame[each.name]
        missing = column.isna().tolist()
        values = column.astype(object).tolist()
        made.append([None if gone else value for gone, value in zip(missing, values)])
    names = [column.name for column in columns]
    plain = [[getattr(value, "item", lambda kept=value: kept)() for value in values] for values in made]
    return [dict(zip(names, row)) for row in zip(*plain)]


def _results(said: Spoken, row: int, names: tuple[str, str | None]) -> dict[str, Any]:
    prediction = said.predictions[row]
    results = {names[0]: int(prediction) if isinstance(prediction, bool) else prediction}
    if said.chances is not None and names[1] is not None:
        results[names[1]] = said.chances[row]
    return results


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
    lines.append("docs/models.md says of which conversions this is known, and what to do")
    return "\n".join(lines)
