"""Models whose trees are walked by machine code of our own, beside ONNX Runtime for the rest of their graph.

This module must not know SQL types or which statement asks. Compiled trees are used only where they gave the same bits as
ONNX Runtime for rows on and around the thresholds of their nodes; anything else is left to ONNX Runtime.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from onnx.onnx_ml_pb2 import GraphProto, ModelProto, NodeProto, TensorProto

from scoter.udfs import ensembles
from scoter.udfs.ensembles import Ensemble, Floats
from scoter.udfs.preparation import BATCH
from scoter.udfs.runtime import onnxruntime

Open = Callable[[bytes], onnxruntime.InferenceSession]
_PROBES = 2_048
_EDGES = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.finfo(np.float32).max], np.float32)


def is_available() -> bool:
    """Say whether the extra that compiles is installed."""
    return find_spec("numba") is not None


def has_trees(model: ModelProto) -> bool:
    """Say whether a model may have an ensemble to compile."""
    return any(node.op_type in ensembles.OPERATORS for node in model.graph.node)


class Walked:
    """An ensemble that gives what its operator gives: labels and scores, or the values of a regressor."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._trees = ensemble
        self._code: Any = importlib.import_module("scoter.udfs.traversal")
        self._for_missing = ensemble.feature + np.where(ensemble.missing_left, ensemble.features, 0).astype(
            np.uint32
        )

    def takes(self, rows: NDArray[Any]) -> bool:
        """Say whether these are rows [N, F] of float32 with all features."""
        return (
            rows.dtype == np.float32
            and rows.ndim == 2
            and rows.shape[1] >= self._trees.features
            and len(rows) > 0
        )

    def __call__(self, rows: NDArray[Any]) -> tuple[NDArray[Any] | None, Floats]:
        """Return labels [N], None of a regressor, and scores [N, K]."""
        trees = self._trees
        sums = self._sums(rows)
        if trees.is_average:
            sums /= np.float32(len(trees.roots))
        if trees.base is not None:
            sums += trees.base
        if trees.labels is None:
            return None, sums
        if trees.is_binary:
            first = (sums[:, 0] > (0.5 if trees.is_positive else 0)).astype(np.intp)
            return trees.labels[first], self._two(sums)
        labels = trees.labels[sums.argmax(axis=1)]
        self._transform(sums)
        return labels, sums

    def _sums(self, rows: NDArray[Any]) -> Floats:
        trees, feature = self._trees, self._trees.feature
        if np.isnan(rows.min()):
            # No threshold is above a missing value, so that it goes right, and none below the least number, which goes left:
            # each feature stands here as both.
            used, feature = rows[:, : trees.features], self._for_missing
            rows = np.hstack([used, np.where(np.isnan(used), np.float32(-np.inf), used)])
        sums = np.zeros((len(rows), trees.width), np.float32)
        self._code.walk(
            np.ascontiguousarray(rows), feature, trees.threshold, trees.left, trees.roots, trees.levels,
            trees.first, trees.sums, trees.weights, sums,
        )  # fmt: skip
        return sums

    def _two(self, sums: Floats) -> Floats:
        if self._trees.transform == "LOGISTIC":
            both = np.hstack([-sums, sums])
            self._code.logistic(both)
            return both
        return np.hstack([1 - sums if self._trees.is_positive else -sums, sums])

    def _transform(self, sums: Floats) -> None:
        match self._trees.transform:
            case "LOGISTIC":
                self._code.logistic(sums)
            case "SOFTMAX":
                self._code.softmax(sums)


class Compiled:
    """A model's graph, cut where its ensemble stands: what comes before, the trees, and what comes after."""

    def __init__(
        self,
        node: NodeProto,
        walked: Walked,
        before: onnxruntime.InferenceSession | None,
        after: onnxruntime.InferenceSession | None,
    ) -> None:
        self._rows = node.input[0]
        self._outputs = tuple(node.output)
        self._walked, self._before, self._after = walked, before, after

    def run(self, wanted: list[str], feeds: dict[str, Any], options: object) -> list[Any] | None:
        """Return the wanted outputs; None for rows that only ONNX Runtime knows what to do with."""
        rows = (
            feeds.get(self._rows)
            if self._before is None
            else self._before.run([self._rows], feeds, options)[0]
        )
        if not isinstance(rows, np.ndarray) or not self._walked.takes(rows):
            return None
        labels, scores = self._walked(rows)
        found = dict(zip(self._outputs, (scores,) if labels is None else (labels, scores), strict=False))
        if self._after is None:
            return [found[name] for name in wanted]
        given = {name: values for name, values in found.items() if name}
        results: list[Any] = self._after.run(wanted, feeds | given, options)
        return results


