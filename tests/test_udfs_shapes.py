"""Models over lists: tensors of any rank, free lengths, fixed numbers of rows, sequences, maps."""

from __future__ import annotations

from functools import cache

import duckdb
import numpy as np
import pandas as pd
import pytest
import test_udfs_predict
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from test_udfs_hostile import model, tensor
from test_udfs_predict import Sql

from scoter.errors import InvalidDefinition, InvalidModel, InvalidValue, NotNullViolation
from scoter.settings import Models
from scoter.udfs.declared import DeclaredInput
from scoter.udfs.functions import Function, register
from scoter.udfs.inspection import inspect
from scoter.udfs.pieces import rows_at_once
from scoter.udfs.signature import Signature
from scoter.udfs.tensors import ELEMENTS

SETTINGS = Models()
_closing = test_udfs_predict._closing
N = 3000
ML = (("", 18), ("ai.onnx.ml", 3))


def constant(name, values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def identity(shape, element=TensorProto.FLOAT):
    return model(
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[tensor("x", element, shape)],
        outputs=[tensor("y", element, shape)],
    ).SerializeToString()


def signature_of(data, *declared):
    return _inspected(data if isinstance(data, bytes) else data.SerializeToString(), declared)


@cache
def _inspected(data, declared):
    return inspect(data, tuple(DeclaredInput(*each) for each in declared), SETTINGS).signature


def inputs_of(data, *declared):
    return [(each.name, each.type) for each in signature_of(data, *declared).inputs]


class Lists(Sql):
    """Rows 0 … N of a table t with the column v."""

    def __init__(self, directory, rows=N):
        super().__init__(directory, pd.DataFrame({"v": np.arange(rows)}))
        self._known = set()

    def scores(self, data, arguments, declared=(), kind="predict", depths=None):
        """Return the results for SQL arguments whose lists are as deep as ``depths`` say."""
        signature = signature_of(data, *declared)
        signature = signature if depths is None else signature.taking(depths)
        data = data if isinstance(data, bytes) else data.SerializeToString()
        function = Function(self.artifacts.put(data), signature, kind)
        if function.name not in self._known:
            register(self.connection, function, self.sessions, self.run)
            self._known.add(function.name)
        return self.values(function, arguments)


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda each: each.runtime)
def test_lists_of_every_type_go_in_and_out_nested(tmp_path, element):
    sql = Lists(tmp_path, 300)
    value = {"VARCHAR": "'t' || v", "BOOLEAN": "v % 2 = 0"}.get(element.duckdb, "v % 100")
    other = {"VARCHAR": "'é'", "BOOLEAN": "true"}.get(element.duckdb, "7")
    text = f"[[{value}, {other}, {value}], [{other}, {value}, {other}]]"
    data = identity(("n", 2, 3), element.code)
    assert inputs_of(data) == [("x", f"{element.duckdb}[3][2]")]
    expected = sql.connection.execute(f"SELECT {text}::{element.duckdb}[][] FROM t ORDER BY n").fetchall()
    assert sql.scores(data, [text]) == [row[0] for row in expected]
    flat = f"[{value}, {other}, {value}, {other}, {value}, {other}]"
    assert sql.scores(data, [flat], depths=[1]) == [row[0] for row in expected]


def test_a_matrix_takes_values_or_one_list(tmp_path):
    sql = Lists(tmp_path)
    data = identity(("n", 3))
    values = sql.scores(data, ["v", "v + 1", "v + 2"])
    assert values[5] == [5.0, 6.0, 7.0]
    assert sql.scores(data, ["[v, v + 1, v + 2]"], depths=[1]) == values
    assert sql.scores(data, ["[v, v + 1, v + 2]"], [("img", "FLOAT[3]")]) == values
    assert sql.scores(data, ["[v, v + 1, v + 2]"], [("img", "UINTEGER[]")]) == values


