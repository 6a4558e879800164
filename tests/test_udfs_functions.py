"""Model calls inside DuckDB: types, NULLs, errors, cancellation, labels."""

from __future__ import annotations

import threading
import time

import duckdb
import models_zoo as zoo
import numpy as np
import onnx
import pandas as pd
import pytest
import test_udfs_predict
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from test_udfs_hostile import model, tensor
from test_udfs_predict import Sql

from scoter.errors import (
    Cancelled,
    CorruptData,
    InvalidDefinition,
    InvalidModel,
    ModelFailed,
    NotNullViolation,
    NotSupported,
    NumericOutOfRange,
    WrongArguments,
)
from scoter.settings import Models
from scoter.udfs.artifacts import Artifacts
from scoter.udfs.declared import DeclaredInput
from scoter.udfs.functions import Function
from scoter.udfs.inspection import inspect
from scoter.udfs.sessions import Sessions
from scoter.udfs.signature import Signature
from scoter.udfs.tensors import ELEMENTS

SETTINGS = Models()
_closing = test_udfs_predict._closing
N = 5000


def identity(element, shape=("n", 1)):
    return model(
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[tensor("x", element, shape)],
        outputs=[tensor("y", element, shape)],
    ).SerializeToString()


def frame(**columns):
    return pd.DataFrame(columns or {"v": np.arange(N)})


@pytest.mark.parametrize("shape", [("n", 1), ("n",)])
@pytest.mark.parametrize("element", ELEMENTS, ids=lambda each: each.runtime)
def test_every_element_type_goes_in_and_out(tmp_path, element, shape):
    sql = Sql(tmp_path, frame())
    function = sql.function(identity(element.code, shape))
    assert function.argument_type == f"STRUCT(i0 {element.duckdb})"
    assert function.return_type == element.duckdb
    found = sql.values(function, ["v % 100 % 2 = 1" if element.duckdb == "BOOLEAN" else "v % 100"])
    expected = sql.connection.execute(
        f"SELECT CAST({'v % 100 % 2 = 1' if element.duckdb == 'BOOLEAN' else 'v % 100'} AS {element.duckdb}) "
        "FROM t ORDER BY n"
    ).fetchall()
    assert found == [row[0] for row in expected]


@pytest.mark.parametrize("element", ["float", "double", "int64", "string", "bool"])
def test_wide_tensors_keep_the_order_of_their_columns(tmp_path, element):
    kind = next(each for each in ELEMENTS if each.runtime == element)
    sql = Sql(tmp_path, frame())
    function = sql.function(identity(kind.code, ("n", 3)))
    assert function.return_type == f"{kind.duckdb}[]"
    columns = ["v % 2 = 0", "v % 3 = 0", "v % 5 = 0"] if element == "bool" else ["v", "v + 1", "v + 2"]
    expected = sql.connection.execute(
        f"SELECT [{', '.join(f'CAST({each} AS {kind.duckdb})' for each in columns)}] FROM t ORDER BY n"
    ).fetchall()
    assert sql.values(function, columns) == [row[0] for row in expected]


def test_blocks_and_columns_mix(tmp_path):
    nodes = [
        helper.make_node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["block", "kf"], ["y"], axis=1),
    ]
    mixed = model(
        nodes,
        inputs=[tensor("block", shape=("n", 2)), tensor("k", TensorProto.INT64)],
        outputs=[tensor("y", shape=("n", 3))],
    )
    sql = Sql(tmp_path, frame())
    function = sql.function(mixed.SerializeToString())
    assert not function.signature.named
    assert sql.values(function, ["v", "-v", "2 * v"])[7] == [7.0, -7.0, 14.0]


def test_a_null_touches_its_own_row_only(tmp_path):
    exported = zoo.regressor("tree_regressor")
    rows = exported.rows
    sql = Sql(tmp_path, rows)
    function = sql.function(exported.data)
    plain = sql.values(function, rows.columns)
    sql.run.begin()
    some = [
        "CASE WHEN n % 7 = 0 THEN NULL ELSE c0 END",
        "c1",
        "c2",
        "CASE WHEN n % 5 = 0 THEN NULL ELSE c3 END",
        "c4",
    ]
    found = sql.values(function, some)
    assert found == [None if n % 7 == 0 or n % 5 == 0 else each for n, each in enumerate(plain, start=1)]
    assert sql.run.total.skipped == sum(each is None for each in found)
    assert sql.values(function, ["NULL"] * 5) == [None] * len(rows)
    whole = f"SELECT {function.name}(NULL) FROM t LIMIT 3"
    assert sql.connection.execute(whole).fetchall() == [(None,)] * 3


