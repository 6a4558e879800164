"""SHOW and DESCRIBE of models.

This module must not know how anything is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp

from scoter.catalog.model_records import Model, ModelVersion
from scoter.catalog.names import quoted
from scoter.engine.commands.golden_rows import golden_texts
from scoter.engine.commands.mlflow import pinned
from scoter.engine.commands.outcome import Call, Columns, Command, Outcome
from scoter.engine.commands.places import known_schema
from scoter.engine.logic import Logic, logic_of, signature_outside
from scoter.engine.model_names import model_reference, resolve_model
from scoter.engine.statements import (
    DescribeModel,
    ShowCreateModel,
    ShowModels,
    ShowVersions,
    Statement,
)
from scoter.engine.types import literal
from scoter.udfs.golden import Golden
from scoter.udfs.signature import Input

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_DECIMAL = re.compile(r"DECIMAL\(\d+,\s*(\d+)\)")
PARAMETER = "parameter"  # the source of a version whose file was sent with the statement
_HALF = "FLOAT, DOUBLE, DECIMAL and integers above 2^11 are rounded"
_LOSSY = {
    "FLOAT": "DOUBLE, DECIMAL and integers above 2^24 are rounded",
    "DOUBLE": "DECIMAL and integers above 2^53 are rounded",
}
SIGNATURE: Columns = (
    ("kind", "VARCHAR"),
    ("name", "VARCHAR"),
    ("type", "VARCHAR"),
    ("on_null", "VARCHAR"),
    ("note", "VARCHAR"),
)


def signature_rows(version: ModelVersion) -> list[tuple[Any, ...]]:
    """Return a version as rows: the version, its inputs in order, its outputs; one note on lossy casts."""
    signature, logic = signature_outside(version), logic_of(version) or Logic()
    rows: list[tuple[Any, ...]] = [
        ("model", str(version.model), f"version {version.version}", None, f"sha256 {version.sha256}")
    ]
    rows += [("input", i.name, i.type, i.on_null, _lossy(i)) for i in signature.inputs]
    rows += [("pre", step.name, step.type, None, step.sql) for step in logic.before]
    rows += [("output", o.name, o.type, None, o.role) for o in signature.outputs]
    return rows + ([] if logic.behind is None else [("post", None, logic.type, None, logic.behind)])


def _lossy(each: Input) -> str | None:
    """Return which values an input takes and does not hold exactly; others that it can not hold are refused."""
    digits = _DECIMAL.search(each.type)
    if digits is not None:
        return f"FLOAT, DOUBLE and DECIMAL are rounded to {digits.group(1)} digits behind the point"
    is_half = each.holds == "float16" and each.element == "FLOAT"
    # Of a map the values: its keys are looked up as they are.
    return _HALF if is_half else _LOSSY.get(each.element.rpartition(", ")[2].rstrip(")"))


def _models(call: Call) -> Outcome:
    schema = call.tree.this.name if call.tree.this is not None else None
    if schema is not None:
        known_schema(call, call.parts.lake.default_catalog, schema, call.tree)
    rows = []
    for model, mine in call.parts.models.models(schema):
        aliases = [f"{alias}={v.version}" for v in mine for alias in v.aliases]
        rows.append(
            (
                model.name.schema,
                model.name.name,
                model.default_version,
                len(mine),
                ", ".join(aliases) or None,
                model.comment,
                model.owner,
                model.created_at,
                model.created_by,
            )
        )
    return Outcome(rows, call.context)


def _versions(call: Call) -> Outcome:
    name, _ = model_reference(reference_text(call.tree.this), call.context)
    rows = [
        (v.version, v.is_default, list(v.aliases), v.sha256, v.size, v.source, v.created_at, v.created_by)
        for v in call.parts.models.versions(name)
    ]
    return Outcome(rows, call.context)


def _describe_model(call: Call) -> Outcome:
    version = resolve_model(reference_text(call.tree.this), call.context, call.parts.models, call.tree.this)
    return Outcome(signature_rows(version), call.context)


def _create_statement(call: Call) -> Outcome:
    name, _ = model_reference(reference_text(call.tree.this), call.context)
    model, versions = call.parts.models.model(name)
    lines = _statements(model, versions)
    return Outcome([(str(model.name), ";\n".join(lines))], call.context)


def _statements(model: Model, versions: Sequence[ModelVersion]) -> Iterator[str]:
    """Yield what makes a model anew; its versions are then numbered from 1."""
    for number, version in enumerate(versions):
        verb = f"ALTER MODEL {model.name} ADD VERSION" if number else f"CREATE MODEL {model.name}"
        yield f"{verb} FROM {_origin(version)}"
    numbers = {version.version: number for number, version in enumerate(versions, start=1)}
    if numbers[model.default_version] != 1:
        yield f"ALTER MODEL {model.name} SET DEFAULT_VERSION = {numbers[model.default_version]}"
    for version in versions:
        for alias in version.aliases:
            yield f"ALTER MODEL {model.name} SET ALIAS {quoted(alias)} = {numbers[version.version]}"
    if model.tags:
        tags = ", ".join(f"{quoted(tag)} = {literal(value)}" for tag, value in model.tags)
        yield f"ALTER MODEL {model.name} SET TAG {tags}"
    if model.comment is not None:
        yield f"COMMENT ON MODEL {model.name} IS {literal(model.comment)}"


def _origin(version: ModelVersion) -> str:
    signature, facts, logic = signature_outside(version), version.facts, logic_of(version) or Logic()
    text = "?" if version.source == PARAMETER else literal(pinned(version.source))
    # The columns of a tensor without names have none until INPUT gives them.
    # Those that differ in case alone are the file's: INPUT can not give such.
    if signature.named and len({each.name.casefold() for each in signature.inputs}) == len(signature.inputs):
        text += f" INPUT ({', '.join(map(_input, signature.inputs))})"
    if any(output.tensor is not None for output in signature.outputs):
        named = ", ".join(f"{quoted(output.name)} {output.type}" for output in signature.outputs)
        text += f" OUTPUT ({named})"
    options = [f"{key} = {text}" for key, text in _logic(logic)]
    options += [f"sha256 = {literal(version.sha256)}"]
    if facts.comment is not None:
        options.append(f"comment = {literal(facts.comment)}")
    if facts.metrics:
        options.append(f"metrics = {{{', '.join(f'{quoted(k)}: {v!r}' for k, v in facts.metrics)}}}")
    if facts.properties:
        pairs = ", ".join(f"{quoted(k)}: {literal(v)}" for k, v in facts.properties)
        options.append(f"properties = {{{pairs}}}")
    if facts.trained_on:
        options.append(f"trained_on = [{', '.join(literal(_table(*pair)) for pair in facts.trained_on)}]")
    if facts.verify is not None:
        golden = Golden.from_json(facts.verify)
        options.append(f"verify = [{', '.join(golden_texts(golden))}]")
        options.append(f"tolerance = {golden.tolerance!r}")
    return f"{text} WITH ({', '.join(options)})"


def _logic(logic: Logic) -> Iterator[tuple[str, str]]:
    if logic.before:
        yield "pre", f"{{{', '.join(f'{quoted(step.name)}: {step.sql}' for step in logic.before)}}}"
    if logic.behind is not None:
        yield "post", logic.behind


def _table(name: str, snapshot: int | None) -> str:
    return name if snapshot is None else f"{name} FOR VERSION AS OF {snapshot}"


def _input(one: Input) -> str:
    text = f"{quoted(one.name)} {one.type}"
    if one.on_null == "NULL":
        return text
    plain = one.on_null in {"NAN", "ERROR"} or (one.element != "VARCHAR" and _NUMBER.fullmatch(one.on_null))
    return f"{text} ON NULL {one.on_null if plain else literal(one.on_null)}"


def reference_text(node: exp.Expr) -> str:
    """Return a ModelReference as the text that a call would hold: [schema.]name[@version]."""
    schema = f"{node.text('db')}." if node.text("db") else ""
    version = f"@{node.text('version')}" if node.text("version") else ""
    return f"{schema}{node.name}{version}"


COMMANDS: dict[type[Statement], Command] = {
    ShowModels: Command(
        (
            ("schema_name", "VARCHAR"),
            ("model_name", "VARCHAR"),
            ("default_version", "INTEGER"),
            ("versions", "INTEGER"),
            ("aliases", "VARCHAR"),
            ("comment", "VARCHAR"),
            ("owner", "VARCHAR"),
            ("created_at", "TIMESTAMPTZ"),
            ("created_by", "VARCHAR"),
        ),
        _models,
        changes=False,
    ),
    ShowVersions: Command(
        (
            ("version", "INTEGER"),
            ("is_default", "BOOLEAN"),
            ("aliases", "VARCHAR[]"),
            ("sha256", "VARCHAR"),
            ("bytes", "BIGINT"),
            ("source", "VARCHAR"),
            ("created_at", "TIMESTAMPTZ"),
            ("created_by", "VARCHAR"),
        ),
        _versions,
        changes=False,
    ),
    ShowCreateModel: Command(
        (("model_name", "VARCHAR"), ("create_statement", "VARCHAR")), _create_statement, changes=False
    ),
    DescribeModel: Command(SIGNATURE, _describe_model, changes=False),
}
