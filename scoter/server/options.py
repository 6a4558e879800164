"""Session options as Flight reads and sets them: catalog, schema, and the settings of SET.

This module must not know how sessions are kept.
"""

from __future__ import annotations

from dataclasses import replace

from scoter.catalog.lake import Lake
from scoter.engine.context import SETTINGS, Context
from scoter.errors import InvalidValue, ScoterError, UndefinedSetting
from scoter.server.flightsql import messages_pb2 as m

_INVALID_NAME, _INVALID_VALUE = 1, 2


def get_options(context: Context) -> m.GetSessionOptionsResult:
    """Return every option of a session as text."""
    values = {"catalog": context.catalog, "schema": context.schema}
    values |= {name: context.get(name) for name in SETTINGS}
    return m.GetSessionOptionsResult(
        session_options={name: m.SessionOptionValue(string_value=value) for name, value in values.items()}
    )


def set_options(
    request: m.SetSessionOptionsRequest, context: Context, default: Context, lake: Lake
) -> tuple[m.SetSessionOptionsResult, Context]:
    """Return the errors by option, and the context with those options changed that had none.

    An option without a value goes back to its default.
    """
    result = m.SetSessionOptionsResult()
    # The catalog first, whatever the order in the request: the schema is looked for in it.
    for name in sorted(request.session_options, key=lambda name: (name.casefold() != "catalog", name)):
        try:
            context = _changed(context, name, _text(request.session_options[name]), default, lake)
        except UndefinedSetting:
            result.errors[name].value = _INVALID_NAME
        except ScoterError:
            result.errors[name].value = _INVALID_VALUE
    return result, context


def _changed(context: Context, name: str, value: str | None, default: Context, lake: Lake) -> Context:
    match name.casefold():
        case "catalog":
            if value is None:
                return replace(context, catalog=default.catalog)
            known = {found.casefold(): found for found in lake.catalogs()}
            if value.casefold() not in known:
                raise InvalidValue(f"catalog {value!r} does not exist")
            return replace(context, catalog=known[value.casefold()])
        case "schema":
            if value is None:
                return replace(context, schema=default.schema)
            return replace(context, schema=lake.schema(context.catalog, value))
        case _:
            return context.set(name, default.get(name) if value is None else value)


def _text(value: m.SessionOptionValue) -> str | None:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return str(value.bool_value).lower()
        case "int64_value":
            return str(value.int64_value)
        case "double_value":
            return f"{value.double_value:g}"
        case "string_list_value":
            return ",".join(value.string_list_value.values)
        case _:
            return None
