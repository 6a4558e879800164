"""The names under which DuckDB opens the files of tables: paths on this machine, or names of objects.

This module must not know what is in a file or how it is fetched.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from scoter.catalog.objects.access import is_object, object_path
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


def object_named(name: str) -> tuple[str, int | None]:
    """Return the path and the bytes of the object that ``readable`` named.

    >>> object_named("object://5/lake/a%5B1%5D.parquet")
    ('lake/a[1].parquet', 5)
    """
    size, _, path = name.removeprefix(PREFIX).partition("/")
    return unquote(path), None if size == _UNKNOWN else int(size)
