"""Errors on their way out: each becomes one Flight error whose text is all that a client learns.

This module must not know which call failed, nor SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyarrow import flight

from scoter.engine.journal import new_query_id
from scoter.errors import (
    AuthenticationFailed,
    Cancelled,
    InternalError,
    OutOfMemory,
    PermissionDenied,
    ScoterError,
    ShuttingDown,
    StatementTimeout,
    TooManySessions,
    TooManyStatements,
    TooManyStreams,
)

# An error travels in HTTP/2 trailers, twice: percent-encoded and base64. gRPC's C++ and Java clients
# drop a call whose trailers exceed 8 KiB, and with it the message.
MOST_BYTES = 3000

_KINDS: tuple[tuple[type[ScoterError], type[flight.FlightError]], ...] = (
    (AuthenticationFailed, flight.FlightUnauthenticatedError),
    (PermissionDenied, flight.FlightUnauthorizedError),
    (StatementTimeout, flight.FlightTimedOutError),
    (Cancelled, flight.FlightCancelledError),
    (ShuttingDown, flight.FlightUnavailableError),
    (TooManyStatements, flight.FlightUnavailableError),
    (TooManySessions, flight.FlightUnavailableError),
    (TooManyStreams, flight.FlightUnavailableError),
    (InternalError, flight.FlightInternalError),
)


class Failures:
    """Turns whatever a handler raises into the one error that leaves the server."""

    def __init__(self, log: Callable[[str, BaseException], None]) -> None:
        self._log = log

    def to_flight(self, error: BaseException, query_id: str | None = None) -> flight.FlightError:
        """Return the Flight error to raise for any exception.

        Only Flight's own classes may leave a handler: pyarrow adds the traceback to the message of
        every other. What is not a ScoterError is logged in full under a query id.
        """
        known = self._known(error, query_id)
        return _kind(known)(_bounded(known))

    def _known(self, error: BaseException, query_id: str | None) -> ScoterError:
        if isinstance(error, ScoterError):
            # One that already has a query id was logged by the statement that raised it.
            if error.query_id is None:
                error.query_id = query_id
                if isinstance(error, InternalError):
                    error.query_id = query_id or new_query_id()
                    self._log(error.query_id, error)
            return error
        if isinstance(error, (MemoryError, pa.ArrowMemoryError)):
            return OutOfMemory("the server is out of memory", query_id=query_id)
        if isinstance(error, flight.FlightError):
            # Handlers raise none themselves: it comes from reading what the client sends.
            return Cancelled("the client stopped sending", query_id=query_id)
        found = InternalError(
            "the server failed in a way it was not built for",
            hint="the server's log has the details under the query id",
            query_id=query_id or new_query_id(),
        )
        self._log(str(found.query_id), error)
        return found


class PlainRefusal(ValueError):
    """An error of GetSchema, the one handler in which pyarrow does not know Flight's own errors.

    For any exception pyarrow calls ``traceback.format_exception`` and sends what it says; only when
    that fails it sends the class's name instead. So this one makes it fail.
    """

    @property
    def __cause__(self) -> None:  # type: ignore[override]  # the docstring says why
        raise AttributeError


def _kind(error: ScoterError) -> Any:
    return next((theirs for ours, theirs in _KINDS if isinstance(error, ours)), flight.FlightServerError)


def _bounded(error: ScoterError) -> str:
    text = error.text()
    if _weight(text) <= MOST_BYTES:
        return text
    # The end holds hint and query id; the middle of a long message is the part to spare.
    tail = f" … Query id {error.query_id}" if error.query_id else " …"
    room = MOST_BYTES - _weight(tail)
    low, high = 0, min(len(text), MOST_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _weight(text[:middle]) <= room else (low, middle - 1)
    return text[:low] + tail


def _weight(text: str) -> int:
    return len(quote(text, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}"))
