"""LIST columns taken apart and put together, against the same done row by row."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoter.errors import ModelFailed
from scoter.udfs.lists import null_rows, put_together, taken_apart
from scoter.udfs.pieces import in_pieces

VALUES = st.one_of(st.none(), st.integers(-9, 9))


def nested(depth, least=0):
    kind = VALUES if least == 0 else st.integers(-9, 9)
    for level in range(depth):
        inner = st.lists(kind, min_size=least, max_size=3)
        kind = st.one_of(st.none(), inner) if least == 0 and level < depth else inner
    return st.lists(kind, max_size=6)


def arrow(rows, depth, start=0):
    kind = pa.int64()
    for _ in range(depth):
        kind = pa.list_(kind)
    return pa.array([*rows[:start], *rows], type=kind).slice(len(rows[:start]))


def has_null_list(row, depth):
    return row is None or (depth > 1 and any(has_null_list(each, depth - 1) for each in row))


def has_null_value(row, depth):
    if row is None:
        return depth == 0
    return depth > 0 and any(has_null_value(each, depth - 1) for each in row)


def shape_of(row, depth):
    """Return the lengths of a row's lists, None where they differ."""
    if depth == 0:
        return ()
    inner = {shape_of(each, depth - 1) for each in row}
    if len(inner) > 1 or None in inner:
        return None
    return (len(row), *(inner.pop() if inner else (0,) * (depth - 1)))


def values_of(row, depth):
    return (
        row if depth == 1 else list(itertools.chain.from_iterable(values_of(each, depth - 1) for each in row))
    )


@given(st.integers(1, 3).flatmap(lambda depth: st.tuples(st.just(depth), nested(depth))), st.integers(0, 3))
def test_rows_with_nulls_are_found(drawn, start):
    depth, rows = drawn
    lists, values = null_rows(arrow(rows, depth, start), depth)
    assert (np.zeros(len(rows), bool) if lists is None else lists).tolist() == [
        has_null_list(row, depth) for row in rows
    ]
    assert (np.zeros(len(rows), bool) if values is None else values).tolist() == [
        has_null_value(row, depth) for row in rows
    ]


@given(
    st.integers(1, 3).flatmap(lambda depth: st.tuples(st.just(depth), nested(depth, 1))), st.integers(0, 3)
)
def test_lists_are_taken_apart_and_put_together(drawn, start):
    depth, rows = drawn
    column = arrow(rows, depth, start)
    lengths, values = taken_apart(column, depth)
    shapes = [shape_of(row, depth) for row in rows]
    if None in shapes:
        assert lengths is None
        return
    assert values.to_pylist() == [each for row in rows for each in values_of(row, depth)]
    assert [tuple(each) for each in lengths.tolist()] == shapes
    assert put_together(values, lengths, column.type).to_pylist() == rows


SHAPES = st.integers(1, 3).flatmap(
    lambda depth: st.lists(st.tuples(*[st.integers(1, 3)] * depth), min_size=1, max_size=6)
)


@given(SHAPES, st.integers(0, 3))
def test_even_lists_keep_their_shapes(shapes, start):
    rows = [np.arange(np.prod(shape)).reshape(shape).tolist() for shape in shapes]
    column = arrow(rows, len(shapes[0]), start)
    lengths, values = taken_apart(column, len(shapes[0]))
    assert [tuple(each) for each in lengths.tolist()] == shapes
    assert put_together(values, lengths, column.type).to_pylist() == rows


@given(st.integers(1, 20), st.integers(1, 8), st.booleans())
def test_pieces_give_what_all_rows_at_once_give(rows, size, exactly):
    given_rows = np.arange(rows, dtype=np.float32)
    seen = []

    def run(feeds):
        seen.append(len(feeds["x"]))
        return [feeds["x"] * 2, list(feeds["x"])]

    doubled, listed = in_pieces(run, {"x": given_rows}, rows, size, exactly=exactly)
    assert doubled.tolist() == (given_rows * 2).tolist()
    assert listed == given_rows.tolist()
    assert set(seen) == {size} if exactly else max(seen) <= size


@pytest.mark.parametrize("result", [np.float32(1), np.zeros(5), np.array(1.0), {"a": 1}])
def test_pieces_without_one_result_for_each_row_are_refused(result):
    with pytest.raises(ModelFailed, match="one result for each row"):
        in_pieces(lambda _: [result], {"x": np.zeros(9)}, 9, 4)
