"""CREATE, ALTER and DROP of models, and what is said of them.

This module must not know how a model is inspected, nor how its record is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlglot import exp

from scoter.catalog.model_records import Made, ModelVersion, VersionFacts, now, number_of
from scoter.catalog.names import ModelName
from scoter.engine.binding import data_type
from scoter.engine.commands.logic_told import logic_before, logic_behind
from scoter.engine.commands.model_options import told_of
from scoter.engine.commands.model_sources import read_source
from scoter.engine.commands.models_shown import PARAMETER, SIGNATURE, reference_text, signature_rows
from scoter.engine.commands.outcome import Call, Command, Outcome, done
from scoter.engine.commands.places import known_schema
from scoter.engine.commands.training import snapshots_of
from scoter.engine.logic import Logic, signature_outside
from scoter.engine.model_names import model_reference
from scoter.engine.statements import (
    AddModelVersion,
    CommentOnModel,
    CreateModel,
    DropModel,
    DropModelAlias,
    DropModelVersion,
    RenameModel,
    SetModelAlias,
    SetModelDefault,
    SetModelOwner,
    SetModelTags,
    Statement,
    UnsetModelTags,
    span_of,
)
from scoter.engine.types import spelled
from scoter.errors import (
    Cancelled,
    InvalidDefinition,
    InvalidModel,
    InvalidValue,
    NotSupported,
    ScoterError,
    Span,
    UndefinedVersion,
)
from scoter.suggestions import closest
from scoter.udfs.declared import DeclaredInput
from scoter.udfs.golden import Golden, fitted
from scoter.udfs.inspection import inspect
from scoter.udfs.signature import Signature


def _create_model(call: Call) -> Outcome:
    name = _name(call)
    known_schema(call, call.parts.lake.default_catalog, name.schema, call.tree.this)
    exists = bool(call.tree.args.get("exists"))
    if exists and any(v.model == name for v in call.parts.models.list(name.schema)):
        return Outcome(signature_rows(call.parts.models.resolve(name, None)), call.context)
    version = call.parts.models.create(
        name, _accepted(call), replace=bool(call.tree.args.get("replace")), if_not_exists=exists
    )
    return Outcome(signature_rows(version), call.context)


def _add_version(call: Call) -> Outcome:
    name = _name(call)
    call.parts.models.resolve(name, None)
    version = call.parts.models.add_version(name, _accepted(call))
    return Outcome(signature_rows(version), call.context)


def _accepted(call: Call) -> Made:
    """Read, inspect and store the model file of a statement; return what its record holds."""
    tree = call.tree
    told = told_of(tree.args.get("options") or [])
    trained_on = snapshots_of(told.trained_on, call)
    source = tree.args["source"]
    if isinstance(source, exp.Literal):
        data, origin = read_source(source.name, call)
    else:
        data, origin = call.values[str(source.this)], PARAMETER
        if not isinstance(data, bytes):
            raise InvalidModel("the bound value is not a model file's bytes", span=span_of(source))
    declared = tuple(
        DeclaredInput(
            part.name,
            part.args["kind"].sql(dialect="duckdb"),
            _on_null(part.args.get("on_null")),
            span_of(part),
        )
        for part in tree.args.get("inputs") or []
    )
    logic = Logic()
    if told.pre is not None:
        logic, declared = logic_before(told.pre, declared, call.parts.binder)
    try:
        told.check_file(data)
        found = inspect(data, declared, call.parts.settings.models, call.cancellation.attach)
        _refuse_cancelled(call)
        signature = found.signature
        if tree.args.get("outputs"):
            signature = _named(signature, tree.args["outputs"])
        sha256 = call.parts.artifacts.put(data)
    except ScoterError as error:
        _refuse_cancelled(call)
        error.span = error.span or span_of(source)
        raise
    if told.post is not None:
        logic = logic_behind(logic, told.post, signature, call.parts.binder)
    made = Made(
        sha256=sha256,
        size=len(data),
        signature=signature.to_json(),
        source=origin,
        principal=call.context.principal.name,
        facts=VersionFacts(
            found.opset,
            found.producer,
            told.comment,
            told.metrics,
            told.properties,
            None,
            None if found.linear is None else found.linear.to_json(),
            trained_on,
            None if logic == Logic() else logic.to_json(),
        ),
    )
    return made if told.verify is None else _verified(call, made, told.verify, told.verify_place)


def _named(signature: Signature, outputs: Sequence[exp.Expr]) -> Signature:
    """Return the signature with the names of OUTPUT; raises InvalidDefinition, with the place."""
    try:
        named = signature.naming([each.name for each in outputs])
        for wanted, each in zip(outputs, named.outputs, strict=True):
            kind = wanted.args.get("kind")
            if kind is not None and kind != data_type(each.type):
                text = spelled(kind.sql(dialect="duckdb"))
                raise InvalidDefinition(  # noqa: TRY301  # another of the same errors gets its place below
                    f'the output "{each.name}" is {each.type}, not {text}', span=span_of(wanted)
                )
    except InvalidDefinition as error:
        error.span = error.span or span_of(outputs[0])
        raise
    return named


def _verified(call: Call, made: Made, rows: Golden, place: Span | None) -> Made:
    """Return what is kept of a version with its golden rows; raises GoldenRowsBroken where they do not hold now."""
    try:
        golden = fitted(rows, signature_outside(_unnumbered(call, made)))
        proven = replace(made, facts=replace(made.facts, verify=golden.to_json()))
        call.parts.proofs.check("the model", _unnumbered(call, proven), call.context, call.cancellation)
    except ScoterError as error:
        error.span = error.span or place
        raise
    return proven


def _unnumbered(call: Call, made: Made) -> ModelVersion:
    """Return a version as it will be, before it has a number."""
    return ModelVersion(
        model=_name(call),
        version=0,
        sha256=made.sha256,
        size=made.size,
        signature=made.signature,
        facts=made.facts,
        source=made.source,
        created_at=now(),
        created_by=made.principal,
        aliases=(),
        is_default=False,
    )


def _refuse_cancelled(call: Call) -> None:
    if call.cancellation.requested:
        raise Cancelled("the statement was cancelled")


def _on_null(node: exp.Expr | None) -> str:
    match node:
        case None:
            return "NULL"
        case exp.Neg():
            return f"-{node.this.name}"
        case exp.Literal():
            return str(node.name)
        case _:
            return str(node.sql(dialect="duckdb"))


def _name(call: Call) -> ModelName:
    name, reference = model_reference(reference_text(call.tree.this), call.context)
    if reference:
        raise NotSupported("a version can not be named here", span=span_of(call.tree.this))
    return name


def _version(call: Call) -> ModelVersion:
    name, version = _name(call), call.tree.args["version"]
    with _placed(version):
        return call.parts.models.resolve(name, version.name)


@contextmanager
def _placed(node: exp.Expr) -> Iterator[None]:
    """Let what is said of a version or alias that there is not stand where it is written."""
    try:
        yield
    except UndefinedVersion as error:
        error.span = span_of(node)
        raise


def _ready(call: Call) -> ModelVersion:
    """Return the version that a statement names, loaded and proven, so that nobody waits for its first call."""
    version = _version(call)
    signature = Signature.from_json(version.signature)
    call.parts.sessions.get(version.sha256, free=signature.batch is None)
    call.parts.proofs.check(f"{version.model}@{version.version}", version, call.context, call.cancellation)
    return version


def _set_default(call: Call) -> Outcome:
    call.parts.models.set_default(_name(call), _ready(call).version)
    return done(call)


def _set_alias(call: Call) -> Outcome:
    call.parts.models.set_alias(_name(call), call.tree.args["alias"].name, _ready(call).version)
    return done(call)


def _drop_alias(call: Call) -> Outcome:
    with _placed(call.tree.args["alias"]):
        call.parts.models.drop_alias(_name(call), call.tree.args["alias"].name)
    return done(call)


def _drop_version(call: Call) -> Outcome:
    version = call.tree.args["version"]
    number = number_of(version.name)
    if number is None:
        raise UndefinedVersion("DROP VERSION takes a number", span=span_of(version))
    with _placed(version):
        call.parts.models.drop_version(_name(call), number)
    return done(call)


def _rename(call: Call) -> Outcome:
    target, _ = model_reference(reference_text(call.tree.args["name"]), call.context)
    known_schema(call, call.parts.lake.default_catalog, target.schema, call.tree.args["name"])
    call.parts.models.rename(_name(call), target)
    return done(call)


def _set_owner(call: Call) -> Outcome:
    owner = call.tree.args["owner"]
    principals = call.parts.principals
    if principals.get(owner.name) is None and (
        principals.exist() or owner.name != call.context.principal.name
    ):
        raise InvalidValue(
            f'there is no user "{owner.name}"',
            hint=closest(owner.name, [known.name for known in principals.list()]),
            span=span_of(owner),
        )
    call.parts.models.set_owner(_name(call), owner.name)
    return done(call)


def _set_tags(call: Call) -> Outcome:
    tags = {tag.name: str(tag.expression.name) for tag in call.tree.args["tags"]}
    call.parts.models.set_tags(_name(call), tags)
    return done(call)


def _unset_tags(call: Call) -> Outcome:
    call.parts.models.unset_tags(_name(call), [tag.name for tag in call.tree.args["tags"]])
    return done(call)


def _comment(call: Call) -> Outcome:
    comment = call.tree.args["comment"]
    text = None if isinstance(comment, exp.Null) else str(comment.name)
    call.parts.models.set_comment(_name(call), text)
    return done(call)


def _drop_model(call: Call) -> Outcome:
    call.parts.models.drop(_name(call), if_exists=bool(call.tree.args.get("exists")))
    return done(call)


COMMANDS: dict[type[Statement], Command] = {
    CreateModel: Command(SIGNATURE, _create_model),
    AddModelVersion: Command(SIGNATURE, _add_version),
    SetModelDefault: Command((), _set_default),
    SetModelAlias: Command((), _set_alias),
    DropModelAlias: Command((), _drop_alias),
    DropModelVersion: Command((), _drop_version),
    RenameModel: Command((), _rename),
    SetModelOwner: Command((), _set_owner),
    SetModelTags: Command((), _set_tags),
    UnsetModelTags: Command((), _unset_tags),
    CommentOnModel: Command((), _comment),
    DropModel: Command((), _drop_model),
}
