"""A graph's ensemble of decision trees as flat arrays, each tree's nodes beside each other.

This module must not know sessions, nor how the arrays are walked. It is strict: an ensemble that it does not know every
detail of is left to ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.onnx_ml_pb2 import AttributeProto, NodeProto

from scoter.udfs.graphs import class_labels

OPERATORS = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
_DOMAIN = "ai.onnx.ml"
_MOST_LEVELS = 256
_MOST_NUMBER = 1 << 31  # of trees and nodes: two of them fit one key
_MOST_FEATURES = 4_096
_MOST_NODES = 2_000_000  # which are read in a second, while Python does nothing else
_TRANSFORMS = frozenset({"NONE", "LOGISTIC", "SOFTMAX"})
# Whether the operator's true branch is taken at equality, and whether it is the branch of the greater values.
_MODES = {
    b"BRANCH_LEQ": (True, False),
    b"BRANCH_LT": (False, False),
    b"BRANCH_GT": (False, True),
    b"BRANCH_GTE": (True, True),
}

Floats = NDArray[np.float32]
Places = NDArray[np.uint32]


@dataclass(frozen=True)
class Ensemble:
    """Trees over rows [N, F] of float32, which give sums [N, ``width``].

    A row at node i goes on to node ``left[i]`` if its value of ``feature[i]`` is at most ``threshold[i]``, else to the one
    behind it; a missing value goes left where ``missing_left[i]``. A leaf leads to itself: its threshold is infinite.
    Tree t begins at ``roots[t]`` and has ``levels[t]`` levels below it. Leaf i adds ``weights[j]`` to the sum ``sums[j]``
    for each j from ``first[i]`` to ``first[i + 1]``.

    ``base``, if any, is added to the sums at the end, which are divided by the number of trees before where ``is_average``.
    ``labels`` are a classifier's; None for a regressor. With ``is_binary`` there is one sum for two classes, of number 0, and
    ``is_positive`` says that all of its weights are.
    """

    features: int
    feature: Places
    threshold: Floats
    left: Places
    missing_left: NDArray[np.bool_]
    roots: Places
    levels: NDArray[np.int32]
    first: Places
    sums: Places
    weights: Floats
    width: int
    base: Floats | None
    transform: str
    is_average: bool
    labels: NDArray[Any] | None
    is_binary: bool
    is_positive: bool


class _Unknown(Exception):
    """The ensemble has something that only ONNX Runtime is trusted with."""


def read(node: NodeProto) -> Ensemble | None:
    """Return the ensemble of a node, None where it is of a kind that is left to ONNX Runtime."""
    if node.op_type not in OPERATORS or node.domain != _DOMAIN:
        return None
    try:
        return _read(node, {each.name: each for each in node.attribute})
    except _Unknown:
        return None


def _read(node: NodeProto, given: dict[str, AttributeProto]) -> Ensemble:
    if any(name.endswith("_as_tensor") for name in given):
        raise _Unknown
    tree, number = _ints(given, "nodes_treeids"), _ints(given, "nodes_nodeids")
    count = len(tree)
    if count > _MOST_NODES:
        raise _Unknown
    found = _Numbered(tree, number)
    modes = np.array(given["nodes_modes"].strings if "nodes_modes" in given else [], np.bytes_)
    values, features = _floats(given, "nodes_values"), _ints(given, "nodes_featureids")
    tracks = (
        _ints(given, "nodes_missing_value_tracks_true")
        if "nodes_missing_value_tracks_true" in given
        else None
    )
    missing = np.zeros(count, bool) if tracks is None or not len(tracks) else tracks == 1
    if not count or any(len(each) != count for each in (modes, values, features, missing)):
        raise _Unknown
    leaf = modes == b"LEAF"
    inner = np.flatnonzero(~leaf)
    kinds, kind = np.unique(modes[inner], return_inverse=True)
    if (
        not set(kinds.tolist()) <= _MODES.keys()
        or np.isnan(values[inner]).any()
        or (features[inner] < 0).any()
    ):
        raise _Unknown
    true = found.places(tree[inner], _ints(given, "nodes_truenodeids")[inner])
    false = found.places(tree[inner], _ints(given, "nodes_falsenodeids")[inner])
    closed, greater = np.array([_MODES[each] for each in kinds.tolist()], bool).reshape(-1, 2)[kind].T
    strict = closed == greater
    if (strict & (values[inner] == -np.inf)).any():  # nothing is less
        raise _Unknown
    # x < t is x <= the number before t, and x > t is not x <= t: there the branches change sides, and the missing value.
    threshold = np.full(count, np.inf, np.float32)
    with np.errstate(over="ignore"):  # the number before the least one is infinite
        before = np.nextafter(values[inner], np.float32(-np.inf))
    threshold[inner] = np.where(strict, before, values[inner])
    children = np.zeros((count, 2), np.int64)
    children[inner, 0], children[inner, 1] = np.where(greater, false, true), np.where(greater, true, false)
    missing_left = np.ones(count, bool)
    missing_left[inner] = missing[inner] != greater
    order, roots, levels = _order(tree, leaf, children)
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    left = np.where(leaf, np.arange(count), children[:, 0])
    weights = _Weights(node, given, found, leaf, place, tree)
    left = place[left[order]]
    inside = np.flatnonzero(~leaf[order])
    # What walks the arrays trusts them: it always goes down, and never leaves them.
    if (left[inside] <= inside).any() or (left[inside] + 1 >= count).any():
        raise _Unknown
    return Ensemble(
        features=int(features[inner].max(initial=0)) + 1,
        feature=np.where(leaf, 0, features)[order].astype(np.uint32),
        threshold=threshold[order],
        left=left.astype(np.uint32),
        missing_left=missing_left[order],
        roots=place[roots].astype(np.uint32),
        levels=levels,
        first=weights.first,
        sums=weights.sums,
        weights=weights.values,
        width=weights.width,
        base=weights.base,
        transform=weights.transform,
        is_average=weights.is_average,
        labels=weights.labels,
        is_binary=weights.is_binary,
        is_positive=bool((weights.values >= 0).all()),
    )


class _Numbered:
    """Nodes found by the numbers of their tree and of their own."""

    def __init__(self, tree: NDArray[np.int64], number: NDArray[np.int64]) -> None:
        # Else the keys below could be those of other nodes.
        if len(number) != len(tree) or not len(tree) or not _are_small(tree) or not _are_small(number):
            raise _Unknown
        self._step = int(number.max()) + 1
        keys = tree * self._step + number
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        if (self._keys[1:] == self._keys[:-1]).any():
            raise _Unknown

    def places(self, tree: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the nodes stand in the file."""
        if (
            len(tree) != len(number)
            or not _are_small(tree)
            or (number >= self._step).any()
            or (number < 0).any()
        ):
            raise _Unknown
        keys = tree * self._step + number
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        if (self._keys[at] != keys).any():
            raise _Unknown
        return self._order[at]


