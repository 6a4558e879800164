"""Whether a place that a command names exists.

This module must not know any command.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.commands.outcome import Call
from scoter.engine.statements import span_of
from scoter.errors import UndefinedSchema
from scoter.suggestions import closest


def known_schema(call: Call, catalog: str, schema: str, node: exp.Expr) -> None:
    """Raise UndefinedSchema, at ``node``, for a schema that does not exist."""
    lake = call.parts.lake
    if not lake.has_schema(catalog, schema):
        raise UndefinedSchema(
            f'schema "{schema}" does not exist',
            hint=closest(schema, lake.schemas(catalog)) or "SHOW SCHEMAS lists them, CREATE SCHEMA makes one",
            span=span_of(node),
        )
