"""Rows that are scored are read from Parquet files as they stand there, where that gives what DuckDB would read."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delete_files import commit_deletes, delete_file, write_positions
from onnx import TensorProto, helper
from pyiceberg.table import Table
from pyiceberg.types import FloatType, LongType
from sessions import InProcess, bound, opened
from slt import Refused
from small_models import _model, _value

from scoter.catalog.names import TableName
from scoter.engine import staged_rows
from scoter.engine.scanning.stored import NotAsStored, StoredColumn, StoredRows

ROWS = 340_000  # three row groups
VALUES = "hash(i) % 1000003 / 8"


@pytest.fixture
def lake(tmp_path: Path, model_files: Path):
    with opened(tmp_path, models={"allowed_prefixes": [str(model_files)], "inline": False}) as engine:
        session = InProcess(engine)
        for model in ("pair", "image"):
            session.update(f"CREATE MODEL {model} FROM '{model_files}/{model}.onnx'")
        yield session


def loaded(lake: InProcess) -> Table:
    return lake.engine.lake.load(TableName("lake", "main", "t"))


def fill(lake: InProcess, columns: str, name: str = "t", rows: int = ROWS) -> None:
    lake.update(f"CREATE TABLE {name} AS SELECT i AS id, {columns} FROM range({rows}) AS r(i)")


def stored(lake: InProcess, sql: str) -> StoredRows | None:
    staged = lake.engine.plan(sql, lake.context).staged
    assert staged is not None
    (stage,) = staged.stages
    return stage.stored


def through_sql(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the rows of each batch that DuckDB reads for a stage."""
    taken: list[int] = []
    batches_of = staged_rows._batches_of

    def batches(relation):
        for batch in batches_of(relation):
            taken.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(staged_rows, "_batches_of", batches)
    return taken


def same(lake: InProcess, more: str = "id", a: str = "a", b: str = "b") -> None:
    """Compare a model's results, and their order, with what SQL makes of the same columns."""
    found = lake.query(f"SELECT {more}, PREDICT('pair', {a}, {b}) AS p FROM t")
    right = lake.query(f"SELECT {more}, (({a})::FLOAT + 10 * ({b})::FLOAT)::FLOAT AS p FROM t")
    assert found.drop_columns(["p"]).equals(right.drop_columns(["p"]))
    assert np.array_equal(found["p"].is_null(), right["p"].is_null())
    assert np.array_equal(found["p"].to_numpy(), right["p"].to_numpy(), equal_nan=True)
    assert found.num_rows == lake.value("SELECT count(*) FROM t")


FLOATS = f"CASE WHEN i % 1000 = 1 THEN 'nan'::FLOAT WHEN i % 9 <> 0 THEN ({VALUES})::FLOAT END AS a, (i % 5)::FLOAT AS b"


def test_columns_are_read_without_sql(lake, monkeypatch):
    taken = through_sql(monkeypatch)
    fill(lake, f"{FLOATS}, i % 2 = 0 AS even, DATE '2020-01-01' + (i % 900)::INTEGER AS day")
    same(lake, "id, even, day, b")
    lake.update("INSERT INTO t SELECT id + 1000000, a, b, even, day FROM t")
    same(lake, "day, id")
    assert taken == []
    sql = "SELECT id, PREDICT('pair', a, b) FROM t"
    shown = dict(lake.rows(f"EXPLAIN ANALYZE {sql}"))
    skipped = lake.value("SELECT count(*) FROM t WHERE a IS NULL")
    assert shown["stage_plan"] == f"Read columns as stored  files: 2  about {2 * ROWS:,} rows"
    assert f"{2 * ROWS:,} rows given, {skipped:,} skipped" in shown["scored"]


def test_one_column_may_be_given_twice(lake, monkeypatch):
    taken = through_sql(monkeypatch)
    fill(lake, FLOATS)
    same(lake, "b AS first", a="b", b="b")
    assert taken == []


def test_lists_are_read_without_sql(lake, monkeypatch):
    taken = through_sql(monkeypatch)
    cells = ", ".join(f"((i + {n}) % 11)::FLOAT" for n in range(6))
    fill(lake, f"CASE WHEN i % 9 <> 0 THEN [{cells}] END AS cells", rows=130_000)
    found = lake.query("SELECT id, PREDICT('image', cells) AS p FROM t")
    assert found.equals(lake.query("SELECT id, list_sum(cells)::FLOAT AS p FROM t"))
    assert taken == []


