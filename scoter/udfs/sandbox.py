"""The sacrificial process in which a model is parsed, loaded and run for the first time.

This module must not know the lake, its directories or SQL. It reads one line of JSON (limits) and a
model from standard input and writes one line of JSON (facts or an error) to standard output.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.onnx_ml_pb2 import ModelProto

from scoter.errors import InvalidModel
from scoter.udfs import labels, linear, preparation, samples, structure
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.sessions import open_session, reason
from scoter.udfs.tensors import Element, element_of

_ROWS = 3
_BATCHES = (64, 512, 2048)
_BATCH_SECONDS = 0.25  # of the CPU; a batch that takes longer is the last: the next has eight times its rows
_PRODUCER_MOST = 128  # characters
_MAX_COLUMNS = 10_000
# Loading and running recurses along the graph. What passes on a small stack passes on the larger
# stacks of the service's threads.
_STACK_BYTES = 2 * 1024 * 1024
# Rows scored together and alone differ by rounding, because sums are split differently.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class InputFacts:
    """One tensor that the model reads: ``width`` columns; ``rank`` 1 for [N], 2 for [N, width]."""

    name: str
    element: str
    rank: int
    width: int


@dataclass(frozen=True)
class OutputFacts:
    """One tensor that the model writes: [N] when ``width`` is 0, else [N, width]."""

    name: str
    element: str
    width: int
    is_probabilities: bool


@dataclass(frozen=True)
class Facts:
    """What the dry run found out; ``labels`` are those of the probabilities, if there are any."""

    inputs: tuple[InputFacts, ...]
    outputs: tuple[OutputFacts, ...]
    labels: tuple[str | int, ...]
    opset: int | None
    producer: str
    linear: linear.Linear | None


def examine(data: bytes, limits: structure.Limits, declared: int) -> Facts:
    """Parse, load and run a model on a few rows; ``declared`` is the number of inputs the user named.

    Raises InvalidModel for anything that can not serve as a function of a row.
    """
    model = structure.parse(data, limits)
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=None)
    producer = f"{model.producer_name} {model.producer_version}".strip()[:_PRODUCER_MOST]
    zipped = preparation.zipmap_labels(model)
    model = preparation.prepare(model)
    session = open_session(model.SerializeToString(), threads=1)
    inputs = _inputs(session, declared)
    results = _dry_run(session, model, inputs)
    outputs, found = _outputs(model, session, zipped, results)
    return Facts(inputs, outputs, found, opset, producer, _linear(session, model, inputs, outputs, found))


def _inputs(session: onnxruntime.InferenceSession, declared: int) -> tuple[InputFacts, ...]:
    values = session.get_inputs()
    if not values:
        raise InvalidModel("the model has no inputs")
    found = []
    for value in values:
        element = element_of(value.type)
        if element is None:
            raise InvalidModel(
                f"the model's input {value.name[:128]} is a {value.type}, not a tensor of values"
            )
        shape = value.shape
        if len(shape) > 2:
            raise InvalidModel(
                f"the model's input {value.name[:128]} has {len(shape)} dimensions; a row has one"
            )
        if shape and isinstance(shape[0], int) and shape[0] >= 0:
            raise InvalidModel(
                f"the model takes exactly {shape[0]} rows at a time",
                hint="export it with a dynamic batch dimension",
            )
        # Without a written shape, one column is the only reading that needs no guess.
        rank = len(shape) or 2
        width = shape[1] if len(shape) == 2 else 1
        if not isinstance(width, int):
            width = declared if len(values) == 1 and declared else 1
        if not 0 < width <= _MAX_COLUMNS:
            raise InvalidModel(f"the model's input {value.name[:128]} has {width} columns")
        found.append(InputFacts(value.name, element.runtime, rank, width))
    if sum(each.width for each in found) > _MAX_COLUMNS:
        raise InvalidModel(f"the model takes more than {_MAX_COLUMNS:,} columns")
    return tuple(found)


def _dry_run(
    session: onnxruntime.InferenceSession, model: ModelProto, inputs: tuple[InputFacts, ...]
) -> list[Any]:
    """Score rows together and each alone; refuse results that depend on the rows beside them."""
    random = np.random.default_rng(7)
    known = samples.categories(model, {each.name: each.width for each in inputs})
    feeds = {
        each.name: samples.tensor(
            each.name,
            _element(each),
            [_ROWS] if each.rank == 1 else [_ROWS, each.width],
            known,
            random,
        )
        for each in inputs
    }
    together = _run(session, feeds)
    for row in range(_ROWS):
        alone = _run(session, {name: value[row : row + 1] for name, value in feeds.items()})
        for value, whole, single in zip(session.get_outputs(), together, alone, strict=True):
            if not isinstance(whole, np.ndarray):
                continue
            if whole.ndim == 0 or len(whole) != _ROWS or len(single) != 1:
                raise InvalidModel(
                    f"the model's output {value.name[:128]} does not have one entry for each row",
                    hint="export it with a dynamic batch dimension",
                )
            if not _same(whole[row], single[0]):
                raise InvalidModel(
                    f"the model's output {value.name[:128]} for a row depends on the rows beside it",
                    hint="a model must score each row alone; export it for inference",
                )
    _score_batches(session, feeds, together)
    return together


def _score_batches(
    session: onnxruntime.InferenceSession, feeds: dict[str, NDArray[np.generic]], expected: list[Any]
) -> None:
    """Score batches as large as the service's, while the time allows, and compare with the few rows.

    A model whose memory grows with its rows fails here, under the limit, instead of in the service;
    and the runtime takes other paths for many rows than for few. Where the time ends first, the memory of
    the largest batch is reckoned from what the last one took.
    """
    for rows in _BATCHES:
        places = np.arange(rows) % _ROWS
        started, used = time.process_time(), _most_memory()
        results = _run(session, {name: value[places] for name, value in feeds.items()})
        for value, few, many in zip(session.get_outputs(), expected, results, strict=True):
            if isinstance(few, np.ndarray) and not _same(few[places], many):
                raise InvalidModel(f"the model's output {value.name[:128]} depends on the number of rows")
        if time.process_time() - started > _BATCH_SECONDS:
            grown = (_most_memory() - used) * _BATCHES[-1] // rows
            if used + grown > resource.getrlimit(resource.RLIMIT_AS)[0]:
                raise MemoryError
            return


def _most_memory() -> int:
    """Return the most bytes of memory that this process had in use at once."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _element(each: InputFacts) -> Element:
    element = element_of(f"tensor({each.element})")
    if element is None:
        raise InvalidModel(f"the model's input type {each.element} is not supported")
    return element


