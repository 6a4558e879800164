"""Rows that come as Arrow batches into a table: an existing one or a new one, with one commit.

This module must not know files, nor who reads the batches from where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as arrow
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table import CreateTableTransaction, Table
from sqlglot import exp
from sqlglot.errors import SqlglotError

from scoter.catalog.names import TableName, folded
from scoter.catalog.principals import Role
from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context
from scoter.engine.dialect import Scoter
from scoter.engine.execute import Running
from scoter.engine.fitting import new_columns, table_columns
from scoter.engine.journal import Entry
from scoter.engine.naming import table_name
from scoter.engine.service import Engine
from scoter.engine.types import quote
from scoter.engine.writing.append import QUERY_ID, Written, append
from scoter.errors import (
    DuplicateTable,
    InvalidSyntax,
    InvalidValue,
    PermissionDenied,
    ScoterError,
    WriteConflict,
)

_GIVEN = "scoter_given"
_ROWS = 122_880  # rows that DuckDB gets at once: its own unit of parallel writing
_CAST_COLUMN = re.compile(r"when casting from source column c(\d+)")


class Present(Enum):
    """What is done when the table exists."""

    APPEND = "append"
    REPLACE = "replace"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Mode:
    """What is done when the table does not exist, and when it does."""

    create: bool = True
    present: Present = Present.APPEND


@dataclass(frozen=True)
class Ingested:
    """What was written, and whether the table is new."""

    written: Written
    created: bool


def ingest(
    engine: Engine,
    table: str | exp.Table,
    reader: pa.RecordBatchReader,
    context: Context,
    cancellation: Cancellation | None = None,
    *,
    mode: Mode | None = None,
    action: str = "IMPORT",
    query_id: str | None = None,
    timeout: float = 0.0,
) -> Ingested:
    """Write the rows of ``reader`` to the table named ``table`` as SQL names it, in one commit.

    A table that does not exist appears with the rows, with types from Arrow, all columns optional. Into
    an existing one columns go by name, whatever their order; columns that are not given become NULL.
    A table that is replaced gets the rows' columns and keeps its older snapshots. ``mode`` says which of
    these may happen, ``timeout`` after how many seconds the statement ends.

    Raises PermissionDenied below the role writer, UndefinedTable, DuplicateTable by ``mode``, what
    `new_columns` and `table_columns` raise for columns that do not fit, InvalidValue for rows that can
    not be read or numbers and times that a cast would cut, Cancelled, and what `append` raises. Nothing is
    written then.
    """
    entry = Entry(engine.journal, query_id, context.principal.name, context.query_tag)
    entry.facts["action"] = action
    try:
        _authorise(context, action)
        name = table_name(_parsed(table), context, engine.lake)
        entry.facts["target"] = str(name)
        work = _Work(engine, entry, cancellation or Cancellation(), context, timeout)
        done = work.ingest(name, mode or Mode(), reader)
    except Exception as error:
        shown = entry.failed(error)
        if shown is error:
            raise
        raise shown from error
    else:
        written = done.written
        entry.facts |= {
            "rows": written.rows,
            "files": written.files,
            "bytes": written.bytes,
            "snapshot_id": written.snapshot_id,
        }
        return done
    finally:
        entry.write()


def columns_of(engine: Engine, table: str, context: Context) -> dict[str, pa.DataType]:
    """Return the Arrow types of an existing table's columns by name; none when the table is missing.

    Raises InvalidSyntax, UndefinedSchema.
    """
    name = table_name(_parsed(table), context, engine.lake)
    location = engine.lake.pointers([name]).get(name)
    if location is None:
        return {}
    schema = schema_to_pyarrow(engine.lake.metadata(location).schema())
    return {field.name: field.type for field in schema}


def _authorise(context: Context, action: str) -> None:
    if not context.principal.role.allows(Role.WRITER):
        raise PermissionDenied(f"{action} needs the role writer", hint="ask an administrator for the role")


@dataclass(frozen=True)
class _Aim:
    """Where rows go: into ``table``, a new one by ``create``, or in the place of all that is there."""

    table: Table
    create: CreateTableTransaction | None
    replace: Schema | None
    read: pa.Schema
    columns: Schema

    @property
    def select(self) -> str:
        """The given columns in the order of the table's, NULL for those that are not given."""
        by_name = {folded(name): name for name in self.read.names}
        given = [by_name.get(folded(field.name)) for field in self.columns.fields]
        return f"SELECT {', '.join('NULL' if name is None else quote(name) for name in given)} FROM {_GIVEN}"


