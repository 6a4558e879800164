"""Sessions of the two ways to a lake: the engine in this process, and ADBC over the wire.

This module must not know what is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pyarrow as pa
from slt import Refused

from scoter.catalog.principals import Principal, Role
from scoter.engine.journal import new_query_id
from scoter.engine.service import Engine
from scoter.errors import ScoterError
from scoter.settings import load

ADMIN = Principal("local", Role.ADMIN)


def row(**values: Any) -> pa.RecordBatch:
    """Return one row of bound values, with the types that pyarrow gives them."""
    return pa.RecordBatch.from_pylist([values])


def bound(*values: Any) -> pa.RecordBatch:
    """Return one row of bound values in order; a pyarrow scalar or array keeps its type."""
    columns = [pa.array([v.as_py()], v.type) if isinstance(v, pa.Scalar) else pa.array([v]) for v in values]
    return pa.RecordBatch.from_arrays(columns, [str(i) for i in range(1, len(values) + 1)])


class InProcess:
    """A session of an engine in this process."""

    def __init__(self, engine: Engine, principal: Principal = ADMIN) -> None:
        self.engine = engine
        self.context = engine.context(principal)

    def query(self, sql: str, parameters: pa.RecordBatch | None = None) -> pa.Table:
        """Return a statement's rows; raises Refused."""
        return self._run(sql, parameters)[0]

    def update(self, sql: str, parameters: pa.RecordBatch | None = None) -> int:
        """Return the number of rows that a statement reports; raises Refused."""
        return self._run(sql, parameters)[1]

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return a statement's rows as tuples; ``values`` are bound in order."""
        table = self.query(sql, bound(*values) if values else None)
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def value(self, sql: str, *values: Any) -> Any:
        """Return the one value of a query."""
        ((found,),) = self.rows(sql, *values)
        return found

    def _run(self, sql: str, parameters: pa.RecordBatch | None) -> tuple[pa.Table, int]:
        try:
            query_id = new_query_id()
            plan = self.engine.plan(sql, self.context, query_id=query_id)
            result = self.engine.run(plan, self.context, parameters, query_id=query_id)
            table = result.read_all()
        except ScoterError as error:
            raise Refused(error.text()) from error
        assert table.schema.equals(result.schema)
        self.context = result.context
        return table, result.rows_affected


class OverTheWire:
    """A session of ADBC's Flight SQL driver."""

    def __init__(self, address: str) -> None:
        self.connection = adbc.connect(address, autocommit=True)

    def query(self, sql: str) -> pa.Table:
        """Return a statement's rows; raises Refused."""
        with self.connection.cursor() as cursor:
            try:
                cursor.execute(sql)
                return cursor.fetch_arrow_table()
            except adbc_driver_manager.Error as error:
                raise Refused(str(error)) from error

    def update(self, sql: str) -> int:
        """Return the number of rows that a statement reports; raises Refused."""
        with self.connection.cursor() as cursor:
            try:
                cursor.adbc_statement.set_sql_query(sql)
                return cursor.adbc_statement.execute_update()
            except adbc_driver_manager.Error as error:
                raise Refused(str(error)) from error

    def close(self) -> None:
        """End the session."""
        self.connection.close()


@contextmanager
def opened(directory: Path, **flags: Any) -> Iterator[Engine]:
    """Open the lake of a directory; its log is log.jsonl beside it."""
    engine = Engine(load(directory, log=directory / "log.jsonl", **flags))
    try:
        yield engine
    finally:
        engine.close()
