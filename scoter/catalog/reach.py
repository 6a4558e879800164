"""Where files really are: prefixes that foreign metadata holds are read from elsewhere, and only in allowed places.

This module must not know catalogs, tables or what is in a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyiceberg.io import FileIO, InputFile, OutputFile

from scoter.errors import ConfigurationError, NotSupported, PermissionDenied

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")


def local_path(location: str) -> str:
    """Return the path that opens a file: ``file:`` URIs lose their scheme, others stay as they are.

    Iceberg's locations are not percent-encoded.

    >>> local_path("file:///lake/a b.parquet")
    '/lake/a b.parquet'
    """
    for prefix in ("file://localhost/", "file:///", "file:/"):
        if location.startswith(prefix):
            return "/" + location[len(prefix) :].lstrip("/")
    return location


def canonical(location: str) -> str:
    """Return one spelling of a location, to compare what different writers say of one file.

    >>> canonical("file:/lake/a.parquet") == canonical("/lake/a.parquet"), canonical("s3a://lake/a")
    (True, 's3://lake/a')
    """
    for prefix in ("s3a://", "s3n://"):
        if location.startswith(prefix):
            return "s3://" + location[len(prefix) :]
    return local_path(location)


def is_local(location: str) -> bool:
    """Say whether a location is a file of this machine."""
    return _SCHEME.match(local_path(location)) is None


class Reach:
    """Tells where a location really is, and whether the files there may be opened.

    ``path_map`` leads from prefixes in metadata to the places that they are read from; ``directories``
    gives the local directories under which all files of tables lie.
    """

    def __init__(
        self, path_map: Mapping[str, str], directories: Callable[[], Sequence[str]] | None = None
    ) -> None:
        pairs = [(_trimmed(prefix), _trimmed(target)) for prefix, target in path_map.items()]
        self._pairs = sorted(pairs, key=lambda pair: -len(pair[0]))
        self._directories = directories

    def real(self, location: str) -> str:
        """Return where a location is read from: under the longest prefix that fits, else as it stands."""
        path = local_path(location)
        for prefix, target in self._pairs:
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/"}:
                return target + path[len(prefix) :]
        return location

    def is_mapped(self, location: str) -> bool:
        """Say whether a location is read from elsewhere."""
        return self.real(location) != location

    def check(self, location: str) -> None:
        """Raise PermissionDenied for a real location on this machine outside of the allowed directories."""
        if self._directories is None or not is_local(location):
            return
        if not under(location, self._directories()):
            raise outside()

    def over(self, io_at: Callable[[str], FileIO]) -> FileIO:
        """Return what opens the files of tables where they really are; ``io_at`` opens a real location."""
        return _ReachingIO(self, io_at)


class _ReachingIO(FileIO):
    def __init__(self, reach: Reach, io_at: Callable[[str], FileIO]) -> None:
        super().__init__({})
        self._reach = reach
        self._io_at = io_at

    def new_input(self, location: str) -> InputFile:
        """Open for reading; raises PermissionDenied for a place that is not allowed."""
        real = self._reach.real(location)
        self._reach.check(real)
        return self._io_at(real).new_input(real)

    def new_output(self, location: str) -> OutputFile:
        """Open for writing; raises NotSupported for a place that is read from elsewhere, PermissionDenied."""
        self._refuse(location)
        return self._io_at(location).new_output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file; raises NotSupported for one that is read from elsewhere, PermissionDenied."""
        path = location if isinstance(location, str) else location.location
        self._refuse(path)
        self._io_at(path).delete(location)

    def _refuse(self, location: str) -> None:
        if self._reach.is_mapped(location):
            raise read_only("a table")
        self._reach.check(location)


def under(location: str, directories: Iterable[str]) -> bool:
    """Say whether a local location is one of the directories or lies in one, whatever links lead there."""
    if "\0" in location:
        return False
    path = os.path.realpath(local_path(location))
    roots = (os.path.realpath(directory) for directory in directories)
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def covers(prefix: str, location: str) -> bool:
    """Say whether a location lies under a prefix, however both are spelled.

    >>> covers("s3://lake/far/", "s3a://lake/far/t"), covers("s3://lake/far", "s3://lake/fare")
    (True, False)
    """
    return bool(prefix) and canonical(location).startswith(canonical(prefix).rstrip("/") + "/")


def outside() -> PermissionDenied:
    """Return the error for a file that may not be read."""
    return PermissionDenied(
        "a file of the table lies outside of the directories that may be read",
        hint="they are the warehouses of catalogs and the targets of path_map",
    )


def read_only(what: str) -> NotSupported:
    """Return the error for a change of a table that is read through path_map."""
    return NotSupported(
        f"{what} is read through path_map and can not be written",
        hint="copy its rows: CREATE TABLE … AS SELECT",
    )


def merged(maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the path maps of all catalogs as one.

    Raises ConfigurationError for a prefix with two targets, a prefix or target that is no absolute
    path or URI, and a target that is itself read from elsewhere.
    """
    found: dict[str, str] = {}
    for name, pairs in maps.items():
        for prefix, target in pairs.items():
            where = f"setting catalogs.{name}.path_map"
            for text in (prefix, target):
                if not (local_path(text).startswith("/") or "://" in text) or len(_trimmed(text)) < 2:
                    raise ConfigurationError(f"{where}: {text!r} is no absolute path and no URI")
            if found.setdefault(_trimmed(prefix), _trimmed(target)) != _trimmed(target):
                raise ConfigurationError(f"{where}: {prefix} is read from two places")
    reach = Reach(found)
    for target in found.values():
        if reach.is_mapped(target):
            raise ConfigurationError(f"path_map: the target {target} is itself read from elsewhere")
    return found


def _trimmed(prefix: str) -> str:
    return local_path(prefix).rstrip("/")
