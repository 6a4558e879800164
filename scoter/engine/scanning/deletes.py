"""Which rows of which data files are deleted by position: delete files matched with data files, and read.

This module must not know schemas, predicates or how data files are read.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
from pyiceberg.table.puffin import PuffinBlobMetadata, PuffinFile

from scoter.catalog.data_files import DataFiles, DeleteFile, DeleteKind, Ints
from scoter.catalog.fetching import Check, each, unchecked
from scoter.catalog.reach import canonical
from scoter.catalog.recent import Recent
from scoter.engine.scanning.removed import Held, Removed, mask_of, table_of
from scoter.errors import CorruptData, NotSupported

_PARALLEL = 8
_CACHED_BYTES = 256 * 1024 * 1024
_MOST_POSITIONS = 50_000_000  # of one scan; 8 bytes each when read, 16 when joined with the data
_VECTOR = "deletion-vector-v1"
_MAGIC = b"\xd1\xd3\x39\x64"
_FRAME = 12  # bytes of a vector's length, magic number and checksum

Positions = Mapping[str, Ints]
Query = Callable[[str], Iterable[pa.RecordBatch]]


@dataclass(frozen=True, eq=False)
class Deleted:
    """The deleted rows of a scan: how many of each data file, by its number, and the delete files read."""

    held: dict[int, Held]
    rows: dict[int, int]
    files: int


class Deletes:
    """Positions of deleted rows; what delete files hold is read once, and what a scan leaves out kept."""

    def __init__(self, real: Callable[[str], str], *, kept: int = _CACHED_BYTES) -> None:
        """Compare paths where ``real`` says they are: delete files may hold another prefix than manifests.

        What was read is kept up to so many bytes, and as many of what was made of it.
        """
        self._place: Callable[[str], str] = lambda path: canonical(real(path))
        self._read: Recent[tuple[object, ...], Positions] = Recent(kept, weigh=_bytes)
        self._tables: Recent[str, pa.Table] = Recent(kept, weigh=lambda table: 64 + int(table.nbytes))

    def of(
        self, files: DataFiles, kept: Ints, open_with: Callable[[], FileIO], check: Check = unchecked
    ) -> Deleted:
        """Return what is deleted of the ``kept`` data files by position.

        ``check`` is called while files are read, and may raise. Raises CorruptData for delete files that are
        missing, damaged or not what their manifest says, NotSupported for more positions than one statement may
        hold.
        """
        wanted = _applicable(files, kept, self._place)
        read = self._held([delete for found in wanted.values() for delete in found], open_with, check)
        held: dict[int, Held] = {}
        rows: dict[int, int] = {}
        for number, found in wanted.items():
            path = self._place(str(files.paths[number]))
            fit = tuple(delete for delete in found if len(read[delete].get(path, ())))
            if fit:
                held[number] = Held(0, path, fit)
                positions = _joined([read[delete][path] for delete in fit])
                first, end = np.searchsorted(positions, [0, files.rows[number]])
                rows[number] = int(end - first)
        return Deleted(held, rows, len(read))

    def table(
        self, wanted: Removed, open_with: Callable[[], FileIO], query: Query | None, check: Check = unchecked
    ) -> pa.Table:
        """Return the rows that ``wanted`` names, from what is kept where it still is; raises as ``of``.

        ``query`` reads those that are deleted by value. Without it they are not looked for: the table is good for
        the statement to be planned only.
        """
        found = self._tables.get(wanted.name)
        if found is None:
            read = self._held([d for held in wanted.files for d in held.deletes], open_with, check)
            positions = {
                held.place: _joined([read[d][held.place] for d in held.deletes])
                for held in wanted.files
                if held.deletes
            }
            if not wanted.is_mask:
                found = table_of(wanted, positions)
            elif wanted.by_value is not None and query is None:
                return mask_of(wanted, positions)
            else:
                by_value = query(wanted.by_value) if wanted.by_value is not None and query is not None else ()
                found = mask_of(wanted, positions, by_value)
            self._tables.put(wanted.name, found)
        return found

    def _held(
        self, deletes: Iterable[DeleteFile], open_with: Callable[[], FileIO], check: Check
    ) -> dict[DeleteFile, Positions]:
        """Return what each delete file holds; all are held at once, which bounds how many rows they may have."""
        once = dict.fromkeys(deletes)
        _refuse_many(sum(delete.rows for delete in once))
        known = {delete: self._read.get(_key(delete)) for delete in once}
        missing = [delete for delete, found in known.items() if found is None]
        held = {delete: found for delete, found in known.items() if found is not None}
        if missing:
            io = open_with()

            def read(delete: DeleteFile) -> Positions:
                return _positions(delete, io, self._place, check)

            for delete, found in zip(missing, each(read, missing, _PARALLEL, check), strict=True):
                held[delete] = found
                self._read.put(_key(delete), found)
        return held


def _key(delete: DeleteFile) -> tuple[object, ...]:
    """Return what decides what is read of a delete file; its place alone does not: another table may name it, too."""
    return delete.path, delete.offset, delete.kind, delete.refers_to, delete.format


def _refuse_many(rows: int) -> None:
    if rows > _MOST_POSITIONS:
        raise NotSupported(
            f"the delete files that the statement needs hold more than {_MOST_POSITIONS:,} rows",
            hint="compact the table with the engine that wrote them",
        )


def _joined(parts: Sequence[Ints]) -> Ints:
    """Return the positions of several delete files, each once, sorted."""
    return parts[0] if len(parts) == 1 else _ascending(np.concatenate(parts))


def _ascending(positions: Ints) -> Ints:
    """Return the positions sorted, each once, as most writers already have them."""
    if not (positions[1:] > positions[:-1]).all():
        positions = np.sort(positions)
        positions = positions[np.concatenate([[True], positions[1:] != positions[:-1]])]
    return positions


def _applicable(files: DataFiles, kept: Ints, place: Callable[[str], str]) -> dict[int, list[DeleteFile]]:
    """Return for each data file the delete files by position that may hold rows of it.

    https://iceberg.apache.org/spec/#scan-planning: a delete is not older than the data, and of the same
    partition or of just this file; a vector takes the place of all position delete files.
    """
    by_path: dict[str, list[DeleteFile]] = {}
    by_partition: dict[tuple[Any, ...], list[DeleteFile]] = {}
    for delete in files.deletes:
        if delete.kind == DeleteKind.EQUALITY:
            continue
        if delete.refers_to is not None:
            by_path.setdefault(place(delete.refers_to), []).append(delete)
        else:
            by_partition.setdefault((delete.spec_id, *partition_key(delete.partition)), []).append(delete)
    if not by_path and not by_partition:
        return {}
    found: dict[int, list[DeleteFile]] = {}
    for number in kept.tolist():
        spec = int(files.spec_ids[number])
        partition = tuple(values[number] for values in files.partitions.get(spec, ()))
        candidates = by_path.get(place(str(files.paths[number])), []) + by_partition.get(
            (spec, *partition_key(partition)), []
        )
        fit = [delete for delete in candidates if delete.sequence >= files.sequences[number]]
        vectors = [delete for delete in fit if delete.kind == DeleteKind.VECTOR]
        if len(vectors) > 1:
            raise CorruptData("a data file has two deletion vectors")
        if fit:
            found[number] = vectors or fit
    return found


def partition_key(partition: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values of a partition so that those of the same one are equal."""
    # NaN is unequal to itself, and one partition all the same.
    return tuple("NaN" if value != value else value for value in partition)  # noqa: PLR0124  # tells NaN


