"""Prepared statements that are kept for their next execution, and whether they still hold then.

This module must not know how statements are prepared, nor run them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace

from scoter.catalog.fetching import Check
from scoter.catalog.lake import Lake
from scoter.catalog.lookup import Found
from scoter.catalog.models import Models
from scoter.catalog.names import TableName
from scoter.catalog.recent import Recent
from scoter.engine.plan import Pins, Plan, TablePin
from scoter.engine.preparing import Prepared
from scoter.errors import ScoterError

MOST = 1024
NO_REVISION = -1  # of what was prepared for models that were named by pins: it holds for these alone
MOST_SQL = 1024 * 1024  # characters of statements; the trees and plans of one take some 150 bytes for each


@dataclass
class Kept:
    """A prepared statement, what it was prepared against, and its plan where that never changes.

    ``revision`` is that of the models, None for a statement without any.
    """

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
        self._kept: Recent[Hashable, Kept] = Recent(MOST_SQL, lambda kept: max(kept.size, MOST_SQL // MOST))

    def put(self, key: Hashable, kept: Kept) -> None:
        """Keep a statement."""
        self._kept.put(key, kept)

    def get(self, key: Hashable, pins: Pins | None, check: Check) -> Kept | None:
        """Return what is kept if it is what its names mean now, or what ``pins`` say."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        resolved = kept.prepared.resolved
        if pins is not None:
            mine = resolved.pins
            same = (pins.tables, pins.views) == (mine.tables, mine.views)
            # A statement whose models are named by what is bound has pinned none of them before.
            named = bool(mine.models) and not pins.models
            fresh = kept.revision == self._models.revision() if named else pins.models == mine.models
            return kept if same and fresh else None
        if kept.revision is not None and kept.revision != self._models.revision():
            return None
        if not resolved.asked:
            return kept
        lake = self._lake.ended_by(check)
        there = lake.look_up(resolved.asked).values()
        if {one.name: one.location for one in there} == kept.pointers:
            return kept
        moved = _moved(kept, there, lake)
        if moved is not None:
            self._kept.put(key, moved)
        return moved


def _moved(kept: Kept, there: Collection[Found], lake: Lake) -> Kept | None:
    """Return an INSERT for the newer metadata of its table, if that has the columns it had and is not read."""
    prepared = kept.prepared
    resolved, target = prepared.resolved, prepared.target
    if target is None or target.columns is None or {one.name for one in there} != kept.pointers.keys():
        return None
    changed = [one for one in there if one.location != kept.pointers[one.name]]
    if len(changed) != 1 or changed[0].is_view:
        return None
    name, now = changed[0].name, changed[0].location
    if kept.pointers[name] != target.metadata_location or any(one.name == name for one in resolved.sources):
        return None
    try:
        if lake.metadata(now).schema() != target.columns:
            return None
    except ScoterError:  # whoever prepares it anew says so
        return None
    tables = tuple(TablePin(name, now) if pin.name == name else pin for pin in resolved.pins.tables)
    target = replace(target, metadata_location=now)
    resolved = replace(resolved, pins=replace(resolved.pins, tables=tables), target_location=now)
    plan = kept.plan
    if plan is not None:
        plan = replace(plan, pins=replace(plan.pins, tables=tables), target=target)
    again = replace(prepared, resolved=resolved, target=target)
    return Kept(again, {one.name: one.location for one in there}, kept.revision, kept.size, plan)
