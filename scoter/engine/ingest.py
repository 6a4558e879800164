"""Rows that come as Arrow batches into a table: an existing one or a new one, with one commit.

This module must not know files, nor who reads the batches from where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from sqlglot import exp
from sqlglot.errors import SqlglotError

from scoter.catalog.names import TableName, folded
from scoter.catalog.principals import Role
from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context
from scoter.engine.dialect import Scoter
from scoter.engine.execute import Running
from scoter.engine.journal import Entry
from scoter.engine.resolve import table_name
from scoter.engine.service import Engine
from scoter.engine.types import quote
from scoter.engine.writing.append import QUERY_ID, Written, append
from scoter.engine.writing.definition import schema_of
from scoter.errors import (
    DuplicateColumn,
    InvalidSyntax,
    InvalidValue,
    PermissionDenied,
    ScoterError,
    TypeMismatch,
    UndefinedColumn,
    closest,
)

_GIVEN = "scoter_given"


@dataclass(frozen=True)
class Ingested:
    """What was written, and whether the table is new."""

    written: Written
    created: bool


def ingest(
    engine: Engine,
    table: str,
    reader: pa.RecordBatchReader,
    context: Context,
    cancellation: Cancellation | None = None,
) -> Ingested:
    """Append the rows of ``reader`` to the table named ``table`` as SQL names it, in one commit.

    A table that does not exist appears with the rows, with types from Arrow, all columns optional. Into
    an existing one columns go by name, whatever their order; columns that are not given become NULL.

    Raises PermissionDenied below the role writer, UndefinedColumn for a column that the table has not,
    TypeMismatch for a type that Iceberg has not, InvalidValue for rows that can not be read or values
    that would lose something, Cancelled, and what `append` raises. Nothing is written then.
    """
    entry = Entry(engine.journal, None, context.principal.name, context.query_tag)
    entry.facts["action"] = "IMPORT"
    try:
        _authorise(context)
        name = table_name(_parsed(table), context, engine.lake)
        done = _ingest(engine, name, reader, context, entry, cancellation or Cancellation())
    except Exception as error:
        shown = entry.failed(error)
        if shown is error:
            raise
        raise shown from error
    else:
        written = done.written
        entry.facts |= {"target": str(name), "rows": written.rows, "snapshot_id": written.snapshot_id}
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


def _authorise(context: Context) -> None:
    if not context.principal.role.allows(Role.WRITER):
        raise PermissionDenied("IMPORT needs the role writer", hint="ask an administrator for the role")


def _ingest(
    engine: Engine,
    name: TableName,
    reader: pa.RecordBatchReader,
    context: Context,
    entry: Entry,
    cancellation: Cancellation,
) -> Ingested:
    given = _Given(reader)
    running = Running(engine.instances, context, 0)
    cancellation.attach(running.cancel)
    try:
        lake = engine.lake
        if lake.pointers([name]):
            create, table = None, lake.load(name)
            select = _select(given.schema.names, table.schema())
        else:
            schema = schema_of(given.schema.names, _duckdb_types(running.connection, given.schema))
            create = lake.begin_create(name, schema, UNPARTITIONED_PARTITION_SPEC, {})
            table = create._table  # noqa: SLF001  # only its catalog
            select = f"SELECT * FROM {_GIVEN}"
        running.connection.register(_GIVEN, given.reader())
        with entry.stage("write"):
            written = append(
                running.connection, select, table, properties={QUERY_ID: entry.query_id}, create=create
            )
        return Ingested(written, create is not None)
    except Exception as error:
        if given.failure is not None and not cancellation.requested:
            raise given.failure from error
        raise running.failure(error) from error
    finally:
        running.connection.unregister(_GIVEN)
        running.finish()


class _Given:
    """Batches with types that DuckDB and Iceberg have; keeps the error that reading them raised."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._source = reader
        self.schema = pa.schema([pa.field(f.name, _fitting(f.type, f.name)) for f in reader.schema])
        # DuckDB shows an error of its source only as text.
        self.failure: ScoterError | None = None
        seen: set[str] = set()
        for column in reader.schema.names:
            if folded(column) in seen:
                raise DuplicateColumn(f'column "{column}" is given twice')
            seen.add(folded(column))

    def reader(self) -> pa.RecordBatchReader:
        """Return the batches; read them once."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._source:
                yield self._fit(batch)
        except ScoterError as error:
            self.failure = error
            raise
        except (pa.ArrowException, OSError) as error:
            self.failure = InvalidValue("the rows can not be read")
            self.failure.__cause__ = error
            raise

    def _fit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.schema.types == self.schema.types:
            return batch
        columns = []
        for column, field in zip(batch.columns, self.schema, strict=True):
            try:
                columns.append(column if column.type == field.type else column.cast(field.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InvalidValue(
                    f'a value of column "{field.name}" of type {column.type} can not be stored as {field.type}'
                    " without loss"
                ) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _fitting(kind: pa.DataType, column: str) -> pa.DataType:
    """Return the type nearest to ``kind`` that holds its values and that Iceberg has."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _fitting(kind.value_type, column)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_decimal256(kind):
        return pa.decimal128(38, min(kind.scale, 38))
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        raise TypeMismatch(
            f'column "{column}" of type {kind} can not be stored in an Iceberg table',
            hint="give it as a number or as text",
        )
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, _fitting(part.type, column)) for part in kind])
    if pa.types.is_map(kind):
        return pa.map_(_fitting(kind.key_type, column), _fitting(kind.item_type, column))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_fitting(kind.value_type, column))
    return _SIMPLE.get(kind, kind)


_SIMPLE = {
    pa.null(): pa.string(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}


def _duckdb_types(connection: duckdb.DuckDBPyConnection, schema: pa.Schema) -> list[str]:
    """Return DuckDB's names of a schema's types, as it reads them from Arrow."""
    connection.register(_GIVEN, schema.empty_table())
    try:
        return [str(kind) for kind in connection.sql(f"SELECT * FROM {_GIVEN}").types]
    finally:
        connection.unregister(_GIVEN)


def _select(given: list[str], schema: Schema) -> str:
    """Return the given columns in the order of the table's, NULL for those that are not given."""
    names = [field.name for field in schema.fields]
    by_name = {folded(name): name for name in given}
    known = {folded(name) for name in names}
    for key, name in by_name.items():
        if key not in known:
            raise UndefinedColumn(
                f'the table has no column "{name}"',
                hint=closest(name, names) or f"its columns are {', '.join(names)}",
            )
    parts = [quote(by_name[folded(name)]) if folded(name) in by_name else "NULL" for name in names]
    return f"SELECT {', '.join(parts)} FROM {_GIVEN}"


def _parsed(table: str) -> exp.Table:
    try:
        return exp.to_table(table, dialect=Scoter)
    except (SqlglotError, ValueError) as error:
        raise InvalidSyntax(f"{table!r} is not the name of a table") from error
