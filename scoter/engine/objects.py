"""Objects as DuckDB reads them: a read-only file system that an instance opens by names of its own.

This module must not know tables, statements or how objects are fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fsspec.spec import AbstractFileSystem

from scoter.catalog.objects.files import Reader
from scoter.catalog.objects.reading import Ahead
from scoter.catalog.objects.stores import Objects
from scoter.engine.scanning.paths import PREFIX, object_named
from scoter.errors import ScoterError
from scoter.udfs.runs import Run

_UNCHANGED = datetime(2020, 1, 1, tzinfo=UTC)  # objects never change, and DuckDB asks


class ObjectFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The objects that one instance's statement may read; what fails is kept in its ``run``."""

    protocol = PREFIX.removesuffix("://")
    cachable = False

    def __init__(self, objects: Objects, run: Run) -> None:
        super().__init__()
        self._objects = objects
        self._run = run
        self._ahead: Ahead | None = None

    def begin(self, files: Sequence[tuple[str, int]]) -> None:
        """Begin to fetch the objects, by path and bytes, that a statement will read; raises PermissionDenied."""
        self.end()
        if files:
            self._ahead = self._objects.ahead(files)
            self._ahead.start()

    def end(self) -> None:
        """Fetch nothing more ahead; safe from any thread."""
        if self._ahead is not None:
            self._ahead.end()

    def open(self, path: str, mode: str = "rb", **_: Any) -> Reader:
        """Open an object by its name; raises PermissionError for writing, and as `Objects.at`."""
        if mode not in {"r", "rb"}:
            raise PermissionError("objects are read only")
        try:
            where, size = object_named(path)
            source = self._objects.at(where, size)
        except ScoterError as error:
            self._run.fail(error)
            raise
        if self._ahead is not None:
            self._ahead.reading(source.path, source.size)
        return _File(self._objects, source, self._run)

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the name itself: names of objects hold no wildcards, and opening tells what is missing."""
        return [path]

    def isfile(self, path: str) -> bool:  # noqa: ARG002  # as glob
        """Say yes; opening tells what is missing."""
        return True

    exists = isfile

    def size(self, path: str) -> int:
        """Return an object's bytes; raises as `Objects.at`."""
        where, size = object_named(path)
        return self._objects.at(where, size).size if size is None else size

    def modified(self, path: str) -> datetime:  # noqa: ARG002  # no object changes
        """Return one time for all."""
        return _UNCHANGED


class _File(Reader):
    """An object that DuckDB reads, until its statement is cancelled."""

    def __init__(self, objects: Objects, source: Any, run: Run) -> None:
        super().__init__(objects.reading, source)
        self._run = run

    def read(self, length: int = -1) -> bytes:
        """Return the next bytes; what fails is kept, because DuckDB passes on a text."""
        try:
            return super().read(length)
        except ScoterError as error:
            self._run.fail(error)
            raise

    def _cancelled(self) -> bool:
        return self._run.cancelled
