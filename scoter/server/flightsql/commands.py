"""Reading commands and actions: bytes from a client become one typed message or an error.

This module must not know what a message makes the server do.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError, Message

from scoter.errors import InvalidValue, NotSupported
from scoter.server.flightsql import messages_pb2 as m

_PREFIX = "type.googleapis.com/arrow.flight.protocol.sql."
_FLIGHT = "type.googleapis.com/arrow.flight.protocol."
_SUBSTRAIT = _PREFIX + "CommandStatementSubstraitPlan"

Command: TypeAlias = (
    m.CommandGetSqlInfo
    | m.CommandGetXdbcTypeInfo
    | m.CommandGetCatalogs
    | m.CommandGetDbSchemas
    | m.CommandGetTables
    | m.CommandGetTableTypes
    | m.CommandGetPrimaryKeys
    | m.CommandGetExportedKeys
    | m.CommandGetImportedKeys
    | m.CommandGetCrossReference
    | m.CommandStatementQuery
    | m.CommandStatementUpdate
    | m.CommandPreparedStatementQuery
    | m.CommandPreparedStatementUpdate
    | m.CommandStatementIngest
    | m.TicketStatementQuery
)

# An allow-list: a type that is not here is refused before a byte of it is parsed.
_COMMANDS: dict[str, type[Command]] = {
    _PREFIX + kind.DESCRIPTOR.name: kind
    for kind in (
        m.CommandGetSqlInfo,
        m.CommandGetXdbcTypeInfo,
        m.CommandGetCatalogs,
        m.CommandGetDbSchemas,
        m.CommandGetTables,
        m.CommandGetTableTypes,
        m.CommandGetPrimaryKeys,
        m.CommandGetExportedKeys,
        m.CommandGetImportedKeys,
        m.CommandGetCrossReference,
        m.CommandStatementQuery,
        m.CommandStatementUpdate,
        m.CommandPreparedStatementQuery,
        m.CommandPreparedStatementUpdate,
        m.CommandStatementIngest,
        m.TicketStatementQuery,
    )
}

M = TypeVar("M", bound=Message)


def read(data: bytes) -> Command:
    """Return the Flight SQL command in a descriptor or ticket.

    Raises InvalidValue for bytes that are no command, NotSupported for one that is not offered.
    """
    packed = _parse(Packed(), data)
    kind = _COMMANDS.get(packed.type_url)
    if packed.type_url == _SUBSTRAIT:
        raise NotSupported("Substrait plans are not offered", hint="send the statement as SQL")
    if kind is None:
        name = packed.type_url.rpartition(".")[2][:64] or "an empty one"
        raise NotSupported(f"the Flight SQL command {name} is not offered")
    return _parse(kind(), packed.value)


def pack(message: Message) -> bytes:
    """Return a Flight SQL message wrapped in Any."""
    packed = Packed(type_url=_PREFIX + message.DESCRIPTOR.name, value=message.SerializeToString())
    return packed.SerializeToString()


def unpack(data: bytes, into: M) -> M:
    """Read a Flight SQL action's body, which is wrapped in Any; raises InvalidValue."""
    packed = _parse(Packed(), data)
    if packed.type_url != _PREFIX + into.DESCRIPTOR.name:
        raise InvalidValue("the action's body is of another kind than its name")
    return _parse(into, packed.value)


def own(data: bytes, into: M) -> M:
    """Read the body of one of Flight's own actions; raises InvalidValue.

    The protocol sends these bare. A client that wraps one in Any, as it does Flight SQL's actions, is
    understood: no bare body of these reads as an Any of their name.
    """
    packed = Packed()
    try:
        packed.ParseFromString(data)
    except DecodeError:
        return _parse(into, data)
    if packed.type_url == _FLIGHT + into.DESCRIPTOR.name:
        return _parse(into, packed.value)
    return _parse(into, data)


def bare(data: bytes, into: M) -> M:
    """Read a message that stands inside another as bytes; raises InvalidValue."""
    return _parse(into, data)


def refuse_transaction(
    message: m.CommandStatementQuery
    | m.CommandStatementUpdate
    | m.CommandStatementIngest
    | m.ActionCreatePreparedStatementRequest,
) -> None:
    """Raise NotSupported for a statement that is to run in a transaction."""
    if message.transaction_id:
        raise NotSupported("transactions are not offered", hint="each statement commits on its own")


def _parse(into: M, data: bytes) -> M:
    try:
        into.ParseFromString(data)
    except DecodeError as error:
        raise InvalidValue("the bytes are not a Flight SQL message") from error
    return into
