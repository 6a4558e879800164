"""The data files of a snapshot as columns: each manifest is decoded once and kept by its path.

This module must not know SQL, predicates or how data files are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from scoter.catalog.avro import DAMAGE
from scoter.catalog.data_files import EMPTY, DataFiles, concatenate, some
from scoter.catalog.decoding import decode
from scoter.catalog.entries import (
    RowIds,
)
from scoter.catalog.entries import listed as manifests_of
from scoter.catalog.fetching import Check, each, unchecked
from scoter.catalog.reach import is_local
from scoter.catalog.recent import Recent
from scoter.errors import CorruptData, NotSupported, UndefinedSnapshot

_PARALLEL_MANIFESTS = 8
_Key = tuple[str, ManifestContent, int, int, int | None, int | None]


class Manifests:
    """Data files by snapshot; decoded manifests are shared between snapshots and tables."""

    def __init__(
        self,
        io_for: Callable[[TableMetadata], FileIO],
        *,
        real: Callable[[str], str] = str,
        cached_files: int = 1_000_000,
        snapshots: int = 256,
    ) -> None:
        """Open files with ``io_for``; keep the facts of up to ``cached_files`` data files.

        ``real`` tells where a data file that a manifest names is read from.
        """
        self.io_for = io_for
        self.real = real
        self._manifests: Recent[_Key, DataFiles] = Recent(cached_files, weigh=lambda files: 1 + len(files))
        self._snapshots: Recent[tuple[str, int | None], DataFiles] = Recent(snapshots)

    def files(self, metadata: TableMetadata, snapshot_id: int | None, check: Check = unchecked) -> DataFiles:
        """Return the data files of a snapshot, the current one for None; none for a table without one.

        ``check`` is called while manifests are read, and may raise. Raises UndefinedSnapshot for an unknown id,
        CorruptData for metadata that can not be read.
        """
        snapshot = (
            metadata.current_snapshot() if snapshot_id is None else metadata.snapshot_by_id(snapshot_id)
        )
        if snapshot is None:
            if snapshot_id is not None:
                raise UndefinedSnapshot(f"the table has no snapshot {snapshot_id}")
            return EMPTY
        key = (snapshot.manifest_list, None)
        if not snapshot.manifest_list:
            raise CorruptData(f"snapshot {snapshot.snapshot_id} has no manifest list")
        found = self._snapshots.get(key)
        if found is None:
            found = self._read(snapshot, self.io_for(metadata), check)
            self._snapshots.put(key, found)
        return found

    def added(self, metadata: TableMetadata, snapshot_id: int, check: Check = unchecked) -> DataFiles:
        """Return the data files that a snapshot added.

        Raises NotSupported where it removed rows too, else as ``files``.
        """
        snapshot = metadata.snapshot_by_id(snapshot_id)
        if snapshot is None:
            raise UndefinedSnapshot(f"the table has no snapshot {snapshot_id}")
        key = (snapshot.manifest_list, snapshot_id)
        found = self._snapshots.get(key)
        if found is None:
            found = self._read(snapshot, self.io_for(metadata), check, added=True)
            found = some(found, found.added == snapshot_id)
            self._snapshots.put(key, found)
        return found

    def _read(self, snapshot: Snapshot, io: FileIO, check: Check, *, added: bool = False) -> DataFiles:
        try:
            (listed,) = each(lambda one: manifests_of(one, io), [snapshot], 1, check)
            if added:
                listed = [m for m in listed if m.added_snapshot_id == snapshot.snapshot_id]
                _check_adds(listed, snapshot)
            listed = [m for m in listed if m.has_added_files() or m.has_existing_files()]
            looked = {_key(m): self._manifests.get(_key(m)) for m in listed}
            kept = {key: files for key, files in looked.items() if files is not None}
            missing = [m for m in listed if _key(m) not in kept]
            # Of files at hand the decoding is all the work, and Python's lock lets one thread do it at a time.
            local = all(is_local(self.real(m.manifest_path)) for m in missing)
            threads = 1 if local else _PARALLEL_MANIFESTS
            for m, files in zip(
                missing,
                each(lambda m: decode(m, io, self.real, check), missing, threads, check),
                strict=True,
            ):
                self._manifests.put(_key(m), files)
                kept[_key(m)] = files
        except DAMAGE as error:
            raise CorruptData(
                f"the manifests of snapshot {snapshot.snapshot_id} can not be read",
                hint="a metadata file of the table is missing or damaged",
            ) from error
        whole = [kept[_key(m)] for m in listed]
        return whole[0] if len(whole) == 1 else concatenate(whole)


def _key(manifest: ManifestFile) -> _Key:
    """Return what a manifest is kept by: its path and all that its list says which files and deletes inherit."""
    return (
        manifest.manifest_path,
        manifest.content,
        manifest.partition_spec_id,
        manifest.sequence_number,
        manifest.added_snapshot_id,
        RowIds(manifest).first,
    )


def _check_adds(own: Sequence[ManifestFile], snapshot: Snapshot) -> None:
    """Raise NotSupported where the manifests that a snapshot wrote say that it removed rows."""
    for manifest in own:
        deletes = manifest.content == ManifestContent.DELETES and manifest.has_added_files()
        if deletes or (manifest.deleted_files_count or 0) > 0:
            raise NotSupported(
                f"snapshot {snapshot.snapshot_id} removed rows; only added rows can be read",
                hint="read the parts before and behind it",
            )
