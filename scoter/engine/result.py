"""What running a statement gives: a schema and batches, a count of rows, the session's new state.

This module must not know how the batches are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context


class Result:
    """One statement's result; iterate it once, and close it when it is not read to its end."""

    def __init__(
        self,
        query_id: str,
        schema: pa.Schema,
        context: Context,
        batches: Iterator[pa.RecordBatch],
        cancellation: Cancellation,
        *,
        rows_affected: int = -1,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.query_id = query_id
        self.schema = schema
        self.context = context
        self.rows_affected = rows_affected
        self._batches = batches
        self._cancellation = cancellation
        self._on_close = on_close

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def cancel(self) -> None:
        """End the statement; safe from any thread."""
        self._cancellation.cancel()

    def close(self) -> None:
        """Free what the statement holds; idempotent. Batches that were not read are lost."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
        if self._on_close is not None:
            self._on_close()

    def read_all(self) -> pa.Table:
        """Return all rows as one table."""
        return pa.Table.from_batches(list(self), schema=self.schema)
