"""Texts that become places in a list give what ONNX Runtime gives for the texts themselves."""

from __future__ import annotations

import duckdb
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import test_udfs_predict
from onnx import TensorProto, helper
from onnx.onnx_ml_pb2 import ModelProto
from test_udfs_hostile import model, tensor
from test_udfs_predict import Sql

from scoter.udfs.preparation import prepare
from scoter.udfs.texts import encode

_closing = test_udfs_predict._closing
ML = "ai.onnx.ml"
WORDS = ["red", "green", "blue", "", " red", "Red", "grün", "🦆", "unseen", "x" * 300]
MANY = [f"word {n}" for n in range(5000)]


def one_hot(given, made, *texts, zeros=1):
    return helper.make_node(
        "OneHotEncoder", [given], [made], domain=ML, cats_strings=list(texts), zeros=zeros
    )


def labels(given, made, texts, **rest):
    return helper.make_node("LabelEncoder", [given], [made], domain=ML, keys_strings=list(texts), **rest)


def looked_up(*nodes, rank=("n", 1), made=TensorProto.FLOAT, shape=("n", "k")):
    return model(
        list(nodes), inputs=[tensor("x", TensorProto.STRING, rank)], outputs=[tensor("y", made, shape)]
    )


MODELS = {
    "one-hot": looked_up(one_hot("x", "y", "red", "grün", "", "🦆"), shape=("n", 1, 4)),
    "listed twice": looked_up(one_hot("x", "y", "red", "blue", "red"), shape=("n", 1, 3)),
    "two lists": looked_up(
        one_hot("x", "a", "red", "green"),
        one_hot("x", "b", "green", "blue", "red"),
        helper.make_node("Concat", ["a", "b"], ["y"], axis=2),
        shape=("n", 1, 5),
    ),
    "numbers": looked_up(
        labels("x", "y", ["blue", "red", "Red"], values_floats=[0.5, -1.5, 2.5], default_float=9.0),
        shape=("n", 1),
    ),
    "texts": looked_up(
        labels("x", "y", ["blue", "red"], values_strings=["🔵", "🔴"], default_string="?"),
        made=TensorProto.STRING,
        shape=("n", 1),
    ),
    "many": looked_up(
        labels("x", "y", MANY, values_int64s=list(range(5000)), default_int64=-7),
        made=TensorProto.INT64,
        shape=("n", 1),
    ),
    "flat": looked_up(
        labels("x", "y", ["red"], values_int64s=[5], default_int64=-7),
        rank=("n",),
        made=TensorProto.INT64,
        shape=("n",),
    ),
}


def copied(one: ModelProto) -> ModelProto:
    made = ModelProto()
    made.CopyFrom(one)
    return made


@pytest.mark.parametrize(
    "words", [WORDS * 60, WORDS, MANY + WORDS, ["word 7"]], ids=["all", "few", "many", "one"]
)
@pytest.mark.parametrize("name", MODELS)
def test_results_are_those_of_the_texts(tmp_path, name, words):
    one = MODELS[name]
    assert list(encode(prepare(copied(one)))) == ["x"]
    sql = Sql(tmp_path, pd.DataFrame({"v": words}))
    given = np.array(words, dtype=object)
    if name != "flat":
        given = given.reshape(-1, 1)
    (expected,) = onnxruntime.InferenceSession(one.SerializeToString()).run(None, {"x": given})
    found = sql.values(sql.function(one.SerializeToString()), ["v"])
    assert len(found) == len(words)
    expected = expected.reshape(len(words), -1) if expected.ndim > 2 else expected.ravel()
    np.testing.assert_array_equal(
        np.array([np.ravel(each) for each in found]).reshape(expected.shape), expected
    )


def test_a_text_that_is_used_otherwise_stays_a_text():
    lookup = one_hot("x", "a", "red")
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["kept"])],
        "inner",
        [],
        [tensor("kept", TensorProto.STRING, ("n", 1))],
    )
    choose = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
    others = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("StringNormalizer", ["x"], ["y"]),
        choose,
        helper.make_node("LabelEncoder", ["x"], ["y"], domain=ML, classes_strings=["red"]),
    ]
    for other in others:
        one = looked_up(lookup, other)
        before = copied(one)
        assert encode(one) == {}
        assert one == before
    unused = looked_up(helper.make_node("Constant", [], ["y"], value_float=1.0))
    assert encode(unused) == {}


def test_a_text_that_is_not_utf_8_keeps_its_list(tmp_path):
    one = looked_up(one_hot("x", "y", "red"))
    one.graph.node[0].attribute[0].strings[0] = b"\xff"
    assert encode(one) == {}


def test_an_unseen_text_is_an_error_where_the_model_says_so(tmp_path):
    sql = Sql(tmp_path, pd.DataFrame({"v": ["red", "green"]}))
    with pytest.raises(duckdb.InvalidInputException, match="Unknown Category"):
        sql.values(sql.function(looked_up(one_hot("x", "y", "red", zeros=0)).SerializeToString()), ["v"])
