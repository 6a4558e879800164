"""Where deleted rows are left out by a mask that is read beside the data, row for row, and not by a join.

A join looks each row up: it takes three times as long as to read a column of numbers. To read a mask takes a tenth of
that, but a SELECT that does so runs on one thread, reads all rows of its files, and gives them to DuckDB's optimizer
as something of unknown size. So it is for statements that only sum up the rows of one table, whose order does not
matter. This module must not know statements, nor what delete files hold.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow.parquet as pq
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.scanning.grouping import Group
from scoter.engine.scanning.projection import Projection
from scoter.engine.scanning.row_groups import leaves_out, rows_of

FEWEST = 200_000  # rows with deleted ones among them: of fewer a join takes no time, either
_MOST_FILES = 4096  # whose footers are decoded
_UNEVEN = 1.25  # of what one thread may have more than its share

Footers = Callable[[Sequence[str]], list[pq.FileMetaData]]


def masked(
    files: DataFiles,
    groups: Sequence[Group],
    threads: int,
    footers: Footers,
    metadata: TableMetadata,
    schema: Schema,
    predicate: exp.Expr | None,
) -> list[Group] | None:
    """Return the groups with masks in place of joins by position; None where joins are as good or better.

    That is where few rows are concerned, where not all ``threads`` would have something to do, and where DuckDB
    could leave out row groups by ``predicate``.
    """
    joined = [group for group in groups if group.removed and not group.compared]
    numbers = np.concatenate([group.files for group in joined]) if joined else np.empty(0, np.int64)
    rows = int(files.rows[numbers].sum())
    if rows < FEWEST or len(numbers) > _MOST_FILES:
        return None
    by_projection: dict[int, tuple[Projection, list[int]]] = {}
    for group in joined:
        by_projection.setdefault(id(group.projection), (group.projection, []))[1].extend(group.files.tolist())
    shares = [
        (projection, share)
        for projection, found in by_projection.values()
        for share in _shares(files.rows, found, threads)
    ]
    total = sum(int(files.rows[group.files].sum()) for group in groups)
    if max(int(files.rows[share].sum()) for _, share in shares) * threads > total * _UNEVEN:
        return None
    read = dict(zip(numbers.tolist(), footers([str(files.paths[n]) for n in numbers]), strict=True))
    for projection, found in by_projection.values():
        columns = _columns(projection, schema)
        if any(leaves_out(read[number], columns, metadata, schema, predicate) for number in found):
            return None
    made = [
        Group(projection, share, removed=True, row_groups={n: rows_of(read[n]) for n in share.tolist()})
        for projection, share in shares
    ]
    others = [group for group in groups if group not in joined]
    return sorted(made + others, key=lambda group: -int(files.rows[group.files].sum()))


def _shares(rows: Ints, numbers: Sequence[int], most: int) -> list[Ints]:
    """Deal files out into up to ``most`` shares of about as many rows."""
    shares: list[tuple[int, int, list[int]]] = [(0, i, []) for i in range(min(most, len(numbers)))]
    for number in sorted(numbers, key=lambda n: -int(rows[n])):
        held, place, share = heapq.heappop(shares)
        heapq.heappush(shares, (held + int(rows[number]), place, [*share, number]))
    return [np.array(sorted(share)) for _, _, share in sorted(shares, reverse=True)]


def _columns(projection: Projection, schema: Schema) -> dict[int, str]:
    """Return under which name a file has a field, of those that DuckDB reads as the schema has them."""
    pairs = zip(schema.fields, projection.sources, strict=True)
    return {
        field.field_id: source.column
        for field, source in pairs
        if source.column is not None and source.natural
    }
