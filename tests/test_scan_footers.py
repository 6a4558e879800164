"""Footers told apart by their first bytes: the same layouts as those that decoding gives, file by file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutation import damaged, often
from pyiceberg.io.pyarrow import PyArrowFileIO

from scoter.engine.scanning.footers import LONGEST, head_of, read, rows_of
from scoter.engine.scanning.layout import Layouts
from scoter.errors import CorruptData

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def footer(path: Path) -> bytes:
    with path.open("rb") as file:
        found = read(path.stat().st_size, lambda at, count: os.pread(file.fileno(), count, at))
    assert found is not None
    return found


def field(name: str, kind: pa.DataType, number: int | None = None, *, nullable: bool = True) -> pa.Field:
    facts = {} if number is None else {"PARQUET:field_id": str(number)}
    return pa.field(name, kind, nullable, facts)


STRUCT = pa.struct([field("x", pa.int32(), 4), field("y", pa.list_(field("element", pa.date32(), 6)), 5)])
SCHEMAS = (
    [field("a", pa.int64(), 1)],
    [field("a", pa.int64(), 2)],
    [field("a", pa.int64())],
    [field("a", pa.int64(), 1, nullable=False)],
    [field("b", pa.int64(), 1)],
    [field("a", pa.int32(), 1)],
    [field("a", pa.timestamp("us"), 1)],
    [field("a", pa.timestamp("us", "UTC"), 1)],
    [field("a", pa.timestamp("ns"), 1)],
    [field("a", pa.decimal128(9, 2), 1)],
    [field("a", pa.decimal128(9, 3), 1)],
    [field("a", pa.string(), 1)],
    [field("a", pa.binary(), 1)],
    [field("a", pa.int64(), 1), field("s", STRUCT, 3)],
    [field("a", pa.int64(), 1), field("s", pa.map_(pa.string(), STRUCT), 3)],
    [field(f"c{i}", pa.float64(), i + 1) for i in range(40)],
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of every schema, with no row, one, and so many that their number takes more bytes."""
    place = tmp_path_factory.mktemp("files")
    found = []
    for number, schema in enumerate(SCHEMAS):
        for rows in (0, 1, 100_000):
            path = place / f"{number}-{rows}.parquet"
            nothing = [pa.nulls(rows, one.type) for one in schema]
            if not schema[0].nullable:
                nothing[0] = pa.array(range(rows), pa.int64())
            pq.write_table(pa.Table.from_arrays(nothing, schema=pa.schema(schema)), path)
            found.append(path)
    duckdb.sql("SELECT 1::BIGINT AS a, {'x': 1} AS s").write_parquet(str(place / "duckdb.parquet"))
    return [*found, place / "duckdb.parquet"]


def test_a_head_stands_for_one_schema(files: list[Path]) -> None:
    heads = {path: head_of(footer(path)) for path in files}
    assert None not in heads.values()
    for path, head in heads.items():
        rows = pq.read_metadata(path).num_rows
        alike = {other.name.split("-")[0] for other, found in heads.items() if found == head}
        assert alike == {path.name.split("-")[0]}
        assert rows_of(footer(path)[: len(head) + LONGEST], head) == rows


def foreign() -> Iterator[Path]:
    for path in sorted(SHARED.rglob("*.parq*")):
        if path.is_file() and path.stat().st_size > 12:
            yield path


def test_layouts_are_those_of_each_file_alone(files: list[Path]) -> None:
    paths = [*files, *foreign()]
    assert len(paths) > 100
    io = PyArrowFileIO()
    together, readable = Layouts(), 0
    for path in paths:
        try:
            (alone,) = Layouts().of([str(path)], lambda: io)
        except CorruptData:
            with pytest.raises(CorruptData):
                together.of([str(path)], lambda: io)
            continue
        readable += 1
        assert together.of([str(path)], lambda: io) == [alone]
        assert together.rows(str(path)) == pq.read_metadata(path).num_rows
    assert readable > 100


@often()
@given(data=st.data())
def test_damaged_footers_are_told_from_whole_ones(data: st.DataObject, files: list[Path]) -> None:
    whole = footer(files[13 * 3])
    head = head_of(whole)
    found = data.draw(damaged([whole]))
    assert head is not None
    assert head_of(found) is None or isinstance(head_of(found), bytes)
    if not found.startswith(head):
        assert rows_of(found, head) is None
