"""Statements and tables of very many columns: the answers are right, and the work grows with the columns."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from sessions import InProcess, opened
from sqlglot import exp

from scoter.engine.fitting import table_columns
from scoter.engine.replacing import put
from scoter.errors import UndefinedColumn


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions ``work`` calls: its size, whatever else the machine does."""
    count = 0

    def seen(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("wide")) as engine:
        session = InProcess(engine)
        for width in (200,):
            columns = ", ".join(f"c{i} INTEGER" for i in range(width))
            session.update(f"CREATE TABLE t{width} ({columns})")
        yield session


def listed(form: str, width: int) -> str:
    return ", ".join(form.format(i=i) for i in range(width))


def test_all_columns_come_back(lake):
    width = 200
    assert lake.rows(f"SELECT {listed('{i} AS c{i}', width)}") == [tuple(range(width))]
    assert lake.rows(f"SELECT {listed('?::INTEGER AS c{i}', width)}", *range(width)) == [tuple(range(width))]
    among = f"SELECT count(*) FROM range(900) AS r(i) WHERE i IN ({listed('?', width)})"
    assert lake.value(among, *range(width)) == width
    names = listed("c{i}", width)
    assert lake.update(f"INSERT INTO t{width} ({names}) VALUES ({listed('{i} + 1', width)})") == 1
    backwards = ", ".join(f"c{i}" for i in reversed(range(width)))
    assert lake.update(f"INSERT INTO t{width} ({backwards}) VALUES ({listed('{i}', width)})") == 1
    assert lake.update(f"INSERT INTO t{width} BY NAME SELECT 500 AS C7") == 1
    rows = lake.rows(f"SELECT {names} FROM t{width} ORDER BY c0")
    assert rows[0] == tuple(range(1, width + 1))
    assert rows[1] == tuple(reversed(range(width)))
    assert rows[2] == tuple(500 if i == 7 else None for i in range(width))


def test_a_node_is_put_in_the_place_of_another():
    tree = exp.select("a", "b", "c").from_("t").where("a IN (1, 2, 3)")
    before = hash(tree)
    second = tree.expressions[1]
    put(second, exp.column("x"))
    put(tree.find(exp.In).expressions[2], exp.Literal.number(9))
    put(tree.find(exp.Table), exp.to_table("u"))
    assert tree.sql() == "SELECT a, x, c FROM u WHERE a IN (1, 2, 9)"
    assert [part.index for part in tree.expressions] == [0, 1, 2]
    assert tree.expressions[1].parent is tree
    assert second.parent is None
    assert hash(tree) != before
    put(tree.expressions[1], exp.column("y"))
    assert tree.sql() == "SELECT a, y, c FROM u WHERE a IN (1, 2, 9)"


def test_a_node_is_put_in_its_place_among_thousands():
    tree = exp.select(*(f"c{i}" for i in range(3_000)))
    assert calls_of(lambda: put(tree.expressions[1_500], exp.Null())) < 100
    assert isinstance(tree.expressions[1_500], exp.Null)


def test_thousands_of_columns_that_a_table_has_not_are_refused_at_once():
    width = 1_000
    fields = [NestedField(i + 1, f"column_{i}", LongType(), required=False) for i in range(width)]
    table = Schema(*fields)

    def refused(count: int) -> UndefinedColumn:
        given = pa.schema([(f"colunm_{i}", pa.int64()) for i in range(count)])
        with pytest.raises(UndefinedColumn) as caught:
            table_columns(given, table)
        return caught.value

    few, many = calls_of(lambda: refused(10)), calls_of(lambda: refused(width))
    # To look for the most similar name takes many times what all else does.
    assert many < 2 * few
    error = refused(width)
    assert 'no column "colunm_0"' in error.message
    assert error.message.endswith(f"and {width - 20} more such columns")
    assert error.hint == 'did you mean "column_0"?'
    assert len(error.text()) < 2_000
