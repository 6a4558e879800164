"""What it takes to plan a scan of many files: metadata in, SQL for DuckDB out; against pyiceberg's planning.

Run: python benchmarks/planning.py. The files of a table are links to one Parquet file: they are planned, and
their footers are read, but no row is. Each plan has a condition of its own, so that none is found finished.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import statistics
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import duckdb
import measure
from pyiceberg.avro import decoder
from pyiceberg.avro import file as avro_file
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, NestedField, StringType
from sqlglot import exp

from scoter.catalog.manifests import Manifests
from scoter.catalog.reach import Reach
from scoter.engine.scan import Scans

COLUMNS = 20
ROWS = 100  # of a file
MANIFEST = 1000  # files of a commit
# The peer decodes as its users have it, not as scoter makes it decode beside itself.
vars(avro_file)["new_decoder"] = decoder.new_decoder

KINDS = ("BIGINT", "DOUBLE", "VARCHAR")
TYPES = (LongType(), DoubleType(), StringType())
FILES = (100, 1000, 10_000)
numbers = itertools.count()


def written(catalog: SqlCatalog, directory: Path, files: int) -> Table:
    """Return a table of so many files, each with bounds of its own for every column."""
    schema = Schema(*(NestedField(i + 1, f"c{i}", TYPES[i % 3]) for i in range(COLUMNS)))
    table = catalog.create_table(f"main.t{files}", schema)
    place = directory / f"t{files}"
    place.mkdir()
    items = ", ".join(f"CAST(range AS {KINDS[i % 3]}) AS c{i}" for i in range(COLUMNS))
    ids = ", ".join(f"c{i}: {i + 1}" for i in range(COLUMNS))
    first = place / "first.parquet"
    duckdb.sql(f"SELECT {items} FROM range({ROWS})").query("r", f"COPY r TO '{first}' (FIELD_IDS {{{ids}}})")
    size = first.stat().st_size
    for start in range(0, files, MANIFEST):
        with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
            for number in range(start, min(files, start + MANIFEST)):
                path = place / f"{number}.parquet"
                os.link(first, path)
                append.append_data_file(described(table, path, number, size))
        table = table.refresh()
    return table


def described(table: Table, path: Path, number: int, size: int) -> DataFile:
    """Return the manifest's entry of one file."""

    def bound(value: int, column: int) -> bytes:
        forms = (struct.pack("<q", value), struct.pack("<d", value), f"{value:012}".encode())
        return forms[column % 3]

    ids = range(1, COLUMNS + 1)
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"file://{path}",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=ROWS,
        file_size_in_bytes=size,
        column_sizes=dict.fromkeys(ids, size // COLUMNS),
        value_counts=dict.fromkeys(ids, ROWS),
        null_value_counts=dict.fromkeys(ids, 0),
        nan_value_counts={},
        lower_bounds={i: bound(number * ROWS, i - 1) for i in ids},
        upper_bounds={i: bound(number * ROWS + ROWS - 1, i - 1) for i in ids},
    )
    file.spec_id = table.metadata.default_spec_id
    return file


def medians(works: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Return the median milliseconds of each work; they take turns, and the first turn is not counted.

    A machine that is slower for a while is so for all of them. What one leaves behind is collected before the next.
    """
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(runs + 1):
        for work, times in zip(works, spent, strict=True):
            gc.collect()
            started = time.perf_counter()
            work()
            times.append((time.perf_counter() - started) * 1000)
    return [statistics.median(times[1:]) for times in spent]


class Planned:
    """One table and the ways to plan a scan of it."""

    def __init__(self, table: Table, files: int, directory: Path) -> None:
        self.table = table
        self.files = files
        # As a server opens files: only where they may be read.
        self.io = Reach({}, lambda: [str(directory)]).over(lambda _: table.io)
        self.scans = Scans(Manifests(lambda _: self.io))

    def ours(self, kept: int, scans: Scans | None = None) -> None:
        """Plan a scan that selects so many of the files."""
        low, high = self._range(kept)
        column = exp.column("c0")
        predicate = exp.and_(column >= low, exp.column("c0") < high)
        scan = (scans or self.scans).build(self.table.metadata, None, predicate)
        assert scan.files == kept, (scan.files, kept)

    def cold(self, kept: int) -> None:
        """Plan with nothing kept from before."""
        self.ours(kept, Scans(Manifests(lambda _: self.io)))

    def theirs(self, kept: int) -> None:
        """Plan the same scan with pyiceberg."""
        low, high = self._range(kept)
        rows = And(GreaterThanOrEqual("c0", low), LessThan("c0", high))
        assert len(list(self.table.scan(row_filter=rows).plan_files())) == kept

    def _range(self, kept: int) -> tuple[int, int]:
        turn = next(numbers)
        if kept == self.files:
            return -turn - 1, self.files * ROWS
        low = (turn * 7919 % (self.files - kept)) * ROWS
        return low + turn % 7, low + kept * ROWS


def main() -> None:
    """Measure one file and all files of tables of 100, 1,000 and 10,000."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=11)
    asked = parser.parse_args()
    rows: list[measure.Row] = []
    with measure.lake_directory() as directory:
        catalog = SqlCatalog(
            "lake", uri=f"sqlite:///{directory}/metastore.db", warehouse=f"file://{directory}/warehouse"
        )
        catalog.create_namespace("main")
        for files in FILES:
            planned = Planned(written(catalog, directory, files), files, directory)
            for kept, target in ((1, "<= 20 ms"), (files, "<= 100 ms")):
                label = f"{'one' if kept == 1 else 'all'} of {files:,} files"
                peer, cold = medians([partial(planned.theirs, kept), partial(planned.cold, kept)], asked.runs)
                (warm,) = medians([partial(planned.ours, kept)], asked.runs * 2)
                rows.append(measure.Row(f"pyiceberg, {label}", peer, "ms"))
                if files < max(FILES):
                    rows.append(measure.Row(f"warm, {label}", warm, "ms"))
                    rows.append(measure.Row(f"cold, {label}", cold, "ms"))
                    continue
                against = "pyiceberg's plan_files"
                rows.append(measure.Row(f"warm, {label}", warm, "ms", warm / peer, target, against))
                rows.append(measure.Row(f"cold, {label}", cold, "ms", cold / peer, "<= 1", against))
        catalog.close()
    measure.report("planning", rows)


if __name__ == "__main__":
    main()
