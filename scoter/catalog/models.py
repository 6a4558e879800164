"""The records of models: versions, which one is the default, aliases.

This module must not know what is in a model's file or signature, nor who may change them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from scoter.catalog.metastore import Metastore
from scoter.catalog.names import ModelName, check_name, check_schema_name, folded
from scoter.catalog.unchanged import unchanged
from scoter.errors import DuplicateModel, InvalidDefinition, UndefinedModel, UndefinedVersion
from scoter.suggestions import closest

T = TypeVar("T")

_NO_VERSION = 2**31 - 1  # stands for every number that has too many digits to be a version's

_MODELS = sa.table(
    "scoter_models",
    sa.column("id", sa.Integer),
    sa.column("schema_name", sa.String),
    sa.column("name", sa.String),
    sa.column("schema_folded", sa.String),
    sa.column("name_folded", sa.String),
    sa.column("dropped", sa.Boolean),
    sa.column("default_version", sa.Integer),
    sa.column("last_version", sa.Integer),
    sa.column("created_at", sa.DateTime),
    sa.column("created_by", sa.String),
)
_VERSIONS = sa.table(
    "scoter_model_versions",
    sa.column("model_id", sa.Integer),
    sa.column("version", sa.Integer),
    sa.column("sha256", sa.String),
    sa.column("bytes", sa.BigInteger),
    sa.column("signature", sa.Text),
    sa.column("source", sa.Text),
    sa.column("created_at", sa.DateTime),
    sa.column("created_by", sa.String),
    sa.column("dropped", sa.Boolean),
)
_ALIASES = sa.table(
    "scoter_model_aliases",
    sa.column("model_id", sa.Integer),
    sa.column("alias_folded", sa.String),
    sa.column("alias", sa.String),
    sa.column("version", sa.Integer),
)
_REVISION = sa.table(
    "scoter_model_revision", sa.column("id", sa.Integer), sa.column("revision", sa.BigInteger)
)


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model; ``size`` in bytes, ``signature`` as the JSON text it was made with."""

    model: ModelName
    version: int
    sha256: str
    size: int
    signature: str
    source: str
    created_at: datetime
    created_by: str
    aliases: tuple[str, ...]
    is_default: bool


