"""Run a query's SQL on an instance and stream its batches; the seam behind which a worker could stand.

This module must not know tables, commits or who asks.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from scoter.engine.arriving import Arriving
from scoter.engine.cancellation import Cancellation, timed_out
from scoter.engine.context import Context
from scoter.engine.instances import Instance, Instances
from scoter.engine.journal import Entry
from scoter.engine.plan import ModelCall, Plan, Stage
from scoter.engine.scoring import Scored
from scoter.engine.translate import translate
from scoter.engine.wire import batches
from scoter.errors import (
    Cancelled,
    DataError,
    InternalError,
    ModelError,
    OutcomeUnknown,
    OutOfMemory,
    ScoterError,
    Span,
)
from scoter.udfs.runs import Run

# A query with parameters of its own has one row (scoter.engine.querying.is_of_values).
warnings.filterwarnings("ignore", "Arrow output on a DB-API result makes an extra copy", UserWarning)

VECTOR = 2048
_ROWS_MOST = 60 * VECTOR
_INSISTENCE = 0.05


class Running:
    """One statement on one instance, from taking the instance to giving it back."""

    def __init__(
        self,
        instances: Instances,
        context: Context,
        timeout: float,
        tree: exp.Expr | None = None,
        cancellation: Cancellation | None = None,
        *,
        is_own: bool = False,
    ) -> None:
        self._instances = instances
        # A model that was at one batch for so long when the server's own time was over has taken that time.
        self._too_long = timeout / 2 if is_own else None
        self._tree = tree
        self._lock = threading.Lock()
        self._cancelled = False
        self._timed_out = False
        self._finished = False
        self._broken = False
        self._registered: list[str] = []
        self._temporary: list[str] = []
        self._places: dict[str, Span] = {}
        self._values: tuple[Any, ...] | None = None
        self.instance: Instance = instances.take(context.timezone, cancellation or Cancellation())
        self._timer: threading.Timer | None = None
        if timeout > 0:
            self._start_timer(timeout)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The instance's connection."""
        return self.instance.connection

    def prepare(self, calls: tuple[ModelCall, ...], tables: Mapping[str, pa.Table | Arriving]) -> None:
        """Make model functions and Arrow tables known under their names; raises Cancelled."""
        self.check()
        for call in calls:
            self.instance.register(call.function, volatile=call.volatile)
            if call.span is not None:
                self._places[call.function.name] = call.span
        for name, table in tables.items():
            own = table.reporting(self._failed, self.check) if isinstance(table, Arriving) else table
            self.connection.register(name, own)
            self._registered.append(name)

    def start(self, plan: Plan, tables: Mapping[str, pa.Table | Arriving]) -> str:
        """Make known what a plan needs and return the SQL to run; raises Cancelled, duckdb.Error."""
        self.prepare(plan.calls, tables)
        self._values = plan.values
        # Masks stand in statements only whose result has no order.
        self.instance.keep_order(wanted=not any(one.is_mask for scan in plan.scans for one in scan.removed))
        self.instance.objects.begin([file for scan in plan.scans for file in scan.objects])
        if plan.staged is None:
            return plan.sql
        # A connection has one open result, and DuckDB may read several stages at once.
        streams = [self._scored(stage, tables) for stage in plan.staged.stages]
        if not all(stream.is_exact for stream in streams):
            return plan.sql
        for stream in streams:
            self.connection.register(stream.name, stream)
            self._registered.append(stream.name)
        for call in plan.calls:
            if call.function.name in plan.staged.inlined:
                self._load(call)
        return plan.staged.sql

    def _load(self, call: ModelCall) -> None:
        """Load a model that the SQL may not need: one whose file is damaged answers no statement, however it runs."""
        try:
            self.instance.load(call.function)
        except ScoterError as error:
            error.span = error.span or call.span
            raise

    def read_also(self, tables: Mapping[str, pa.Table], objects: Sequence[tuple[str, int]]) -> None:
        """Make known what a second query of the statement reads; raises as ``start``."""
        for name in self._registered:
            if name in tables:
                self.connection.unregister(name)
        self._registered = [name for name in self._registered if name not in tables]
        self.prepare((), tables)
        self.instance.objects.begin(objects)

    def drop_at_end(self, table: str) -> None:
        """Let nothing be left of a temporary table once the statement has ended."""
        self._temporary.append(table)

    def _scored(self, stage: Stage, tables: Mapping[str, pa.Table | Arriving]) -> Scored:
        """Return the rows of a stage, read where none of what is registered with the first connection is seen."""
        if stage.is_plain and not tables:
            return Scored(
                stage, self.instance, self._failed, self.instance.open_reader, self.instance.open_cursor
            )

        def connect() -> duckdb.DuckDBPyConnection:
            cursor = self.instance.open_cursor()
            for name, table in tables.items():
                if isinstance(table, pa.Table):
                    cursor.register(name, table)
            return cursor

        return Scored(stage, self.instance, self._failed, connect)

    def query(self, sql: str) -> duckdb.DuckDBPyRelation | duckdb.DuckDBPyConnection:
        """Return what gives the rows of what ``start`` gave; raises duckdb.Error."""
        if self._values is not None:
            return self.instance.execute(sql, self._values)
        return self.connection.sql(sql) if self._registered else self.instance.query(sql)

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query that reads data files only; raises duckdb.Error, Cancelled."""
        with self.connection.sql(sql).to_arrow_reader() as reader:
            for batch in reader:
                self.check()
                yield batch

    def _failed(self, error: Exception) -> None:
        """Keep what ended a stage: of it DuckDB passes on a text."""
        self.instance.run.fail(error if isinstance(error, ScoterError) else translate(error, self._tree))

    def cancel(self) -> None:
        """End the statement; safe from any thread and after its end."""
        with self._lock:
            if not self._finished:
                self._cancelled = True
                self.instance.interrupt()

    def _start_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._time_out)
        self._timer.daemon = True
        self._timer.start()

    def _time_out(self) -> None:
        with self._lock:
            if not self._finished:
                if not self._timed_out and self._too_long is not None:
                    self.instance.run.charge_slow(self._too_long)
                self._timed_out = True
                self.instance.interrupt()
                # DuckDB loses an interrupt that comes just before it starts to execute.
                self._start_timer(_INSISTENCE)

    def check(self) -> None:
        """Raise Cancelled or StatementTimeout if the statement was ended from outside."""
        if self._timed_out:
            raise timed_out()
        if self._cancelled:
            raise Cancelled("the statement was cancelled")

    def failure(self, error: Exception) -> ScoterError:
        """Return what a user may see of an error that DuckDB, a model or Arrow raised."""
        if isinstance(error, OutcomeUnknown):
            # Of a write that ended too late: to call it cancelled would say that nothing was written.
            return error
        if self._timed_out or self._cancelled:
            try:
                self.check()
            except Cancelled as ended:
                return ended
        own = self.instance.run.error
        shown = own if isinstance(own, ScoterError) else None
        if shown is None:
            shown = error if isinstance(error, ScoterError) else translate(error, self._tree)
        elif shown.span is None and isinstance(shown, ModelError | DataError | OutOfMemory):
            shown.span = self._places.get(self.instance.run.culprit)
        if isinstance(shown, OutOfMemory | InternalError):
            self._broken = True
        return shown

    def finish(self) -> None:
        """Give the instance back; idempotent."""
        with self._lock:
            if self._finished:
                return
            self._finished = True
            if self._timer is not None:
                self._timer.cancel()
        self.instance.objects.end()
        self.instance.run.succeed()
        try:
            self.instance.keep_order(wanted=True)
            for name in self._temporary:
                self.connection.execute(f"DROP TABLE IF EXISTS {name}")
            for name in self._registered:
                self.connection.unregister(name)
            self.instance.close_cursors()
        except duckdb.Error:
            self._broken = True
        self._instances.give_back(self.instance, broken=self._broken)


def stream(
    running: Running, sql: str, schema: pa.Schema, most_bytes: int, entry: Entry, finish: Callable[[], None]
) -> Iterator[pa.RecordBatch]:
    """Yield a query's batches under ``schema`` with bounded memory; ``finish`` is called at the end.

    Raises ScoterErrors only.
    """
    rows = size = 0
    reader: pa.RecordBatchReader | None = None
    relation: duckdb.DuckDBPyRelation | duckdb.DuckDBPyConnection | None = None
    try:
        with entry.stage("execute"):
            running.check()
            relation = running.query(sql)
            reader = relation.to_arrow_reader(_rows_of(schema, most_bytes))
        source = batches(reader, schema, most_bytes)
        while True:
            with entry.stage("execute"):
                batch = next(source, None)
            if batch is None:
                break
            rows += batch.num_rows
            size += batch.nbytes
            with entry.stage("send"):
                yield batch
        running.check()
        entry.facts |= {"rows": rows, "bytes": size}
        entry.facts |= scored(running.instance.run)
    except GeneratorExit:
        running.cancel()
        entry.failed(Cancelled("the client stopped reading"))
        raise
    except Exception as error:
        raise entry.failed(running.failure(error)) from error
    finally:
        # The reader holds DuckDB's open result; the instance can run nothing else until it is gone.
        with contextlib.suppress(Exception):
            if reader is not None:
                reader.close()
        del reader, relation
        finish()


def scored(run: Run) -> dict[str, int]:
    """Return what the log says of a statement's model calls."""
    total = run.total
    if not total.rows:
        return {}
    return {"rows_scored": total.rows, "rows_skipped": total.skipped, "rows_failed": total.failed}


def _rows_of(schema: pa.Schema, most_bytes: int) -> int:
    """Return how many rows to ask of DuckDB at a time: as many as likely fit, in whole vectors."""
    width = sum(_width(field.type) for field in schema) or 1
    return max(VECTOR, min(_ROWS_MOST, most_bytes // width // VECTOR * VECTOR))


def _width(kind: pa.DataType) -> int:
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 32
