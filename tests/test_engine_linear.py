"""A linear model over many rows is computed in SQL, and its results are those of ONNX Runtime."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper
from sessions import InProcess, opened
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from slt import Refused

ROWS = 60_000
COLUMNS = ("a", "b", "c")


def trained() -> dict[str, bytes]:
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(500, 3)).astype(np.float32)
    late = rows[:, 0] + 2 * rows[:, 1] > rows[:, 2]
    amount = rows @ np.array([1.5, -2, 0.25])
    estimators = {
        "texts": LogisticRegression().fit(rows, np.where(late, "late", "on time")),
        "numbers": make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, np.where(late, 7, 3)),
        "amount": LinearRegression().fit(rows, amount),
        "scaled": make_pipeline(MinMaxScaler(), Ridge()).fit(rows, amount),
        "vector": LinearSVC().fit(rows, late.astype(int)),
        "ridge": RidgeClassifier().fit(rows, late.astype(int)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: to_onnx(each, rows[:1]).SerializeToString() for name, each in estimators.items()}


def mixed() -> bytes:
    """One input a column: a float, a whole number and a boolean, joined by Concat."""
    nodes = [
        helper.make_node("Cast", ["b"], ["bf"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["c"], ["cf"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["a", "bf", "cf"], ["x"], axis=1),
        helper.make_node("Gemm", ["x", "w", "k"], ["y"], alpha=2.0),
    ]
    kinds = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL)
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info(n, k, ["n", 1]) for n, k in zip(COLUMNS, kinds, strict=True)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [
            numpy_helper.from_array(np.array([[0.5], [0.25], [-3]], np.float32), "w"),
            numpy_helper.from_array(np.array([0.125], np.float32), "k"),
        ],
    )
    return helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]
    ).SerializeToString()


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("lake")) as engine:
        session = InProcess(engine)
        for name, data in {**trained(), "mixed": mixed()}.items():
            session.update(f"CREATE MODEL {name} FROM ?", pa.RecordBatch.from_pydict({"1": [data]}))
        session.update(
            "CREATE TABLE t AS SELECT i AS id, "
            "CASE WHEN i % 11 = 0 THEN NULL WHEN i % 13 = 0 THEN 'NaN' WHEN i % 17 = 0 THEN '-inf' "
            "WHEN i % 19 = 0 THEN 3e38 ELSE sin(i) END::FLOAT AS a, "
            "CASE WHEN i % 29 <> 0 THEN (cos(i) * (1 + i % 3))::FLOAT END AS b, "
            "(sqrt(i) - 100)::FLOAT AS c, i % 100 AS n, i % 3 = 0 AS f "
            f"FROM range({ROWS}) AS r(i)"
        )
        yield session


def inlined(lake: InProcess, sql: str) -> bool:
    staged = lake.engine.plan(sql, lake.context).staged
    return staged is not None and bool(staged.inlined)


def both(lake: InProcess, sql: str) -> tuple[pa.Table, pa.Table]:
    """Return a query's rows computed in SQL, and by the model alone."""
    plan = lake.engine.plan(sql, lake.context)
    assert plan.staged is not None
    assert plan.staged.inlined
    alone = replace(plan, staged=None)
    return tuple(lake.engine.run(one, lake.context).read_all() for one in (plan, alone))


CALLS = {
    "texts": ("PREDICT('texts', a, b, c)", "PREDICT_PROBA('texts', a, b, c, class => 'late')"),
    "numbers": ("PREDICT('numbers', a, b, c)", "PREDICT_PROBA('numbers', a, b, c, class => '7')"),
    "amount": ("PREDICT('amount', a, b, c)",),
    "scaled": ("PREDICT('scaled', a, b, c)", "PREDICT('scaled', a + 1, b * 2, NULL)"),
    "vector": ("PREDICT('vector', a, b, c)",),
    "ridge": ("PREDICT('ridge', a, b, c)",),
    "mixed": ("PREDICT('mixed', a, n, f)", "PREDICT('mixed', {c: f, a: a, b: n})"),
}


@pytest.mark.parametrize("call", [call for calls in CALLS.values() for call in calls])
def test_a_sum_in_sql_is_what_the_model_gives(lake, call):
    ours, theirs = both(lake, f"SELECT id, {call} AS p FROM t ORDER BY id")
    assert ours.schema == theirs.schema
    assert ours["p"].null_count == theirs["p"].null_count
    if pa.types.is_floating(ours.schema.field("p").type):
        left, right = (each["p"].to_numpy() for each in (ours, theirs))
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    else:
        assert ours.equals(theirs)


