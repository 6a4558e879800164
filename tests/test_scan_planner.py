"""What DuckDB's planner makes of a scan, and what a repeated plan costs."""

from __future__ import annotations

import json
import re
import sys
from contextlib import closing
from itertools import count

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from pyiceberg.table.statistics import BlobMetadata, StatisticsFile
from pyiceberg.types import LongType
from scan_tables import Lake, predicate_of

from scoter.catalog.manifests import Manifests
from scoter.engine.scan import Scans
from scoter.errors import Cancelled


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("planner"))
    yield lake
    lake.close()


def numbers(first, count):
    values = range(first, first + count)
    return pa.table(
        {"k": pa.array(values, pa.int64()), "f": pa.array([float(v) for v in values], pa.float64())}
    )


@pytest.fixture(scope="module")
def big(lake):
    """100,000 rows in three files, of which the first written is far from the mean."""
    table = lake.create(numbers(0, 0).schema)
    table.append(numbers(0, 5))
    table.append(numbers(5, 50_000))
    table.append(numbers(50_005, 49_995))
    return table


@pytest.fixture(scope="module")
def small(lake):
    table = lake.create(numbers(0, 0).schema)
    table.append(numbers(0, 100))
    return table


def estimates(plan):
    return [int(n.replace(",", "")) for n in re.findall(r"~([\d,]+) rows?", plan)]


def test_the_estimate_comes_from_a_file_near_the_mean(lake, big):
    """DuckDB multiplies the first file's rows by the number of files, and 5 × 3 would be far off."""
    plan = lake.explain(f"SELECT * FROM {lake.scan(big).sql} AS t")
    assert 50_000 < estimates(plan)[0] < 200_000
    rows = [file.file.record_count for file in big.scan().plan_files()]
    assert sorted(rows) == [5, 49_995, 50_000]


def test_bounds_sharpen_the_estimate_of_an_equality(lake, big):
    plan = lake.explain(f"SELECT * FROM {lake.scan(big).sql} AS t WHERE k = 70000")
    assert estimates(plan)[-1] <= 10
    bare = re.sub(r", column_statistics = .*}}\)", ")", lake.scan(big).sql)
    assert estimates(lake.explain(f"SELECT * FROM {bare} AS t WHERE k = 70000"))[-1] > 1000


def test_numbers_of_distinct_values_in_statistics_files_are_used(lake, big):
    sql = f"SELECT * FROM {lake.scan(big).sql} AS t WHERE f = 0.5"
    assert "distinct_count" not in sql
    snapshot = big.current_snapshot()
    blob = BlobMetadata(
        type="apache-datasketches-theta-v1",
        snapshot_id=snapshot.snapshot_id,
        sequence_number=snapshot.sequence_number,
        fields=[big.schema().find_field("f").field_id],
        properties={"ndv": "20000"},
    )
    told = StatisticsFile(
        snapshot_id=snapshot.snapshot_id,
        statistics_path="file:///not-there.puffin",
        file_size_in_bytes=1,
        file_footer_size_in_bytes=1,
        blob_metadata=[blob],
    )
    with big.update_statistics() as update:
        update.set_statistics(told)
    better = f"SELECT * FROM {lake.scan(big).sql} AS t WHERE f = 0.5"
    assert "'distinct_count': '20000'" in better
    assert estimates(lake.explain(better))[-1] * 100 < estimates(lake.explain(sql))[-1]
    with big.update_statistics() as update:
        update.remove_statistics(snapshot.snapshot_id)


def test_only_the_columns_that_are_used_are_read(lake, big):
    assert lake.connection.execute(f"FROM {lake.scan(big, columns=frozenset({'k'})).sql}").description
    for used, names in [({"f", "x"}, ["f"]), (set(), ["k"]), (None, ["k", "f"])]:
        columns = None if used is None else frozenset(used)
        assert lake.connection.sql(f"FROM {lake.scan(big, columns=columns).sql}").columns == names


@pytest.mark.parametrize("order", ["{big} AS a JOIN {small} AS b", "{small} AS b JOIN {big} AS a"])
def test_a_join_is_built_on_its_small_side_whatever_the_text_says(lake, big, small, order):
    source = order.format(big=lake.scan(big).sql, small=lake.scan(small).sql)
    explained = lake.connection.execute(f"EXPLAIN (FORMAT json) SELECT count(*) FROM {source} ON a.k = b.k")
    node = json.loads(explained.fetchall()[0][1])[0]
    while "JOIN" not in node["name"].upper():
        node = node["children"][0]
    probe, build = (int(side["extra_info"]["Estimated Cardinality"]) for side in node["children"])
    assert probe > 50_000
    assert build <= 100


