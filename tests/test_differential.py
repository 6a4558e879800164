"""Random tables and random queries: our answer, other readers' and the rows that were written must agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st
from mutation import often
from plain_values import plain
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from random_queries import condition, projection
from random_tables import NAMES, RandomTable, Version, kinds
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName
from scoter.engine.ingest import Mode, Present, ingest
from scoter.engine.scanning import masks
from scoter.engine.types import quote

APPEND = Mode(create=False, present=Present.APPEND)
# What is refused because no read would be right.
REFUSED = (
    "holds none of the fields inside column",
    "a column with renamed inner fields and a column stored as another type can not be read together",
)
NUMBERS = count()
HERE = Path(__file__).parent / "duckdb_1_5"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with pytest.MonkeyPatch.context() as changed, opened(tmp_path_factory.mktemp("lake")) as engine:
        # Also of a few rows the deleted ones are left out by masks, however few files there are.
        changed.setattr(masks, "FEWEST", 1)
        changed.setattr(masks, "_UNEVEN", 1000)
        changed.setattr(masks, "MOST_FILTERED", 0)
        yield InProcess(engine)


class Older:
    """DuckDB of an older version with its own extension for Iceberg, in a process of its own."""

    def __init__(self) -> None:
        self.python = environment()
        self.process: subprocess.Popen[str] | None = None

    def rows(self, metadata: str, snapshot_id: int | None) -> list[tuple[str, ...]] | None:
        """Return a table's rows in one spelling and in order, None where it can not read them."""
        if self.process is None:
            self.process = subprocess.Popen(
                [self.python, HERE / "read_tables.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.process.stdin.write(json.dumps([metadata, snapshot_id]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            # It can end the process where a table is beyond it.
            self.close()
            event("DuckDB 1.5 ended")
            return None
        answer = json.loads(line)
        if "error" in answer:
            event(f"DuckDB 1.5: {answer['error'][:40]}")
            return None
        return sorted(map(tuple, answer["rows"]))

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait(60)
            self.process = None


def environment() -> Path:
    """Make the virtual environment of the older DuckDB, once for each state of the file that describes it."""
    described = HERE / "requirements.txt"
    mark = sha256(described.read_bytes() + sys.executable.encode()).hexdigest()[:12]
    directory = HERE.parents[1] / ".venv-duckdb" / mark
    done = directory / ".installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True, timeout=600)
        install = [
            directory / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        made = subprocess.run(
            [*install, "-r", described], capture_output=True, text=True, timeout=600, check=False
        )
        if made.returncode:
            message = "DuckDB 1.5 and its extensions can not be installed"
            if os.environ.get("CI"):
                pytest.fail(f"{message}: {made.stderr}")
            pytest.skip(message)
        done.touch()
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def older() -> Iterator[Older]:
    """The older DuckDB."""
    with closing(Older()) as found:
        yield found


@often(calls=100, share=0.3)
@given(data=st.data())
def test_random_tables_and_queries(
    session: InProcess, judge: duckdb.DuckDBPyConnection, older: Older, data: Any
) -> None:
    made = table(session, data)
    made.append()
    for _ in range(data.draw(st.integers(0, 7))):
        made.step()
    note("\n".join(made.steps))
    name = f"main.{made.table.name()[-1]}"
    for version in (made.current(), data.draw(st.sampled_from(made.versions))):
        agrees_with_pyiceberg(made, version)
        agrees_with_older(older, made, version)
        agrees_with_judge(session, judge, name, version, data)


def table(session: InProcess, data: Any) -> RandomTable:
    """Make an empty table of a random schema."""
    name = f"t{next(NUMBERS)}"
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique_by=str.casefold))
    columns = [NestedField(i + 2, n, data.draw(kinds())) for i, n in enumerate(names)]
    schema = Schema(NestedField(1, "k", LongType()), *columns)
    lake = session.engine.lake
    made = lake.create_table(TableName("lake", "main", name), schema)
    note(str(schema))

    def insert(rows: pa.Table) -> None:
        ingest(session.engine, name, rows.to_reader(), session.context, mode=APPEND)

    directory = Path(made.location().removeprefix("file://"))
    return RandomTable(made, data.draw, directory, insert)


def agrees_with_pyiceberg(made: RandomTable, version: Version) -> None:
    """Compare pyiceberg's rows with those that were written, where it can read the table."""
    if version.equality:
        # It raises for equality deletes.
        return
    found = made.table.scan(snapshot_id=version.snapshot_id).to_arrow()
    assert spelled(found) == spelled(version.rows)


def agrees_with_older(older: Older, made: RandomTable, version: Version) -> None:
    """Compare the older DuckDB's rows with those that were written, where it can read the table."""
    found = older.rows(made.table.metadata_location.removeprefix("file://"), version.snapshot_id)
    if found is None:
        return
    expected = Counter(spelled(version.rows))
    lost = expected - Counter(found)
    if version.equality and any("None" in row for row in lost):
        # Of deletes by several values it takes a NULL in a row for equal to any value.
        event("DuckDB 1.5 lost rows with NULL")
        expected -= Counter({row: count for row, count in lost.items() if "None" in row})
    assert Counter(found) == expected


def agrees_with_judge(
    session: InProcess, judge: duckdb.DuckDBPyConnection, name: str, version: Version, data: Any
) -> None:
    judge.register("arrow", version.rows)
    judge.execute("CREATE OR REPLACE TABLE t AS FROM arrow")
    place = name if version.snapshot_id is None else f"{name} FOR VERSION AS OF {version.snapshot_id}"
    asked = ["SELECT * FROM {} AS t"]
    names = [f"t.{quote(field.name)}" for field in version.schema.fields]
    sums = ", ".join(f"count({name}), min({name}::VARCHAR), max({name}::VARCHAR)" for name in names)
    for _ in range(4):
        shown = projection(data.draw, version.schema)
        where = f"FROM {{}} AS t WHERE {condition(data.draw, version.schema)}"
        asked += [f"SELECT {shown} {where}", f"SELECT count(*) AS n, {sums} {where}"]
    for sql in asked:
        wanted = judge.sql(sql.replace("{}", "t")).to_arrow_table()
        try:
            found = session.query(sql.replace("{}", place))
        except Refused as error:
            if any(words in str(error) for words in REFUSED):
                event("refused")
                continue
            raise AssertionError(f"{sql}: {error}") from error
        assert spelled(found) == spelled(wanted), sql


def spelled(rows: pa.Table) -> list[tuple[str, ...]]:
    """Return the rows in one spelling and in order."""
    columns = [list(map(plain, column.to_pylist())) for column in rows.columns]
    return sorted(zip(*columns, strict=True))
