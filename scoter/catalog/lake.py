"""The lake: every attached Iceberg catalog, its schemas and tables, by the names that users write.

This module must not know of SQL statements, of rows, or of who asks.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CreateTableTransaction, Table
from pyiceberg.table.metadata import TableMetadata

from scoter.catalog import properties as allow
from scoter.catalog.attached import TamedSql, assigns_locations
from scoter.catalog.catalogs import Catalogs
from scoter.catalog.fetching import Check, unchecked, waited
from scoter.catalog.lookup import Found, load_elsewhere, namespaces, select, sql_schemas, view_names
from scoter.catalog.metastore import Metastore
from scoter.catalog.names import ModelName, TableName, check_name, check_schema_name, folded, quoted
from scoter.catalog.objects.stores import Objects
from scoter.catalog.reach import is_local, local_path, read_only
from scoter.catalog.translation import reading, translated
from scoter.errors import (
    DuplicateSchema,
    DuplicateTable,
    InvalidDefinition,
    NotSupported,
    SchemaNotEmpty,
    ScoterError,
    UndefinedCatalog,
    UndefinedSchema,
    UndefinedTable,
    Unreachable,
    WrongObject,
)
from scoter.settings import Settings
from scoter.suggestions import closest

CreateTransaction = CreateTableTransaction
T = TypeVar("T")

_NO_PROPERTIES: Mapping[str, str] = {}
_RESERVED_SCHEMAS = frozenset({"information_schema", "pg_catalog", "system"})
# In a directory's name these would be read as a glob, a URI's query or fragment, or an escape.
_UNUSABLE = frozenset("#?*[]%\n\r\0")

_MODELS = sa.table(
    "scoter_models", sa.column("schema_folded"), sa.column("name_folded"), sa.column("dropped")
)


class Lake:
    """All attached catalogs; safe for many threads. Names compare without regard to case."""

    def __init__(self, settings: Settings, metastore: Metastore) -> None:
        self._metastore = metastore
        self._catalogs = Catalogs(settings, metastore)
        self._stores = self._catalogs.stores
        self._check: Check = unchecked
        self._defaults = {"write.parquet.compression-codec": settings.tables.compression}
        self.default_catalog = settings.catalog
        if self._catalogs.embedded:
            settings.warehouse.mkdir(parents=True, exist_ok=True)
            self.create_schema(settings.catalog, settings.schema_, if_not_exists=True)

    def close(self) -> None:
        """Close what the lake opened itself; the metastore stays open. Idempotent."""
        self._catalogs.close()

    def ended_by(self, check: Check) -> Lake:
        """Return this lake for a statement: waiting for a store or a catalog's server ends by what ``check`` raises."""
        mine = copy(self)
        mine._check = check  # noqa: SLF001  # of its own class
        return mine

    def waited(self, work: Callable[[], T]) -> T:
        """Return what ``work`` reads from a store or a server, unless the statement ends first."""
        return waited(work, self._check)

    # Catalogs and schemas

    @property
    def objects(self) -> Objects:
        """What reads the files of tables that lie in object stores."""
        return self._stores.objects

    def catalogs(self) -> list[str]:
        """Return the names of all catalogs, the default one first."""
        return list(self._catalogs.names)

    def schemas(self, catalog: str) -> list[str]:
        """Return the names of all schemas of a catalog, nested ones dotted; raises UndefinedCatalog."""
        attached = self._catalogs.attached(catalog)
        with translated(f"catalog {quoted(catalog)}"):
            if isinstance(attached, TamedSql):
                return sql_schemas(attached)
            return sorted(".".join(levels) for levels in self.waited(lambda: namespaces(attached)))

    def has_schema(self, catalog: str, schema: str) -> bool:
        """Say whether the schema exists; raises UndefinedCatalog."""
        return self._find_schema(catalog, schema) is not None

    def tables(self, catalog: str, schema: str) -> list[str]:
        """Return the names of the tables of a schema; raises UndefinedCatalog, UndefinedSchema."""
        attached = self._catalogs.attached(catalog)
        found = self.schema(catalog, schema)
        with translated(f"schema {quoted(schema)}"):
            tables = self.waited(lambda: attached.list_tables(tuple(found.split("."))))
            return sorted(identifier[-1] for identifier in tables)

    def views(self, catalog: str, schema: str) -> list[str]:
        """Return the names of the views of a schema; raises UndefinedCatalog, UndefinedSchema."""
        attached = self._catalogs.attached(catalog)
        found = self.schema(catalog, schema)
        with translated(f"schema {quoted(schema)}"):
            return self.waited(lambda: view_names(attached, found))

    def schema(self, catalog: str, schema: str) -> str:
        """Return the schema's name as it is stored; raises UndefinedCatalog, UndefinedSchema."""
        found = self._find_schema(catalog, schema)
        if found is None:
            raise UndefinedSchema(
                f'schema "{schema}" does not exist in catalog "{catalog}"',
                hint=closest(schema, self.schemas(catalog)),
            )
        return found

    def create_schema(self, catalog: str, schema: str, if_not_exists: bool = False) -> bool:
        """Create a schema and return whether it is new; raises DuplicateSchema, InvalidDefinition."""
        check_schema_name(schema)
        if folded(schema) in _RESERVED_SCHEMAS:
            raise InvalidDefinition(f'schema "{schema}" is reserved')
        attached = self._catalogs.attached(catalog)
        duplicate = DuplicateSchema(
            f'schema "{schema}" exists', hint="CREATE SCHEMA IF NOT EXISTS accepts it"
        )
        if self._find_schema(catalog, schema) is None:
            try:
                with translated(f"schema {quoted(schema)}"):
                    attached.create_namespace(tuple(schema.split(".")))
            except DuplicateSchema as error:
                if not if_not_exists:
                    raise duplicate from error
                return False
            return True
        if not if_not_exists:
            raise duplicate
        return False

    def drop_schema(self, catalog: str, schema: str, if_exists: bool = False) -> bool:
        """Drop an empty schema and return whether it existed.

        Raises UndefinedSchema, and SchemaNotEmpty while tables, views, models or nested schemas are in it.
        """
        attached = self._catalogs.attached(catalog)
        if if_exists and self._find_schema(catalog, schema) is None:
            return False
        found = self.schema(catalog, schema)
        inside = [name for name in self.schemas(catalog) if folded(name).startswith(folded(found) + ".")]
        inside += self.tables(catalog, found) + self.views(catalog, found)
        if folded(catalog) == folded(self.default_catalog):
            inside += self._models_in(found)
        if inside:
            raise SchemaNotEmpty(
                f'schema "{found}" is not empty: it holds "{inside[0]}"'
                + (f" and {len(inside) - 1} more" if len(inside) > 1 else ""),
                hint="drop what is in it first",
            )
        with translated(f"schema {quoted(schema)}"):
            attached.drop_namespace(tuple(found.split(".")))
        return True

    # Tables

    def find(self, names: Iterable[TableName]) -> dict[TableName, Found]:
        """Return each table that exists as ``look_up`` does, without the views."""
        return {asked: one for asked, one in self.look_up(names).items() if not one.is_view}

    def look_up(
        self, names: Iterable[TableName], refused: dict[TableName, ScoterError] | None = None
    ) -> dict[TableName, Found]:
        """Return each table or view that exists with its own spelling and location, by the name that was asked.

        All of one database come from one SELECT, so that a commit over several tables is seen whole or
        not at all. Raises AmbiguousName when a name fits two stored ones equally well, and what a catalog's server
        says of one table, or puts that into ``refused`` where it is given, unless the server is away.
        """
        found: dict[TableName, Found] = {}
        by_database: dict[sa.Engine, list[tuple[TamedSql, TableName]]] = {}
        known = {folded(name) for name in self.catalogs()}
        for name in dict.fromkeys(names):
            if folded(name.catalog) not in known:
                continue
            attached = self._catalogs.attached(name.catalog)
            if isinstance(attached, TamedSql):
                by_database.setdefault(attached.engine, []).append((attached, name))
                continue
            try:
                with translated(f"table {name}"):
                    loaded = self.waited(partial(load_elsewhere, attached, name))
            except ScoterError as error:
                if refused is None or isinstance(error, Unreachable):
                    raise
                refused[name] = error
                continue
            if loaded is not None:
                found[name] = loaded
                if loaded.table is not None:
                    self._stores.remember(loaded.table)
        for engine, asked in by_database.items():
            with translated("the catalog"):
                found |= select(engine, asked)
        return found

    def pointers(self, names: Sequence[TableName]) -> dict[TableName, str]:
        """Return the metadata location of each table that exists, by the name that was asked; raises as ``find``."""
        return {asked: found.location for asked, found in self.find(names).items()}

    def metadata(self, location: str) -> TableMetadata:
        """Return the metadata at a location with the honoured properties; raises CorruptData."""
        known = self._catalogs.cache.known(location)
        if known is not None:
            return known
        with reading("a table"):
            return self.waited(lambda: self._catalogs.cache.tamed(self.io(location), location))

    def load(self, name: TableName) -> Table:
        """Return the table as it is now; raises UndefinedTable, UndefinedCatalog, CorruptData."""
        attached = self._catalogs.attached(name.catalog)
        found = self.find([name]).get(name)
        if found is None:
            raise self.undefined(name)
        if found.table is not None:
            return found.table
        with reading(f"table {name}"):
            if isinstance(attached, TamedSql):
                return attached.table_at(found.name.identifier, found.location)
            return attached.load_table(found.name.identifier)

    def io(self, location: str | TableMetadata) -> FileIO:
        """Return what reads and writes the files of a table, by a location in it or its metadata."""
        return self._stores.io(location)

    def writable(self, name: TableName) -> Table:
        """Return the table as it is now, to be changed; raises as ``load``, NotSupported where it is read only."""
        table = self.load(name)
        if self._stores.is_mapped(table):
            raise read_only(f"table {name}")
        return table

    def register_table(self, name: TableName, location: str) -> TableMetadata:
        """Make a table of a metadata file that exists and return what it holds.

        Raises DuplicateTable, UndefinedSchema, InvalidDefinition for a name that is not allowed,
        PermissionDenied for files outside of what may be read, CorruptData for a file that is missing
        or no table's metadata.
        """
        attached, stored = self._vacant(name)
        real = self._stores.reach.real(location)
        if is_local(real) and not local_path(real).startswith("/"):
            raise InvalidDefinition("the metadata file is no absolute path and no URI")
        self._stores.refuse_elsewhere(real)
        metadata = self.metadata(location)
        lists = [snapshot.manifest_list for snapshot in metadata.snapshots if snapshot.manifest_list]
        for place in (metadata.location, *lists):
            self._stores.refuse_elsewhere(self._stores.reach.real(place))
        with translated(f"table {name}"):
            attached.register_table(stored.identifier, location)
        return metadata

    def real(self, location: str) -> str:
        """Return where a location in metadata is read from, by the path maps of all catalogs."""
        return self._stores.reach.real(location)

    def create_table(
        self,
        name: TableName,
        schema: Schema,
        spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        properties: Mapping[str, str] = _NO_PROPERTIES,
    ) -> Table:
        """Create an empty table in a directory of its own.

        Raises DuplicateTable, UndefinedSchema, InvalidDefinition for a name or property that is not
        allowed.
        """
        attached, stored = self._vacant(name)
        checked = self._defaults | allow.check(properties)
        with translated(f"table {name}"):
            return attached.create_table(
                stored.identifier, schema, self._new_location(stored), spec, properties=checked
            )

    def begin_create(
        self,
        name: TableName,
        schema: Schema,
        spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        properties: Mapping[str, str] = _NO_PROPERTIES,
    ) -> CreateTransaction:
        """Begin a table that appears, with its first rows, when the transaction is committed.

        Raises what ``create_table`` raises. The commit raises pyiceberg's TableAlreadyExistsError when
        another writer made the name meanwhile; nothing was then changed.
        """
        attached, stored = self._vacant(name)
        checked = self._defaults | allow.check(properties)
        with translated(f"table {name}"):
            return attached.create_table_transaction(
                stored.identifier, schema, self._new_location(stored), spec, properties=checked
            )

    def drop_table(self, name: TableName, if_exists: bool = False) -> bool:
        """Take the table out of its catalog and return whether it existed; its files stay.

        Raises UndefinedTable.
        """
        attached = self._catalogs.attached(name.catalog)
        found = self.look_up([name]).get(name)
        if found is None or found.is_view:
            if if_exists and found is None:
                return False
            raise self.undefined(name)
        try:
            with translated(f"table {name}"):
                attached.drop_table(found.name.identifier)
        except UndefinedTable:
            if if_exists:
                return False
            raise
        return True

    def rename_table(self, old: TableName, new: TableName) -> None:
        """Rename a table inside its catalog; its files stay where they are.

        Raises UndefinedTable, DuplicateTable, UndefinedSchema, InvalidDefinition, NotSupported.
        """
        if folded(old.catalog) != folded(new.catalog):
            raise NotSupported("a table can not be renamed into another catalog")
        attached = self._catalogs.attached(old.catalog)
        found = self.find([old]).get(old)
        if found is None:
            raise self.undefined(old)
        stored = TableName(found.name.catalog, self.schema(new.catalog, new.schema), new.name)
        check_name(new.name, "table")
        there = self.look_up([new]).get(new)
        if there is not None and there.name != found.name:
            raise DuplicateTable(f"{new} exists")
        if stored == found.name:
            return
        with translated(f"table {new}"):
            attached.rename_table(found.name.identifier, stored.identifier)

    def directories(self) -> list[str]:
        """Return the local directories under which files of tables lie: warehouses and targets of path maps."""
        return self._stores.directories()

    def undefined(self, name: TableName) -> UndefinedTable | UndefinedCatalog | WrongObject:
        """Return the error for a table that does not exist, with the most similar name as its hint.

        Where a view has the name, the error says that.
        """
        if folded(name.catalog) not in map(folded, self.catalogs()):
            return self._catalogs.undefined(name.catalog)
        there = self.look_up([name]).get(name)
        if there is not None and there.is_view:
            return _is_view(there)
        schemas = self.schemas(name.catalog)
        if folded(name.schema) not in map(folded, schemas):
            return UndefinedTable(
                f"table {name} does not exist: there is no schema {quoted(name.schema)}",
                hint=closest(name.schema, schemas),
            )
        return UndefinedTable(
            f"table {name} does not exist", hint=closest(name.name, self.tables(name.catalog, name.schema))
        )

    def attached(self, catalog: str) -> Catalog:
        """Return pyiceberg's catalog of that name; raises UndefinedCatalog."""
        return self._catalogs.attached(catalog)

    # Inside

    def _find_schema(self, catalog: str, schema: str) -> str | None:
        known = self.schemas(catalog)
        if schema in known:
            return schema
        return next((name for name in known if folded(name) == folded(schema)), None)

    def _models_in(self, schema: str) -> list[str]:
        query = sa.select(_MODELS.c.name_folded).where(
            _MODELS.c.schema_folded == folded(schema), _MODELS.c.dropped == sa.false()
        )
        with self._metastore.reading() as connection:
            return [str(ModelName(schema, name)) for name in connection.scalars(query)]

    def _vacant(self, name: TableName) -> tuple[Catalog, TableName]:
        check_name(name.name, "table")
        attached = self._catalogs.attached(name.catalog)
        stored = TableName(attached.name, self.schema(name.catalog, name.schema), name.name)
        there = self.look_up([name]).get(name)
        if there is not None and there.is_view:
            raise _is_view(there)
        if there is not None:
            raise DuplicateTable(f"table {name} exists", hint="CREATE TABLE IF NOT EXISTS accepts it")
        return attached, stored

    def _new_location(self, name: TableName) -> str | None:
        attached = self._catalogs.attached(name.catalog)
        warehouse = attached.properties.get("warehouse")
        if warehouse is None or assigns_locations(attached):
            return None
        return f"{warehouse.rstrip('/')}/{name.schema}/{name.name}-{uuid.uuid4()}"


def _is_view(found: Found) -> WrongObject:
    return WrongObject(
        f"{found.name} is a view",
        hint="it can be read, and dropped with DROP VIEW; its tables can be written",
    )
