"""Prepared statements that are kept for their next execution, and whether they still hold then.

This module must not know how statements are prepared, nor run them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from scoter.catalog.fetching import Check
from scoter.catalog.lake import Lake
from scoter.catalog.models import Models
from scoter.catalog.names import TableName
from scoter.catalog.recent import Recent
from scoter.engine.plan import Pins, Plan, TablePin
from scoter.engine.preparing import Prepared

MOST = 1024
MOST_SQL = 1024 * 1024  # characters of statements; the trees and plans of one take some 150 bytes for each


@dataclass
class Kept:
    """A prepared statement, what it was prepared against, and its plan where that never changes."""

    prepared: Prepared
    pointers: dict[TableName, str]
    revision: int | None
    size: int
    plan: Plan | None = None


class Keeping:
    """The statements that were prepared last."""

    def __init__(self, lake: Lake, models: Models) -> None:
        self._lake = lake
        self._models = models
        self._kept: Recent[tuple[str, ...], Kept] = Recent(
            MOST_SQL, lambda kept: max(kept.size, MOST_SQL // MOST)
        )

    def put(self, key: tuple[str, ...], kept: Kept) -> None:
        """Keep a statement."""
        self._kept.put(key, kept)

    def get(self, key: tuple[str, ...], pins: Pins | None, check: Check) -> Kept | None:
        """Return what is kept if it is what its names mean now, or what ``pins`` say."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        resolved = kept.prepared.resolved
        if pins is not None:
            mine = resolved.pins
            same = (pins.tables, pins.models, pins.views) == (mine.tables, mine.models, mine.views)
            return kept if same else None
        if kept.revision is not None and kept.revision != self._models.revision():
            return None
        if not resolved.asked:
            return kept
        lake = self._lake.ended_by(check)
        found = {one.name: one.location for one in lake.look_up(resolved.asked).values()}
        if found == kept.pointers:
            return kept
        moved = _moved(kept, found, lake)
        if moved is not None:
            self._kept.put(key, moved)
        return moved


def _moved(kept: Kept, found: dict[TableName, str], lake: Lake) -> Kept | None:
    """Return an INSERT for the newer metadata of its table, if that has the columns it had and is not read."""
    prepared = kept.prepared
    resolved, target = prepared.resolved, prepared.target
    changed = [name for name in found if found[name] != kept.pointers.get(name)]
    if not isinstance(resolved.tree, exp.Insert) or target is None or target.metadata_location is None:
        return None
    if found.keys() != kept.pointers.keys() or len(changed) != 1:
        return None
    (name,) = changed
    before, now = target.metadata_location, found[name]
    if kept.pointers[name] != before or any(source.name == name for source in resolved.sources):
        return None
    if lake.metadata(before).schema() != lake.metadata(now).schema():
        return None
    tables = tuple(TablePin(name, now) if pin.name == name else pin for pin in resolved.pins.tables)
    target = replace(target, metadata_location=now)
    resolved = replace(resolved, pins=replace(resolved.pins, tables=tables), target_location=now)
    plan = kept.plan
    if plan is not None:
        plan = replace(plan, pins=replace(plan.pins, tables=tables), target=target)
    again = replace(prepared, resolved=resolved, target=target)
    return Kept(again, found, kept.revision, kept.size, plan)
