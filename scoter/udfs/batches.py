"""From a batch of SQL rows to a model's tensors, and from the rows that were scored back to where all rows stood.

This module must not know connections, functions or how a session came to be. What it does for each
call happens while Python's lock is held, so that every microsecond here counts against all threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scoter.errors import InvalidValue, ModelFailed, NotNullViolation, NumericOutOfRange
from scoter.udfs.lists import Lengths, null_maps, null_rows, taken_apart
from scoter.udfs.pieces import MOST_VALUES, Feed, Feeds, entries, rows_at_once
from scoter.udfs.sessions import Loaded
from scoter.udfs.signature import Input, Signature
from scoter.udfs.tensors import (
    STRING,
    Element,
    arrow_type,
    element_of,
    infinities,
    map_of,
    required,
    sequence_of,
)
from scoter.udfs.texts import Texts


@dataclass(frozen=True)
class _Tensor:
    """One input to fill: the columns that go into it, in its order.

    ``element`` is that of a map's values or of a sequence's tensors; with ``texts`` it takes their places in that list.
    ``lengths`` are the names that the file gives the lengths of a row's lists, None where it gives none.
    """

    name: str
    element: Element
    rank: int
    columns: tuple[int, ...]
    is_map: bool = False
    is_sequence: bool = False
    texts: Texts | None = None
    lengths: tuple[str | None, ...] = ()

    @property
    def is_matrix(self) -> bool:
        return self.rank == 2 and len(self.columns) > 1


@dataclass(frozen=True)
class Rows:
    """Rows that a model can score, and where they stood: ``kept`` is None when all were kept."""

    batch: pa.RecordBatch
    kept: pa.BooleanArray | None


@dataclass(frozen=True)
class Group:
    """Rows that fill rectangular tensors: where they stand, None for all.

    One run may get ``at_once`` rows, None for any number, and with ``exactly`` no fewer.
    """

    feeds: Feeds
    rows: int
    places: NDArray[np.intp] | None = None
    at_once: int | None = None
    exactly: bool = False


class Layout:
    """How the arguments of one signature fill the tensors of one session."""

    def __init__(self, signature: Signature, loaded: Loaded) -> None:
        self._inputs = signature.inputs
        self._tensors = tuple(_tensors(signature.inputs, loaded))
        self._fill = tuple(_fill_value(each, self._element(place)) for place, each in enumerate(self._inputs))
        self._lists = tuple(place for place, each in enumerate(self._inputs) if each.depth)
        self._free = tuple(place for place in self._lists if None in self._inputs[place].shape)
        self._names = {
            tensor.columns[0]: tensor.lengths for tensor in self._tensors if tensor.columns[0] in self._free
        }
        self._batch = signature.batch
        self._convolves = loaded.convolves
        first = self._tensors[0]
        # One [N, F] tensor of numbers in the order of the arguments: Arrow builds it in one call,
        # with Python's lock released, and itself refuses NULLs.
        self._is_plain = (
            len(self._tensors) == 1
            and first.columns == tuple(range(len(self._inputs)))
            and first.rank == 2
            and not self._lists
            and not first.is_sequence
            and self._batch is None
            and first.element.dtype.kind in "fiu"
            and all(arrow_type(each.type) == first.element.arrow for each in self._inputs)
        )

    def _element(self, place: int) -> Element:
        return next(tensor.element for tensor in self._tensors if place in tensor.columns)

    def plain(self, batch: pa.RecordBatch) -> list[Group] | None:
        """Return the rows as one group if the layout is one matrix and no value is NULL, else None."""
        if not self._is_plain:
            return None
        try:
            rows = batch.to_tensor(null_to_nan=False, row_major=True)
        except pa.ArrowTypeError:  # there are NULLs
            return None
        feeds: Feeds = {self._tensors[0].name: rows.to_numpy()}
        return [Group(feeds, batch.num_rows, at_once=rows_at_once((), convolves=self._convolves))]

    def without_nulls(self, batch: pa.RecordBatch) -> Rows:
        """Apply the NULL policy: drop rows whose result is NULL, fill in the values of the others.

        Raises NotNullViolation for a NULL where the policy is ERROR.
        """
        kept = None
        columns = batch.columns
        for place, each in enumerate(self._inputs):
            column = columns[place]
            if each.depth or pa.types.is_map(column.type):
                valid = self._whole_lists(column, each)
                if valid is not None:
                    kept = valid if kept is None else pc.and_(kept, valid)
                continue
            if not column.null_count or each.is_left_out:
                continue
            if each.on_null == "ERROR":
                raise NotNullViolation(f'the model input "{each.name}" is NULL')
            if each.on_null == "NULL":
                valid = column.is_valid()
                kept = valid if kept is None else pc.and_(kept, valid)
                continue
            columns[place] = self._filled(column, place)
        filled = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
        if kept is None:
            return Rows(filled, None)
        return Rows(filled.filter(kept), kept)

    def _filled(self, values: pa.Array, place: int) -> pa.Array:
        fill: Any = self._fill[place]
        if values.type != fill.type:
            values = self._cast(values, place, fill.type)
        return values.fill_null(fill)

    @staticmethod
    def _whole_lists(column: pa.ListArray, each: Input) -> pa.BooleanArray | None:
        """Return which rows have a list or map that can be filled in, None for all."""
        lists, values = null_rows(column, each.depth) if each.depth else null_maps(column)
        if lists is not None and each.is_left_out:
            lists &= column.is_valid().to_numpy(zero_copy_only=False)
        if lists is None and values is None:
            return None
        if each.on_null == "ERROR":
            raise NotNullViolation(f'the model input "{each.name}" is NULL, or holds one')
        if each.on_null != "NULL":
            values = None
        missing = [mask for mask in (lists, values) if mask is not None]
        return pa.array(~np.logical_or.reduce(missing)) if missing else None

    def groups(self, batch: pa.RecordBatch) -> list[Group]:
        """Return a batch without NULLs in the columns i0, i1, … as tensors, one group for each length of lists.

        Raises NumericOutOfRange for a number that its tensor can not hold exactly enough, InvalidValue for a
        list of another length than the input's.
        """
        keys = self._keys(batch)
        if keys is None:
            return [self._group(batch, None)]
        groups = _alike(keys)
        if len(groups) == 1:
            return [self._group(batch, groups[0])]
        return [self._group(batch.take(pa.array(places)), places) for places in groups]

    def _keys(self, batch: pa.RecordBatch) -> Lengths | None:
        """Return what must be the same for all rows of one run: lengths, and whether an optional input is there."""
        found: list[NDArray[Any]] = []
        named: dict[str, tuple[Input, NDArray[Any]]] = {}
        for place, each in enumerate(self._inputs):
            column = batch.column(place)
            there = None
            if each.is_left_out and column.null_count:
                there = column.is_valid().to_numpy(zero_copy_only=False)
                found.append(there[:, np.newaxis])
            if place in self._free:
                own, _ = self._lengths(column if there is None else column.drop_null(), place)
                lengths = own if there is None else np.zeros((len(column), own.shape[1]), own.dtype)
                if there is not None:
                    lengths[there] = own
                found.append(lengths)
                for name, mine in zip(self._names[place], lengths.T, strict=False):
                    if name is not None:
                        known = named.get(name, (each, mine))
                        _check_same(name, known, (each, mine))
                        # What an input that is left out does not say, the next one does.
                        named[name] = (known[0], np.where(known[1] > 0, known[1], mine))
        return np.hstack(found) if found else None

    def _group(self, batch: pa.RecordBatch, places: NDArray[np.intp] | None) -> Group:
        lengths: list[int] = []
        shapes = []
        for place in self._lists:
            shape, column = self._inputs[place].shape, batch.column(place)
            if column.null_count:
                continue
            shapes.append(shape)
            if place in self._free:
                own = self._lengths(column.slice(0, 1), place)[0][0].tolist()
                lengths += [size for size, known in zip(own, shape, strict=True) if known is None]
        at_once = self._batch or rows_at_once(shapes, lengths, convolves=self._convolves)
        return Group(self._feeds(batch), batch.num_rows, places, at_once, self._batch is not None)

    def _lengths(self, column: pa.ListArray, place: int) -> tuple[Lengths, pa.Array]:
        """Return the lengths of a column's lists and their values; raises InvalidValue for wrong ones."""
        each = self._inputs[place]
        expected = each.shape if each.depth == len(each.shape) else (_count(each),)
        sizes = " x ".join("any" if length is None else f"{length:,}" for length in expected)
        wanted = "1 or more" if expected == (None,) else sizes
        lengths, values = taken_apart(column, each.depth)
        if lengths is None:
            raise InvalidValue(
                f'the model input "{each.name}" takes {wanted} values, a row has lists of different lengths'
            )
        for at, length in enumerate(expected):
            own = lengths[:, at]
            wrong = own == 0 if length is None else own != length
            if wrong.any():
                found = " x ".join(f"{each:,}" for each in lengths[int(np.argmax(wrong))])
                raise InvalidValue(f'the model input "{each.name}" takes {wanted} values, a row has {found}')
        if None in expected and lengths.size and int(lengths.prod(axis=1).max()) > MOST_VALUES:
            raise InvalidValue(f'the model input "{each.name}" has more than {MOST_VALUES:,} values in a row')
        return lengths, values

    def _feeds(self, batch: pa.RecordBatch) -> Feeds:
        return {tensor.name: self._feed(tensor, batch) for tensor in self._tensors}

    def _feed(self, tensor: _Tensor, batch: pa.RecordBatch) -> Feed:
        rows = batch.num_rows
        first = tensor.columns[0]
        if self._inputs[first].is_left_out and batch.column(first).null_count:
            return None
        if tensor.is_map:
            # One run takes one map, as a Python dict: there is nothing to be had of the column as a whole.
            return [dict(pairs) for pairs in batch.column(first).to_pylist()]
        each = self._inputs[first]
        if each.depth:
            lengths, values = self._lengths(batch.column(first), first)
            if values.null_count:
                values = self._filled(values, first)
            shape = lengths[0].tolist() if None in each.shape else each.shape
            filled = self._values(values, tensor, first).reshape(rows, *shape)
        else:
            filled = self._array(tensor, batch)
        return entries(filled) if tensor.is_sequence else filled

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
        if tensor.texts is not None:
            return tensor.texts.places(column)
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
            # Arrow itself refuses whole numbers above 2^24 for floats, also those that a float holds.
            cast = column.cast(target, safe=not pa.types.is_floating(target))
        except pa.ArrowInvalid as error:
            raise self._unfit(place) from error
        loses = infinities(cast) > infinities(column)
        if pa.types.is_integer(column.type) and pa.types.is_floating(target):
            same = pc.equal(cast.cast(column.type, safe=False), column)
            loses = loses or not pc.all(same, min_count=0).as_py()  # of NULLs alone there is nothing to lose
        if loses:
            raise self._unfit(place)
        return cast

    def _unfit(self, place: int) -> NumericOutOfRange:
        each, element = self._inputs[place], self._element(place)
        hint = None
        if element.is_float and pa.types.is_integer(arrow_type(each.element)):
            digits = np.finfo(element.dtype).nmant + 1  # type: ignore[type-var]  # it is one of floats
            hint = f"it holds whole numbers up to 2^{digits} exactly, of greater ones only some"
        return NumericOutOfRange(
            f'a value of the model input "{each.name}" does not fit the model\'s {element.runtime}', hint=hint
        )


