"""Compiled trees give ONNX Runtime's own bits, and what is not known in every detail is left to it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from flight_sql import wait_for
from hypothesis import given
from hypothesis import strategies as st
from mutation import often
from onnx import TensorProto, helper, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto
from onnx.reference import ReferenceEvaluator
from sessions import InProcess, bound, opened

from scoter.errors import InvalidModel
from scoter.udfs import sessions
from scoter.udfs.compiling import Compiled, compiled
from scoter.udfs.compiling import Trees as Walking
from scoter.udfs.preparation import prepare
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.sessions import open_session

OPEN = partial(open_session, threads=1)
FEATURES = 4
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE")
# Few, so that rows are at thresholds, and trees compare with the same.
NUMBERS = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, -1e-45, 3.4028235e38, -3.4028235e38], np.float32)
INFINITE = np.float32(np.inf)


@dataclass
class Trees:
    """Trees as attributes of the operator: nodes in the order of a walk that takes the true branch first."""

    draw: np.random.Generator
    modes: tuple[str, ...]
    levels: int
    # ONNX Runtime takes 1 alone for true.
    flags: tuple[int, ...] = (0, 1, 1, 2, -1)
    nodes: dict[str, list[Any]] = field(default_factory=dict)
    leaves: list[tuple[int, int]] = field(default_factory=list)

    def add(self, tree: int) -> None:
        names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
                 "missing_value_tracks_true")  # fmt: skip
        for name in names:
            self.nodes.setdefault(f"nodes_{name}", [])
        self._first = len(self.nodes["nodes_nodeids"])
        self._node(tree, 0)

    def _node(self, tree: int, level: int) -> int:
        held = self.nodes
        place = len(held["nodes_nodeids"])
        number = place - self._first
        is_leaf = level == self.levels or (level > 0 and self.draw.random() < 0.3)
        row = {
            "treeids": tree,
            "nodeids": number,
            "featureids": 0 if is_leaf else int(self.draw.integers(FEATURES)),
            "modes": "LEAF" if is_leaf else str(self.draw.choice(self.modes)),
            "values": 0.0 if is_leaf else float(self._threshold()),
            "truenodeids": 0,
            "falsenodeids": 0,
            "missing_value_tracks_true": int(self.draw.choice(self.flags)),
        }
        for name, value in row.items():
            held[f"nodes_{name}"].append(value)
        if is_leaf:
            self.leaves.append((tree, number))
        else:
            held["nodes_truenodeids"][place] = self._node(tree, level + 1)
            held["nodes_falsenodeids"][place] = self._node(tree, level + 1)
        return number

    def _threshold(self) -> np.float32:
        return self.draw.choice(NUMBERS) if self.draw.random() < 0.5 else np.float32(self.draw.normal())


def classifier(
    trees: Trees,
    labels: tuple[Any, ...],
    ids: list[list[int]],
    transform: str,
    base: list[float],
    weights: Any,
) -> ModelProto:
    """Return a classifier with a weight for each class in ``ids[leaf]``."""
    given = [(leaf, each) for leaf, own in zip(trees.leaves, ids, strict=True) for each in own]
    kind = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    node = helper.make_node(
        "TreeEnsembleClassifier", ["X"], ["label", "scores"], domain="ai.onnx.ml", **trees.nodes,
        class_treeids=[leaf[0] for leaf, _ in given], class_nodeids=[leaf[1] for leaf, _ in given],
        class_ids=[each for _, each in given], class_weights=weights(len(given)), post_transform=transform,
        **{kind: list(labels)}, **({"base_values": base} if base else {}),
    )  # fmt: skip
    label = TensorProto.STRING if isinstance(labels[0], str) else TensorProto.INT64
    return model([node], [("label", label, ["n"]), ("scores", TensorProto.FLOAT, ["n", len(labels)])])


def regressor(trees: Trees, targets: int, aggregate: str, base: list[float], weights: Any) -> ModelProto:
    given = [(leaf, each) for leaf in trees.leaves for each in range(targets)]
    node = helper.make_node(
        "TreeEnsembleRegressor", ["X"], ["y"], domain="ai.onnx.ml", **trees.nodes, n_targets=targets,
        target_treeids=[leaf[0] for leaf, _ in given], target_nodeids=[leaf[1] for leaf, _ in given],
        target_ids=[each for _, each in given], target_weights=weights(len(given)),
        aggregate_function=aggregate, **({"base_values": base} if base else {}),
    )  # fmt: skip
    return model([node], [("y", TensorProto.FLOAT, ["n", targets])])


def model(nodes: list[Any], outputs: list[Any], held: tuple[Any, ...] = ()) -> ModelProto:
    graph = helper.make_graph(
        nodes, "trees", [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info(*each) for each in outputs], list(held),
    )  # fmt: skip
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 18)]
    return helper.make_model(graph, ir_version=9, opset_imports=opsets)


def rows(draw: np.random.Generator, count: int = 999) -> np.ndarray:
    """Return rows at, around and far from thresholds, some with missing and infinite values."""
    found = draw.normal(size=(count, FEATURES)).astype(np.float32)
    known = draw.random(found.shape) < 0.5
    found[known] = draw.choice(np.r_[NUMBERS, INFINITE, -INFINITE, np.float32(np.nan)], int(known.sum()))
    return found


def same(made: Compiled, model: ModelProto, given: np.ndarray) -> None:
    session = OPEN(model.SerializeToString())
    names = [each.name for each in session.get_outputs()]
    found = made.run(names, {"X": given}, None)
    assert found is not None
    for mine, theirs in zip(found, session.run(names, {"X": given}), strict=True):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        assert (
            mine.tolist() == theirs.tolist() if mine.dtype == object else mine.tobytes() == theirs.tobytes()
        )


def agrees(file: ModelProto, draw: np.random.Generator) -> None:
    ready = prepared(file)
    made = compiled(ready, OPEN)
    assert made is not None
    same(made, ready, rows(draw))


def prepared(file: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(file)
    return prepare(copy)


def grown(seed: int, count: int, levels: int, modes: tuple[str, ...] = MODES, **more: Any) -> Trees:
    trees = Trees(np.random.default_rng(seed), modes, levels, **more)
    for tree in range(count):
        trees.add(tree)
    return trees


def drawn(draw: np.random.Generator, *, is_positive: bool) -> Any:
    def weights(count: int) -> list[float]:
        found = draw.normal(size=count).astype(np.float32)
        return [float(each) for each in (abs(found) if is_positive else found)]

    return weights


SHAPES = {"seed": st.integers(0, 1 << 32), "count": st.integers(1, 60), "levels": st.integers(1, 7)}


@often()
@given(
    **SHAPES, targets=st.integers(1, 3), aggregate=st.sampled_from(["SUM", "AVERAGE"]), has_base=st.booleans()
)
def test_regressors_are_the_same(seed, count, levels, targets, aggregate, has_base):
    trees = grown(seed, count, levels)
    base = [0.25, -1.5, 1e9][:targets] if has_base else []
    file = regressor(trees, targets, aggregate, base, drawn(trees.draw, is_positive=False))
    agrees(file, trees.draw)


@often()
@given(
    **SHAPES, labels=st.sampled_from([(0, 1), (7, -3), ("no", "yes")]), transform=st.sampled_from(["NONE", "LOGISTIC", "SOFTMAX"]),
    has_base=st.booleans(), is_positive=st.booleans(),
)  # fmt: skip
def test_classifiers_of_two_classes_are_the_same(
    seed, count, levels, labels, transform, has_base, is_positive
):
    trees = grown(seed, count, levels)
    ids = [[0]] * len(trees.leaves)
    weights = drawn(trees.draw, is_positive=is_positive)
    file = classifier(trees, labels, ids, transform, [0.25] if has_base else [], weights)
    agrees(file, trees.draw)


@often()
@given(
    **SHAPES, labels=st.sampled_from([(0, 1), (2, 1, 0), ("a", "b", "c", "d")]), transform=st.sampled_from(["NONE", "LOGISTIC", "SOFTMAX"]),
    has_base=st.booleans(), together=st.booleans(),
)  # fmt: skip
def test_classifiers_of_several_sums_are_the_same(seed, count, levels, labels, transform, has_base, together):
    """Each leaf has a weight for every class, as a forest's, or each tree is of one class, as boosted ones."""
    classes = len(labels)
    trees = grown(seed, max(count, classes), levels)
    ids = [list(range(classes)) if together else [tree % classes] for tree, _ in trees.leaves]
    base = [0.5, -0.25, 0.125, 1.0][:classes] if has_base else []
    file = classifier(trees, labels, ids, transform, base, drawn(trees.draw, is_positive=False))
    agrees(file, trees.draw)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_each_of_two_sums_has_its_base_value(transform):
    """ONNX Runtime 1.31.1 gives the second one's sum to both, with the other sign."""
    trees = grown(5, 7, 4, flags=(0, 1))
    file = classifier(
        trees,
        (3, 8),
        [[0, 1]] * len(trees.leaves),
        transform,
        [0.5, -0.25],
        drawn(trees.draw, is_positive=False),
    )
    given = rows(trees.draw)
    labels, scores = OPEN(prepared(file).SerializeToString()).run(None, {"X": given})
    right_labels, right = ReferenceEvaluator(file).run(None, {"X": given})
    clear = abs(right[:, 0] - right[:, 1]) > 1e-5
    assert clear.mean() > 0.9
    assert labels[clear].tolist() == right_labels[clear].tolist()
    assert np.allclose(scores, right, atol=1e-5)


