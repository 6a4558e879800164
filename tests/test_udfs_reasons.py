"""What a user reads of ONNX Runtime's own errors: the operator and what it says, without sources and functions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from scoter.udfs.sessions import reason

FLOATS = TensorProto.FLOAT


def _said(
    node: str,
    inputs: Mapping[str, NDArray[np.float32]],
    *,
    name: str = "",
    constant: tuple[str, list[int]] | None = None,
    **attributes: object,
) -> str:
    made = helper.make_node(
        node, [*inputs, *([constant[0]] if constant else [])], ["y"], name=name, **attributes
    )
    values = [
        helper.make_tensor_value_info(key, FLOATS, [f"{key}{axis}" for axis in range(value.ndim)])
        for key, value in inputs.items()
    ]
    held = (
        [helper.make_tensor(constant[0], TensorProto.INT64, [len(constant[1])], constant[1])]
        if constant
        else []
    )
    graph = helper.make_graph([made], "g", values, [helper.make_tensor_value_info("y", FLOATS, None)], held)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(Exception) as raised:  # noqa: PT011  # ONNX Runtime's errors have no base of their own
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, dict(inputs))
    return reason(raised.value)


def test_reasons() -> None:
    three, four = np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32)
    assert _said("Nonsense", {"x": three}) == "opset 17 has no operator Nonsense"
    assert (
        _said("Concat", {"x": three}, name="cc")
        == "the operator Concat 'cc': Required attribute 'axis' is missing."
    )
    assert _said("Add", {"x": three, "z": four}, name="/l/0/add").startswith(
        "the operator Add '/l/0/add': Attempting to broadcast an axis by a dimension other than 1. "
    )
    assert _said("MatMul", {"x": three, "z": four}) == "the operator MatMul: MatMul dimension mismatch"
    reshaped = _said("Reshape", {"x": three}, constant=("s", [4, 4]))
    assert reshaped.startswith(
        "the operator Reshape: The input tensor cannot be reshaped to the requested shape."
    )


def test_paths_of_the_server_are_left_out() -> None:
    assert (
        reason(ValueError("can not open '/srv/lake/models/a.bin' for reading"))
        == "can not open '…' for reading"
    )
