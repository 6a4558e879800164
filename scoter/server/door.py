"""Where calls enter and leave: who calls is settled first, and only Flight's own errors go out.

This module must not know what calls do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import flight

from scoter.catalog.principals import Principal
from scoter.engine.context import Context
from scoter.engine.journal import new_query_id
from scoter.errors import Cancelled, ShuttingDown
from scoter.server.authentication import Authentication, Caller, Headers
from scoter.server.calls import Call, Calls
from scoter.server.capacity import fitting, message_limit, user_agent
from scoter.server.failures import Failures
from scoter.server.quotas import Quota
from scoter.server.sessions import Held, Sessions, state_of
from scoter.server.tally import Tally

KEY = "scoter"  # under which pyarrow keeps the middleware

H = TypeVar("H", bound=Callable[..., Any])


@dataclass(frozen=True)
class Reception:
    """What every call passes through."""

    authentication: Authentication
    sessions: Sessions
    calls: Calls
    failures: Failures
    default: Callable[[Principal], Context]
    statements: Quota
    streams: Quota
    tally: Tally
    message_bytes: int


class Here:
    """One call as its handler sees it: who asks, in which session, and how to reach the client."""

    __slots__ = ("_flight", "_held", "_message_bytes", "_reception", "agent", "call", "caller")

    def __init__(
        self, reception: Reception, call: Call, caller: Caller, message_bytes: int, agent: str
    ) -> None:
        self._reception = reception
        self._message_bytes = message_bytes
        self._held: Held | None = None
        self._flight: Any = None
        self.call = call
        self.caller = caller
        self.agent = agent

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.caller.principal

    @property
    def default(self) -> Context:
        """The state of a fresh session of this principal."""
        return self._reception.default(self.caller.principal)

    @property
    def context(self) -> Context:
        """The session's state; raises AuthenticationFailed when the session has ended."""
        if self._held is None:
            caller = self.caller
            self._held = self._reception.sessions.get(
                caller.session, caller.version, caller.state, self.default
            )
        return self._held.context

    def keep(self, context: Context) -> None:
        """Make ``context`` the session's state and hand the client a token that holds it.

        To be called before the first byte of the answer is sent.
        """
        version = self._held.version if self._held is not None else self.caller.version
        newest = self._reception.sessions.change(self.caller.session, version, context)
        headers = self._reception.authentication.token_headers(self.caller, newest, state_of(context))
        for name, value in headers.items():
            self._flight.add_header(name, value)

    def take_place(self) -> None:
        """Count the call among the caller's statements until it ends; raises TooManyStatements."""
        give_back = self._reception.statements.take(self.caller.principal.name)
        self._reception.calls.on_end(self.call, give_back)

    def close_session(self) -> None:
        """End the session."""
        self._reception.sessions.close(self.caller.session)

    def attach(self, flight_context: Any) -> None:
        """Take what pyarrow gives a handler to talk to the client."""
        self._flight = flight_context
        self._reception.calls.attach(self.call, flight_context)

    def guarded(
        self, rows: Iterable[pa.RecordBatch], query_id: str, free: Callable[[], None]
    ) -> Iterator[pa.RecordBatch]:
        """Yield ``rows`` in batches that the client takes; ``free`` gives up what they come from.

        What goes wrong while they are sent leaves as a Flight error.
        """
        try:
            yield from self._reception.calls.send(self.call, fitting(rows, self._message_bytes), free)
        except Exception as error:  # noqa: BLE001  # pyarrow would send the traceback of any other
            raise self.failure(error, query_id) from None

    def failure(self, error: BaseException, query_id: str | None = None) -> flight.FlightError:
        """Return the error to raise in place of ``error``."""
        if self.call.shut_down and isinstance(error, Cancelled):
            # Another server, or this one in a moment, will run it: the client is to know that.
            error = ShuttingDown(
                "the server shut down before the statement ended",
                hint="run it again in a moment",
                query_id=error.query_id,
            )
        return self._reception.failures.to_flight(error, query_id or self.call.query_id)


def answering(handler: H) -> H:
    """Wrap a handler of a remote call: it gets a Here, and only Flight's own errors leave it."""

    @functools.wraps(handler)
    def answer(self: object, context: Any, *arguments: Any) -> Any:
        here: Here = context.get_middleware(KEY).here
        try:
            here.attach(context)
            return handler(self, here, *arguments)
        except BaseException as error:  # noqa: BLE001  # pyarrow would send the traceback of any other
            raise here.failure(error) from None

    return answer  # type: ignore[return-value]  # the wrapper takes Flight's context where the handler takes a Here


_QUOTAS: dict[Any, Callable[[Reception], Quota]] = {
    flight.FlightMethod.GET_FLIGHT_INFO: lambda reception: reception.statements,
    flight.FlightMethod.GET_SCHEMA: lambda reception: reception.statements,
    flight.FlightMethod.DO_PUT: lambda reception: reception.statements,
    # Actions other than to prepare have none: who has too much under way must be able to cancel it.
    flight.FlightMethod.DO_GET: lambda reception: reception.streams,
}


class Door(flight.ServerMiddlewareFactory):  # type: ignore[misc]  # pyarrow has no types
    """Lets in the calls whose caller is known, and refuses all others before anything is read."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def start_call(self, called: Any, headers: Headers) -> _Opened:
        """Admit a call or raise."""
        reception = self._reception
        query_id = new_query_id()
        reception.tally.add("calls")
        call = None
        try:
            # A ticket carries its session: whoever only fetches needs no token.
            mint = called.method != flight.FlightMethod.DO_GET
            caller = reception.authentication.identify(headers, mint=mint)
            most = message_limit(headers, reception.message_bytes)
            quota = _QUOTAS.get(called.method)
            call = reception.calls.open(query_id)
            if quota is not None:
                reception.calls.on_end(call, quota(reception).take(caller.principal.name))
        except BaseException as error:  # noqa: BLE001  # pyarrow would send the traceback of any other
            if call is not None:
                reception.calls.close(call)
            raise reception.failures.to_flight(error, query_id) from None
        if caller.begun:
            reception.tally.add("sessions")
        return _Opened(reception.calls, Here(reception, call, caller, most, user_agent(headers)))


class _Opened(flight.ServerMiddleware):  # type: ignore[misc]  # pyarrow has no types
    """A call under way, as pyarrow keeps it."""

    def __init__(self, calls: Calls, here: Here) -> None:
        self.here = here
        self._calls = calls

    def sending_headers(self) -> dict[str, str]:
        return dict(self.here.caller.answer or {})

    def call_completed(self, exception: BaseException | None) -> None:  # noqa: ARG002  # pyarrow calls it
        self._calls.close(self.here.call)
