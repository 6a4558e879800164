"""Comments of tables and of their columns, each changed by one Iceberg commit.

This module must not know SQL, nor which of several readings of a name is meant.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.update import (
    AddSchemaUpdate,
    AssertCurrentSchemaId,
    AssertTableUUID,
    RemovePropertiesUpdate,
    SetCurrentSchemaUpdate,
    SetPropertiesUpdate,
    TableRequirement,
    TableUpdate,
)
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from scoter.catalog import properties
from scoter.catalog.lake import Lake
from scoter.catalog.names import TableName
from scoter.catalog.translation import translated
from scoter.errors import InvalidDefinition, UndefinedColumn
from scoter.suggestions import closest

COMMENT = "comment"
_MOST = 32_768  # characters, as of a table's property
_ATTEMPTS = 8
_LAST = -1  # the schema that the same commit adds
_Change = tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]


def comment_on_table(lake: Lake, name: TableName, text: str | None) -> None:
    """Set the comment of a table, or take it away with None.

    Raises UndefinedTable, InvalidDefinition for a text that is too long, WriteConflict when other
    writers kept coming first.
    """
    if text is not None:
        properties.check({COMMENT: text})

    def change(table: Table) -> _Change | None:
        if table.metadata.properties.get(COMMENT) == text:
            return None
        if text is None:
            return (), (RemovePropertiesUpdate(removals=[COMMENT]),)
        return (), (SetPropertiesUpdate(updates={COMMENT: text}),)

    _commit(lake, name, change)


def comment_on_column(lake: Lake, name: TableName, path: Sequence[str], text: str | None) -> None:
    """Set the comment of a column, or of a field inside it, or take it away with None.

    ``path`` goes through structs by field name, through lists by ``element``, through maps by ``key``
    and ``value``. Raises UndefinedColumn and what ``comment_on_table`` raises.
    """
    if text is not None and len(text) > _MOST:
        raise InvalidDefinition(f"a comment has at most {_MOST:,} characters")

    def change(table: Table) -> _Change | None:
        schema = table.metadata.schema()
        field = field_at(schema, path)
        if field.doc == text:
            return None
        fields = [_with_doc(one, field.field_id, text) for one in schema.fields]
        same_schema = AssertCurrentSchemaId.model_validate({"current-schema-id": schema.schema_id})
        new = Schema(
            *fields,
            schema_id=max(known.schema_id for known in table.metadata.schemas) + 1,
            identifier_field_ids=schema.identifier_field_ids,
        )
        known = next((s for s in table.metadata.schemas if s == new), None)
        current = SetCurrentSchemaUpdate.model_validate(
            {"schema-id": _LAST if known is None else known.schema_id}
        )
        return (same_schema,), ((AddSchemaUpdate(schema=new), current) if known is None else (current,))

    _commit(lake, name, change)


def field_at(schema: Schema, path: Sequence[str]) -> NestedField:
    """Return the field at a path; names compare without regard to case.

    Raises UndefinedColumn, InvalidDefinition for the elements of a list or a map, which Iceberg gives
    no place for a comment.
    """
    inside: Sequence[NestedField] = schema.fields
    field: NestedField | None = None
    holder: IcebergType | None = None
    for depth, name in enumerate(path):
        exact = [one for one in inside if one.name == name]
        folded = exact or [one for one in inside if one.name.casefold() == name.casefold()]
        if not folded:
            names = [one.name for one in inside]
            kind = "columns" if depth == 0 else "names inside"
            raise UndefinedColumn(
                f'column "{".".join(path[: depth + 1])}" does not exist',
                hint=closest(name, names) or (f"the {kind} are {', '.join(names)}" if names else None),
            )
        holder = None if field is None else field.field_type
        field = folded[0]
        inside = _inside(field.field_type)
    if field is None:
        raise UndefinedColumn("a column is named by at least one word")
    if isinstance(holder, ListType | MapType):
        raise InvalidDefinition(
            "the elements of lists and maps have no comments", hint="name a column or a field"
        )
    return field


def comments_inside(field: NestedField) -> Iterator[tuple[str, str]]:
    """Yield the path from a column to each field inside it that has a comment, and the comment."""
    for part in _inside(field.field_type):
        if part.doc:
            yield part.name, part.doc
        for path, text in comments_inside(part):
            yield f"{part.name}.{path}", text


def _inside(kind: IcebergType) -> Sequence[NestedField]:
    match kind:
        case StructType():
            return kind.fields
        case ListType():
            return (kind.element_field,)
        case MapType():
            return (kind.key_field, kind.value_field)
    return ()


def _with_doc(field: NestedField, field_id: int, text: str | None) -> NestedField:
    if field.field_id == field_id:
        return field.model_copy(update={"doc": text})
    kind = field.field_type
    changed: IcebergType = kind
    match kind:
        case StructType():
            changed = StructType(*(_with_doc(part, field_id, text) for part in kind.fields))
        case ListType():
            element = _with_doc(kind.element_field, field_id, text)
            changed = ListType(
                element_id=kind.element_id,
                element=element.field_type,
                element_required=kind.element_required,
            )
        case MapType():
            changed = MapType(
                key_id=kind.key_id,
                key_type=_with_doc(kind.key_field, field_id, text).field_type,
                value_id=kind.value_id,
                value_type=_with_doc(kind.value_field, field_id, text).field_type,
                value_required=kind.value_required,
            )
    return field if changed == kind else field.model_copy(update={"field_type": changed})


def _commit(lake: Lake, name: TableName, change: Callable[[Table], _Change | None]) -> None:
    with translated(f"table {name}"):
        for attempt in range(_ATTEMPTS):
            table = lake.writable(name)
            found = change(table)
            if found is None:
                return
            requirements, updates = found
            same_table = AssertTableUUID(uuid=table.metadata.table_uuid)
            try:
                table.catalog.commit_table(table, (same_table, *requirements), updates)
            except CommitFailedException:
                # Another writer came first; what is said of the table is not changed by it.
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311  # not a secret: spreads writers
            else:
                return
