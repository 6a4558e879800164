"""Bulk ingest: batches that a client sends are checked and handed to the engine, which writes them.

This module must not know how rows become files, nor how a call reached it.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa
from pyarrow import flight
from sqlglot import exp

from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context
from scoter.engine.ingest import Mode, Present, ingest
from scoter.engine.journal import Entry
from scoter.engine.service import Engine
from scoter.errors import (
    Cancelled,
    ClientStalled,
    InternalError,
    InvalidDefinition,
    InvalidValue,
    NotSupported,
    OutOfMemory,
    ScoterError,
    ValueTooLarge,
)
from scoter.server.calls import Call, Calls
from scoter.server.flightsql import commands
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.received import check_names, let_go

_ACTION = "INGEST"
_HELD = 32 * 1024 * 1024  # bytes of batches that wait to be written; one batch may always wait
_LONGEST_NAME = 1024
_IN_COLUMN = re.compile(r"In column (\d+):")

_ABSENT = {1: True, 2: False}
_PRESENT = {1: Present.REFUSE, 2: Present.APPEND, 3: Present.REPLACE}


class Ingests:
    """Runs the bulk ingests of all connections on one engine.

    ``stall`` are the seconds after which a client that sends nothing has lost its statement.
    """

    def __init__(self, engine: Engine, calls: Calls, stall: float) -> None:
        self._engine = engine
        self._calls = calls
        self._stall = stall

    def run(
        self,
        command: m.CommandStatementIngest,
        reader: flight.MetadataRecordBatchReader,
        call: Call,
        context: Context,
    ) -> int:
        """Write what the client sends, with one commit, and return the number of rows.

        Raises NotSupported for a temporary table, a transaction or an unknown option, InvalidValue for
        data that is no valid Arrow, and what the engine's `ingest` raises.
        """
        try:
            mode, table, schema = _mode(command), _table(command), _schema(reader)
        except ScoterError as error:
            self._refused(error, call, context)
            raise
        timeout = context.statement_timeout or self._engine.settings.query.statement_timeout
        arrivals = _Arrivals(self._stall)
        cancellation = Cancellation()
        cancellation.attach(partial(arrivals.end, Cancelled("the statement was cancelled")))
        # The watch begins before the write: a client that has gone by then is seen at the first look.
        self._calls.watch(call, cancellation.cancel)
        with ThreadPoolExecutor(1, "scoter-ingest") as pool:
            writing = pool.submit(
                ingest,
                self._engine,
                table,
                pa.RecordBatchReader.from_batches(schema, iter(arrivals)),
                context,
                cancellation,
                mode=mode,
                action=_ACTION,
                query_id=call.query_id,
                timeout=timeout,
            )
            writing.add_done_callback(lambda _: arrivals.abandon())
            # Batches are received in the call's own thread: a client that sends nothing blocks it, and a
            # read that is under way when the call has ended would end the process.
            self._receive(reader, arrivals, call)
            return writing.result().written.rows

    def _refused(self, error: ScoterError, call: Call, context: Context) -> None:
        """Log an ingest that ends before the engine, which logs all others, knows of it."""
        entry = Entry(self._engine.journal, call.query_id, context.principal.name, context.query_tag)
        entry.facts["action"] = _ACTION
        entry.failed(error)
        entry.write()

    def _receive(self, reader: flight.MetadataRecordBatchReader, arrivals: _Arrivals, call: Call) -> None:
        """Hand on what comes until it ends or nobody wants more; never raises."""
        most = self._engine.instances.memory
        try:
            while arrivals.wanted:
                try:
                    batch = reader.read_chunk().data
                except StopIteration:
                    # For pyarrow a client that has vanished and one that is done end a stream alike.
                    gone = Cancelled("the client stopped sending") if self._calls.is_gone(call) else None
                    arrivals.end(gone)
                    return
                if batch is not None:
                    arrivals.put(_checked(batch, most))
                    del batch
        except BaseException as error:  # noqa: BLE001  # the thread that writes is to raise it
            shown = _unreadable(error)
            if not isinstance(shown, InternalError):
                let_go(shown)
            arrivals.end(shown)


class _Arrivals:
    """Batches between the thread that receives them and the one that writes them; a few wait at most."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._changed = threading.Condition()
        self._waiting: deque[pa.RecordBatch] = deque()
        self._bytes = 0
        self._ended = False
        self._error: ScoterError | None = None
        self._abandoned = False

    @property
    def wanted(self) -> bool:
        """Say whether a further batch would be written."""
        return not (self._abandoned or self._ended)

    def put(self, batch: pa.RecordBatch) -> None:
        """Add a batch once there is room for it; drop it when nobody wants it any more."""
        size = batch.get_total_buffer_size()
        with self._changed:
            self._changed.wait_for(
                lambda: not self.wanted or not self._waiting or self._bytes + size <= _HELD
            )
            if self.wanted:
                self._waiting.append(batch)
                self._bytes += size
                self._changed.notify_all()

    def end(self, error: ScoterError | None = None) -> None:
        """Say that nothing more comes, or that all that came is void for ``error``; only the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def abandon(self) -> None:
        """Say that nobody writes any more."""
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; raises the error for which they are void, ClientStalled when none comes."""
        while True:
            with self._changed:
                came = self._changed.wait_for(lambda: self._waiting or self._ended, self._stall)
                if self._error is not None:
                    raise self._error
                if not came:
                    raise ClientStalled(
                        f"no rows came for {self._stall:g} seconds, and the statement has ended",
                        hint="send the rows again, without pauses",
                    )
                if not self._waiting:
                    return
                batch = self._waiting.popleft()
                self._bytes -= batch.get_total_buffer_size()
                self._changed.notify_all()
            yield batch


