"""Scalars that are written with more dimensions give the same bits, and the same shape."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto
from test_udfs_hostile import model, tensor

from scoter.udfs.broadcasting import widen_scalars

COMPARING = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]
OPERATORS = ["Add", "Div", "Max", "Min", "Mul", "Sub", *COMPARING]
SIGMOID = helper.make_node("Sigmoid", ["x"], ["p"])
THIRD = numpy_helper.from_array(np.array(0.3, np.float32), "third")


def meeting(*nodes, shape=("n", 1), initializer=(THIRD,)) -> ModelProto:
    """A graph from x to y."""
    return model(
        list(nodes),
        inputs=[tensor("x", TensorProto.FLOAT, shape)],
        outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializer=initializer,
    )


def subtracted(scalar="third", given="p"):
    return helper.make_node("Sub", [scalar, given], ["y"])


def widened(file: ModelProto) -> list[str]:
    """Return the inputs that are not what they were, after the file was changed in place."""
    before = {name for node in file.graph.node for name in [*node.input, *node.output]}
    return [name for node in widen_scalars(file).graph.node for name in node.input if name not in before]


def result(file: ModelProto, *shape: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    if rows.size:
        rows.flat[:4] = [np.nan, np.inf, -0.0, 0.3][: rows.size]
    return session.run(None, {"x": rows})[0]


def same(file: ModelProto, *shape: int) -> list[str]:
    """Return what was widened; the result has the same shape and bits."""
    before = result(file, *shape)
    found = widened(file)
    after = result(file, *shape)
    assert after.shape == before.shape
    assert after.tobytes() == before.tobytes()
    return found


@pytest.mark.parametrize("rows", [0, 1, 1000])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_scalar_beside_one_value_a_row_has_two_dimensions(operator, side, rows):
    inputs = ["p", "p"]
    inputs[side] = "third"
    file = meeting(
        SIGMOID,
        helper.make_node(operator, inputs, ["r"]),
        helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
    )
    assert same(file, rows, 1) == ["third_scoter_2d"]


def test_one_scalar_may_meet_several():
    other = helper.make_node("Sub", ["third", "p"], ["r"])
    file = meeting(SIGMOID, other, helper.make_node("Div", ["r", "third"], ["y"]))
    assert same(file, 7, 1) == ["third_scoter_2d"] * 2


def test_it_has_as_many_dimensions_as_the_other():
    assert same(meeting(SIGMOID, subtracted(), shape=("n", 2, 1)), 7, 2, 1) == ["third_scoter_3d"]


def test_it_may_be_a_constant_of_a_node():
    node = helper.make_node("Constant", [], ["third"], value=THIRD)
    file = meeting(SIGMOID, subtracted(), initializer=())
    file.graph.node.insert(0, node)
    assert same(file, 7, 1) == ["third_scoter_2d"]


def test_older_files_list_their_constants_among_the_inputs():
    file = meeting(SIGMOID, subtracted())
    file.ir_version = 3
    file.graph.input.append(tensor("third", TensorProto.FLOAT, ()))
    assert same(file, 7, 1) == ["third_scoter_2d"]


@pytest.mark.parametrize(
    ("file", "shape"),
    [
        (meeting(SIGMOID, subtracted(), shape=("n", 3)), (7, 3)),
        (meeting(SIGMOID, subtracted(), shape=("n",)), (7,)),
        (meeting(SIGMOID, subtracted(), shape=None), (7, 1)),
        (meeting(SIGMOID, subtracted(), shape=("n", "k")), (7, 1)),
        (meeting(SIGMOID, helper.make_node("Pow", ["p", "third"], ["y"])), (7, 1)),
        (meeting(helper.make_node("ReduceSum", ["x"], ["p"], keepdims=0), subtracted()), (7, 1)),
    ],
    ids=[
        "three values",
        "no second dimension",
        "unknown",
        "unknown width",
        "an operator of its own",
        "no dimensions",
    ],
)
def test_others_stay_as_they_are(file, shape):
    assert same(file, *shape) == []


def test_what_a_file_says_of_its_own_tensors_is_not_trusted():
    """The sum over the second dimension has one; the file says two."""
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    summed = helper.make_node("ReduceSum", ["x", "axes"], ["p"], keepdims=0)
    file = meeting(summed, subtracted(), initializer=(THIRD, axes))
    file.graph.value_info.append(tensor("p", TensorProto.FLOAT, ("n", 1)))
    assert same(file, 7, 1) == []
