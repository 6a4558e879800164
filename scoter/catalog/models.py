"""The records of models: versions, which one is the default, aliases, what is said of them.

This module must not know what is in a model's file or signature, nor who may change them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from scoter.catalog.metastore import Metastore
from scoter.catalog.model_records import (
    ALIASES,
    MODELS,
    REVISION,
    TAGS,
    VERSIONS,
    Made,
    Model,
    ModelVersion,
    existing,
    insert_model,
    insert_version,
    leave_name,
    model_row,
    models_of,
    no_such_model,
    no_such_version,
    number_of,
    rename_model,
    revive_model,
    update_model,
    version_of,
    versions_of,
)
from scoter.catalog.names import ModelName, check_name, check_schema_name, folded
from scoter.catalog.unchanged import unchanged
from scoter.errors import DuplicateModel, InvalidDefinition, UndefinedTag
from scoter.suggestions import closest

T = TypeVar("T")

_TEXT_MOST = 32_768  # characters of a comment or a tag's value, as of a table's
_TAGS_MOST = 50


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
        made: Made,
        *,
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

        def work(connection: sa.Connection) -> ModelVersion:
            row = model_row(connection, model, dropped=True)
            if row is not None and not row.dropped:
                if not replace:
                    if if_not_exists:
                        return version_of(connection, row, row.default_version)
                    raise DuplicateModel(
                        f"model {model} exists", hint="CREATE OR REPLACE MODEL adds a version and uses it"
                    )
            elif row is not None:
                # It goes on counting where the one before it ended.
                revive_model(connection, row, model, made.principal)
            else:
                row = insert_model(connection, model, made.principal)
            number = insert_version(connection, row, made)
            update_model(connection, row, default_version=number)
            return version_of(connection, existing(connection, model), number)

        return self._writing(work)

    def add_version(self, model: ModelName, made: Made) -> ModelVersion:
        """Add the next version and return it; the default stays. Raises UndefinedModel."""

        def work(connection: sa.Connection) -> ModelVersion:
            row = existing(connection, model)
            number = insert_version(connection, row, made)
            return version_of(connection, row, number)

        return self._writing(work)

    def set_default(self, model: ModelName, version: int) -> None:
        """Make a version the one that the bare name means; raises UndefinedModel, UndefinedVersion."""

        def work(connection: sa.Connection) -> None:
            row = existing(connection, model)
            _require_version(connection, row, model, version)
            update_model(connection, row, default_version=version)

        self._writing(work)

    def set_alias(self, model: ModelName, alias: str, version: int) -> None:
        """Let an alias mean a version, whatever it meant before.

        Raises UndefinedModel, UndefinedVersion, InvalidDefinition for an alias that is not allowed.
        """
        check_name(alias, "alias")

        def work(connection: sa.Connection) -> None:
            row = existing(connection, model)
            _require_version(connection, row, model, version)
            key = {"model_id": row.id, "alias_folded": folded(alias)}
            connection.execute(_aliases_like(sa.delete(ALIASES), key))
            connection.execute(sa.insert(ALIASES).values(**key, alias=alias, version=version))

        self._writing(work)

    def drop_alias(self, model: ModelName, alias: str) -> None:
        """Take an alias away; raises UndefinedModel, UndefinedVersion."""

        def work(connection: sa.Connection) -> None:
            row = existing(connection, model)
            key = {"model_id": row.id, "alias_folded": folded(alias)}
            if connection.execute(_aliases_like(sa.delete(ALIASES), key)).rowcount == 0:
                raise no_such_version(connection, row, model, alias)

        self._writing(work)

    def drop_version(self, model: ModelName, version: int) -> None:
        """Drop a version.

        Raises UndefinedModel, UndefinedVersion, and InvalidDefinition for the default version and for
        one that an alias means.
        """

        def work(connection: sa.Connection) -> None:
            row = existing(connection, model)
            _require_version(connection, row, model, version)
            if version == row.default_version:
                raise InvalidDefinition(
                    f"version {version} is the default version of model {model}",
                    hint="make another version the default first",
                )
            alias = connection.scalar(
                sa.select(ALIASES.c.alias)
                .where(ALIASES.c.model_id == row.id, ALIASES.c.version == version)
                .order_by(ALIASES.c.alias)
                .limit(1)
            )
            if alias is not None:
                raise InvalidDefinition(
                    f'version {version} of model {model} has the alias "{alias}"',
                    hint="move or drop the alias first",
                )
            connection.execute(
                sa.update(VERSIONS)
                .where(VERSIONS.c.model_id == row.id, VERSIONS.c.version == version)
                .values(dropped=True)
            )

        self._writing(work)

    def drop(self, model: ModelName, if_exists: bool = False) -> bool:
        """Drop a model with its versions and aliases and return whether it existed; raises UndefinedModel."""

        def work(connection: sa.Connection) -> bool:
            row = model_row(connection, model)
            if row is None:
                if if_exists:
                    return False
                raise no_such_model(connection, model)
            connection.execute(sa.delete(ALIASES).where(ALIASES.c.model_id == row.id))
            connection.execute(sa.delete(TAGS).where(TAGS.c.model_id == row.id))
            connection.execute(sa.update(VERSIONS).where(VERSIONS.c.model_id == row.id).values(dropped=True))
            update_model(connection, row, dropped=True)
            return True

        return self._writing(work)

    def rename(self, model: ModelName, name: ModelName) -> None:
        """Give a model another name.

        The old name keeps its numbers: a model that is made under it goes on counting, unless this one comes back.
        Raises UndefinedModel, DuplicateModel, InvalidDefinition for a name that is not allowed, or that
        another model had whose numbers would get a second meaning.
        """
        check_name(name.name, "model")
        check_schema_name(name.schema)

        def work(connection: sa.Connection) -> None:
            row = existing(connection, model)
            there = model_row(connection, name, dropped=True)
            if there is not None and there.id != row.id:
                if not there.dropped:
                    raise DuplicateModel(f"model {name} exists")
                if there.renamed_to != row.id:
                    raise InvalidDefinition(
                        f"there was a model {name}, and its versions' numbers are not used again",
                        hint="take another name",
                    )
                connection.execute(sa.delete(MODELS).where(MODELS.c.id == there.id))
            rename_model(connection, row, name)
            if there is None or there.id != row.id:
                leave_name(connection, row)

        self._writing(work)

    def set_comment(self, model: ModelName, text: str | None) -> None:
        """Set what is said of a model, or take it away with None; raises UndefinedModel, InvalidDefinition."""
        _check_text(text or "", "a comment")
        self._writing(lambda connection: update_model(connection, existing(connection, model), comment=text))

    def set_owner(self, model: ModelName, owner: str) -> None:
        """Say who answers for a model; raises UndefinedModel."""
        self._writing(lambda connection: update_model(connection, existing(connection, model), owner=owner))

    def set_tags(self, model: ModelName, tags: Mapping[str, str]) -> None:
        """Set tags of a model, whatever they were before; raises UndefinedModel, InvalidDefinition."""
        for tag, value in tags.items():
            check_name(tag, "tag")
            _check_text(value, "a tag's value")

        def work(connection: sa.Connection) -> None:
            row = existing(connection, model)
            for tag, value in tags.items():
                _delete_tag(connection, row, tag)
                connection.execute(
                    sa.insert(TAGS).values(model_id=row.id, tag_folded=folded(tag), tag=tag, value=value)
                )
            if len(models_of(connection, [row])[0].tags) > _TAGS_MOST:
                raise InvalidDefinition(f"a model has at most {_TAGS_MOST} tags")

        self._writing(work)

    def unset_tags(self, model: ModelName, tags: Sequence[str]) -> None:
        """Take tags of a model away; raises UndefinedModel, UndefinedTag."""

        def work(connection: sa.Connection) -> None:
            row = existing(connection, model)
            for tag in tags:
                if not _delete_tag(connection, row, tag):
                    known = [name for name, _ in models_of(connection, [row])[0].tags]
                    raise UndefinedTag(
                        f'model {model} has no tag "{tag}"',
                        hint=closest(tag, known) or f"there are: {', '.join(known) or 'none'}",
                    )

        self._writing(work)

    def resolve(self, model: ModelName, ref: str | None = None) -> ModelVersion:
        """Return the version that ``ref`` means: None the default, digits a number, else an alias.

        Raises UndefinedModel, UndefinedVersion.
        """
        with self._metastore.reading() as connection:
            row = existing(connection, model)
            if ref is None:
                return version_of(connection, row, row.default_version)
            number = number_of(ref)
            if number is None:
                number = connection.scalar(
                    sa.select(ALIASES.c.version).where(
                        ALIASES.c.model_id == row.id, ALIASES.c.alias_folded == folded(ref)
                    )
                )
            found = [] if number is None else versions_of(connection, [row], number)
            if not found:
                raise no_such_version(connection, row, model, ref)
            return found[0]

    def list(self, schema: str | None = None) -> Sequence[ModelVersion]:
        """Return every version of every model (of a schema), by name and number."""
        with self._metastore.reading() as connection:
            return versions_of(connection, _rows(connection, schema))

    def models(self, schema: str | None = None) -> Sequence[tuple[Model, Sequence[ModelVersion]]]:
        """Return every model (of a schema) by name, each with its versions by number."""
        with self._metastore.reading() as connection:
            rows = _rows(connection, schema)
            return [
                (model, [version for version in versions_of(connection, rows) if version.model == model.name])
                for model in models_of(connection, rows)
            ]

    def model(self, model: ModelName) -> tuple[Model, Sequence[ModelVersion]]:
        """Return one model with its versions by number; raises UndefinedModel."""
        with self._metastore.reading() as connection:
            row = existing(connection, model)
            return models_of(connection, [row])[0], versions_of(connection, [row])

    def versions(self, model: ModelName) -> Sequence[ModelVersion]:
        """Return the versions of a model by number; raises UndefinedModel."""
        with self._metastore.reading() as connection:
            return versions_of(connection, [existing(connection, model)])

    def revision(self) -> int:
        """Return a number that is another one after every change of any model."""
        return unchanged(self._metastore.engine, "models", self._revision)

    def _revision(self) -> int:
        with self._metastore.reading() as connection:
            return connection.scalar(sa.select(REVISION.c.revision)) or 0

    def _writing(self, work: Callable[[sa.Connection], T]) -> T:
        def counted(connection: sa.Connection) -> T:
            # First, so that on a database with row locks writers of models wait here for each other.
            connection.execute(sa.update(REVISION).values(revision=REVISION.c.revision + 1))
            return work(connection)

        return self._metastore.writing(counted)


def _aliases_like(statement: sa.Delete, key: dict[str, Any]) -> sa.Delete:
    return statement.where(
        ALIASES.c.model_id == key["model_id"], ALIASES.c.alias_folded == key["alias_folded"]
    )


def _require_version(connection: sa.Connection, row: Any, model: ModelName, version: int) -> None:
    if not versions_of(connection, [row], version):
        raise no_such_version(connection, row, model, str(version))


def _rows(connection: sa.Connection, schema: str | None) -> Sequence[Any]:
    query = sa.select(MODELS).where(MODELS.c.dropped == sa.false())
    if schema is not None:
        query = query.where(MODELS.c.schema_folded == folded(schema))
    return connection.execute(query.order_by(MODELS.c.schema_folded, MODELS.c.name_folded)).all()


def _delete_tag(connection: sa.Connection, row: Any, tag: str) -> bool:
    gone = sa.delete(TAGS).where(TAGS.c.model_id == row.id, TAGS.c.tag_folded == folded(tag))
    return connection.execute(gone).rowcount > 0


def _check_text(text: str, what: str) -> None:
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise InvalidDefinition(f"{what} has a character that is not kept")
    if len(text) > _TEXT_MOST:
        raise InvalidDefinition(f"{what} has at most {_TEXT_MOST:,} characters")
