"""`scoter model add`: a file becomes a model, or the next version of one.

This module must not know what a model file holds.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from scoter.catalog.names import check_name, quoted
from scoter.cli.console import notice
from scoter.cli.output import TableSink
from scoter.cli.sessions import Session
from scoter.cli.targets import open_target
from scoter.cli.waiting import Meter, wait_for
from scoter.errors import ConfigurationError, UndefinedModel


def add(
    target: str,
    name: str,
    file: Path,
    *,
    user: str | None,
    authority: Path | None,
    alias: str | None,
    default: bool,
) -> None:
    """Register ``file`` in a lake's directory or on a server, and print its signature; raises ScoterError."""
    if alias is not None:
        check_name(alias, "alias")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} can not be read: {error.strerror}") from error
    written = ".".join(quoted(part) for part in name.split("."))
    session = open_target(target, user, authority)
    sink = TableSink()
    try:
        version = wait_for(
            lambda: _register(session, written, data, sink),
            session.cancel,
            Meter("checking the model"),
        )
        if alias is not None:
            _done(session, f"ALTER MODEL {written} SET ALIAS {quoted(alias)} = {version}")
        if default:
            _done(session, f"ALTER MODEL {written} SET DEFAULT_VERSION = {version}")
    finally:
        session.close()
    sink.end()
    notice(f"{name}@{version} is registered" + (f" as {name}@{alias}" if alias else ""))


def _register(session: Session, name: str, data: bytes, sink: TableSink) -> int:
    file = pa.record_batch({"1": pa.array([data], pa.binary())})
    try:
        # Asked first, because a file that is sent twice is sent slowly.
        _done(session, f"DESCRIBE MODEL {name}")
    except UndefinedModel:
        answer = session.run(f"CREATE MODEL {name} FROM ?", file)
    else:
        answer = session.run(f"ALTER MODEL {name} ADD VERSION FROM ?", file)
    sink.begin(answer.schema)
    version = 0
    for batch in answer.batches:
        sink.write(batch)
        made = {row["kind"]: row["type"] for row in batch.to_pylist()}
        version = int(made["model"].removeprefix("version ")) if "model" in made else version
    return version


def _done(session: Session, sql: str) -> None:
    for _ in session.run(sql).batches:
        pass
