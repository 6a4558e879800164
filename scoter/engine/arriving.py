"""Rows that are made while a query reads them: an Arrow stream that starts anew whenever it is read.

This module must not know what the rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from scoter.catalog.fetching import Check, unchecked


class Arriving:
    """Record batches under one schema; nothing is made before the first one is asked for."""

    def __init__(self, schema: pa.Schema, batches: Callable[[Check], Iterator[pa.RecordBatch]]) -> None:
        """Give what ``batches`` yields each time that the rows are read."""
        self.schema = schema
        self._batches = batches
        self._check: Check = unchecked
        self._failed: Callable[[Exception], None] = lambda _: None

    def reporting(self, failed: Callable[[Exception], None], check: Check) -> Arriving:
        """Return the same rows for one statement, which ``check`` ends.

        ``failed`` is called with what ends them, of which readers pass on a text.
        """
        told = Arriving(self.schema, self._batches)
        told._failed = failed
        told._check = check
        return told

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows by Arrow's protocol."""
        reader = pa.RecordBatchReader.from_batches(self.schema, self._told())
        return reader.__arrow_c_stream__(requested_schema)

    def _told(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._batches(self._check)
        except Exception as error:
            self._failed(error)
            raise
