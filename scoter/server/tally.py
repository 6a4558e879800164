"""Counts of what happened since the server started: calls, sessions, limits that were reached.

This module must not know what is counted nor who reads it.
"""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """Totals by name; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()

    def add(self, name: str, by: int = 1) -> None:
        """Count something that happened."""
        with self._lock:
            self._totals[name] += by

    def totals(self) -> dict[str, int]:
        """Return every total by its name, in order."""
        with self._lock:
            return dict(sorted(self._totals.items()))
