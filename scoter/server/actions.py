"""The actions of Flight SQL and of Flight: prepared statements, cancellation, session options.

This module must not know how statements run or how a call reached it.
"""

from __future__ import annotations

from scoter.catalog.lake import Lake
from scoter.errors import NotSupported
from scoter.server.binders import binder_schema
from scoter.server.calls import Calls
from scoter.server.door import Here
from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.options import get_options, set_options
from scoter.server.statements import Statements

OFFERED = {
    "CreatePreparedStatement": "Prepare a statement.",
    "ClosePreparedStatement": "Forget a prepared statement.",
    "CancelFlightInfo": "End the statement that a FlightInfo belongs to.",
    "CancelQuery": "End the statement that a FlightInfo belongs to; CancelFlightInfo replaces it.",
    "RenewFlightEndpoint": "Return an endpoint with a ticket that is valid for longer.",
    "SetSessionOptions": "Change the session's catalog, schema or settings.",
    "GetSessionOptions": "Return the session's catalog, schema and settings.",
    "CloseSession": "End the session.",
}

_ALONE = "each statement commits on its own"
_REFUSED = {
    "BeginTransaction": ("transactions are", _ALONE),
    "EndTransaction": ("transactions are", _ALONE),
    "BeginSavepoint": ("savepoints are", _ALONE),
    "EndSavepoint": ("savepoints are", _ALONE),
    "CreatePreparedSubstraitPlan": ("Substrait plans are", "send the statement as SQL"),
}

_CANCELLED, _NOT_CANCELLABLE = 1, 3
_CLOSED = 1


class Actions:
    """Answers actions by their names."""

    def __init__(self, statements: Statements, calls: Calls, lake: Lake) -> None:
        self._statements = statements
        self._calls = calls
        self._lake = lake

    def answer(self, here: Here, name: str, body: bytes) -> list[bytes]:
        """Return the results of an action; raises NotSupported for one that is not offered."""
        match name:
            case "CreatePreparedStatement":
                create = commands.unpack(body, m.ActionCreatePreparedStatementRequest())
                commands.refuse_transaction(create)
                return [commands.pack(self._prepare(here, create.query))]
            case "ClosePreparedStatement":
                close = commands.unpack(body, m.ActionClosePreparedStatementRequest())
                # Handles hold everything themselves: there is nothing to forget, only to check.
                self._statements.prepared(close.prepared_statement_handle, here.principal)
                return []
            case "CancelFlightInfo":
                request = commands.own(body, m.CancelFlightInfoRequest())
                status = self._cancel(here, request.info)
                return [m.CancelFlightInfoResult(status=status).SerializeToString()]
            case "CancelQuery":
                query = commands.unpack(body, m.ActionCancelQueryRequest())
                status = self._cancel(here, commands.bare(query.info, m.FlightInfo()))
                return [commands.pack(m.ActionCancelQueryResult(result=status))]
            case "RenewFlightEndpoint":
                renewal = commands.own(body, m.RenewFlightEndpointRequest())
                return [self._renew(here, renewal.endpoint).SerializeToString()]
            case "SetSessionOptions":
                return [self._set(here, commands.own(body, m.SetSessionOptionsRequest()))]
            case "GetSessionOptions":
                commands.own(body, m.GetSessionOptionsRequest())
                return [get_options(here.context).SerializeToString()]
            case "CloseSession":
                commands.own(body, m.CloseSessionRequest())
                here.close_session()
                return [m.CloseSessionResult(status=_CLOSED).SerializeToString()]
            case _:
                what, hint = _REFUSED.get(name, (f"the action {name[:64]!r} is", None))
                raise NotSupported(f"{what} not offered", hint=hint)

    def _prepare(self, here: Here, sql: str) -> m.ActionCreatePreparedStatementResult:
        handle, plan = self._statements.prepare(sql, here.context, here.call)
        # JDBC takes parameters' number and types from the parameter schema alone, and takes an empty
        # schema of rows for an update.
        return m.ActionCreatePreparedStatementResult(
            prepared_statement_handle=handle,
            dataset_schema=b"" if plan.is_update else plan.schema.serialize().to_pybytes(),
            parameter_schema=binder_schema(plan.parameters, here.agent).serialize().to_pybytes(),
            is_update=plan.is_update,
        )

    def _cancel(self, here: Here, info: m.FlightInfo) -> int:
        ended = False
        for endpoint in info.endpoint:
            command = commands.read(endpoint.ticket.ticket)
            if not isinstance(command, m.TicketStatementQuery):
                continue
            ended |= self._calls.cancel(self._statements.query_of(command.statement_handle, here.principal))
        return _CANCELLED if ended else _NOT_CANCELLABLE

    def _renew(self, here: Here, endpoint: m.FlightEndpoint) -> m.FlightEndpoint:
        command = commands.read(endpoint.ticket.ticket)
        if isinstance(command, m.TicketStatementQuery):
            ticket, expires = self._statements.renew(command.statement_handle, here.principal)
            endpoint.ticket.ticket = commands.pack(m.TicketStatementQuery(statement_handle=ticket))
            endpoint.expiration_time.FromSeconds(expires)
        # The ticket of a metadata command is the command itself and does not end.
        return endpoint

    def _set(self, here: Here, request: m.SetSessionOptionsRequest) -> bytes:
        before = here.context
        result, after = set_options(request, before, here.default, self._lake)
        if after != before:
            here.keep(after)
        return result.SerializeToString()
