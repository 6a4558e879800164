"""How models are kept in the metastore: its tables, and rows as frozen records.

This module must not know what may be changed, nor what is in a model's file or signature.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from scoter.catalog.names import ModelName, folded
from scoter.errors import CorruptData, UndefinedModel, UndefinedVersion
from scoter.suggestions import closest

_NO_VERSION = 2**31 - 1  # stands for every number that has too many digits to be a version's

MODELS = sa.table(
    "scoter_models",
    sa.column("id", sa.Integer),
    sa.column("schema_name", sa.String),
    sa.column("name", sa.String),
    sa.column("schema_folded", sa.String),
    sa.column("name_folded", sa.String),
    sa.column("dropped", sa.Boolean),
    sa.column("default_version", sa.Integer),
    sa.column("last_version", sa.Integer),
    sa.column("comment", sa.Text),
    sa.column("owner", sa.String),
    sa.column("renamed_to", sa.Integer),
    sa.column("created_at", sa.DateTime),
    sa.column("created_by", sa.String),
)
VERSIONS = sa.table(
    "scoter_model_versions",
    sa.column("model_id", sa.Integer),
    sa.column("version", sa.Integer),
    sa.column("sha256", sa.String),
    sa.column("bytes", sa.BigInteger),
    sa.column("signature", sa.Text),
    sa.column("facts", sa.Text),
    sa.column("source", sa.Text),
    sa.column("created_at", sa.DateTime),
    sa.column("created_by", sa.String),
    sa.column("dropped", sa.Boolean),
)
ALIASES = sa.table(
    "scoter_model_aliases",
    sa.column("model_id", sa.Integer),
    sa.column("alias_folded", sa.String),
    sa.column("alias", sa.String),
    sa.column("version", sa.Integer),
)
TAGS = sa.table(
    "scoter_model_tags",
    sa.column("model_id", sa.Integer),
    sa.column("tag_folded", sa.String),
    sa.column("tag", sa.String),
    sa.column("value", sa.Text),
)
REVISION = sa.table(
    "scoter_model_revision", sa.column("id", sa.Integer), sa.column("revision", sa.BigInteger)
)


@dataclass(frozen=True)
class VersionFacts:
    """What is known and said of a version beside its signature; None where nothing is.

    ``opset`` and ``producer`` are what its file says, ``metrics`` and ``properties`` what the user does;
    ``verify`` are golden rows and ``linear`` the weights of a model that is a weighted sum, as JSON text;
    ``trained_on`` are tables with their snapshots; ``logic`` are expressions around the model, as JSON text.
    """

    opset: int | None = None
    producer: str | None = None
    comment: str | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    verify: str | None = None
    linear: str | None = None
    trained_on: tuple[tuple[str, int | None], ...] = ()
    logic: str | None = None

    def to_json(self) -> str:
        """Return the facts as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> VersionFacts:
        """Read what ``to_json`` wrote, also that of an older version; raises CorruptData for anything else."""
        try:
            found = json.loads(text)
            known = {field.name: found[field.name] for field in fields(cls) if field.name in found.keys()}  # noqa: SIM118  # a list has none
            pairs = {
                name: tuple(map(tuple, known.get(name, ())))
                for name in ("metrics", "properties", "trained_on")
            }
            return cls(**(known | pairs))
        except (ValueError, TypeError, AttributeError) as error:
            raise CorruptData("the stored facts of a model's version can not be read") from error


@dataclass(frozen=True)
class Made:
    """A version that is to be kept; ``size`` in bytes, ``signature`` as JSON text, ``principal`` its maker."""

    sha256: str
    size: int
    signature: str
    source: str
    principal: str
    facts: VersionFacts = VersionFacts()


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model; ``size`` in bytes, ``signature`` as the JSON text it was made with."""

    model: ModelName
    version: int
    sha256: str
    size: int
    signature: str
    facts: VersionFacts
    source: str
    created_at: datetime
    created_by: str
    aliases: tuple[str, ...]
    is_default: bool


@dataclass(frozen=True)
class Model:
    """A model without its versions; ``tags`` by name."""

    name: ModelName
    default_version: int
    comment: str | None
    owner: str
    tags: tuple[tuple[str, str], ...]
    created_at: datetime
    created_by: str


def now() -> datetime:
    """Return this moment as the metastore keeps it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def model_row(connection: sa.Connection, model: ModelName, *, dropped: bool = False) -> Any:
    """Return a model's row or None; with ``dropped`` also that of one that was dropped."""
    query = sa.select(MODELS).where(
        MODELS.c.schema_folded == folded(model.schema), MODELS.c.name_folded == folded(model.name)
    )
    if not dropped:
        query = query.where(MODELS.c.dropped == sa.false())
    return connection.execute(query).one_or_none()


def existing(connection: sa.Connection, model: ModelName) -> Any:
    """Return a model's row; raises UndefinedModel."""
    row = model_row(connection, model)
    if row is None:
        raise no_such_model(connection, model)
    return row


def insert_model(connection: sa.Connection, model: ModelName, principal: str) -> Any:
    """Add a model without versions and return its row."""
    connection.execute(
        sa.insert(MODELS).values(
            schema_name=model.schema,
            name=model.name,
            schema_folded=folded(model.schema),
            name_folded=folded(model.name),
            dropped=False,
            default_version=0,
            last_version=0,
            owner=principal,
            created_at=now(),
            created_by=principal,
        )
    )
    return model_row(connection, model)


def revive_model(connection: sa.Connection, row: Any, model: ModelName, principal: str) -> None:
    """Make a model anew in the row of one that was dropped or renamed."""
    update_model(
        connection,
        row,
        schema_name=model.schema,
        name=model.name,
        dropped=False,
        renamed_to=None,
        comment=None,
        owner=principal,
        created_at=now(),
        created_by=principal,
    )


