"""CALL system.register_table: a table from a metadata file that another engine wrote.

This module must not know where files really are, nor how a catalog keeps a table.
"""

from __future__ import annotations

from pyiceberg.table.metadata import TableMetadata

from scoter.engine.commands.outcome import Call, Command, Outcome
from scoter.engine.naming import table_name
from scoter.engine.statements import RegisterTable, Statement, span_of
from scoter.errors import CorruptData, NotSupported, PermissionDenied

_COLUMNS = (
    ("current_snapshot_id", "BIGINT"),
    ("total_records_count", "BIGINT"),
    ("total_data_files_count", "BIGINT"),
)


def _register(call: Call) -> Outcome:
    lake = call.parts.lake
    file = call.tree.args["metadata_file"]
    name = table_name(call.tree.this, call.context, lake)
    try:
        metadata = lake.register_table(name, file.name)
    except (CorruptData, NotSupported, PermissionDenied) as error:
        error.span = error.span or span_of(file)
        raise
    return Outcome([_facts(metadata)], call.context)


def _facts(metadata: TableMetadata) -> tuple[int | None, int | None, int | None]:
    """Return what Spark's procedure answers; NULL where the writer did not count."""
    snapshot = metadata.current_snapshot()
    if snapshot is None:
        return None, None, None
    counts = {} if snapshot.summary is None else snapshot.summary.additional_properties
    return (
        snapshot.snapshot_id,
        _count(counts.get("total-records")),
        _count(counts.get("total-data-files")),
    )


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


COMMANDS: dict[type[Statement], Command] = {RegisterTable: Command(_COLUMNS, _register)}
