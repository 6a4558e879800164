"""Score the rows of one query on their way to another, in batches larger than those of a function call.

This module must not know how a query is cut in two, how rows are read, nor what reads the scored ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator

import pyarrow as pa

from scoter.engine.instances import Instance
from scoter.engine.pacing import Pace
from scoter.engine.plan import Stage
from scoter.engine.sharing import Share, in_order
from scoter.engine.staged_rows import Connect, Rows, StagedRows, Unread


class Scored:
    """The rows of a stage with their scores: an Arrow stream that runs anew whenever it is read."""

    def __init__(
        self, stage: Stage, instance: Instance, failed: Callable[[Exception], None], *connections: Connect
    ) -> None:
        """Read a stage as StagedRows does; ``failed`` is told what ends a run."""
        self.name = stage.name
        self._failed = failed
        self._threads = instance.threads
        self._rows = StagedRows(stage, instance.directories, *connections)
        kinds = self._rows.kinds
        scorers = {name: instance.scorer(function) for name, function in stage.scores}
        self._scorers = [scorers.get(name) for name in kinds]
        self.is_exact = all(kind is not None for name, kind in kinds.items() if name not in scorers)
        """Whether the rows are the same after they went through Arrow; else the stream is not to be read."""
        results = {name: function.arrow_type for name, function in stage.scores}
        types = {name: results.get(name, kind or pa.null()) for name, kind in kinds.items()}
        self._schema = pa.schema(types.items())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows by Arrow's protocol; nothing runs before the first batch is asked for."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        pace = Pace(self._threads, self._rows.count)

        def score(part: Rows) -> pa.RecordBatch:
            return self._scored(part, pace)

        def scored(shares: Iterator[Share[Rows]]) -> Generator[pa.RecordBatch]:
            cut = (Share(_cut(share.parts, pace)) for share in shares)
            return in_order(cut, score, self._threads, "scoter-score")

        try:
            try:
                yield from scored(self._rows.shares())
            except Unread as unread:
                yield from scored(iter([self._rows.rest(unread.rows)]))
        except Exception as error:
            self._failed(error)
            raise

    def _scored(self, rows: Rows, pace: Pace) -> pa.RecordBatch:
        batch, split = rows
        started = time.perf_counter()
        columns = [
            values if score is None else score(values)
            for score, values in zip(self._scorers, split(batch), strict=True)
        ]
        pace.took(batch.num_rows, time.perf_counter() - started)
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _cut(rows: Iterator[Rows], pace: Pace) -> Generator[Rows]:
    """Yield what is scored in one call each."""
    for batch, split in rows:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, pace.taken(batch.num_rows - start))
            start += part.num_rows
            yield part, split