def rename_model(connection: sa.Connection, row: Any, name: ModelName) -> None:
    """Give a model's row another name, which no other row has."""
    update_model(
        connection,
        row,
        schema_name=name.schema,
        name=name.name,
        schema_folded=folded(name.schema),
        name_folded=folded(name.name),
    )


def leave_name(connection: sa.Connection, row: Any) -> None:
    """Keep the name that a model's ``row`` had, so that its numbers are not given to another model."""
    kept = {column.name: getattr(row, column.name) for column in MODELS.columns if column.name != "id"}
    connection.execute(sa.insert(MODELS).values(**(kept | {"dropped": True, "renamed_to": row.id})))


def insert_version(connection: sa.Connection, row: Any, made: Made) -> int:
    """Add the next version of a model and return its number."""
    number = int(row.last_version) + 1
    update_model(connection, row, last_version=number)
    connection.execute(
        sa.insert(VERSIONS).values(
            model_id=row.id,
            version=number,
            sha256=made.sha256,
            bytes=made.size,
            signature=made.signature,
            facts=made.facts.to_json(),
            source=made.source,
            created_at=now(),
            created_by=made.principal,
            dropped=False,
        )
    )
    return number


def update_model(connection: sa.Connection, row: Any, **values: Any) -> None:
    """Change columns of a model's row."""
    connection.execute(sa.update(MODELS).where(MODELS.c.id == row.id).values(**values))


def models_of(connection: sa.Connection, rows: Sequence[Any]) -> list[Model]:
    """Return the records of models' rows."""
    tags: dict[int, list[tuple[str, str]]] = {}
    for tag in connection.execute(sa.select(TAGS).order_by(TAGS.c.tag_folded)):
        tags.setdefault(tag.model_id, []).append((tag.tag, tag.value))
    return [
        Model(
            name=ModelName(row.schema_name, row.name),
            default_version=row.default_version,
            comment=row.comment,
            owner=row.owner,
            tags=tuple(tags.get(row.id, ())),
            created_at=row.created_at.replace(tzinfo=UTC),
            created_by=row.created_by,
        )
        for row in rows
    ]


def versions_of(
    connection: sa.Connection, rows: Sequence[Any], number: int | None = None
) -> list[ModelVersion]:
    """Return the versions of models' rows, or those of one number, by model and number."""
    by_id = {row.id: row for row in rows}
    query = sa.select(VERSIONS).where(VERSIONS.c.dropped == sa.false())
    aliases = sa.select(ALIASES).order_by(ALIASES.c.alias_folded)
    if len(by_id) == 1:
        query = query.where(VERSIONS.c.model_id == rows[0].id)
        aliases = aliases.where(ALIASES.c.model_id == rows[0].id)
    if number is not None:
        query = query.where(VERSIONS.c.version == number)
    names: dict[tuple[int, int], list[str]] = {}
    for alias in connection.execute(aliases):
        names.setdefault((alias.model_id, alias.version), []).append(alias.alias)
    found: dict[int, list[ModelVersion]] = {row.id: [] for row in rows}
    for version in connection.execute(query.order_by(VERSIONS.c.model_id, VERSIONS.c.version)):
        row = by_id.get(version.model_id)
        if row is not None:
            found[row.id].append(_record(row, version, names.get((row.id, version.version), [])))
    return [version for versions in found.values() for version in versions]


def version_of(connection: sa.Connection, row: Any, number: int) -> ModelVersion:
    """Return a version that exists."""
    return versions_of(connection, [row], number)[0]


def _record(row: Any, version: Any, aliases: list[str]) -> ModelVersion:
    return ModelVersion(
        model=ModelName(row.schema_name, row.name),
        version=version.version,
        sha256=version.sha256,
        size=version.bytes,
        signature=version.signature,
        facts=VersionFacts.from_json(version.facts),
        source=version.source,
        created_at=version.created_at.replace(tzinfo=UTC),
        created_by=version.created_by,
        aliases=tuple(aliases),
        is_default=version.version == row.default_version,
    )


def number_of(ref: str) -> int | None:
    """Return the version's number that a reference is, None for an alias."""
    if not (ref.isascii() and ref.isdigit()):
        return None
    return int(ref) if len(ref) <= 9 else _NO_VERSION


def no_such_model(connection: sa.Connection, model: ModelName) -> UndefinedModel:
    """Return the error for a model that does not exist."""
    query = sa.select(MODELS.c.schema_name, MODELS.c.name).where(MODELS.c.dropped == sa.false())
    known = [ModelName(row.schema_name, row.name) for row in connection.execute(query)]
    same_schema = [name.name for name in known if folded(name.schema) == folded(model.schema)]
    elsewhere = [name for name in known if folded(name.name) == folded(model.name)]
    hint = closest(model.name, same_schema) or (f'did you mean "{elsewhere[0]}"?' if elsewhere else None)
    return UndefinedModel(f"model {model} does not exist", hint=hint)


def no_such_version(connection: sa.Connection, row: Any, model: ModelName, ref: str) -> UndefinedVersion:
    """Return the error for a version or alias that does not exist."""
    versions = versions_of(connection, [row])
    aliases = [alias for version in versions for alias in version.aliases]
    known = ", ".join([*(str(version.version) for version in versions), *aliases])
    if number_of(ref) is not None:
        return UndefinedVersion(f"model {model} has no version {ref[:20]}", hint=f"there are: {known}")
    hint = closest(ref, aliases) or f"there are: {known}"
    return UndefinedVersion(f'model {model} has no alias "{ref[:128]}"', hint=hint)
