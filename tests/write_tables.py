"""Tables for the tests of writing: a lake, a connection that is locked as the engine's are, and what was written.

``opened``, ``locked``, ``created`` and ``bare`` are the bodies of fixtures; a test file names those that it uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from scoter import settings
from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.catalog.names import TableName

NAME = TableName("lake", "main", "t")
SCHEMA = Schema(NestedField(1, "k", LongType(), required=True), NestedField(2, "g", StringType()))
BY_G = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "g"))


def opened(tmp_path: Path) -> Iterator[Lake]:
    """A fresh lake."""
    settled = settings.load(tmp_path)
    with (
        closing(Metastore.open(settled.metastore_url)) as metastore,
        closing(Lake(settled, metastore)) as lake,
    ):
        yield lake


def locked(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection as locked as the ones that run statements."""
    with duckdb.connect(config={"threads": 2, "async_threads": 0}) as connection:
        lock(connection, *lake.directories())
        yield connection


def lock(connection: duckdb.DuckDBPyConnection, *directories: str) -> None:
    """Let a connection read and write below the directories alone, for good."""
    connection.execute(f"SET allowed_directories={[f'{directory}/' for directory in directories]}")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")


def created(lake: Lake) -> Table:
    """An empty table of that name and schema."""
    return lake.create_table(NAME, SCHEMA)


def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlCatalog]:
    """A catalog of pyiceberg alone."""
    place = tmp_path_factory.mktemp("lake")
    catalog = SqlCatalog("lake", uri=f"sqlite:///{place}/m.db", warehouse=f"file://{place}/w")
    catalog.create_namespace("main")
    yield catalog
    catalog.engine.dispose()


def rows(lake: Lake, name: TableName = NAME) -> list[dict[str, Any]]:
    """Return the rows of a table in the order of k, as pyiceberg reads them."""
    return sorted(lake.load(name).scan().to_arrow().to_pylist(), key=lambda row: row["k"])


def data_files(lake: Lake) -> list[Path]:
    """Return every data file under the lake, committed or not."""
    return [path for directory in lake.directories() for path in Path(directory).rglob("*.parquet")]