def test_nulls_in_every_kind_of_result(tmp_path):
    exported = zoo.classifier("logistic")
    sql = Sql(tmp_path, exported.rows)
    columns = ["CASE WHEN n % 2 = 0 THEN NULL ELSE c0 END", "c1", "c2", "c3", "c4"]
    for kind, label in (("predict", None), ("proba", None), ("proba_class", "yes")):
        found = sql.values(sql.function(exported.data, kind, label), columns)
        assert [each is None for each in found[:4]] == [False, True, False, True]
    wide = sql.function(identity(TensorProto.FLOAT, ("n", 3)))
    assert sql.values(wide, columns[:3])[1] is None


def test_nan_is_a_value(tmp_path):
    exported = zoo.regressor("boosting_regressor")
    rows = exported.rows.copy()
    rows.loc[::3, "c1"] = np.float32("nan")
    sql = Sql(tmp_path, rows)
    sql.connection.execute("CREATE TABLE u AS SELECT n, c0, 'nan'::FLOAT AS c1, c2, c3, c4 FROM t")
    function = sql.function(exported.data)
    found = sql.values(function, rows.columns, "u")
    expected = exported.estimator.predict(rows.assign(c1=np.nan).to_numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert sql.run.total.skipped == 0


def test_null_policies(tmp_path):
    sql = Sql(tmp_path, frame())
    null = ["CASE WHEN v = 3 THEN NULL ELSE v END"]

    def values(element, kind, on_null):
        declared = (DeclaredInput("a", kind, on_null),)
        return sql.values(sql.function(identity(element), declared=declared), null)

    assert np.isnan(values(TensorProto.FLOAT, "FLOAT", "NAN")[3])
    assert np.isnan(values(TensorProto.FLOAT, "INTEGER", "nan")[3])
    assert values(TensorProto.FLOAT, "INTEGER", "-8")[2:4] == [2.0, -8.0]
    assert values(TensorProto.DOUBLE, "DECIMAL(9, 2)", "0.5")[3] == 0.5
    assert values(TensorProto.INT64, "BIGINT", "42")[3] == 42
    assert values(TensorProto.STRING, "VARCHAR", "none")[3] == "none"
    assert values(TensorProto.BOOL, "BOOLEAN", "true")[3] is True
    assert values(TensorProto.FLOAT, "FLOAT", "null")[3] is None
    with pytest.raises(duckdb.Error):
        values(TensorProto.FLOAT, "FLOAT", "ERROR")
    assert isinstance(sql.run.error, NotNullViolation)
    assert '"a" is NULL' in sql.run.error.message


@pytest.mark.parametrize(
    ("element", "declared"),
    [
        (TensorProto.INT64, DeclaredInput("a", "BIGINT", "NAN")),
        (TensorProto.INT64, DeclaredInput("a", "BIGINT", "x")),
        (TensorProto.INT64, DeclaredInput("a", "TINYINT", "300")),
        (TensorProto.INT64, DeclaredInput("a", "DOUBLE")),
        (TensorProto.FLOAT, DeclaredInput("a", "VARCHAR")),
        (TensorProto.STRING, DeclaredInput("a", "INTEGER")),
        (TensorProto.FLOAT, DeclaredInput("a", "DATE")),
        (TensorProto.BOOL, DeclaredInput("a", "BOOLEAN", "7")),
    ],
)
def test_declarations_that_do_not_fit_are_refused(element, declared):
    with pytest.raises(InvalidDefinition):
        inspect(identity(element), (declared,), SETTINGS)


def test_names_bind_whatever_the_order_and_the_spelling():
    data = zoo.pipeline().data
    wrong = tuple(DeclaredInput(name, "VARCHAR") for name in ("age", "city", "incme", "plan"))
    with pytest.raises(InvalidDefinition, match='did you mean "income"'):
        inspect(data, wrong, SETTINGS)
    with pytest.raises(InvalidDefinition, match="gives 3 inputs, the model takes 4"):
        inspect(data, wrong[:3], SETTINGS)
    with pytest.raises(InvalidDefinition, match="twice"):
        inspect(data, (wrong[0], wrong[0], wrong[1], wrong[3]), SETTINGS)
    unnamed = tuple(DeclaredInput(f"f {place}", "DOUBLE") for place in range(zoo.FEATURES))
    signature = inspect(zoo.regressor("linear_regression").data, unnamed, SETTINGS).signature
    assert signature.named
    assert [(each.name, each.type, each.position) for each in signature.inputs][1] == ("f 1", "FLOAT", 1)


def test_numbers_that_a_tensor_can_not_hold_are_errors(tmp_path):
    sql = Sql(tmp_path, frame())
    for element, kind, value in (
        (TensorProto.INT32, "BIGINT", 2**40),
        (TensorProto.FLOAT, "BIGINT", 2**24 + 1),
    ):
        sql.run.begin()
        function = sql.function(identity(element), declared=(DeclaredInput("a", kind),))
        assert sql.values(function, ["v"])[5] == 5
        with pytest.raises(duckdb.Error):
            sql.values(function, [str(value)])
        assert isinstance(sql.run.error, NumericOutOfRange)
        if element == TensorProto.FLOAT:
            sql.run.begin()
            assert sql.values(function, ["33554432 + 4 * v"])[1] == 33554436


def test_a_number_beyond_float16_is_an_error(tmp_path):
    sql = Sql(tmp_path, frame())
    function = sql.function(identity(TensorProto.FLOAT16))
    assert sql.values(function, ["v + 60000"])[100] == 60096
    assert sql.values(function, ["'inf'::FLOAT"])[0] == float("inf")
    with pytest.raises(duckdb.Error):
        sql.values(function, ["70000"])
    assert isinstance(sql.run.error, NumericOutOfRange)


def test_the_signature_survives_json():
    for data in (zoo.pipeline().data, zoo.classifier("forest", "two_ints").data, identity(1, ("n", 3))):
        signature = inspect(data, (), SETTINGS).signature
        assert Signature.from_json(signature.to_json()) == signature
    for text in ("", "{}", '{"format": 99}', "[]"):
        with pytest.raises(CorruptData):
            Signature.from_json(text)


def test_names_of_functions_tell_calls_apart():
    data = zoo.classifier("logistic").data
    first = inspect(data, (), SETTINGS).signature
    second = inspect(data, tuple(DeclaredInput(f"c{i}", "INTEGER") for i in range(5)), SETTINGS).signature
    functions = [
        Function("a" * 64, first),
        Function("b" * 64, first),
        Function("a" * 64, second),
        Function("a" * 64, first, "proba"),
        Function("a" * 64, first, "proba_class", "no"),
        Function("a" * 64, first, "proba_class", "yes"),
    ]
    assert len({each.name for each in functions}) == len(functions)
    assert functions[0].name == Function("a" * 64, first).name


def test_models_without_probabilities_say_so(tmp_path):
    sql = Sql(tmp_path, frame())
    with pytest.raises(NotSupported, match="no class probabilities"):
        sql.function(zoo.regressor("linear_regression").data, "proba")
    with pytest.raises(WrongArguments, match="its classes are no, yes"):
        sql.function(zoo.classifier("logistic").data, "proba_class", "maybe")


def test_what_a_call_raises_reaches_the_run(tmp_path):
    exported = zoo.pipeline(unknown="error")
    rows = exported.rows.head(10)
    sql = Sql(tmp_path, rows)
    function = sql.function(exported.data)
    with pytest.raises(duckdb.Error):
        sql.values(function, ["age", "'Nowhere'", "income", "plan"])
    assert isinstance(sql.run.error, ModelFailed)
    assert "/" not in sql.run.error.message
    sql.run.begin()
    assert sql.run.error is None
    assert sql.values(function, rows.columns) == exported.estimator.predict(rows).tolist()


def test_a_changed_file_is_never_run(tmp_path):
    exported = zoo.regressor("linear_regression")
    sql = Sql(tmp_path, exported.rows)
    function = sql.function(exported.data)
    path = next(tmp_path.glob("models/*/*.onnx"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(duckdb.Error):
        sql.values(function, exported.rows.columns)
    assert isinstance(sql.run.error, CorruptData)
    with pytest.raises(CorruptData):
        sql.artifacts.get("../" * 20 + "etc/passwd")
    assert sql.artifacts.put(exported.data) == function.sha256
    assert sql.artifacts.get(function.sha256) == exported.data


def slow_model():
    """A model that takes as many turns as its greatest input says: few in the dry run."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep_in"], ["keep_out"]),
            helper.make_node("Add", ["value_in", "one"], ["value_out"]),
        ],
        "body",
        [tensor("turn", TensorProto.INT64, ()), tensor("keep_in", TensorProto.BOOL, ()), tensor("value_in")],
        [tensor("keep_out", TensorProto.BOOL, ()), tensor("value_out")],
        initializer=[numpy_helper.from_array(np.array([0], np.float32), "one")],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body),
    ]
    return model(nodes).SerializeToString()


def test_cancel_ends_a_running_call(tmp_path):
    sql = Sql(tmp_path, frame(v=np.array([1e9])))
    function = sql.function(slow_model())
    errors = []

    def score():
        try:
            sql.values(function, ["v"])
        except duckdb.Error as error:
            errors.append(error)

    thread = threading.Thread(target=score)
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    started = time.monotonic()
    sql.run.cancel()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert time.monotonic() - started < 5
    assert errors
    assert isinstance(sql.run.error, Cancelled)
    with pytest.raises(duckdb.Error):
        sql.values(function, ["1"])
    sql.run.begin()
    assert sql.values(function, ["1"]) == [1.0]


def test_planning_never_runs_a_volatile_function(tmp_path):
    sql = Sql(tmp_path, frame())
    function = sql.function(identity(TensorProto.FLOAT), volatile=True)
    call = f"{function.name}_v({{'i0': 1::FLOAT}})"
    sql.connection.execute(f"EXPLAIN SELECT {call}")
    sql.connection.execute(f"PREPARE p AS SELECT {call}")
    sql.connection.sql(f"SELECT {call}").limit(0)
    assert sql.run.total.rows == 0
    assert sql.connection.execute(f"SELECT {call}").fetchone() == (1.0,)


def test_sessions_are_kept_by_bytes_and_loaded_once(tmp_path):
    artifacts = Artifacts(tmp_path)
    files = [zoo.classifier(name).data for name in ("forest", "boosting", "logistic")]
    shas = [artifacts.put(data) for data in files]
    sessions = Sessions(artifacts, len(files[0]) + len(files[1]))
    found = []
    threads = [threading.Thread(target=lambda: found.append(sessions.get(shas[0]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(each) for each in found}) == 1
    sessions.get(shas[1])
    assert sessions.get(shas[0]) is found[0]
    second = sessions.get(shas[1])
    sessions.get(shas[2])
    assert sessions.get(shas[1]) is second
    assert sessions.get(shas[0]) is not found[0]
    sessions.forget(shas[0])


def test_sessions_are_counted_right_where_threads_load_more_than_there_is_room_for(tmp_path):
    artifacts = Artifacts(tmp_path)
    files = [zoo.classifier(name).data for name in ("logistic", "forest", "boosting")]
    shas = [artifacts.put(data) for data in files]
    sessions = Sessions(artifacts, sum(map(len, files)) - 1)

    def ask(first):
        for turn in range(150):
            sessions.get(shas[(first + turn * (first + 1)) % 3])

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [sessions.get(sha) for sha in shas[:2]]
    for _ in range(3):
        assert [sessions.get(sha) for sha in shas[:2]] == kept
        assert all(sessions.get(sha) is each for sha, each in zip(shas[:2], kept, strict=True))


def two_sums(weights, transform, labels):
    """A binary stump that holds a weight for either class in each leaf: x <= 0 left, else right."""
    named = {"classlabels_strings": labels} if isinstance(labels[0], str) else {"classlabels_int64s": labels}
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0],
        class_treeids=[0, 0, 0, 0],
        class_nodeids=[1, 1, 2, 2],
        class_ids=[0, 1, 0, 1],
        class_weights=weights,
        post_transform=transform,
        **named,
    )
    kind = TensorProto.STRING if isinstance(labels[0], str) else TensorProto.INT64
    return model(
        [node],
        inputs=[tensor("x", shape=("n", 1))],
        outputs=[tensor("label", kind, ("n",)), tensor("scores", shape=("n", 2))],
        opsets=(("ai.onnx.ml", 3),),
    )


@pytest.mark.parametrize("labels", [[10, 20], ["no", "yes"]])
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
@pytest.mark.parametrize(
    "weights",
    [[0.75, 0.25, 0.125, 0.875], [3.0, 1.0, -1.0, 2.0], [-1.0, -3.0, -2.0, -1.0], [40.0, 41.0, 41.0, 40.0]],
)
def test_labels_of_binary_ensembles_with_two_sums(tmp_path, weights, transform, labels):
    proto = two_sums(weights, transform, labels)
    values = np.array([[-1.0], [1.0], [-2.0]], np.float32)
    left, right = labels[int(weights[1] > weights[0])], labels[int(weights[3] > weights[2])]
    reference, scores = ReferenceEvaluator(proto).run(None, {"x": values})
    if (transform, weights[0]) != ("LOGISTIC", 40.0):  # there both scores round to 1 and tie
        assert reference.tolist() == [left, right, left]
    sql = Sql(tmp_path, frame(v=values[:, 0]))
    function = sql.function(proto.SerializeToString())
    assert sql.values(function, ["v"]) == [left, right, left]
    if transform == "SOFTMAX":
        maps = sql.values(sql.function(proto.SerializeToString(), "proba"), ["v"])
        np.testing.assert_allclose([list(each.values()) for each in maps], scores, rtol=1e-6)
        assert list(maps[0]) == labels


def test_labels_that_can_not_be_repaired_are_refused():
    with pytest.raises(InvalidModel, match="SOFTMAX_ZERO"):
        inspect(two_sums([1, 0, 0, 1], "SOFTMAX_ZERO", [0, 1]).SerializeToString(), (), SETTINGS)


def test_a_net_exported_for_one_row_scores_many(tmp_path):
    weight = numpy_helper.from_array(np.array([[1.0], [2.0]], np.float32), "w")
    net = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        inputs=[tensor("x", shape=(1, 2))],
        outputs=[tensor("y", shape=(1, 1))],
        initializer=[weight],
    )
    sql = Sql(tmp_path, frame())
    assert sql.values(sql.function(net.SerializeToString()), ["v", "1"])[:3] == [2.0, 3.0, 4.0]


def test_decision_scores_are_not_probabilities(tmp_path):
    nodes = [
        helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
        helper.make_node("Identity", ["x"], ["scores"]),
    ]
    scores = model(
        nodes,
        inputs=[tensor("x", shape=("n", 3))],
        outputs=[tensor("label", TensorProto.INT64, ("n",)), tensor("scores", shape=("n", 3))],
    )
    signature = inspect(scores.SerializeToString(), (), SETTINGS).signature
    assert [each.role for each in signature.outputs] == ["label", "other"]
    soft = onnx.ModelProto()
    soft.CopyFrom(scores)
    soft.graph.node[1].op_type = "Softmax"
    signature = inspect(soft.SerializeToString(), (), SETTINGS).signature
    assert [each.role for each in signature.outputs] == ["label", "probabilities"]
    assert signature.labels == (0, 1, 2)


def test_probabilities_alone_are_the_result(tmp_path):
    exported = zoo.pipeline(zipmap=True)
    proto = onnx.load_from_string(exported.data)
    del proto.graph.output[0]
    sql = Sql(tmp_path, exported.rows)
    function = sql.function(proto.SerializeToString())
    assert function.return_type == "MAP(VARCHAR, DOUBLE)"
    expected = exported.estimator.predict_proba(exported.rows)
    found = sql.values(function, exported.rows.columns)
    np.testing.assert_allclose([list(each.values()) for each in found], expected, atol=1e-5)