def _positions(delete: DeleteFile, io: FileIO, place: Callable[[str], str], check: Check) -> Positions:
    try:
        with io.new_input(delete.path).open() as stream:
            if delete.kind == DeleteKind.VECTOR:
                return {place(str(delete.refers_to)): _vector(PuffinFile(stream.read()), delete)}
            # A path stands in many rows: as codes they take a fraction of the memory.
            file = pq.ParquetFile(stream, read_dictionary=["file_path"])
            _refuse_many(file.metadata.num_rows)
            parts = []
            for number in range(file.num_row_groups):
                check()
                parts.append(file.read_row_group(number, columns=["file_path", "pos"]))
            rows = pa.concat_tables(parts) if parts else file.read(columns=["file_path", "pos"])
            check()
            return _listed(rows, place)
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
        raise CorruptData(f"a file of {delete.kind} is missing or damaged") from error


def _listed(rows: pa.Table, place: Callable[[str], str]) -> Positions:
    """Return the positions by data file; rows without a path delete nothing."""
    rows = rows.filter(pc.is_valid(rows["file_path"]))
    if rows["pos"].null_count:
        raise ValueError("a position is NULL")
    if not rows.num_rows:
        return {}
    paths = rows["file_path"].unify_dictionaries().combine_chunks()
    paths = paths if pa.types.is_dictionary(paths.type) else paths.dictionary_encode()
    codes = np.asarray(paths.indices)
    order = np.argsort(codes, kind="stable")
    positions = np.asarray(rows["pos"].combine_chunks().cast(pa.int64()))[order]
    ends = np.cumsum(np.bincount(codes, minlength=len(paths.dictionary)))
    found: dict[str, list[Ints]] = {}
    for path, part in zip(paths.dictionary.to_pylist(), np.split(positions, ends[:-1]), strict=True):
        found.setdefault(place(path), []).append(part)
    return {path: _ascending(np.concatenate(parts)) for path, parts in found.items()}


def _vector(puffin: PuffinFile, delete: DeleteFile) -> Ints:
    blobs = [blob for blob in puffin.footer.blobs if blob.offset == delete.offset]
    if len(blobs) != 1 or blobs[0].type != _VECTOR:
        raise ValueError("no vector lies where the manifest says")
    _check_frame(puffin.get_blob_payload(blobs[0]), blobs[0])
    puffin.footer = puffin.footer.model_copy(update={"blobs": blobs})
    (vector,) = deletion_vectors_from_puffin_file(puffin)
    bitmaps = vector._bitmaps  # noqa: SLF001  # its public form makes a Python number of each position
    parts = [np.asarray(bitmap.to_array(), np.int64) + (high << 32) for high, bitmap in enumerate(bitmaps)]
    found: Ints = np.concatenate(parts) if parts else np.empty(0, np.int64)
    if len(found) != delete.rows:
        raise ValueError("a vector holds another number of rows than its manifest says")
    return found


def _check_frame(blob: bytes, told: PuffinBlobMetadata) -> None:
    """Raise ValueError for a vector that is cut off or changed; the decoder looks at neither."""
    length = int.from_bytes(blob[:4], "big")
    if len(blob) != told.length or length + 8 != len(blob) or len(blob) < _FRAME or blob[4:8] != _MAGIC:
        raise ValueError("a vector is not framed as one")
    if zlib.crc32(blob[4:-4]) != int.from_bytes(blob[-4:], "big"):
        raise ValueError("the checksum of a vector does not fit")


def _bytes(positions: Positions) -> int:
    return 64 + sum(part.nbytes for part in positions.values())
