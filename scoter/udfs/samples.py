"""Rows for a model's dry run: values that its own encoders know.

This module must not know sessions or signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.onnx_ml_pb2 import ModelProto, NodeProto

from scoter.errors import InvalidModel
from scoter.udfs.pieces import Feed
from scoter.udfs.preparation import class_labels, constants, values_of
from scoter.udfs.signature import Shape
from scoter.udfs.tensors import STRING, Element, element_of, map_of

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


# What free lengths are tried with; the model's own numbers of columns come after them.
_LENGTHS = (5, 7, 32, 64, 128, 224, 1)
_MOST_LENGTHS = 32
_LONGEST = 10_000


def lengths(model: ModelProto) -> list[int]:
    """Return lengths to try for dimensions that the file leaves open, likely ones first.

    A model that was written without its number of columns still has weights of that number.
    """
    found = dict.fromkeys(_LENGTHS)
    for each in model.graph.initializer:
        found.update(dict.fromkeys(each.dims))
    for node in model.graph.node:
        classes = max(1, len(class_labels(node)))
        for attribute in node.attribute:
            found.update(dict.fromkeys([len(attribute.floats), len(attribute.floats) // classes]))
    return [length for length in found if 0 < length <= _LONGEST][:_MOST_LENGTHS]


def feed(
    name: str, kind: str, shape: Shape, rows: int, known: Categories, random: np.random.Generator
) -> Feed:
    """Return sample values of so many rows for the input ``name`` of ONNX Runtime's type ``kind``."""
    pair = map_of(kind)
    if pair is not None:
        keys = known.get((name, 0)) or (("a",) if pair[0] is STRING else (0,))
        return [{key: pair[1].dtype.type(row + 1).item() for key in keys} for row in range(rows)]
    element = element_of(kind)
    if element is None:
        raise InvalidModel(f"the model's input type {kind} is not supported")
    return _tensor(name, element, (rows, *(length or 1 for length in shape)), known, random)


def _tensor(
    name: str, element: Element, shape: tuple[int, ...], known: Categories, random: np.random.Generator
) -> NDArray[np.generic]:
    if element is STRING:
        values: NDArray[Any] = np.full(shape, "a", dtype=object)
    elif element.is_float:
        values = random.normal(size=shape).astype(element.dtype)
    else:
        values = np.zeros(shape, dtype=element.dtype)
        values[1::2] = 1
    flat = values.reshape(shape[0], -1)
    for (column, place), own in known.items():
        if column == name and len(shape) <= 2:
            flat[:, place] = [own[row % len(own)] for row in range(shape[0])]
    return values
