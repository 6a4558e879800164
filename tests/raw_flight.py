"""Calls of Flight made of bytes, over grpcio: what no client library would send, and calls cut short.

This module must not know what is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

SERVICE = "/arrow.flight.protocol.FlightService/"
_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def field(number: int, value: bytes | int) -> bytes:
    """Encode one field of a protobuf message: bytes with their length, or a number."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def descriptor(command: bytes) -> bytes:
    """Encode a FlightDescriptor of a command."""
    return field(1, 2) + field(2, command)


class Raw:
    """One connection; what is sent and received is bytes."""

    def __init__(self, address: str, certificate: bytes | None = None) -> None:
        place = address.partition("://")[2]
        if certificate is None:
            self.channel = grpc.insecure_channel(place, _ANY_SIZE)
        else:
            self.channel = grpc.secure_channel(place, grpc.ssl_channel_credentials(certificate), _ANY_SIZE)

    def ask(self, method: str, request: bytes, *, timeout: float = 30, **headers: str) -> Any:
        """Begin a call with one request; iterate what comes back for its messages."""
        call = self.channel.unary_stream(SERVICE + method)
        return call(request, timeout=timeout, metadata=_metadata(headers))

    def send(self, method: str, requests: Iterable[bytes], *, timeout: float = 30, **headers: str) -> Any:
        """Begin a call with many requests."""
        call = self.channel.stream_stream(SERVICE + method)
        return call(iter(requests), timeout=timeout, metadata=_metadata(headers))

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self.channel.close()


def _metadata(headers: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), value) for name, value in headers.items()]


def outcome(call: Any) -> tuple[str, str]:
    """Read a call to its end; return its status code and the text of its error, empty without one."""
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code().name, str(error.details())
    return "OK", ""


def refusal(call: Any) -> tuple[str, str]:
    """Return the status code and the text of a call that must fail."""
    code, said = outcome(call)
    assert code != "OK", "the call succeeded"
    return code, said


@contextmanager
def connected(address: str) -> Iterator[Raw]:
    """Give a connection and close it."""
    raw = Raw(address)
    try:
        yield raw
    finally:
        raw.close()
