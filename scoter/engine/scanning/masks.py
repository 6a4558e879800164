"""Where deleted rows are left out by a mask that is read beside the data, row for row, and not by a join.

A join looks each row up, which takes several times as long as to read a column of numbers. To read a mask takes less
than to read that column, but a SELECT that does so runs on one thread, decodes all rows of its files, and is of
unknown size to DuckDB's optimizer. So it is for statements that only sum up most rows of one table, whose order does
not matter. This module must not know statements, nor what delete files hold.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.scanning.grouping import Group
from scoter.engine.scanning.layout import Layouts
from scoter.engine.scanning.shares import share_kept

FEWEST = 200_000  # rows with deleted ones among them: of fewer a join takes no time, either
MOST_FILTERED = 0.4  # of the rows; with a filter that keeps fewer a join decodes less, and DuckDB may leave out row groups
_UNEVEN = 1.25  # of what one thread may have more than its share


def masked(
    files: DataFiles,
    groups: Sequence[Group],
    threads: int,
    layouts: Layouts,
    metadata: TableMetadata,
    schema: Schema,
    predicate: exp.Expr | None,
    *,
    numbered: bool,
) -> list[Group] | None:
    """Return the groups with masks in place of joins; None where joins are as good or better.

    ``numbered`` says that DuckDB gives the numbers of files and rows, which it takes to find what is deleted by value.
    Masks are not better where few rows are concerned, where not all ``threads`` would have something to do, and
    where ``predicate`` keeps few rows or is not understood.
    """
    joined = [
        group for group in groups if (numbered and group.compared) or (group.removed and not group.compared)
    ]
    numbers = np.concatenate([group.files for group in joined]) if joined else np.empty(0, np.int64)
    if int(files.rows[numbers].sum()) < FEWEST:
        return None
    # A mask is as long as the file's own footer says: where the manifest says otherwise something is wrong.
    if files.rows[numbers].tolist() != [layouts.rows(str(files.paths[n])) for n in numbers]:
        return None
    if share_kept(files, numbers, metadata, schema, predicate) < MOST_FILTERED:
        return None
    alike: dict[tuple[int, bool], tuple[Group, list[int]]] = {}
    for group in joined:
        alike.setdefault((id(group.projection), group.compared), (group, []))[1].extend(group.files.tolist())
    made = [
        replace(group, files=share, is_masked=True)
        for group, found in alike.values()
        for share in _shares(files.rows, found, threads)
    ]
    total = sum(int(files.rows[group.files].sum()) for group in groups)
    if max(int(files.rows[group.files].sum()) for group in made) * threads > total * _UNEVEN:
        return None
    others = [group for group in groups if group not in joined]
    return sorted(made + others, key=lambda group: -int(files.rows[group.files].sum()))


def _shares(rows: Ints, numbers: Sequence[int], most: int) -> list[Ints]:
    """Deal files out into up to ``most`` shares of about as many rows."""
    shares: list[tuple[int, int, list[int]]] = [(0, i, []) for i in range(min(most, len(numbers)))]
    for number in sorted(numbers, key=lambda n: -int(rows[n])):
        held, place, share = heapq.heappop(shares)
        heapq.heappush(shares, (held + int(rows[number]), place, [*share, number]))
    # Files without rows may all be in one.
    return [np.array(sorted(share)) for _, _, share in sorted(shares, reverse=True) if share]
