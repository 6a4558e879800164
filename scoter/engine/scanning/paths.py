"""The names under which DuckDB opens the files of tables: paths on this machine, or names of objects.

This module must not know what is in a file or how it is fetched.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from scoter.catalog.data_files import DataFiles, Ints
from scoter.catalog.objects.access import is_object, object_path
from scoter.catalog.objects.reading import WHOLE
from scoter.catalog.reach import local_path
from scoter.engine.types import escaped

PREFIX = "object://"
"""What the names of objects begin with."""

_UNKNOWN = "-"


def readable(location: str, size: int | None = None) -> str:
    """Return the name that DuckDB opens a file by; an object's holds its bytes, where they are known.

    >>> readable("s3://lake/a[1].parquet", 5), readable("file:///lake/a.parquet")
    ('object://5/lake/a%5B1%5D.parquet', '/lake/a.parquet')
    """
    if not is_object(location):
        return escaped(local_path(location))
    return f"{PREFIX}{_UNKNOWN if size is None else size}/{quote(object_path(location))}"


def objects_ahead(files: DataFiles, read: Iterable[Ints]) -> tuple[tuple[str, int], ...] | None:
    """Return path and bytes of the files, by their numbers in the order of ``read``, that are best fetched whole.

    None where no file lies in an object store.
    """
    numbers = [number for part in read for number in part.tolist() if is_object(str(files.paths[number]))]
    if not numbers:
        return None
    small = (number for number in numbers if files.bytes[number] <= WHOLE)
    return tuple((object_path(str(files.paths[number])), int(files.bytes[number])) for number in small)


def object_named(name: str) -> tuple[str, int | None]:
    """Return the path and the bytes of the object that ``readable`` named.

    >>> object_named("object://5/lake/a%5B1%5D.parquet")
    ('lake/a[1].parquet', 5)
    """
    size, _, path = name.removeprefix(PREFIX).partition("/")
    return unquote(path), None if size == _UNKNOWN else int(size)
