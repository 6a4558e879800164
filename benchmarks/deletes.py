"""Scans of tables with deleted rows, over ADBC, against the same data files without delete files.

Run: python benchmarks/deletes.py [--rows 10]. The data files of the tables that are compared are the same files.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import duckdb
import measure
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from adbc_driver_flightsql import dbapi
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.table import Table

# Delete files are written as the tests write them: no engine here does.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from delete_files import append_deletes, commit_deletes, delete_file, vector_file, write_vectors

_ROW = """SELECT i AS id, (hash(i) % 1000)::INT AS k, (hash(i + 7) % 100000) / 100.0::DOUBLE AS a,
    ((hash(i + 3) % 1000000) / 100.0)::DECIMAL(12, 2) AS b, 'name' || (hash(i) % 5000) AS s,
    DATE '2020-01-01' + (i / 10000)::INT AS d"""
_FILES = 10
_SHARE = 100  # one row of so many is deleted
_QUERIES = {
    "filter and sums": "SELECT sum(a), sum(b), max(k), count(*) FROM {} WHERE k < 500",
    "sums": "SELECT sum(id), sum(k), sum(a), sum(b), max(length(s)) FROM {}",
    "groups": "SELECT k, count(*), sum(a), max(d) FROM {} GROUP BY k ORDER BY k",
    "rows": "SELECT id, a, s FROM {} WHERE a > 990 ORDER BY id",
    "one column": "SELECT sum(k) FROM {}",
    "count": "SELECT count(*) FROM {}",
    "a narrow range": "SELECT sum(a), count(*) FROM {} WHERE id BETWEEN 100000 AND 110000",
}
_TARGETS = {"positions": "<= 1.5", "vectors": "<= 1.3", "equality": "<= 3"}


@contextmanager
def catalog_of(directory: Path) -> Iterator[SqlCatalog]:
    """Open the lake's catalog with pyiceberg."""
    catalog = SqlCatalog(
        "lake", uri=f"sqlite:///{directory}/metastore.db", warehouse=f"file://{directory}/warehouse"
    )
    yield catalog
    catalog.close()


def written(place: Path, files: int, rows: int) -> list[str]:
    """Write ``files`` data files of as many ``rows`` each; return their paths."""
    place.mkdir(parents=True)
    connection = duckdb.connect()
    paths = [str(place / f"{number:05}.parquet") for number in range(files)]
    for number, path in enumerate(paths):
        span = f"range({number * rows}, {(number + 1) * rows}) AS r(i)"
        connection.execute(f"COPY ({_ROW} FROM {span}) TO '{path}' (COMPRESSION zstd)")
    connection.close()
    return paths


def table_of(catalog: SqlCatalog, name: str, paths: list[str]) -> Table:
    """Make a table of data files that exist."""
    table = catalog.create_table(f"main.{name}", pq.read_schema(paths[0]))
    table.add_files([f"file://{path}" for path in paths])
    return table.refresh()


