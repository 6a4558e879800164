"""Models over sequences of tensors: each row gives one of them."""

from __future__ import annotations

import duckdb
import pytest
import test_udfs_shapes
from onnx import TensorProto, helper
from test_udfs_hostile import model, tensor
from test_udfs_shapes import Lists, N, inputs_of, signature_of

from scoter.errors import InvalidDefinition, InvalidModel

_closing = test_udfs_shapes._closing


def sequence(name, shape, element=TensorProto.FLOAT):
    return helper.make_value_info(
        name, helper.make_sequence_type_proto(helper.make_tensor_type_proto(element, shape))
    )


def means(shape):
    """The mean of each tensor of a sequence, which need not be of one length."""
    mean = helper.make_graph(
        [helper.make_node("ReduceMean", ["each"], ["mean"], keepdims=0)],
        "mean",
        [tensor("each", shape=shape)],
        [tensor("mean", shape=())],
    )
    nodes = [
        helper.make_node("SequenceMap", ["x"], ["means"], body=mean),
        helper.make_node("ConcatFromSequence", ["means"], ["y"], axis=0, new_axis=1),
    ]
    return model(nodes, inputs=[sequence("x", shape)], outputs=[tensor("y", shape=("n",))])


def together(shape, element):
    """The tensors of a sequence as one, a row each."""
    return model(
        [helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0, new_axis=1)],
        inputs=[sequence("x", shape, element)],
        outputs=[tensor("y", element, ("n", *(shape or ())))],
    )


def test_of_a_sequence_each_row_gives_a_tensor(tmp_path):
    sql = Lists(tmp_path)
    data = means(["length"])
    assert inputs_of(data) == [("x", "FLOAT[]")]
    assert sql.scores(data, ["range(v, v + 1 + v % 3)"]) == [v + (v % 3) / 2 for v in range(N)]
    assert inputs_of(data, ("sizes", "BIGINT[]")) == [("sizes", "BIGINT[]")]
    assert sql.scores(data, ["range(v, v + 1 + v % 3)"], [("sizes", "BIGINT[]")])[4] == 4.5
    found = sql.scores(data, ["CASE v WHEN 0 THEN NULL WHEN 1 THEN [1, NULL] ELSE [v] END"])
    assert found[:3] == [None, None, 2.0]
    square = means([2, None])
    assert inputs_of(square) == [("x", "FLOAT[][2]")]
    assert sql.scores(square, ["[[v, 0], [v, 4]]"])[5] == 3.5
    sql.run.begin()
    with pytest.raises(duckdb.Error):
        sql.scores(square, ["[[v, 0], [v, 4], [1, 2]]"])
    assert '"x" takes 2 x any values, a row has 3 x 2' in sql.run.error.message


@pytest.mark.parametrize(
    ("element", "value"),
    [
        (TensorProto.FLOAT, "v"),
        (TensorProto.INT64, "v"),
        (TensorProto.STRING, "'é' || v"),
        (TensorProto.BOOL, "v = 3"),
    ],
)
def test_sequences_of_every_kind_of_value(tmp_path, element, value):
    sql = Lists(tmp_path, 200)
    for shape, text in (((), value), ((2,), f"[{value}, {value}]"), ((1, 2), f"[[{value}, {value}]]")):
        data = together(shape, element)
        expected = sql.connection.execute(f"SELECT {text} FROM t ORDER BY n").fetchall()
        assert sql.scores(data, [text]) == [row[0] for row in expected]


def test_input_says_what_a_sequence_holds_where_the_file_does_not(tmp_path):
    data = together(None, TensorProto.FLOAT)
    with pytest.raises(
        InvalidModel, match=r"does not say how many dimensions the tensors in .* input x have"
    ) as caught:
        signature_of(data)
    assert "INPUT (x FLOAT[])" in str(caught.value.hint)
    sql = Lists(tmp_path, 20)
    assert inputs_of(data, ("x", "FLOAT[][]")) == [("x", "FLOAT[][]")]
    assert sql.scores(data, ["v"], [("values", "FLOAT")])[7] == 7.0
    assert sql.scores(data, ["[v, 1, v]"], [("x", "FLOAT[]")])[7] == [7.0, 1.0, 7.0]
    with pytest.raises(InvalidDefinition, match=r"is declared VARCHAR\[\]; the model takes FLOAT\[\] there"):
        signature_of(data, ("x", "VARCHAR[]"))


def test_a_sequence_is_no_row(tmp_path):
    """Its length is that of all rows together: a model that makes one value of it is none for a row."""
    counting = model(
        [helper.make_node("SequenceLength", ["extra"], ["y"])],
        inputs=[sequence("extra", [3])],
        outputs=[tensor("y", TensorProto.INT64, ())],
    )
    with pytest.raises(InvalidModel, match="does not have one entry for each row"):
        signature_of(counting)
    maps = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    of_maps = model(
        [helper.make_node("SequenceLength", ["x"], ["y"])],
        inputs=[helper.make_value_info("x", helper.make_sequence_type_proto(maps))],
        outputs=[tensor("y", TensorProto.INT64, ())],
    )
    with pytest.raises(InvalidModel):
        signature_of(of_maps)
