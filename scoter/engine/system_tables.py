"""The tables of the schema system: what is registered here, one fact a row.

This module must not know how a statement reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scoter.catalog.model_records import ModelVersion
from scoter.catalog.models import Models
from scoter.engine.logic import Logic, logic_of, signature_outside
from scoter.udfs.signature import Signature

Columns = tuple[tuple[str, str], ...]

_MODEL: Columns = (("schema_name", "VARCHAR"), ("model_name", "VARCHAR"))
_MADE: Columns = (("created_at", "TIMESTAMPTZ"), ("created_by", "VARCHAR"))
_PLACE: Columns = (("version", "INTEGER"), ("position", "INTEGER"))

TABLES: dict[str, Columns] = {
    "models": (
        *_MODEL,
        ("default_version", "INTEGER"),
        ("comment", "VARCHAR"),
        ("owner", "VARCHAR"),
        ("tags", "MAP(VARCHAR, VARCHAR)"),
        *_MADE,
    ),
    "model_versions": (
        *_MODEL,
        ("version", "INTEGER"),
        ("is_default", "BOOLEAN"),
        ("aliases", "VARCHAR[]"),
        ("task", "VARCHAR"),
        ("inputs", "VARCHAR"),
        ("outputs", "VARCHAR"),
        ("labels", "VARCHAR[]"),
        ("comment", "VARCHAR"),
        ("metrics", "MAP(VARCHAR, DOUBLE)"),
        ("properties", "MAP(VARCHAR, VARCHAR)"),
        ("trained_on", "MAP(VARCHAR, BIGINT)"),
        ("pre", "MAP(VARCHAR, VARCHAR)"),
        ("post", "VARCHAR"),
        ("opset", "INTEGER"),
        ("producer", "VARCHAR"),
        ("sha256", "VARCHAR"),
        ("bytes", "BIGINT"),
        ("source", "VARCHAR"),
        *_MADE,
    ),
    "model_aliases": (*_MODEL, ("alias", "VARCHAR"), ("version", "INTEGER")),
    "model_inputs": (
        *_MODEL,
        *_PLACE,
        ("input_name", "VARCHAR"),
        ("data_type", "VARCHAR"),
        ("on_null", "VARCHAR"),
    ),
    "model_outputs": (
        *_MODEL,
        *_PLACE,
        ("output_name", "VARCHAR"),
        ("data_type", "VARCHAR"),
        ("role", "VARCHAR"),
    ),
}


def system_rows(name: str, models: Models) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one of the tables as they are now."""
    if name == "models":
        yield from _models(models)
        return
    for version in models.list():
        mine = (version.model.schema, version.model.name)
        signature = signature_outside(version)
        if name == "model_versions":
            yield (*mine, *_version(version, signature))
        elif name == "model_aliases":
            yield from ((*mine, alias, version.version) for alias in version.aliases)
        elif name == "model_inputs":
            for place, one in enumerate(signature.inputs, start=1):
                yield (*mine, version.version, place, one.name, one.type, one.on_null)
        else:
            for place, each in enumerate(signature.outputs, start=1):
                yield (*mine, version.version, place, each.name, each.type, each.role)


def _models(models: Models) -> Iterator[tuple[Any, ...]]:
    for model, _ in models.models():
        yield (
            model.name.schema,
            model.name.name,
            model.default_version,
            model.comment,
            model.owner,
            list(model.tags),
            model.created_at,
            model.created_by,
        )


def _version(version: ModelVersion, signature: Signature) -> tuple[Any, ...]:
    facts, logic = version.facts, logic_of(version) or Logic()
    return (
        version.version,
        version.is_default,
        list(version.aliases),
        signature.task,
        ", ".join(f"{one.name} {one.type}" for one in signature.inputs),
        ", ".join(f"{one.name} {one.type}" for one in signature.outputs),
        [str(label) for label in signature.labels],
        facts.comment,
        list(facts.metrics),
        list(facts.properties),
        list(facts.trained_on),
        [(step.name, step.sql) for step in logic.before],
        logic.behind,
        facts.opset,
        facts.producer,
        version.sha256,
        version.size,
        version.source,
        version.created_at,
        version.created_by,
    )
