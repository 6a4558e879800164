"""Deleted rows left out by masks, in statements that only sum up a table's rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delete_files import commit_deletes, delete_file, vector_file, write_positions, write_vectors
from pyiceberg.manifest import DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DoubleType, LongType, NestedField, StringType
from scan_tables import Lake, opened

from scoter.engine.dialect import parse
from scoter.engine.scanning import masks
from scoter.engine.summing import is_summed

SCHEMA = Schema(
    NestedField(1, "k", LongType()), NestedField(2, "s", StringType()), NestedField(3, "x", DoubleType())
)
ROWS = 7_000
SUMS = "count(*) AS n, sum(k) AS k, min(s) AS low, max(s) AS high, sum(x) AS x, count(x) AS xs"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masks, "FEWEST", 1)
    yield from opened(tmp_path)


def data(number: int, rows: int = ROWS) -> pa.Table:
    """Rows of a file: k ascends, s and x are of any row."""
    rng = np.random.default_rng(number)
    x = pa.array(rng.integers(0, 1000, rows) / 4, mask=rng.random(rows) < 0.1)
    s = pa.array([f"s{i}" for i in rng.integers(0, 500, rows)])
    return pa.table({"k": pa.array(np.arange(rows) + number * rows), "s": s, "x": x})


def filled(lake: Lake, place: Path, files: int = 4, group: int = 1_500) -> tuple[Table, list[str]]:
    """A table of some files of several row groups, which are no whole vectors."""
    table = lake.create(SCHEMA)
    place.mkdir()
    paths = [f"{place}/{number}.parquet" for number in range(files)]
    for number, path in enumerate(paths):
        pq.write_table(data(number), path, row_group_size=group)
    table.add_files([f"file://{path}" for path in paths])
    return table.refresh(), [f"file://{path}" for path in paths]


def chosen(number: int, rows: int = ROWS, count: int = 300) -> list[int]:
    return np.random.default_rng(100 + number).choice(rows, count, replace=False).tolist()


def removed(table: Table, place: Path, rows: list[tuple[str | None, int]]) -> Table:
    commit_deletes(table, delete_file(table, write_positions(place, rows), len(rows)))
    return table.refresh()


def valued(table: Table, place: Path, rows: pa.Table, fields: list[int]) -> Table:
    """Delete the rows of some values."""
    pq.write_table(rows, place)
    kind = DataFileContent.EQUALITY_DELETES
    commit_deletes(table, delete_file(table, place, len(rows), kind, equality_ids=fields))
    return table.refresh()


def left(gone: dict[int, list[int]], files: int = 4) -> pa.Table:
    return pa.concat_tables(
        data(n).take(pa.array(np.setdiff1d(np.arange(ROWS), gone.get(n, [])))) for n in range(files)
    )


def summed(
    lake: Lake, table: Table, rows: pa.Table, where: str | None = None, *, is_masked: bool = True
) -> None:
    """Compare the sums of a table with those of the rows that are left of it, and how they were made."""
    scan = lake.scan(table, where, is_summed=True)
    assert ("POSITIONAL JOIN" in scan.sql, "ANTI JOIN" in scan.sql) == (is_masked, not is_masked)
    lake.connection.register("expected", rows)
    condition = f" WHERE {where}" if where else ""
    wanted = lake.query(f"SELECT {SUMS} FROM expected{condition}")
    assert lake.query(f"SELECT {SUMS} FROM {scan.sql} AS t{condition}") == wanted


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("group", [100, 1_500, 2_048, 10_000])
def test_positions(lake: Lake, tmp_path: Path, monkeypatch, group: int, threads: int) -> None:
    monkeypatch.setattr(lake.scans, "_threads", threads)
    monkeypatch.setattr(masks, "_UNEVEN", 2)
    monkeypatch.setattr(masks, "MOST_FILTERED", 0)
    table, paths = filled(lake, tmp_path / "data", group=group)
    gone = {n: chosen(n) for n in (0, 1, 3)}
    table = removed(table, tmp_path / "d.parquet", [(paths[n], p) for n in gone for p in gone[n]])
    rows = left(gone)
    for where in (None, "x < 100", "s LIKE 's1%' AND x IS NOT NULL", "x IS NULL", "k % 2 = 0"):
        summed(lake, table, rows, where)


def test_files_without_rows(lake: Lake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lake.scans, "_threads", 3)
    monkeypatch.setattr(masks, "_UNEVEN", 3)
    table, paths = filled(lake, tmp_path / "data", files=1)
    for number in range(3):
        place = tmp_path / f"empty-{number}.parquet"
        pq.write_table(data(0).slice(0, 0), place)
        table.add_files([f"file://{place}"])
    table = removed(table.refresh(), tmp_path / "d.parquet", [(paths[0], 5)])
    table = valued(table, tmp_path / "e.parquet", pa.table({"k": pa.array([7])}), [1])
    summed(lake, table, left({0: [5, 7]}, files=1))


def test_rows_deleted_by_value(lake: Lake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lake.scans, "_threads", 2)
    table, paths = filled(lake, tmp_path / "data")
    table = removed(table, tmp_path / "d.parquet", [(paths[0], 5), (paths[3], 6)])
    keys = {n: [n * ROWS + p for p in chosen(n)] for n in (0, 1)}
    table = valued(table, tmp_path / "e.parquet", pa.table({"k": pa.array(keys[0] + keys[1])}), [1])
    table = valued(table, tmp_path / "f.parquet", pa.table({"s": ["s7", "s8"], "x": [10.0, None]}), [2, 3])
    newer = pa.table({"k": pa.array([keys[0][0]]), "s": ["s7"], "x": [10.0]})
    table.append(newer)
    table = valued(table.refresh(), tmp_path / "g.parquet", pa.table({"s": ["s9"]}), [2])
    lake.connection.register("there", left({0: [5, *chosen(0)], 1: chosen(1), 3: [6]}))
    older = lake.connection.sql(
        "FROM there WHERE s <> 's9' AND NOT (s = 's7' AND x IS NOT DISTINCT FROM 10) AND NOT (s = 's8' AND x IS NULL)"
    ).to_arrow_table()
    rows = pa.concat_tables([older, newer.cast(older.schema)])
    for where in (None, "x < 200"):
        summed(lake, table, rows, where)
    # Rows are counted by the masks alone.
    scan = lake.scan(table, columns=frozenset(), is_summed=True)
    assert "read_parquet" not in scan.sql
    assert lake.query(f"SELECT count(*) AS n FROM {scan.sql}") == [{"n": rows.num_rows}]
    assert lake.scans.tables(scan.removed, lambda: None).keys() == {one.name for one in scan.removed}


def test_positions_that_are_no_rows(lake: Lake, tmp_path: Path) -> None:
    table, paths = filled(lake, tmp_path / "data")
    listed = [(paths[0], p) for p in (5, 5, -1, ROWS - 1, ROWS, 2**40)] + [(paths[1], -ROWS), (None, 3)]
    table = removed(table, tmp_path / "d.parquet", listed)
    summed(lake, table, left({0: [5, ROWS - 1]}))
    counted = lake.scan(table, columns=frozenset())
    assert lake.query(f"SELECT count(*) AS n FROM {counted.sql}") == [{"n": 4 * ROWS - 2}]


def test_vectors(lake: Lake, tmp_path: Path) -> None:
    table, paths = filled(lake, tmp_path / "data")
    place = tmp_path / "v.puffin"
    wanted = {path: sorted(chosen(n)) for n, path in enumerate(paths)}
    wanted[paths[2]] = list(range(ROWS))
    at = write_vectors(place, wanted)
    commit_deletes(table, *(vector_file(table, place, len(wanted[p]), p, at[p]) for p in wanted))
    summed(lake, table.refresh(), left(dict(enumerate(wanted.values()))))


def test_joins_where_a_filter_keeps_few_rows(lake: Lake, tmp_path: Path) -> None:
    table, paths = filled(lake, tmp_path / "data")
    gone = {n: chosen(n) for n in range(4)}
    table = removed(table, tmp_path / "d.parquet", [(paths[n], p) for n in gone for p in gone[n]])
    rows = left(gone)
    assert rows.num_rows == 4 * (ROWS - 300)
    for where, is_masked in (
        ("x > 100", True),  # of 0 to 250
        ("200 > x", True),
        ("x > 240", False),
        ("x BETWEEN 50 AND 200", True),
        ("x BETWEEN 50 AND 60", False),
        ("k >= 0", True),
        ("k >= 0 AND x < 200 AND x <> 7", True),
        ("k >= 0 AND x < 200 AND x = 7", False),
        ("x < 10 OR x > 50", True),
        ("x IS NOT NULL", True),
        ("x IS NULL", False),
        ("s = 's7'", False),
        ("s <> 's7'", True),
        ("NOT s = 's7'", True),
        ("s LIKE 's%'", False),  # what is not understood
        ("k % 2 = 0", False),
        ("x + 1 > 0", False),
    ):
        summed(lake, table, rows, where, is_masked=is_masked)


def test_files_of_other_columns_and_ages(lake: Lake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(masks, "_UNEVEN", 2)
    table, paths = filled(lake, tmp_path / "data")
    with table.update_schema() as update:
        update.rename_column("s", "name")
        update.add_column("more", LongType())
    table.append(
        pa.table(
            {
                "k": pa.array([1, 2, 3]),
                "name": ["a", "b", "c"],
                "x": [0.5, None, 1.0],
                "more": pa.array([7, 8, 9]),
            }
        )
    )
    last = next(f.file.file_path for f in table.refresh().scan().plan_files() if f.file.record_count == 3)
    table = removed(table.refresh(), tmp_path / "d.parquet", [*((p, 3) for p in paths), (last, 1)])
    scan = lake.scan(table, is_summed=True)
    assert scan.sql.count("POSITIONAL JOIN") == 2
    found = lake.query(f"SELECT count(*) AS n, sum(more) AS more, max(name) AS s FROM {scan.sql} AS t")
    assert found == [{"n": 4 * (ROWS - 1) + 2, "more": 16, "s": "s99"}]
    # Also with the hidden columns.
    scan = lake.scan(table, is_summed=True, hidden=["_pos", "_file"])
    found = lake.query(f"SELECT sum(_pos) AS p, count(DISTINCT _file) AS f FROM {scan.sql} AS t")
    assert found == [{"p": 4 * (sum(range(ROWS)) - 3) + 2, "f": 5}]


def test_joins_where_masks_are_worse(lake: Lake, tmp_path: Path, monkeypatch) -> None:
    table, paths = filled(lake, tmp_path / "data")
    gone = {0: chosen(0)}
    table = removed(table, tmp_path / "d.parquet", [(paths[0], p) for p in gone[0]])
    summed(lake, table, left(gone))
    # One thread would read all of the one file, the others nothing.
    monkeypatch.setattr(lake.scans, "_threads", 8)
    summed(lake, table, left(gone), "k >= 0", is_masked=False)
    monkeypatch.setattr(lake.scans, "_threads", 1)
    monkeypatch.setattr(masks, "FEWEST", ROWS + 1)
    summed(lake, table, left(gone), "k > -1", is_masked=False)
    assert "POSITIONAL" not in lake.scan(table).sql


def test_files_that_hold_other_numbers_of_rows_than_is_said(lake: Lake, tmp_path: Path) -> None:
    table, paths = filled(lake, tmp_path / "data")
    table = removed(table, tmp_path / "d.parquet", [(path, 3) for path in paths])
    lake.scan(table)
    place = Path(paths[1].removeprefix("file://"))
    # Iceberg's files never change; this one does, once its footer is known.
    pq.write_table(data(1, ROWS + 10), place, row_group_size=1_000)
    lake.scan(table, is_summed=True)
    with pytest.raises(duckdb.InvalidInputException, match="a data file has more rows than it says"):
        lake.query(f"SELECT sum(k) FROM {lake.scan(table, is_summed=True).sql}")
    with closing(Lake(tmp_path / "other")) as other:
        assert "ANTI JOIN" in other.scan(table, is_summed=True).sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT sum(a) FROM t", True),
        (
            "SELECT a + 1, count(*) FILTER (WHERE b > 0) FROM t WHERE c IN (1, 2) GROUP BY ALL HAVING max(b) > 1",
            True,
        ),
        (
            "SELECT k, n FROM (SELECT k, count(DISTINCT a) AS n FROM t GROUP BY k) WHERE n > 1 ORDER BY n LIMIT 3",
            True,
        ),
        ("SELECT avg(y) FROM (SELECT a * 2 AS y FROM t WHERE a > 1) AS v WHERE y < 9", True),
        ("SELECT a FROM t", False),
        ("SELECT count(*) FROM (SELECT a FROM t LIMIT 10)", False),
        ("SELECT count(*) FROM (SELECT a FROM t ORDER BY b LIMIT 10)", False),
        ("SELECT count(*) FROM (SELECT DISTINCT ON (a) a, b FROM t)", False),
        ("SELECT list(a), count(*) FROM t", False),
        ("SELECT first(a), sum(b) FROM t", False),
        ("SELECT sum(t.a) FROM t, u", False),
        ("SELECT sum(a) FROM t JOIN u USING (k)", False),
        ("SELECT sum(a) FROM t WHERE k IN (SELECT k FROM u)", False),
        ("SELECT sum(a) FROM t WHERE a > (SELECT 1)", False),
        ("SELECT sum(a) FROM t UNION ALL SELECT 1", False),
        ("WITH v AS (SELECT a FROM t) SELECT sum(a) FROM v", False),
        ("SELECT sum(a) OVER () FROM t", False),
        ("SELECT sum(a), row_number() OVER () FROM t GROUP BY a", False),
        ("SELECT sum(a) FROM t TABLESAMPLE 10%", False),
        ("SELECT max(PREDICT('m', a)) FROM t", False),
        ("SELECT sum(a) FROM range(3) AS r(a)", True),
        ("SELECT 1", False),
    ],
)
def test_statements_that_only_sum_up(sql: str, expected: bool) -> None:
    assert is_summed(parse(sql, 10_000)) is expected
