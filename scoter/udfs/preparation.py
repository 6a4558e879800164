"""Changes to a checked model that make it answer with plain tensors and right labels.

This module must not know sessions, signatures or rows. Its result depends on the model alone, so
that the sandbox and the service run the same graph.
"""

from __future__ import annotations

import math
import sys
from collections.abc import MutableSequence

import numpy as np
from onnx import helper, numpy_helper
from onnx.onnx_ml_pb2 import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from scoter.errors import InvalidModel
from scoter.udfs.broadcasting import widen_scalars
from scoter.udfs.graphs import attribute, class_labels
from scoter.udfs.weights import drop_tiny

_DEFAULT_OPSET = 13  # for models that import ai.onnx.ml alone; the operators added here exist since 1
BATCH = "rows"


def prepare(model: ModelProto, *, free: bool = True) -> ModelProto:
    """Change ``model`` in place and return it.

    ZipMap at a graph output becomes the tensor it was made from, with ``free`` a number of rows that is fixed
    is set free, labels of binary tree ensembles are taken from the scores where ONNX Runtime takes them from
    the wrong place, texts change their case by Unicode's rules, what a probability leaves to one is written
    in the way that runs fastest, and weights below the least normal float are zero. Raises InvalidModel where a right label can not be had.
    """
    outputs = {output.name for output in model.graph.output}
    graph = model.graph
    for node in graph.node:
        if node.op_type == "ZipMap" and node.output and node.output[0] in outputs:
            _zipmap_to_tensor(node, graph)
    _repair_nodes(graph.node)
    for function in model.functions:
        _repair_nodes(function.node)
    drop_tiny(graph)
    if free:
        _free_batch(graph)
    if not any(opset.domain in ("", "ai.onnx") for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", _DEFAULT_OPSET))
    return widen_scalars(model)


def zipmap_labels(model: ModelProto) -> dict[str, tuple[str | int, ...]]:
    """Return the class labels of each graph output that a ZipMap makes, before ``prepare``."""
    outputs = {output.name for output in model.graph.output}
    return {
        node.output[0]: class_labels(node)
        for node in model.graph.node
        if node.op_type == "ZipMap" and node.output and node.output[0] in outputs
    }


def _zipmap_to_tensor(node: NodeProto, graph: GraphProto) -> None:
    output = next(output for output in graph.output if output.name == node.output[0])
    element = output.type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type
    width = len(class_labels(node))
    output.type.CopyFrom(
        helper.make_tensor_type_proto(element or TensorProto.FLOAT, [BATCH, width or "classes"])
    )
    node.op_type, node.domain = "Identity", ""
    del node.attribute[:]


def _repair_nodes(nodes: MutableSequence[NodeProto]) -> None:
    """Mend tree ensembles and normalisers of texts in a node list and its subgraphs."""
    at = 0
    while at < len(nodes):
        node = nodes[at]
        for each in node.attribute:
            for graph in ([each.g] if each.HasField("g") else []) + list(each.graphs):
                _repair_nodes(graph.node)
        at += 1
        if node.op_type == "StringNormalizer":
            _choose_locale(node)
        if node.op_type != "TreeEnsembleClassifier" or len(class_labels(node)) != 2:
            continue
        _check_base(node)
        if _labels_go_wrong(node):
            for added in _labels_from_scores(node, at):
                nodes.insert(at, added)
                at += 1
        elif _label_is_that_of_the_sum(node):
            for added in _label_from_probabilities(node, at):
                nodes.insert(at, added)
                at += 1


# glibc has Unicode's own rules without any language installed; other systems have them by this name.
_UNICODE = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
_PLAIN_LOCALES = frozenset({"", "en_us", "en_us.utf-8", "en_us.utf8"})


def _choose_locale(node: NodeProto) -> None:
    """Let a text's case change alike on every machine.

    Without a locale, and with the English one, the operator needs a language that few servers have installed.
    """
    locale = attribute(node, "locale")
    if locale is None:
        node.attribute.append(helper.make_attribute("locale", _UNICODE))
    elif locale.s.decode("utf-8", "replace").casefold() in _PLAIN_LOCALES:
        locale.s = _UNICODE.encode()


def _labels_go_wrong(node: NodeProto) -> bool:
    """Say whether the runtime derives the label of this ensemble of two classes wrongly.

    It expects weights for one of them and compares that sum with a threshold. A file
    may also hold weights for both; then the operator's definition is the greater sum, while the
    runtime goes on comparing the second sum with zero.
    """
    ids = attribute(node, "class_ids")
    return bool(ids is not None and len(set(ids.ints)) == 2 and node.output[0])


def _check_base(node: NodeProto) -> None:
    """Refuse base values of two classes that the runtime leaves out, or adds to the other class.

    It is right where one sum, of the first class, has one base value; two sums with two are made right below.
    """
    ids = attribute(node, "class_ids")
    floats, tensor = attribute(node, "base_values"), attribute(node, "base_values_as_tensor")
    sums = set(ids.ints) if ids is not None else set()
    values = (len(floats.floats) if floats is not None else 0) + (
        math.prod(tensor.t.dims) if tensor is not None else 0
    )
    can_be_taken_out = tensor is None and bool(node.output[0])
    is_right = (sums, values) == ({0}, 1) or ((sums, values) == ({0, 1}, 2) and can_be_taken_out)
    if values and not is_right:
        raise InvalidModel(
            f"the scores of a binary tree ensemble with {values} base values for {len(sums)} sums can not be computed reliably",
            hint="export it with a base value for each sum, and one sum as that of the first class",
        )


def _label_is_that_of_the_sum(node: NodeProto) -> bool:
    """Say whether the runtime compares the sum with one half, though its logistic function is the probability.

    It does so where all weights are positive, as those of a forest, whose sums are probabilities.
    """
    ids, weights = attribute(node, "class_ids"), attribute(node, "class_weights")
    transform = attribute(node, "post_transform")
    return (
        bool(node.output[0])
        and transform is not None
        and transform.s == b"LOGISTIC"
        and (ids is not None and set(ids.ints) == {0})
        and (weights is None or min(weights.floats, default=0) >= 0)
    )


def _label_from_probabilities(node: NodeProto, at: int) -> list[NodeProto]:
    """Return nodes that give the label of the greater probability under the name of the node's label output."""
    label = node.output[0]
    prefix = f"scoter_{at}_{label}"
    if len(node.output) < 2 or not node.output[1]:
        del node.output[1:]
        node.output.append(f"{prefix}_scores")
    node.output[0] = f"{prefix}_unused"
    return _greatest(node.output[1], class_labels(node), label, prefix)


def _greatest(scores: str, labels: tuple[str | int, ...], label: str, prefix: str) -> list[NodeProto]:
    """Return nodes that put the label of the greatest of some scores, the first of equal ones, under the name ``label``."""
    values = numpy_helper.from_array(
        np.array(labels, dtype=object if isinstance(labels[0], str) else np.int64)
    )
    return [
        helper.make_node("ArgMax", [scores], [f"{prefix}_place"], axis=1, keepdims=0),
        helper.make_node("Constant", [], [f"{prefix}_labels"], value=values),
        helper.make_node("Gather", [f"{prefix}_labels", f"{prefix}_place"], [label], axis=0),
    ]


_POST_TRANSFORMS = {b"": None, b"NONE": None, b"SOFTMAX": "Softmax", b"LOGISTIC": "Sigmoid"}


def _labels_from_scores(node: NodeProto, at: int) -> list[NodeProto]:
    """Return nodes that give labels[argmax(sums)] under the name of the node's label output.

    The sums are compared before the post-transform, which then becomes an operator of its own:
    afterwards two different sums may have rounded to the same score.
    """
    transform = attribute(node, "post_transform")
    kind = transform.s if transform is not None else b"NONE"
    if kind not in _POST_TRANSFORMS:
        raise InvalidModel(
            "the labels of a binary tree ensemble with two sums and the post-transform "
            f"{kind[:32].decode('ascii', 'replace')} can not be computed reliably",
            hint="export it with one sum, or with the post-transform SOFTMAX, LOGISTIC or NONE",
        )
    if len(node.output) < 2:
        node.output.append("")
    label, scores = node.output
    prefix = f"scoter_{at}_{label}"
    base = attribute(node, "base_values")
    added = [] if base is None else _with_base(node, base, prefix)
    added += _greatest(f"{prefix}_sums", class_labels(node), label, prefix)
    node.output[0], node.output[1] = f"{prefix}_unused", f"{prefix}_{'sums' if base is None else 'weights'}"
    if transform is not None:
        transform.s = b"NONE"
    if scores:
        kind_of = _POST_TRANSFORMS[kind]
        if kind_of == "Softmax":
            added.append(helper.make_node("Softmax", [f"{prefix}_sums"], [scores], axis=1))
        else:
            added.append(helper.make_node(kind_of or "Identity", [f"{prefix}_sums"], [scores]))
    return added


def _with_base(node: NodeProto, base: AttributeProto, prefix: str) -> list[NodeProto]:
    """Take the base values out of an ensemble and return nodes that add them: the runtime gives one sum's to both."""
    values = numpy_helper.from_array(np.array(base.floats, np.float32))
    node.attribute.remove(base)
    return [
        helper.make_node("Constant", [], [f"{prefix}_base"], value=values),
        helper.make_node("Add", [f"{prefix}_weights", f"{prefix}_base"], [f"{prefix}_sums"]),
    ]


def fixed_rows(graph: GraphProto) -> set[int]:
    """Return the numbers of rows that the inputs of a graph are fixed to; of a map it is one."""
    return {
        1 if value.type.HasField("map_type") else value.type.tensor_type.shape.dim[0].dim_value
        for value in _inputs(graph)
        if value.type.HasField("map_type") or _is_fixed(value)
    }


def _free_batch(graph: GraphProto) -> None:
    """Let models that were exported for a fixed number of rows take any; the dry run proves it."""
    freed = False
    for value in _inputs(graph):
        if _is_fixed(value):
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
            freed = True
    if freed:
        del graph.value_info[:]
        for value in graph.output:
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")


def _inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """Return the inputs that have no value of their own in the file."""
    known = {each.name for each in graph.initializer}
    return [value for value in graph.input if value.name not in known]


def _is_fixed(value: ValueInfoProto) -> bool:
    shape = value.type.tensor_type.shape
    return len(shape.dim) > 0 and shape.dim[0].dim_value > 0
