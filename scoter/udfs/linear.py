"""Which models are a weighted sum of their inputs, read from the graph and proven by running it.

Such a model is faster as SQL than as a function. This module must not know SQL, sessions or names of columns; it
runs inside the sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto, NodeProto, TensorProto

from scoter.errors import CorruptData
from scoter.udfs.graphs import class_labels, constants

Matrix = NDArray[np.float64]
Run = Callable[[Matrix], dict[str, NDArray[Any]]]
_WEIGHTS_MOST = 1000
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_RENAMING = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Flatten"})
_PROOF_ROWS = 64
_SCALES = (1e-2, 1.0, 1e3)
_CLOSE = 1e-4


@dataclass(frozen=True)
class Linear:
    """``bias`` + the sum of ``weights`` times the model's columns in their order.

    It is the result ``output`` itself, or the score of a classifier's second class, whose label ``output`` is where
    the score is above 0; ``labels`` are both in order. ``is_logistic``: the probability of the second class is 1 / (1 + exp(-score)).

    The model adds in 32 bits what is never larger than ``size`` + the sum of ``sizes`` times the absolute columns, and
    each part of it goes through ``steps`` roundings at most. Without ``sizes`` nothing is known of its rounding.
    """

    output: str
    weights: tuple[float, ...]
    bias: float
    is_score: bool = False
    is_logistic: bool = False
    labels: tuple[str | int, ...] = ()
    sizes: tuple[float, ...] = ()
    size: float = 0.0
    steps: int = 0

    def to_json(self) -> str:
        """Return the weights as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Linear:
        """Read what ``to_json`` wrote; raises CorruptData for anything else."""
        try:
            return cls.from_parts(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptData("the stored weights of a model can not be read") from error

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Linear:
        """Make it of what ``asdict`` gave, in which JSON made lists of tuples."""
        made: dict[str, Any] = {
            name: tuple(part) if isinstance(part, list) else part for name, part in parts.items()
        }
        return cls(**made)


@dataclass(frozen=True)
class Given:
    """One of the model's inputs: ``width`` columns, of whole numbers from 0 to ``most`` where that is not None."""

    name: str
    width: int
    most: int | None


@dataclass(frozen=True)
class _Affine:
    """A tensor [N, K] as ``matrix`` [F, K] and ``bias`` [K] over the model's F columns.

    ``sizes`` [F, K] and ``size`` [K] are the same sums of absolute parts, before parts cancel each other; ``steps`` is
    how often a part is rounded on its way.
    """

    matrix: Matrix
    bias: Matrix
    sizes: Matrix
    size: Matrix
    steps: int

    @classmethod
    def columns(cls, chosen: Matrix) -> _Affine:
        """Return columns of the model as they are given; its inputs may be rounded to 32 bits."""
        none = np.zeros(chosen.shape[1])
        return cls(chosen, none, chosen, none, 1)

    @property
    def width(self) -> int:
        return len(self.bias)

    @property
    def is_finite(self) -> bool:
        return bool(np.all(np.isfinite(self.sizes)) and np.all(np.isfinite(self.size)))

    def scaled(self, by: Matrix) -> _Affine:
        most = np.abs(by)
        return _Affine(self.matrix * by, self.bias * by, self.sizes * most, self.size * most, self.steps + 2)

    def moved(self, by: Matrix) -> _Affine:
        return _Affine(self.matrix, self.bias + by, self.sizes, self.size + np.abs(by), self.steps + 1)

    def product(self, weights: Matrix) -> _Affine:
        most = np.abs(weights)
        return _Affine(
            self.matrix @ weights,
            self.bias @ weights,
            self.sizes @ most,
            self.size @ most,
            self.steps + self.width + 1,
        )

    def plus(self, other: _Affine, sign: int = 1) -> _Affine:
        return _Affine(
            self.matrix + sign * other.matrix,
            self.bias + sign * other.bias,
            self.sizes + other.sizes,
            self.size + other.size,
            max(self.steps, other.steps) + 1,
        )

    def column(self, place: int) -> _Affine:
        chosen = [place]
        return _Affine(
            self.matrix[:, chosen],
            self.bias[chosen],
            self.sizes[:, chosen],
            self.size[chosen],
            self.steps,
        )

    def linear(self, output: str, **facts: Any) -> Linear:
        """Return the one column as a model's result."""
        return Linear(
            output,
            _floats(self.matrix[:, 0]),
            float(self.bias[0]),
            sizes=_floats(self.sizes[:, 0]),
            size=float(self.size[0]),
            steps=self.steps,
            **facts,
        )


def linear_of(
    model: ModelProto, inputs: Sequence[Given], outputs: Sequence[str], labels: Sequence[str | int], run: Run
) -> Linear | None:
    """Return how a model computes one of its ``outputs`` if that is linear, None for any other model.

    ``labels`` are a classifier's labels in the order of its probabilities. ``run`` gives the results for rows [N, F]
    by name.
    """
    if sum(each.width for each in inputs) > _WEIGHTS_MOST or model.functions:
        return None
    tensors = _affine_tensors(model, inputs)
    for output in outputs:
        found = tensors.get(output)
        if found is not None and found.width == 1:
            linear = found.linear(output)
            return linear if _is_value(linear, inputs, run) else None
    return _classifier(model, tensors, inputs, outputs, labels, run)


def _affine_tensors(model: ModelProto, inputs: Sequence[Given]) -> dict[str, _Affine]:
    """Return all tensors that are sums of the columns, by name."""
    known = {name: numpy_helper.to_array(tensor) for name, tensor in constants(model).items()}
    columns = np.eye(sum(each.width for each in inputs))
    found: dict[str, _Affine] = {}
    first = 0
    for each in inputs:
        found[each.name] = _Affine.columns(columns[:, first : first + each.width])
        first += each.width
    for node in model.graph.node:
        made = _applied(node, found, known)
        if made is not None and made.is_finite:
            found[node.output[0]] = made
    return found


def _applied(node: NodeProto, tensors: dict[str, _Affine], known: dict[str, NDArray[Any]]) -> _Affine | None:
    """Return what a node makes of sums of columns, None where that is no such sum."""
    given = [tensors.get(name) for name in node.input]
    told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    match node.op_type:
        case "Cast" if told.get("to") in _FLOATS:
            return given[0]
        case "Concat" if told.get("axis") in (1, -1):
            parts = [each for each in given if each is not None]
            if len(parts) < len(given):
                return None
            matrix, sizes = (
                np.hstack(each) for each in zip(*((p.matrix, p.sizes) for p in parts), strict=True)
            )
            bias, size = (
                np.concatenate(each) for each in zip(*((p.bias, p.size) for p in parts), strict=True)
            )
            return _Affine(matrix, bias, sizes, size, max(each.steps for each in parts))
        case "Add" | "Sub" | "Mul" | "Div":
            return _arithmetic(node, given, known)
        case "MatMul" | "Gemm":
            return _product(node, given, known, told)
        case "Scaler" if given[0] is not None:
            scale, offset = np.array(told.get("scale", 1.0)), np.array(told.get("offset", 0.0))
            return given[0].moved(-offset).scaled(scale)
        case "LinearRegressor" if given[0] is not None and _is_plain(told):
            targets = int(told.get("targets", 1))
            return _weighted(given[0], told.get("coefficients", ()), told.get("intercepts"), targets)
        case "Identity":
            return given[0]
    return None


def _arithmetic(
    node: NodeProto, given: Sequence[_Affine | None], known: dict[str, NDArray[Any]]
) -> _Affine | None:
    left, right = given
    if left is not None and right is not None:
        if left.width != right.width or node.op_type not in {"Add", "Sub"}:
            return None
        return left.plus(right, 1 if node.op_type == "Add" else -1)
    if left is not None:
        value = _row(known.get(node.input[1]), left.width)
        if value is None:
            return None
        match node.op_type:
            case "Add":
                return left.moved(value)
            case "Sub":
                return left.moved(-value)
            case "Mul":
                return left.scaled(value)
        return left.scaled(1 / value) if np.all(value != 0) else None
    if right is not None and node.op_type in {"Add", "Mul"}:
        value = _row(known.get(node.input[0]), right.width)
        if value is not None:
            return right.scaled(value) if node.op_type == "Mul" else right.moved(value)
    return None


def _product(
    node: NodeProto,
    given: Sequence[_Affine | None],
    known: dict[str, NDArray[Any]],
    told: dict[str, Any],
) -> _Affine | None:
    left, factor = given[0], known.get(node.input[1])
    if left is None or factor is None or factor.ndim != 2 or told.get("transA"):
        return None
    matrix = np.asarray(factor, np.float64).T if told.get("transB") else np.asarray(factor, np.float64)
    if len(matrix) != left.width:
        return None
    made = left.product(matrix * float(told.get("alpha", 1.0)))
    if node.op_type == "MatMul" or len(node.input) < 3:
        return made
    added = _row(known.get(node.input[2]), made.width)
    return None if added is None else made.moved(added * float(told.get("beta", 1.0)))


def _weighted(given: _Affine, weights: Any, bias: Any, rows: int) -> _Affine | None:
    matrix = np.array(weights, np.float64)
    if matrix.size != rows * given.width:
        return None
    matrix = matrix.reshape(rows, given.width).T
    added = np.array(bias or [0.0] * rows, np.float64)
    if len(added) != rows:
        return None
    return given.product(matrix).moved(added)


def _row(value: NDArray[Any] | None, width: int) -> Matrix | None:
    """Return a constant as [width] numbers, None for one that is not the same for every row."""
    if value is None or value.dtype.kind != "f" or value.size not in (1, width) or value.ndim > 2:
        return None
    if value.ndim == 2 and value.shape[0] != 1:
        return None
    spread: Matrix = np.broadcast_to(np.asarray(value, np.float64).ravel(), (width,))
    return spread


def _is_plain(told: dict[str, Any]) -> bool:
    return bool(told.get("post_transform", b"NONE") == b"NONE")


def _classifier(
    model: ModelProto,
    tensors: dict[str, _Affine],
    inputs: Sequence[Given],
    outputs: Sequence[str],
    labels: Sequence[str | int],
    run: Run,
) -> Linear | None:
    """Return the score of a LinearClassifier of two classes whose label is one of the results."""
    node = next((each for each in model.graph.node if each.op_type == "LinearClassifier"), None)
    if node is None or len(class_labels(node)) != 2:
        return None
    output = _renamed(model, node.output[0])
    if output not in outputs:
        return None
    given = tensors.get(node.input[0])
    told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    scores = (
        None if given is None else _weighted(given, told.get("coefficients", ()), told.get("intercepts"), 2)
    )
    if scores is None:
        return None
    first, second = (scores.column(place) for place in (0, 1))
    if told.get("post_transform") == b"SOFTMAX":
        second = second.plus(first, -1)
    elif not (np.array_equal(second.matrix, -first.matrix) and second.bias == -first.bias):
        return None
    known = tuple(labels) or class_labels(node)
    linear = second.linear(output, is_score=True, is_logistic=bool(labels), labels=known)
    return linear if _is_score(linear, inputs, run) else None


def _renamed(model: ModelProto, name: str) -> str:
    """Return the last name of a tensor that is only passed on."""
    for node in model.graph.node:
        if node.input and node.input[0] == name and node.op_type in _RENAMING:
            name = node.output[0]
    return name


def _floats(values: Matrix) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _proof(linear: Linear, inputs: Sequence[Given]) -> tuple[Matrix, Matrix]:
    """Return rows of three sizes, and the sums for them."""
    random = np.random.default_rng(11)
    most = [each.most for each in inputs for _ in range(each.width)]
    rows = np.vstack([random.normal(size=(_PROOF_ROWS, len(most))) * scale for scale in _SCALES])
    rows = rows.astype(np.float32).astype(np.float64)
    for place, limit in enumerate(most):
        if limit is not None:
            rows[:, place] = random.integers(0, limit, len(rows), endpoint=True)
    return rows, rows @ np.array(linear.weights) + linear.bias


def _size(linear: Linear, rows: Matrix) -> Matrix:
    """Return how large the parts of each sum are: what its rounding is measured by."""
    size: Matrix = np.abs(rows) @ np.array(linear.sizes) + linear.size
    return size


def _is_value(linear: Linear, inputs: Sequence[Given], run: Run) -> bool:
    rows, sums = _proof(linear, inputs)
    given = np.asarray(run(rows)[linear.output], np.float64).ravel()
    return len(given) == len(sums) and bool(np.all(np.abs(given - sums) <= _CLOSE * _size(linear, rows)))


def _is_score(linear: Linear, inputs: Sequence[Given], run: Run) -> bool:
    rows, sums = _proof(linear, inputs)
    results = run(rows)
    clear = np.abs(sums) > _CLOSE * _size(linear, rows)
    expected = np.array(linear.labels, dtype=object)[(sums > 0).astype(int)]
    given = results[linear.output].ravel().astype(object)
    if len(given) != len(sums) or not bool(np.all(given[clear] == expected[clear])):
        return False
    if not linear.is_logistic:
        return True
    chances = [
        values
        for name, values in results.items()
        if name != linear.output and values.ndim == 2 and values.shape[1] == 2
    ]
    with np.errstate(over="ignore"):
        wanted = 1 / (1 + np.exp(-sums))
    return len(chances) == 1 and bool(np.allclose(chances[0][:, 1], wanted, rtol=0, atol=_CLOSE))