def _run(session: onnxruntime.InferenceSession, feeds: dict[str, NDArray[np.generic]]) -> list[Any]:
    try:
        return list(session.run(None, feeds))
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's errors share no base but Exception
        if _is_memory(error):
            raise MemoryError from error
        raise InvalidModel(f"the model fails on sample rows: {reason(error)}") from error


def _is_memory(error: Exception) -> bool:
    text = str(error)
    return "bad_alloc" in text or "Failed to allocate memory" in text


def _same(left: Any, right: Any) -> bool:
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        return bool(np.allclose(left, right, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))
    return bool(np.array_equal(left, right))


def _outputs(
    model: ModelProto,
    session: onnxruntime.InferenceSession,
    zipped: dict[str, labels.Labels],
    results: list[Any],
) -> tuple[tuple[OutputFacts, ...], labels.Labels]:
    """Return the outputs and the labels of the one that is probabilities, if there is one."""
    outputs = []
    for value, result in zip(session.get_outputs(), results, strict=True):
        element = element_of(value.type)
        if element is not None and result.ndim <= 2:
            width = result.shape[1] if result.ndim == 2 else 0
            if width > _MAX_COLUMNS:
                raise InvalidModel(f"the model's output {value.name[:128]} has {width:,} columns")
            outputs.append((OutputFacts(value.name, element.runtime, width, False), result))
    if not outputs:
        raise InvalidModel("the model has no output of the shape [N] or [N, K]")
    label = next((each for each, _ in outputs if _is_label(each)), None)
    for place, (each, result) in enumerate(outputs):
        if each.width < 2 or result.dtype.kind != "f" or not _are_probabilities(result):
            continue
        found = zipped.get(each.name, ())
        if not found and label is not None:
            found = labels.trace(model, label.name, each.width)
        if len(found) == each.width and _fits(found, label):
            facts = [other for other, _ in outputs]
            facts[place] = OutputFacts(each.name, each.element, each.width, True)
            return tuple(facts), found
    return tuple(each for each, _ in outputs), ()