def test_what_the_declared_lists_must_be():
    image = identity(("n", 3, 4, 5))
    assert inputs_of(image) == [("x", "FLOAT[5][4][3]")]
    assert inputs_of(image, ("a", "DOUBLE[60]")) == [("a", "FLOAT[60]")]
    assert inputs_of(image, ("a", "UTINYINT[][][]")) == [("a", "UTINYINT[5][4][3]")]
    assert inputs_of(identity(("n", 3)), ("a", "FLOAT[]")) == [("a", "FLOAT[3]")]
    assert inputs_of(identity(("n", "m")), ("a", "FLOAT"), ("b", "FLOAT")) == [("a", "FLOAT"), ("b", "FLOAT")]
    assert inputs_of(identity(("n", "m")), ("a", "FLOAT[9]")) == [("a", "FLOAT[9]")]
    for kind in ("FLOAT[59]", "FLOAT[3][4][5]", "FLOAT", "VARCHAR[60]", "FLOAT[][]"):
        with pytest.raises(InvalidDefinition, match=r"takes FLOAT\[5\]\[4\]\[3\] there"):
            inputs_of(image, ("a", kind))
    with pytest.raises(InvalidDefinition):
        inputs_of(identity(("n", 1)), ("a", "FLOAT[1]"))


def test_lists_of_wrong_lengths_are_errors(tmp_path):
    sql = Lists(tmp_path, 10)
    for data, text, message in (
        (identity(("n", 2, 3)), "[[1, 2, 3], [4, 5]]", "lists of different lengths"),
        (identity(("n", 2, 3)), "[[1, 2], [4, 5]]", '"x" takes 2 x 3 values, a row has 2 x 2'),
        (identity(("n", 2, 3)), "CASE WHEN v = 7 THEN [] ELSE [[1, 2, 3], [4, 5, 6]] END", "a row has 0 x 0"),
        (
            identity(("n", "m")),
            "CASE WHEN v = 7 THEN [] ELSE [1] END",
            '"x" takes 1 or more values, a row has 0',
        ),
        (identity(("n", "m", 2)), "[[1, 2], [1, 2, 3]]", "lists of different lengths"),
    ):
        sql.run.begin()
        with pytest.raises(duckdb.Error):
            sql.scores(data, [text])
        assert isinstance(sql.run.error, InvalidValue)
        assert message in sql.run.error.message


def test_null_inside_a_list_and_in_place_of_one(tmp_path):
    sql = Lists(tmp_path, 6)
    text = (
        "CASE v WHEN 1 THEN NULL WHEN 2 THEN [[1, 2], NULL] WHEN 3 THEN [[1, NULL], [3, 4]] "
        "ELSE [[v, 2], [3, 4]] END"
    )
    data = identity(("n", 2, 2))
    whole = [[[float(v), 2], [3, 4]] for v in range(6)]
    assert sql.scores(data, [text]) == [whole[0], None, None, None, whole[4], whole[5]]
    assert sql.run.total.skipped == 3
    filled = sql.scores(data, [text], [("a", "FLOAT[2][2]", "-1")])
    assert filled == [whole[0], None, None, [[1, -1], [3, 4]], whole[4], whole[5]]
    filled = sql.scores(data, [text], [("a", "INTEGER[2][2]", "NAN")])
    assert np.isnan(filled[3][0][1])
    assert filled[2] is None
    sql.run.begin()
    with pytest.raises(duckdb.Error):
        sql.scores(data, [text], [("a", "FLOAT[2][2]", "ERROR")])
    assert isinstance(sql.run.error, NotNullViolation)
    assert sql.scores(data, ["NULL"], depths=[2]) == [None] * 6


