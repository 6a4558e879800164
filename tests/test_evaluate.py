"""ML_EVALUATE gives the numbers of scikit-learn's metrics on the same answers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import models_zoo as zoo
import numpy as np
import pytest
from onnx import TensorProto, helper, load_model_from_string
from sessions import InProcess, bound, opened
from sklearn import metrics

from scoter.engine.evaluation import evaluation
from scoter.errors import NotSupported
from scoter.udfs.signature import Output, Signature

ROWS = 400
COLUMNS = ("task", "n", "rows_skipped", "accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model_files: Path):
    models = tmp_path_factory.mktemp("zoo")
    directory = tmp_path_factory.mktemp("lake")
    prefixes = [str(models), str(model_files)]
    with opened(directory, models={"allowed_prefixes": prefixes}) as engine:
        session = InProcess(engine)
        inputs = ", ".join(f"c{i} FLOAT" for i in range(zoo.FEATURES))
        rows = zoo.numbers(ROWS, seed=5)
        right = zoo.target(rows) + np.random.default_rng(7).normal(size=ROWS)
        values = [
            ", ".join([str(i), *(repr(float(v)) for v in row), repr(float(y))])
            for i, (row, y) in enumerate(zip(rows.to_numpy(), right, strict=True))
        ]
        session.update(f"CREATE TABLE t (id INTEGER, {inputs.replace('FLOAT', 'FLOAT')}, y DOUBLE)")
        session.update(f"INSERT INTO t VALUES {', '.join(f'({row})' for row in values)}")
        known = {f"{kind}_{labels}": (kind, labels) for kind in ("logistic", "tree") for labels in zoo.LABELS}
        for name, (kind, labels) in known.items():
            models.joinpath(f"{name}.onnx").write_bytes(zoo.classifier(kind, labels).data)
            session.update(f"CREATE MODEL {name} FROM '{models}/{name}.onnx' INPUT ({inputs})")
        for name in ("linear_regression", "tree_regressor"):
            models.joinpath(f"{name}.onnx").write_bytes(zoo.regressor(name).data)
            session.update(f"CREATE MODEL {name} FROM '{models}/{name}.onnx' INPUT ({inputs})")
        for name in ("mixed", "vote"):
            more = "INPUT (p FLOAT, q FLOAT)" if name == "vote" else ""
            session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx' {more}")
        yield session


def assert_close(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), name


def classes_of(labels: str) -> list:
    return zoo.LABELS[labels].tolist()


def of_classes(labels: str) -> str:
    """Return SQL for a class by the size of y."""
    low, *rest = (repr(one) for one in classes_of(labels))
    if len(rest) == 1:
        return f"CASE WHEN y > 0 THEN {rest[0]} ELSE {low} END"
    return f"CASE WHEN y > 1 THEN {rest[1]} WHEN y > -1 THEN {rest[0]} ELSE {low} END"


def evaluated(lake: InProcess, model: str, query: str) -> dict:
    table = lake.query(f"SELECT * FROM ML_EVALUATE(MODEL {model}, TABLE ({query}), label => 'right')")
    (row,) = table.to_pylist()
    return row


def expected(lake: InProcess, model: str, labels: str, query: str) -> dict:
    """Return what scikit-learn says of the model's own results."""
    names = sorted(classes_of(labels))
    rows = lake.rows(
        f"SELECT \"right\", PREDICT('{model}', r), map_values(PREDICT_PROBA('{model}', r)) FROM ({query}) AS r"
    )
    rows = [row for row in rows if row[0] is not None and row[1] is not None]
    y, p, s = (list(part) for part in zip(*rows, strict=True))
    s = np.array(s)
    binary = len(names) == 2
    how = {"average": "binary", "pos_label": names[1]} if binary else {"average": "macro"}
    scores = s[:, 1] if binary else s
    more = {} if binary else {"multi_class": "ovr", "labels": names}
    with warnings.catch_warnings():
        # Of float32 probabilities that they do not sum to 1 in float64, of one class that there is no area.
        warnings.simplefilter("ignore")
        area = metrics.roc_auc_score(y, scores, **more) if len(set(y)) == len(names) else None
        loss = metrics.log_loss(y, s, labels=names)
    return {
        "task": "classification",
        "n": len(y),
        "accuracy": metrics.accuracy_score(y, p),
        "precision": metrics.precision_score(y, p, zero_division=0, **how),
        "recall": metrics.recall_score(y, p, zero_division=0, **how),
        "f1": metrics.f1_score(y, p, zero_division=0, **how),
        "roc_auc": area,
        "log_loss": loss,
    }


