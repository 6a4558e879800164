"""The rows of a stage, before they are scored: read from files as they stand there, or by DuckDB.

This module must not know models, nor what is done with the rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache, partial

import duckdb
import pyarrow as pa

from scoter.engine.pacing import MOST
from scoter.engine.plan import Stage
from scoter.engine.scanning.stored import UNREADABLE
from scoter.engine.sharing import Share
from scoter.engine.translate import translate
from scoter.engine.types import quote
from scoter.errors import OutOfMemory

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
Connect = Callable[[], duckdb.DuckDBPyConnection]
Split = Callable[[pa.RecordBatch], list[pa.Array | pa.RecordBatch]]
"""Returns the values of a stage's columns; those of a STRUCT are the columns of a batch."""
Rows = tuple[pa.RecordBatch, Split]


class Unread(Exception):
    """Rows behind the first ``rows`` can only be read by DuckDB; never shown."""

    def __init__(self, rows: int) -> None:
        """Say how many rows there are before them."""
        super().__init__(f"behind row {rows:,}")
        self.rows = rows


class StagedRows:
    """The rows of a stage, which can be read as often as wanted."""

    def __init__(self, stage: Stage, directories: tuple[str, ...], *connections: Connect) -> None:
        """Read a stage without SQL where it says how, else on the first of ``connections``.

        What can not be read without SQL after all, and what a connection has not memory enough for, is read on the
        next. Files must lie in the ``directories``.
        """
        self._stored = stage.stored
        self._directories = directories
        self._relations = [cache(partial(_relation, connect, stage.sql)) for connect in connections]
        self.count = None if stage.stored is None else stage.stored.rows
        """How many rows there are, where that is known."""
        self.kinds = _kinds(self._relations[0]()) if stage.stored is None else stage.stored.kinds
        """The type of each column, None where Arrow would change its values."""

    def shares(self) -> Iterator[Share[Rows]]:
        """Yield in order what can be read side by side.

        Raises Unread, as reading does, for rows that DuckDB has to read after all.
        """
        if self._stored is None:
            yield self.rest(0)
            return
        rows = 0
        with _unread(lambda: rows):
            for count, read in self._stored.shares(MOST, self._directories):
                yield Share(self._as_stored(rows, read, self._stored.split))
                rows += count

    def rest(self, rows: int) -> Share[Rows]:
        """Return what lets DuckDB read the rows behind the first ``rows``."""
        return Share(self._through_sql(rows))

    def _as_stored(
        self, rows: int, read: Callable[[], Iterator[pa.RecordBatch]], split: Split
    ) -> Iterator[Rows]:
        """Yield the rows of one place in the files, before which there are so many ``rows``."""
        with _unread(lambda: rows):
            for batch in read():
                yield batch, split
                rows += batch.num_rows

    def _through_sql(self, rows: int) -> Iterator[Rows]:
        for relation in self._relations:
            try:
                for batch in _after(rows, _batches_of(relation())):
                    yield batch, _unpacked
                    rows += batch.num_rows
            except (OSError, duckdb.Error) as error:
                if relation is self._relations[-1] or not isinstance(translate(error), OutOfMemory):
                    raise
            else:
                return


@contextlib.contextmanager
def _unread(rows: Callable[[], int]) -> Iterator[None]:
    """Raise Unread for what can not be read as it is stored."""
    try:
        yield
    except UNREADABLE as error:
        raise Unread(rows()) from error


def _relation(connect: Connect, sql: str) -> duckdb.DuckDBPyRelation:
    return connect().sql(sql)


def _kinds(relation: duckdb.DuckDBPyRelation) -> dict[str, pa.DataType | None]:
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    exact = [quote(name) for name, kind in kinds.items() if kind in _EXACT or kind.startswith("DECIMAL(")]
    schema = relation.project(*exact).limit(0).to_arrow_table().schema if exact else pa.schema([])
    known = {field.name: field.type for field in schema}
    return {name: known.get(name) for name in kinds}


def _batches_of(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    reader = relation.to_arrow_reader(MOST)
    try:
        yield from reader
    finally:
        with contextlib.suppress(Exception):
            reader.close()
        del reader


def _unpacked(batch: pa.RecordBatch) -> list[pa.Array | pa.RecordBatch]:
    return [
        pa.RecordBatch.from_struct_array(values) if pa.types.is_struct(values.type) else values
        for values in batch.columns
    ]


def _after(rows: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Leave out the first ``rows``."""
    for batch in batches:
        if batch.num_rows > rows:
            yield batch.slice(rows)
        rows = max(0, rows - batch.num_rows)
