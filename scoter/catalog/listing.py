"""Tables and views where they are listed: one that can not be read is listed, and hides none of the others.

This module must not know SQL, nor what of a table or view is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from scoter.catalog.fetching import Check, unchecked
from scoter.catalog.lake import Lake
from scoter.catalog.lookup import Found
from scoter.catalog.names import TableName
from scoter.errors import (
    ConfigurationError,
    CorruptData,
    NotSupported,
    PermissionDenied,
    ScoterError,
    Unreachable,
)

_UNREADABLE = (ConfigurationError, CorruptData, NotSupported, PermissionDenied)
_AT_ONCE = 256  # names that are looked up together
_T = TypeVar("_T")


class Listing:
    """One listing of a lake; a store that does not answer is waited for once."""

    def __init__(self, lake: Lake, check: Check = unchecked) -> None:
        """List what is in ``lake``; what ``check`` raises, before each table, ends it."""
        self._lake = lake
        self._check = check
        self._away: dict[tuple[str, ...], Unreachable] = {}

    def look_up(self, names: Iterable[TableName]) -> dict[TableName, Found | ScoterError]:
        """Return what exists of ``names``, or why its catalog's server does not hand it out.

        Raises Unreachable for a server that does not answer, AmbiguousName.
        """
        refused: dict[TableName, ScoterError] = {}
        found: dict[TableName, Found | ScoterError] = {}
        source = iter(names)
        while some := list(islice(source, _AT_ONCE)):
            self._check()
            found |= self._lake.look_up(some, refused)
        return found | refused

    def read(self, found: Found | ScoterError, reading: Callable[[Found], _T]) -> _T | ScoterError:
        """Return what ``reading`` gives for a table or view, or the error for which it can not be read."""
        self._check()
        if isinstance(found, ScoterError):
            return found
        store = tuple(found.location.split("/")[:3])  # s3://bucket
        if store in self._away:
            return self._away[store]
        try:
            return reading(found)
        except Unreachable as error:
            self._away[store] = error
            return error
        except _UNREADABLE as error:
            return error
