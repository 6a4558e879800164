"""Replacing a table's columns and rows in one Iceberg commit: the table is never missing, its past stays.

This module must not know SQL, DuckDB, or how the files came to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSortOrderUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    AssertLastAssignedFieldId,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    TableRequirement,
    TableUpdate,
    UpdatesAndRequirements,
    update_table_metadata,
)

from scoter.engine.writing.commit import Append, commit_with
from scoter.errors import WriteConflict


def replaced(metadata: TableMetadata, schema: Schema) -> TableMetadata:
    """Return what the metadata is once the columns are those of ``schema``, for files to be written by.

    The table is then not partitioned and not sorted; properties, tags and older snapshots stay.
    """
    return update_table_metadata(metadata, _updates(metadata, schema))


def commit_replace(
    table: Table, schema: Schema, files: Sequence[DataFile], properties: Mapping[str, str]
) -> int:
    """Make ``files`` all that the main branch holds, under the columns of ``schema``; return the snapshot.

    What other writers append meanwhile is replaced with the rest. Raises WriteConflict when one of them
    changed the columns, and what `commit_with` raises.
    """
    planned = table.metadata

    def begin(now: Table) -> tuple[Transaction, Append]:
        if _basis(now.metadata) != _basis(planned):
            raise WriteConflict("the table's columns were changed meanwhile", hint="run the statement again")
        transaction = now.transaction()
        transaction._apply(_updates(now.metadata, schema), _requirements(planned))  # noqa: SLF001  # no other way
        return transaction, _Replace(transaction, now, properties, planned, schema)

    return commit_with(table, files, begin, MAIN_BRANCH)


class _Replace(Append):
    """A snapshot of the added files alone, in the place of the branch's head."""

    def __init__(
        self,
        transaction: Transaction,
        table: Table,
        properties: Mapping[str, str],
        planned: TableMetadata,
        schema: Schema,
    ) -> None:
        # Without a parent nothing is carried over; see _current_branch_head_id.
        super().__init__(transaction, table, properties, MAIN_BRANCH, replaced(planned, schema))
        self._operation = Operation.OVERWRITE

    def _current_branch_head_id(self) -> int | None:
        return None

    def _commit(self) -> UpdatesAndRequirements:
        updates, requirements = super()._commit()
        # The spec that counts is the one before the replacement.
        return updates, tuple(one for one in requirements if not isinstance(one, AssertDefaultSpecId))

    @property
    def parent_snapshot_id(self) -> int | None:
        head = self._transaction.table_metadata.snapshot_by_name(MAIN_BRANCH)
        return head.snapshot_id if head else None


def _basis(metadata: TableMetadata) -> tuple[int, int, int]:
    return metadata.current_schema_id, metadata.last_column_id, metadata.default_spec_id


def _requirements(planned: TableMetadata) -> tuple[TableRequirement, ...]:
    """Return what must still be so, because the ids in the written files were chosen by it."""
    return (
        AssertCurrentSchemaId.model_validate({"current-schema-id": planned.current_schema_id}),
        AssertLastAssignedFieldId.model_validate({"last-assigned-field-id": planned.last_column_id}),
        AssertDefaultSpecId.model_validate({"default-spec-id": planned.default_spec_id}),
    )


def _updates(metadata: TableMetadata, schema: Schema) -> tuple[TableUpdate, ...]:
    return (*_columns(metadata, schema), *_no_partitions(metadata), *_no_order(metadata))


def _columns(metadata: TableMetadata, schema: Schema) -> list[TableUpdate]:
    """Return the updates for new columns; ids are new too, as older snapshots use the ones there are."""
    if _shape(metadata.schema()) == _shape(schema):
        return []
    ids = count(metadata.last_column_id + 1)
    fresh = assign_fresh_schema_ids(schema, lambda: next(ids))
    schema_id = 1 + max(known.schema_id for known in metadata.schemas)
    added = Schema(*fresh.fields, schema_id=schema_id)
    return [
        AddSchemaUpdate.model_validate({"schema": added}),
        SetCurrentSchemaUpdate.model_validate({"schema-id": schema_id}),
    ]


def _shape(schema: Schema) -> object:
    return assign_fresh_schema_ids(schema).as_struct()


def _no_partitions(metadata: TableMetadata) -> list[TableUpdate]:
    if metadata.spec().is_unpartitioned():
        return []
    plain = [spec.spec_id for spec in metadata.partition_specs if spec.is_unpartitioned()]
    if plain:
        return [SetDefaultSpecUpdate.model_validate({"spec-id": plain[0]})]
    spec_id = 1 + max(spec.spec_id for spec in metadata.partition_specs)
    return [
        AddPartitionSpecUpdate(spec=PartitionSpec(spec_id=spec_id)),
        SetDefaultSpecUpdate.model_validate({"spec-id": spec_id}),
    ]


def _no_order(metadata: TableMetadata) -> list[TableUpdate]:
    order = UNSORTED_SORT_ORDER
    if metadata.default_sort_order_id == order.order_id:
        return []
    known = metadata.sort_order_by_id(order.order_id) is not None
    return [
        *([] if known else [AddSortOrderUpdate.model_validate({"sort-order": order})]),
        SetDefaultSortOrderUpdate.model_validate({"sort-order-id": order.order_id}),
    ]
