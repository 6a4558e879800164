"""Which store opens which location, and what all stores of a lake share: connections and the cache.

This module must not know catalogs, tables or what is in a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scoter.catalog.objects.access import Access, object_path
from scoter.catalog.objects.blocks import Blocks
from scoter.catalog.objects.files import ObjectIO
from scoter.catalog.objects.reading import Ahead, Object, Reading
from scoter.catalog.objects.store import Store
from scoter.catalog.reach import outside
from scoter.errors import PermissionDenied
from scoter.settings import ObjectStores as Settings

_STORES = 256  # accesses whose connections are kept
_LENT = 8192  # prefixes that are kept of tables whose catalog's server says how they are read


class Objects:
    """The objects of all catalogs; safe for many threads."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        """Cache in ``directory``; nothing is connected before it is needed."""
        self._settings = settings
        self._lock = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._stores: OrderedDict[Access, Store] = OrderedDict()
        self._prefixes: dict[str, tuple[str, Store]] = {}  # with who answers for them
        self._lent: OrderedDict[str, tuple[str, Store]] = OrderedDict()
        self.reading = Reading(Blocks(directory, settings.cache_bytes))

    def close(self) -> None:
        """Begin no further requests."""
        with self._lock:
            for pool in self._pools.values():
                pool.shutdown(wait=False, cancel_futures=True)

    def io(self, access: Access) -> ObjectIO:
        """Return what opens the objects that an access reaches."""
        return ObjectIO(self._store(access), self.reading)

    def serve(self, prefix: str, owner: str, access: Access) -> None:
        """Have the objects under a prefix, for which ``owner`` answers, read by an access while the lake is open."""
        with self._lock:
            self._prefixes[_trimmed(prefix)] = owner, self._made(access)

    def lend(self, prefix: str, owner: str, access: Access) -> None:
        """Have the objects under a table's location read by the access that its ``owner`` gave last.

        Raises PermissionDenied where another one has its files there, in another store or with other keys.
        """
        place = _trimmed(prefix)
        with self._lock:
            store = self._made(access)
            before = self._found(f"{place}/")
            if before is not None and before[0] != owner and before[1].access != access:
                raise PermissionDenied(
                    "the table lies where another catalog has its files, in another store or with other keys"
                )
            self._lent[place] = owner, store
            self._lent.move_to_end(place)
            while len(self._lent) > _LENT:
                self._lent.popitem(last=False)

    def at(self, path: str, size: int | None) -> Object:
        """Return the object ``bucket/key``; raises PermissionDenied where it belongs to no table's place.

        Without a size the store is asked, which raises as its ``size`` does.
        """
        store = self._serving(path)
        return Object(store, path, store.size(path) if size is None else size)

    def ahead(self, files: Sequence[tuple[str, int]]) -> Ahead:
        """Return what fetches objects, by path and size, before they are read; raises as ``at``."""
        room = self._settings.cache_bytes // 4
        return self.reading.ahead([self.at(path, size) for path, size in files], room)

    def _serving(self, path: str) -> Store:
        found = self._found(path)
        if found is None or ".." in path.split("/"):
            raise outside()
        return found[1]

    def _found(self, path: str) -> tuple[str, Store] | None:
        """Return what serves the longest prefix of a path."""
        parts = path.split("/")
        for end in range(len(parts) - 1, 0, -1):
            prefix = "/".join(parts[:end])
            found = self._lent.get(prefix) or self._prefixes.get(prefix)
            if found is not None:
                return found
        return None

    def _store(self, access: Access) -> Store:
        with self._lock:
            return self._made(access)

    def _made(self, access: Access) -> Store:
        found = self._stores.get(access)
        if found is None:
            pool = self._pools.get(access.endpoint)
            if pool is None:
                pool = ThreadPoolExecutor(self._settings.requests, thread_name_prefix="scoter-objects")
                self._pools[access.endpoint] = pool
            found = self._stores[access] = Store(access, pool, self._settings.timeout)
            while len(self._stores) > _STORES:
                self._stores.popitem(last=False)
        else:
            self._stores.move_to_end(access)
        return found


def _trimmed(prefix: str) -> str:
    return object_path(prefix).rstrip("/")