def test_free_lengths_are_scored_in_groups(tmp_path):
    nodes = [
        helper.make_node("ReduceSum", ["ids", "axis"], ["total"], keepdims=0),
        helper.make_node("Add", ["ids", "mask"], ["both"]),
    ]
    shape = ("n", "length")
    data = model(
        nodes,
        inputs=[tensor("ids", TensorProto.INT64, shape), tensor("mask", TensorProto.INT64, shape)],
        outputs=[tensor("total", TensorProto.INT64, ("n",)), tensor("both", TensorProto.INT64, shape)],
        initializer=[constant("axis", [1])],
    )
    assert inputs_of(data) == [("ids", "BIGINT[]"), ("mask", "BIGINT[]")]
    sql = Lists(tmp_path)
    ids = "CASE WHEN v % 10 = 3 THEN NULL ELSE range(v, v + 1 + v % 7) END"
    found = sql.scores(data, [ids, "range(1 + v % 7)"], kind="all")
    for v, each in enumerate(found):
        if v % 10 == 3:
            assert each is None
            continue
        own = list(range(v, v + 1 + v % 7))
        assert each == {"total": sum(own), "both": [a + b for a, b in zip(own, range(7), strict=False)]}
    with pytest.raises(duckdb.Error):
        sql.scores(data, ["range(1 + v % 7)", "range(1 + v % 5)"])
    assert isinstance(sql.run.error, InvalidValue)
    assert 'have one length in the model, "length"' in sql.run.error.message


def test_a_length_that_the_weights_fix_is_found():
    net = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        inputs=[tensor("x", shape=("n", None))],
        outputs=[tensor("y", shape=("n", None))],
        initializer=[constant("w", np.ones((13, 2)), np.float32)],
    )
    assert len(inputs_of(net)) == 13
    assert inputs_of(net, ("row", "FLOAT[]")) == [("row", "FLOAT[13]")]
    with pytest.raises(InvalidModel):
        inputs_of(net, ("row", "FLOAT[12]"))


def fixed(rows, target):
    """A sum of two columns that is exported for so many rows, by way of a reshape to ``target``."""
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["same"]),
        helper.make_node("ReduceSum", ["same", "axis"], ["sum"], keepdims=1),
    ]
    return model(
        nodes,
        inputs=[tensor("x", shape=(rows, 2))],
        outputs=[tensor("sum", shape=(rows, 1))],
        initializer=[constant("shape", target), constant("axis", [1])],
    )


@pytest.mark.parametrize("rows", [1, 4, 8])
def test_a_fixed_number_of_rows_is_kept_where_the_model_needs_it(tmp_path, rows):
    sql = Lists(tmp_path)
    expected = [v + 1.0 for v in range(N)]
    for target, batch in (([-1, 2], None), ([rows, 2], rows)):
        data = fixed(rows, target)
        assert signature_of(data).batch == batch
        assert sql.scores(data, ["v", "1"]) == expected
        assert sql.scores(data, ["[v, 1]"], depths=[1]) == expected
        some = sql.scores(data, ["CASE WHEN v % 3 = 0 THEN NULL ELSE v END", "1"])
        assert some == [None if v % 3 == 0 else each for v, each in enumerate(expected)]


def test_what_a_model_gives_for_its_own_number_of_rows_counts(tmp_path):
    """This one gives x for four rows, and 2 * x for any other number."""
    nodes = [
        helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
        helper.make_node("Equal", ["rows", "four"], ["is_four"]),
        helper.make_node("Add", ["x", "x"], ["twice"]),
        helper.make_node("Where", ["is_four", "x", "twice"], ["y"]),
    ]
    four = model(
        nodes,
        inputs=[tensor("x", shape=(4, 1))],
        outputs=[tensor("y", shape=(4, 1))],
        initializer=[constant("four", [4])],
    )
    assert signature_of(four).batch == 4
    assert Lists(tmp_path, 30).scores(four, ["v"]) == list(range(30))


