"""USE, SET, RESET, SHOW of settings, and the statements of transactions.

This module must not know where a session is kept.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from scoter.engine.commands.outcome import Call, Command, Outcome, done
from scoter.engine.context import SETTINGS, Context, setting_name
from scoter.engine.statements import (
    BeginTransaction,
    CommitTransaction,
    ResetSetting,
    RollbackTransaction,
    SetSetting,
    ShowIsolation,
    ShowSetting,
    ShowSettings,
    Statement,
    UseSchema,
    span_of,
)
from scoter.errors import InvalidValue, NotSupported, ScoterError, UndefinedCatalog, UndefinedSchema
from scoter.suggestions import closest


def _use(call: Call) -> Outcome:
    node = call.tree.this
    lake = call.parts.lake
    name, catalog = node.name, node.catalog
    context = call.context
    if catalog:
        if catalog not in lake.catalogs():
            raise UndefinedCatalog(
                f'catalog "{catalog}" does not exist',
                hint=closest(catalog, lake.catalogs()),
                span=span_of(node),
            )
        if not lake.has_schema(catalog, name):
            raise _unknown(call, catalog, name)
        return done(call, replace(context, catalog=catalog, schema=lake.schema(catalog, name)))
    if lake.has_schema(context.catalog, name):
        return done(call, replace(context, schema=lake.schema(context.catalog, name)))
    if name in lake.catalogs():
        return done(call, replace(context, catalog=name))
    raise _unknown(call, context.catalog, name)


def _unknown(call: Call, catalog: str, name: str) -> UndefinedSchema:
    lake = call.parts.lake
    known = lake.schemas(catalog) if catalog in lake.catalogs() else lake.catalogs()
    hint = closest(name, known) or "SHOW SCHEMAS lists the schemas"
    return UndefinedSchema(f'schema "{name}" does not exist', hint=hint, span=span_of(call.tree.this))


def _set(call: Call) -> Outcome:
    value = call.tree.expression
    if isinstance(value, exp.Literal | exp.Boolean | exp.Identifier | exp.Var | exp.Column):
        text = value.name if not isinstance(value, exp.Boolean) else str(value.this).lower()
    else:
        raise InvalidValue("a setting takes a constant", span=span_of(call.tree))
    try:
        return done(call, call.context.set(call.tree.name, text))
    except ScoterError as error:
        error.span = error.span or span_of(call.tree)
        raise


def _reset(call: Call) -> Outcome:
    fresh = Context(call.context.principal, call.context.catalog, call.context.schema)
    if call.tree.this is None:
        return done(call, fresh)
    key = _placed_name(call)
    return done(call, replace(call.context, **{key: getattr(fresh, key)}))


def _show(call: Call) -> Outcome:
    name = call.tree.name.casefold()
    if name in {"catalog", "schema", "search_path"}:
        value = call.context.catalog if name == "catalog" else call.context.schema
        return Outcome([(name, value)], call.context)
    key = _placed_name(call)
    return Outcome([(key, call.context.get(key))], call.context)


def _show_all(call: Call) -> Outcome:
    return Outcome([(name, call.context.get(name)) for name in SETTINGS], call.context)


def _isolation(call: Call) -> Outcome:
    # As GetSqlInfo says: where there are no transactions there is no level.
    return Outcome([("none",)], call.context)


def _placed_name(call: Call) -> str:
    try:
        return setting_name(call.tree.name)
    except ScoterError as error:
        error.span = error.span or span_of(call.tree)
        raise


def _transaction(call: Call) -> Outcome:
    raise NotSupported(
        "transactions of several statements are not offered yet",
        hint="every statement commits by itself",
        span=span_of(call.tree),
    )


_SETTING = (("name", "VARCHAR"), ("value", "VARCHAR"))

COMMANDS: dict[type[Statement], Command] = {
    UseSchema: Command((), _use),
    SetSetting: Command((), _set),
    ResetSetting: Command((), _reset),
    ShowSetting: Command(_SETTING, _show, changes=False),
    ShowSettings: Command(_SETTING, _show_all, changes=False),
    # PostgreSQL's name of the column: its tools ask.
    ShowIsolation: Command((("transaction_isolation", "VARCHAR"),), _isolation, changes=False),
    BeginTransaction: Command((), _transaction),
    CommitTransaction: Command((), _transaction),
    RollbackTransaction: Command((), _transaction),
}