def test_a_damaged_file_answers_nothing(tmp_path):
    data = trained()["amount"]
    sql = "SELECT sum(PREDICT('amount', i, 1, 2)) AS s FROM t"
    with opened(tmp_path) as engine:
        session = InProcess(engine)
        session.update("CREATE MODEL amount FROM ?", pa.RecordBatch.from_pydict({"1": [data]}))
        session.update(f"CREATE TABLE t AS SELECT i::FLOAT AS i FROM range({ROWS}) AS r(i)")
    (file,) = tmp_path.rglob("*.onnx")
    file.write_bytes(data[:-1] + b"x")
    with opened(tmp_path) as engine:
        session = InProcess(engine)
        assert inlined(session, sql)
        with pytest.raises(Refused, match=r"CORRUPT_DATA: the model file .* is damaged.*\(1:12\)"):
            session.query(sql)


def test_it_stands_wherever_a_call_may_stand(lake):
    for sql in (
        "SELECT PREDICT('texts', a, b, c) AS p, count(*) FROM t GROUP BY ALL ORDER BY ALL",
        "SELECT id FROM t WHERE PREDICT('texts', a, b, c) = 'late' ORDER BY id",
        "SELECT id, PREDICT('numbers', a, b, c) AS p FROM t WHERE p = 7 ORDER BY id LIMIT 10",
        "SELECT count(*) FROM t JOIN range(10) AS r(k) ON n = k WHERE PREDICT('vector', a, b, c) = 1",
        "WITH s AS (SELECT *, PREDICT('ridge', a, b, c) AS p FROM t) SELECT p, count(*) FROM s GROUP BY 1 ORDER BY 1",
    ):
        ours, theirs = both(lake, sql)
        assert ours.equals(theirs), sql


def classifier(given: str, weights: np.ndarray, bias: float, transform: str = "LOGISTIC") -> onnx.NodeProto:
    return helper.make_node(
        "LinearClassifier",
        [given],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=[*(-weights).tolist(), *weights.tolist()],
        intercepts=[float(-bias), float(bias)],
        classlabels_ints=[0, 1],
        post_transform=transform,
    )


def labels_of(tmp_path, nodes, held, rows):
    """Return the labels of rows [N, F] in SQL and by the model."""
    inputs = rows.shape[1]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", inputs]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2]),
    ]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    # Without a probability only the label is a result.
    results = ends[1:] if nodes[-1].attribute[-1].s == b"LOGISTIC" else ends[1:2]
    graph = helper.make_graph(nodes, "g", ends[:1], results, tensors)
    data = helper.make_model(graph, ir_version=9, opset_imports=opsets).SerializeToString()
    names = [f"x{place}" for place in range(inputs)]
    with opened(tmp_path / "lake") as engine:
        session = InProcess(engine)
        session.update("CREATE MODEL m FROM ?", pa.RecordBatch.from_pydict({"1": [data]}))
        session.update(f"CREATE TABLE t (id INTEGER, {', '.join(f'{name} FLOAT' for name in names)})")
        columns = [pa.array(np.arange(len(rows), dtype=np.int32)), *map(pa.array, rows.T.copy())]
        marks = ", ".join("?" for _ in columns)
        session.update(
            f"INSERT INTO t VALUES ({marks})",
            pa.RecordBatch.from_arrays(columns, [str(place) for place, _ in enumerate(columns, start=1)]),
        )
        return both(session, f"SELECT id, PREDICT('m', {', '.join(names)}) AS p FROM t ORDER BY id")


@pytest.mark.parametrize("largest", [1e-42, 1e-37, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("inputs", [3, 16])
def test_labels_at_the_edge_are_the_models_own(tmp_path, inputs, largest):
    """Rows whose score is 0 but for rounding, of any size: a sum in other order or width sees the other label."""
    draw = np.random.default_rng(inputs)
    weights, bias = draw.normal(size=inputs).astype(np.float32), np.float32(draw.normal() * min(1, largest))
    rows = (draw.uniform(-1, 1, size=(ROWS, inputs)) * largest).astype(np.float32)
    rest = rows[:, :-1].astype(np.float64) @ weights[:-1].astype(np.float64) + bias
    last = (-rest / weights[-1]).astype(np.float32)
    rows[:, -1] = last + draw.integers(-8, 9, ROWS) * np.spacing(last)
    ours, theirs = labels_of(tmp_path, [classifier("x", weights, bias)], {}, rows)
    assert ours.equals(theirs)


def test_parts_that_cancel_count_for_the_edge(tmp_path):
    """Two layers of which the second takes back nearly all of the first: what was rounded was larger than the sum."""
    draw = np.random.default_rng(5)
    turned, weights = np.array([[1000, -999.5], [1, 0.3]], np.float32), np.array([1, 1], np.float32)
    nodes = [helper.make_node("MatMul", ["x", "turned"], ["z"]), classifier("z", weights, 0.0, "NONE")]
    first = draw.uniform(-1000, 1000, ROWS)
    rows = np.column_stack([first, first * -0.5 / 1.3 + draw.uniform(-0.03, 0.03, ROWS)]).astype(np.float32)
    ours, theirs = labels_of(tmp_path, nodes, {"turned": turned}, rows)
    assert ours.equals(theirs)


def test_a_mean_far_from_the_rows_counts_for_the_edge(tmp_path):
    """The means of two columns take back each other in the bias, after each was rounded."""
    draw = np.random.default_rng(6)
    mean = np.array([12345.678, 12345.678], np.float32)
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["moved"]),
        classifier("moved", np.array([1, -1], np.float32), 0.0, "NONE"),
    ]
    first = draw.uniform(-1, 1, ROWS)
    rows = np.column_stack([first, first + draw.uniform(-1e-3, 1e-3, ROWS)]).astype(np.float32)
    ours, theirs = labels_of(tmp_path, nodes, {"mean": mean}, rows)
    assert ours.equals(theirs)