@pytest.mark.parametrize("labels", zoo.LABELS)
@pytest.mark.parametrize("kind", ["logistic", "tree"])
def test_classifiers(lake, kind, labels):
    """A tree gives many rows the same probability, and probabilities of 0."""
    query = f'SELECT *, {of_classes(labels)} AS "right" FROM t'
    found = evaluated(lake, f"{kind}_{labels}", query)
    assert tuple(found) == COLUMNS
    assert found.pop("rows_skipped") == 0
    wanted = expected(lake, f"{kind}_{labels}", labels, query)
    assert wanted["log_loss"] > 1 or kind == "logistic"
    assert_close(found, wanted)


@pytest.mark.parametrize("labels", zoo.LABELS)
@pytest.mark.parametrize("only", [0, 1, -1])
def test_one_class_only(lake, labels, only):
    right = classes_of(labels)[only]
    query = f'SELECT *, {right!r} AS "right" FROM t'
    found = evaluated(lake, f"tree_{labels}", query)
    assert found.pop("rows_skipped") == 0
    assert found["roc_auc"] is None
    assert_close(found, expected(lake, f"tree_{labels}", labels, query))


def test_rows_without_a_label_or_a_prediction_are_counted(lake):
    right = of_classes("two_texts")
    query = f'SELECT * REPLACE (CASE WHEN id % 7 <> 0 THEN c0 END AS c0), CASE WHEN id % 5 <> 0 THEN {right} END AS "right" FROM t'
    found = evaluated(lake, "logistic_two_texts", query)
    wanted = expected(lake, "logistic_two_texts", "two_texts", query)
    assert (
        found.pop("rows_skipped") == ROWS - wanted["n"] == sum(i % 7 == 0 or i % 5 == 0 for i in range(ROWS))
    )
    assert_close(found, wanted)


@pytest.mark.parametrize("name", ["linear_regression", "tree_regressor"])
@pytest.mark.parametrize("right", ["y", "round(y)::INTEGER", "3", "CASE WHEN id > 3 THEN y END"])
def test_regressions(lake, name, right):
    query = f'SELECT *, {right} AS "right" FROM t'
    found = evaluated(lake, name, query)
    rows = lake.rows(f'SELECT "right", PREDICT(\'{name}\', r) FROM ({query}) AS r WHERE "right" IS NOT NULL')
    y, p = zip(*rows, strict=True)
    assert_close(
        found,
        {
            "task": "regression",
            "n": len(y),
            "rows_skipped": ROWS - len(y),
            "rmse": metrics.root_mean_squared_error(y, p),
            "mae": metrics.mean_absolute_error(y, p),
            "r2": metrics.r2_score(y, p),
        },
    )


def test_few_rows(lake):
    (none, one, exact) = (
        evaluated(lake, "linear_regression", query)
        for query in (
            'SELECT *, y AS "right" FROM t WHERE false',
            'SELECT *, y AS "right" FROM t WHERE id = 3',
            "SELECT *, PREDICT('linear_regression', t) AS \"right\" FROM t WHERE id < 9",
        )
    )
    assert none == {"task": "regression", "n": 0, "rows_skipped": 0, "rmse": None, "mae": None, "r2": None}
    assert one["n"] == 1
    assert one["rmse"] == pytest.approx(one["mae"])
    assert one["r2"] is None
    assert (exact["rmse"], exact["mae"], exact["r2"]) == (0, 0, 1)
    for labels in zoo.LABELS:
        found = evaluated(
            lake, f"tree_{labels}", f'SELECT *, {of_classes(labels)} AS "right" FROM t WHERE false'
        )
        assert found == dict.fromkeys(COLUMNS) | {"task": "classification", "n": 0, "rows_skipped": 0}


