"""One Iceberg commit that puts new data files in the place of some that a snapshot has, or fails.

This module must not know SQL, DuckDB, or how the files came to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.exceptions import ValidationException
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import (
    Operation,
    SnapshotSummaryCollector,
    Summary,
    update_snapshot_summaries,
)
from pyiceberg.table.update import UpdatesAndRequirements

from scoter.engine.writing.commit import Append, commit_with
from scoter.errors import CorruptData, WriteConflict


@dataclass(frozen=True)
class Overwritten:
    """What a commit takes away: the files at these locations, of the main branch of ``pinned``."""

    pinned: TableMetadata
    locations: frozenset[str]


def refuse_changed(now: TableMetadata, pinned: TableMetadata) -> None:
    """Raise WriteConflict unless the main branch of a table is where it was when its rows were read."""
    if now.table_uuid != pinned.table_uuid:
        raise WriteConflict("the table was replaced while it was read", hint="run the statement again")
    if _head(now) != _head(pinned):
        raise WriteConflict(
            "another writer changed the table since its rows were read", hint="run the statement again"
        )
    if now.current_schema_id != pinned.current_schema_id or now.default_spec_id != pinned.default_spec_id:
        raise WriteConflict(
            "the table's columns or partitions were changed since its rows were read",
            hint="run the statement again",
        )


def commit_overwrite(
    table: Table, overwritten: Overwritten, files: Sequence[DataFile], properties: Mapping[str, str]
) -> int:
    """Put ``files`` in the place of what is ``overwritten`` and return the snapshot's id.

    The commit is tried again only where the branch is still where it was. Raises WriteConflict where it is not,
    CorruptData for a file that the snapshot does not hold, and what `commit_with` raises.
    """

    def begin(now: Table) -> tuple[Transaction, Append]:
        refuse_changed(now.metadata, overwritten.pinned)
        transaction = now.transaction()
        return transaction, _Overwrite(transaction, now, properties, overwritten, added=bool(files))

    return commit_with(table, files, begin, MAIN_BRANCH)


class _Overwrite(Append):
    """A snapshot without some files of its parent, which must be the one that was read."""

    def __init__(
        self,
        transaction: Transaction,
        table: Table,
        properties: Mapping[str, str],
        overwritten: Overwritten,
        *,
        added: bool,
    ) -> None:
        super().__init__(transaction, table, properties, MAIN_BRANCH, overwritten.pinned)
        self._overwritten = overwritten
        self._carried: list[ManifestFile] = []
        if overwritten.locations:
            self._operation = Operation.OVERWRITE if added else Operation.DELETE

    def _commit(self) -> UpdatesAndRequirements:
        # pyiceberg builds a commit anew on what others have committed first, which would lose their rows.
        if _head(self._transaction.table_metadata) != _head(self._overwritten.pinned):
            raise ValidationException("the branch has moved")
        self._deleted_data_files = set()
        return super()._commit()

    def _deleted_entries(self) -> list[ManifestEntry]:
        """Return the entries of the files that go; what stays of their manifests is written anew beside them."""
        self._carried = []
        gone: list[ManifestEntry] = []
        for manifest in super()._existing_manifests():
            if manifest.content != ManifestContent.DATA or not self._overwritten.locations:
                self._carried.append(manifest)
                continue
            stays: list[ManifestEntry] = []
            goes: list[ManifestEntry] = []
            for entry in self.fetch_manifest_entry(manifest):
                (goes if entry.data_file.file_path in self._overwritten.locations else stays).append(entry)
            gone += goes
            if not goes:
                self._carried.append(manifest)
            elif stays:
                self._carried.append(self._rewritten(manifest, stays))
        self._deleted_data_files = {entry.data_file for entry in gone}
        if len(gone) != len(self._overwritten.locations):
            raise CorruptData("a data file of the table is in its manifests never or twice")
        return [_entry(entry, ManifestEntryStatus.DELETED, self._snapshot_id) for entry in gone]

    def _existing_manifests(self) -> list[ManifestFile]:
        return self._carried

    def _rewritten(self, manifest: ManifestFile, entries: Sequence[ManifestEntry]) -> ManifestFile:
        with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
            for entry in entries:
                writer.add_entry(_entry(entry, ManifestEntryStatus.EXISTING, entry.snapshot_id))
        return writer.to_manifest_file()

    def _summary(self, snapshot_properties: Mapping[str, str] = {}) -> Summary:  # as pyiceberg has it
        # Partitions are counted and not named: of a spec whose columns are gone pyiceberg could not name them.
        metadata = self._transaction.table_metadata
        collector = SnapshotSummaryCollector()
        default = metadata.default_spec_id
        changed = {(default, str(file.partition)) for file in self._added_data_files if len(file.partition)}
        changed |= {
            (file.spec_id, str(file.partition)) for file in self._deleted_data_files if len(file.partition)
        }
        counted = {"changed-partition-count": str(len(changed))} if changed else {}
        for file in self._added_data_files:
            collector.metrics.add_file(file)
        for file in self._deleted_data_files:
            collector.metrics.remove_file(file)
        parent = _head(metadata)
        previous = None if parent is None else metadata.snapshot_by_id(parent)
        return update_snapshot_summaries(
            summary=Summary(
                operation=self._operation,
                **collector.build(),
                **counted,
                **snapshot_properties,
            ),
            previous_summary=previous.summary if previous is not None else None,
        )


def _head(metadata: TableMetadata) -> int | None:
    head = metadata.snapshot_by_name(MAIN_BRANCH)
    return None if head is None else head.snapshot_id


def _entry(entry: ManifestEntry, status: ManifestEntryStatus, snapshot_id: int | None) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )
