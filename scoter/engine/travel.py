"""Time travel: the snapshot that a table's version clause means.

This module must not know how names are found, and reads metadata only.
"""

from __future__ import annotations

from collections.abc import Callable

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.engine.functions import NOW
from scoter.engine.gate import function_name
from scoter.engine.statements import span_of
from scoter.errors import NotSupported, Span, TypeMismatch, UndefinedSnapshot
from scoter.suggestions import closest

_IN_VERSIONS = NOW | {"date_trunc", "make_timestamp", "make_timestamptz", "to_timestamp", "epoch_ms"}


def schema_of(metadata: TableMetadata, snapshot_id: int) -> Schema:
    """Return the schema that a snapshot was written under, the current one where it names none."""
    snapshot = metadata.snapshot_by_id(snapshot_id)
    if snapshot is not None and snapshot.schema_id is not None:
        for schema in metadata.schemas:
            if schema.schema_id == snapshot.schema_id:
                return schema
    return metadata.schema()


def check_constant(value: exp.Expr | None, node: exp.Table) -> None:
    """Raise NotSupported unless a version is made of constants, the current time and functions of dates."""
    if value is None or any(True for _ in value.find_all(exp.Column, exp.Placeholder, exp.Subquery)):
        raise NotSupported(
            "a version is a constant", hint="write the snapshot id or time", span=span_of(node)
        )
    for call in value.find_all(exp.Anonymous):
        if function_name(call) not in _IN_VERSIONS:
            raise NotSupported(f"{call.name} can not stand in a version", span=span_of(node))


def snapshot_meant(
    node: exp.Table, clause: exp.Expr, metadata: TableMetadata, at: Callable[[exp.Expr], int | None]
) -> tuple[int, bool]:
    """Return the snapshot that a time travel clause means, and whether it named a branch.

    ``at`` gives the microseconds since the epoch that a constant expression means. Raises UndefinedSnapshot,
    NotSupported for what is no version.
    """
    kind = str(clause.this if isinstance(clause, exp.Version) else clause.args["kind"]).upper()
    value = clause.expression
    check_constant(value, node)
    value = value.unnest()
    if kind == "VERSION":
        return version_meant(value, node, metadata, node.name)
    if kind not in {"TIMESTAMP", "SYSTEM_TIME"}:
        raise NotSupported(f"{kind} is not a version", hint="write VERSION or TIMESTAMP", span=span_of(node))
    found = moment_meant(value, node, metadata, at)
    if found is None:
        raise UndefinedSnapshot(f"{node.name} has no snapshot at that time", span=span_of(node))
    return found, False


def version_meant(value: exp.Expr, node: exp.Table, metadata: TableMetadata, name: str) -> tuple[int, bool]:
    """Return the snapshot of an id or of a branch's or tag's name, and whether it is a branch.

    ``name`` is the table's in messages. Raises UndefinedSnapshot, TypeMismatch for what is neither.
    """
    if not is_version(value):
        raise TypeMismatch(
            "a version is a snapshot id, or the name of a tag or branch in quotes",
            hint="a time is written FOR TIMESTAMP AS OF",
            span=span_of(value) or _at(node),
        )
    if isinstance(value, exp.Literal) and value.is_string and value.name in metadata.refs:
        ref = metadata.refs[value.name]
        return ref.snapshot_id, str(ref.snapshot_ref_type) == "branch"
    text = f"-{value.this.name}" if isinstance(value, exp.Neg) else value.name
    snapshot_id = int(text) if text.isdecimal() else None
    if snapshot_id is None or metadata.snapshot_by_id(snapshot_id) is None:
        raise UndefinedSnapshot(
            f"{name} has no snapshot, branch or tag '{text}'",
            hint=closest(text, [*metadata.refs]) or f'"{name}$snapshots" lists the snapshots',
            span=_at(node),
        )
    return snapshot_id, False


def is_version(value: exp.Expr) -> bool:
    """Say whether a constant is a number or a text, so that it can be an id or a name."""
    return isinstance(value.this if isinstance(value, exp.Neg) else value, exp.Literal)


def moment_meant(
    value: exp.Expr, node: exp.Table, metadata: TableMetadata, at: Callable[[exp.Expr], int | None]
) -> int | None:
    """Return the snapshot that was current at a constant point in time, None before the first.

    Raises TypeMismatch for what is no time.
    """
    try:
        micros = at(value)
    except TypeMismatch as error:
        raise TypeMismatch(
            f"{value.sql(dialect='duckdb')} is no time",
            hint="write TIMESTAMPTZ '2024-01-01 12:00:00+00', or a snapshot id where a version is meant",
            span=span_of(value) or _at(node),
        ) from error
    found: int | None = None
    for entry in metadata.snapshot_log:
        if micros is not None and entry.timestamp_ms * 1000 <= micros:
            found = entry.snapshot_id
    return found


def _at(node: exp.Table) -> Span | None:
    return span_of(node) or span_of(node.this)
