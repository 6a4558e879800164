"""Which rows of a batch fail, found so that the others have their results.

This module must not know how a row is scored, nor what is done with the rows that fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scoter.errors import InvalidValue, ModelFailed, NotNullViolation, NumericOutOfRange
from scoter.udfs.signature import Input

Score = Callable[[pa.RecordBatch], pa.Array]


class RowsFailed(ModelFailed):
    """A model raised for rows, among which others may be that it can score."""


@dataclass(frozen=True)
class Isolated:
    """A result for each row, NULL for those that failed, and why these failed.

    ``by_model`` is what the model said of the last row on which it failed itself.
    """

    results: pa.Array
    reasons: pa.Array
    failed: int
    by_model: str | None


_OF_ROWS = (RowsFailed, InvalidValue, NotNullViolation, NumericOutOfRange)


def apart(batch: pa.RecordBatch, inputs: Sequence[Input], kind: pa.DataType, score: Score) -> Isolated:
    """Score the rows of a batch, whose last column is the number of an input whose value does not fit.

    Of a value that could not be made it is as much more as there are inputs.

    A batch that fails is halved until the rows that fail are alone. Raises what ``score``, whose results are of
    ``kind``, does for other reasons than its rows, such as Cancelled and OutOfMemory.
    """
    total = batch.num_rows
    rows = batch.select(range(len(inputs)))
    reasons = _known(rows, batch.column(len(inputs)), inputs)
    if reasons is None:
        try:
            return Isolated(score(rows), pa.nulls(total, pa.string()), 0, None)
        except _OF_ROWS:
            reasons = np.full(total, None, dtype=object)
    scored = np.fromiter((reason is None for reason in reasons), np.bool_, total)
    places = np.flatnonzero(scored)
    rows = rows.take(pa.array(places))
    pieces = [pa.nulls(0, kind)]
    by_model = None
    waiting = [(0, len(places))] if len(places) else []
    while waiting:
        start, count = waiting.pop()
        try:
            pieces.append(score(rows.slice(start, count)))
        except _OF_ROWS as error:
            if count > 1:
                half = count // 2
                waiting += [(start + half, count - half), (start, half)]
                continue
            reasons[places[start]] = error.message
            scored[places[start]] = False
            by_model = error.message if isinstance(error, RowsFailed) else by_model
    at = pa.array(np.cumsum(scored) - 1, mask=~scored)
    return Isolated(
        pa.concat_arrays(pieces).take(at),
        pa.array(reasons, pa.string()),
        int(total - scored.sum()),
        by_model,
    )


def _known(rows: pa.RecordBatch, unfit: pa.Array, inputs: Sequence[Input]) -> NDArray[np.object_] | None:
    """Return why rows fail whose arguments alone tell it, None where no row does."""
    masks = []
    if unfit.null_count < len(unfit):
        chosen = unfit.fill_null(-1).to_numpy(zero_copy_only=False)
        masks += [
            (chosen == place, f'the value of the model input "{each.name}" does not fit {each.type}')
            for place, each in enumerate(inputs)
        ]
        masks += [
            (chosen == place, f'the value of the model input "{each.name}" can not be made of what is given')
            for place, each in enumerate(inputs, start=len(inputs))
        ]
    masks += [
        (
            rows.column(place).is_null().to_numpy(zero_copy_only=False),
            f'the model input "{each.name}" is NULL',
        )
        for place, each in enumerate(inputs)
        if each.on_null == "ERROR" and rows.column(place).null_count
    ]
    if not masks:
        return None
    reasons: NDArray[np.object_] = np.full(rows.num_rows, None, dtype=object)
    # The first reason stands: a value that did not fit is NULL, too.
    for mask, reason in reversed(masks):
        reasons[mask] = reason
    return reasons
