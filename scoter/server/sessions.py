"""Sessions: the state that USE and SET leave behind for a connection's next statement.

This module must not know tokens' form, headers or how statements run.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace

from scoter.engine.context import Context
from scoter.errors import AuthenticationFailed, TooManySessions
from scoter.server.tally import Tally
from scoter.server.tokens import State


@dataclass(frozen=True)
class Held:
    """A session's newest state."""

    version: int
    context: Context


@dataclass
class _Entry:
    held: Held
    used: float


class Sessions:
    """The changed sessions of this server, bounded in number, for each user too, and in idle time.

    A session that never changed anything is not kept: its context is the default one.
    """

    def __init__(self, most: int, most_each: int, idle: float, tally: Tally) -> None:
        self._most = most
        self._most_each = most_each
        self._idle = idle
        self._tally = tally
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # the one used longest ago first
        self._each: Counter[str] = Counter()
        # Sessions that ended here, with the version they had: an older token must not revive them.
        self._ended: OrderedDict[str, int] = OrderedDict()

    def get(self, session: str, version: int, state: State | None, default: Context) -> Held:
        """Return the session's state: the kept one, else what its token brings, else the default.

        Raises AuthenticationFailed when the session was closed, or was dropped for being idle and
        the token does not hold its last state.
        """
        now = time.monotonic()
        with self._lock:
            self._end_idle(now)
            entry = self._entries.get(session)
            if entry is not None and entry.held.version >= version:
                entry.used = now
                self._entries.move_to_end(session)
                held = entry.held
                if held.context.principal == default.principal:
                    return held
                return Held(held.version, replace(held.context, principal=default.principal))
            ended = self._ended.get(session)
        if ended is not None and version < ended:
            raise AuthenticationFailed("the session has ended", hint="connect again; then repeat USE and SET")
        if state is None:
            return Held(version, default)
        return Held(version, _context(state, default))

    def change(self, session: str, version: int, context: Context) -> int:
        """Keep a session's new state and return its version; ``version`` is the one it grew from.

        Raises TooManySessions when it would be one more than its user may have.
        """
        now = time.monotonic()
        name = context.principal.name
        with self._lock:
            self._end_idle(now)
            entry = self._entries.get(session)
            if entry is None:
                if self._each[name] >= self._most_each:
                    self._tally.add("sessions_refused")
                    raise TooManySessions(
                        f"{name!r} has {self._most_each} sessions with settings of their own, as many as "
                        "server.principal_sessions allows",
                        hint="close connections that are not used",
                    )
                self._each[name] += 1
            newest = max(version, entry.held.version if entry else 0) + 1
            self._entries[session] = _Entry(Held(newest, context), now)
            self._entries.move_to_end(session)
            while len(self._entries) > self._most:
                self._end(next(iter(self._entries)), "sessions_displaced")
            return newest

    def close(self, session: str) -> None:
        """End a session for good: no token opens it again."""
        with self._lock:
            if session in self._entries:
                self._end(session, "sessions_closed")
            self._remember(session, 2**31)

    def __len__(self) -> int:
        """Return the number of sessions kept."""
        return len(self._entries)

    def _end_idle(self, now: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries))
            if now - self._entries[oldest].used <= self._idle:
                return
            self._end(oldest, "sessions_idle")

    def _end(self, session: str, reason: str) -> None:
        entry = self._entries.pop(session)
        name = entry.held.context.principal.name
        self._each[name] -= 1
        if not self._each[name]:
            del self._each[name]
        self._tally.add(reason)
        self._remember(session, entry.held.version)

    def _remember(self, session: str, version: int) -> None:
        self._ended[session] = version
        self._ended.move_to_end(session)
        while len(self._ended) > 4 * self._most:
            self._ended.popitem(last=False)


def state_of(context: Context) -> State:
    """Return the part of a context that a session changes."""
    return State(
        context.catalog, context.schema, context.timezone, context.statement_timeout, context.query_tag
    )


def _context(state: State, default: Context) -> Context:
    return replace(
        default,
        catalog=state.catalog,
        schema=state.schema,
        timezone=state.timezone,
        statement_timeout=state.statement_timeout,
        query_tag=state.query_tag,
    )
