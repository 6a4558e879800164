"""The deleted positions of one scan as a table for DuckDB to join with, and the SQL that leaves them out.

This module must not know how delete files are matched with data files, nor how their content is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scoter.catalog.data_files import DeleteFile, Ints

_FILE = '"scoter file"'
_ROW = '"scoter row"'
NUMBERED = (f"r.file_index AS {_FILE}", f"r.file_row_number AS {_ROW}")
"""What a SELECT of data files gives of a row's place, under the names of ``PLACE``."""
PLACE = (_FILE, _ROW)
_SCHEMA = pa.schema([("scoter file", pa.uint64()), ("scoter row", pa.int64())])
_KEY = 16  # hexadecimal digits of a name


@dataclass(frozen=True)
class Held:
    """A data file by its number in the list that is read, and the delete files that hold rows of it.

    ``rows`` is how many rows it has, where a mask of them is wanted.
    """

    number: int
    place: str
    deletes: tuple[DeleteFile, ...]
    rows: int = 0


@dataclass(frozen=True)
class Removed:
    """Deleted rows that SQL reads as the table ``name``: pure data, by which they can be read anywhere.

    All that it names is immutable, so that equal names mean equal rows. As a mask the table has one truth value
    for each row of the files, one file behind the other: whether it is left. ``by_value`` is SQL of the rows that
    are deleted by values beside those of the delete files, as numbers of files and positions.
    """

    name: str
    files: tuple[Held, ...]
    is_mask: bool = False
    by_value: str | None = None


def removed(files: Sequence[Held], *, is_mask: bool = False, by_value: str | None = None) -> Removed:
    """Return what is removed of these files under a name that its content gives."""
    digest = hashlib.sha256((by_value or "").encode())
    for held in files:
        places = "\0".join(f"{delete.path}\0{delete.offset}" for delete in held.deletes)
        digest.update(f"{held.number}\0{held.rows}\0{held.place}\0{places}\n".encode())
    kind = "mask" if is_mask else "removed"
    return Removed(f"scoter_{kind}_{digest.hexdigest()[:_KEY]}", tuple(files), is_mask, by_value)


def table_of(wanted: Removed, positions: Mapping[str, Ints]) -> pa.Table:
    """Return the rows as (number of the file, position in it); ``positions`` are sorted, by a file's place."""
    parts = _parts(wanted, positions)
    numbers = np.repeat(
        np.array([held.number for held in wanted.files], np.uint64), [len(part) for part in parts]
    )
    rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
    return pa.table([pa.array(numbers), pa.array(rows)], schema=_SCHEMA)


def mask_of(
    wanted: Removed, positions: Mapping[str, Ints], by_value: Iterable[pa.RecordBatch] = ()
) -> pa.Table:
    """Return a mask; ``by_value`` gives the other rows that are deleted, as numbers of files and positions."""
    rows = [held.rows for held in wanted.files]
    starts = np.cumsum([0, *rows])
    left = np.ones(starts[-1], np.bool_)
    for start, count, gone in zip(starts[:-1], rows, _parts(wanted, positions), strict=True):
        left[start + gone[(gone >= 0) & (gone < count)]] = False
    for batch in by_value:
        numbers, places = (column.to_numpy() for column in batch.columns)
        left[starts[numbers] + places] = False
    bits = pa.array(left)
    # In pieces as long as the files, so that DuckDB's vectors of both begin at the same rows.
    pieces = [bits.slice(start, count) for start, count in zip(starts[:-1].tolist(), rows, strict=True)]
    return pa.table({wanted.name: pa.chunked_array(pieces, pa.bool_())})


def _parts(wanted: Removed, positions: Mapping[str, Ints]) -> list[Ints]:
    return [positions.get(held.place, np.empty(0, np.int64)) for held in wanted.files]


def beside(mask: Removed) -> str:
    """Return the SQL that follows `read_parquet(…) AS r` and leaves out what a mask of the same files does.

    All rows of the files must be read, in order: what filters them comes later. A file that has more rows than its
    footer says is an error.
    """
    kept = f"x.{mask.name}"
    more = "error('a data file has more rows than it says')::BOOLEAN"
    return f" POSITIONAL JOIN {mask.name} AS x WHERE CASE WHEN {kept} IS NULL THEN {more} ELSE {kept} END"


def left_of(mask: Removed, columns: str) -> str:
    """Return the SQL of as many rows as a mask leaves."""
    return f"SELECT {columns} FROM {mask.name} AS x WHERE x.{mask.name}"


def without(wanted: Removed, *, alone: bool, estimated: bool) -> str:
    """Return the SQL that follows `read_parquet(…) AS r` and leaves the removed rows out.

    ``alone`` says that one file is read, ``estimated`` that DuckDB knows about how many rows it has.
    """
    if estimated:
        same = "" if alone else f" AND x.{_FILE} = r.file_index"
        return f" ANTI JOIN {wanted.name} AS x ON x.{_ROW} = r.file_row_number{same}"
    # Of what seems to be small DuckDB makes the hash table of an anti join: all data would be held.
    if alone:
        return f" WHERE r.file_row_number NOT IN (SELECT x.{_ROW} FROM {wanted.name} AS x)"
    return f" WHERE (r.file_index, r.file_row_number) NOT IN (SELECT x.{_FILE}, x.{_ROW} FROM {wanted.name} AS x)"
