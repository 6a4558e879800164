"""Views of catalogs: read, made, replaced, renamed and dropped, in Iceberg's own view format.

This module must not know dialects of SQL, what a view's text means, or who asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType
from pyiceberg.view import View as StoredView
from pyiceberg.view.metadata import (
    SQLViewRepresentation,
    ViewMetadata,
    ViewRepresentation,
    ViewVersion,
)

from scoter import __version__
from scoter.catalog import properties as allow
from scoter.catalog.attached import TamedSql
from scoter.catalog.comments import COMMENT
from scoter.catalog.lake import Lake
from scoter.catalog.lookup import VIEW_TYPES, Found, has_views
from scoter.catalog.names import TableName, check_name, folded
from scoter.catalog.rest_views import RestViews
from scoter.catalog.sql_views import SqlViews, metadata_at
from scoter.catalog.translation import reading, translated
from scoter.errors import (
    CorruptData,
    DuplicateTable,
    NotSupported,
    WriteConflict,
    WrongObject,
)

DIALECT = "scoter"
# The representation that is read where a view has several.
_PREFERRED = (DIALECT, "duckdb", "spark", "trino")
_ATTEMPTS = 8


@dataclass(frozen=True)
class ViewColumn:
    """A column of a view; ``text`` is its type as Scoter wrote it, None in views of other engines."""

    name: str
    kind: IcebergType
    text: str | None
    comment: str | None


@dataclass(frozen=True)
class View:
    """A version of a view: its text, the dialect of it, and the schema in which bare names are found."""

    sql: str
    dialect: str
    namespace: str
    columns: tuple[ViewColumn, ...]
    comment: str | None


@dataclass(frozen=True)
class Draft:
    """What a new version of a view shall be; ``types`` are the columns' types as text, in order."""

    sql: str
    schema: Schema
    types: tuple[str, ...]
    comment: str | None


def load_view(lake: Lake, found: Found) -> View:
    """Return the version of a view that was found.

    Raises CorruptData for metadata that is damaged, and what reading its file raises: PermissionDenied outside of
    the directories of the lake, Unreachable.
    """
    with reading(f"view {found.name}"):
        if found.view is not None:
            return _view(found.view.metadata, found.name)
        metadata = lake.waited(lambda: metadata_at(lake.io(found.location), found.location))
        return _view(metadata, found.name)


def create_view(lake: Lake, name: TableName, draft: Draft, *, replace: bool) -> None:
    """Make a view, or its next version with ``replace``.

    Raises DuplicateTable where the name is a view, WrongObject where it is a table, UndefinedSchema,
    InvalidDefinition, NotSupported for a catalog without views, WriteConflict when other writers kept
    coming first.
    """
    check_name(name.name, "view")
    properties = {} if draft.comment is None else dict(allow.check({COMMENT: draft.comment}))
    properties[VIEW_TYPES] = json.dumps([_hash(draft.sql), *draft.types])
    store = _required(lake, name)
    stored = TableName(lake.attached(name.catalog).name, lake.schema(name.catalog, name.schema), name.name)
    for _ in range(_ATTEMPTS):
        found = lake.look_up([name]).get(name)
        if found is not None and not found.is_view:
            raise WrongObject(f"{found.name} is a table", hint="a view needs another name")
        if found is not None and not replace:
            raise DuplicateTable(
                f"view {found.name} exists",
                hint="CREATE OR REPLACE VIEW changes it, IF NOT EXISTS accepts it",
            )
        version = _version(draft, stored)
        with translated(f"view {name}"):
            if found is None:
                try:
                    store.create(stored, draft.schema, version, properties)
                except DuplicateTable:
                    if not replace:
                        raise
                    continue
                return
            if store.replace(found, draft.schema, version, properties):
                return
    raise WriteConflict(f"view {name} was changed by other writers", hint="try again")


def comment_on_view(lake: Lake, name: TableName, text: str | None) -> None:
    """Set the comment of a view, or take it away with None.

    Raises UndefinedTable, WrongObject for a table, InvalidDefinition for a text that is too long, WriteConflict.
    """
    properties = {} if text is None else allow.check({COMMENT: text})
    store = _required(lake, name)
    for _ in range(_ATTEMPTS):
        found = _existing(lake, name)
        with translated(f"view {name}"):
            if store.replace(found, None, None, properties):
                return
    raise WriteConflict(f"view {name} was changed by other writers", hint="try again")


