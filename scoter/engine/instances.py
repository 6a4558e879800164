"""A pool of prewarmed, locked DuckDB instances: one statement each, with limits of its own.

This module must not know what a statement is; it hands out instances and takes them back.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from scoter.catalog.objects.stores import Objects
from scoter.catalog.recent import Recent
from scoter.engine.cancellation import Cancellation
from scoter.engine.database import Database
from scoter.engine.objects import ObjectFiles
from scoter.errors import Cancelled, ShuttingDown, TooManyStatements
from scoter.settings import Query
from scoter.udfs.functions import Function, register, scorer
from scoter.udfs.quarantine import Quarantine
from scoter.udfs.runs import Run
from scoter.udfs.sessions import Sessions

_REGISTERED_MOST = 256
_QUERIES_MOST = 64
_SHARE_LEAST = 64 * 1024 * 1024  # bytes; to read Parquet takes some for each column and thread
_QUERY_LENGTH_MOST = 64 * 1024


class Instance:
    """One DuckDB database in memory, locked, with the model functions that it has met, and a second one that reads for it.

    Any principal's statements may use it one after the other, because no statement that the gate
    lets through can leave anything behind.
    """

    def __init__(
        self,
        settings: Query,
        directories: tuple[str, ...],
        sessions: Sessions,
        objects: Objects,
        quarantine: Quarantine,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="scoter-")
        self._sessions = sessions
        self.directories = directories
        self.threads = settings.threads
        self.run = Run(quarantine)
        self.functions: OrderedDict[str, None] = OrderedDict()
        self._limits = (0, settings.threads, "UTC")
        self.objects = ObjectFiles(objects, self.run)
        self._main = self._database(Path(self._temporary.name), settings.temp_bytes)
        self._reading: Database | None = None
        self.connection = self._main.connection
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._queries: Recent[str, duckdb.DuckDBPyRelation] = Recent(_QUERIES_MOST)
        self._statements: Recent[str, duckdb.Statement] = Recent(_QUERIES_MOST)

    def _database(self, directory: Path, spilled: int) -> Database:
        return Database(self.directories, self.objects, directory, spilled, self.threads)

    def prepare(self, memory: int, threads: int, timezone: str) -> None:
        """Set the limits and the time zone of the next statement; what has not changed costs nothing."""
        self._limits = (memory, threads, timezone)
        self._main.prepare(memory - _share(memory), threads, timezone)
        if self._reading is not None:
            self._reading.prepare(_share(memory), threads, timezone)

    def keep_order(self, *, wanted: bool) -> None:
        """Let rows keep the order in which they are read, or not: DuckDB reads the parts of a union at once then."""
        self._main.keep_order(wanted=wanted)

    def register(self, function: Function, *, volatile: bool) -> None:
        """Make a model function known, once."""
        name = function.name + ("_v" if volatile else "")
        if name not in self.functions:
            register(self.connection, function, self._sessions, self.run, volatile=volatile)
            self.functions[name] = None

    def load(self, function: Function) -> None:
        """Load a function's model, if it is not loaded; raises CorruptData, ModelFailed."""
        self._sessions.get(function.sha256, free=function.signature.batch is None)

    def query(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Return a query that is read as often as wanted and, where it was asked before, not parsed again.

        ``sql`` must not read what is registered under a name: that may be gone the next time. Raises
        duckdb.Error.
        """
        found = self._queries.get(sql)
        if found is None:
            found = self.connection.sql(sql)
            if len(sql) <= _QUERY_LENGTH_MOST:
                self._queries.put(sql, found)
        return found

    def execute(self, sql: str, values: Sequence[Any]) -> duckdb.DuckDBPyConnection:
        """Run a query with values for its parameters and return what gives its rows, which are held in memory.

        It is bound once more each time, but not parsed, where it was asked before. Raises duckdb.Error.
        """
        statement = self._statements.get(sql)
        if statement is None:
            statement = self.connection.extract_statements(sql)[0]
            if len(sql) <= _QUERY_LENGTH_MOST:
                self._statements.put(sql, statement)
        return self.connection.execute(statement, values)

    def scorer(self, function: Function) -> Callable[[pa.RecordBatch], pa.Array]:
        """Return what scores batches for the statement that runs."""
        return scorer(function, self._sessions, self.run)

    def open_cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a second connection of the same database, for a query that runs beside the first."""
        self._cursors.append(self._main.cursor())
        return self._cursors[-1]

    def open_reader(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of a second database, for a query that reads data files alone; of the first where memory is short.

        Its threads are its own: those of the first database wait for its rows. It has a share of the statement's
        memory and does not spill.
        """
        if not _share(self._limits[0]):
            return self.open_cursor()
        if self._reading is None:
            self._reading = self._database(Path(self._temporary.name) / "reading", 0)
            self.prepare(*self._limits)
        self._cursors.append(self._reading.cursor())
        return self._cursors[-1]

    def close_cursors(self) -> None:
        """Close all connections but the first; their results must have been closed before."""
        while self._cursors:
            self._cursors.pop().close()

    @property
    def provider(self) -> str:
        """What models run on."""
        return self._sessions.provider

    @property
    def staging(self) -> Path:
        """The directory in which files wait to be copied to an object store."""
        return Path(self._temporary.name) / "staging"

    @property
    def worn(self) -> bool:
        """Say whether so many functions are registered that a fresh instance is due."""
        return len(self.functions) > _REGISTERED_MOST

    def interrupt(self) -> None:
        """End what runs: DuckDB's operators and a model's batch; safe from any thread."""
        self.run.cancel()
        self.objects.end()
        self.connection.interrupt()
        for cursor in list(self._cursors):
            # It may have been closed since.
            with contextlib.suppress(duckdb.Error):
                cursor.interrupt()

    def close(self) -> None:
        """Close the database and remove its temporary files."""
        self._queries.clear()
        self._statements.clear()
        self._main.close()
        if self._reading is not None:
            self._reading.close()
        self._temporary.cleanup()


def _share(memory: int) -> int:
    """Return how much of a statement's memory the database has that reads what is scored: always the same."""
    return memory // 8 if memory // 8 >= _SHARE_LEAST else 0


class Instances:
    """Places for statements and the instances that fill them; waiting is first come, first served."""

    def __init__(
        self,
        settings: Query,
        directories: Callable[[], tuple[str, ...]],
        sessions: Sessions,
        objects: Objects,
        quarantine: Quarantine,
    ) -> None:
        self._settings = settings
        self._quarantine = quarantine
        self._directories = directories
        self._sessions = sessions
        self._objects = objects
        self._lock = threading.Lock()
        self._idle: list[Instance] = []
        self._running: set[Instance] = set()
        self._waiting: deque[threading.Event] = deque()
        self._taken = 0
        self._closed = False
        self.memory = settings.statement_memory or settings.memory_limit // settings.concurrency
        self.give_back(self._make(directories()), fresh=True)

    def take(self, timezone: str, cancellation: Cancellation) -> Instance:
        """Wait for a place and return an instance with its limits set.

        Raises TooManyStatements where the queue is full or the wait too long, Cancelled, ShuttingDown
        after close.
        """
        self._enter(cancellation)
        try:
            directories = self._directories()
            instance = None
            while instance is None:
                with self._lock:
                    found = self._idle.pop() if self._idle else None
                if found is None:
                    instance = self._make(directories)
                elif found.directories == directories:
                    instance = found
                else:
                    found.close()
            instance.run.begin()
            instance.prepare(self.memory, self._settings.threads, timezone)
        except BaseException:
            self._leave()
            raise
        with self._lock:
            self._running.add(instance)
        return instance

    def give_back(self, instance: Instance, *, broken: bool = False, fresh: bool = False) -> None:
        """Return an instance; a broken or worn one is thrown away."""
        with self._lock:
            self._running.discard(instance)
            keep = not (broken or instance.worn or self._closed)
            if keep:
                self._idle.append(instance)
        if not keep:
            instance.close()
        if not fresh:
            self._leave()

    def end_all(self, seconds: float) -> None:
        """Interrupt every running statement, again and again, until all have ended or the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            with self._lock:
                running = list(self._running)
            for instance in running:
                instance.interrupt()
            if not running or time.monotonic() > deadline:
                return
            # DuckDB loses an interrupt that comes just before it starts to execute.
            time.sleep(0.02)

    @property
    def running(self) -> int:
        """The number of statements that hold a place."""
        with self._lock:
            return self._taken

    def close(self) -> None:
        """Refuse new statements and close idle instances; running ones close when given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for event in self._waiting:
                event.set()
        for instance in idle:
            instance.close()

    def _make(self, directories: tuple[str, ...]) -> Instance:
        return Instance(self._settings, directories, self._sessions, self._objects, self._quarantine)

    def _enter(self, cancellation: Cancellation) -> None:
        with self._lock:
            if self._closed:
                raise ShuttingDown("the server is stopping")
            if self._taken < self._settings.concurrency and not self._waiting:
                self._taken += 1
                return
            if len(self._waiting) >= self._settings.queue:
                raise TooManyStatements("too many statements are waiting", hint="try again later")
            event = threading.Event()
            self._waiting.append(event)
        cancellation.attach(event.set)
        deadline = time.monotonic() + self._settings.queue_seconds
        granted = event.wait(max(0.0, deadline - time.monotonic()))
        with self._lock:
            if self._closed and event in self._waiting:
                self._waiting.remove(event)
                raise ShuttingDown("the server is stopping")
            if cancellation.requested and event in self._waiting:
                self._waiting.remove(event)
                raise Cancelled("the statement was cancelled")
            if not granted and event in self._waiting:
                self._waiting.remove(event)
                raise TooManyStatements(
                    f"no place came free in {self._settings.queue_seconds:g} s", hint="try again later"
                )

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                # The place goes to the one who waits longest; the count stays.
                self._waiting.popleft().set()
            else:
                self._taken -= 1
