"""What one user may have under way at once, and what each has.

This module must not know what the things are that it counts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping

from scoter.errors import ResourceError
from scoter.server.tally import Tally


class Quota:
    """Places of one kind for each user; safe for many threads.

    ``refusal`` is the error for a user who has them all, ``most`` their number, ``setting`` the name of
    the setting that says so.
    """

    def __init__(
        self, kind: str, most: int, setting: str, refusal: type[ResourceError], tally: Tally
    ) -> None:
        self._kind = kind
        self._most = most
        self._setting = setting
        self._refusal = refusal
        self._tally = tally
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, principal: str) -> Callable[[], None]:
        """Take a place of a user and return what gives it back, once; raises the refusal."""
        with self._lock:
            refused = self._taken[principal] >= self._most
            if not refused:
                self._taken[principal] += 1
        if refused:
            self._tally.add(f"{self._kind}_refused")
            raise self._refusal(
                f"{principal!r} has {self._most} {self._kind} under way, as many as {self._setting} allows",
                hint="try again when one of them has ended",
            )
        self._tally.add(self._kind)
        held = [principal]

        def give_back() -> None:
            with self._lock:
                for name in held:
                    self._taken[name] -= 1
                    if not self._taken[name]:
                        del self._taken[name]
                held.clear()

        return give_back

    def taken(self) -> Mapping[str, int]:
        """Return how many places each user has taken."""
        with self._lock:
            return dict(self._taken)