def chosen(rows: int, number: int) -> np.ndarray:
    """Return the deleted positions of a file, sorted."""
    found = np.random.default_rng(number).choice(rows, max(1, rows // _SHARE), replace=False)
    return np.sort(found).astype(np.int64)


def delete_positions(table: Table, place: Path, paths: list[str], rows: int, files: int = 1) -> None:
    """Delete by position, in ``files`` delete files that name the data files in turn."""
    entries = []
    for number, part in enumerate(np.array_split(np.arange(len(paths)), files)):
        positions = [chosen(rows, int(i)) for i in part]
        names = pa.array([f"file://{paths[i]}" for i in part])
        at = pa.array(np.repeat(np.arange(len(part)), [len(found) for found in positions]))
        path = place / f"{table.name()[-1]}-{number}.parquet"
        pq.write_table(pa.table([names.take(at), np.concatenate(positions)], ["file_path", "pos"]), path)
        referred = {"referenced_data_file": f"file://{paths[part[0]]}"} if len(part) == 1 else {}
        entries.append(delete_file(table, path, len(at), **referred))
    commit_deletes(table, *entries)


def delete_vectors(table: Table, place: Path, paths: list[str], rows: int) -> None:
    """Delete the same rows by deletion vectors."""
    path = place / f"{table.name()[-1]}.puffin"
    wanted = {f"file://{data}": chosen(rows, number).tolist() for number, data in enumerate(paths)}
    at = write_vectors(path, wanted)
    commit_deletes(table, *(vector_file(table, path, len(wanted[p]), p, at[p]) for p in wanted))


def values_file(table: Table, place: Path, keys: pa.Array, number: int = 0) -> DataFile:
    """Write a delete file of ids and return its entry."""
    path = place / f"{table.name()[-1]}-{number}.parquet"
    pq.write_table(pa.table({"id": keys}), path)
    return delete_file(table, path, len(keys), DataFileContent.EQUALITY_DELETES, equality_ids=[1])


def upserted(catalog: SqlCatalog, name: str, place: Path, commits: int) -> None:
    """Make a table by upserts, two snapshots each: 1,000 ids are taken out and as many rows added."""
    paths = written(place / name, commits, 1000)
    table = table_of(catalog, name, paths[:1])
    rng = np.random.default_rng(5)
    for number, path in enumerate(paths[1:], 1):
        keys = pa.array(rng.integers(0, number * 1000, 1000))
        # pyiceberg makes the whole metadata anew from all changes of a transaction many times a commit.
        with table.transaction() as transaction:
            append_deletes(transaction, table, values_file(table, place, keys, number))
            transaction.add_files([f"file://{path}"], check_duplicate_files=False)


def load(directory: Path, options: argparse.Namespace) -> None:
    """Write the data files once and make all tables of them."""
    place = directory / "warehouse" / "main" / "files"
    rows = options.rows * 1_000_000 // _FILES
    large = written(place / "large", _FILES, rows)
    small = written(place / "small", options.small, 1000)
    with catalog_of(directory) as catalog:
        table_of(catalog, "plain", large)
        delete_positions(table_of(catalog, "positions", large), place, large, rows)
        delete_vectors(table_of(catalog, "vectors", large), place, large, rows)
        gone = np.concatenate([chosen(rows, number) + number * rows for number in range(_FILES)])
        table = table_of(catalog, "equality", large)
        commit_deletes(table, values_file(table, place, pa.array(gone)))
        table_of(catalog, "small", small)
        table = table_of(catalog, "small_deleted", small)
        delete_positions(table, place, small, 1000, files=options.small)
        for commits in (options.commits // 2, options.commits):
            upserted(catalog, f"upserts_{commits}", place, commits)


def asked(cursor: dbapi.Cursor, text: str) -> pa.Table:
    """Return a statement's rows."""
    cursor.execute(text)
    return cursor.fetch_arrow_table()


def spelled(rows: pa.Table) -> str:
    """Return rows in one spelling, in which sums that were made in another order are the same."""
    columns = [pc.round(c, 3) if pa.types.is_floating(c.type) else c for c in rows.columns]
    return str(pa.Table.from_arrays(columns, rows.column_names).to_pylist())


def least(first: Callable[[], object], second: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the least seconds of both, run in turn: what else the machine does adds, and never takes away."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs + 1):
        for work, found in zip((first, second), spent, strict=True):
            started = time.perf_counter()
            work()
            found.append(time.perf_counter() - started)
    return min(spent[0][1:]), min(spent[1][1:])


def compared(cursor: dbapi.Cursor, options: argparse.Namespace) -> Iterator[measure.Row]:
    """Yield each query on each kind of deletes against the same one without."""
    for name, query in _QUERIES.items():
        answers = set()
        for kind, target in _TARGETS.items():
            mine = partial(asked, cursor, query.format(kind))
            peer = partial(asked, cursor, query.format("plain"))
            answers.add(spelled(mine()))
            times = least(mine, peer, options.runs)
            ratio = times[0] / times[1]
            against = "the same files without deletes"
            yield measure.Row(f"{kind}, {name}", times[0] * 1000, "ms", ratio, target, against)
        assert len(answers) == 1, f"kinds of deletes disagree: {answers}"


def planned(cursor: dbapi.Cursor, options: argparse.Namespace) -> Iterator[measure.Row]:
    """Yield what thousands of files with deletes of their own cost, each statement planned anew."""
    fresh = count()

    def run(table: str) -> None:
        asked(cursor, f"SELECT sum(k), count(*) FROM {table} WHERE id >= {-next(fresh)}")

    half, whole = options.commits // 2, options.commits
    for name, target, *tables, against in (
        (
            f"{options.small:,} small files",
            "<= 2",
            "small_deleted",
            "small",
            "the same files without deletes",
        ),
        (f"{whole} upserts", "<= 2.5", f"upserts_{whole}", f"upserts_{half}", f"{half} upserts"),
    ):
        mine, peer = least(*(partial(run, table) for table in tables), options.runs)
        yield measure.Row(f"{name}, planned anew", mine * 1000, "ms", mine / peer, target, against)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10, help="millions of rows in ten files")
    parser.add_argument("--small", type=int, default=2000, help="files of a thousand rows")
    parser.add_argument("--commits", type=int, default=300, help="upserts")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--lake", help="directory that keeps the loaded lake between runs")
    parser.add_argument("--dry", action="store_true", help="print, and keep the results as they are")
    options = parser.parse_args()
    with measure.lake_directory(options.lake) as directory:
        if not (directory / "metastore.db").exists():
            command = [sys.executable, "-m", "scoter.cli", "sql", str(directory), "-c", "SELECT 1"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            load(directory, options)
        with (
            measure.served(directory) as (address, _),
            measure.connect(address) as connection,
            connection.cursor() as cursor,
        ):
            rows = [*compared(cursor, options), *planned(cursor, options)]
    if options.dry:
        for row in rows:
            print(f"{row.name:60} {row.value:9.1f} {row.unit}  {row.ratio:.2f}  {row.target or ''}")
    else:
        measure.report("deletes", rows)


if __name__ == "__main__":
    main()
