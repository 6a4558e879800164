"""A model run on a few rows, and on many: whether what it gives is that of each row alone.

This module must not know what becomes of the results.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.onnx_ml_pb2 import ModelProto

from scoter.errors import InvalidModel, ModelFailed
from scoter.udfs import samples
from scoter.udfs.graphs import convolves
from scoter.udfs.pieces import Feeds, in_pieces, rows_at_once
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.sessions import is_memory, reason
from scoter.udfs.signature import MOST_COLUMNS, Shape, is_list

_ROWS = 3
_BATCHES = (64, 512, 2048)
_BATCH_SECONDS = 0.25  # of the CPU; a batch that takes longer is the last: the next has eight times its rows
# Rows scored together and alone differ by rounding, because sums are split differently.
TOLERANCE = 1e-3
NAME_MOST = 128


@dataclass(frozen=True)
class InputFacts:
    """One input: ONNX Runtime's type of it, and what a row has of it: () for [N], (F,) for [N, F], and so on.

    A length is None where rows may differ in it. An optional input is one that the model can do without.
    """

    name: str
    type: str
    shape: Shape
    is_optional: bool = False


@dataclass(frozen=True)
class Trial:
    """A session, its inputs, sample rows for them and what it gives for these."""

    session: onnxruntime.InferenceSession
    inputs: tuple[InputFacts, ...]
    batch: int | None
    feeds: Feeds
    results: list[Any]

    @property
    def names(self) -> list[str]:
        """The names of the outputs, cut to a length that a message can hold."""
        return [value.name[:NAME_MOST] for value in self.session.get_outputs()]

    def run(self, feeds: Feeds, rows: int) -> list[Any]:
        """Return what the model gives for other rows; raises InvalidModel or MemoryError where it fails."""
        return _run(self.session, feeds, rows, self.batch)


def dry_run(
    session: onnxruntime.InferenceSession,
    model: ModelProto,
    inputs: tuple[InputFacts, ...],
    batch: int | None,
    length: int | None,
) -> Trial:
    """Score rows together and each alone; refuse results that depend on the rows beside them."""
    sized = [each if length is None else with_length(each, length) for each in inputs]
    random = np.random.default_rng(7)
    narrow = {each.name: each.shape[0] or 1 if each.shape else 1 for each in sized if len(each.shape) < 2}
    known = samples.categories(model, {name: w for name, w in narrow.items() if w <= MOST_COLUMNS})
    feeds = {
        each.name: samples.feed(each.name, each.type, each.shape, _ROWS, known, random) for each in sized
    }
    together = _run(session, feeds, _ROWS, batch)
    trial = Trial(session, inputs, batch, feeds, together)
    for row in range(_ROWS):
        alone = trial.run({name: _taken(value, np.array([row])) for name, value in feeds.items()}, 1)
        for name, whole, single in zip(trial.names, together, alone, strict=True):
            if not _has_rows(whole, _ROWS) or not _has_rows(single, 1):
                raise InvalidModel(
                    f"the model's output {name} does not have one entry for each row",
                    hint="export it with a dynamic batch dimension",
                )
            if not same(whole[row], single[0]):
                raise InvalidModel(
                    f"the model's output {name} for a row depends on the rows beside it",
                    hint="a model must score each row alone; export it for inference",
                )
    free = [length for each in inputs for size in each.shape if size is None and length is not None]
    lists = [each.shape for each in inputs if is_list(each.shape)]
    most = rows_at_once(lists, free, convolves=convolves(model))
    _score_batches(trial, batch or most)
    return replace(trial, inputs=_really_optional(trial))


def _really_optional(trial: Trial) -> tuple[InputFacts, ...]:
    """Return the inputs, those as optional only that the model can be run without."""
    left_out = {each.name: None for each in trial.inputs if each.is_optional}
    if not left_out:
        return trial.inputs
    try:
        results = trial.run(trial.feeds | left_out, _ROWS)
    except InvalidModel:
        results = [None]
    can = all(_has_rows(each, _ROWS) for each in results)
    return tuple(replace(each, is_optional=each.is_optional and can) for each in trial.inputs)


def _has_rows(result: Any, rows: int) -> bool:
    if isinstance(result, np.ndarray) and result.ndim == 0:
        return False
    return isinstance(result, np.ndarray | list) and len(result) == rows


def _score_batches(trial: Trial, most: int | None) -> None:
    """Score batches as large as the service's, while the time allows, and compare with the few rows.

    A model whose memory grows with its rows fails here, under the limit, instead of in the service;
    and the runtime takes other paths for many rows than for few. Where the time ends first, the memory of
    the largest batch is reckoned from what the last one took.
    """
    sizes = _sizes(most)
    for rows in sizes:
        places = np.arange(rows) % _ROWS
        started, used = time.process_time(), _most_memory()
        feeds = {name: _taken(value, places) for name, value in trial.feeds.items()}
        results = trial.run(feeds, rows)
        for name, few, many in zip(trial.names, trial.results, results, strict=True):
            if not same(_taken(few, places), many):
                raise InvalidModel(f"the model's output {name} depends on the number of rows")
        if time.process_time() - started > _BATCH_SECONDS:
            grown = 0 if trial.batch else (_most_memory() - used) * sizes[-1] // rows
            if used + grown > resource.getrlimit(resource.RLIMIT_AS)[0]:
                raise MemoryError
            return


def _sizes(most: int | None) -> list[int]:
    if most is None:
        return list(_BATCHES)
    return [rows for rows in _BATCHES if rows < most] + [min(most, _BATCHES[-1])]


def _taken(values: Any, places: NDArray[np.intp]) -> Any:
    if isinstance(values, np.ndarray):
        return values[places]
    return [values[place] for place in places]  # entries of a sequence are objects of Python


def _most_memory() -> int:
    """Return the most bytes of memory that this process had in use at once."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # What getrusage says on Linux begins with what the process that started this one had.
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise MemoryError


def _run(session: onnxruntime.InferenceSession, feeds: Feeds, rows: int, batch: int | None) -> list[Any]:
    """Return what a model gives for rows, ``batch`` of them at a time where it takes no other number.

    Raises InvalidModel where it fails or gives other numbers of rows, MemoryError where memory does not suffice.
    """

    def once(piece: Feeds) -> list[Any]:
        try:
            return list(session.run(None, piece))
        except Exception as error:  # onnxruntime's errors share no base but Exception
            if is_memory(error):
                raise MemoryError from error
            raise InvalidModel(f"the model fails on sample rows: {reason(error)}") from error

    try:
        return in_pieces(once, feeds, rows, batch, exactly=batch is not None)
    except (ModelFailed, ValueError) as error:
        raise InvalidModel("the model's outputs do not have one entry for each row") from error


def same(left: Any, right: Any) -> bool:
    """Say whether two results, or entries of them, are equal but for rounding."""
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        return bool(np.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
    return bool(np.array_equal(left, right))


def with_length(each: InputFacts, length: int) -> InputFacts:
    """Return an input whose free lengths all are ``length``."""
    return replace(each, shape=tuple(length if size is None else size for size in each.shape))
