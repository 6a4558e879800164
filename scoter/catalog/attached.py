"""pyiceberg's catalogs, built so that nothing in a table's metadata can load code or redirect files.

This module must not know of SQL names, of errors that users see, or which catalog is the default.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, cast
from urllib.parse import urlparse

from pyiceberg.catalog import Catalog, MetastoreCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.io import FileIO
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, StagedTable, Table
from pyiceberg.table.locations import SimpleLocationProvider
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder
from pyiceberg.table.update import AssertCreate, TableRequirement, TableUpdate, update_table_metadata
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from scoter.catalog.avro import decode_safely
from scoter.catalog.entity_tags import Tagged
from scoter.catalog.metadata_files import read_metadata
from scoter.catalog.metastore import engine_for, is_locked, retrying
from scoter.catalog.properties import check_catalog, tamed, without_code
from scoter.catalog.stores import Place, Stores
from scoter.errors import ConfigurationError, ScoterError
from scoter.suggestions import closest

decode_safely()

_CLASSES = {
    "bigquery": ("pyiceberg.catalog.bigquery_metastore", "BigQueryMetastoreCatalog"),
    "dynamodb": ("pyiceberg.catalog.dynamodb", "DynamoDbCatalog"),
    "glue": ("pyiceberg.catalog.glue", "GlueCatalog"),
    "hive": ("pyiceberg.catalog.hive", "HiveCatalog"),
    "rest": ("pyiceberg.catalog.rest", "RestCatalog"),
    "sql": ("pyiceberg.catalog.sql", "SqlCatalog"),
}
_CACHED = 256  # metadata files kept decoded


class MetadataCache:
    """Decoded metadata files by location, the most recently used ones; the files never change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[TableMetadata, TableMetadata]] = OrderedDict()

    def read(self, io: FileIO, location: str) -> TableMetadata:
        """Return the file's metadata with all its properties, for the next version to be based on."""
        return self._entry(io, location)[0]

    def tamed(self, io: FileIO, location: str) -> TableMetadata:
        """Return the file's metadata with the properties that are honoured, for every other use."""
        return self._entry(io, location)[1]

    def known(self, location: str) -> TableMetadata | None:
        """Return what ``tamed`` returns if it is kept."""
        found = self._kept(location)
        return None if found is None else found[1]

    def _kept(self, location: str) -> tuple[TableMetadata, TableMetadata] | None:
        with self._lock:
            found = self._entries.get(location)
            if found is not None:
                self._entries.move_to_end(location)
            return found

    def _entry(self, io: FileIO, location: str) -> tuple[TableMetadata, TableMetadata]:
        found = self._kept(location)
        if found is not None:
            return found
        metadata = read_metadata(io.new_input(location))
        entry = (metadata, tamed(metadata))
        with self._lock:
            self._entries[location] = entry
            while len(self._entries) > _CACHED:
                self._entries.popitem(last=False)
        return entry