def compiled(model: ModelProto, session: Open) -> Compiled | None:
    """Return a prepared model with compiled trees, None where that can not be had.

    ``session`` opens the parts that are left to ONNX Runtime, with one thread.
    """
    graph = model.graph
    nodes = [node for node in graph.node if node.op_type in ensembles.OPERATORS]
    if (
        len(nodes) != 1
        or model.functions
        or any(each.HasField("g") for node in graph.node for each in node.attribute)
    ):
        return None
    (node,) = nodes
    ensemble = ensembles.read(node)
    if ensemble is None or node.input[0] in {each.name for each in graph.initializer}:
        return None
    walked = Walked(ensemble)
    if not _agrees(model, node, ensemble, walked, session):
        return None
    is_first = node.input[0] in {each.name for each in graph.input}
    is_last = {each.name for each in graph.output} <= set(node.output)
    return Compiled(
        node,
        walked,
        None if is_first else session(_before(model, node).SerializeToString()),
        None if is_last else session(_after(model, node, ensemble).SerializeToString()),
    )


def _before(model: ModelProto, node: NodeProto) -> ModelProto:
    """Return the part of the graph that makes the ensemble's rows."""
    makers = {name: each for each in model.graph.node for name in each.output if name}
    wanted, needed = [node.input[0]], set[str]()
    while wanted:
        name = wanted.pop()
        if name in makers and name not in needed:
            needed.update(makers[name].output)
            wanted += makers[name].input
    kept = [each for each in model.graph.node if needed & set(each.output)]
    output = helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None)
    return _part(model, kept, list(model.graph.input), [output])


def _after(model: ModelProto, node: NodeProto, ensemble: Ensemble) -> ModelProto:
    """Return the graph with the ensemble's outputs as inputs; what nobody asks for is not run."""
    kept = [each for each in model.graph.node if each is not node]
    given = list(_outputs(node, ensemble))
    return _part(model, kept, [*model.graph.input, *given], list(model.graph.output))


def _outputs(node: NodeProto, ensemble: Ensemble) -> list[Any]:
    kinds = [(TensorProto.FLOAT, [BATCH, "scores"])]
    if ensemble.labels is not None:
        is_text = ensemble.labels.dtype == object
        kinds.insert(0, (TensorProto.STRING if is_text else TensorProto.INT64, [BATCH]))
    named = zip(node.output, kinds, strict=False)
    return [helper.make_tensor_value_info(name, *kind) for name, kind in named if name]


def _part(model: ModelProto, nodes: list[NodeProto], inputs: list[Any], outputs: list[Any]) -> ModelProto:
    used = {name for node in nodes for name in node.input}
    known = [each for each in model.graph.initializer if each.name in used]
    # Older files list their constants among the inputs: one that is not used would have to be given.
    left_out = {each.name for each in model.graph.initializer} - used
    inputs = [each for each in inputs if each.name not in left_out]
    graph: GraphProto = helper.make_graph(nodes, "part", inputs, outputs, known)
    return helper.make_model(graph, ir_version=model.ir_version, opset_imports=model.opset_import)


def _agrees(model: ModelProto, node: NodeProto, ensemble: Ensemble, walked: Walked, session: Open) -> bool:
    """Compare with the operator alone, bit by bit, on rows with values at, below and above thresholds."""
    used = {each.name for each in model.graph.output}.union(*(each.input for each in model.graph.node))
    outputs = [each for each in _outputs(node, ensemble) if each.name in used]
    names = [each.name for each in outputs]
    rows = helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, [BATCH, ensemble.features])
    alone = session(_part(model, [node], [rows], outputs).SerializeToString())
    for probes in _probes(ensemble):
        expected = alone.run(names, {node.input[0]: probes})
        labels, scores = walked(probes)
        found = dict(zip(node.output, (scores,) if labels is None else (labels, scores), strict=False))
        if not all(_same(found[name], right) for name, right in zip(names, expected, strict=True)):
            return False
    return True


def _same(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    return bool((found == expected).all()) if found.dtype == object else found.tobytes() == expected.tobytes()


def _probes(ensemble: Ensemble) -> list[Floats]:
    """Return rows, and the same rows with missing values among them."""
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(_PROBES, ensemble.features)).astype(np.float32)
    known = np.isfinite(ensemble.threshold)
    for feature in np.unique(ensemble.feature[known]):
        own = ensemble.threshold[known & (ensemble.feature == feature)]
        with np.errstate(over="ignore"):
            around = [np.nextafter(own, end) for end in (np.float32(np.inf), np.float32(-np.inf))]
        rows[:, feature] = draw.choice(np.concatenate([own, *around, _EDGES]), _PROBES)
    missing = np.where(draw.random(rows.shape) < 0.1, np.float32(np.nan), rows)
    return [rows, missing]


class Trees:
    """A model's compiled trees, made once ONNX Runtime has spent ``worth`` seconds on them; until then, and where not, None."""

    def __init__(self, make: Callable[[], Compiled | None], worth: float) -> None:
        self._make: Callable[[], Compiled | None] | None = make
        self._left = worth
        self._lock = threading.Lock()
        self._made: Compiled | None = None

    def get(self) -> Compiled | None:
        """Return the compiled trees; the thread that finds them worth it makes them, while others go on without."""
        if self._made is not None or self._make is None or self._left > 0:
            return self._made
        with self._lock:
            make, self._make = self._make, None
        if make is not None:
            try:
                self._made = make()
            except Exception:  # noqa: BLE001  # ONNX Runtime, which runs until here, goes on
                return None
        return self._made

    def spend(self, seconds: float) -> None:
        """Count what ONNX Runtime took for some rows."""
        with self._lock:
            self._left -= seconds