def test_a_renamed_column_is_read_by_its_name_in_the_files(lake, monkeypatch):
    taken = through_sql(monkeypatch)
    fill(lake, FLOATS)
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        with loaded(lake).update_schema() as update:
            update.rename_column(old, new)
    same(lake)
    assert taken == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, PREDICT('pair', a, b) FROM t WHERE id > 5",
        "SELECT id, PREDICT('pair', a + 1, b) FROM t",
        "SELECT id, PREDICT('pair', a, 1) FROM t",
        "SELECT text, PREDICT('pair', a, b) FROM t",
        "SELECT at, PREDICT('pair', a, b) FROM t",
    ],
)
def test_other_than_columns_of_numbers_duckdb_reads(lake, sql):
    fill(
        lake, f"{FLOATS}, i::VARCHAR AS text, TIMESTAMP '2020-01-01' + to_days(i::INTEGER) AS at", rows=60_000
    )
    assert stored(lake, sql) is None
    assert stored(lake, "SELECT id, PREDICT('pair', a, b) FROM t") is not None


def test_deleted_rows_and_columns_that_files_lack_duckdb_reads(lake, tmp_path):
    fill(lake, FLOATS, rows=60_000)
    with loaded(lake).update_schema() as update:
        update.add_column("c", FloatType())
    assert stored(lake, "SELECT PREDICT('pair', a, c) FROM t") is None
    assert stored(lake, "SELECT PREDICT('pair', a, b) FROM t") is not None
    (path,) = stored(lake, "SELECT PREDICT('pair', a, b) FROM t").paths
    gone = write_positions(tmp_path / "warehouse" / "deletes.parquet", [(path, 0), (path, 59_999)])
    commit_deletes(loaded(lake), delete_file(loaded(lake), gone, 2))
    assert lake.value("SELECT count(*) FROM t") == 59_998
    same(lake)


def test_many_small_files_duckdb_reads(lake):
    fill(lake, FLOATS, rows=60_000)
    for first in range(0, 400, 100):
        lake.update(f"INSERT INTO t SELECT id, a, b FROM t WHERE id >= {first} AND id < {first + 100}")
    assert stored(lake, "SELECT PREDICT('pair', a, b) FROM t") is None
    same(lake)


@pytest.mark.parametrize("first", ["INTEGER", "BIGINT"])
def test_files_that_hold_another_type_duckdb_reads(lake, monkeypatch, first):
    """The type was widened after the first file, or both are of one type."""
    taken = through_sql(monkeypatch)
    fill(lake, f"{FLOATS}, (i % 77)::{first} AS n")
    if first == "INTEGER":
        with loaded(lake).update_schema() as update:
            update.update_column("n", LongType())
    lake.update("INSERT INTO t SELECT id + 1000000, a, b, n + 5000000000 FROM t")
    same(lake, "n, id")
    assert sum(taken) in ({0} if first == "BIGINT" else {2 * ROWS})


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 3])
def test_what_can_not_be_read_so_after_all_duckdb_reads_from_there(lake, monkeypatch, failing, after):
    """No row is lost, none is there twice, and all are in order, also where several threads fail at once."""
    taken = through_sql(monkeypatch)
    fill(lake, FLOATS)
    real = StoredRows._batches

    def batches(self, path, metadata, groups, rows):
        for number, batch in enumerate(real(self, path, metadata, groups, rows)):
            if number == after and max(groups) >= failing:
                time.sleep(0.03)  # so that others fail as well
                raise OSError("the disk is broken")
            yield batch

    monkeypatch.setattr(StoredRows, "_batches", batches)
    same(lake)
    assert sum(taken) == ROWS


def test_doubles_are_cast_to_the_floats_of_a_model(lake, monkeypatch):
    taken = through_sql(monkeypatch)
    a = "CASE i WHEN 9 THEN 3.4e38 WHEN 11 THEN NULL ELSE hash(i) / 1e15 END"
    fill(lake, f"{a} AS a, (i % 5)::DOUBLE AS b")
    same(lake)
    assert taken == []


@pytest.mark.parametrize("value", ["1e39", "-1e300", "'inf'::DOUBLE"])
def test_of_numbers_too_large_for_a_float_duckdb_decides(lake, value):
    fill(lake, f"CASE WHEN i = {ROWS - 5} THEN {value} ELSE 1.5::DOUBLE END AS a, 1::FLOAT AS b")
    sql = "SELECT sum(PREDICT('pair', a, b)) FROM t"
    assert stored(lake, sql) is not None
    if "inf" in value:
        assert lake.value(sql) == np.inf
        return
    with pytest.raises(Refused, match="22003"):
        lake.query(sql)


