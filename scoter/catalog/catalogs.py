"""The catalogs of a lake by name: where their tables lie, and each opened when it is first used.

This module must not know schemas, tables or views.
"""

from __future__ import annotations

import threading

from pyiceberg.catalog import Catalog

from scoter.catalog.attached import MetadataCache, TamedSql, attach
from scoter.catalog.metastore import Metastore
from scoter.catalog.names import folded
from scoter.catalog.objects.stores import Objects
from scoter.catalog.stores import Place, Stores
from scoter.errors import ConfigurationError, UndefinedCatalog
from scoter.settings import CatalogSettings, Settings
from scoter.suggestions import closest

# In a directory's name these would be read as a glob, a URI's query or fragment, or an escape.
_UNUSABLE = frozenset("#?*[]%\n\r\0")


class Catalogs:
    """The embedded catalog and those of the settings; ``embedded`` says whether there is the first."""

    def __init__(self, settings: Settings, metastore: Metastore) -> None:
        self._lock = threading.Lock()
        self._settings = {name: known for name, known in settings.catalogs.items() if known.type is not None}
        for name, known in settings.catalogs.items():
            if known.type is None and (name != settings.catalog or known.properties):
                raise ConfigurationError(
                    f"setting catalogs.{name}.type: missing", hint="only the embedded catalog has no type"
                )
        self.names = [settings.catalog, *sorted(set(self._settings) - {settings.catalog})]
        self.embedded = settings.catalog not in self._settings
        self.cache = MetadataCache()
        warehouse = {"warehouse": f"file://{settings.warehouse}"}
        places = [_place(name, known) for name, known in self._settings.items()]
        if self.embedded:
            places.insert(0, Place(settings.catalog, "", warehouse))
        self.stores = Stores(
            {name: known.path_map for name, known in settings.catalogs.items()},
            places,
            Objects(settings.objects, settings.object_cache),
        )
        self._open: dict[str, Catalog] = {}
        if self.embedded:
            if _UNUSABLE & set(str(settings.warehouse)):
                raise ConfigurationError(
                    "the lake's directory has a character in its path that can not be used",
                    hint="the path may not hold any of # ? * [ ] %",
                )
            self._open[settings.catalog] = TamedSql(
                settings.catalog,
                warehouse,
                metastore.engine,
                self.cache,
                migrated=True,
                stores=self.stores,
            )

    def attached(self, name: str) -> Catalog:
        """Return pyiceberg's catalog of that name; raises UndefinedCatalog."""
        key = next((known for known in self.names if folded(known) == folded(name)), None)
        if key is None:
            raise self.undefined(name)
        found = self._open.get(key)
        if found is not None:
            return found
        with self._lock:
            if key not in self._open:
                self._open[key] = attach(_place(key, self._settings[key]), self.cache, self.stores)
            return self._open[key]

    def undefined(self, name: str) -> UndefinedCatalog:
        """Return the error for a catalog that does not exist."""
        return UndefinedCatalog(f'catalog "{name}" does not exist', hint=closest(name, self.names))

    def close(self) -> None:
        """Close what was opened; the metastore, which the embedded catalog shares, stays open. Idempotent."""
        with self._lock:
            for name, catalog in self._open.items():
                if name in self._settings:
                    catalog.close()
        self.stores.objects.close()


def _place(name: str, settings: CatalogSettings) -> Place:
    kind = (settings.type or "").casefold()
    return Place(name, kind, settings.all_properties, settings.s3.allowed_endpoints)
