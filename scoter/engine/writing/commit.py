"""One Iceberg commit that adds data files, and what is known when it fails.

This module must not know SQL, DuckDB, or how the files came to be.
"""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence

from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.manifest import DataFile, ManifestWriter, write_manifest
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema, index_by_id
from pyiceberg.table import CreateTableTransaction, Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import AssertDefaultSpecId, UpdatesAndRequirements
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.types import IcebergType, PrimitiveType
from sqlalchemy.exc import SQLAlchemyError

from scoter.catalog.metastore import translation
from scoter.errors import (
    DiskFull,
    DuplicateTable,
    InternalError,
    OutcomeUnknown,
    ScoterError,
    UndefinedSchema,
    WriteConflict,
)

_log = logging.getLogger(__name__)

_PATIENCE = 60.0
"""Seconds for which an append is tried again after others committed first."""

_LOOKS = (0.0, 0.2, 1.0)
"""Seconds before each look for a commit whose answer was lost."""


class Append(_FastAppendFiles):
    """pyiceberg's fast append, refused once the table's columns or partitions are not the planned ones.

    Without the guard a retry puts files with tuples of the old spec into a manifest of the new one,
    and pruned scans no longer see the rows; and values under field ids that the table no longer has are
    read as NULL.
    """

    def __init__(
        self,
        transaction: Transaction,
        table: Table,
        properties: Mapping[str, str],
        branch: str,
        planned: TableMetadata,
    ) -> None:
        super().__init__(
            operation=Operation.APPEND,
            transaction=transaction,
            io=table.io,
            snapshot_properties=dict(properties),
            branch=branch,
        )
        self._planned = planned

    def _commit(self) -> UpdatesAndRequirements:
        changed = _changed(self._planned, self._transaction.table_metadata)
        if changed:
            raise CommitFailedException(f"{changed} have changed")
        updates, requirements = super()._commit()
        same_spec = AssertDefaultSpecId.model_validate({"default-spec-id": self._planned.default_spec_id})
        return updates, (*requirements, same_spec)

    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        """Return what writes a manifest; its partitions may be by columns that the table has no more."""
        metadata = self._transaction.table_metadata
        return write_manifest(
            format_version=metadata.format_version,
            spec=spec,
            schema=_schema_of(spec, metadata),
            output_file=self.new_manifest_output(),
            snapshot_id=self._snapshot_id,
            avro_compression=self._compression,
        )

    @property
    def parent_snapshot_id(self) -> int | None:
        """The snapshot on which the last attempt was based."""
        return self._parent_snapshot_id

    def remove_manifests(self) -> None:
        """Delete the manifests of an append that is known not to be committed."""
        self._clean_all_uncommitted()


def _schema_of(spec: PartitionSpec, metadata: TableMetadata) -> Schema:
    """Return the newest schema that has all columns of a spec: without them its values would be lost."""
    sources = {field.source_id for field in spec.fields}
    newest = [metadata.schema(), *sorted(metadata.schemas, key=lambda one: -one.schema_id)]
    return next((one for one in newest if sources <= one.field_ids), newest[0])


def commit_append(table: Table, files: Sequence[DataFile], properties: Mapping[str, str], branch: str) -> int:
    """Add ``files`` to a branch of ``table`` in one commit and return the snapshot's id.

    Raises what `commit_with` raises.
    """
    planned = table.metadata

    def begin(now: Table) -> tuple[Transaction, Append]:
        transaction = now.transaction()
        return transaction, Append(transaction, now, properties, branch, planned)

    return commit_with(table, files, begin, branch)


def commit_with(
    table: Table,
    files: Sequence[DataFile],
    begin: Callable[[Table], tuple[Transaction, Append]],
    branch: str,
) -> int:
    """Commit ``files`` by what ``begin`` makes of the table as it is now; return the snapshot's id.

    Other appends that come first are no conflict: the commit is tried again for a minute. Raises
    WriteConflict when the table was dropped, replaced or divided in another way since ``table`` was
    loaded; nothing was committed then. Raises OutcomeUnknown when the answer was lost and can not be
    found out. Every other error means that nothing was committed.
    """
    planned = table.metadata
    last = time.monotonic() + _PATIENCE
    pause = 0.05
    while True:
        transaction, append = begin(table)
        try:
            _stage(append, files)
            transaction.commit_transaction()
        except NoSuchTableError as error:
            append.remove_manifests()
            raise WriteConflict("the table was dropped while it was written") from error
        except (CommitFailedException, ValidationException) as error:
            # pyiceberg has removed the manifests: these errors say that nothing was committed.
            table = _same_table(table, planned, error)
            if time.monotonic() > last:
                raise WriteConflict("other writers kept coming first", hint="try again") from error
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # not a secret: spreads writers
            pause = min(2 * pause, 2.0)
        except Exception as error:
            if not _landed(table, append, planned, branch, error):
                append.remove_manifests()
                raise _failed(table, planned, error) from error
            return append.snapshot_id
        else:
            return append.snapshot_id


