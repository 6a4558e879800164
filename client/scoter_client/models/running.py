"""What a file says of some rows.

This module must not know what is expected of it.
"""

from __future__ import annotations

import re
from typing import Any

from scoter_client.models.answers import Spoken, plain
from scoter_client.models.conversion import Candidate
from scoter_client.models.failures import ConversionError
from scoter_client.models.libraries import library
from scoter_client.models.samples import Column

_FATAL_ONLY = 4
_FLOATS = "tensor(float)"
_WHOLE = {_FLOATS: (32, 24), "tensor(double)": (64, 53)}  # bits, and up to 2^n each integer is one


def run(candidate: Candidate, frame: Any) -> tuple[Spoken, tuple[str, str | None], list[int]]:
    """Return what the file says of the rows, its outputs for predictions and probabilities, the columns it takes.

    Raises ConversionError for a file that can not be run.
    """
    try:
        return _run(candidate, frame)
    except (ImportError, ConversionError):
        raise
    except Exception as error:  # the runtime raises classes of its own
        raise ConversionError(f"the converted file can not be run: {error}") from error


def _run(candidate: Candidate, frame: Any) -> tuple[Spoken, tuple[str, str | None], list[int]]:
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
        return Spoken(plain(results[0]), None), (names[0], None), places
    if isinstance(results[1], list):  # one mapping for each row
        rows = [{str(key): value for key, value in row.items()} for row in results[1]]
    else:
        rows = [{str(place): value for place, value in enumerate(row)} for row in results[1].tolist()]
    return Spoken(plain(results[0]), rows), (names[0], names[1]), places


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
