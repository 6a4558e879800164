"""How large a message a client takes, and batches cut to fit it.

This module must not know where batches come from or how they are sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from scoter.errors import InvalidValue, ValueTooLarge

HEADER = "scoter-max-message-bytes"

# Arrow's clients on these two implementations of gRPC set no limit of their own; those in Go do, and
# nothing in the protocol tells a server the number.
_UNLIMITED = ("grpc-java", "grpc-c++")
_LARGEST = 2**31 - 1  # what a message's length can say
_LEAST = 64 * 1024
_FEW = 1000  # rows: an engine's batches are of 2048 at least, but the last one
_ENVELOPE = 4096  # bytes of a message around the batch in it

_HINT = (
    "raise the client's limit and tell the server: with ADBC set "
    "adbc.flight.sql.client_option.with_max_msg_size and "
    f"adbc.flight.sql.rpc.call_header.{HEADER} to the same number of bytes; elsewhere send the header {HEADER}"
)


def message_limit(headers: Mapping[str, Sequence[str | bytes]], default: int) -> int:
    """Return how many bytes a message to the client may have.

    The client's own word in the header counts, then what its library is known for, then ``default``.
    Raises InvalidValue for a header that is no such number.
    """
    for said in headers.get(HEADER, ()):
        text = said if isinstance(said, str) else said.decode("latin-1")
        if not (text.isascii() and text.isdigit() and _LEAST <= int(text[:12]) <= _LARGEST):
            raise InvalidValue(f"the header {HEADER} is not a number of bytes from {_LEAST} to {_LARGEST}")
        return int(text)
    agent = user_agent(headers)
    return _LARGEST if any(name in agent for name in _UNLIMITED) else default


def user_agent(headers: Mapping[str, Sequence[str | bytes]]) -> str:
    """Return what a client's library says of itself, the empty text when it says nothing."""
    said = headers.get("user-agent", ())
    return " ".join(text if isinstance(text, str) else text.decode("latin-1") for text in said)


@dataclass(frozen=True)
class Begun:
    """The first batches of an answer, and whether they are all of it."""

    batches: Sequence[pa.RecordBatch] = ()
    ended: bool = False


def small(batches: Iterator[pa.RecordBatch]) -> Begun:
    """Read an answer to its end if it is one batch that fits any message, or has no rows; else the beginning of it.

    An answer that is longer is not waited for: its first batch is full.
    """
    first = next(batches, None)
    if first is None:
        return Begun([], ended=True)
    if first.num_rows > _FEW or first.nbytes > _LEAST // 2 or first.num_columns >= 1000:
        return Begun([first], ended=False)
    second = next(batches, None)
    return Begun([first] if second is None else [first, second], ended=second is None)


def fitting(batches: Iterable[pa.RecordBatch], most_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yield the batches, cut where one would be more than ``most_bytes`` as a message.

    Raises ValueTooLarge for a row that is larger by itself.
    """
    room = most_bytes - _ENVELOPE
    for batch in batches:
        # To ask for the exact size walks through all buffers; most batches are far below.
        if batch.nbytes <= room // 2 and batch.num_columns < 1000:
            yield batch
        else:
            yield from _cut(batch, room)


def _cut(batch: pa.RecordBatch, room: int) -> Iterator[pa.RecordBatch]:
    size = pa.ipc.get_record_batch_size(batch)
    if size <= room:
        yield batch
        return
    rows = batch.num_rows
    if rows <= 1:
        raise ValueTooLarge(
            f"a row of {size} bytes is larger than the {room} bytes that the client takes in one message",
            hint=_HINT,
        )
    yield from _cut(batch.slice(0, rows // 2), room)
    yield from _cut(batch.slice(rows // 2), room)
