"""From a batch of SQL rows to a model's tensors, and from its tensors back to a column.

This module must not know connections, functions or how a session came to be. What it does for each
call happens while Python's lock is held, so that every microsecond here counts against all threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scoter.errors import ModelFailed, NotNullViolation, NumericOutOfRange
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.signature import Input, Signature
from scoter.udfs.tensors import STRING, Element, arrow_type, element_of

Feeds = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class _Tensor:
    """One tensor to fill: the columns that go into it, in its order."""

    name: str
    element: Element
    rank: int
    columns: tuple[int, ...]

    @property
    def is_matrix(self) -> bool:
        return self.rank == 2 and len(self.columns) > 1


@dataclass(frozen=True)
class Rows:
    """Rows that a model can score, and where they stood: ``kept`` is None when all were kept."""

    batch: pa.RecordBatch
    kept: pa.BooleanArray | None


class Layout:
    """How the arguments of one signature fill the tensors of one session."""

    def __init__(self, signature: Signature, session: onnxruntime.InferenceSession) -> None:
        self._inputs = signature.inputs
        self._tensors = tuple(_tensors(signature.inputs, session))
        self._fill = tuple(_fill_value(each, self._element(place)) for place, each in enumerate(self._inputs))
        first = self._tensors[0]
        # One [N, F] tensor of numbers in the order of the arguments: Arrow builds it in one call,
        # with Python's lock released, and itself refuses NULLs.
        self._is_plain = (
            len(self._tensors) == 1
            and first.columns == tuple(range(len(self._inputs)))
            and first.rank == 2
            and first.element.dtype.kind in "fiu"
            and all(arrow_type(each.type) == first.element.arrow for each in self._inputs)
        )

    def _element(self, place: int) -> Element:
        return next(tensor.element for tensor in self._tensors if place in tensor.columns)

    def plain(self, batch: pa.RecordBatch) -> Feeds | None:
        """Return the tensors if the layout is one matrix and no value is NULL, else None."""
        if not self._is_plain:
            return None
        try:
            columns = batch.to_tensor(null_to_nan=False, row_major=False)
        except pa.ArrowTypeError:  # there are NULLs
            return None
        # Turned by NumPy: Arrow's own rows of 16,384 take twice the time, for they leave the cache.
        return {self._tensors[0].name: np.ascontiguousarray(columns.to_numpy())}

    def without_nulls(self, batch: pa.RecordBatch) -> Rows:
        """Apply the NULL policy: drop rows whose result is NULL, fill in the values of the others.

        Raises NotNullViolation for a NULL where the policy is ERROR.
        """
        kept = None
        columns = batch.columns
        for place, each in enumerate(self._inputs):
            column = columns[place]
            if not column.null_count:
                continue
            if each.on_null == "ERROR":
                raise NotNullViolation(f'the model input "{each.name}" is NULL')
            if each.on_null == "NULL":
                valid = column.is_valid()
                kept = valid if kept is None else pc.and_(kept, valid)
                continue
            fill: Any = self._fill[place]
            if column.type != fill.type:
                column = self._cast(column, place, fill.type)
            columns[place] = column.fill_null(fill)
        filled = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
        if kept is None:
            return Rows(filled, None)
        return Rows(filled.filter(kept), kept)

    def feeds(self, batch: pa.RecordBatch) -> Feeds:
        """Return the tensors for a batch without NULLs in the columns i0, i1, ….

        Raises NumericOutOfRange for a number that its tensor can not hold exactly enough.
        """
        return {tensor.name: self._array(tensor, batch) for tensor in self._tensors}

    def _array(self, tensor: _Tensor, batch: pa.RecordBatch) -> NDArray[np.generic]:
        rows = batch.num_rows
        if not tensor.is_matrix:
            column = self._values(batch.column(tensor.columns[0]), tensor, tensor.columns[0])
            return column if tensor.rank == 1 else column.reshape(rows, 1)
        filled = np.empty((rows, len(tensor.columns)), dtype=tensor.element.dtype)
        for place, index in enumerate(tensor.columns):
            filled[:, place] = self._values(batch.column(index), tensor, index)
        return filled

    def _values(self, column: pa.Array, tensor: _Tensor, place: int) -> NDArray[np.generic]:
        if tensor.element is STRING:
            # Few distinct texts stand in many rows: one Python string for each of them is enough.
            encoded = column.dictionary_encode()
            texts: NDArray[np.object_] = encoded.dictionary.to_numpy(zero_copy_only=False)
            spread_out: NDArray[np.generic] = texts[encoded.indices.to_numpy()]
            return spread_out
        if column.type != tensor.element.arrow:
            column = self._cast(column, place, tensor.element.arrow)
        values: NDArray[np.generic] = column.to_numpy(zero_copy_only=False)
        return values

    def _cast(self, column: pa.Array, place: int, target: pa.DataType) -> pa.Array:
        if pa.types.is_boolean(column.type) and not pa.types.is_boolean(target):
            column = column.cast(pa.uint8())
        try:
            return column.cast(target)
        except pa.ArrowInvalid as error:
            raise NumericOutOfRange(
                f'a value of the model input "{self._inputs[place].name}" does not fit the model\'s {target}'
            ) from error


def _tensors(inputs: Sequence[Input], session: onnxruntime.InferenceSession) -> list[_Tensor]:
    places: dict[str, list[tuple[int, int]]] = {}
    for place, each in enumerate(inputs):
        places.setdefault(each.tensor, []).append((each.position or 0, place))
    found = []
    for value in session.get_inputs():
        element = element_of(value.type)
        if element is None or value.name not in places:
            raise ModelFailed("the model file does not fit its stored signature")
        columns = tuple(place for _, place in sorted(places[value.name]))
        found.append(_Tensor(value.name, element, len(value.shape) or 2, columns))
    return found


def _fill_value(each: Input, element: Element) -> pa.Scalar | None:
    match each.on_null:
        case "NULL" | "ERROR":
            return None
        case "NAN":
            return pa.scalar(float("nan"), element.arrow)
    target = arrow_type(each.type)
    if pa.types.is_boolean(target):
        return pa.scalar(each.on_null.casefold() == "true", target)
    if pa.types.is_floating(target):
        return pa.scalar(float(each.on_null), target)
    if pa.types.is_integer(target):
        return pa.scalar(int(each.on_null), target)
    return pa.scalar(each.on_null, target)


def column(result: object, duckdb: str, rows: int) -> pa.Array:
    """Return one output tensor of ``rows`` rows as a column of the DuckDB type.

    [N] and [N, 1] become scalars, [N, K] a list. Raises ModelFailed when rows are missing.
    """
    values = _rows_of(result, rows)
    target = arrow_type(duckdb)
    if not duckdb.endswith("[]"):
        return pa.array(values.reshape(-1), type=target)
    flat = pa.array(values.reshape(-1), type=target.value_type)
    offsets = np.arange(0, values.size + 1, values.size // rows if rows else 1, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def probability(result: object, place: int, rows: int) -> pa.Array:
    """Return the probabilities of one class as a DOUBLE column."""
    return pa.array(_rows_of(result, rows)[:, place].astype(np.float64))


def probabilities(result: object, labels: Sequence[str | int], rows: int) -> pa.Array:
    """Return all probabilities as a MAP column from label to DOUBLE."""
    values = _rows_of(result, rows)
    keys = pa.array(labels).take(pa.array(np.tile(np.arange(len(labels)), rows)))
    offsets = np.arange(0, values.size + 1, len(labels), dtype=np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(values.reshape(-1).astype(np.float64)))


def spread(scored: pa.Array, kept: pa.BooleanArray) -> pa.Array:
    """Put scored rows back where they stood; rows that were not kept become NULL."""
    mask = kept.to_numpy(zero_copy_only=False)
    places = np.cumsum(mask) - 1
    return scored.take(pa.array(places, mask=~mask))


def _rows_of(result: Any, rows: int) -> NDArray[Any]:
    if not isinstance(result, np.ndarray) or result.ndim == 0 or len(result) != rows:
        raise ModelFailed("the model did not give one result for each row")
    return result.astype(np.float32) if result.dtype == np.float16 else result
