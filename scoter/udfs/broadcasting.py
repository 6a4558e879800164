"""Scalars that meet tensors of one value a row, written so that ONNX Runtime applies them to all rows at once.

ONNX Runtime (1.31.1) applies a tensor without dimensions to one run of the last dimension after the other. In
`[rows, 1]`, as the probability of one of two classes has it, each run is one value: `1 - p` then takes a tenth of the
time of a small net. With as many dimensions as the other side it is one run over all rows; the result has the same bits.

This module must not know sessions, signatures or rows.
"""

from __future__ import annotations

import onnx
from onnx import helper
from onnx.onnx_ml_pb2 import GraphProto, ModelProto, TensorProto

from scoter.udfs.graphs import constants

_OPERATORS = frozenset(
    {"Add", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "Sub"}
)
_VALUES = 64  # a constant of at most so many may be a shape, which decides on ranks


def widen_scalars(model: ModelProto) -> ModelProto:
    """Change ``model`` in place and return it."""
    scalars = {name: tensor for name, tensor in constants(model).items() if not tensor.dims}
    meetings = [
        (node, side)
        for node in model.graph.node
        if node.op_type in _OPERATORS and node.domain in ("", "ai.onnx") and len(node.input) == 2
        for side in (0, 1)
        if node.input[side] in scalars and node.input[1 - side] not in scalars
    ]
    if not meetings:
        return model
    shapes = _shapes(model)
    added: dict[str, TensorProto] = {}
    for node, side in meetings:
        shape = shapes.get(node.input[1 - side], [])
        if len(shape) > 1 and shape[-1] == 1:
            name = f"{node.input[side]}_scoter_{len(shape)}d"
            added[name] = TensorProto()
            added[name].CopyFrom(scalars[node.input[side]])
            added[name].dims.extend([1] * len(shape))
            node.input[side] = name
    for name, tensor in added.items():
        model.graph.node.insert(0, helper.make_node("Constant", [], [name], value=tensor))
    return model


def _shapes(model: ModelProto) -> dict[str, list[int]]:
    """Return the dimensions of the graph's tensors where they follow from its inputs; 0 for those that do not.

    What the file says of other tensors is left out: ONNX Runtime holds only the inputs to it.
    """
    own = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in own]
    graph = GraphProto(name="shapes", node=model.graph.node, input=given)
    for tensor in model.graph.initializer:
        if len(tensor.dims) < 2 and sum(tensor.dims) <= _VALUES:
            graph.initializer.append(tensor)
        else:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    light = ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )
    try:
        found = onnx.shape_inference.infer_shapes(light).graph.value_info
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in found
        if value.type.tensor_type.HasField("shape")
    }
