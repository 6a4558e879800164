"""A model run over any number of rows, some at a time: as many as it takes, or as memory allows.

This module must not know SQL types, NULLs or sessions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoter.errors import ModelFailed
from scoter.udfs.signature import Shape

# A tensor for each input; for an input that is a map a dict for each row, of which one run takes one; for a sequence a
# tensor for each row; None for an optional input that is left out.
Feed = NDArray[np.generic] | list[dict[Any, Any]] | list[NDArray[np.generic]] | None
Feeds = dict[str, Feed]

MOST_VALUES = 1 << 22  # of one list in one row
_AT_ONCE = 1 << 20  # values of lists that one run gets
# Convolutions keep some hundred times as many values between them as they are given, which of a few hundred small images
# or series fit into a processor's cache: 256 images of 8x8 at once take three quarters of the time that 16,384 take.
# Fewer rows would have the weights of dense layers read too often.
_MOST_CONVOLVED = 256
# Where lengths are free, what a model keeps for a row often grows with their square.
_AT_ONCE_FREE = 1 << 15


def entries(values: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Return what each row has of a tensor as a tensor of its own, which takes no copy."""
    return [np.asarray(each, values.dtype) for each in values]


def rows_at_once(shapes: Sequence[Shape], free: Sequence[int] = (), *, convolves: bool = False) -> int | None:
    """Return how many rows with lists of these shapes one run may get, None for any number.

    ``free`` gives the lengths that stand for None, in their order; ``convolves`` says whether the model does.
    """
    lengths = iter(free)
    values = sum(
        math.prod(next(lengths) if each is None else each for each in shape) for shape in shapes if shape
    )
    if not values:
        return _MOST_CONVOLVED if convolves else None
    most = max(1, (_AT_ONCE_FREE if free else _AT_ONCE) // values)
    return min(most, _MOST_CONVOLVED) if convolves else most


def in_pieces(
    run: Callable[[Feeds], list[Any]], feeds: Feeds, rows: int, size: int | None, *, exactly: bool = False
) -> list[Any]:
    """Run a model on ``size`` rows at a time and return its results for all ``rows``.

    With ``exactly`` the model takes no fewer: the last row is then repeated and its results left out.
    Raises ModelFailed where results are not one for each row.
    """
    if size is None or (rows <= size and not exactly):
        return run(feeds)
    found = []
    for start, stop in _bounds(rows, size):
        given = size if exactly else stop - start
        results = run({name: _cut(feed, start, stop, given) for name, feed in feeds.items()})
        found.append([_first(each, given, stop - start) for each in results])
    return [_joined(parts) for parts in zip(*found, strict=True)]


def _bounds(rows: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, size):
        yield start, min(start + size, rows)


def _cut(feed: Feed, start: int, stop: int, given: int) -> Any:
    if feed is None:
        return None
    if isinstance(feed, list) and isinstance(feed[start], dict):
        return feed[start]
    piece = feed[start:stop]
    missing = given - (stop - start)
    if isinstance(piece, list):
        return piece + piece[-1:] * missing
    return np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)]) if missing else piece


def _first(result: Any, given: int, wanted: int) -> Any:
    if np.ndim(result) == 0 if isinstance(result, np.ndarray) else not isinstance(result, list):
        raise ModelFailed("the model did not give one result for each row")
    if len(result) != given:
        raise ModelFailed("the model did not give one result for each row")
    return result[:wanted]


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], list):
        return [each for part in parts for each in part]
    return np.concatenate(parts)
