"""`1 - p` of a probability has the same bits and shape with a constant of two dimensions."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto
from test_udfs_hostile import model, tensor

from scoter.udfs.broadcasting import widen_scalars

NODE = helper.make_node
SIGMOID = NODE("Sigmoid", ["x"], ["p"])
REST = NODE("Sub", ["one", "p"], ["y"])


def constant(name: str, values: object) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


ONE = constant("one", 1)
WEIGHTS = constant("w", [[0.5], [-2], [0.25]])


def graph(*nodes, shape=("n", 1), held=(ONE,)) -> ModelProto:
    """A graph from x to y."""
    return model(
        list(nodes),
        inputs=[tensor("x", TensorProto.FLOAT, shape)],
        outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializer=held,
    )


def result(file: ModelProto, shape: tuple[int, ...]) -> np.ndarray:
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    rows.flat[:4] = [np.nan, np.inf, -0.0, 80][: rows.size]
    return session.run(None, {"x": rows})[0]


def is_widened(file: ModelProto, *shape: int) -> bool:
    """Say whether a constant of two dimensions was added; the result has the same shape and bits."""
    before, nodes = result(file, shape), len(file.graph.node)
    after = result(widen_scalars(file), shape)
    assert after.shape == before.shape
    assert after.tobytes() == before.tobytes()
    return len(file.graph.node) > nodes


@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_the_rest_to_one_is_taken_at_once(rows):
    assert is_widened(graph(SIGMOID, REST), rows, 1)


@pytest.mark.parametrize(
    "nodes",
    [
        [NODE("Gemm", ["x", "w"], ["s"])],
        [NODE("MatMul", ["x", "w"], ["s"])],
        [NODE("MatMul", ["x", "w"], ["m"]), NODE("Add", ["m", "b"], ["s"])],
        [NODE("Sub", ["x", "b"], ["d"]), NODE("Relu", ["d"], ["r"]), NODE("MatMul", ["r", "w"], ["s"])],
    ],
)
def test_behind_what_keeps_two_dimensions(nodes):
    held = (ONE, WEIGHTS, constant("b", [[0.5]]))
    file = graph(*nodes, NODE("Sigmoid", ["s"], ["p"]), REST, shape=("n", 3), held=held)
    assert is_widened(file, 500, 3)


def test_the_constant_may_stand_in_a_node_or_among_the_inputs_as_in_older_files():
    assert is_widened(graph(NODE("Constant", [], ["one"], value=ONE), SIGMOID, REST, held=()), 7, 1)
    older = graph(SIGMOID, REST)
    older.ir_version = 3
    older.graph.input.append(tensor("one", TensorProto.FLOAT, ()))
    assert is_widened(older, 7, 1)


def test_other_uses_of_the_constant_and_its_new_name_stay():
    taken = (ONE, constant("one_2d", [[0.5]]))
    file = graph(SIGMOID, NODE("Sub", ["one", "p"], ["q"]), NODE("Mul", ["q", "one_2d"], ["r"]), NODE("Add", ["r", "one"], ["y"]), held=taken)  # fmt: skip
    assert is_widened(file, 7, 1)


@pytest.mark.parametrize(
    ("file", "shape"),
    [
        (graph(SIGMOID, REST, shape=("n",)), (7,)),
        (graph(SIGMOID, REST, shape=None), (7, 1)),
        (graph(SIGMOID, REST, shape=("n", 2, 1)), (7, 2, 1)),
        (graph(SIGMOID, REST, held=(constant("one", [1]),)), (7, 1)),
        (graph(SIGMOID, NODE("Sub", ["p", "one"], ["y"])), (7, 1)),
        (graph(SIGMOID, NODE("Max", ["one", "p"], ["y"])), (7, 1)),
        (graph(NODE("Tanh", ["x"], ["p"]), REST), (7, 1)),
        (graph(NODE("ReduceSum", ["x"], ["s"], keepdims=0), NODE("Sigmoid", ["s"], ["p"]), REST), (7, 1)),
        (graph(NODE("Mul", ["x", "b"], ["s"]), NODE("Sigmoid", ["s"], ["p"]), REST, held=(ONE, constant("b", [[[2]]]))), (7, 1)),
        (graph(NODE("MatMul", ["x", "b"], ["s"]), NODE("Sigmoid", ["s"], ["p"]), REST, held=(ONE, constant("b", [2]))), (7, 1)),
    ],
    ids=["one dimension", "unknown", "three", "a list", "from the other side", "another operator", "no probability", "a sum", "more dimensions", "a list of weights"],
)  # fmt: skip
def test_others_stay_as_they_are(file, shape):
    assert not is_widened(file, *shape)


def test_what_a_file_says_of_its_own_tensors_is_not_trusted():
    """The sum over the second dimension has one; the file says two."""
    summed = NODE("ReduceSum", ["x", "axes"], ["s"], keepdims=0)
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    file = graph(summed, NODE("Sigmoid", ["s"], ["p"]), REST, held=(ONE, axes))
    file.graph.value_info.append(tensor("s", TensorProto.FLOAT, ("n", 1)))
    file.graph.value_info.append(tensor("p", TensorProto.FLOAT, ("n", 1)))
    assert not is_widened(file, 7, 1)


def test_a_graph_that_runs_in_circles_ends():
    file = graph(NODE("Relu", ["b"], ["a"]), NODE("Relu", ["a"], ["b"]), NODE("Sigmoid", ["b"], ["p"]), REST)
    assert len(widen_scalars(file).graph.node) == 4