def test_rows_that_are_scored_with_their_neighbours_are_refused_in_fixed_batches_too():
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["same"]),
        helper.make_node("ReduceMean", ["same", "axis"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["same", "mean"], ["y"]),
    ]
    mixing = model(
        nodes,
        inputs=[tensor("x", shape=(4, 2))],
        outputs=[tensor("y", shape=(4, 2))],
        initializer=[constant("shape", [4, 2]), constant("axis", [0])],
    )
    with pytest.raises(InvalidModel, match="depends on"):
        signature_of(mixing)
    two = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        inputs=[tensor("x", shape=(4, 2)), tensor("w", shape=(2, 3))],
        outputs=[tensor("y", shape=(4, 3))],
    )
    with pytest.raises(InvalidModel, match="different numbers of rows at a time: 2, 4"):
        signature_of(two)


def test_sequences_have_an_entry_for_each_row(tmp_path):
    sql = Lists(tmp_path)
    for keep, shape, expected in ((0, ("n", 3), [5.0, 5, 5]), (1, ("n", 3), [[5.0, 5, 5]])):
        values = helper.make_value_info(
            "y", helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
        )
        split = model(
            [helper.make_node("SplitToSequence", ["x"], ["y"], axis=0, keepdims=keep)],
            inputs=[tensor("x", shape=shape)],
            outputs=[values],
        )
        assert sql.scores(split, ["v", "v", "v"])[5] == expected


def test_maps_that_no_zipmap_at_the_end_makes(tmp_path):
    maps = helper.make_value_info(
        "y",
        helper.make_sequence_type_proto(
            helper.make_map_type_proto(
                TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
            )
        ),
    )
    zipmap = helper.make_node("ZipMap", ["a"], ["b"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"])
    opsets = [helper.make_opsetid(*each) for each in ML]
    local = helper.make_function("own", "f", ["a"], ["b"], [zipmap], opsets)
    inside = model(
        [helper.make_node("f", ["x"], ["y"], domain="own")],
        inputs=[tensor("x", shape=("n", 2))],
        outputs=[maps],
        functions=[local],
        opsets=(*ML, ("own", 1)),
    )
    sql = Lists(tmp_path)
    assert signature_of(inside).predict_type() == "MAP(VARCHAR, FLOAT)"
    assert sql.scores(inside, ["v", "-v"])[7] == {"no": 7.0, "yes": -7.0}


def test_a_map_goes_in_row_by_row(tmp_path):
    kind = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    words = model(
        [helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])],
        inputs=[helper.make_value_info("x", kind)],
        outputs=[tensor("y", shape=("n", 2))],
        opsets=ML,
    )
    assert inputs_of(words) == [("x", "MAP(VARCHAR, FLOAT)")]
    assert inputs_of(words, ("w", "MAP(TEXT, REAL)")) == [("w", "MAP(VARCHAR, FLOAT)")]
    sql = Lists(tmp_path, 50)
    text = (
        "CASE v WHEN 4 THEN NULL WHEN 5 THEN MAP {'b': NULL::FLOAT} "
        "ELSE MAP {'b': v::FLOAT, 'z': 9::FLOAT} END"
    )
    found = sql.scores(words, [text])
    assert found == [None if v in (4, 5) else [0.0, v] for v in range(50)]


@pytest.mark.parametrize("value", [TensorProto.INT64, TensorProto.DOUBLE])
def test_maps_that_the_runtime_takes_no_python_values_for_are_refused_by_name(value):
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(value, []))
    words = model(
        [helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])],
        inputs=[helper.make_value_info("x", kind)],
        outputs=[tensor("y", value, shape=("n", 2))],
        opsets=ML,
    )
    with pytest.raises(
        InvalidModel, match=r"the model's input x is of the type map\(string,tensor\("
    ) as caught:
        signature_of(words)
    assert "texts or integers to 32-bit floats" in str(caught.value.hint)


