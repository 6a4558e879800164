"""Weights that are too small for a normal float count as zero where a model multiplies by them.

Training leaves such weights, as in units that give nothing any more, and some processors take over a hundred times as
long for each product with one. This module must not know sessions, signatures or rows.
"""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper
from onnx.onnx_ml_pb2 import GraphProto, TensorProto

from scoter.udfs.graphs import nodes_inside

# What they give are sums of products with weights.
_SUMS = frozenset({"Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN"})
_STANDARD = frozenset({"", "ai.onnx"})
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE})


def drop_tiny(graph: GraphProto) -> None:
    """Set weights below the least normal float (1.2e-38, of doubles 2.2e-308) to zero, in place.

    Only in tensors that nothing but such operators reads, which add up products with them, and beside weights that are
    greater by more than a float's precision: a sum changes by less than 1.2e-38 times the values given, which its
    rounding exceeds unless its other parts are as small.
    """
    others = {value.name for value in graph.output}
    weights: set[str] = set()
    for node in graph.node:
        is_sum = node.domain in _STANDARD and node.op_type in _SUMS
        (weights if is_sum else others).update(node.input)
        others.update(name for inner in nodes_inside(node) for name in inner.input)
    weights -= others
    for tensor in graph.initializer:
        if tensor.name in weights and tensor.data_type in _FLOATS:
            _drop(tensor)


def _drop(tensor: TensorProto) -> None:
    values = numpy_helper.to_array(tensor)
    sizes, limits = np.abs(values), np.finfo(values.dtype)
    tiny = (sizes < limits.tiny) & (sizes > 0)
    greatest = np.max(sizes, where=np.isfinite(sizes), initial=0)
    if tiny.any() and greatest * limits.eps >= limits.tiny:
        tensor.CopyFrom(numpy_helper.from_array(np.where(tiny, values.dtype.type(0), values), tensor.name))