def test_what_may_not_be_evaluated_twice_is_not_inlined(lake):
    assert inlined(lake, "SELECT PREDICT('amount', a, b, c) FROM t")
    assert not inlined(lake, "SELECT PREDICT('amount', a, b, random()) FROM t")
    assert not inlined(lake, "SELECT PREDICT('amount', a, b, (SELECT max(c) FROM t)) FROM t")
    assert not inlined(lake, "SELECT PREDICT('amount', 1, 2, 3)")
    assert not inlined(lake, "SELECT PREDICT_PROBA('texts', a, b, c) FROM t")


def test_skipped_rows_are_counted(lake):
    rows = lake.rows("EXPLAIN ANALYZE SELECT PREDICT('amount', a, b, c) FROM t")
    assert "a sum in SQL" in dict(rows)["models"]
    assert "rows of plain numbers as a sum in SQL, others " in dict(rows)["scored"]
    table = lake.query("SELECT PREDICT('amount', a, b, c) AS p FROM t")
    assert table["p"].null_count == lake.value("SELECT count(*) FROM t WHERE a IS NULL OR b IS NULL")


def test_sums_of_integers_are_the_models_own(lake):
    ends = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", 1]) for name in ("a", "b", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "whole", ends[:2], ends[2:])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    lake.update("CREATE MODEL whole FROM ?", pa.RecordBatch.from_pydict({"1": [model.SerializeToString()]}))
    sql = "SELECT count(*) FROM t WHERE PREDICT('whole', 9007199254740992 + id, 0) = 9007199254740992 + id"
    assert not inlined(lake, sql)
    assert lake.value(sql) == ROWS


def test_an_input_of_another_type_than_its_tensor_is_not_inlined(lake):
    call = "PREDICT('amount', n, b, c)"
    assert inlined(lake, f"SELECT {call} FROM t")
    lake.update(
        "CREATE MODEL counted FROM ? INPUT (n BIGINT, b FLOAT, c FLOAT)", bytes_of(trained()["amount"])
    )
    sql = "SELECT max(PREDICT('counted', n + {}, 0, 0)) FROM t"
    assert not inlined(lake, sql.format(1))
    assert lake.value(sql.format(1)) is not None
    with pytest.raises(Refused, match=r"\[22003\]"):
        lake.value(sql.format(2**24))


def bytes_of(data):
    return pa.RecordBatch.from_pydict({"1": [data]})


def test_a_model_that_is_not_linear_is_not_taken_for_one(lake):
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(500, 3)).astype(np.float32)
    several = LogisticRegression().fit(rows, np.digitize(rows[:, 0], [-0.5, 0.5]))
    network = MLPRegressor(hidden_layer_sizes=(4,), tol=1, n_iter_no_change=1).fit(rows, rows[:, 0])
    clipped = onnx.load_model_from_string(mixed())
    clipped.graph.node.append(helper.make_node("Clip", ["y", "low", "high"], ["z"]))
    clipped.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("low", -1e4), ("high", 1e4))
    )
    clipped.graph.output[0].name = "z"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = [to_onnx(each, rows[:1]).SerializeToString() for each in (several, network)]
    for number, data in enumerate([*files, clipped.SerializeToString()]):
        batch = pa.RecordBatch.from_pydict({"1": [data]})
        lake.update(f"CREATE MODEL other_{number} FROM ?", batch)
        values = "a, n, f" if number == 2 else "a, b, c"
        assert not inlined(lake, f"SELECT PREDICT('other_{number}', {values}) FROM t")
