"""The data files that append leaves behind: their codec, size and row groups."""

import importlib

import duckdb
import psutil
import pyarrow.parquet as pq
import pytest
from write_tables import NAME, SCHEMA, created, data_files, locked, opened, rows

from scoter import settings
from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.engine.writing import append
from scoter.errors import NotSupported

lake = pytest.fixture(opened)
connection = pytest.fixture(locked)
table = pytest.fixture(created)


def test_large_writes_stream_into_files_of_many_row_groups(lake, table):
    with duckdb.connect(config={"memory_limit": "400MB", "threads": 2, "async_threads": 0}) as own:
        append(own, "SELECT 1, 'x'", table, properties={})
        before = psutil.Process().memory_info().rss
        written = append(
            own, "SELECT i, 'abc' || i % 5000 FROM range(5000000) t(i)", table.refresh(), properties={}
        )
        grown = psutil.Process().memory_info().rss - before
    assert written.rows == 5_000_000
    assert grown < 400_000_000
    largest = max(data_files(lake), key=lambda path: path.stat().st_size)
    metadata = pq.read_metadata(largest)
    assert metadata.row_group(0).num_rows == 122_880
    assert metadata.row_group(0).column(0).compression == "SNAPPY"
    assert lake.load(NAME).scan().count() == 5_000_001


@pytest.mark.parametrize(
    ("properties", "codec"),
    [
        ({"write.parquet.compression-codec": "zstd", "write.parquet.compression-level": "19"}, "ZSTD"),
        ({"write.parquet.compression-codec": "GZIP"}, "GZIP"),
        ({"write.parquet.compression-codec": "lz4"}, "LZ4"),
        ({"write.parquet.compression-codec": "none"}, "UNCOMPRESSED"),
        (None, "ZSTD"),
    ],
)
def test_a_table_names_the_codec_of_its_files(lake, connection, table, properties, codec):
    """A table of another engine that names none gets Iceberg's default."""
    with table.transaction() as transaction:
        if properties is None:
            transaction.remove_properties("write.parquet.compression-codec")
        else:
            transaction.set_properties(properties)
    append(connection, "SELECT 1, 'x'", lake.load(NAME), properties={})
    assert pq.read_metadata(data_files(lake)[0]).row_group(0).column(0).compression == codec
    assert rows(lake) == [{"k": 1, "g": "x"}]


@pytest.mark.parametrize(
    ("key", "value"), [("codec", "brotli"), ("codec", "x'); DROP"), ("level", "23"), ("level", "¹")]
)
def test_a_codec_that_can_not_be_written_is_refused(lake, connection, table, key, value):
    asked = {"write.parquet.compression-codec": "zstd", f"write.parquet.compression-{key}": value}
    table.transaction().set_properties(asked).commit_transaction()
    with pytest.raises(NotSupported, match=f"the table asks for the .*{key}"):
        append(connection, "SELECT 1, 'x'", lake.load(NAME), properties={})
    assert data_files(lake) == []


def test_the_codec_of_new_tables_is_a_setting(tmp_path):
    settled = settings.load(tmp_path, tables={"compression": "zstd"})
    metastore = Metastore.open(settled.metastore_url)
    lake = Lake(settled, metastore)
    properties = lake.create_table(NAME, SCHEMA).metadata.properties
    assert properties["write.parquet.compression-codec"] == "zstd"
    lake.close()
    metastore.close()


def test_files_are_closed_at_their_size(lake, connection, table, monkeypatch):
    monkeypatch.setattr(importlib.import_module("scoter.engine.writing.append"), "FILE_BYTES", 1_000_000)
    written = append(connection, "SELECT i, md5(i::VARCHAR) FROM range(1000000) t(i)", table, properties={})
    assert written.files > 3
    assert written.rows == lake.load(NAME).scan().count() == 1_000_000
    assert lake.load(NAME).scan(row_filter="k = 999999").to_arrow().num_rows == 1


def test_sorted_rows_give_row_groups_with_narrow_ranges(lake, connection, table):
    """Row groups stand in any order, but each holds rows that follow each other."""
    append(connection, "SELECT i, 'x' FROM range(1000000) t(i) ORDER BY hash(i), i", table, properties={})
    append(connection, "SELECT i, 'x' FROM range(1000000) t(i) ORDER BY i", table.refresh(), properties={})
    widths = []
    for path in sorted(data_files(lake), key=lambda path: path.stat().st_mtime):
        metadata = pq.read_metadata(path)
        bounds = [metadata.row_group(g).column(0).statistics for g in range(metadata.num_row_groups)]
        widths.append(sum(bound.max - bound.min for bound in bounds))
    shuffled, ordered = widths
    assert ordered < 1_000_000 < shuffled
