"""Which class each column of a classifier's probabilities stands for, read from the graph.

This module must not know sessions or rows.
"""

from __future__ import annotations

from onnx.onnx_ml_pb2 import ModelProto, NodeProto, TensorProto

from scoter.udfs.graphs import class_labels, constants, values_of

Labels = tuple[str | int, ...]

_FOLLOWED = frozenset({"Cast", "Flatten", "Identity", "LabelEncoder", "Reshape", "Squeeze", "Unsqueeze"})
_MAX_STEPS = 64


def trace(model: ModelProto, output: str, width: int) -> Labels:
    """Return the ``width`` labels in the order of the probability columns, or () when not certain.

    Follows the label output backwards over operators that only rename or reshape, to the operator
    that turns a column number into a label.
    """
    producers = {name: node for node in model.graph.node for name in node.output if name}
    known = constants(model)

    def labels_at(name: str, steps: int) -> Labels:
        node = producers.get(name)
        if node is None or steps > _MAX_STEPS:
            return ()
        found = class_labels(node)
        if found:
            return found
        if node.op_type == "ArgMax":
            return tuple(range(width))
        if node.op_type in ("Gather", "ArrayFeatureExtractor"):
            return values_of(known[node.input[0]]) if node.input[0] in known else ()
        if node.op_type in _FOLLOWED:
            found = labels_at(node.input[0], steps + 1)
        if node.op_type == "LabelEncoder":
            mapping = _mapping(node)
            found = tuple(mapping[each] for each in found if each in mapping)
        if node.op_type == "Cast":
            found = _cast(found, node.attribute[0].i)
        return found

    found = labels_at(output, 0)
    return found if len(found) == width and len(set(found)) == width else ()


def _mapping(node: NodeProto) -> dict[str | int, str | int]:
    sides: dict[str, Labels] = {}
    for attribute in node.attribute:
        side, _, kind = attribute.name.partition("_")
        if kind == "strings":
            sides[side] = tuple(text.decode("utf-8", "replace") for text in attribute.strings)
        elif kind == "int64s":
            sides[side] = tuple(attribute.ints)
    keys, values = sides.get("keys", ()), sides.get("values", ())
    return dict(zip(keys, values, strict=True)) if len(keys) == len(values) else {}


def _cast(labels: Labels, code: int) -> Labels:
    if code == TensorProto.STRING:
        return tuple(str(each) for each in labels)
    if code in (TensorProto.INT64, TensorProto.INT32) and all(isinstance(each, int) for each in labels):
        return labels
    # skl2onnx casts integer labels to float and back around some operators.
    return labels if code in (TensorProto.FLOAT, TensorProto.DOUBLE) else ()
