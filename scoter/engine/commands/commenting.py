"""COMMENT ON: which table or column a name means, and the text that it gets.

This module must not know how a comment is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from scoter.catalog.comments import comment_on_column, comment_on_table, field_at
from scoter.catalog.names import TableName
from scoter.catalog.views import comment_on_view
from scoter.engine.commands.outcome import Call, Command, Outcome, done
from scoter.engine.naming import table_name, table_readings
from scoter.engine.statements import CommentOn, Statement, span_of
from scoter.engine.virtual import VIRTUAL_SCHEMAS, virtual_table
from scoter.errors import AmbiguousName, NotSupported, ScoterError, UndefinedColumn

_PLACED, _FULL = 2, 3  # parts of schema.table and of catalog.schema.table


def _comment(call: Call) -> Outcome:
    tree, lake = call.tree, call.parts.lake
    path: list[exp.Identifier] = tree.args.get("path") or []
    comment = tree.args["comment"]
    text = None if isinstance(comment, exp.Null) else str(comment.name)
    if tree.args.get("view"):
        comment_on_view(lake, table_name(tree.this, call.context, lake), text)
        return done(call)
    if not path:
        comment_on_table(lake, table_name(tree.this, call.context, lake), text)
        return done(call)
    try:
        name, column = _column(call, path)
        comment_on_column(lake, name, column, text)
    except ScoterError as error:
        error.span = error.span or span_of(path[0])
        raise
    return done(call)


def _column(call: Call, path: Sequence[exp.Identifier]) -> tuple[TableName, list[str]]:
    """Return the one table and column that exist under a dotted name.

    Raises UndefinedTable, UndefinedColumn, AmbiguousName, NotSupported for a table of Scoter's own.
    """
    lake = call.parts.lake
    ways = [
        (name, [part.name for part in path[length:]])
        for length in range(1, min(_FULL, len(path) - 1) + 1)
        for name in table_readings(path[:length], call.context, lake)
        # Two words are a schema and a table here, as in all that changes a table.
        if length != _PLACED or name.schema == path[0].name
    ]
    pointers = lake.pointers([name for name, _ in ways if name.schema.casefold() not in VIRTUAL_SCHEMAS])
    there: list[tuple[TableName, list[str]]] = []
    missing: UndefinedColumn | None = None
    for name, column in ways:
        if name.schema.casefold() in VIRTUAL_SCHEMAS and virtual_table(name.schema, name.name):
            raise NotSupported(f"schema {name.schema} can not be written")
        if name not in pointers:
            continue
        try:
            field_at(lake.metadata(pointers[name]).schema(), column)
        except UndefinedColumn as error:
            missing = missing or error
        else:
            there.append((name, column))
    # Catalog, schema and table written out leave no doubt.
    catalog = path[0].name.casefold()
    full = [w for w in there if len(w[1]) == len(path) - _FULL and w[0].catalog.casefold() == catalog]
    if full:
        return full[0]
    if len(there) > 1:
        first, second = (f"column {'.'.join(column)} of {name}" for name, column in there[:2])
        raise AmbiguousName(
            f"{'.'.join(part.name for part in path)} can be read as {first} and as {second}",
            hint="write catalog.schema.table.column",
        )
    if there:
        return there[0]
    if missing is not None:
        raise missing
    likely = [name for name, column in ways if len(column) == 1] or [name for name, _ in ways]
    raise lake.undefined(likely[0])


COMMANDS: dict[type[Statement], Command] = {CommentOn: Command((), _comment)}
