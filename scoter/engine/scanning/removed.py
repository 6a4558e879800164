"""The deleted positions of one scan as a table for DuckDB to join with, and the SQL that leaves them out.

This module must not know how delete files are matched with data files, nor how their content is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scoter.catalog.data_files import DeleteFile, Ints

_FILE = '"scoter file"'
_ROW = '"scoter row"'
_SCHEMA = pa.schema([("scoter file", pa.uint64()), ("scoter row", pa.int64())])
_KEY = 16  # hexadecimal digits of a name


@dataclass(frozen=True)
class Held:
    """A data file by its number in the list that is read, and the delete files that hold rows of it.

    ``groups`` are the rows of its row groups, where a mask of them is wanted.
    """

    number: int
    place: str
    deletes: tuple[DeleteFile, ...]
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Removed:
    """Deleted rows that SQL reads as the table ``name``: pure data, by which they can be read anywhere.

    All that it names is immutable, so that equal names mean equal rows. As a mask the table has one truth value
    for each row of the files, one file behind the other: whether it is left.
    """

    name: str
    files: tuple[Held, ...]
    is_mask: bool = False


def removed(files: Sequence[Held], *, is_mask: bool = False) -> Removed:
    """Return what is removed of these files under a name that its content gives."""
    digest = hashlib.sha256()
    for held in files:
        places = "\0".join(f"{delete.path}\0{delete.offset}" for delete in held.deletes)
        digest.update(f"{held.number}\0{held.place}\0{places}\n".encode())
    kind = "mask" if is_mask else "removed"
    return Removed(f"scoter_{kind}_{digest.hexdigest()[:_KEY]}", tuple(files), is_mask)


def table_of(wanted: Removed, positions: Mapping[str, Ints]) -> pa.Table:
    """Return the rows as (number of the file, position in it), or a mask; ``positions`` are sorted, by a file's place."""
    parts = [positions.get(held.place, np.empty(0, np.int64)) for held in wanted.files]
    if wanted.is_mask:
        return _mask(wanted, parts)
    numbers = np.repeat(
        np.array([held.number for held in wanted.files], np.uint64), [len(part) for part in parts]
    )
    rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
    return pa.table([pa.array(numbers), pa.array(rows)], schema=_SCHEMA)


def _mask(wanted: Removed, positions: Sequence[Ints]) -> pa.Table:
    # In pieces as long as the row groups, so that DuckDB's vectors of both begin at the same rows.
    pieces: list[pa.Array] = []
    for held, gone in zip(wanted.files, positions, strict=True):
        left = np.ones(sum(held.groups), np.bool_)
        left[gone[(gone >= 0) & (gone < len(left))]] = False
        bits = pa.array(left)
        ends = np.cumsum(held.groups).tolist()
        pieces += [bits.slice(end - rows, rows) for end, rows in zip(ends, held.groups, strict=True)]
    return pa.table({wanted.name: pa.chunked_array(pieces, pa.bool_())})


def beside(mask: Removed) -> str:
    """Return the SQL that follows `read_parquet(…) AS r` and leaves out what a mask of the same files does.

    All rows of the files must be read, in order: what filters them comes later.
    """
    return f" POSITIONAL JOIN {mask.name} AS x WHERE x.{mask.name}"


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
