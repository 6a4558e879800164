"""Rows for a model's dry run: values that its own encoders know.

This module must not know sessions or signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto, NodeProto, TensorProto

from scoter.errors import InvalidModel
from scoter.udfs.graphs import class_labels, constants, values_of
from scoter.udfs.pieces import Feed, entries
from scoter.udfs.signature import Shape
from scoter.udfs.tensors import STRING, Element, element_of, map_of, sequence_of

Column = tuple[str, int]
Values = tuple[str | int, ...]
Categories = dict[Column, Values]

_SAME_COLUMNS = frozenset(
    {"Cast", "Flatten", "Identity", "Imputer", "Reshape", "Squeeze", "StringNormalizer", "Unsqueeze"}
)
_CHOOSING = frozenset({"ArrayFeatureExtractor", "Gather", "Slice", "Split"})
_CATEGORIES = frozenset({"cats_int64s", "cats_strings", "keys_int64s", "keys_strings"})


def categories(model: ModelProto, widths: Mapping[str, int]) -> Categories:
    """Return the categories that encoders know for input columns (input name, place in it).

    Columns are followed through operators that join, select or keep them; others are left out. Of a column that
    several encoders read they are those that each encoder knows that fails on any other.
    """
    known = constants(model)
    columns: dict[str, list[Column]] = {
        name: [(name, place) for place in range(width)] for name, width in widths.items()
    }
    found: dict[bool, dict[Column, list[Values]]] = {True: {}, False: {}}
    for node in model.graph.node:
        # A missing value that is filled in stays of its column.
        given = list(node.input)
        kept = given[1:] if node.op_type == "Where" else given[:1]
        own = next((columns[name] for name in kept if name in columns), None)
        if own is None:
            continue
        if node.op_type == "Concat" and all(name in columns for name in given):
            columns[node.output[0]] = [column for name in given for column in columns[name]]
        elif node.op_type in _SAME_COLUMNS or node.op_type == "Where":
            columns[node.output[0]] = own
        elif node.op_type in _CHOOSING:
            for name, places in zip(node.output, _chosen(node, len(own), known), strict=False):
                columns[name] = [own[place] for place in places]
        else:
            for values in _categories_of(node):
                for column in own:
                    found[_refuses_others(node)].setdefault(column, []).append(values)
    # What no encoder refuses is not as good as what one knows.
    return {column: _common(lists) for column, lists in (found[False] | found[True]).items()}


def _chosen(node: NodeProto, width: int, known: Mapping[str, TensorProto]) -> list[list[int]]:
    """Return which of so many columns each output of an operator has; [] where the file does not tell."""
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    try:
        given = [numpy_helper.to_array(known[name]).ravel() for name in node.input[1:]]
        places = np.arange(width)
        if node.op_type == "ArrayFeatureExtractor" or attributes.get("axis", 0) in (1, -1):
            if node.op_type == "Split":
                sizes = given[0] if given else np.array(attributes.get("split", ()))
                parts = np.split(places, np.cumsum(sizes)[:-1] if sizes.size else len(node.output))
                return [part.tolist() for part in parts]
            return [places[given[0]].tolist()]
        if node.op_type == "Slice" and given[2].tolist() in ([1], [-1]):
            step = given[3][0] if len(given) > 3 else 1
            return [places[given[0][0] : given[1][0] : step].tolist()]
    except (IndexError, KeyError, ValueError):
        return []
    return []


def _refuses_others(node: NodeProto) -> bool:
    """Say whether a text or number that is not one of its categories ends the operator."""
    zeros = next((each.i for each in node.attribute if each.name == "zeros"), 1)
    return node.op_type == "OneHotEncoder" and zeros == 0


def _categories_of(node: NodeProto) -> list[Values]:
    """Return the texts and the numbers among an operator's categories."""
    found: list[Values] = []
    for attribute in node.attribute:
        if attribute.name in _CATEGORIES:
            texts = tuple(text.decode("utf-8", "replace") for text in attribute.strings)
            found.append(texts or tuple(attribute.ints))
        elif attribute.name == "keys_tensor":
            found.append(values_of(attribute.t))
    return [values for values in found if values]


def _common(lists: Iterable[Values]) -> Values:
    """Return the values that are in all lists, in the order of the first; the first where there are none."""
    first, *rest = lists
    return tuple(value for value in first if all(value in other for other in rest)) or first


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
    pair, entry = map_of(kind), sequence_of(kind)
    if pair is not None:
        keys = known.get((name, 0)) or (("a",) if pair[0] is STRING else (0,))
        return [{key: pair[1].dtype.type(row + 1).item() for key in keys} for row in range(rows)]
    element = entry or element_of(kind)
    if element is None:
        raise InvalidModel(f"the model's input type {kind} is not supported")
    values = _tensor(name, element, (rows, *(length or 1 for length in shape)), known, random)
    return values if entry is None else entries(values)


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
            fitting = _fitting(own, element)
            for row in range(shape[0] if fitting else 0):
                flat[row, place] = fitting[row % len(fitting)]
    return values


def _fitting(values: Values, element: Element) -> list[Any]:
    """Return categories as values of an input, from which a model may make its texts or numbers itself."""
    if element is STRING:
        return [str(each) for each in values]
    found = []
    for each in values:
        with suppress(ValueError, OverflowError):
            found.append(element.dtype.type(each))
    return found