@dataclass(frozen=True)
class _Work:
    """One ingest under way."""

    engine: Engine
    entry: Entry
    cancellation: Cancellation
    context: Context
    timeout: float

    def ingest(self, name: TableName, mode: Mode, reader: pa.RecordBatchReader) -> Ingested:
        """Write and commit."""
        aim = self._aim(name, mode, reader.schema)
        given = _Given(reader, aim.read)
        with self.entry.stage("queue"):
            running = Running(
                self.engine.instances, self.context, self.timeout, cancellation=self.cancellation
            )
        self.cancellation.attach(running.cancel)
        try:
            running.prepare((), {_GIVEN: given.reader(running.check)})
            with self.entry.stage("write"):
                written = append(
                    running.connection,
                    aim.select,
                    aim.table,
                    properties={QUERY_ID: self.entry.query_id},
                    create=aim.create,
                    replace=aim.replace,
                    before_commit=running.check,
                    staging=running.instance.staging,
                )
            return Ingested(written, aim.create is not None)
        except DuplicateTable as error:
            # It was not there when the rows' types were chosen for it.
            raise WriteConflict(
                f"table {name} was created by another writer meanwhile", hint="run it again"
            ) from error
        except Exception as error:
            if given.failure is not None and not self.cancellation.requested:
                raise given.failure from error
            raise _named(running.failure(error), error, aim.columns) from error
        finally:
            running.finish()

    def _aim(self, name: TableName, mode: Mode, schema: pa.Schema) -> _Aim:
        lake = self.engine.lake
        if not lake.pointers([name]):
            if not mode.create:
                raise lake.undefined(name)
            read, columns = new_columns(schema)
            create = lake.begin_create(name, columns, UNPARTITIONED_PARTITION_SPEC, {})
            return _Aim(create._table, create, None, read, columns)  # noqa: SLF001  # only its catalog
        if mode.present is Present.REFUSE:
            raise DuplicateTable(f"table {name} exists", hint="append to it or replace it")
        table = lake.writable(name)
        if mode.present is Present.REPLACE:
            read, columns = new_columns(schema)
            return _Aim(table, None, columns, read, columns)
        read = table_columns(schema, table.schema())
        return _Aim(table, None, None, read, table.schema())


class _Given:
    """Batches with types that DuckDB and the table have; keeps the error that reading them raised."""

    def __init__(self, reader: pa.RecordBatchReader, schema: pa.Schema) -> None:
        self._source = reader
        self._schema = schema
        # DuckDB shows an error of its source only as text.
        self.failure: ScoterError | None = None

    def reader(self, check: Callable[[], None]) -> pa.RecordBatchReader:
        """Return the batches; read them once. What ``check`` raises ends them."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches(check))

    def _batches(self, check: Callable[[], None]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._source:
                check()
                fitted = self._fit(batch)
                for start in range(0, batch.num_rows, _ROWS):
                    yield fitted.slice(start, _ROWS)
        except ScoterError as error:
            self.failure = error
            raise
        except (pa.ArrowException, OSError) as error:
            self.failure = InvalidValue("the rows can not be read")
            self.failure.__cause__ = error
            raise

    def _fit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [_cast(column, field) for column, field in zip(batch.columns, self._schema, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if column.type == field.type:
        return column
    try:
        cast = column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _lossy(column, field) from error
    # Arrow drops a time of day without a word.
    if arrow.is_date(field.type) and not pc.all(pc.equal(cast.cast(column.type), column)).as_py():
        raise _lossy(column, field)
    return cast


def _lossy(column: pa.Array, field: pa.Field) -> InvalidValue:
    return InvalidValue(
        f'a value of column "{field.name}" of type {column.type} can not be stored as {field.type}'
        " without loss"
    )


def _named(shown: ScoterError, error: Exception, columns: Schema) -> ScoterError:
    """Return an error with the column in front whose value could not be cast."""
    found = _CAST_COLUMN.search(str(error)) if isinstance(error, duckdb.Error) else None
    if found is not None and int(found[1]) < len(columns.fields):
        shown.message = f'column "{columns.fields[int(found[1])].name}": {shown.message}'
    return shown


def _parsed(table: str | exp.Table) -> exp.Table:
    if isinstance(table, exp.Table):
        return table
    try:
        return exp.to_table(table, dialect=Scoter)
    except (SqlglotError, ValueError) as error:
        raise InvalidSyntax(f"{table!r} is not the name of a table") from error