def adding(shape):
    """The input x, and extra added to it where there is one."""
    extra = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, shape))
    branches = {
        "then_branch": [
            helper.make_node("OptionalGetElement", ["extra"], ["value"]),
            helper.make_node("Add", ["x", "value"], ["out"]),
        ],
        "else_branch": [helper.make_node("Identity", ["x"], ["out"])],
    }
    graphs = {
        name: helper.make_graph(nodes, name, [], [tensor("out", shape=shape)])
        for name, nodes in branches.items()
    }
    nodes = [
        helper.make_node("OptionalHasElement", ["extra"], ["there"]),
        helper.make_node("If", ["there"], ["y"], **graphs),
    ]
    return model(
        nodes,
        inputs=[tensor("x", shape=shape), helper.make_value_info("extra", extra)],
        outputs=[tensor("y", shape=shape)],
    )


def test_an_optional_input_is_left_out_for_rows_where_it_is_null(tmp_path):
    sql = Lists(tmp_path)
    found = sql.scores(adding(("n", 1)), ["v", "CASE WHEN v % 3 = 0 THEN 100 END"])
    assert found == [v + 100.0 if v % 3 == 0 else v for v in range(N)]
    assert sql.run.total.skipped == 0
    lists = adding(("n", "length"))
    extra = "CASE WHEN v % 3 = 0 THEN range(1 + v % 2) END"
    found = sql.scores(lists, ["list_value(v, v)[1 : 1 + v % 2]", extra])
    plain = [[float(v)] * (1 + v % 2) for v in range(N)]
    assert found == [
        [a + b for a, b in zip(each, (0, 1), strict=False)] if v % 3 == 0 else each
        for v, each in enumerate(plain)
    ]
    found = sql.scores(lists, ["[v]", "CASE v WHEN 1 THEN [NULL] WHEN 2 THEN [1] END"])
    assert found[:4] == [[0.0], None, [3.0], [3.0]]


def test_an_input_with_a_value_of_its_own_needs_no_argument(tmp_path):
    scaled = model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        inputs=[tensor("x"), tensor("factor", shape=(1,))],
        outputs=[tensor("y")],
        initializer=[constant("factor", [3], np.float32)],
    )
    assert inputs_of(scaled) == [("x", "FLOAT")]
    assert Lists(tmp_path).scores(scaled, ["v"])[5] == 15


