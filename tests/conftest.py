"""Fixtures that more than one test file uses."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
import small_models
from sessions import InProcess, opened

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the models of tests/small_models.py and of examples/models."""
    directory = tmp_path_factory.mktemp("models")
    small_models.write(directory)
    for path in (EXAMPLES / "models").glob("*.onnx"):
        shutil.copy(path, directory)
    return directory


@pytest.fixture
def session(tmp_path: Path, model_files: Path) -> Iterator[InProcess]:
    """An administrator's session of a fresh lake in this process."""
    with opened(tmp_path / "lake", models={"allowed_prefixes": [str(model_files)]}) as engine:
        yield InProcess(engine)


@pytest.fixture(scope="module")
def judge() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, whose answers over the same rows are right."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


class Clock:
    """The time of this process, which a test sets forward in place of waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        for name in ("time", "monotonic"):
            monkeypatch.setattr(time, name, self._ahead_of(getattr(time, name)))

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def _ahead_of(self, real: Callable[[], float]) -> Callable[[], float]:
        return lambda: real() + self._ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that tests of limits in time set forward, so that a slow machine does not fail them."""
    return Clock(monkeypatch)
