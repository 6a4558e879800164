"""Score the rows of one query on their way to another, in batches larger than those of a function call.

This module must not know how a query is cut in two, nor what reads the scored rows.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import duckdb
import pyarrow as pa

from scoter.engine.instances import Instance
from scoter.engine.plan import Stage
from scoter.engine.translate import translate
from scoter.engine.types import quote
from scoter.errors import OutOfMemory

BATCH_ROWS = 16_384
_FIRST = 2_048  # rows of the first call, as of a function's calls
_FEWEST = 64
_SECONDS = 0.1  # of one call, at most about
# Calls for each thread: with two none waits for rows while the oldest call is still at work.
_WAITING = 2
_LARGE = 8 << 20  # bytes of a batch, from which on there is one
# Types whose values are the same after they went through Arrow and came back.
_EXACT = frozenset(
    {
        "BIGINT",
        "BLOB",
        "BOOLEAN",
        "DATE",
        "DOUBLE",
        "FLOAT",
        "INTEGER",
        "SMALLINT",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
        "TINYINT",
        "UBIGINT",
        "UINTEGER",
        "USMALLINT",
        "UTINYINT",
        "VARCHAR",
    }
)


class Scored:
    """The rows of a stage with their scores: an Arrow stream that runs anew whenever it is read."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        stage: Stage,
        instance: Instance,
        failed: Callable[[Exception], None],
        other: Callable[[], duckdb.DuckDBPyConnection] | None = None,
    ) -> None:
        """Read a stage on a connection; where its memory is not enough, on the one that ``other`` opens."""
        self.name = stage.name
        self._sql = stage.sql
        self._other = other
        self._failed = failed
        self._threads = instance.threads
        self._at_once = _FIRST
        self._relation = connection.sql(stage.sql)
        self._scorers = {name: instance.scorer(function) for name, function in stage.scores}
        results = {name: function.arrow_type for name, function in stage.scores}
        kinds = dict(zip(self._relation.columns, map(str, self._relation.types), strict=True))
        self.is_exact = all(
            kind in _EXACT or kind.startswith("DECIMAL(")
            for name, kind in kinds.items()
            if name not in self._scorers
        )
        others = [quote(name) for name in kinds if name not in results]
        if others:
            results |= {
                f.name: f.type for f in self._relation.project(*others).limit(0).to_arrow_table().schema
            }
        self._schema = pa.schema([(name, results[name]) for name in kinds])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows by Arrow's protocol; nothing runs before the first batch is asked for."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        waiting: deque[Future[pa.RecordBatch]] = deque()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="scoter-score")
        read = self._read()
        try:
            for batch in read:
                most = self._threads * (_WAITING if batch.nbytes < _LARGE else 1)
                start = 0
                while start < batch.num_rows:
                    part = batch.slice(start, self._at_once)
                    start += part.num_rows
                    waiting.append(pool.submit(self._scored, part))
                    while len(waiting) > most:
                        yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except Exception as error:
            self._failed(error)
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            read.close()

    def _read(self) -> Generator[pa.RecordBatch]:
        rows = 0
        try:
            for batch in _batches_of(self._relation):
                yield batch
                rows += batch.num_rows
        except (OSError, duckdb.Error) as error:
            if self._other is None or not isinstance(translate(error), OutOfMemory):
                raise
        else:
            return
        for batch in _batches_of(self._other().sql(self._sql)):
            if batch.num_rows > rows:
                yield batch.slice(rows)
            rows = max(0, rows - batch.num_rows)

    def _scored(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        started = time.perf_counter()
        columns = []
        for field, column in zip(batch.schema, batch.columns, strict=True):
            score = self._scorers.get(field.name)
            given = column if score is None else score(pa.RecordBatch.from_struct_array(column))
            columns.append(given)
        spent = time.perf_counter() - started
        # A model that takes long gets fewer rows: it can be ended sooner, takes less memory, and no thread waits long at the end.
        # Powers of two cut most batches into equal parts, and ONNX Runtime keeps a plan of its memory for each shape.
        most = min(BATCH_ROWS, max(_FEWEST, int(batch.num_rows * _SECONDS / spent)))
        self._at_once = 1 << (most.bit_length() - 1)
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _batches_of(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    reader = relation.to_arrow_reader(BATCH_ROWS)
    try:
        yield from reader
    finally:
        with contextlib.suppress(Exception):
            reader.close()
        del reader