class TamedMetastore(MetastoreCatalog):
    """Stands before one of pyiceberg's metastore catalogs in the order of classes.

    Tables leave it with the honoured properties only. A commit is based on the metadata as stored, so
    that the properties of other engines stay in the table.
    """

    cache: MetadataCache
    stores: Stores
    place: Place | None = None

    def load_table(self, identifier: str | Identifier) -> Table:
        """Load a table; its metadata holds the honoured properties only."""
        table = super().load_table(identifier)  # type: ignore[safe-super]  # the next class has a body
        table.metadata = tamed(table.metadata)
        return table

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """Commit; raises CommitFailedException, or TableAlreadyExistsError where a table was to be new."""
        try:
            response = super().commit_table(table, requirements, updates)  # type: ignore[safe-super]  # as above
        except CommitFailedException as error:
            if any(isinstance(requirement, AssertCreate) for requirement in requirements):
                raise TableAlreadyExistsError("the table exists") from error
            raise
        except OperationalError as error:
            if is_locked(error):
                # Nothing was changed: unlike other failures of a commit this one may be tried again.
                raise CommitFailedException("the metastore is locked") from error
            raise
        return CommitTableResponse(
            metadata=tamed(response.metadata), **{"metadata-location": response.metadata_location}
        )

    def _load_file_io(
        self,
        properties: Properties = EMPTY_DICT,  # noqa: ARG002  # a table does not configure storage
        location: str | None = None,  # noqa: ARG002  # each file is opened by its own scheme
    ) -> FileIO:
        return self.stores.reach.over(_by_scheme(self._opened))

    def _opened(self, real: str) -> FileIO:
        self.stores.refuse_elsewhere(real)
        return self.stores.opened(self.properties if self.place is None else self.place.properties, real)

    def _create_staged_table(  # pyiceberg's signature
        self,
        identifier: str | Identifier,
        schema: Any,
        location: str | None = None,
        partition_spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        sort_order: SortOrder = UNSORTED_SORT_ORDER,
        properties: Properties = EMPTY_DICT,
    ) -> StagedTable:
        # pyiceberg's own refuses nested schemas.
        if location is None or not isinstance(schema, Schema):
            return super()._create_staged_table(
                identifier, schema, location, partition_spec, sort_order, properties
            )
        metadata_location = SimpleLocationProvider(location, {}).new_table_metadata_file_location()
        return StagedTable(
            identifier=Catalog.identifier_to_tuple(identifier),
            metadata=new_table_metadata(schema, partition_spec, sort_order, location, properties),
            metadata_location=metadata_location,
            io=self._load_file_io(location=metadata_location),
            catalog=self,
        )

    def _update_and_stage_table(
        self,
        current_table: Table | None,
        table_identifier: Identifier,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> StagedTable:
        base: TableMetadata | None = None
        version = 0
        if current_table is not None:
            base = self.cache.read(current_table.io, current_table.metadata_location)
            version = self._parse_metadata_version(current_table.metadata_location) + 1
        for requirement in requirements:
            requirement.validate(base)
        metadata = update_table_metadata(
            base_metadata=self._empty_table_metadata() if base is None else base,
            updates=updates,
            enforce_validation=base is None,
            metadata_location=None if current_table is None else current_table.metadata_location,
        )
        location = SimpleLocationProvider(metadata.location, {}).new_table_metadata_file_location(version)
        return StagedTable(
            identifier=table_identifier,
            metadata=metadata,
            metadata_location=location,
            io=self._load_file_io(location=location),
            catalog=self,
        )


class TamedSql(TamedMetastore, SqlCatalog):
    """pyiceberg's SQL catalog on an engine of ours, with decoded metadata kept."""

    def __init__(
        self,
        name: str,
        properties: Properties,
        engine: Engine,
        cache: MetadataCache,
        *,
        migrated: bool,
        stores: Stores,
    ) -> None:
        MetastoreCatalog.__init__(self, name, **properties)
        self.engine = engine
        self.cache = cache
        self.stores = stores
        if migrated:
            self._schema_version = "v1"
        else:
            retrying(self._init_catalog, translate=False)

    @property
    def has_types(self) -> bool:
        """Say whether rows are marked as table or view, which old catalogs are not."""
        return self._schema_version == "v1"

    def load_table(self, identifier: str | Identifier) -> Table:
        """Load a table; its metadata holds the honoured properties only."""
        return SqlCatalog.load_table(self, identifier)

    def _load_file_io(
        self,
        properties: Properties = EMPTY_DICT,  # noqa: ARG002  # a table does not configure storage
        location: str | None = None,  # noqa: ARG002  # each file is opened by its own place
    ) -> FileIO:
        return self.stores.configured

    def table_at(self, identifier: Identifier, metadata_location: str) -> Table:
        """Return the table whose metadata stands at a location, without asking the database."""
        io = self._load_file_io(location=metadata_location)
        metadata = self.cache.tamed(io, metadata_location)
        return Table(identifier, metadata, metadata_location, io, self)

    def _convert_orm_to_iceberg(self, orm_table: Any) -> Table:
        if not orm_table.metadata_location:
            raise NoSuchTableError("the table has no metadata")
        identifier = (*Catalog.identifier_to_tuple(orm_table.table_namespace), orm_table.table_name)
        return self.table_at(identifier, orm_table.metadata_location)


def attach(place: Place, cache: MetadataCache, stores: Stores) -> Catalog:
    """Build the catalog that ``place`` tells of, with pyiceberg's properties.

    Raises ConfigurationError for an unknown type, a property that loads code, a missing extra, wrong
    properties, or a server out of reach.
    """
    name, kind = place.catalog, place.kind
    checked = check_catalog(name, place.properties)
    build = _class(name, kind)
    try:
        if kind == "sql":
            return TamedSql(name, checked, engine_for(checked["uri"]), cache, migrated=False, stores=stores)
        if kind == "rest":
            return cast(
                "Catalog", _tamed_rest(build, replace(place, properties=checked), stores)(name, **checked)
            )
        facts = {"cache": cache, "stores": stores, "place": place}
        tame = type(f"Tamed{build.__name__}", (TamedMetastore, build), facts)
        return cast("Catalog", tame(name, **checked))
    except ScoterError:
        raise
    except Exception as error:
        # What drivers and servers say may hold addresses and credentials.
        raise ConfigurationError(
            f'catalog "{name}" can not be opened', hint=f"see setting catalogs.{name}"
        ) from error


def _by_scheme(load: Callable[[str], FileIO]) -> Callable[[str], FileIO]:
    """Return ``load``, called once for each scheme: what it returns opens all files of one."""
    found: dict[str, FileIO] = {}

    def io_at(location: str) -> FileIO:
        scheme = urlparse(location).scheme
        if scheme not in found:
            found[scheme] = load(location)
        return found[scheme]

    return io_at


def assigns_locations(catalog: Catalog) -> bool:
    """Say whether the catalog's server decides where a new table lies."""
    return not isinstance(catalog, MetastoreCatalog)


def _class(name: str, kind: str) -> Any:
    if kind not in _CLASSES:
        hint = closest(kind, list(_CLASSES)) or f"one of {', '.join(_CLASSES)}"
        raise ConfigurationError(f"setting catalogs.{name}.type: no type {kind}", hint=hint)
    module, found = _CLASSES[kind]
    try:
        return getattr(import_module(module), found)
    except ImportError as error:
        raise ConfigurationError(
            f"catalog {name}: a package for type {kind} is not installed",
            hint=f"install pyiceberg with its extra for {kind}",
        ) from error


class _QuotedOnce:
    """A REST catalog whose namespaces are not quoted before they become a query's parameter, which is quoted anyway."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def _encode_namespace_path(self, namespace: Identifier) -> str:
        return str(self._namespace_separator.join(namespace))


def _tamed_rest(rest: Any, place: Place, stores: Stores) -> Any:
    """Return the REST catalog's class with tables tamed; the server may send settings for storage."""

    def sent(response: Any) -> dict[str, str]:
        # Not the table's own properties, which whoever writes the table sets.
        lent = rest._resolve_storage_credentials(response.storage_credentials, response.metadata.location)  # noqa: SLF001  # its rule of the longest prefix
        return {**response.config, **lent}

    class TamedRest(Tagged, rest):  # type: ignore[misc]  # imported only where a lake has such a catalog
        def list_namespaces(self, namespace: str | Identifier = ()) -> list[Identifier]:
            # pyiceberg's own asks for what is under R%C3%A4ume where a schema is called Räume.
            return cast("list[Identifier]", rest.list_namespaces(_QuotedOnce(self), namespace))

        def _fetch_config(self) -> None:
            super()._fetch_config()
            self.properties: Properties = without_code(self.properties)

        def _load_file_io(
            self,
            properties: Properties = EMPTY_DICT,  # noqa: ARG002  # what the server sends is used in one place
            location: str | None = None,  # noqa: ARG002  # each file is opened by its own place
        ) -> FileIO:
            return stores.configured

        def _lent(self, response: Any) -> FileIO:
            where = response.metadata.location, response.metadata_location or ""
            return stores.lent(place, *where, sent(response))

        def _response_to_table(self, identifier_tuple: Identifier, table_response: Any) -> Table:
            table = super()._response_to_table(identifier_tuple, table_response)
            table.metadata = tamed(table.metadata)
            table.io = self._lent(table_response)
            return cast("Table", table)

        def _response_to_staged_table(self, identifier_tuple: Identifier, table_response: Any) -> StagedTable:
            table = super()._response_to_staged_table(identifier_tuple, table_response)
            table.metadata = tamed(table.metadata)
            table.io = self._lent(table_response)
            return cast("StagedTable", table)

        def commit_table(
            self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
        ) -> CommitTableResponse:
            response = super().commit_table(table, requirements, updates)
            return CommitTableResponse(
                metadata=tamed(response.metadata), **{"metadata-location": response.metadata_location}
            )

    return TamedRest
