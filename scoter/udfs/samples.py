"""Rows for a model's dry run: values that its own encoders know.

This module must not know sessions or signatures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.onnx_ml_pb2 import ModelProto, NodeProto

from scoter.udfs.preparation import constants, values_of
from scoter.udfs.tensors import STRING, Element

Column = tuple[str, int]
Categories = dict[Column, tuple[str | int, ...]]

_SAME_COLUMNS = frozenset({"Cast", "Identity", "Imputer", "Reshape", "StringNormalizer"})
_CATEGORIES = frozenset({"cats_int64s", "cats_strings", "keys_int64s", "keys_strings"})


def categories(model: ModelProto, widths: Mapping[str, int]) -> Categories:
    """Return the categories that encoders know for input columns (input name, place in it).

    Columns are followed through operators that join, select or keep them; others are left out.
    """
    known = constants(model)
    columns: dict[str, list[Column]] = {
        name: [(name, place) for place in range(width)] for name, width in widths.items()
    }
    found: Categories = {}
    for node in model.graph.node:
        inputs = [columns.get(name) for name in node.input]
        if not inputs or inputs[0] is None:
            continue
        if node.op_type == "Concat" and all(each is not None for each in inputs):
            columns[node.output[0]] = [column for each in inputs for column in each or ()]
        elif node.op_type in _SAME_COLUMNS:
            columns[node.output[0]] = inputs[0]
        elif node.op_type == "ArrayFeatureExtractor" and node.input[1] in known:
            places = [int(place) for place in values_of(known[node.input[1]])]
            if all(0 <= place < len(inputs[0]) for place in places):
                columns[node.output[0]] = [inputs[0][place] for place in places]
        else:
            values = _categories_of(node)
            for column in inputs[0] if values else ():
                found.setdefault(column, values)
    return found


def _categories_of(node: NodeProto) -> tuple[str | int, ...]:
    for attribute in node.attribute:
        if attribute.name in _CATEGORIES and (attribute.strings or attribute.ints):
            texts = tuple(text.decode("utf-8", "replace") for text in attribute.strings)
            return texts or tuple(attribute.ints)
    return ()


def tensor(
    name: str, element: Element, shape: Sequence[int], known: Categories, random: np.random.Generator
) -> NDArray[np.generic]:
    """Return values of ``shape`` ([N] or [N, F]) for the input ``name``."""
    flat: NDArray[np.generic] = np.empty(shape, dtype=element.dtype).reshape(shape[0], -1)
    for place in range(flat.shape[1]):
        values = known.get((name, place))
        if values:
            column: list[Any] = [values[row % len(values)] for row in range(shape[0])]
        elif element is STRING:
            column = ["a"] * shape[0]
        elif element.is_float:
            column = random.normal(size=shape[0]).tolist()
        else:
            column = [row % 2 for row in range(shape[0])]
        flat[:, place] = column
    return flat.reshape(shape)
