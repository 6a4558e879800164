"""A lake with tables that are made to lie, and a directory beside it with a secret."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, NestedField, StringType
from scan_tables import write_parquet
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName

OUTSIDE = r"\[42501\].*outside of the directories"
DAMAGED = r"\[XX001\]"
SCHEMA = Schema(
    NestedField(1, "a", LongType()), NestedField(2, "b", StringType()), NestedField(3, "f", DoubleType())
)
IDS = {"a": 1, "b": 2, "f": 3}
PLACES = (
    "/etc/passwd",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "file://elsewhere/etc/passwd",
    "/proc/self/environ",
    "http://127.0.0.1:1/x.parquet",
    "https://localhost/x.parquet",
    "s3://bucket/x.parquet",
    "gs://bucket/x.parquet",
    "abfss://a@b/x.parquet",
    "hdfs://b/x.parquet",
    "object://5/x.parquet",
    "nothing://x",
    "data/x.parquet",
    "*",
    "",
)


class Hostile:
    """A lake, a directory beside it with a secret, and tables that are made to lie."""

    def __init__(self, session: InProcess, home: Path) -> None:
        self.session = session
        self.home = home
        self.secret = home / "secret"
        self.count = 0
        session.update("CREATE TABLE plain AS SELECT i AS a, 'x' || i AS b FROM range(10) r(i)")
        session.update(
            "CREATE TABLE parts PARTITIONED BY (bucket(4, a), truncate(2, b)) AS "
            "SELECT i AS a, 'x' || i AS b FROM range(10) r(i)"
        )

    def metadata(self, name: str = "plain") -> tuple[Path, dict[str, Any]]:
        """Return a table's metadata file and what it holds."""
        full = TableName("lake", "main", name)
        place = self.session.engine.lake.find([full])[full].location
        path = Path(place.removeprefix("file://"))
        return path, json.loads(path.read_text("utf-8"))

    def register(self, content: bytes | str | dict[str, Any], suffix: str = ".metadata.json") -> str:
        """Make a table of these bytes and return its name."""
        self.count += 1
        name = f"h{self.count}"
        path = self.metadata()[0].parent / f"{name}{suffix}"
        if isinstance(content, dict):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.session.rows(f"CALL system.register_table(table => '{name}', metadata_file => '{path}')")
        return name

    def changed(self, change: Callable[[dict[str, Any]], Any], name: str = "plain") -> dict[str, Any]:
        """Return a table's metadata with a change."""
        found = self.metadata(name)[1]
        change(found)
        return found

    def table(self) -> Table:
        """Return a new table without rows."""
        self.count += 1
        return self.session.engine.lake.create_table(TableName("lake", "main", f"h{self.count}"), SCHEMA)

    def filled(self, rows: int = 5) -> tuple[Table, Path]:
        """Return a table of one file."""
        table = self.table()
        place = self.write(table, rows)
        add(table, entry(f"file://{place}", rows, place.stat().st_size))
        return table.refresh(), place

    @staticmethod
    def write(table: Table, rows: int = 5) -> Path:
        """Write a data file into a table's directory."""
        place = Path(table.location().removeprefix("file://")) / "data" / f"{uuid.uuid4()}.parquet"
        numbers = range(rows)
        columns = {"a": list(numbers), "b": [f"x{i}" for i in numbers], "f": [i / 2 for i in numbers]}
        return write_parquet(place, pa.table(columns), IDS)

    def answer(
        self, table: Table | str, sql: str = "SELECT count(*), sum(a) FROM {}"
    ) -> list[tuple[Any, ...]]:
        """Ask a table, by its name in place of {}; no error may show a path."""
        name = table if isinstance(table, str) else table.name()[-1]
        try:
            return self.session.rows(sql.replace("{}", name))
        except Refused as error:
            text = str(error)
            assert not [part for part in (str(self.home), "/etc", "XX000") if part in text], text
            raise


def entry(place: str, rows: int, size: int, **facts: Any) -> DataFile:
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=place,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=rows,
        file_size_in_bytes=size,
        column_sizes={},
        value_counts={},
        null_value_counts=facts.get("nulls", {}),
        nan_value_counts={},
        lower_bounds=facts.get("lower", {}),
        upper_bounds=facts.get("upper", {}),
    )
    file.spec_id = 0
    return file


def add(table: Table, *files: DataFile) -> None:
    with table.refresh().transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for file in files:
            append.append_data_file(file)


@contextmanager
def made(home: Path) -> Iterator[Hostile]:
    """Make the lake and the secret in a directory."""
    (home / "secret").mkdir()
    columns = {"a": [42], "b": ["secret"], "f": [0.0]}
    write_parquet(home / "secret" / "s.parquet", pa.table(columns), IDS)
    with opened(home / "lake") as engine:
        yield Hostile(InProcess(engine), home)
