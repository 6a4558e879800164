"""What a probability leaves to a constant, as `1 - p`, written so that ONNX Runtime computes it for all rows at once.

ONNX Runtime (1.31.1) applies a constant without dimensions to one run of the last dimension after the other. In
`[rows, 1]`, as exporters write the probability of one of two classes, each run is one value: the subtraction then takes
a tenth of the time of a small net. A constant of two dimensions is applied to all rows in one run. A difference has the
same bits either way, which is not so of all operators: others become part of sums with another order, and the greater of
two zeros differs.

This module must not know sessions, signatures or rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import helper
from onnx.onnx_ml_pb2 import GraphProto, ModelProto, NodeProto, TensorProto

from scoter.udfs.graphs import constants

_ONE_BY_ONE = ("Cast", "Elu", "Identity", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Tanh")
_WITH_CONSTANT = ("Add", "Div", "Mul", "Sub")


def widen_scalars(model: ModelProto) -> ModelProto:
    """Change ``model`` in place and return it."""
    graph = model.graph
    known = constants(model)
    makers = {name: node for node in graph.node for name in node.output}
    found = [
        node
        for node in graph.node
        if _is(node, "Sub")
        and node.input[0] in known
        and not known[node.input[0]].dims
        and _is(makers.get(node.input[1]), "Sigmoid")
        and _is_matrix(node.input[1], graph, makers, known)
    ]
    if not found:
        return model
    taken = set(_names(graph))
    added = []
    for node in found:
        name = f"{node.input[0]}_2d"
        while name in taken:
            name += "_"
        taken.add(name)
        tensor = TensorProto()
        tensor.CopyFrom(known[node.input[0]])
        tensor.dims.extend([1, 1])
        added.append(helper.make_node("Constant", [], [name], value=tensor))
        node.input[0] = name
    for constant in added:
        graph.node.insert(0, constant)
    return model


def _is(node: NodeProto | None, *kinds: str) -> bool:
    return node is not None and node.op_type in kinds and node.domain in ("", "ai.onnx")


def _is_matrix(
    name: str, graph: GraphProto, makers: dict[str, NodeProto], known: dict[str, TensorProto]
) -> bool:
    """Say whether a tensor has two dimensions for certain: that follows from an input, which is held to its shape."""
    for _ in range(len(makers)):
        node = makers.get(name)
        if node is None:
            break
        constant = next((known[each] for each in node.input if each in known), None)
        if _is(node, "Gemm"):
            return True
        if _is(node, *_ONE_BY_ONE) or (
            _is(node, *_WITH_CONSTANT) and constant is not None and len(constant.dims) <= 2
        ):
            name = next((each for each in node.input if each not in known), "")
        elif _is(node, "MatMul") and node.input[1] in known and len(known[node.input[1]].dims) == 2:
            name = node.input[0]
        else:
            return False
    return any(value.name == name and len(value.type.tensor_type.shape.dim) == 2 for value in graph.input)


def _names(graph: GraphProto) -> Iterator[str]:
    """Yield all names of tensors in a graph and its subgraphs."""
    yield from (value.name for value in (*graph.input, *graph.output))
    yield from (tensor.name for tensor in graph.initializer)
    yield from (sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        yield from node.input
        yield from node.output
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _names(inner)
