"""Models whose trees are walked by machine code of our own, beside ONNX Runtime for the rest of their graph.

This module must not know SQL types or which statement asks. Compiled trees are used only where they gave the same bits as
ONNX Runtime for rows on and around the thresholds of their nodes; anything else is left to ONNX Runtime.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
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
_PROBES, _PROBES_LEAST, _PROBED_VALUES = 2_048, 256, 1 << 20
_MEASURABLE = 0.001  # seconds
_log = logging.getLogger(__name__)
# What may stand before the trees: ONNX Runtime computes others differently by what stands beside them.
_NEVER_FUSED = frozenset(
    {
        "Add", "ArrayFeatureExtractor", "Cast", "CategoryMapper", "Concat", "Constant", "DictVectorizer", "FeatureVectorizer",
        "Flatten", "Gather", "Identity", "Imputer", "LabelEncoder", "Mul", "OneHotEncoder", "Reshape", "Scaler", "Squeeze",
        "StringNormalizer", "Sub", "TfIdfVectorizer", "Tokenizer", "Unsqueeze",
    }
)  # fmt: skip
_EDGES = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.finfo(np.float32).max], np.float32)


def is_available() -> bool:
    """Say whether the extra that compiles is installed."""
    try:
        return find_spec("numba") is not None
    except ValueError:  # something else goes by its name
        return False


def has_trees(model: ModelProto) -> bool:
    """Say whether a model may have an ensemble to compile."""
    return any(node.op_type in ensembles.OPERATORS for node in model.graph.node)


class Walked:
    """An ensemble that gives what its operator gives: labels and scores, or the values of a regressor."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._trees = ensemble
        self._missing = ensemble.feature + np.where(ensemble.missing_left, ensemble.features, 0).astype(
            np.uint32
        )
        # Not at the top: Numba may not be installed, and takes time and memory.
        self._code: Any = importlib.import_module("scoter.udfs.traversal")

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
        trees = self._trees
        sums = np.zeros((len(rows), trees.width), np.float32)
        given = np.ascontiguousarray(rows).view()
        # Numba compiles once more for what may be written to, as some rows may and others may not.
        given.flags.writeable = False
        self._code.walk(
            given, trees.features, trees.feature, self._missing, trees.threshold, trees.left,
            trees.roots, trees.levels, trees.first, trees.sums, trees.weights, sums,
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
    before = None if is_first else _before(model, node)
    if before is not None and any(each.op_type not in _NEVER_FUSED for each in before.graph.node):
        return None
    behind = _behind(model, node, before)
    if behind is None:
        return None
    is_last = {each.name for each in graph.output} <= set(node.output)
    given = [*graph.input, *_outputs(node, ensemble)]
    return Compiled(
        node,
        walked,
        None if before is None else session(before.SerializeToString()),
        None if is_last else session(_part(model, behind, given, list(graph.output)).SerializeToString()),
    )


def _before(model: ModelProto, node: NodeProto) -> ModelProto:
    """Return the part of the graph that makes the ensemble's rows."""
    makers = {name: each for each in model.graph.node for name in each.output if name}
    wanted, needed = [node.input[0]], set[str]()
    while wanted:
        name = wanted.pop()
        if name in makers and name not in needed:
            needed.update(each for each in makers[name].output if each)
            wanted += makers[name].input
    kept = [each for each in model.graph.node if needed & set(each.output)]
    output = helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None)
    return _part(model, kept, list(model.graph.input), [output])


def _behind(model: ModelProto, node: NodeProto, before: ModelProto | None) -> list[NodeProto] | None:
    """Return the nodes that are not before the ensemble; None where they use what is, which might be fused otherwise."""
    made = (
        {name for each in before.graph.node for name in each.output if name} if before is not None else set()
    )
    kept = [each for each in model.graph.node if each is not node and not made & set(each.output)]
    used = {each.name for each in model.graph.output}.union(*(each.input for each in kept))
    return None if made & used else kept


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


