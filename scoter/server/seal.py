"""Signed bytes that clients carry: tickets and prepared statements' handles.

This module must not know what a statement is or who may run it.
"""

from __future__ import annotations

import hmac
import time
from typing import TypeVar

from google.protobuf.message import DecodeError

from scoter.errors import InvalidHandle, InvalidTicket, ScoterError
from scoter.server.flightsql.sealed_pb2 import Cargo, Prepared, Ticket
from scoter.server.hold import Hold

_TAG = 16  # bytes of the signature: 128 bits can not be guessed, and a ticket stays short
_INLINE = 64 * 1024  # bytes of parameters or rows that travel inside the handle
_ROOM = 32 * 1024 * 1024  # bytes of a handle beside its statement: pins and parameters stay far below

M = TypeVar("M", Ticket, Prepared)


class Seals:
    """Signs and opens handles with keys derived from the lake's signing key."""

    def __init__(self, signing_key: bytes, hold: Hold, most_sql: int) -> None:
        # One key for each use: bytes signed as a ticket never open as a handle.
        self._ticket = hmac.digest(signing_key, b"scoter ticket", "sha256")
        self._prepared = hmac.digest(signing_key, b"scoter prepared", "sha256")
        self._hold = hold
        self._most = most_sql + _ROOM

    def seal_ticket(self, ticket: Ticket) -> bytes:
        """Return the signed bytes of a ticket."""
        return _sign(self._ticket, ticket.SerializeToString())

    def open_ticket(self, sealed: bytes, principal: str) -> Ticket:
        """Return the ticket inside; raises InvalidTicket if it is not ours, not theirs or too old."""
        refusal = InvalidTicket("the ticket is not valid", hint="run the statement again")
        ticket = self._open(self._ticket, sealed, Ticket(), refusal)
        if ticket.principal != principal or ticket.expires < time.time():
            raise refusal
        return ticket

    def seal_prepared(self, prepared: Prepared) -> bytes:
        """Return the signed handle of a prepared statement."""
        return _sign(self._prepared, prepared.SerializeToString())

    def open_prepared(self, sealed: bytes, principal: str) -> Prepared:
        """Return the statement inside; raises InvalidHandle if it is not ours, not theirs or too old."""
        refusal = InvalidHandle("the prepared statement's handle is not valid", hint="prepare it again")
        prepared = self._open(self._prepared, sealed, Prepared(), refusal)
        if prepared.principal != principal or prepared.expires < time.time():
            raise refusal
        return prepared

    def load(self, data: bytes, expires: float) -> Cargo:
        """Return ``data`` as cargo of a handle: inside it, or by hash when it is large."""
        if len(data) <= _INLINE:
            return Cargo(inline=data)
        return Cargo(sha256=self._hold.put(data, expires))

    def unload(self, cargo: Cargo) -> bytes:
        """Return what load took; raises InvalidHandle when the server no longer has it."""
        if cargo.WhichOneof("place") == "inline":
            return cargo.inline
        data = self._hold.get(cargo.sha256)
        if data is None:
            raise InvalidHandle("the server no longer holds these values", hint="run the statement again")
        return data

    def prolong(self, cargo: Cargo, expires: float) -> None:
        """Have what load took kept until ``expires``; raises InvalidHandle when it is gone."""
        if cargo.WhichOneof("place") == "sha256" and not self._hold.prolong(cargo.sha256, expires):
            raise InvalidHandle("the server no longer holds these values", hint="run the statement again")

    def _open(self, key: bytes, sealed: bytes, into: M, refusal: ScoterError) -> M:
        # To check a signature costs time by the byte: what can not be ours is not looked at.
        if len(sealed) > self._most:
            raise refusal
        tag, payload = sealed[:_TAG], sealed[_TAG:]
        if not hmac.compare_digest(tag, hmac.digest(key, payload, "sha256")[:_TAG]):
            raise refusal
        try:
            into.ParseFromString(payload)
        except DecodeError as error:
            raise refusal from error
        return into


def _sign(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:_TAG] + payload
