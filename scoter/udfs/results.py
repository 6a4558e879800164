"""From what a model gave for some rows to a column.

This module must not know what the model was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scoter.errors import ModelFailed
from scoter.udfs.lists import Lengths, put_together
from scoter.udfs.tensors import arrow_type


def column_of(result: object, duckdb: str, rows: int) -> pa.Array:
    """Return one output of ``rows`` rows as a column of the DuckDB type.

    [N] and [N, 1] become scalars, more dimensions nested lists; a sequence gives one entry for each row.
    Raises ModelFailed when rows are missing.
    """
    target = arrow_type(duckdb)
    depth = duckdb.count("[]")
    if isinstance(result, list):
        if len(result) != rows:
            raise ModelFailed("the model did not give one result for each row")
        return _maps(result, target) if duckdb.startswith("MAP(") else _entries(result, depth, target)
    values = _rows_of(result, rows)
    if not depth and values.size == rows:
        return pa.array(values.reshape(-1), type=target)
    if values.ndim != depth + 1:
        raise ModelFailed(f"the model gave {values.ndim} dimensions instead of {depth + 1}")
    return _listed(values.reshape(-1), np.broadcast_to(values.shape[1:], (rows, depth)), target)


def _entries(entries: list[Any], depth: int, target: pa.DataType) -> pa.Array:
    """Return a sequence's tensors, one for each row, as lists; they may differ in lengths, not in rank."""
    if any(np.ndim(each) != depth for each in entries):
        raise ModelFailed(f"the model gave a sequence of tensors that do not all have {depth} dimensions")
    if not depth:
        return pa.array(_held(np.array(entries)), type=target)
    lengths = np.array([each.shape for each in entries], dtype=np.int64).reshape(-1, depth)
    flat = np.concatenate([np.ravel(each) for each in entries]) if entries else np.array([])
    return _listed(_held(flat), lengths, target)


def _listed(flat: NDArray[Any], lengths: Lengths, target: pa.DataType) -> pa.Array:
    leaf = target
    for _ in range(lengths.shape[1]):
        leaf = leaf.value_type
    return put_together(pa.array(flat, type=leaf), lengths, target)


def _maps(maps: list[Any], target: pa.MapType) -> pa.Array:
    offsets = np.zeros(len(maps) + 1, dtype=np.int32)
    np.cumsum([len(each) for each in maps], out=offsets[1:])
    keys = pa.array([key for each in maps for key in each], type=target.key_type)
    values = pa.array([value for each in maps for value in each.values()], type=target.item_type)
    return pa.MapArray.from_arrays(pa.array(offsets), keys, values)


def probability(result: object, place: int, rows: int) -> pa.Array:
    """Return the probabilities of one class as a DOUBLE column."""
    return pa.array(_rows_of(result, rows)[:, place].astype(np.float64))


def probabilities(result: object, labels: Sequence[str | int], rows: int) -> pa.Array:
    """Return all probabilities as a MAP column from label to DOUBLE."""
    values = _rows_of(result, rows)
    keys = pa.array(labels).take(pa.array(np.tile(np.arange(len(labels)), rows)))
    offsets = np.arange(0, values.size + 1, len(labels), dtype=np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(values.reshape(-1).astype(np.float64)))


def _rows_of(result: Any, rows: int) -> NDArray[Any]:
    if not isinstance(result, np.ndarray) or result.ndim == 0 or len(result) != rows:
        raise ModelFailed("the model did not give one result for each row")
    return _held(result)


def _held(values: NDArray[Any]) -> NDArray[Any]:
    """Return values in a type that Arrow passes on to DuckDB, which has no float16."""
    return values.astype(np.float32) if values.dtype == np.float16 else values
