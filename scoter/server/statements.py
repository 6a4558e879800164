"""Statements on the wire: prepared, planned into tickets, executed, and streamed from tickets.

This module must not know headers, how sessions are kept, or gRPC.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache, partial

import pyarrow as pa

from scoter.catalog.principals import Principal
from scoter.catalog.recent import Recent
from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context
from scoter.engine.plan import Kind, Pins, Plan
from scoter.engine.result import Result
from scoter.engine.service import Engine
from scoter.errors import NotSupported, WrongParameterCount
from scoter.server.calls import Call, Calls
from scoter.server.flightsql import sealed_pb2 as sealed
from scoter.server.flightsql.schemas import COUNT
from scoter.server.seal import Seals

_BRIEF = 0.5  # seconds
_REMEMBERED = 1024 * 1024  # characters of statements


@dataclass(frozen=True)
class Statement:
    """A statement as a client sent it, or as a handle brought it back, with its bound rows."""

    sql: str
    context: Context
    parameters: sealed.Cargo | None = None


@dataclass(frozen=True)
class Started:
    """What GetFlightInfo answers.

    The schema to come, the ticket and its end in seconds since 1970, the rows written (-1 for a query).
    """

    schema: pa.Schema
    ticket: bytes
    expires: int
    rows: int


@dataclass(frozen=True)
class Fetched:
    """The rows of a ticket, and whether all of them are likely to be there at once."""

    rows: pa.RecordBatchReader | Result
    brief: bool


@dataclass(frozen=True)
class _Last:
    """Of the last run of a statement: the characters of its text, and whether its rows were soon sent."""

    size: int
    brief: bool


@dataclass(frozen=True)
class Lifetimes:
    """For how many seconds tickets, with what is bound to a statement, and handles are valid."""

    ticket: int
    handle: int


class Statements:
    """Runs the statements of all connections on one engine."""

    def __init__(self, engine: Engine, seals: Seals, calls: Calls, lifetimes: Lifetimes) -> None:
        self._engine = engine
        self._seals = seals
        self._calls = calls
        self._lifetimes = lifetimes
        self._last: Recent[str, _Last] = Recent(_REMEMBERED, weigh=lambda last: last.size)

    def prepare(self, sql: str, context: Context, call: Call) -> tuple[bytes, Plan]:
        """Return a handle for a statement and its plan; nothing is run."""
        plan = self._plan(sql, context, call)
        prepared = sealed.Prepared(principal=context.principal.name, sql=sql, session=_session(context))
        prepared.expires = int(time.time()) + self._lifetimes.handle
        return self._seals.seal_prepared(prepared), plan

    def bind(self, handle: bytes, principal: Principal, rows: pa.RecordBatch) -> bytes:
        """Return the handle of the same prepared statement with bound rows in it."""
        prepared = self._seals.open_prepared(handle, principal.name)
        values = self._seals.load(_to_bytes([rows], rows.schema), self._expiry())
        prepared.parameters.CopyFrom(values)
        prepared.expires = int(time.time()) + self._lifetimes.handle
        return self._seals.seal_prepared(prepared)

    def prepared(self, handle: bytes, principal: Principal) -> Statement:
        """Return the statement in a handle; raises InvalidHandle."""
        prepared = self._seals.open_prepared(handle, principal.name)
        parameters = prepared.parameters if prepared.HasField("parameters") else None
        return Statement(prepared.sql, _context(prepared.session, principal), parameters)

    def schema(self, statement: Statement, call: Call) -> pa.Schema:
        """Return the schema of the rows a statement gives, without running it."""
        return _result_schema(self._plan(statement.sql, statement.context, call))

    def start(self, statement: Statement, call: Call, session: Context) -> tuple[Started, Context | None]:
        """Plan a query into a ticket, or run anything else and put its finished result into one.

        ``session`` is the session's state now, which a command such as USE changes: the second value
        is the new state, None when it stays.
        """
        plan = self._plan(statement.sql, statement.context, call)
        if plan.kind is Kind.QUERY:
            return self._planned(plan, statement, call.query_id), None
        result, context = self._run(plan, statement, self._rows(statement), call, session)
        try:
            rows = [] if plan.is_update else list(result)
            affected = result.rows_affected
        finally:
            result.close()
        schema = _result_schema(plan)
        if plan.is_update and schema == COUNT:
            rows = [pa.record_batch([[affected]], schema=COUNT)]
        ticket = self._ticket(statement.context.principal, call.query_id)
        ticket.finished.rows.CopyFrom(self._seals.load(_to_bytes(rows, schema), ticket.expires))
        total = affected if plan.is_update else sum(batch.num_rows for batch in rows)
        return Started(schema, self._seals.seal_ticket(ticket), ticket.expires, total), context

    def update(
        self, statement: Statement, rows: pa.RecordBatch | None, call: Call, session: Context
    ) -> tuple[int, Context | None]:
        """Run a write or a command; return the number of rows written, and the session's new state.

        Raises NotSupported for a query.
        """
        plan = self._plan(statement.sql, statement.context, call)
        if plan.kind is Kind.QUERY:
            raise NotSupported(
                "the statement returns rows and can not be run as an update",
                hint="send it as a query",
                query_id=call.query_id,
            )
        bound = rows if rows is not None else self._rows(statement)
        result, context = self._run(plan, statement, bound, call, session)
        try:
            return max(0, result.rows_affected), context
        finally:
            result.close()

    def fetch(self, handle: bytes, principal: Principal, call: Call) -> Fetched:
        """Return the rows of a ticket: finished ones as they are, a query's as they come.

        Raises InvalidTicket. The result of a query is closed when its call ends.
        """
        ticket = self._seals.open_ticket(handle, principal.name)
        if ticket.WhichOneof("what") == "finished":
            return Fetched(pa.ipc.open_stream(self._seals.unload(ticket.finished.rows)), brief=True)
        query = ticket.query
        context = _context(query.session, principal)
        call.query_id = ticket.query_id
        cancellation = self._watched(call)
        pins, query_id = _pins(query.pins), ticket.query_id
        plan = self._engine.plan(query.sql, context, pins, query_id=query_id, cancellation=cancellation)
        bound = query.parameters if query.HasField("parameters") else None
        rows = self._rows(Statement(query.sql, context, bound))
        result = self._engine.run(plan, context, rows, query_id=query_id, cancellation=cancellation)
        self._calls.on_end(call, result.close)
        self._calls.on_end(call, partial(self._note, query.sql, result, time.monotonic()))
        last = self._last.get(query.sql)
        return Fetched(result, brief=last is not None and last.brief)

    def _note(self, sql: str, result: Result, started: float) -> None:
        self._last.put(sql, _Last(len(sql), result.ended and time.monotonic() - started <= _BRIEF))

    def renew(self, handle: bytes, principal: Principal) -> tuple[bytes, int]:
        """Return a ticket for the same rows that is valid for a whole lifetime from now, and its end.

        Raises InvalidTicket, InvalidHandle.
        """
        ticket = self._seals.open_ticket(handle, principal.name)
        ticket.expires = self._expiry()
        if ticket.WhichOneof("what") == "finished":
            self._seals.prolong(ticket.finished.rows, ticket.expires)
        elif ticket.query.HasField("parameters"):
            self._seals.prolong(ticket.query.parameters, ticket.expires)
        return self._seals.seal_ticket(ticket), ticket.expires

    def query_of(self, handle: bytes, principal: Principal) -> str:
        """Return the query id in a ticket of the principal; raises InvalidTicket."""
        return self._seals.open_ticket(handle, principal.name).query_id

    def _plan(self, sql: str, context: Context, call: Call) -> Plan:
        return self._engine.plan(sql, context, query_id=call.query_id, cancellation=self._watched(call))

    def _planned(self, plan: Plan, statement: Statement, query_id: str) -> Started:
        bound = statement.parameters
        if plan.parameters.names and bound is None:
            raise WrongParameterCount(
                f"the statement has {len(plan.parameters)} parameters and no values are bound",
                query_id=query_id,
            )
        ticket = self._ticket(statement.context.principal, query_id)
        query = ticket.query
        query.sql = statement.sql
        query.pins = plan.pins.text
        query.session.CopyFrom(_session(statement.context))
        if plan.parameters.names and bound is not None:
            query.parameters.CopyFrom(bound)
        return Started(plan.schema, self._seals.seal_ticket(ticket), ticket.expires, -1)

    def _run(
        self,
        plan: Plan,
        statement: Statement,
        rows: pa.RecordBatch | None,
        call: Call,
        session: Context,
    ) -> tuple[Result, Context | None]:
        # A prepared USE or SET changes the session as it is now, not as it was when prepared.
        context = session if plan.kind is Kind.COMMAND else statement.context
        result = self._engine.run(
            plan, context, rows, query_id=call.query_id, cancellation=self._watched(call)
        )
        changed = plan.kind is Kind.COMMAND and result.context != session
        return result, result.context if changed else None

    def _watched(self, call: Call) -> Cancellation:
        """Return what ends the statement of a call; the call's client going away does."""
        cancellation = Cancellation()
        self._calls.watch(call, cancellation.cancel)
        return cancellation

    def _rows(self, statement: Statement) -> pa.RecordBatch | None:
        if statement.parameters is None:
            return None
        return pa.ipc.open_stream(self._seals.unload(statement.parameters)).read_next_batch()

    def _ticket(self, principal: Principal, query_id: str) -> sealed.Ticket:
        return sealed.Ticket(principal=principal.name, expires=self._expiry(), query_id=query_id)

    def _expiry(self) -> int:
        return int(time.time()) + self._lifetimes.ticket


def _result_schema(plan: Plan) -> pa.Schema:
    return COUNT if plan.kind is Kind.WRITE else plan.schema


def _to_bytes(batches: list[pa.RecordBatch], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


@lru_cache(maxsize=512)
def _pins(text: str) -> Pins:
    return Pins.from_text(text)


def _session(context: Context) -> sealed.Session:
    return sealed.Session(
        catalog=context.catalog,
        schema=context.schema,
        timezone=context.timezone,
        statement_timeout=context.statement_timeout,
        query_tag=context.query_tag,
    )


def _context(session: sealed.Session, principal: Principal) -> Context:
    return Context(
        principal,
        session.catalog,
        session.schema,
        session.timezone,
        session.statement_timeout,
        session.query_tag,
    )
