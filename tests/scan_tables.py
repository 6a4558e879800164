"""Iceberg tables for the tests of scans: written by pyiceberg, pyarrow or DuckDB, read by our SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DoubleType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from scoter.catalog.manifests import Manifests
from scoter.catalog.reach import Reach
from scoter.engine.predicates import table_predicates
from scoter.engine.scan import Scan, Scans

PLAIN = Schema(NestedField(1, "a", IntegerType()), NestedField(2, "b", StringType()))
NESTED = Schema(
    NestedField(1, "k", LongType()),
    NestedField(2, "s", StructType(NestedField(3, "x", IntegerType()), NestedField(4, "y", StringType()))),
    NestedField(5, "l", ListType(6, StructType(NestedField(7, "p", IntegerType())), element_required=False)),
    NestedField(
        8,
        "m",
        MapType(9, StringType(), 10, StructType(NestedField(11, "v", DoubleType())), value_required=False),
    ),
)
NESTED_ROWS = [
    {"k": 1, "s": {"x": 1, "y": "a"}, "l": [{"p": 1}, None], "m": [("a", {"v": 0.5})]},
    {"k": 2, "s": None, "l": None, "m": None},
    {"k": 3, "s": {"x": None, "y": None}, "l": [], "m": []},
]


class Lake:
    """A throw-away SQL catalog and the scans over it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.catalog = SqlCatalog(
            "lake", uri=f"sqlite:///{directory}/metastore.db", warehouse=f"file://{directory}/warehouse"
        )
        self.catalog.create_namespace("main")
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.manifests = Manifests(
            lambda metadata: self.catalog._load_file_io({}, metadata.location), real=Reach({}).real
        )
        self.scans = Scans(self.manifests)
        self.count = 0

    def close(self) -> None:
        self.connection.close()
        self.catalog.engine.dispose()

    def create(
        self, schema: Schema | pa.Schema, spec: PartitionSpec | None = None, **properties: str
    ) -> Table:
        self.count += 1
        arguments = {} if spec is None else {"partition_spec": spec}
        return self.catalog.create_table(f"main.t{self.count}", schema, properties=properties, **arguments)

    def scan(
        self, table: Table, where: str | None = None, snapshot_id: int | None = None, **options: object
    ) -> Scan:
        found = self.scans.build(table.metadata, snapshot_id, predicate_of(where), **options)
        io = self.catalog._load_file_io({}, table.metadata.location)
        tables = self.scans.tables(
            found.removed, lambda: io, query=lambda sql: self.connection.sql(sql).to_arrow_reader()
        )
        for name, rows in tables.items():
            self.connection.register(name, rows)
        return found

    def rows(self, table: Table, where: str | None = None, snapshot_id: int | None = None) -> list[dict]:
        """Return the rows of a pruned scan under a filter."""
        sql = f"SELECT * FROM {self.scan(table, where, snapshot_id).sql} AS t"
        if where is not None:
            sql += f" WHERE {where}"
        return self.query(sql)

    def query(self, sql: str) -> list[dict]:
        return self.connection.sql(sql).to_arrow_table().to_pylist()

    def explain(self, sql: str) -> str:
        return self.connection.execute(f"EXPLAIN {sql}").fetchall()[0][1]


def opened(tmp_path: Path) -> Iterator[Lake]:
    """A lake for one test."""
    with closing(Lake(tmp_path / "lake")) as lake:
        yield lake


def predicate_of(where: str | None) -> sqlglot.exp.Expr | None:
    """Return what the statement `SELECT * FROM t WHERE …` says of t."""
    if where is None:
        return None
    tree = sqlglot.parse_one(f"SELECT * FROM t WHERE {where}", dialect="duckdb")
    table = tree.args["from_"].this
    return table_predicates(tree).get(id(table))


def add_file(
    table: Table,
    path: Path,
    rows: int,
    *,
    partition: tuple = (),
    lower: dict[int, bytes] | None = None,
    upper: dict[int, bytes] | None = None,
    nulls: dict[int, int] | None = None,
    nans: dict[int, int] | None = None,
    content: DataFileContent = DataFileContent.DATA,
    kind: FileFormat = FileFormat.PARQUET,
) -> None:
    """Commit one data file that stands at ``path``, with the statistics given."""
    file = DataFile.from_args(
        content=content,
        file_path=f"file://{path}",
        file_format=kind,
        partition=Record(*partition),
        record_count=rows,
        file_size_in_bytes=path.stat().st_size,
        column_sizes={},
        value_counts={},
        null_value_counts=nulls or {},
        nan_value_counts=nans or {},
        lower_bounds=lower or {},
        upper_bounds=upper or {},
    )
    file.spec_id = table.spec().spec_id
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        append.append_data_file(file)


def write_parquet(path: Path, table: pa.Table, ids: dict[str, int] | None = None) -> Path:
    """Write a Parquet file with pyarrow, with field ids of top-level columns if they are given."""
    if ids is not None:
        fields = [f.with_metadata({b"PARQUET:field_id": str(ids[f.name]).encode()}) for f in table.schema]
        table = table.cast(pa.schema(fields))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def naive(*parts: int) -> dt.datetime:
    """Return a timestamp without a zone."""
    return dt.datetime(*parts, tzinfo=dt.UTC).replace(tzinfo=None)


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows in an order that any values have, NULL too."""
    return sorted(rows, key=repr)


def as_iceberg(table: Table) -> list[dict[str, Any]]:
    """Return the rows as pyiceberg reads them, the reference for what a scan must yield."""
    return ordered(table.scan().to_arrow().to_pylist())