def _tensors(inputs: Sequence[Input], loaded: Loaded) -> list[_Tensor]:
    places: dict[str, list[tuple[int, int]]] = {}
    for place, each in enumerate(inputs):
        places.setdefault(each.tensor, []).append((each.position or 0, place))
    found = []
    for value in loaded.session.get_inputs():
        kind, _ = required(value.type)
        pair, entry = map_of(kind), sequence_of(kind)
        element = pair[1] if pair is not None else entry or element_of(kind)
        if element is None or value.name not in places:
            raise ModelFailed("the model file does not fit its stored signature")
        columns = tuple(place for _, place in sorted(places[value.name]))
        texts = loaded.texts.get(value.name)
        is_sequence = entry is not None
        rank = 1 if is_sequence else len(value.shape) or 2
        shape = () if is_sequence else value.shape[1:]
        names = tuple(length if _is_name(length) else None for length in shape)
        found.append(_Tensor(value.name, element, rank, columns, pair is not None, is_sequence, texts, names))
    return found


def _check_same(name: str, one: tuple[Input, NDArray[Any]], other: tuple[Input, NDArray[Any]]) -> None:
    """Raise InvalidValue where lists that the file gives one length differ in it; an input left out has length 0."""
    wrong = (one[1] != other[1]) & (one[1] > 0) & (other[1] > 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        names = dict.fromkeys(f'"{each.name}"' for each in (one[0], other[0]))
        raise InvalidValue(
            f'the lists of {" and ".join(names)} have one length in the model, "{name}"; '
            f"a row has {one[1][at]:,} and {other[1][at]:,}"
        )


def _is_name(length: object) -> bool:
    """Say whether a file names a length, and does not only say that it is open, as some converters do with ``?``."""
    return isinstance(length, str) and length.isidentifier() and length not in {"None", "unk", "unknown"}


def _alike(keys: Lengths) -> list[NDArray[np.intp]]:
    """Return the places of rows with the same keys, together."""
    numbers = np.zeros(len(keys), dtype=np.int64)
    for column in keys.T:
        _, own = np.unique(column, return_inverse=True)
        _, numbers = np.unique(numbers * len(keys) + own, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers))[:-1])


