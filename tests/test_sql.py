"""Every file of tests/sql, in process and through ADBC, each on a lake of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
import slt
from flight_sql import served
from sessions import InProcess, OverTheWire, opened

FILES = sorted(Path(__file__).with_name("sql").glob("*.slt"))


def named(path: Path) -> str:
    return path.stem


def values(model_files: Path) -> dict[str, str]:
    """Return what files may say in place of values that are not known beforehand."""
    pair = (model_files / "pair.onnx").read_bytes()
    return {"models": str(model_files), "pair_sha": hashlib.sha256(pair).hexdigest()}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_in_process(path: Path, tmp_path: Path, model_files: Path) -> None:
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
