"""`scoter model add`: a file becomes a model, or the next version of one.

This module must not know what a model file holds.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from scoter.catalog.names import quoted
from scoter.cli.console import notice
from scoter.cli.output import TableSink
from scoter.cli.sessions import LocalSession, open_lake
from scoter.cli.waiting import Meter, wait_for
from scoter.errors import ConfigurationError, DuplicateModel


def add(directory: Path, name: str, file: Path, *, alias: str | None, default: bool) -> None:
    """Register ``file`` and print its signature; raises ScoterError."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} can not be read: {error.strerror}") from error
    written = ".".join(quoted(part) for part in name.split("."))
    session = LocalSession(open_lake(directory, create=True))
    sink = TableSink()
    try:
        wait_for(
            lambda: _register(session, written, data, sink),
            session.cancel,
            Meter("checking the model"),
        )
        version = _newest(session, name)
        if alias is not None:
            _done(session, f"ALTER MODEL {written} SET ALIAS {quoted(alias)} = {version}")
        if default:
            _done(session, f"ALTER MODEL {written} SET DEFAULT_VERSION = {version}")
    finally:
        session.close()
    sink.end()
    notice(f"{name}@{version} is registered" + (f" as {name}@{alias}" if alias else ""))


def _register(session: LocalSession, name: str, data: bytes, sink: TableSink) -> None:
    file = pa.record_batch({"1": pa.array([data], pa.binary())})
    try:
        answer = session.run(f"CREATE MODEL {name} FROM ?", file)
    except DuplicateModel:
        answer = session.run(f"ALTER MODEL {name} ADD VERSION FROM ?", file)
    sink.begin(answer.schema)
    for batch in answer.batches:
        sink.write(batch)


def _newest(session: LocalSession, name: str) -> int:
    schema, _, bare = name.rpartition(".")
    row = pa.record_batch({"1": [schema or session.context.schema], "2": [bare]})
    sql = (
        "SELECT max(version) FROM system.model_versions"
        " WHERE lower(schema_name) = lower(?::VARCHAR) AND lower(model_name) = lower(?::VARCHAR)"
    )
    return int(next(session.run(sql, row).batches).column(0)[0].as_py())


def _done(session: LocalSession, sql: str) -> None:
    for _ in session.run(sql).batches:
        pass