def _mode(command: m.CommandStatementIngest) -> Mode:
    commands.refuse_transaction(command)
    if command.temporary:
        raise NotSupported("temporary tables are not offered", hint="drop the table when it is done with")
    if command.options:
        raise NotSupported(f"the ingest option {min(command.options)[:64]!r} is not known")
    options = command.table_definition_options
    if options.if_not_exist not in _ABSENT or options.if_exists not in _PRESENT:
        raise InvalidValue(
            "the ingest does not say what to do when the table exists and when it does not",
            hint="the modes are create, append, replace and create_append",
        )
    return Mode(_ABSENT[options.if_not_exist], _PRESENT[options.if_exists])


def _table(command: m.CommandStatementIngest) -> exp.Table:
    """Return the table's name; the parts are taken as they are, none is read as SQL."""
    parts = {"this": command.table, "db": command.schema, "catalog": command.catalog}
    if not command.table:
        raise InvalidDefinition("the ingest names no table")
    if any(len(part) > _LONGEST_NAME for part in parts.values()):
        raise InvalidDefinition(f"a name has at most {_LONGEST_NAME} characters")
    return exp.Table(**{key: exp.Identifier(this=part, quoted=True) for key, part in parts.items() if part})


def _schema(reader: flight.MetadataRecordBatchReader) -> pa.Schema:
    try:
        schema = reader.schema
        check_names(schema)
    except Exception as error:  # Flight, Arrow and Python each have their own
        raise _unreadable(error) from error
    return schema


def _checked(batch: pa.RecordBatch, most: int) -> pa.RecordBatch:
    """Return a batch that is safe to read: Arrow trusts offsets and would read outside its buffers.

    Raises InvalidValue for one that is not, ValueTooLarge for one that a statement can not hold.
    """
    # Before all else, as a compressed batch is large only now. Not nbytes: it crashes on texts of length 0 that
    # have no offsets, which are valid and which Java sends.
    size = batch.get_total_buffer_size()
    if size > most:
        raise ValueTooLarge(
            f"a batch of {size} bytes is larger than the {most} bytes that a statement may use",
            hint="send the rows in smaller batches",
        )
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        found = _IN_COLUMN.match(str(error))
        name = f'column "{batch.schema.field(int(found[1])).name}"' if found else "a column"
        raise InvalidValue(f"{name} is not valid Arrow data") from error
    return batch


def _unreadable(error: BaseException) -> ScoterError:
    """Return what a user sees of an error that reading a client's data raised."""
    if isinstance(error, ScoterError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory("the server is out of memory")
    if isinstance(error, flight.FlightError):
        return Cancelled("the client stopped sending")
    if isinstance(error, pa.ArrowException | OSError | ValueError | TypeError | KeyError):
        shown: ScoterError = InvalidValue("the rows are not valid Arrow data")
    else:
        shown = InternalError("the rows could not be read")
    shown.__cause__ = error
    return shown