@pytest.mark.parametrize("element", ["BOOL", "INT8", "UINT8", "UINT64"])
@pytest.mark.parametrize("right", ["c0 > 0.2", "(c0 > 0.2)::INTEGER", "(c0 > 0.2)::DOUBLE"])
def test_classes_that_are_truths_or_numbers_of_any_type(lake, element, right):
    """A net that gives the greater of two scores as its class, without probabilities."""
    kind = getattr(TensorProto, element)
    nodes = [
        helper.make_node("Greater", ["c0", "c1"], ["greater"]),
        helper.make_node("Cast", ["greater"], ["class"], to=kind),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in ("c0", "c1")]
    out = [helper.make_tensor_value_info("class", kind, ["n", 1])]
    graph = helper.make_graph(nodes, "greater", given, out)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    lake.update("CREATE OR REPLACE MODEL greater FROM ?", bound(data.SerializeToString()))
    query = f'SELECT *, {right} AS "right" FROM t WHERE id % 9 > 0'
    found = evaluated(lake, "greater", query)
    y, p = zip(*lake.rows(f"SELECT c0 > 0.2, c0 > c1 FROM ({query}) AS r"), strict=True)
    how = {"average": "macro", "zero_division": 0}
    assert_close(
        found,
        {
            "task": "classification",
            "n": len(y),
            "rows_skipped": 0,
            "accuracy": metrics.accuracy_score(y, p),
            "precision": metrics.precision_score(y, p, **how),
            "recall": metrics.recall_score(y, p, **how),
            "f1": metrics.f1_score(y, p, **how),
            "roc_auc": None,
            "log_loss": None,
        },
    )


def test_classes_above_those_of_a_bigint(lake):
    nodes = [helper.make_node("Cast", ["a"], ["class"], to=TensorProto.UINT64)]
    given = [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 1])]
    out = [helper.make_tensor_value_info("class", TensorProto.UINT64, ["n", 1])]
    graph = helper.make_graph(nodes, "large", given, out)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    lake.update("CREATE MODEL large FROM ?", bound(data.SerializeToString()))
    above = 2**63 + 2**40
    found = evaluated(
        lake,
        "large",
        f'SELECT * FROM (VALUES ({above}::FLOAT, {above}::UBIGINT), (7, 7), (8, 7)) AS r(a, "right")',
    )
    assert (found["n"], found["rows_skipped"], found["accuracy"]) == (3, 0, pytest.approx(2 / 3))


def test_a_flag_beside_probabilities_is_no_class(lake):
    """A classifier whose file also says, first of all, whether its class is above 0."""
    classifier = load_model_from_string(zoo.classifier("logistic", "two_ints").data)
    label = classifier.graph.output[0].name
    classifier.graph.node.append(helper.make_node("Cast", [label], ["flag"], to=TensorProto.BOOL))
    classifier.graph.output.insert(0, helper.make_tensor_value_info("flag", TensorProto.BOOL, ["n"]))
    inputs = ", ".join(f"c{i} FLOAT" for i in range(zoo.FEATURES))
    lake.update(f"CREATE MODEL flagged FROM ? INPUT ({inputs})", bound(classifier.SerializeToString()))
    rows = lake.rows("SELECT PREDICT('flagged', t), PREDICT('logistic_two_ints', t) FROM t")
    assert [row[0] for row in rows] == [row[1] for row in rows]


def test_other_models_are_refused():
    lists = Signature((), (Output("y", "FLOAT[]", "value"),), (), named=True)
    with pytest.raises(NotSupported, match="neither a classifier nor a regression"):
        evaluation(lists, "m", "y")


def test_many_rows_are_scored_once_and_apart(lake):
    lake.update(
        "CREATE TABLE many AS SELECT i AS id, (i % 77) / 70 AS p, (i % 11) / 10 AS q, "
        "CASE WHEN i % 3 = 0 THEN 'yes' ELSE 'no' END AS answer FROM range(60000) AS r(i)"
    )
    sql = "SELECT n, roc_auc, log_loss FROM ML_EVALUATE(MODEL vote, TABLE many, label => 'answer')"
    assert lake.engine.plan(sql, lake.context).staged is not None
    (row,) = lake.rows(sql)
    assert lake.engine.settings.log is not None
    line = json.loads(lake.engine.settings.log.read_text().splitlines()[-1])
    assert line["rows_scored"] == 60_000
    # A batch of another size gives a model's last digit another value, which makes or breaks ties.
    rows = lake.rows("SELECT answer, PREDICT_ALL('vote', m).probabilities['yes'] FROM many AS m")
    y = np.array([each == "yes" for each, _ in rows])
    s = np.array([score for _, score in rows])
    assert row == pytest.approx((60_000, metrics.roc_auc_score(y, s), metrics.log_loss(y, s)), rel=1e-5)