def test_a_number_that_is_narrowed_and_widened_has_lost_what_it_lost(lake):
    given = _value("x", TensorProto.DOUBLE, "n")
    same_again = helper.make_node("Identity", ["x"], ["y"])
    lake.update(
        "CREATE MODEL double FROM ?",
        bound(_model([same_again], [given], [_value("y", TensorProto.DOUBLE, "n")])),
    )
    fill(lake, "hash(i) / 1e15 AS a, CASE WHEN i = 5 THEN 1e39 ELSE 0::DOUBLE END AS large", rows=150_000)
    right = lake.query("SELECT a::FLOAT::DOUBLE AS p FROM t")
    assert lake.query("SELECT PREDICT('double', a::FLOAT) AS p FROM t").equals(right)
    assert lake.query("SELECT PREDICT('double', a::FLOAT::DOUBLE) AS p FROM t").equals(right)
    with pytest.raises(Refused, match="22003"):
        lake.query("SELECT PREDICT('double', large::FLOAT) AS p FROM t")


def test_a_name_with_a_dot_is_not_taken_for_a_field(lake, monkeypatch):
    taken = through_sql(monkeypatch)
    fill(lake, 'hash(i) / 1e15 AS a, 1::FLOAT AS b, i::VARCHAR AS "a.b"', rows=60_000)
    same(lake)
    assert sum(taken) == 60_000


def test_what_snappy_has_made_much_smaller_duckdb_reads(lake, monkeypatch):
    taken = through_sql(monkeypatch)
    fill(lake, "(i * 3)::DOUBLE AS a, (i * 7)::DOUBLE AS b")
    same(lake)
    assert sum(taken) == ROWS
    shown = dict(lake.rows("EXPLAIN ANALYZE SELECT id, PREDICT('pair', a, b) FROM t"))
    assert "Read parquet" in shown["stage_plan"]


def test_files_elsewhere_are_not_read(lake, tmp_path):
    fill(lake, FLOATS, rows=60_000)
    rows = stored(lake, "SELECT PREDICT('pair', a, b) FROM t")
    assert rows is not None
    assert rows.is_readable([str(tmp_path)])
    with pytest.raises(NotAsStored):
        next(rows.shares(1000, [str(tmp_path / "elsewhere")]))


def test_a_lost_file_is_an_error_without_its_path(lake, tmp_path):
    fill(lake, FLOATS, rows=60_000)
    sql = "SELECT sum(PREDICT('pair', a, b)) FROM t"
    lake.query(sql)
    (path,) = stored(lake, sql).paths
    Path(path).unlink()
    with pytest.raises(Refused) as caught:
        lake.query(sql + " -- again")
    assert "XX001" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_row_groups_of_few_rows_are_read_together(tmp_path):
    path = str(tmp_path / "a.parquet")
    table = pa.table({"x": np.arange(250_000, dtype=np.float32), "y": pa.array(range(250_000), pa.int32())})
    pq.write_table(table, path, row_group_size=30_000)
    columns = [StoredColumn("y", pa.int32(), pa.int64()), StoredColumn("x", pa.float32(), pa.float32())]
    rows = StoredRows((path,), 250_000, (("y", columns[0]), ("given", (columns[1], columns[0]))))
    assert rows.kinds == {"y": pa.int64(), "given": None}
    shares = list(rows.shares(16_384, [str(tmp_path)]))
    assert [count for count, _ in shares] == [120_000, 120_000, 10_000]
    batches = [batch for _, read in shares for batch in read()]
    assert max(batch.num_rows for batch in batches) == 16_384
    numbers, given = zip(*map(rows.split, batches), strict=True)
    assert pa.chunked_array(numbers).equals(table["y"].cast(pa.int64()))
    assert pa.Table.from_batches(given)["x"].equals(table["x"])
    wrong = StoredRows((path,), 250_000, (("y", StoredColumn("y", pa.int64(), pa.int64())),))
    with pytest.raises(NotAsStored):
        list(wrong.shares(16_384, [str(tmp_path)]))


def test_batches_are_as_small_as_the_widest_rows_ask_for(tmp_path):
    path = str(tmp_path / "a.parquet")
    kind = pa.list_(pa.float32())
    parts = [np.zeros((110_000, 2)), np.zeros((0, 2)), np.zeros((4_000, 10_000))]
    with pq.ParquetWriter(path, pa.schema({"x": kind})) as writer:
        for part in parts:
            values = pa.array(part.ravel(), pa.float32())
            offsets = pa.array(np.arange(len(part) + 1) * part.shape[1], pa.int32())
            writer.write_table(pa.table({"x": pa.ListArray.from_arrays(offsets, values)}))
    rows = StoredRows((path,), 114_000, (("given", (StoredColumn("x", kind, kind),)),))
    shares = list(rows.shares(16_384, [str(tmp_path)]))
    assert [count for count, _ in shares] == [110_000, 4_000]
    batches = [batch for _, read in shares for batch in read()]
    assert sum(batch.num_rows for batch in batches) == 114_000
    assert max(batch.nbytes for batch in batches) < 68 << 20
