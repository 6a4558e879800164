"""Texts that a model only looks up in lists of its own go in as their places in a list.

ONNX Runtime takes texts as Python objects and copies each, which costs more than the rest of most pipelines over
categories. This module must not know sessions, signatures or columns of SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from onnx.onnx_ml_pb2 import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from scoter.udfs.graphs import nodes_inside

# Where an operator keeps the texts that it looks for, and where it would keep numbers.
_LISTS = {"OneHotEncoder": ("cats_strings", "cats_int64s"), "LabelEncoder": ("keys_strings", "keys_int64s")}
_FEW = 4  # texts of the list for each row, above which rows are looked up one by one


class Texts:
    """The list of texts that one input is looked up in."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    @cached_property
    def _list(self) -> pa.Array:
        return pa.array(self._known, pa.string())

    @cached_property
    def _places(self) -> dict[str, int]:
        return {text: place for place, text in enumerate(self._known)}

    def places(self, column: pa.Array) -> NDArray[np.int64]:
        """Return the place of each text, -1 where the list does not hold it."""
        if len(self._known) > _FEW * len(column):
            return np.array([self._places.get(text, -1) for text in column.to_pylist()], np.int64)
        found = pc.index_in(column.cast(pa.string()), self._list).fill_null(-1)
        places: NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return places


def encode(model: ModelProto) -> Mapping[str, Texts]:
    """Let inputs of texts take places in lists where that changes no result; return their lists by name."""
    graph = model.graph
    own = {each.name for each in graph.initializer} | {each.name for each in graph.output}
    found = {}
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.STRING and value.name not in own:
            texts = _encoded(graph, value)
            if texts is not None:
                found[value.name] = texts
    return found


def _encoded(graph: GraphProto, value: ValueInfoProto) -> Texts | None:
    lookups = []
    for node in graph.node:
        if value.name in node.input:
            texts = _texts_of(node)
            if texts is None:
                return None
            lookups.append((texts, _LISTS[node.op_type][1]))
        if any(value.name in inner.input for inner in nodes_inside(node)):
            return None
    try:
        known = tuple(dict.fromkeys(text.decode() for texts, _ in lookups for text in texts.strings))
    except UnicodeDecodeError:
        return None
    if not known:
        return None
    places = {text.encode(): place for place, text in enumerate(known)}
    for texts, name in lookups:
        numbers = [places[text] for text in texts.strings]
        texts.Clear()
        texts.name, texts.type = name, AttributeProto.INTS
        texts.ints.extend(numbers)
    value.type.tensor_type.elem_type = TensorProto.INT64
    return Texts(known)


def _texts_of(node: NodeProto) -> AttributeProto | None:
    """Return the attribute that holds an operator's texts; None where it does more than look them up."""
    if node.domain != "ai.onnx.ml" or node.op_type not in _LISTS:
        return None
    name = _LISTS[node.op_type][0]
    return next((each for each in node.attribute if each.name == name and each.strings), None)