class Models:
    """The models of a lake; names and aliases compare without regard to case.

    A version's number is never given to another one, also not after DROP VERSION or DROP MODEL: what was
    once scored by ``m@3`` can not be mistaken for the work of a later ``m@3``.
    """

    def __init__(self, metastore: Metastore) -> None:
        self._metastore = metastore

    def create(
        self,
        model: ModelName,
        *,
        sha256: str,
        size: int,
        signature: str,
        source: str,
        principal: str,
        replace: bool = False,
        if_not_exists: bool = False,
    ) -> ModelVersion:
        """Create a model and return its first version, which is its default.

        With ``replace`` a model that exists gets a next version, which becomes its default; with
        ``if_not_exists`` its default version is returned. Else raises DuplicateModel; raises
        InvalidDefinition for a name that is not allowed.
        """
        check_name(model.name, "model")
        check_schema_name(model.schema)
        facts = _facts(sha256, size, signature, source, principal)

        def work(connection: sa.Connection) -> ModelVersion:
            row = _row(connection, model, dropped=True)
            if row is not None and not row.dropped:
                if not replace:
                    if if_not_exists:
                        return _version(connection, row, row.default_version)
                    raise DuplicateModel(
                        f"model {model} exists", hint="CREATE OR REPLACE MODEL adds a version and uses it"
                    )
                number = _insert_version(connection, row, facts)
            elif row is not None:
                number = _insert_version(connection, row, facts)
                _update_model(connection, row, schema_name=model.schema, name=model.name, dropped=False)
            else:
                row = _insert_model(connection, model, principal)
                number = _insert_version(connection, row, facts)
            _update_model(connection, row, default_version=number)
            return _version(connection, _row_of(connection, row.id), number)

        return self._writing(work)

    def add_version(
        self, model: ModelName, *, sha256: str, size: int, signature: str, source: str, principal: str
    ) -> ModelVersion:
        """Add the next version and return it; the default stays. Raises UndefinedModel."""
        facts = _facts(sha256, size, signature, source, principal)

        def work(connection: sa.Connection) -> ModelVersion:
            row = _existing(connection, model)
            number = _insert_version(connection, row, facts)
            return _version(connection, row, number)

        return self._writing(work)

    def set_default(self, model: ModelName, version: int) -> None:
        """Make a version the one that the bare name means; raises UndefinedModel, UndefinedVersion."""

        def work(connection: sa.Connection) -> None:
            row = _existing(connection, model)
            _require_version(connection, row, model, version)
            _update_model(connection, row, default_version=version)

        self._writing(work)

    def set_alias(self, model: ModelName, alias: str, version: int) -> None:
        """Let an alias mean a version, whatever it meant before.

        Raises UndefinedModel, UndefinedVersion, InvalidDefinition for an alias that is not allowed.
        """
        check_name(alias, "alias")

        def work(connection: sa.Connection) -> None:
            row = _existing(connection, model)
            _require_version(connection, row, model, version)
            key = {"model_id": row.id, "alias_folded": folded(alias)}
            connection.execute(_aliases_like(sa.delete(_ALIASES), key))
            connection.execute(sa.insert(_ALIASES).values(**key, alias=alias, version=version))

        self._writing(work)

    def drop_alias(self, model: ModelName, alias: str) -> None:
        """Take an alias away; raises UndefinedModel, UndefinedVersion."""

        def work(connection: sa.Connection) -> None:
            row = _existing(connection, model)
            key = {"model_id": row.id, "alias_folded": folded(alias)}
            if connection.execute(_aliases_like(sa.delete(_ALIASES), key)).rowcount == 0:
                raise _no_such_version(connection, row, model, alias)

        self._writing(work)

    def drop_version(self, model: ModelName, version: int) -> None:
        """Drop a version.

        Raises UndefinedModel, UndefinedVersion, and InvalidDefinition for the default version and for
        one that an alias means.
        """

        def work(connection: sa.Connection) -> None:
            row = _existing(connection, model)
            _require_version(connection, row, model, version)
            if version == row.default_version:
                raise InvalidDefinition(
                    f"version {version} is the default version of model {model}",
                    hint="make another version the default first",
                )
            alias = connection.scalar(
                sa.select(_ALIASES.c.alias)
                .where(_ALIASES.c.model_id == row.id, _ALIASES.c.version == version)
                .order_by(_ALIASES.c.alias)
                .limit(1)
            )
            if alias is not None:
                raise InvalidDefinition(
                    f'version {version} of model {model} has the alias "{alias}"',
                    hint="move or drop the alias first",
                )
            connection.execute(
                sa.update(_VERSIONS)
                .where(_VERSIONS.c.model_id == row.id, _VERSIONS.c.version == version)
                .values(dropped=True)
            )

        self._writing(work)

    def drop(self, model: ModelName, if_exists: bool = False) -> bool:
        """Drop a model with its versions and aliases and return whether it existed; raises UndefinedModel."""

        def work(connection: sa.Connection) -> bool:
            row = _row(connection, model)
            if row is None:
                if if_exists:
                    return False
                raise _no_such_model(connection, model)
            connection.execute(sa.delete(_ALIASES).where(_ALIASES.c.model_id == row.id))
            connection.execute(
                sa.update(_VERSIONS).where(_VERSIONS.c.model_id == row.id).values(dropped=True)
            )
            _update_model(connection, row, dropped=True)
            return True

        return self._writing(work)

    def resolve(self, model: ModelName, ref: str | None = None) -> ModelVersion:
        """Return the version that ``ref`` means: None the default, digits a number, else an alias.

        Raises UndefinedModel, UndefinedVersion.
        """
        with self._metastore.reading() as connection:
            row = _existing(connection, model)
            if ref is None:
                return _version(connection, row, row.default_version)
            number = _number(ref)
            if number is None:
                number = connection.scalar(
                    sa.select(_ALIASES.c.version).where(
                        _ALIASES.c.model_id == row.id, _ALIASES.c.alias_folded == folded(ref)
                    )
                )
            found = [] if number is None else _versions(connection, [row], number)
            if not found:
                raise _no_such_version(connection, row, model, ref)
            return found[0]

    def list(self, schema: str | None = None) -> list[ModelVersion]:
        """Return every version of every model (of a schema), by name and number."""
        query = sa.select(_MODELS).where(_MODELS.c.dropped == sa.false())
        if schema is not None:
            query = query.where(_MODELS.c.schema_folded == folded(schema))
        with self._metastore.reading() as connection:
            rows = connection.execute(query.order_by(_MODELS.c.schema_folded, _MODELS.c.name_folded)).all()
            return _versions(connection, rows)

    def versions(self, model: ModelName) -> Sequence[ModelVersion]:
        """Return the versions of a model by number; raises UndefinedModel."""
        with self._metastore.reading() as connection:
            return _versions(connection, [_existing(connection, model)])

    def revision(self) -> int:
        """Return a number that is another one after every change of any model."""
        return unchanged(self._metastore.engine, "models", self._revision)

    def _revision(self) -> int:
        with self._metastore.reading() as connection:
            return connection.scalar(sa.select(_REVISION.c.revision)) or 0

    def _writing(self, work: Callable[[sa.Connection], T]) -> T:
        def counted(connection: sa.Connection) -> T:
            # First, so that on a database with row locks writers of models wait here for each other.
            connection.execute(sa.update(_REVISION).values(revision=_REVISION.c.revision + 1))
            return work(connection)

        return self._metastore.writing(counted)


def _facts(sha256: str, size: int, signature: str, source: str, principal: str) -> dict[str, Any]:
    return {
        "sha256": sha256,
        "bytes": size,
        "signature": signature,
        "source": source,
        "created_at": datetime.now(UTC).replace(tzinfo=None),
        "created_by": principal,
        "dropped": False,
    }