def commit_create(
    transaction: CreateTableTransaction,
    table: Table,
    files: Sequence[DataFile],
    properties: Mapping[str, str],
    branch: str,
) -> int:
    """Create the table of ``transaction`` with ``files`` in one commit and return the snapshot's id.

    Raises DuplicateTable or UndefinedSchema when another writer came first, OutcomeUnknown when the
    answer was lost and can not be found out. Every other error means that nothing was committed.
    """
    planned = transaction.table_metadata
    append = Append(transaction, table, properties, branch, planned)
    try:
        _stage(append, files)
        transaction.commit_transaction()
    except (TableAlreadyExistsError, CommitFailedException) as error:
        append.remove_manifests()
        raise DuplicateTable(f'table "{table.name()[-1]}" exists') from error
    except NoSuchNamespaceError as error:
        append.remove_manifests()
        raise UndefinedSchema(f'schema "{".".join(table.name()[:-1])}" does not exist') from error
    except Exception as error:
        if not _landed(table, append, planned, branch, error):
            append.remove_manifests()
            raise _failed(table, planned, error) from error
    return append.snapshot_id


class _StagingFailed(Exception):
    """The manifests could not be written, so that no commit was tried."""


def _stage(append: Append, files: Sequence[DataFile]) -> None:
    try:
        for file in files:
            append.append_data_file(file)
        append.commit()
    except (CommitFailedException, ValidationException):
        append.remove_manifests()
        raise
    except Exception as error:
        raise _StagingFailed from error


def _failed(table: Table, planned: TableMetadata, error: Exception) -> ScoterError:
    """Return the error that a user sees for a commit that is known not to be made."""
    cause = error.__cause__ if isinstance(error, _StagingFailed) else error
    if isinstance(cause, ScoterError):
        return cause
    if isinstance(cause, SQLAlchemyError):
        return translation(cause)
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        return DiskFull("the disk is full; nothing was written")
    try:
        _same_table(table, planned, error)
    except WriteConflict as conflict:
        return conflict
    except Exception:  # noqa: BLE001  # the first error is the one to tell
        _log.warning("a table could not be loaded after its commit had failed", exc_info=True)
    return InternalError("the commit failed; nothing was written")


def _same_table(table: Table, planned: TableMetadata, error: Exception) -> Table:
    """Load the table again; raise WriteConflict unless it is the planned one with the planned spec."""
    try:
        now = table.catalog.load_table(table.name())
    except NoSuchTableError:
        raise WriteConflict("the table was dropped while it was written") from error
    if now.metadata.table_uuid != planned.table_uuid:
        raise WriteConflict("the table was replaced while it was written") from error
    changed = _changed(planned, now.metadata)
    if changed:
        raise WriteConflict(
            f"the table's {changed} were changed while it was written", hint="run the statement again"
        ) from error
    return now


def _changed(planned: TableMetadata, now: TableMetadata) -> str | None:
    """Return what of a table is not as files were written for it: its partitions or its columns.

    Columns that were added since do no harm, nor do comments.
    """
    if now.default_spec_id != planned.default_spec_id:
        return "partitions"
    if now.current_schema_id == planned.current_schema_id:
        return None
    there, written = _fields(now.schema()), _fields(planned.schema())
    new_required = any(field[2] for field_id, field in there.items() if field_id not in written)
    same = all(there.get(field_id) == field for field_id, field in written.items())
    return None if same and not new_required else "columns"


def _fields(schema: Schema) -> dict[int, tuple[str | None, str, bool]]:
    """Return name, type and whether it is required of every field at every level, by its id."""
    fields = index_by_id(schema)
    return {
        field_id: (schema.find_column_name(field_id), _kind(field.field_type), field.required)
        for field_id, field in fields.items()
    }


def _kind(kind: IcebergType) -> str:
    # Of a nested type only the kind: its parts are compared by themselves.
    return str(kind) if isinstance(kind, PrimitiveType) else type(kind).__name__


def _landed(table: Table, append: Append, planned: TableMetadata, branch: str, error: Exception) -> bool:
    """Say whether a commit that ended in ``error`` was made all the same; raise OutcomeUnknown if unclear."""
    if isinstance(error, _StagingFailed):
        return False
    unknown = OutcomeUnknown(
        "the answer to the commit was lost", hint="look into the table's snapshots before trying again"
    )
    for pause in _LOOKS:
        time.sleep(pause)
        try:
            now = table.catalog.load_table(table.name()).metadata
        except NoSuchTableError:
            if _answers_for_itself(table):
                return False
            continue
        except Exception:  # noqa: BLE001, S112  # whatever hid the answer may hide it again
            continue
        if now.table_uuid == planned.table_uuid and now.snapshot_by_id(append.snapshot_id) is not None:
            return True
        if _answers_for_itself(table) or _overtaken(now, append, planned, branch):
            return False
    raise unknown from error


def _answers_for_itself(table: Table) -> bool:
    """Say whether the catalog is a database in this process, where a failed commit can not land later."""
    engine = getattr(table.catalog, "engine", None)
    return engine is not None and engine.dialect.name == "sqlite"


def _overtaken(now: TableMetadata, append: Append, planned: TableMetadata, branch: str) -> bool:
    """Say whether the table has moved on, so that a commit based on the old state can not land later."""
    if now.table_uuid != planned.table_uuid or now.default_spec_id != planned.default_spec_id:
        return True
    head = now.snapshot_by_name(branch)
    return (head.snapshot_id if head else None) != append.parent_snapshot_id
