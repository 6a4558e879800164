"""Rows that snapshots added: `table_changes('t', from, to)` in FROM, and the snapshots that it means.

This module must not know data files, types of columns or who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from scoter.engine.functions import TABLE_CHANGES
from scoter.engine.gate import function_name
from scoter.engine.statements import span_of
from scoter.engine.travel import check_constant, is_version, moment_meant, version_meant
from scoter.engine.types import quote
from scoter.errors import DataError, InvalidSyntax, NotSupported, Span, UndefinedSnapshot

# Behind the table's own columns.
COLUMNS = (
    ("_change_type", "VARCHAR"),
    ("_change_ordinal", "INTEGER"),
    ("_commit_snapshot_id", "BIGINT"),
    ("_commit_timestamp", "TIMESTAMPTZ"),
)
_MOST = 1000  # snapshots that one call reads: each is a part of the statement


@dataclass(frozen=True)
class Change:
    """One snapshot that added rows: its place among those of the call, its id and its time."""

    ordinal: int
    snapshot_id: int
    timestamp_ms: int


def constants_of(change: Change) -> str:
    """Return the SQL of the values that all rows of a change have in ``COLUMNS``."""
    values = (
        "'insert'",
        f"{change.ordinal}::INTEGER",
        f"{change.snapshot_id}::BIGINT",
        f"(make_timestamp({change.timestamp_ms * 1000}) AT TIME ZONE 'UTC')",
    )
    return ", ".join(f"{value} AS {quote(name)}" for value, (name, _) in zip(values, COLUMNS, strict=True))


def is_changes(node: exp.Table) -> bool:
    """Say whether what stands in FROM is a call of table_changes."""
    return isinstance(node.this, exp.Anonymous) and function_name(node.this) == TABLE_CHANGES


def called_parts(node: exp.Table) -> list[str]:
    """Return the parts of the name that a call has as its text; raises InvalidSyntax."""
    text = node.this.expressions[0].name
    try:
        named = exp.to_table(text, dialect="duckdb")
        plain = all(isinstance(part, exp.Identifier) for part in named.parts)
    except (SqlglotError, AttributeError):
        plain = False
    if not plain or not text:
        raise InvalidSyntax(
            f"{text[:80]!r} is no table's name", hint="write table_changes('schema.table', …)"
        )
    return [part.name for part in named.parts]


def changes_meant(
    node: exp.Table, metadata: TableMetadata, at: Callable[[exp.Expr], int | None]
) -> tuple[int | None, bool, tuple[Change, ...]]:
    """Return the last snapshot of a call, whether the table's schema is now's, and the snapshots that added rows.

    Raises UndefinedSnapshot for snapshots that are not there or not before each other, NotSupported where
    rows were removed.
    """
    _, start, *rest = node.this.expressions
    first = None if isinstance(start, exp.Null) else _snapshot_of(start, node, metadata, at, whole=True)
    last = metadata.current_snapshot_id
    if rest:
        last = _snapshot_of(rest[0], node, metadata, at, whole=False)
    between = [] if last is None else list(_between(first, last, node, metadata))[::-1]
    name = called_parts(node)[-1]
    for snapshot in between:
        _check_adds(snapshot, name, node)
    if len(between) > _MOST:
        raise NotSupported(
            f"more than {_MOST:,} snapshots of {name} are read at once",
            hint="ask for them in parts",
            span=_at(node),
        )
    return (
        last,
        not rest,
        tuple(
            Change(ordinal, snapshot.snapshot_id, snapshot.timestamp_ms)
            for ordinal, snapshot in enumerate(between)
            if _operation(snapshot) != Operation.REPLACE
        ),
    )


def _snapshot_of(
    value: exp.Expr,
    node: exp.Table,
    metadata: TableMetadata,
    at: Callable[[exp.Expr], int | None],
    *,
    whole: bool,
) -> int | None:
    """Return the snapshot that an end of the range means; with ``whole`` None for a time before the first."""
    check_constant(value, node)
    value = value.unnest()
    if is_version(value):
        is_name = value.is_string and value.name in metadata.refs
        if is_name or value.name.isdecimal() or not value.is_string:
            return version_meant(value, node, metadata, called_parts(node)[-1])[0]
    try:
        found = moment_meant(value, node, metadata, at)
    except DataError:
        if isinstance(value, exp.Literal):
            # A text that is no time either.
            version_meant(value, node, metadata, called_parts(node)[-1])
        raise
    if found is None and not whole:
        raise UndefinedSnapshot(f"{called_parts(node)[-1]} has no snapshot at that time", span=_at(node))
    return found


def _between(first: int | None, last: int, node: exp.Table, metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield the snapshots behind ``first`` up to ``last``, the last one first."""
    name = called_parts(node)[-1]
    current: int | None = last
    while current is not None and current != first:
        snapshot = metadata.snapshot_by_id(current)
        if snapshot is None:
            raise UndefinedSnapshot(
                f"snapshot {current} of {name}, which is in the range, has expired",
                hint="begin with a later snapshot",
                span=_at(node),
            )
        yield snapshot
        current = snapshot.parent_snapshot_id
        if first is None and current is None and not _is_first(snapshot):
            raise UndefinedSnapshot(
                f"the range begins before snapshot {snapshot.snapshot_id} of {name}, and what was before it has expired",
                hint=f"begin with it: table_changes('{name}', {snapshot.snapshot_id})",
                span=_at(node),
            )
    if first is not None and current is None:
        raise UndefinedSnapshot(
            f"snapshot {first} of {name} is not one of those that led to {last}",
            hint=f'"{name}$history" and "{name}$snapshots" list them',
            span=_at(node),
        )


def _is_first(snapshot: Snapshot) -> bool:
    """Say whether a snapshot without a parent never had one; where one expires, some writers forget that it was."""
    if snapshot.sequence_number:
        return snapshot.sequence_number == 1
    # Format version 1 has no numbers.
    facts = snapshot.summary.additional_properties if snapshot.summary is not None else {}
    return facts.get("total-data-files") == facts.get("added-data-files") is not None


def _check_adds(snapshot: Snapshot, name: str, node: exp.Table) -> None:
    operation = _operation(snapshot)
    if operation not in (Operation.APPEND, Operation.REPLACE):
        raise removed(name, snapshot.snapshot_id, operation, node)


def removed(
    name: str, snapshot_id: int, operation: Operation | None, node: exp.Table | None = None
) -> NotSupported:
    """Return the error for a snapshot that removed rows."""
    kind = operation.value if operation is not None else "unknown operation"
    return NotSupported(
        f"snapshot {snapshot_id} of {name} ({kind}) removed rows or may have; only added rows can be read",
        hint="read the parts before and behind it, or compare two versions with EXCEPT",
        span=None if node is None else _at(node),
    )


def _operation(snapshot: Snapshot) -> Operation | None:
    return snapshot.summary.operation if snapshot.summary is not None else None


def _at(node: exp.Table) -> Span | None:
    return span_of(node) or span_of(node.this)