def digits_net():
    """A convolution, a rectifier, a pool and a matrix over 8 x 8 images: class scores and their softmax."""
    random = np.random.default_rng(5)
    nodes = [
        helper.make_node("Unsqueeze", ["image", "channel"], ["x"]),
        helper.make_node("Conv", ["x", "kernel"], ["seen"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["seen"], ["positive"]),
        helper.make_node("MaxPool", ["positive"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    return model(
        nodes,
        inputs=[tensor("image", shape=("n", 8, 8))],
        outputs=[
            tensor("digit", TensorProto.INT64, ("n",)),
            tensor("probabilities", shape=("n", 10)),
            tensor("pooled", shape=("n", 4, 4, 4)),
        ],
        initializer=[
            constant("channel", [1]),
            constant("kernel", random.normal(size=(4, 1, 3, 3)), np.float32),
            constant("w", random.normal(size=(64, 10)) / 64, np.float32),
        ],
    )


def test_a_convolution_over_the_digits_agrees_with_the_reference(tmp_path):
    net = digits_net()
    images = load_digits().images.astype(np.float32)[:400]
    digit, probabilities, pooled = ReferenceEvaluator(net).run(None, {"image": images})
    sql = Lists(tmp_path, len(images))
    sql.connection.register(
        "given_images", pd.DataFrame({"pixels": [each.ravel().tolist() for each in images]})
    )
    sql.connection.execute(
        "CREATE OR REPLACE TABLE t AS SELECT row_number() OVER () AS n, pixels::FLOAT[64] AS flat, "
        "[pixels[8 * i + 1 : 8 * i + 8] FOR i IN range(8)]::FLOAT[8][8] AS image FROM given_images"
    )
    found = sql.scores(net, ["image"], kind="all")
    assert [each["digit"] for each in found] == digit.tolist()
    np.testing.assert_allclose([each["pooled"] for each in found], pooled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        [list(each["probabilities"].values()) for each in found], probabilities, rtol=1e-4, atol=1e-5
    )
    assert sql.scores(net, ["flat"], depths=[1]) == digit.tolist()


@pytest.mark.parametrize("shape", [(16,), (2, 8)], ids=["columns", "lists"])
@pytest.mark.parametrize("convolves", [True, False])
def test_a_model_with_a_convolution_gets_fewer_rows_at_a_time(tmp_path, shape, convolves):
    kernel = np.array([[[0.0, 1.0, 2.0]]], np.float32)
    step = (
        helper.make_node("Conv", ["series", "kernel"], ["seen"], pads=[1, 1])
        if convolves
        else helper.make_node("Identity", ["series"], ["seen"])
    )
    net = model(
        [
            helper.make_node("Reshape", ["x", "one"], ["series"]),
            step,
            helper.make_node("ReduceSum", ["seen", "axes"], ["y"], keepdims=0),
        ],
        inputs=[tensor("x", shape=("n", *shape))],
        outputs=[tensor("y", shape=("n",))],
        initializer=[
            constant("one", [-1, 1, 16]),
            constant("kernel", kernel, np.float32),
            constant("axes", [1, 2]),
        ],
    )
    sql = Lists(tmp_path, 1100)
    values = [f"v + {i}" for i in range(16)]
    given = values if shape == (16,) else [f"[[{', '.join(values[:8])}], [{', '.join(values[8:])}]]"]
    # What a kernel of 0, 1, 2 adds up is thrice each value but the first, which is read once.
    sums = [3 * sum(v + i for i in range(16)) - 2 * v for v in range(1100)]
    plain = [sum(v + i for i in range(16)) for v in range(1100)]
    assert sql.scores(net, given) == (sums if convolves else plain)
    assert sql.run.total.batches == (5 if convolves else 1)


def test_names_that_read_alike_are_told_apart_or_refused():
    names = ("Feature 1", "Feature_1")
    pair = model(
        [helper.make_node("Add", list(names), ["y"])],
        inputs=[tensor(name) for name in names],
        outputs=[tensor("y")],
    )
    exact = signature_of(pair, ("Feature_1", "FLOAT"), ("Feature 1", "FLOAT"))
    assert [each.tensor for each in exact.inputs] == ["Feature_1", "Feature 1"]
    with pytest.raises(InvalidDefinition, match='"Feature 1" and "Feature_1"'):
        signature_of(pair, ("feature-1", "FLOAT"), ("Feature 1", "FLOAT"))


def test_signatures_of_the_first_format_are_read():
    text = (
        '{"format":1,"inputs":[{"name":"a","on_null":"NULL","position":null,"tensor":"a","type":"FLOAT"}],'
        '"labels":[],"named":true,"outputs":[{"name":"y","role":"value","type":"FLOAT"}]}'
    )
    found = Signature.from_json(text)
    assert (found.batch, found.inputs[0].shape, found.inputs[0].argument) == (None, (), "FLOAT")
    image = signature_of(identity(("n", 3, 4)))
    assert Signature.from_json(image.to_json()) == image


def test_lists_are_bounded(tmp_path):
    with pytest.raises(InvalidModel, match="more than 4,194,304 values"):
        signature_of(identity(("n", 3, 2000, 2000)))
    assert rows_at_once([(3, 224, 224)]) == 6
    assert rows_at_once([(1, 8, 8)], convolves=True) == 256
    assert rows_at_once([(3, 224, 224)], convolves=True) == 6
    assert rows_at_once([], convolves=True) == 256
    assert rows_at_once([(64,)]) == 16_384
    assert rows_at_once([]) is None
    sql = Lists(tmp_path, 1)
    with pytest.raises(duckdb.Error):
        sql.scores(identity(("n", "m")), ["range(5000000)"])
    assert isinstance(sql.run.error, InvalidValue)