def test_floats_have_no_bounds_for_the_planner_and_nan_is_announced(lake, big):
    sql = lake.scan(big).sql
    assert "'\"k\"': {'null_count': '0', 'min': '0', 'max': '99999'}" in sql
    assert "'\"f\"': {'null_count': '0'}" in sql
    assert "can_have_nan = true" in sql
    assert "hive_partitioning = false" in sql


def test_bounds_for_the_planner_are_those_of_the_files_that_are_read(lake, big):
    assert "'min': '5', 'max': '99999'" in lake.scan(big, "k > 40000").sql


def test_of_a_single_file_duckdb_knows_the_bounds_itself(lake, big):
    scan = lake.scan(big, "k > 60000")
    assert (scan.files, "column_statistics" in scan.sql) == (1, False)
    assert estimates(lake.explain(f"SELECT * FROM {scan.sql} AS t WHERE k = 70000"))[-1] <= 10


def test_filters_and_columns_are_pushed_into_an_evolved_scan(lake):
    table = lake.create(numbers(0, 0).schema)
    table.append(numbers(0, 1000))
    with table.update_schema() as update:
        update.rename_column("k", "id")
        update.add_column("n", LongType())
    plan = lake.explain(f"SELECT sum(id) FROM {lake.scan(table).sql} AS t WHERE id > 990")
    assert re.search(r"Filters:\s+k > 990", plan)
    assert not re.search(r"Projections:.*\bf\b", plan)


def is_content(path):
    return path.suffix == ".parquet" or path.name.endswith("-m0.avro")


def test_a_repeated_plan_reads_no_file(tmp_path):
    """Manifests and footers are decoded once, also for another predicate and after other appends."""
    lake = Lake(tmp_path / "lake")
    table = lake.create(numbers(0, 0).schema)
    for first in range(0, 50, 10):
        table.append(numbers(first, 10))
    assert lake.scan(table).files == 5
    before = [path for path in (tmp_path / "lake").rglob("*") if is_content(path)]
    table.append(numbers(50, 10))
    for path in before:
        path.unlink()
    assert lake.scan(table).files == 6
    for path in (tmp_path / "lake").rglob("*"):
        if is_content(path) or path.name.startswith("snap-"):
            path.unlink()
    assert lake.scan(table, "k < 15").files == 2
    assert lake.scan(table, "k >= 15 AND f < 25").files == 2
    lake.close()


class Noting(PyArrowFileIO):
    """Opens files and keeps their places."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def new_input(self, location: str) -> PyArrowFile:
        self.opened.append(location)
        return super().new_input(location)


@pytest.fixture(scope="module")
def footers() -> list[str]:
    """Return the Parquet files that Python opens from now on."""
    opened: list[str] = []

    def note(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and str(args[0]).endswith(".parquet"):
            opened.append(str(args[0]))

    # There is no way to take a hook back; it goes on noting until the process ends.
    sys.addaudithook(note)
    return opened


@pytest.mark.parametrize("turn", [1, 2, 5, 16, 27])
def test_what_ends_a_statement_ends_the_reading_of_files_for_it(tmp_path, turn, footers):
    with closing(Lake(tmp_path)) as lake:
        table = lake.create(numbers(0, 0).schema)
        for first in range(12):
            table.append(numbers(first, 1))

        def opened(check):
            noting = Noting()
            ended = False
            footers.clear()
            try:
                Scans(Manifests(lambda _: noting)).build(table.metadata, None, check=check)
            except Cancelled:
                ended = True
            metadata = [place for place in noting.opened if place.endswith(".avro")]
            return len(metadata) + len(footers), ended

        turns = count(1)

        def check():
            if next(turns) >= turn:
                raise Cancelled("the statement was cancelled")

        assert opened(lambda: None) == (1 + 12 + 12, False)
        files, ended = opened(check)
        assert ended
        assert files < min(turn, 1 + 12 + 12)


def test_a_scan_does_not_outlive_its_predicate_or_columns(lake, big):
    whole = lake.scan(big)
    assert lake.scan(big) is whole
    assert lake.scan(big, "k < 3").files == 1
    assert lake.scan(big, "k < 4").sql != whole.sql
    assert lake.scans.build(big.metadata, None, predicate_of("k < 3"), frozenset({"f"})).sql != whole.sql
