"""The Flight SQL server: each remote call is read and answered by the part that knows how.

This module must not know how statements run, how names resolve, or how callers are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pyarrow as pa
from pyarrow import flight

from scoter.catalog.keys import signing_key
from scoter.engine.service import Engine
from scoter.errors import (
    Cancelled,
    InvalidValue,
    NotSupported,
    ShuttingDown,
    TooManyStatements,
    TooManyStreams,
    ValueTooLarge,
)
from scoter.server import listings
from scoter.server.actions import OFFERED, Actions
from scoter.server.authentication import Authentication, NoHandshake
from scoter.server.calls import Calls
from scoter.server.capacity import Begun, small
from scoter.server.door import KEY, Door, Here, Reception, answering
from scoter.server.failures import Failures, PlainRefusal
from scoter.server.flightsql import commands, info
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.hold import Hold
from scoter.server.ingest import Ingests
from scoter.server.quotas import Quota
from scoter.server.received import one_batch
from scoter.server.seal import Seals
from scoter.server.sessions import Sessions
from scoter.server.statements import Lifetimes, Statement, Statements
from scoter.server.tally import Tally
from scoter.server.tokens import Tokens
from scoter.settings import Settings

_STATEMENTS = (
    m.CommandStatementQuery,
    m.CommandStatementUpdate,
    m.CommandPreparedStatementQuery,
    m.CommandPreparedStatementUpdate,
)


class FlightSqlServer(flight.FlightServerBase):  # type: ignore[misc]  # pyarrow has no types
    """Serves one engine. It listens from its creation on; ``shutdown`` ends it.

    ``tls`` are pyarrow's arguments for certificates.
    """

    def __init__(self, engine: Engine, settings: Settings, location: str, **tls: Any) -> None:
        key = signing_key(engine.metastore)
        limits = settings.server
        self.tally = tally = Tally()
        self.calls = Calls(limits.stall_seconds, tally)
        self.draining = False
        self._lake = engine.lake
        self._most_bound = limits.max_bind_bytes
        self._limits = info.Limits(limits.handle_lifetime * 1000, settings.query.max_sql_bytes)
        hold = Hold(settings.directory / "held", limits.held_bytes)
        hold.sweep()  # what expired while no server ran
        seals = Seals(key, hold, settings.query.max_sql_bytes)
        lifetimes = Lifetimes(limits.ticket_lifetime, limits.handle_lifetime)
        self._statements = Statements(engine, seals, self.calls, lifetimes)
        self._ingests = Ingests(engine, self.calls, limits.stall_seconds)
        self._actions = Actions(self._statements, self.calls, engine.lake)
        reception = Reception(
            authentication=Authentication(
                engine.principals, Tokens(key, limits.token_lifetime), engine.journal.event
            ),
            sessions=Sessions(limits.max_sessions, limits.principal_sessions, limits.session_idle, tally),
            calls=self.calls,
            failures=Failures(engine.journal.failure),
            default=engine.context,
            statements=Quota(
                "statements",
                limits.principal_statements,
                "server.principal_statements",
                TooManyStatements,
                tally,
            ),
            streams=Quota(
                "streams", limits.principal_streams, "server.principal_streams", TooManyStreams, tally
            ),
            tally=tally,
            message_bytes=limits.max_message_bytes,
        )
        super().__init__(location, auth_handler=NoHandshake(), middleware={KEY: Door(reception)}, **tls)

    @answering
    def get_flight_info(self, here: Here, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """Plan a query, run anything else, or announce a metadata answer."""
        command = _command(descriptor)
        if not isinstance(command, m.CommandStatementQuery | m.CommandPreparedStatementQuery):
            return _info(listings.schema_of(command), descriptor, descriptor.command, -1, None)
        statement = self._statement(here, command)
        started, changed = self._statements.start(statement, here.call, here.context)
        if changed is not None:
            here.keep(changed)
        ticket = commands.pack(m.TicketStatementQuery(statement_handle=started.ticket))
        return _info(started.schema, descriptor, ticket, started.rows, started.expires)

    def get_schema(self, context: Any, descriptor: flight.FlightDescriptor) -> flight.SchemaResult:
        """Return the schema that a command's rows will have; nothing is run."""
        try:
            return flight.SchemaResult(self._schema(context, descriptor))
        except flight.FlightError as error:
            raise PlainRefusal(str(error)) from None

    @answering
    def _schema(self, here: Here, descriptor: flight.FlightDescriptor) -> pa.Schema:
        command = _command(descriptor)
        if isinstance(command, _STATEMENTS):
            return self._statements.schema(self._statement(here, command), here.call)
        return listings.schema_of(command)

    @answering
    def do_get(self, here: Here, ticket: flight.Ticket) -> flight.FlightDataStream:
        """Stream the rows of a ticket."""
        command = commands.read(ticket.ticket)
        if not isinstance(command, m.TicketStatementQuery):
            schema = listings.schema_of(command)
            listed = listings.rows_of(command, self._lake, self._limits)
            return flight.GeneratorStream(schema, here.guarded(listed, here.call.query_id, listed.close))
        fetched = self._statements.fetch(command.statement_handle, here.principal, here.call)
        rows = fetched.rows
        # A client may do something else, such as cancel, once it has the schema: only what was brief makes it wait.
        begun = small(rows) if fetched.brief else Begun()
        if begun.ended:
            # Arrow sends it without Python, which takes turns with other calls for each batch.
            return flight.RecordBatchStream(pa.RecordBatchReader.from_batches(rows.schema, begun.batches))
        # Not RecordBatchStream: it would send the traceback of what goes wrong while rows are made.
        # With batches of some MiB the generator costs nothing that can be measured.
        following = chain(begun.batches, rows)
        return flight.GeneratorStream(rows.schema, here.guarded(following, here.call.query_id, rows.close))

    @answering
    def do_put(
        self,
        here: Here,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        """Run an update, bind rows to a prepared query, or write rows to a table."""
        command = _command(descriptor)
        match command:
            case m.CommandPreparedStatementQuery():
                handle = command.prepared_statement_handle
                bound = self._statements.bind(handle, here.principal, self._received(here, reader))
                answer = m.DoPutPreparedStatementResult(prepared_statement_handle=bound).SerializeToString()
            case m.CommandStatementUpdate() | m.CommandPreparedStatementUpdate():
                statement = self._statement(here, command)
                rows = self._received(here, reader)
                bound_rows = rows if rows.num_columns else None
                count, changed = self._statements.update(statement, bound_rows, here.call, here.context)
                if changed is not None:
                    here.keep(changed)
                answer = m.DoPutUpdateResult(record_count=count).SerializeToString()
            case m.CommandStatementIngest():
                self._refuse_when_draining()
                count = self._ingests.run(command, reader, here.call, here.context)
                answer = m.DoPutUpdateResult(record_count=count).SerializeToString()
            case _:
                raise NotSupported(f"{command.DESCRIPTOR.name} can not be used there")
        writer.write(pa.py_buffer(answer))

    @answering
    def do_action(self, here: Here, action: flight.Action) -> list[bytes]:
        """Answer an action."""
        if action.type == "CreatePreparedStatement":
            self._refuse_when_draining()
            here.take_place()
        return self._actions.answer(here, action.type, action.body.to_pybytes())

    @answering
    def list_actions(self, _: Here) -> list[flight.ActionType]:
        """Return the actions that are offered."""
        return [flight.ActionType(name, about) for name, about in OFFERED.items()]

    @answering
    def list_flights(self, _: Here, _criteria: bytes) -> Iterator[flight.FlightInfo]:
        """Return nothing: Flight SQL's own commands list tables."""
        return iter(())

    @answering
    def do_exchange(self, *_: object) -> None:
        """Refuse: Flight SQL has no use for it."""
        raise NotSupported("DoExchange is not offered")

    def _statement(
        self,
        here: Here,
        command: m.CommandStatementQuery
        | m.CommandStatementUpdate
        | m.CommandPreparedStatementQuery
        | m.CommandPreparedStatementUpdate,
    ) -> Statement:
        self._refuse_when_draining()
        if isinstance(command, m.CommandPreparedStatementQuery | m.CommandPreparedStatementUpdate):
            return self._statements.prepared(command.prepared_statement_handle, here.principal)
        commands.refuse_transaction(command)
        return Statement(command.query, here.context)

    def _received(self, here: Here, reader: flight.MetadataRecordBatchReader) -> pa.RecordBatch:
        """Return all rows that a client sends as one batch; raises ValueTooLarge, InvalidValue, Cancelled."""
        batches: list[pa.RecordBatch] = []
        size = 0
        while True:
            try:
                batch = reader.read_chunk().data
            except StopIteration:
                # A client that vanishes looks like one that has sent all.
                if self.calls.is_gone(here.call):
                    raise Cancelled("the client left before it had sent all rows") from None
                return one_batch(batches, _schema_sent(reader))
            except flight.FlightError:
                raise
            except (pa.ArrowException, OSError) as error:
                raise InvalidValue("the rows sent are not valid Arrow data") from error
            if batch is not None:
                # Not nbytes: it reads offsets, which have not been checked yet, and would crash the process.
                size += batch.get_total_buffer_size()
                if size > self._most_bound:
                    raise ValueTooLarge(
                        f"a statement takes at most {self._most_bound} bytes of bound values",
                        hint="bind fewer rows at a time, or have server.max_bind_bytes raised",
                    )
                batches.append(batch)

    def _refuse_when_draining(self) -> None:
        # Tickets are still honoured: their statements were accepted before.
        if self.draining:
            raise ShuttingDown("the server is shutting down", hint="connect again in a moment")


def _command(descriptor: flight.FlightDescriptor) -> commands.Command:
    if descriptor.command is None:
        raise NotSupported("a path names nothing here", hint="send a Flight SQL command")
    return commands.read(descriptor.command)


def _info(
    schema: pa.Schema, descriptor: flight.FlightDescriptor, ticket: bytes, rows: int, expires: int | None
) -> flight.FlightInfo:
    # No location: the rows are where the FlightInfo came from.
    # In nanoseconds: of any other unit pyarrow makes these by a cast, which takes longer than all the rest.
    until = None if expires is None else pa.scalar(expires * 10**9, pa.timestamp("ns", "UTC"))
    return flight.FlightInfo(schema, descriptor, [flight.FlightEndpoint(ticket, [], until)], rows, -1)


def _schema_sent(reader: flight.MetadataRecordBatchReader) -> pa.Schema:
    """Return the schema that a client sent; a client with nothing to bind may send none."""
    try:
        return reader.schema
    except OSError:
        return pa.schema([])
