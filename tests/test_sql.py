"""Every file of tests/sql, in process and through ADBC, each on a lake of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import slt
from flight_sql import served
from sessions import InProcess, OverTheWire, opened

ROOT = Path(__file__).parent.parent
FILES = sorted(Path(__file__).with_name("sql").glob("*.slt"))
FILES_BY_NAME = {path.stem: path for path in FILES}

# Files that ask for nothing of Scoter's own.
DUCKDB_ALONE = (
    "ctes",
    "functions",
    "grouping",
    "joins",
    "nested",
    "nulls_and_nan",
    "select",
    "sets",
    "subqueries",
    "windows",
)


def named(path: Path) -> str:
    return path.stem


def values(model_files: Path) -> dict[str, str]:
    """Return what files may say in place of values that are not known beforehand."""
    pair = (model_files / "pair.onnx").read_bytes()
    return {
        "models": str(model_files),
        "pair_sha": hashlib.sha256(pair).hexdigest(),
        "hundred_sha": hashlib.sha256((model_files / "pair_hundred.onnx").read_bytes()).hexdigest(),
        "many": ", ".join(map(str, range(5000))),
        "sum": " + ".join(["1"] * 500),
        "deep": "(" * 3000 + "1" + ")" * 3000,
        "huge": "x" * 2_000_000,
        "columns": ", ".join(f"{i} AS c{i}" for i in range(300)),
        "rows": ", ".join(f"({i}, {i})" for i in range(2000)),
    }


@pytest.mark.parametrize("path", FILES, ids=named)
def test_in_process(path: Path, tmp_path: Path, model_files: Path) -> None:
    with opened(tmp_path, models={"allowed_prefixes": [str(model_files)]}) as engine:
        assert slt.run(path, "process", lambda: InProcess(engine), values(model_files)) > 0


@pytest.mark.parametrize("path", [path for path in FILES if "PREDICT" in path.read_text("utf-8")], ids=named)
def test_scored_apart(path: Path, tmp_path: Path, model_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where few rows are enough to be scored between two queries."""
    monkeypatch.setattr("scoter.engine.rewriting.APART_ROWS", 0)
    with opened(tmp_path, models={"allowed_prefixes": [str(model_files)]}) as engine:
        assert slt.run(path, "process", lambda: InProcess(engine), values(model_files)) > 0


@pytest.mark.parametrize("path", FILES, ids=named)
def test_over_adbc(path: Path, tmp_path: Path, model_files: Path) -> None:
    sessions: list[OverTheWire] = []

    def connect() -> OverTheWire:
        sessions.append(OverTheWire(server.address))
        return sessions[-1]

    with served(tmp_path, models={"allowed_prefixes": [str(model_files)]}) as server:
        try:
            assert slt.run(path, "adbc", connect, values(model_files)) > 0
        finally:
            for session in sessions:
                session.close()


def test_over_adbc_with_a_server_of_its_own(tmp_path: Path, model_files: Path) -> None:
    """The same through `scoter serve`, one file for all."""
    environment = {**os.environ, "SCOTER_MODELS__ALLOWED_PREFIXES": json.dumps([str(model_files)])}
    command = [sys.executable, "-m", "scoter.cli", "serve", str(tmp_path / "lake"), "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            ready, address = process.stdout.readline().rsplit(" ", 1)
            assert ready == "scoter ready"
            session = OverTheWire(address.strip())
            try:
                assert slt.run(FILES_BY_NAME["predict"], "adbc", lambda: session, values(model_files)) > 0
            finally:
                session.close()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


class Bare:
    """A session of DuckDB alone."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def query(self, sql: str) -> pa.Table:
        found = self.connection.sql(sql)
        return pa.table({}) if found is None else plain(found.to_arrow_table())

    def update(self, sql: str) -> int:
        return self.connection.execute(sql).fetchone()[0]


def plain(table: pa.Table) -> pa.Table:
    """Return a table of the wire's types: DuckDB sends a few with a type of its own around them."""
    fields = [f.with_type(getattr(f.type, "storage_type", f.type)).with_metadata(None) for f in table.schema]
    columns = [
        pa.chunked_array([getattr(chunk, "storage", chunk) for chunk in column.chunks], field.type)
        for column, field in zip(table.columns, fields, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


@pytest.mark.parametrize("name", DUCKDB_ALONE)
def test_as_duckdb_answers(name: str) -> None:
    """What these files expect is what DuckDB itself says."""
    with duckdb.connect() as connection:
        connection.execute(
            "SET TimeZone = 'UTC'; SET lambda_syntax = 'ENABLE_SINGLE_ARROW'; "
            "ATTACH ':memory:' AS lake; USE lake.main"
        )
        assert slt.run(FILES_BY_NAME[name], "duckdb", lambda: Bare(connection), {}, errors=False) > 0


def test_a_wrong_expectation_fails(tmp_path: Path) -> None:
    class Fixed:
        def query(self, sql: str) -> pa.Table:
            if sql == "bad":
                raise slt.Refused("[42P01] UNDEFINED_TABLE: no table")
            return pa.table({"a": [1, 2], "b": ["x", None]})

        def update(self, sql: str) -> int:
            return len(sql)

    def outcome(text: str) -> str | None:
        path = tmp_path / "one.slt"
        path.write_text(text)
        try:
            slt.run(path, "process", Fixed, {})
        except AssertionError as error:
            return str(error)
        return None

    good = "query IT\nok\n----\n1  x\n2  NULL\n"
    assert outcome(good) is None
    assert (
        outcome(good.replace("query IT", "query IT rowsort colnames").replace("1  x", "a  b\n1  x")) is None
    )
    for text in (
        good.replace("1  x", "1  y"),
        good.replace("IT", "RT"),
        good.replace("IT", "I"),
        good.replace("2  NULL\n", ""),
        good.replace("query IT", "query IT colnames"),
        good.replace("ok", "bad"),
        "statement ok\nbad\n",
        "statement count 3\nok\n",
        "statement error 42P01\nok\n",
        "statement error 42601\nbad\n",
        "statement error 42P01 a table\nbad\n",
    ):
        assert outcome(text) is not None, text
