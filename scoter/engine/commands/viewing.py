"""CREATE, DROP and RENAME of views.

This module must not know how a catalog keeps a view, nor how its text is written.
"""

from __future__ import annotations

from scoter.catalog.views import create_view, drop_view, rename_view
from scoter.engine.commands.outcome import Call, Command, Outcome, done
from scoter.engine.naming import table_name
from scoter.engine.statements import CreateView, DropView, RenameView, Statement, span_of
from scoter.engine.viewing import draft
from scoter.errors import DuplicateTable, InvalidDefinition


def _create(call: Call) -> Outcome:
    tree, lake = call.tree, call.parts.lake
    name = table_name(tree.this, call.context, lake)
    for view in call.resolved.views:
        if view.pin.name.folded == name.folded:
            raise InvalidDefinition(
                f"view {view.pin.name} would read itself", span=view.span or span_of(tree)
            )
    comment = tree.args.get("comment")
    made = draft(
        call.resolved,
        call.described,
        tree.args.get("columns") or [],
        None if comment is None else str(comment.name),
        call.parts.binder,
    )
    try:
        create_view(lake, name, made, replace=bool(tree.args.get("replace")))
    except DuplicateTable:
        if not tree.args.get("exists"):
            raise
    return done(call)


def _drop(call: Call) -> Outcome:
    lake = call.parts.lake
    name = table_name(call.tree.this, call.context, lake)
    drop_view(lake, name, if_exists=bool(call.tree.args.get("exists")))
    return done(call)


def _rename(call: Call) -> Outcome:
    lake = call.parts.lake
    old = table_name(call.tree.this, call.context, lake)
    new = call.tree.args["name"].copy()
    if not new.db:
        # Without a schema the view stays in its own.
        new.set("db", call.tree.this.args.get("db"))
        new.set("catalog", call.tree.this.args.get("catalog"))
    rename_view(lake, old, table_name(new, call.context, lake))
    return done(call)


COMMANDS: dict[type[Statement], Command] = {
    CreateView: Command((), _create),
    DropView: Command((), _drop),
    RenameView: Command((), _rename),
}