def _are_small(numbers: NDArray[np.int64]) -> bool:
    return not len(numbers) or bool(0 <= numbers.min() <= numbers.max() < _MOST_NUMBER)


def _order(
    tree: NDArray[np.int64], leaf: NDArray[np.bool_], children: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Return the nodes tree by tree, level by level, siblings beside each other; the roots; the trees' levels."""
    begins = np.flatnonzero(np.r_[True, tree[1:] != tree[:-1]])
    if len(np.unique(tree[begins])) != len(begins):
        raise _Unknown
    rank = np.cumsum(np.r_[True, tree[1:] != tree[:-1]]) - 1
    levels = np.zeros(len(begins), np.int32)
    rows, found, total = begins, [begins], len(begins)
    for level in range(1, _MOST_LEVELS):
        inner = rows[~leaf[rows]]
        if not len(inner):
            break
        if (rank[children[inner]] != rank[inner][:, np.newaxis]).any():
            raise _Unknown
        rows = children[inner].ravel()
        total += len(rows)
        if total > len(tree):  # a node that two others lead to
            raise _Unknown
        levels[rank[rows]] = level
        found.append(rows)
    order = np.concatenate(found)
    if len(order) != len(tree) or len(np.unique(order)) != len(tree):
        raise _Unknown
    return order[np.argsort(rank[order], kind="stable")], begins, levels


class _Weights:
    """What the leaves add to which sums, and what becomes of the sums."""

    def __init__(
        self,
        node: NodeProto,
        given: dict[str, AttributeProto],
        found: _Numbered,
        leaf: NDArray[np.bool_],
        place: NDArray[np.int64],
        tree: NDArray[np.int64],
    ) -> None:
        self.transform = _text(given, "post_transform", "NONE")
        if self.transform not in _TRANSFORMS:
            raise _Unknown
        is_classifier = node.op_type == "TreeEnsembleClassifier"
        kind = "class" if is_classifier else "target"
        at = found.places(_ints(given, f"{kind}_treeids"), _ints(given, f"{kind}_nodeids"))
        sums, values = _ints(given, f"{kind}_ids"), _floats(given, f"{kind}_weights")
        if (
            len(sums) != len(at)
            or len(values) != len(at)
            or not leaf[at].all()
            or not np.isfinite(values).all()
        ):
            raise _Unknown
        self.labels = self._labels(node) if is_classifier else None
        self.is_average = False
        if self.labels is None:
            self.width = given["n_targets"].i if "n_targets" in given else 0
            aggregate = _text(given, "aggregate_function", "SUM")
            self.is_average = aggregate == "AVERAGE"
            if aggregate not in ("SUM", "AVERAGE") or self.transform != "NONE":
                raise _Unknown
        else:
            self.width = len(self.labels)
        self.is_binary = self.labels is not None and self.width == 2 and len(np.unique(sums)) == 1
        if self.is_binary:
            self.width = 1
        if self.width < 1 or not len(sums) or not 0 <= sums.min() <= sums.max() < self.width:
            raise _Unknown
        order = np.argsort(place[at], kind="stable")
        held = np.bincount(place[at], minlength=len(leaf))
        self.first = np.r_[0, np.cumsum(held)].astype(np.uint32)
        self.sums, self.values = sums[order].astype(np.uint32), values[order]
        if self.width == 1 and (held[place[leaf]] != 1).any():
            raise _Unknown
        _check_sums(tree, leaf, at, sums, self.width)
        base = _floats(given, "base_values") if "base_values" in given else np.array([], np.float32)
        if len(base) not in (0, self.width) or not np.isfinite(base).all():
            raise _Unknown
        self.base = base if len(base) else None

    @staticmethod
    def _labels(node: NodeProto) -> NDArray[Any]:
        labels = class_labels(node)
        if len(labels) < 2:
            raise _Unknown
        return np.array(labels, dtype=object if isinstance(labels[0], str) else np.int64)


def _check_sums(
    tree: NDArray[np.int64],
    leaf: NDArray[np.bool_],
    at: NDArray[np.int64],
    sums: NDArray[np.int64],
    width: int,
) -> None:
    """Let no sum be without a weight in any row: what ONNX Runtime does then is its own."""
    _, ranks = np.unique(tree, return_inverse=True)
    leaves = np.bincount(ranks[leaf])
    if width > len(sums) or len(np.unique(at * width + sums)) != len(at):
        raise _Unknown
    pairs, given = np.unique(ranks[at] * width + sums, return_counts=True)
    if len(np.unique(pairs[given == leaves[pairs // width]] % width)) != width:
        raise _Unknown


def _ints(given: dict[str, AttributeProto], name: str) -> NDArray[np.int64]:
    return np.array(given[name].ints if name in given else [], np.int64)


def _floats(given: dict[str, AttributeProto], name: str) -> Floats:
    return np.array(given[name].floats if name in given else [], np.float32)


def _text(given: dict[str, AttributeProto], name: str, default: str) -> str:
    return given[name].s.decode("utf-8", "replace") if name in given else default
