"""Rows walked through decision trees by machine code that Numba makes of these functions.

This module must not know graphs or sessions. It is imported only where Numba is installed (the extra ``trees``).

ONNX Runtime takes one row through one tree at a time, and waits for memory at each node. Here ``_LANES`` rows go down
one tree side by side, a level at a time, so that a processor has many independent loads to wait for at once; the rows
that have reached a leaf stay there. Sums are added up in the order of the trees in 32 bits, as ONNX Runtime does
with one thread, so that results are the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from scoter.udfs.ensembles import Floats, Places

_LANES = 256
_LOOK = 8  # levels that all rows are led down
_AGAIN = 4  # levels after which those at a leaf are left out again


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call, and keep the machine code on disk where Numba finds a directory to write to."""
    try:
        made = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # there is none
        made = numba.njit(nogil=True, error_model="numpy")(function)
    return made


def _moving(lanes: Places, at: Places, left: Places) -> int:
    """Put the rows of ``lanes`` that are not at a leaf first and return how many these are."""
    kept = 0
    for lane in lanes:
        lanes[kept] = lane
        kept += left[at[lane]] != at[lane]
    return kept


def _down(
    at: Places,
    values: Floats,
    begins: Places,
    levels: int,
    feature: Places,
    threshold: Floats,
    left: Places,
    lanes: Places,
) -> None:
    """Lead rows that stand ``at`` nodes down so many levels; row i has its values from ``begins[i]`` on.

    Below the first levels only those rows are looked at that are not at a leaf yet.
    """
    for _ in range(min(levels, _LOOK)):
        for lane in range(len(at)):
            node = at[lane]
            is_left = values[begins[lane] + feature[node]] <= threshold[node]
            at[lane] = left[node] + np.uint32(not is_left)
    if levels <= _LOOK:
        return
    for lane in range(len(at)):
        lanes[lane] = lane
    count = len(at)
    for level in range(_LOOK, levels):
        if level % _AGAIN == 0:
            count = _moving(lanes[:count], at, left)
        if count == 0:
            return
        for place in range(count):
            lane = lanes[place]
            node = at[lane]
            is_left = values[begins[lane] + feature[node]] <= threshold[node]
            at[lane] = left[node] + np.uint32(not is_left)


def _add(at: Places, first: Places, sums: Places, weights: Floats, out: Floats) -> None:
    """Add what the leaves hold at which rows stand."""
    if out.shape[1] == 1:
        for lane in range(len(at)):
            out[lane, 0] += weights[first[at[lane]]]
        return
    for lane in range(len(at)):
        for weight in range(first[at[lane]], first[at[lane] + 1]):
            out[lane, sums[weight]] += weights[weight]


_moving = _compiled(_moving)
_down, _add = _compiled(_down), _compiled(_add)


def _doubled(values: Floats, width: int, used: int, doubled: Floats) -> bool:
    """Give rows each feature twice, as it is and with the least number for a missing value; say if there is any.

    No threshold is above a missing value, so that it goes right, and none below the least number, which goes left.
    """
    missing = 0
    for place in range(len(values)):
        missing += np.isnan(values[place])
    if missing == 0:
        return False
    for row in range(len(values) // width):
        for feature in range(used):
            value = values[row * width + feature]
            doubled[row * 2 * used + feature] = value
            doubled[(row * 2 + 1) * used + feature] = np.float32(-np.inf) if np.isnan(value) else value
    return True


_doubled = _compiled(_doubled)


def _walk(
    rows: Floats,
    used: int,
    feature: Places,
    missing: Places,
    threshold: Floats,
    left: Places,
    roots: Places,
    levels: NDArray[np.int32],
    first: Places,
    sums: Places,
    weights: Floats,
    out: Floats,
) -> None:
    """Add what the leaves that rows [N, F] come to hold to ``out`` [N, K].

    ``used`` features are compared; where values are missing they stand twice, and nodes compare those in ``missing``.
    """
    count, width = rows.shape
    flat = rows.reshape(-1)
    places, lanes = np.empty(_LANES, np.uint32), np.empty(_LANES, np.uint32)
    steps = np.arange(_LANES)
    begins, begins_doubled = (steps * width).astype(np.uint32), (steps * 2 * used).astype(np.uint32)
    doubled = np.empty(_LANES * 2 * used, np.float32)
    for start in range(0, count, _LANES):
        stop = min(count, start + _LANES)
        at, values = places[: stop - start], flat[start * width : stop * width]
        is_doubled = _doubled(values, width, used, doubled)
        for tree in range(len(roots)):
            at[:] = roots[tree]
            if is_doubled:
                _down(at, doubled, begins_doubled, levels[tree], missing, threshold, left, lanes)
            else:
                _down(at, values, begins, levels[tree], feature, threshold, left, lanes)
            _add(at, first, sums, weights, out[start:stop])


def _logistic(values: Floats) -> None:
    """Put 1 / (1 + exp(-x)) in the place of each x."""
    one = np.float32(1)
    flat = values.reshape(-1)
    for place in range(len(flat)):
        value = flat[place]
        high = one / (one + np.float32(math.exp(-abs(value))))
        flat[place] = one - high if value < 0 else high


def _softmax(values: Floats) -> None:
    """Put exp(x), divided by the sum of its row, in the place of each x."""
    for row in range(values.shape[0]):
        most = values[row, 0]
        for place in range(1, values.shape[1]):
            most = max(most, values[row, place])
        total = np.float32(0)
        for place in range(values.shape[1]):
            values[row, place] = np.float32(math.exp(values[row, place] - most))
            total += values[row, place]
        for place in range(values.shape[1]):
            values[row, place] /= total


walk, logistic, softmax = _compiled(_walk), _compiled(_logistic), _compiled(_softmax)