def _same(found: Any, expected: Any) -> bool:
    if not isinstance(found, np.ndarray):
        return bool(found == expected)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    return bool((found == expected).all()) if found.dtype == object else found.tobytes() == expected.tobytes()


def _probes(ensemble: Ensemble) -> list[Floats]:
    """Return rows, and the same rows with missing values among them."""
    draw = np.random.default_rng(0)
    count = max(_PROBES_LEAST, min(_PROBES, _PROBED_VALUES // ensemble.features))
    rows = draw.standard_normal((count, ensemble.features), np.float32)
    known = np.isfinite(ensemble.threshold)
    for feature in np.unique(ensemble.feature[known]):
        own = ensemble.threshold[known & (ensemble.feature == feature)]
        with np.errstate(over="ignore"):
            around = [np.nextafter(own, end) for end in (np.float32(np.inf), np.float32(-np.inf))]
        rows[:, feature] = draw.choice(np.concatenate([own, *around, _EDGES]), count)
    missing = np.where(draw.random(rows.shape, np.float32) < 0.1, np.float32(np.nan), rows)
    return [rows, missing]


class Trees:
    """A model with trees: run by ONNX Runtime until compiled trees have been seen to give the same in less time.

    They are made in a thread of their own once ONNX Runtime has spent ``worth`` seconds, of a processor, on the model.
    """

    def __init__(self, make: Callable[[], Compiled | None], worth: float) -> None:
        self._make = make
        self._left = worth
        self._lock = threading.Lock()
        self._is_begun = False
        self._is_tried = False
        self._is_faster = False
        self._made: Compiled | None = None

    def run(
        self, session: onnxruntime.InferenceSession, wanted: list[str], feeds: dict[str, Any], options: object
    ) -> tuple[list[Any], bool]:
        """Return the wanted outputs, and whether compiled trees made them."""
        failure: Exception | None = None
        if self._made is not None and self._is_faster:
            try:
                found = self._made.run(wanted, feeds, options)
            except Exception as error:  # noqa: BLE001  # below ONNX Runtime raises what is the rows' or the statement's fault
                failure = error
            else:
                if found is not None:
                    return found, True
        started = time.thread_time()
        results: list[Any] = session.run(wanted, feeds, options)
        spent = time.thread_time() - started
        if failure is not None:
            self._give_up(failure)
        elif not self._is_begun:
            self._spend(spent)
        elif self._made is not None and not self._is_tried and spent > _MEASURABLE:
            self._try(self._made, wanted, feeds, options, results, spent)
        return results, False

    def compile(self) -> None:
        """Make the compiled trees; where that fails ONNX Runtime goes on."""
        try:
            self._made = self._make()
        except Exception as error:  # noqa: BLE001  # Numba, its cache or memory: ONNX Runtime needs none of them
            self._give_up(error)

    def _try(
        self,
        made: Compiled,
        wanted: list[str],
        feeds: dict[str, Any],
        options: object,
        results: list[Any],
        spent: float,
    ) -> None:
        """Let compiled trees score once what ONNX Runtime has scored; they are used if they give the same in less time."""
        with self._lock:
            if self._is_tried:
                return
            self._is_tried = True
        try:
            started = time.thread_time()
            found = made.run(wanted, feeds, options)
            is_faster = time.thread_time() - started < spent
            self._is_faster = is_faster and found is not None and all(map(_same, found, results))
        except Exception as error:  # noqa: BLE001  # the rows are scored already
            self._give_up(error)
        if not self._is_faster:
            self._made = None

    def _give_up(self, error: Exception) -> None:
        _log.warning("compiled trees of a model are given up, ONNX Runtime scores it: %r", error)
        self._made = None

    def _spend(self, seconds: float) -> None:
        with self._lock:
            self._left -= seconds
            if self._left > 0 or self._is_begun:
                return
            self._is_begun = True
        threading.Thread(target=self.compile, name="scoter-compile").start()