def drop_view(lake: Lake, name: TableName, *, if_exists: bool) -> None:
    """Take a view out of its catalog; raises UndefinedTable, WrongObject for a table."""
    if if_exists and name not in lake.look_up([name]):
        return
    found = _existing(lake, name)
    store = _required(lake, name)
    with translated(f"view {name}"):
        if not store.drop(found) and not if_exists:
            raise lake.undefined(name)


def rename_view(lake: Lake, old: TableName, new: TableName) -> None:
    """Rename a view inside its catalog.

    Raises UndefinedTable, DuplicateTable, UndefinedSchema, InvalidDefinition, NotSupported.
    """
    if folded(old.catalog) != folded(new.catalog):
        raise NotSupported("a view can not be renamed into another catalog")
    check_name(new.name, "view")
    found = _existing(lake, old)
    stored = TableName(found.name.catalog, lake.schema(new.catalog, new.schema), new.name)
    there = lake.look_up([new]).get(new)
    if there is not None and there.name != found.name:
        raise DuplicateTable(f"{there.name} exists")
    if stored == found.name:
        return
    store = _required(lake, old)
    with translated(f"view {new}"):
        if not store.rename(found, stored):
            raise lake.undefined(old)


def _existing(lake: Lake, name: TableName) -> Found:
    found = lake.look_up([name]).get(name)
    if found is None:
        raise lake.undefined(name)
    if not found.is_view:
        raise WrongObject(f"{found.name} is a table", hint="write TABLE instead of VIEW")
    return found


def _store(lake: Lake, attached: Catalog) -> SqlViews | RestViews | None:
    if isinstance(attached, TamedSql):
        return SqlViews(attached, lake.io) if attached.has_types else None
    return RestViews(attached) if has_views(attached) else None


def _required(lake: Lake, name: TableName) -> SqlViews | RestViews:
    store = _store(lake, lake.attached(name.catalog))
    if store is None:
        raise NotSupported(f'catalog "{name.catalog}" keeps no views')
    return store


def _version(draft: Draft, name: TableName) -> ViewVersion:
    """Return a version whose number and schema the store assigns."""
    summary = {"engine-name": DIALECT, "engine-version": __version__}
    representation = SQLViewRepresentation(type="sql", sql=draft.sql, dialect=DIALECT)
    return ViewVersion.model_validate(
        {
            "version-id": 1,
            "schema-id": 0,
            "summary": summary,
            "representations": [ViewRepresentation(representation)],
            "default-namespace": tuple(name.schema.split(".")),
        }
    )


def _view(metadata: ViewMetadata, name: TableName) -> View:
    stored = StoredView(name.identifier, metadata)
    try:
        version, schema = stored.current_version(), stored.schema()
    except StopIteration as error:
        raise CorruptData(f"the metadata of view {name} has no version that could be read") from error
    by_dialect = {one.root.dialect.casefold(): one.root for one in reversed(version.representations)}
    chosen = next((by_dialect[known] for known in _PREFERRED if known in by_dialect), None)
    if chosen is None:
        chosen = next(iter(by_dialect.values()), None)
    if chosen is None:
        raise CorruptData(f"view {name} has no text")
    dialect = chosen.dialect.casefold()
    texts = _texts(metadata, chosen.sql, len(schema.fields)) if dialect == DIALECT else None
    for text in texts or ():
        if not _is_type(text):
            raise CorruptData(f"the metadata of view {name} has a type that is none: {text[:60]}")
    columns = tuple(
        ViewColumn(f.name, f.field_type, texts[i] if texts else None, f.doc)
        for i, f in enumerate(schema.fields)
    )
    return View(
        chosen.sql, dialect, ".".join(version.default_namespace), columns, metadata.properties.get(COMMENT)
    )


def _texts(metadata: ViewMetadata, sql: str, count: int) -> Sequence[str] | None:
    """Return the columns' types as Scoter wrote them, None where the text is not the one that they are of."""
    try:
        known = json.loads(metadata.properties.get(VIEW_TYPES, "null"))
    except ValueError:
        return None
    fits = (
        isinstance(known, list) and len(known) == count + 1 and all(isinstance(text, str) for text in known)
    )
    return known[1:] if fits and known[0] == _hash(sql) else None


@lru_cache(maxsize=1024)
def _is_type(text: str) -> bool:
    try:
        duckdb.sqltype(text)
    except duckdb.Error:
        return False
    return True


def _hash(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()[:32]