# Whole numbers with which a sum is proven; inputs of other types are not summed.
_SUMMED = {"float": None, "double": None, "int64": 100, "int32": 100, "bool": 1}


def _linear(
    session: onnxruntime.InferenceSession,
    model: ModelProto,
    inputs: tuple[InputFacts, ...],
    outputs: tuple[OutputFacts, ...],
    found: labels.Labels,
) -> linear.Linear | None:
    if any(each.element not in _SUMMED or each.rank > 2 for each in inputs):
        return None
    ends = np.cumsum([each.width for each in inputs])[:-1]

    def run(rows: linear.Matrix) -> dict[str, NDArray[Any]]:
        feeds = {}
        for each, columns in zip(inputs, np.split(rows, ends, axis=1), strict=True):
            values = columns.astype(_element(each).dtype)
            feeds[each.name] = values.ravel() if each.rank == 1 else values
        return {
            value.name: result
            for value, result in zip(session.get_outputs(), _run(session, feeds), strict=True)
            if isinstance(result, np.ndarray)
        }

    given = [linear.Given(each.name, each.width, _SUMMED[each.element]) for each in inputs]
    names = [each.name for each in outputs if each.width <= 1]
    return linear.linear_of(model, given, names, found, run)


def _is_label(output: OutputFacts) -> bool:
    return output.width <= 1 and output.element in ("int64", "string", "int32")


def _fits(found: labels.Labels, label: OutputFacts | None) -> bool:
    kinds = {type(each) for each in found}
    if label is None:
        return len(kinds) == 1
    return kinds == {str if label.element == "string" else int}


def _are_probabilities(values: NDArray[np.floating[Any]]) -> bool:
    """Tell probabilities from decision scores, which exporters write under the same name."""
    inside = bool(np.all((values >= 0) & (values <= 1)))
    return inside and bool(np.allclose(values.sum(axis=1), 1, atol=_TOLERANCE))


def _confine(memory: int, seconds: int) -> None:
    """Give up memory, time, files and core dumps before the model is read."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _answer(header: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        facts = examine(data, structure.Limits(**header["limits"]), header["declared"])
    except InvalidModel as error:
        return {"error": error.message, "hint": error.hint}
    except MemoryError:
        return {"memory": True}
    except Exception as error:  # noqa: BLE001  # a hostile file's fault, and the process ends after this
        if _is_memory(error):
            return {"memory": True}
        return {"error": f"the model can not be loaded: {reason(error)}", "hint": None}
    return {"facts": asdict(facts)}


def main() -> None:
    """Answer for one model and end."""
    header = json.loads(sys.stdin.buffer.readline())
    _confine(header["memory"], header["seconds"])
    data = sys.stdin.buffer.read(header["bytes"])
    answers: list[dict[str, Any]] = []
    threading.stack_size(_STACK_BYTES)
    thread = threading.Thread(target=lambda: answers.append(_answer(header, data)))
    thread.start()
    thread.join()
    os.write(1, json.dumps(answers[0] if answers else {"memory": True}).encode())
    # No destructors of a session that a hostile file has filled.
    os._exit(0)


if __name__ == "__main__":
    main()
