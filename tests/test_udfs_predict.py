"""Models inside SQL agree with the library that trained them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import duckdb
import models_zoo as zoo
import numpy as np
import pandas as pd
import pytest

from scoter.settings import Models
from scoter.udfs.artifacts import Artifacts
from scoter.udfs.declared import DeclaredInput
from scoter.udfs.functions import Function, register
from scoter.udfs.inspection import inspect
from scoter.udfs.runs import Run
from scoter.udfs.sessions import Sessions

SETTINGS = Models()


class Sql:
    """A DuckDB connection, two threads, with the rows as table ``t`` and models as functions."""

    opened: ClassVar[list[duckdb.DuckDBPyConnection]] = []

    def __init__(self, directory: Path, rows: pd.DataFrame) -> None:
        self.artifacts = Artifacts(directory)
        self.sessions = Sessions(self.artifacts, 1 << 30)
        self.run = Run()
        self.connection = duckdb.connect()
        self.opened.append(self.connection)
        self.connection.execute("SET threads = 2")
        self.connection.register("given", rows)
        self.connection.execute("CREATE TABLE t AS SELECT row_number() OVER () AS n, * FROM given")

    def function(self, data, kind="predict", class_label=None, declared=(), volatile=False):
        signature = inspect(data, declared, SETTINGS).signature
        function = Function(self.artifacts.put(data), signature, kind, class_label)
        register(self.connection, function, self.sessions, self.run, volatile=volatile)
        return function

    def call(self, function, columns):
        types = [each.argument for each in function.signature.inputs]
        fields = ", ".join(
            f"i{place} := CAST({column} AS {types[place]})" for place, column in enumerate(columns)
        )
        return f"{function.name}(struct_pack({fields}))"

    def values(self, function, columns, table="t"):
        sql = f"SELECT {self.call(function, columns)} FROM {table} ORDER BY n"
        return [row[0] for row in self.connection.execute(sql).fetchall()]


@pytest.fixture(autouse=True)
def _closing():
    yield
    while Sql.opened:
        Sql.opened.pop().close()


@pytest.mark.parametrize("name", zoo.REGRESSORS)
def test_regressors_agree_with_scikit_learn(tmp_path, name):
    model = zoo.regressor(name)
    sql = Sql(tmp_path, model.rows)
    function = sql.function(model.data)
    assert function.signature.predict_type() == "FLOAT"
    assert not function.signature.named
    found = sql.values(function, model.rows.columns)
    expected = model.estimator.predict(model.rows.to_numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert sql.run.total.rows == len(model.rows)
    assert sql.run.total.skipped == 0


@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("labels", zoo.LABELS)
@pytest.mark.parametrize("name", zoo.CLASSIFIERS)
def test_classifiers_agree_with_scikit_learn(tmp_path, name, labels, zipmap):
    model = zoo.classifier(name, labels, zipmap=zipmap)
    sql = Sql(tmp_path, model.rows)
    columns = model.rows.columns
    classes = model.estimator.classes_.tolist()
    label = sql.function(model.data)
    assert label.signature.labels == tuple(classes)
    assert label.signature.predict_type() == ("BIGINT" if labels == "two_ints" else "VARCHAR")
    expected = model.estimator.predict_proba(model.rows.to_numpy())
    # Where two classes are equally likely but for rounding, either label is right.
    first, second = np.sort(expected, axis=1).T[-1], np.sort(expected, axis=1).T[-2]
    clear = first - second > 1e-4
    found = np.array(sql.values(label, columns))
    assert clear.mean() > 0.9
    assert (found == model.estimator.predict(model.rows.to_numpy()))[clear].all()
    maps = sql.values(sql.function(model.data, "proba"), columns)
    assert list(maps[0]) == classes
    np.testing.assert_allclose([list(each.values()) for each in maps], expected, rtol=1e-4, atol=2e-5)
    one = sql.values(sql.function(model.data, "proba_class", str(classes[1])), columns)
    np.testing.assert_allclose(one, expected[:, 1], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("unknown", ["ignore", "error"])
def test_pipeline_with_texts(tmp_path, zipmap, unknown):
    model = zoo.pipeline(zipmap=zipmap, unknown=unknown)
    sql = Sql(tmp_path, model.rows)
    function = sql.function(model.data)
    assert [(each.name, each.type) for each in function.signature.inputs] == [
        ("age", "BIGINT"),
        ("city", "VARCHAR"),
        ("income", "FLOAT"),
        ("plan", "VARCHAR"),
    ]
    assert function.signature.named
    assert function.signature.labels == ("no", "yes")
    assert sql.values(function, model.rows.columns) == model.estimator.predict(model.rows).tolist()
    found = sql.values(sql.function(model.data, "proba_class", "yes"), model.rows.columns)
    np.testing.assert_allclose(found, model.estimator.predict_proba(model.rows)[:, 1], atol=1e-5)


def test_declared_names_and_null_policies(tmp_path):
    model = zoo.pipeline()
    rows = model.rows.head(6).copy()
    rows["age"] = rows["age"].astype("Int64")
    rows.loc[1, "age"] = pd.NA
    rows.loc[2, "city"] = None
    rows.loc[4, "income"] = None
    sql = Sql(tmp_path, rows)
    declared = (
        DeclaredInput("City", "TEXT", "Rome"),
        DeclaredInput("age", "INTEGER"),
        DeclaredInput("INCOME", "DECIMAL(10, 2)", "50"),
        DeclaredInput("plan", "VARCHAR"),
    )
    function = sql.function(model.data, declared=declared)
    assert function.argument_type == "STRUCT(i0 VARCHAR, i1 INTEGER, i2 FLOAT, i3 VARCHAR)"
    found = sql.values(function, ["city", "age", "CASE WHEN isnan(income) THEN NULL ELSE income END", "plan"])
    filled = rows.fillna({"city": "Rome", "income": 50, "age": 0}).astype({"age": np.int64})
    expected = model.estimator.predict(filled).tolist()
    assert found == [None if row == 1 else each for row, each in enumerate(expected)]
    assert (sql.run.total.rows, sql.run.total.skipped) == (6, 1)