def _count(each: Input) -> int:
    return math.prod(length or 0 for length in each.shape)


def _fill_value(each: Input, element: Element) -> pa.Scalar | None:
    match each.on_null:
        case "NULL" | "ERROR":
            return None
        case "NAN":
            return pa.scalar(float("nan"), element.arrow)
    target = arrow_type(each.element)
    if pa.types.is_boolean(target):
        return pa.scalar(each.on_null.casefold() == "true", target)
    if pa.types.is_floating(target):
        return pa.scalar(float(each.on_null), target)
    if pa.types.is_integer(target):
        return pa.scalar(int(each.on_null), target)
    return pa.scalar(each.on_null, target)


def spread(scored: pa.Array, kept: pa.BooleanArray) -> pa.Array:
    """Put scored rows back where they stood; rows that were not kept become NULL."""
    mask = kept.to_numpy(zero_copy_only=False)
    places = np.cumsum(mask) - 1
    return scored.take(pa.array(places, mask=~mask))


def gathered(results: Sequence[pa.Array], groups: Sequence[Group]) -> pa.Array:
    """Put the results of several groups back where their rows stood."""
    if len(results) == 1:
        return results[0]
    places = np.concatenate([group.places for group in groups if group.places is not None])
    return pa.concat_arrays(results).take(pa.array(np.argsort(places)))
