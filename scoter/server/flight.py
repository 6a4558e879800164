"""The Flight SQL server: each remote call is read and answered by the part that knows how.

This module must not know how statements run, how names resolve, or how callers are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import flight

from scoter.catalog.keys import signing_key
from scoter.engine.service import Engine
from scoter.errors import NotSupported, ShuttingDown, ValueTooLarge
from scoter.server import listings
from scoter.server.actions import OFFERED, Actions
from scoter.server.authentication import Authentication, NoHandshake
from scoter.server.calls import Calls
from scoter.server.door import KEY, Door, Here, Reception, answering
from scoter.server.failures import Failures, PlainRefusal
from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.seal import MOST_HELD, Hold, Seals
from scoter.server.sessions import Sessions
from scoter.server.statements import Statement, Statements, one_batch
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
        self.calls = Calls()
        self.draining = False
        self._lake = engine.lake
        self._statements = Statements(engine, Seals(key, Hold()), self.calls, limits.ticket_lifetime)
        self._actions = Actions(self._statements, self.calls, engine.lake)
        reception = Reception(
            Authentication(engine.principals, Tokens(key, limits.token_lifetime), engine.journal.event),
            Sessions(limits.max_sessions, limits.session_idle),
            self.calls,
            Failures(engine.journal.failure),
            engine.context,
        )
        super().__init__(location, auth_handler=NoHandshake(), middleware={KEY: Door(reception)}, **tls)

    @answering
    def get_flight_info(self, here: Here, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """Plan a query, run anything else, or announce a metadata answer."""
        command = _command(descriptor)
        if not isinstance(command, m.CommandStatementQuery | m.CommandPreparedStatementQuery):
            return _info(listings.schema_of(command), descriptor, descriptor.command, -1)
        statement = self._statement(here, command)
        started, changed = self._statements.start(statement, here.call, here.context)
        if changed is not None:
            here.keep(changed)
        ticket = commands.pack(m.TicketStatementQuery(statement_handle=started.ticket))
        return _info(started.schema, descriptor, ticket, started.rows)

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
            return self._statements.schema(self._statement(here, command), here.call.query_id)
        return listings.schema_of(command)

    @answering
    def do_get(self, here: Here, ticket: flight.Ticket) -> flight.FlightDataStream:
        """Stream the rows of a ticket."""
        command = commands.read(ticket.ticket)
        if not isinstance(command, m.TicketStatementQuery):
            rows = listings.rows_of(command, self._lake)
            return flight.GeneratorStream(listings.schema_of(command), here.guarded(rows, here.call.query_id))
        result = self._statements.fetch(command.statement_handle, here.principal, here.call)
        if isinstance(result, pa.RecordBatchReader):
            return flight.RecordBatchStream(result)
        # Not RecordBatchStream: it would send the traceback of what goes wrong while rows are made.
        # With batches of some MiB the generator costs nothing that can be measured.
        return flight.GeneratorStream(result.schema, here.guarded(result, result.query_id))

    @answering
    def do_put(
        self,
        here: Here,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        """Run an update, or bind rows to a prepared query."""
        command = _command(descriptor)
        match command:
            case m.CommandPreparedStatementQuery():
                handle = command.prepared_statement_handle
                bound = self._statements.bind(handle, here.principal, _received(reader))
                answer = m.DoPutPreparedStatementResult(prepared_statement_handle=bound).SerializeToString()
            case m.CommandStatementUpdate() | m.CommandPreparedStatementUpdate():
                statement = self._statement(here, command)
                rows = _received(reader)
                bound_rows = rows if rows.num_columns else None
                count, changed = self._statements.update(statement, bound_rows, here.call, here.context)
                if changed is not None:
                    here.keep(changed)
                answer = m.DoPutUpdateResult(record_count=count).SerializeToString()
            case _:
                raise NotSupported(f"{command.DESCRIPTOR.name} can not be used there")
        writer.write(pa.py_buffer(answer))

    @answering
    def do_action(self, here: Here, action: flight.Action) -> list[bytes]:
        """Answer an action."""
        if action.type == "CreatePreparedStatement":
            self._refuse_when_draining()
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

    def _refuse_when_draining(self) -> None:
        # Tickets are still honoured: their statements were accepted before.
        if self.draining:
            raise ShuttingDown("the server is shutting down", hint="connect again in a moment")


def _command(descriptor: flight.FlightDescriptor) -> commands.Command:
    if descriptor.command is None:
        raise NotSupported("a path names nothing here", hint="send a Flight SQL command")
    return commands.read(descriptor.command)


def _info(
    schema: pa.Schema, descriptor: flight.FlightDescriptor, ticket: bytes, rows: int
) -> flight.FlightInfo:
    # No location: the rows are where the FlightInfo came from.
    return flight.FlightInfo(schema, descriptor, [flight.FlightEndpoint(ticket, [])], rows, -1)


def _received(reader: flight.MetadataRecordBatchReader) -> pa.RecordBatch:
    """Return all rows that a client sends as one batch; raises ValueTooLarge, InvalidValue."""
    batches: list[pa.RecordBatch] = []
    size = 0
    while True:
        try:
            batch = reader.read_chunk().data
        except StopIteration:
            return one_batch(batches, _schema_sent(reader))
        if batch is not None:
            size += batch.nbytes
            if size > MOST_HELD:
                raise ValueTooLarge(f"a statement takes at most {MOST_HELD} bytes of bound values")
            batches.append(batch)


def _schema_sent(reader: flight.MetadataRecordBatchReader) -> pa.Schema:
    """Return the schema that a client sent; a client with nothing to bind may send none."""
    try:
        return reader.schema
    except OSError:
        return pa.schema([])
