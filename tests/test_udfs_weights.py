"""Weights below the least normal float: zero where a model multiplies by them, as they are elsewhere, with equal results."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from scoter.udfs.preparation import prepare

TINY = 1e-40


def _net(*, listed: bool = False) -> bytes:
    """Return a net of two layers of which some weights are tiny; with ``listed`` it also gives its weights out."""
    draw = np.random.default_rng(5)
    first = draw.normal(size=(6, 16)).astype(np.float32)
    second = draw.normal(size=(16, 3)).astype(np.float32)
    first[:, 3] *= np.float32(TINY)
    second[4] = TINY
    second[5, 0] = np.nan
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])]
    if listed:
        nodes.append(helper.make_node("Identity", ["w"], ["weights"]))
        outputs.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, [6, 16]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])]
    held = {"w": first, "v": second, "b": np.full(16, TINY, np.float32)}
    weights = [numpy_helper.from_array(values, name) for name, values in held.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    return helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]
    ).SerializeToString()


def _held(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def _tiny(values: np.ndarray) -> int:
    return int(((np.abs(values) < np.finfo(np.float32).tiny) & (values != 0)).sum())


def test_tiny_weights_become_zero_and_others_stay() -> None:
    before = _held(onnx.load_from_string(_net()))
    after = _held(prepare(onnx.load_from_string(_net())))
    assert [_tiny(before[name]) for name in ("w", "v", "b")] == [6, 3, 16]
    # All of b are as small: none is lost beside a greater one.
    assert [_tiny(after[name]) for name in ("w", "v", "b")] == [0, 0, 16]
    for name, values in before.items():
        normal = ~(np.abs(values) < np.finfo(np.float32).tiny)
        np.testing.assert_array_equal(after[name][normal], values[normal])


def test_weights_that_something_else_reads_stay() -> None:
    after = _held(prepare(onnx.load_from_string(_net(listed=True))))
    assert _tiny(after["w"]) == 6
    assert _tiny(after["v"]) == 0


@pytest.mark.parametrize("size", [1.0, 1e6, -1e30])
def test_results_are_the_same(size: float) -> None:
    rows = (np.random.default_rng(1).normal(size=(500, 6)) * size).astype(np.float32)
    plain = onnxruntime.InferenceSession(_net()).run(None, {"x": rows})[0]
    prepared = prepare(onnx.load_from_string(_net())).SerializeToString()
    np.testing.assert_array_equal(onnxruntime.InferenceSession(prepared).run(None, {"x": rows})[0], plain)
