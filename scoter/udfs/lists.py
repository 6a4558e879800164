"""LIST columns as shapes and values, and values with their shapes as LIST columns.

This module must not know models or tensors' names. Nothing here walks over rows one by one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Lengths = NDArray[np.int64]


def null_rows(column: pa.ListArray, depth: int) -> tuple[Mask | None, Mask | None]:
    """Return which rows have NULL for a list, and which for a value in one; None for no row."""
    levels = list(_levels(column, depth))
    values = levels[-1].flatten()
    if not any(level.null_count for level in (*levels, values)):
        return None, None
    counts: list[Lengths] = []
    lists: Mask | None = None
    for level in levels:
        lists = _marked(lists, level, counts, len(column))
        counts.append(_lengths(level))
    return lists, _marked(None, values, counts, len(column))


def null_maps(column: pa.MapArray) -> tuple[Mask | None, Mask | None]:
    """Return which rows have NULL for a map, and which for a value in one; None for no row."""
    maps = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    _, values = null_rows(pa.ListArray.from_arrays(column.offsets, column.items), 1)
    return maps, values


def _marked(mask: Mask | None, level: pa.Array, counts: list[Lengths], rows: int) -> Mask | None:
    """Add to ``mask`` the rows in which ``level`` has NULLs; ``counts`` are the lengths of all levels above."""
    if not level.null_count:
        return mask
    owners = np.arange(rows)
    for lengths in counts:
        owners = np.repeat(owners, lengths)
    found = np.zeros(rows, dtype=np.bool_) if mask is None else mask
    found[owners[level.is_null().to_numpy(zero_copy_only=False)]] = True
    return found


def taken_apart(column: pa.ListArray, depth: int) -> tuple[Lengths | None, pa.Array]:
    """Return the lengths of each row's lists as [rows, depth], and all values in order.

    The lengths are None when a row's lists differ. There must be no NULL in place of a list.
    """
    rows = len(column)
    found: list[Lengths] = []
    held = np.ones(rows, dtype=np.int64)  # lists of this level in each row
    level = column
    for level in _levels(column, depth):
        lengths = _lengths(level)
        if not found:
            own = lengths
        else:
            own = np.zeros(rows, dtype=np.int64)
            some = held > 0
            own[some] = lengths[(np.cumsum(held) - held)[some]]
            if not np.array_equal(np.repeat(own, held), lengths):
                return None, level.flatten()
        found.append(own)
        held = held * own
    return np.stack(found, axis=1), level.flatten()


def put_together(values: pa.Array, lengths: Lengths, target: pa.DataType) -> pa.Array:
    """Return ``values`` as lists of the type ``target``; ``lengths`` is [rows, depth]."""
    kinds = [target]
    for _ in range(lengths.shape[1] - 1):
        kinds.append(kinds[-1].value_type)
    held = np.ones(len(lengths), dtype=np.int64)
    sizes = []
    for own in lengths.T:
        sizes.append(np.repeat(own, held))
        held = held * own
    found = values
    for size, kind in zip(reversed(sizes), reversed(kinds), strict=True):
        offsets = np.zeros(len(size) + 1, dtype=np.int32)
        np.cumsum(size, out=offsets[1:])
        found = pa.ListArray.from_arrays(pa.array(offsets), found, type=kind)
    return found


def _levels(column: pa.ListArray, depth: int) -> Iterator[pa.ListArray]:
    level = column
    for place in range(depth):
        if place:
            level = level.flatten()
        yield level


def _lengths(level: pa.ListArray) -> Lengths:
    if len(level) and not level.null_count and pa.types.is_list(level.type):
        offsets: Lengths = level.offsets.to_numpy().astype(np.int64)
        return np.diff(offsets)
    lengths: Lengths = (
        pc.list_value_length(level).fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    )
    return lengths
