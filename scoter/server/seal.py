"""Signed bytes that clients carry: tickets and prepared statements' handles.

This module must not know what a statement is or who may run it.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from typing import TypeVar

from google.protobuf.message import DecodeError

from scoter.errors import InvalidHandle, InvalidTicket, ScoterError, ValueTooLarge
from scoter.server.flightsql.sealed_pb2 import Cargo, Prepared, Ticket

_TAG = 16  # bytes of the signature: 128 bits can not be guessed, and a ticket stays short
_INLINE = 64 * 1024  # bytes of parameters or rows that travel inside the handle
MOST_HELD = 512 * 1024 * 1024  # bytes of larger ones held on the server; the oldest give way

M = TypeVar("M", Ticket, Prepared)


class Seals:
    """Signs and opens handles with keys derived from the lake's signing key."""

    def __init__(self, signing_key: bytes, hold: Hold) -> None:
        # One key for each use: bytes signed as a ticket never open as a handle.
        self._ticket = hmac.digest(signing_key, b"scoter ticket", "sha256")
        self._prepared = hmac.digest(signing_key, b"scoter prepared", "sha256")
        self._hold = hold

    def seal_ticket(self, ticket: Ticket) -> bytes:
        """Return the signed bytes of a ticket."""
        return _sign(self._ticket, ticket.SerializeToString())

    def open_ticket(self, sealed: bytes, principal: str) -> Ticket:
        """Return the ticket inside; raises InvalidTicket if it is not ours, not theirs or too old."""
        refusal = InvalidTicket("the ticket is not valid", hint="run the statement again")
        ticket = _open(self._ticket, sealed, Ticket(), refusal)
        if ticket.principal != principal or ticket.expires < time.time():
            raise refusal
        return ticket

    def seal_prepared(self, prepared: Prepared) -> bytes:
        """Return the signed handle of a prepared statement."""
        return _sign(self._prepared, prepared.SerializeToString())

    def open_prepared(self, sealed: bytes, principal: str) -> Prepared:
        """Return the statement inside; raises InvalidHandle if it is not ours or not theirs."""
        refusal = InvalidHandle("the prepared statement's handle is not valid", hint="prepare it again")
        prepared = _open(self._prepared, sealed, Prepared(), refusal)
        if prepared.principal != principal:
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


class Hold:
    """Bytes kept by their SHA-256 until they expire or newer ones need the room."""

    def __init__(self, most_bytes: int = MOST_HELD) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._items: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def put(self, data: bytes, expires: float) -> bytes:
        """Keep ``data`` until ``expires`` (seconds since 1970) and return its hash."""
        if len(data) > self._most:
            raise ValueTooLarge(f"{len(data)} bytes of values are more than the {self._most} that are held")
        key = hashlib.sha256(data).digest()
        with self._lock:
            self._drop(key)
            self._items[key] = (expires, data)
            self._bytes += len(data)
            now = time.time()
            for old in [k for k, (until, _) in self._items.items() if until < now]:
                self._drop(old)
            while self._bytes > self._most:
                self._drop(next(iter(self._items)))
        return key

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes of a hash, or None when they are gone."""
        with self._lock:
            found = self._items.get(key)
            if found is None or found[0] < time.time():
                return None
            return found[1]

    def _drop(self, key: bytes) -> None:
        found = self._items.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1])


def _sign(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:_TAG] + payload


def _open(key: bytes, sealed: bytes, into: M, refusal: ScoterError) -> M:
    tag, payload = sealed[:_TAG], sealed[_TAG:]
    if not hmac.compare_digest(tag, hmac.digest(key, payload, "sha256")[:_TAG]):
        raise refusal
    try:
        into.ParseFromString(payload)
    except DecodeError as error:
        raise refusal from error
    return into
