"""CREATE and DROP of schemas and tables.

This module must not know how a catalog commits.
"""

from __future__ import annotations

from scoter.engine.commands.outcome import Call, Command, Outcome, done
from scoter.engine.naming import table_name
from scoter.engine.statements import (
    CreateSchema,
    CreateTable,
    DropSchema,
    DropTable,
    Statement,
    span_of,
)
from scoter.engine.writing.definition import table_schema
from scoter.errors import DuplicateTable, NotSupported


def _create_schema(call: Call) -> Outcome:
    node = call.tree.this
    call.parts.lake.create_schema(
        node.catalog or call.context.catalog, node.name, if_not_exists=bool(call.tree.args.get("exists"))
    )
    return done(call)


def _drop_schema(call: Call) -> Outcome:
    node = call.tree.this
    if call.tree.args.get("cascade"):
        raise NotSupported("DROP SCHEMA … CASCADE is not offered", hint="drop its tables first")
    call.parts.lake.drop_schema(
        node.catalog or call.context.catalog, node.name, if_exists=bool(call.tree.args.get("exists"))
    )
    return done(call)


def _create_table(call: Call) -> Outcome:
    lake = call.parts.lake
    name = table_name(call.tree.this, call.context, lake)
    if call.tree.args.get("options"):
        raise NotSupported("WITH (…) is not offered", span=span_of(call.tree))
    schema, spec = table_schema(call.tree.args.get("columns") or [], call.tree.args.get("partitions") or [])
    properties = {}
    comment = call.tree.args.get("comment")
    if comment is not None:
        properties["comment"] = comment.name
    try:
        lake.create_table(name, schema, spec, properties)
    except DuplicateTable:
        if not call.tree.args.get("exists"):
            raise
    return done(call)


def _drop_table(call: Call) -> Outcome:
    lake = call.parts.lake
    exists = bool(call.tree.args.get("exists"))
    lake.drop_table(table_name(call.tree.this, call.context, lake), if_exists=exists)
    return done(call)


COMMANDS: dict[type[Statement], Command] = {
    CreateSchema: Command((), _create_schema),
    DropSchema: Command((), _drop_schema),
    CreateTable: Command((), _create_table),
    DropTable: Command((), _drop_table),
}
