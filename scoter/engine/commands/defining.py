"""CREATE and DROP of schemas and tables; CREATE, ALTER and DROP of models.

This module must not know how a model is inspected, nor how a catalog commits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import fsspec
from sqlglot import exp

from scoter.catalog.models import ModelVersion
from scoter.catalog.names import ModelName
from scoter.engine.commands.looking import SIGNATURE, reference_text, signature_rows
from scoter.engine.commands.outcome import Call, Command, Outcome, done
from scoter.engine.naming import table_name
from scoter.engine.resolve import model_reference, resolve_model
from scoter.engine.statements import (
    AddModelVersion,
    CreateModel,
    CreateSchema,
    CreateTable,
    DropModel,
    DropModelAlias,
    DropModelVersion,
    DropSchema,
    DropTable,
    SetModelAlias,
    SetModelDefault,
    Statement,
    span_of,
)
from scoter.engine.writing.definition import table_schema
from scoter.errors import (
    Cancelled,
    DuplicateTable,
    InvalidModel,
    NotSupported,
    PermissionDenied,
    ScoterError,
    UndefinedSchema,
    UndefinedVersion,
)
from scoter.suggestions import closest
from scoter.udfs.inspection import DeclaredInput, inspect


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


def _create_model(call: Call) -> Outcome:
    name = _name(call)
    lake = call.parts.lake
    if not lake.has_schema(lake.default_catalog, name.schema):
        raise UndefinedSchema(
            f'schema "{name.schema}" does not exist',
            hint=closest(name.schema, lake.schemas(lake.default_catalog)) or "CREATE SCHEMA makes one",
            span=span_of(call.tree.this),
        )
    exists = bool(call.tree.args.get("exists"))
    if exists and any(v.model == name for v in call.parts.models.list(name.schema)):
        return Outcome(signature_rows(call.parts.models.resolve(name, None)), call.context)
    facts = _accepted(call)
    version = call.parts.models.create(
        name,
        replace=bool(call.tree.args.get("replace")),
        if_not_exists=exists,
        **facts,
    )
    return Outcome(signature_rows(version), call.context)


def _add_version(call: Call) -> Outcome:
    name = _name(call)
    call.parts.models.resolve(name, None)
    version = call.parts.models.add_version(name, **_accepted(call))
    return Outcome(signature_rows(version), call.context)


def _accepted(call: Call) -> dict[str, Any]:
    """Read, inspect and store the model file of a statement; return what its record holds."""
    tree = call.tree
    if tree.args.get("outputs") or tree.args.get("options"):
        raise NotSupported("OUTPUT and WITH are not offered yet", span=span_of(tree))
    source = tree.args["source"]
    if isinstance(source, exp.Literal):
        data, origin = read_model(source.name, call), source.name
    else:
        data, origin = call.values[str(source.this)], "parameter"
        if not isinstance(data, bytes):
            raise InvalidModel("the bound value is not a model file's bytes", span=span_of(source))
    declared = tuple(
        DeclaredInput(part.name, part.args["kind"].sql(dialect="duckdb"), _on_null(part.args.get("on_null")))
        for part in tree.args.get("inputs") or []
    )
    try:
        signature = inspect(data, declared, call.parts.settings.models, call.cancellation.attach)
        _refuse_cancelled(call)
    except ScoterError as error:
        _refuse_cancelled(call)
        error.span = error.span or span_of(source)
        raise
    return {
        "sha256": call.parts.artifacts.put(data),
        "size": len(data),
        "signature": signature.to_json(),
        "source": origin,
        "principal": call.context.principal.name,
    }


def _refuse_cancelled(call: Call) -> None:
    if call.cancellation.requested:
        raise Cancelled("the statement was cancelled")


def _on_null(node: exp.Expr | None) -> str:
    return "NULL" if node is None else str(node.name or node.sql(dialect="duckdb"))


def read_model(uri: str, call: Call) -> bytes:
    """Return a model file's bytes; its URI, with links followed, must lie under an allowed prefix.

    Raises PermissionDenied for any other place, InvalidModel for a file that is missing or too large.
    """
    limits = call.parts.settings.models
    span = span_of(call.tree.args["source"])
    scheme = urlparse(uri).scheme
    if scheme in {"", "file"}:
        path = _local(uri)
        allowed = any(
            path.is_relative_to(_local(prefix))
            for prefix in limits.allowed_prefixes
            if urlparse(prefix).scheme in {"", "file"}
        )
        target = str(path)
    else:
        allowed = ".." not in uri.split("/") and any(
            uri.startswith(prefix.rstrip("/") + "/") for prefix in limits.allowed_prefixes
        )
        target = uri
    if not allowed:
        raise PermissionDenied(
            "the model file lies under none of models.allowed_prefixes",
            hint="send the file as a parameter with FROM ?, or have the prefix allowed",
            span=span,
        )
    try:
        with fsspec.open(target, "rb") as file:
            data: bytes = file.read(limits.max_bytes + 1)
    except (OSError, ImportError, ValueError) as error:
        raise InvalidModel("the model file can not be read", span=span) from error
    if len(data) > limits.max_bytes:
        raise InvalidModel(f"the model file has more than {limits.max_bytes:,} bytes", span=span)
    return data


def _local(uri: str) -> Path:
    parsed = urlparse(uri)
    return Path(unquote(parsed.path) if parsed.scheme == "file" else uri).resolve()


def _name(call: Call) -> ModelName:
    name, reference = model_reference(reference_text(call.tree.this), call.context)
    if reference:
        raise NotSupported("a version can not be named here", span=span_of(call.tree.this))
    return name


def _version(call: Call) -> ModelVersion:
    reference = call.tree.args["version"].name
    return resolve_model(f"{_name(call)}@{reference}", call.context, call.parts.models, call.tree)


def _set_default(call: Call) -> Outcome:
    call.parts.models.set_default(_name(call), _version(call).version)
    return done(call)


def _set_alias(call: Call) -> Outcome:
    call.parts.models.set_alias(_name(call), call.tree.args["alias"].name, _version(call).version)
    return done(call)


def _drop_alias(call: Call) -> Outcome:
    call.parts.models.drop_alias(_name(call), call.tree.args["alias"].name)
    return done(call)


def _drop_version(call: Call) -> Outcome:
    reference = call.tree.args["version"].name
    if not reference.isdigit():
        raise UndefinedVersion("DROP VERSION takes a number", span=span_of(call.tree))
    call.parts.models.drop_version(_name(call), int(reference))
    return done(call)


def _drop_model(call: Call) -> Outcome:
    call.parts.models.drop(_name(call), if_exists=bool(call.tree.args.get("exists")))
    return done(call)


COMMANDS: dict[type[Statement], Command] = {
    CreateSchema: Command((), _create_schema),
    DropSchema: Command((), _drop_schema),
    CreateTable: Command((), _create_table),
    DropTable: Command((), _drop_table),
    CreateModel: Command(SIGNATURE, _create_model),
    AddModelVersion: Command(SIGNATURE, _add_version),
    SetModelDefault: Command((), _set_default),
    SetModelAlias: Command((), _set_alias),
    DropModelAlias: Command((), _drop_alias),
    DropModelVersion: Command((), _drop_version),
    DropModel: Command((), _drop_model),
}