def _row(connection: sa.Connection, model: ModelName, *, dropped: bool = False) -> Any:
    query = sa.select(_MODELS).where(
        _MODELS.c.schema_folded == folded(model.schema), _MODELS.c.name_folded == folded(model.name)
    )
    if not dropped:
        query = query.where(_MODELS.c.dropped == sa.false())
    return connection.execute(query).one_or_none()


def _row_of(connection: sa.Connection, model_id: int) -> Any:
    return connection.execute(sa.select(_MODELS).where(_MODELS.c.id == model_id)).one()


def _existing(connection: sa.Connection, model: ModelName) -> Any:
    row = _row(connection, model)
    if row is None:
        raise _no_such_model(connection, model)
    return row


def _insert_model(connection: sa.Connection, model: ModelName, principal: str) -> Any:
    connection.execute(
        sa.insert(_MODELS).values(
            schema_name=model.schema,
            name=model.name,
            schema_folded=folded(model.schema),
            name_folded=folded(model.name),
            dropped=False,
            default_version=0,
            last_version=0,
            created_at=datetime.now(UTC).replace(tzinfo=None),
            created_by=principal,
        )
    )
    return _row(connection, model)


def _insert_version(connection: sa.Connection, row: Any, facts: dict[str, Any]) -> int:
    number = int(row.last_version) + 1
    _update_model(connection, row, last_version=number)
    connection.execute(sa.insert(_VERSIONS).values(model_id=row.id, version=number, **facts))
    return number


def _update_model(connection: sa.Connection, row: Any, **values: Any) -> None:
    connection.execute(sa.update(_MODELS).where(_MODELS.c.id == row.id).values(**values))


def _aliases_like(statement: sa.Delete, key: dict[str, Any]) -> sa.Delete:
    return statement.where(
        _ALIASES.c.model_id == key["model_id"], _ALIASES.c.alias_folded == key["alias_folded"]
    )


def _versions(
    connection: sa.Connection, rows: Sequence[Any], number: int | None = None
) -> list[ModelVersion]:
    by_id = {row.id: row for row in rows}
    query = sa.select(_VERSIONS).where(_VERSIONS.c.dropped == sa.false())
    aliases = sa.select(_ALIASES).order_by(_ALIASES.c.alias_folded)
    if len(by_id) == 1:
        query = query.where(_VERSIONS.c.model_id == rows[0].id)
        aliases = aliases.where(_ALIASES.c.model_id == rows[0].id)
    if number is not None:
        query = query.where(_VERSIONS.c.version == number)
    names: dict[tuple[int, int], list[str]] = {}
    for alias in connection.execute(aliases):
        names.setdefault((alias.model_id, alias.version), []).append(alias.alias)
    found: dict[int, list[ModelVersion]] = {row.id: [] for row in rows}
    for version in connection.execute(query.order_by(_VERSIONS.c.model_id, _VERSIONS.c.version)):
        row = by_id.get(version.model_id)
        if row is not None:
            found[row.id].append(_record(row, version, names.get((row.id, version.version), [])))
    return [version for versions in found.values() for version in versions]


def _version(connection: sa.Connection, row: Any, number: int) -> ModelVersion:
    return _versions(connection, [row], number)[0]


def _record(row: Any, version: Any, aliases: list[str]) -> ModelVersion:
    return ModelVersion(
        model=ModelName(row.schema_name, row.name),
        version=version.version,
        sha256=version.sha256,
        size=version.bytes,
        signature=version.signature,
        source=version.source,
        created_at=version.created_at.replace(tzinfo=UTC),
        created_by=version.created_by,
        aliases=tuple(aliases),
        is_default=version.version == row.default_version,
    )


def _number(ref: str) -> int | None:
    if not (ref.isascii() and ref.isdigit()):
        return None
    return int(ref) if len(ref) <= 9 else _NO_VERSION


def _require_version(connection: sa.Connection, row: Any, model: ModelName, version: int) -> None:
    if not _versions(connection, [row], version):
        raise _no_such_version(connection, row, model, str(version))


def _no_such_model(connection: sa.Connection, model: ModelName) -> UndefinedModel:
    query = sa.select(_MODELS.c.schema_name, _MODELS.c.name).where(_MODELS.c.dropped == sa.false())
    known = [ModelName(row.schema_name, row.name) for row in connection.execute(query)]
    same_schema = [name.name for name in known if folded(name.schema) == folded(model.schema)]
    elsewhere = [name for name in known if folded(name.name) == folded(model.name)]
    hint = closest(model.name, same_schema) or (f'did you mean "{elsewhere[0]}"?' if elsewhere else None)
    return UndefinedModel(f"model {model} does not exist", hint=hint)


def _no_such_version(connection: sa.Connection, row: Any, model: ModelName, ref: str) -> UndefinedVersion:
    versions = _versions(connection, [row])
    aliases = [alias for version in versions for alias in version.aliases]
    known = ", ".join([*(str(version.version) for version in versions), *aliases])
    if _number(ref) is not None:
        return UndefinedVersion(f"model {model} has no version {ref[:20]}", hint=f"there are: {known}")
    hint = closest(ref, aliases) or f"there are: {known}"
    return UndefinedVersion(f'model {model} has no alias "{ref[:128]}"', hint=hint)