@pytest.mark.parametrize(
    ("ids", "base"), [([0, 1], [0.5]), ([0], [0.5, 0.25]), ([1], [0.5]), ([1], [0.5, 0.25])]
)
def test_base_values_that_onnx_runtime_takes_otherwise_are_refused(ids, base):
    trees = grown(5, 3, 3)
    weights = drawn(trees.draw, is_positive=False)
    file = classifier(trees, (0, 1), [ids] * len(trees.leaves), "NONE", base, weights)
    with pytest.raises(InvalidModel, match="can not be computed reliably"):
        prepare(file)


def around(trees: Trees, before: list[Any], after: list[Any], outputs: list[Any]) -> ModelProto:
    file = regressor(trees, 1, "SUM", [], drawn(trees.draw, is_positive=False))
    node = file.graph.node[0]
    node.input[0] = "given" if before else "X"
    values = [
        numpy_helper.from_array(np.array([2, -1, 0.5, 1], np.float32), "scale"),
        numpy_helper.from_array(np.array([[3]], np.float32), "three"),
    ]
    return prepare(model([*before, node, *after], outputs, tuple(values)))


Y = ("y", TensorProto.FLOAT, ["n", 1])
Z = ("z", TensorProto.FLOAT, ["n", 1])
BEFORE = [helper.make_node("Mul", ["X", "scale"], ["given"])]
GRAPHS = {
    "before": (BEFORE, [], [Y]),
    "after": ([], [helper.make_node("Mul", ["y", "three"], ["z"])], [Z]),
    "both": (BEFORE, [helper.make_node("Mul", ["y", "three"], ["z"])], [Z, Y]),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_what_stands_around_the_trees_runs_as_before(name):
    trees = grown(3, 9, 5)
    file = around(trees, *GRAPHS[name])
    made = compiled(file, OPEN)
    assert made is not None
    same(made, file, rows(trees.draw))


def test_a_value_that_passes_beside_the_trees_leaves_the_model_to_onnx_runtime():
    """Cut in two, what uses the value might be fused with what makes it, and give other bits."""
    beside = [
        helper.make_node("ReduceSum", ["given"], ["s"], keepdims=0),
        helper.make_node("Add", ["y", "s"], ["z"]),
    ]
    assert compiled(around(grown(3, 9, 5), BEFORE, beside, [Y, Z]), OPEN) is None
    assert compiled(around(grown(3, 9, 5), BEFORE, [], [Y]), OPEN) is not None


def changed(name: str, change: Any) -> ModelProto:
    file = regressor(grown(3, 4, 4), 1, "SUM", [], drawn(np.random.default_rng(1), is_positive=False))
    node = file.graph.node[0]
    held = next(each for each in node.attribute if each.name == name)
    change(held)
    return prepare(file)


def _first(values: Any, value: Any) -> None:
    values[0] = value


def _as_another_tree(held: Any) -> None:
    """Number the last nodes as a tree of which a key of 64 bits would be that of the first one's."""
    for place in range(len(held.ints) // 2, len(held.ints)):
        held.ints[place] = 1 << 61


UNKNOWN = {
    "numbers that leave 64 bits": ("nodes_treeids", _as_another_tree),
    "equality": ("nodes_modes", lambda held: _first(held.strings, b"BRANCH_EQ")),
    "minimum": ("aggregate_function", lambda held: setattr(held, "s", b"MIN")),
    "a leaf without weight": ("target_nodeids", lambda held: _first(held.ints, held.ints[1])),
    "a loop": ("nodes_truenodeids", lambda held: _first(held.ints, 0)),
    "a node that is not there": ("nodes_truenodeids", lambda held: _first(held.ints, 99)),
    "two nodes of one number": ("nodes_nodeids", lambda held: _first(held.ints, 1)),
    "a sum that is not there": ("target_ids", lambda held: _first(held.ints, 1)),
    "a feature below the first": ("nodes_featureids", lambda held: _first(held.ints, -1)),
    "a threshold that is no number": ("nodes_values", lambda held: _first(held.floats, float("nan"))),
    "a weight that is no number": ("target_weights", lambda held: _first(held.floats, float("inf"))),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_left_to_onnx_runtime(name):
    assert compiled(changed(*UNKNOWN[name]), OPEN) is None


def test_two_ensembles_are_left_to_onnx_runtime():
    trees = grown(3, 2, 2)
    weights = drawn(trees.draw, is_positive=False)
    file = regressor(trees, 1, "SUM", [], weights)
    other = regressor(trees, 1, "SUM", [], weights).graph.node[0]
    other.output[0] = "z"
    added = helper.make_node("Add", ["y", "z"], ["s"])
    assert (
        compiled(prepare(model([*file.graph.node, other, added], [("s", TensorProto.FLOAT, ["n", 1])])), OPEN)
        is None
    )


def test_rows_without_all_features_are_left_to_onnx_runtime():
    """It says itself what it thinks of them; the walk would read beyond the row."""
    trees = grown(3, 9, 5)
    made = compiled(regressor(trees, 1, "SUM", [], drawn(trees.draw, is_positive=False)), OPEN)
    assert made is not None
    assert made.run(["y"], {"X": np.zeros((5, 1), np.float32)}, None) is None
    assert made.run(["y"], {"X": np.zeros((5, FEATURES), np.float64)}, None) is None


ROWS = """
    SELECT n, (n % 97 / 10.0)::FLOAT AS a, (n % 89)::FLOAT AS b, 0.5::FLOAT AS d,
        CASE WHEN n % 50 = 0 THEN NULL WHEN n % 50 = 1 THEN 'NaN'::FLOAT ELSE (n % 7)::FLOAT END AS c
    FROM range(30_000) s(n)
"""


def explained(session: InProcess, sql: str) -> str:
    return next(text for key, text in session.rows(f"EXPLAIN ANALYZE {sql}") if key == "scored")


@pytest.mark.parametrize("compiles", [True, False])
def test_a_model_that_scores_many_rows_is_compiled(tmp_path, monkeypatch, compiles):
    monkeypatch.setattr(sessions, "WORTH", 1e-9)
    trees = grown(3, 60, 6)
    data = regressor(trees, 1, "SUM", [], drawn(trees.draw, is_positive=False)).SerializeToString()
    scores = "SELECT n, PREDICT('m', a, b, c, d) AS p FROM t ORDER BY n"
    with opened(tmp_path, models={"compile_trees": compiles}) as engine:
        session = InProcess(engine)
        session.query(f"CREATE TABLE t AS {ROWS}")
        session.update("CREATE MODEL m FROM ? INPUT (a FLOAT, b FLOAT, c FLOAT, d FLOAT)", bound(data))
        before = session.query(scores)
        assert before.column("p").null_count == 600
        if compiles:
            assert wait_for(lambda: "with compiled trees" in explained(session, scores), 60)
        told = explained(session, scores)
        assert session.query(scores).equals(before)
    found = re.search(r"(\d+) batches(?:, (\d+) with compiled trees)?", told)
    assert found is not None
    assert found[2] == (found[1] if compiles else None)


def test_what_can_not_be_compiled_is_logged_and_scored_by_onnx_runtime(caplog):
    def fail() -> None:
        raise MemoryError("too little")

    file = regressor(grown(3, 9, 5), 1, "SUM", [], drawn(np.random.default_rng(1), is_positive=False))
    session, trees = OPEN(file.SerializeToString()), Walking(fail, 0.0)
    given = {"X": np.zeros((5, FEATURES), np.float32)}
    right = session.run(["y"], given)[0]
    for _ in range(3):
        (found,), is_compiled = trees.run(session, ["y"], given, None)
        assert not is_compiled
        assert found.tobytes() == right.tobytes()
    assert wait_for(lambda: "are given up" in caplog.text, 10)


def test_compiled_trees_that_take_longer_are_not_used():
    class Slow:
        def run(self, wanted, feeds, options):
            ended = time.thread_time() + 0.5
            while time.thread_time() < ended:
                pass
            return session.run(wanted, feeds, options)

    file = regressor(grown(3, 200, 7), 1, "SUM", [], drawn(np.random.default_rng(1), is_positive=False))
    session, trees = OPEN(file.SerializeToString()), Walking(Slow, 0.0)
    given = {"X": np.zeros((20_000, FEATURES), np.float32)}
    trees.run(session, ["y"], given, None)
    assert wait_for(lambda: trees._made is not None, 10)
    assert not trees.run(session, ["y"], given, None)[1]
    assert trees._made is None
    assert not trees.run(session, ["y"], given, None)[1]


def test_compiled_trees_that_fail_are_given_up_unless_onnx_runtime_fails_too():
    class Broken:
        def run(self, *_):
            raise OSError("the cache is gone")

    file = regressor(grown(3, 9, 5), 1, "SUM", [], drawn(np.random.default_rng(1), is_positive=False))
    session, given = OPEN(file.SerializeToString()), {"X": np.zeros((5, FEATURES), np.float32)}
    trees = Walking(Broken, 0.0)
    trees.compile()
    trees._is_begun = trees._is_tried = trees._is_faster = True
    ended = onnxruntime.RunOptions()
    ended.terminate = True
    for wrong in (
        partial(trees.run, session, ["y"], given, ended),
        partial(trees.run, session, ["y"], {}, None),
    ):
        with pytest.raises(Exception, match=r"terminate|Required inputs"):
            wrong()
        assert trees._made is not None
    assert not trees.run(session, ["y"], given, None)[1]
    assert trees._made is None


def test_compiled_trees_that_say_something_else_are_not_used():
    class Other:
        def run(self, *_):
            return [np.ones((20_000, 1), np.float32)]

    file = regressor(grown(3, 200, 7), 1, "SUM", [], drawn(np.random.default_rng(1), is_positive=False))
    session, given = OPEN(file.SerializeToString()), {"X": np.zeros((20_000, FEATURES), np.float32)}
    trees = Walking(Other, 0.0)
    trees.compile()
    trees._is_begun = True
    for _ in range(2):
        (found,), is_compiled = trees.run(session, ["y"], given, None)
        assert not is_compiled
        assert found.tobytes() == session.run(["y"], given)[0].tobytes()
    assert trees._made is None
