"""What a model takes and gives, found out by running it on a few rows.

This module must not know processes, limits of memory or SQL. It runs inside the sandbox.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.onnx_ml_pb2 import ModelProto

from scoter.errors import InvalidModel
from scoter.udfs import labels, linear, preparation, samples, structure
from scoter.udfs.dry_run import NAME_MOST, TOLERANCE, InputFacts, Trial, dry_run, same, with_length
from scoter.udfs.pieces import MOST_VALUES, Feeds
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.sessions import open_session
from scoter.udfs.signature import MOST_COLUMNS, Shape, fold, is_list
from scoter.udfs.tensors import element_of, map_of, required, sequence_of

_PRODUCER_MOST = 128  # characters

Declared = Sequence[tuple[str, Shape]]


@dataclass(frozen=True)
class OutputFacts:
    """One output: ``element`` is the type of its values, ``key`` that of a map's keys.

    ``depth`` is the number of dimensions that a row has of it, 0 also for [N, 1]; ``width`` is K of [N, K].
    """

    name: str
    element: str
    depth: int
    width: int
    key: str | None = None
    is_probabilities: bool = False


@dataclass(frozen=True)
class Facts:
    """What the dry run found out; ``labels`` are those of the probabilities, if there are any.

    ``batch`` is how many rows the model takes at a time, None for any number.
    """

    inputs: tuple[InputFacts, ...]
    outputs: tuple[OutputFacts, ...]
    labels: tuple[str | int, ...]
    opset: int | None
    producer: str
    batch: int | None
    linear: linear.Linear | None


def examine(data: bytes, limits: structure.Limits, declared: Declared) -> Facts:
    """Parse, load and run a model on a few rows; ``declared`` is the names and shapes of the user's INPUT.

    Raises InvalidModel for anything that can not serve as a function of a row.
    """
    model = structure.parse(data, limits)
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=None)
    producer = f"{model.producer_name} {model.producer_version}".strip()[:_PRODUCER_MOST]
    zipped = preparation.zipmap_labels(model)
    fixed = preparation.fixed_rows(model.graph)
    kept = ModelProto()
    kept.CopyFrom(model)
    model = preparation.prepare(model)
    if fixed:
        trial = _freed_or_fixed(model, preparation.prepare(kept, free=False), fixed, declared)
    else:
        trial = _tried(model, None, declared)
    outputs, found = _outputs(model, zipped, trial)
    weights = _linear(model, trial, outputs, found)
    return Facts(trial.inputs, outputs, found, opset, producer, trial.batch, weights)


def _freed_or_fixed(freed: ModelProto, kept: ModelProto, sizes: set[int], declared: Declared) -> Trial:
    """Return a trial with any number of rows if it gives what the model as written gives, else of that one."""
    if len(sizes) > 1:
        several = ", ".join(f"{size:,}" for size in sorted(sizes))
        raise InvalidModel(f"the inputs of the model take different numbers of rows at a time: {several}")
    fixed = _tried(kept, next(iter(sizes)), declared)
    try:
        free = _tried(freed, None, declared)
    except InvalidModel:
        return fixed
    if free.inputs != fixed.inputs or not all(map(same, free.results, fixed.results)):
        return fixed
    return free


def _tried(model: ModelProto, batch: int | None, declared: Declared) -> Trial:
    session = open_session(model.SerializeToString(), threads=1)
    inputs = _inputs(session, model, declared)
    if not any(None in each.shape for each in inputs):
        return dry_run(session, model, inputs, batch, None)
    found: list[tuple[int, Trial]] = []
    failure = None
    for length in samples.lengths(model):
        try:
            found.append((length, dry_run(session, model, inputs, batch, length)))
        except InvalidModel as error:
            failure = failure or error
        if len(found) > 1:
            return found[0][1]
    if not found:
        hint = "where only certain lengths fit, write them: INPUT (x FLOAT[5])"
        raise InvalidModel(failure.message if failure else "the model takes lists of no length", hint=hint)
    length, trial = found[0]
    return replace(trial, inputs=tuple(with_length(each, length) for each in inputs))


def _inputs(
    session: onnxruntime.InferenceSession, model: ModelProto, declared: Declared
) -> tuple[InputFacts, ...]:
    values = session.get_inputs()
    if not values:
        raise InvalidModel("the model has no inputs")
    found = []
    for place, value in enumerate(values):
        name = value.name[:NAME_MOST]
        kind, is_optional = required(value.type)
        pair = map_of(value.type)
        if pair is not None and pair[1].runtime == "float":
            found.append(InputFacts(value.name, value.type, ()))
            continue
        if element_of(kind) is None and sequence_of(kind) is None:
            raise InvalidModel(
                f"the model's input {name} is of the type {value.type[:NAME_MOST]}",
                hint="inputs are tensors, sequences of tensors, or maps from texts or integers to 32-bit floats",
            )
        if sequence_of(kind) is None:
            shape = _written(value.shape, _declared(value.name, place, len(values), declared))
        else:
            shape = _of_an_entry(model, value.name, place, declared)
        if any(size is not None and size <= 0 for size in shape):
            raise InvalidModel(f"the model's input {name} has a dimension without values")
        if math.prod(size or 1 for size in shape) > MOST_VALUES:
            raise InvalidModel(f"the model's input {name} has more than {MOST_VALUES:,} values in a row")
        found.append(InputFacts(value.name, kind, shape, is_optional))
    columns = [size for each in found if not is_list(each.shape) for size in each.shape]
    if sum(size or 0 for size in columns) > MOST_COLUMNS:
        raise InvalidModel(f"the model takes more than {MOST_COLUMNS:,} columns")
    return tuple(found)


def _of_an_entry(model: ModelProto, name: str, place: int, declared: Declared) -> Shape:
    """Return what a row has of an input that is a sequence: one of its tensors."""
    kind = next(each.type for each in model.graph.input if each.name == name)
    kind = kind.optional_type.elem_type if kind.HasField("optional_type") else kind
    entry = kind.sequence_type.elem_type.tensor_type
    stated = [shape for other, shape in declared if fold(other) == fold(name)]
    given = stated[0] if stated else declared[place][1] if place < len(declared) else None
    if not entry.HasField("shape"):
        if given is None:
            raise InvalidModel(
                f"the file does not say how many dimensions the tensors in the model's input {name[:NAME_MOST]} have",
                hint="INPUT says it: INPUT (x FLOAT[]) where each is a list of floats",
            )
        return given
    return _with(tuple(each.dim_value or None for each in entry.shape.dim), given or ())


def _declared(name: str, place: int, inputs: int, declared: Declared) -> Shape:
    """Return the lengths that INPUT states for one input of the model; () where it states none."""
    for other, shape in declared:
        if shape and fold(other) == fold(name):
            return shape
    if inputs == 1 and not any(shape for _, shape in declared):
        return (len(declared),) if declared else ()
    return declared[place][1] if len(declared) == inputs else ()


def _written(sizes: Sequence[Any], declared: Shape) -> Shape:
    """Return what a row has of an input: what the file says of it, with the lengths that INPUT adds."""
    if not sizes:
        # Without a written shape, one column is the only reading that needs no guess.
        return declared or (1,)
    return _with(tuple(size if isinstance(size, int) and size >= 0 else None for size in sizes[1:]), declared)


def _with(shape: Shape, declared: Shape) -> Shape:
    """Return a shape with the lengths that INPUT adds."""
    if len(declared) != len(shape):
        return shape
    return tuple(own if size is None else size for size, own in zip(shape, declared, strict=True))


def _outputs(
    model: ModelProto, zipped: dict[str, labels.Labels], trial: Trial
) -> tuple[tuple[OutputFacts, ...], labels.Labels]:
    """Return the outputs and the labels of the one that is probabilities, if there is one."""
    outputs = [
        (_output(value.name, value.type, result), result)
        for value, result in zip(trial.session.get_outputs(), trial.results, strict=True)
    ]
    label = next((each for each, _ in outputs if _is_label(each)), None)
    for place, (each, result) in enumerate(outputs):
        if each.width < 2 or result.dtype.kind != "f" or not _are_probabilities(result):
            continue
        found = zipped.get(each.name, ())
        if not found and label is not None:
            found = labels.trace(model, label.name, each.width)
        if len(found) == each.width and _fits(found, label):
            facts = [other for other, _ in outputs]
            facts[place] = replace(each, is_probabilities=True)
            return tuple(facts), found
    return tuple(each for each, _ in outputs), ()


def _output(name: str, kind: str, result: Any) -> OutputFacts:
    inner = kind.removeprefix("seq(").removesuffix(")") if isinstance(result, list) else kind
    pair, element = map_of(inner), element_of(inner)
    if pair is not None and isinstance(result, list):
        return OutputFacts(name, pair[1].runtime, 0, 0, pair[0].runtime)
    if element is None:
        raise InvalidModel(f"the model's output {name[:NAME_MOST]} is of the type {kind[:NAME_MOST]}")
    if isinstance(result, list):
        return OutputFacts(name, element.runtime, np.ndim(result[0]), 0)
    if result.ndim <= 2:
        width = result.shape[1] if result.ndim == 2 else 1
        if width > MOST_VALUES:
            raise InvalidModel(f"the model's output {name[:NAME_MOST]} has {width:,} columns")
        return OutputFacts(name, element.runtime, int(width != 1), width)
    return OutputFacts(name, element.runtime, result.ndim - 1, 0)


# Whole numbers with which a sum is proven; inputs of other types are not summed.
_SUMMED = {"float": None, "double": None, "int64": 100, "int32": 100, "bool": 1}


def _linear(
    model: ModelProto, trial: Trial, outputs: tuple[OutputFacts, ...], found: labels.Labels
) -> linear.Linear | None:
    elements = [element_of(each.type) for each in trial.inputs]
    kinds = [each.dtype for each in elements if each is not None and each.runtime in _SUMMED]
    if len(kinds) < len(elements) or trial.batch or any(is_list(each.shape) for each in trial.inputs):
        return None
    widths = [math.prod(size or 1 for size in each.shape) for each in trial.inputs]

    def run(rows: linear.Matrix) -> dict[str, NDArray[Any]]:
        parts = np.split(rows, np.cumsum(widths)[:-1], axis=1)
        feeds: Feeds = {
            each.name: columns.astype(kind).reshape(len(rows), *(size or 1 for size in each.shape))
            for each, columns, kind in zip(trial.inputs, parts, kinds, strict=True)
        }
        results = trial.run(feeds, len(rows))
        return {
            value.name: result
            for value, result in zip(trial.session.get_outputs(), results, strict=True)
            if isinstance(result, np.ndarray)
        }

    given = [
        linear.Given(each.name, width, _SUMMED[element.runtime])
        for each, width, element in zip(trial.inputs, widths, filter(None, elements), strict=True)
    ]
    names = [each.name for each in outputs if each.depth == 0 and each.key is None]
    return linear.linear_of(model, given, names, found, run)


def _is_label(output: OutputFacts) -> bool:
    return output.depth == 0 and output.key is None and output.element in ("int64", "string", "int32")


def _fits(found: labels.Labels, label: OutputFacts | None) -> bool:
    kinds = {type(each) for each in found}
    if label is None:
        return len(kinds) == 1
    return kinds == {str if label.element == "string" else int}


def _are_probabilities(values: NDArray[np.floating[Any]]) -> bool:
    """Tell probabilities from decision scores, which exporters write under the same name."""
    # Votes that are summed as floats come out a hair above 1, and what is left of 1 below 0.
    inside = bool(np.all((values >= -TOLERANCE) & (values <= 1 + TOLERANCE)))
    return inside and bool(np.allclose(values.sum(axis=1), 1, atol=TOLERANCE))
