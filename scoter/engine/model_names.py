"""From a model's name, as a call writes it, to one of its versions.

This module must not know tables, nor open models.
"""

from __future__ import annotations

import re

from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.catalog.models import Models
from scoter.catalog.names import ModelName
from scoter.engine.context import Context
from scoter.engine.plan import Pins
from scoter.engine.statements import span_of
from scoter.errors import ScoterError, UndefinedVersion


def model_reference(text: str, context: Context) -> tuple[ModelName, str | None]:
    """Split 'schema.name@reference'; the schema defaults to the session's. Raises UndefinedVersion for 'm@'."""
    name, at, reference = text.partition("@")
    if at and not reference.strip():
        raise UndefinedVersion(
            f"no version stands behind the @ of '{text}'", hint=f"write '{name}' or '{name}@1'"
        )
    # A name holds no quote and no dot of its own.
    schema, dot, bare = ".".join(map(_bare, name.split("."))).rpartition(".")
    return ModelName(schema if dot else context.schema, bare), _bare(reference) or None


def _bare(name: str) -> str:
    return re.sub(r'^"(.+)"$', r"\1", name)


def resolve_model(
    text: str,
    context: Context,
    models: Models,
    node: exp.Expr | None,
    pins: Pins | None = None,
) -> ModelVersion:
    """Return the version that 'm', 'm@3' or 'm@alias' means, or the pinned one."""
    pin = next((p for p in pins.models if p.written == text), None) if pins else None
    try:
        name, reference = model_reference(text, context)
        version = models.resolve(name, str(pin.version) if pin else reference)
    except ScoterError as error:
        error.span = error.span or span_of(node)
        raise
    if pin is not None and version.sha256 != pin.sha256:
        raise UndefinedVersion(f"model {pin} is not the file it was when the statement was planned")
    return version
