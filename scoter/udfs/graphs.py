"""What the parts of an ONNX graph say: attributes, constants, class labels.

This module must not know sessions, signatures or rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import numpy_helper
from onnx.onnx_ml_pb2 import AttributeProto, ModelProto, NodeProto, TensorProto


def attribute(node: NodeProto, name: str) -> AttributeProto | None:
    """Return a node's attribute; None where it has none of that name."""
    return next((each for each in node.attribute if each.name == name), None)


def class_labels(node: NodeProto) -> tuple[str | int, ...]:
    """Return the class labels among a node's attributes, in the order of its scores; () if none."""
    for each in node.attribute:
        if each.name == "classlabels_strings" and each.strings:
            return tuple(text.decode("utf-8", "replace") for text in each.strings)
        if each.name in ("classlabels_int64s", "classlabels_ints") and each.ints:
            return tuple(each.ints)
    return ()


def nodes_inside(node: NodeProto) -> Iterator[NodeProto]:
    """Yield the nodes of a node's subgraphs, and of those inside."""
    for each in node.attribute:
        for graph in ([each.g] if each.HasField("g") else []) + list(each.graphs):
            for inner in graph.node:
                yield inner
                yield from nodes_inside(inner)


_CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose", "DeformConv", "QLinearConv"})


def convolves(model: ModelProto) -> bool:
    """Say whether a model holds a convolution, also inside subgraphs and functions."""
    bodies = (model.graph.node, *(function.node for function in model.functions))
    nodes = (inner for body in bodies for node in body for inner in (node, *nodes_inside(node)))
    return any(node.op_type in _CONVOLUTIONS for node in nodes)


def constants(model: ModelProto) -> dict[str, TensorProto]:
    """Return the graph's initializers and Constant tensors by name."""
    found = {each.name: each for each in model.graph.initializer}
    for node in model.graph.node:
        value = attribute(node, "value")
        if node.op_type == "Constant" and value is not None:
            found[node.output[0]] = value.t
    return found


def values_of(tensor: TensorProto) -> tuple[str | int, ...]:
    """Return the values of a flat tensor of strings or integers; () for any other."""
    if tensor.data_type == TensorProto.STRING:
        return tuple(text.decode("utf-8", "replace") for text in tensor.string_data)
    if tensor.data_type in (TensorProto.INT64, TensorProto.INT32):
        return tuple(int(each) for each in numpy_helper.to_array(tensor).ravel())
    return ()
