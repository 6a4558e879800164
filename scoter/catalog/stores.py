"""The files of all catalogs: what opens them, where they may lie, and which of them only others may write.

This module must not know schemas, tables' names or what is in a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from pyiceberg.io import FileIO, load_file_io
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from scoter.catalog.objects.access import Access, is_object, lent
from scoter.catalog.objects.stores import Objects
from scoter.catalog.properties import without_code
from scoter.catalog.reach import Reach, canonical, covers, is_local, merged, outside
from scoter.errors import ConfigurationError, NotSupported

_LENT = 2048  # files' readers kept for tables whose catalog lends the credentials


@dataclass(frozen=True)
class Place:
    """What the settings say of a catalog's files: its name, its type and its properties."""

    catalog: str
    kind: str
    properties: Mapping[str, str]
    endpoints: tuple[str, ...] = ()

    @property
    def warehouse(self) -> str | None:
        """Return where its tables lie, None where only its server knows."""
        return self.properties.get("warehouse")

    @property
    def owner(self) -> str:
        """Return who answers for its files: itself, or its server, which may be attached under several names."""
        return self.properties.get("uri", "").rstrip("/") if self.kind == "rest" else self.catalog


class Stores:
    """Opens the files of tables; safe for many threads."""

    def __init__(
        self,
        path_maps: Mapping[str, Mapping[str, str]],
        places: Iterable[Place],
        objects: Objects,
    ) -> None:
        """Take each catalog's path map, the ``places`` of all catalogs, and what reads objects.

        What a catalog's server says of its warehouse is not asked for: it would open that place to all others.
        Raises ConfigurationError for settings of object stores that can not be used.
        """
        self.objects = objects
        maps = merged(path_maps)
        known = [
            (prefix, place)
            for place in places
            for prefix in (place.warehouse or "", *path_maps.get(place.catalog, {}).values())
            if prefix
        ]
        self._prefixes = sorted(known, key=lambda pair: -len(canonical(pair[0]).rstrip("/")))
        warehouses = (_directory(place) for prefix, place in known if prefix == place.warehouse)
        targets = filter(is_local, maps.values())
        self._directories = list(dict.fromkeys([*filter(None, warehouses), *targets]))
        self._lock = threading.Lock()
        self._ios: dict[str, FileIO] = {}  # by catalog and scheme
        self._lent: OrderedDict[str, FileIO] = OrderedDict()  # those that a catalog's server configured
        self.reach = Reach(maps, self.directories)
        self.configured = self.reach.over(self._io_at)  # opens by the settings of the catalog of each place
        self._serve()

    def io(self, location: str | TableMetadata) -> FileIO:
        """Return what reads and writes the files of a table, by a location in it or its metadata."""
        known = self._lent.get(location if isinstance(location, str) else _key(location))
        return self.configured if known is None else known

    def remember(self, table: Table) -> None:
        """Keep what opens the files of a table that a catalog's server handed out.

        A server may say any location and any uuid: files of this machine stay with the settings.
        """
        keys = {
            table.metadata_location: table.metadata_location,
            table.metadata.location: _key(table.metadata),
        }
        free = [key for location, key in keys.items() if is_object(self.reach.real(location))]
        with self._lock:
            for key in free:
                self._lent[key] = table.io
                self._lent.move_to_end(key)
            while len(self._lent) > _LENT:
                self._lent.popitem(last=False)

    def is_mapped(self, table: Table) -> bool:
        """Say whether files of the table are read from elsewhere, so that it can not be written."""
        snapshots = (snapshot.manifest_list for snapshot in table.metadata.snapshots)
        return any(map(self.reach.is_mapped, (table.metadata_location, table.metadata.location, *snapshots)))

    def refuse_elsewhere(self, real: str) -> None:
        """Raise PermissionDenied for a place that is under no catalog's warehouse and no target of a path map."""
        if is_local(real):
            self.reach.check(real)
            return
        if ".." in real.split("/") or not any(covers(prefix, real) for prefix, _ in self._prefixes):
            raise outside()

    def directories(self) -> list[str]:
        """Return the local directories under which files of tables lie: warehouses and targets of path maps."""
        return self._directories

    def opened(self, properties: Mapping[str, str], location: str) -> FileIO:
        """Return what opens a location by a catalog's own settings.

        Raises ConfigurationError, NotSupported for a place of a kind that nothing here opens.
        """
        if is_object(location):
            return self.objects.io(Access.of(properties))
        try:
            return load_file_io(without_code(properties), location)
        except (ValueError, ImportError) as error:
            raise NotSupported("a file of the table lies where nothing here can read it") from error

    def lent(
        self,
        place: Place,
        table_location: str,
        metadata_location: str,
        sent: Mapping[str, str],
    ) -> FileIO:
        """Return what opens the files of one table as the catalog's server says.

        ``sent`` are the settings for storage that came with the table; they are used for its objects alone, and
        all other files are opened as settings say. Raises ConfigurationError for an object store that is
        not allowed, PermissionDenied for the place of another catalog.
        """
        if not is_object(table_location):
            return self.configured
        access = lent(place.properties, sent, place.endpoints, place.catalog)
        self.objects.lend(table_location, place.owner, access)
        if is_object(metadata_location) and not covers(table_location, metadata_location):
            self.objects.lend(metadata_location, place.owner, access)
        io = self.objects.io(access)
        return self.reach.over(lambda real: io if is_object(real) else self._io_at(real))

    def _serve(self) -> None:
        """Tell which settings open the objects of which catalog; two catalogs must not differ on one place."""
        known: dict[str, Access] = {}
        for prefix, place in self._prefixes:
            if not is_object(prefix):
                continue
            access = Access.of(place.properties)
            for other, known_access in known.items():
                nested = covers(prefix, f"{other}/") or covers(other, f"{prefix}/")
                if nested and access != known_access:
                    raise ConfigurationError(
                        f"setting catalogs.{place.catalog}: another catalog opens the same place otherwise",
                        hint="give both the same settings s3",
                    )
            known[prefix] = access
            self.objects.serve(prefix, place.owner, access)

    def _io_at(self, location: str) -> FileIO:
        """Return what opens a real location; raises PermissionDenied for one that no setting leads to.

        The machine's own credentials must not fetch what metadata names.
        """
        if not is_local(location):
            self.refuse_elsewhere(location)
        for prefix, place in self._prefixes:
            if covers(prefix, location):
                return self._shared_io(place.catalog, place.properties, location)
        return self._shared_io("", {}, location)

    def _shared_io(self, key: str, properties: Mapping[str, str], location: str) -> FileIO:
        scheme = urlparse(location).scheme or "file"
        with self._lock:
            found = self._ios.get(f"{key}\0{scheme}")
            if found is None:
                found = self.opened(properties, location)
                self._ios[f"{key}\0{scheme}"] = found
            return found


def _key(metadata: TableMetadata) -> str:
    # A copy of a table's files has its uuid too.
    return f"{canonical(metadata.location)}\0{metadata.table_uuid}"


def _directory(place: Place) -> str | None:
    """Return the local directory of a catalog's warehouse."""
    url = urlparse(place.warehouse or "")
    if place.kind == "rest" and not url.path.startswith("/"):
        # The server's name for a warehouse, not a directory of ours.
        return None
    local = url.path and url.scheme in {"", "file"} and url.netloc in {"", "localhost"}
    return str(Path(url.path).absolute()) if local else None
