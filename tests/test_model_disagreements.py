"""Where converters write files that say other things than the model they were made from.

docs/models.md has a row for each of these; a test here fails once a converter is mended, and the row goes with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import models_zoo as zoo
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from corpus import (
    FEATURES,
    INTS,
    PAIR,
    Numbers,
    Trained,
    from_catboost,
    from_lightgbm,
    from_sklearn,
    from_xgboost,
    over_numbers,
    quiet,
    sql_rows,
)
from corpus_check import check
from lightgbm import LGBMClassifier, LGBMRegressor
from sessions import InProcess, opened
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from test_corpus_boosters import CAT, FAST
from test_corpus_pipelines import over_texts
from xgboost import XGBClassifier, XGBRegressor

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "models.md"
MISSING = Numbers(missing=True)
BESIDE = Numbers(missing=True, steps=2)
LIGHT = FAST | {"verbose": -1}


def positive(estimator, inputs, target):
    return estimator.fit(inputs, np.abs(target) + 0.1)


def between(estimator, inputs, target):
    return estimator.fit(inputs, 1 / (1 + np.exp(-target)))


def lightgbm(estimator, labels=None, kind=BESIDE) -> Trained:
    return over_numbers(estimator, labels, kind=kind, convert=from_lightgbm)


def scaled_xgboost() -> Trained:
    convert = import_module("onnxmltools.convert.xgboost.operator_converters.XGBoost").convert_xgboost
    update_registered_converter(XGBRegressor, "XGB", calculate_linear_regressor_output_shapes, convert)
    return scaled(XGBRegressor(**FAST))


def scaled(estimator: Any) -> Trained:
    """The rows that the model was fitted on: its splits are values of them."""
    rows = np.random.default_rng(1).normal(50, 12, (2000, FEATURES))
    fitted = quiet(make_pipeline(StandardScaler(), estimator).fit, rows, rows.prod(axis=1))
    table, declared = sql_rows(rows)
    return Trained(fitted, from_sklearn(fitted), table, rows, declared, rtol=1e-5, atol=1e-5, unclear=0)


def xgboost(estimator, labels=None, **more) -> Trained:
    return over_numbers(estimator, labels, kind=MISSING, convert=from_xgboost, **more)


def of_categories(estimator: Any) -> Trained:
    """The first column is one of six categories."""
    random = np.random.default_rng(2)
    rows = np.column_stack([random.integers(0, 6, 2000), random.normal(size=(2000, FEATURES - 1))])
    fitted = quiet(
        estimator.fit, rows, np.array([5.0, 1.0, 4.0, 0.0, 3.0, 2.0])[rows[:, 0].astype(int)] + rows[:, 1]
    )
    table, declared = sql_rows(rows)
    return Trained(fitted, from_sklearn(fitted), table, rows, declared, rtol=1e-5, atol=1e-5, unclear=0)


class Refusing:
    """A model that gives NaN for rows that its pipeline raises ValueError for."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return np.array([self._one(rows.iloc[[place]]) for place in range(len(rows))])

    def _one(self, row: pd.DataFrame) -> float:
        try:
            return float(self.pipeline.predict(row)[0])
        except ValueError:
            return math.nan


def encoded(encoder: Any, seen: list[Any], unseen: list[Any], tensor: Any) -> Trained:
    train, rows = pd.DataFrame({"kind": seen}), pd.DataFrame({"kind": seen + unseen})
    pipeline = make_pipeline(ColumnTransformer([("kind", encoder, ["kind"])]), LinearRegression())
    quiet(pipeline.fit, train, np.arange(len(seen)) * 10.0)
    data = zoo.export(pipeline, [("kind", tensor([None, 1]))])
    table = pa.Table.from_pandas(rows, preserve_index=False)
    return Trained(Refusing(pipeline), data, table, rows, "", rtol=1e-5, atol=1e-5, unclear=0)


# The texts are the first cells of the table's rows.
CASES: dict[str, Callable[[], Trained]] = {
    "`DecisionTree…`, `RandomForest…`, `ExtraTrees…` and NaN": lambda: over_numbers(
        DecisionTreeClassifier(max_depth=6, random_state=0), PAIR, kind=MISSING, unclear=0.05
    ),
    "`HistGradientBoosting…`, a value on a split": lambda: over_numbers(
        HistGradientBoostingRegressor(max_iter=30), kind=MISSING
    ),
    "`HistGradientBoostingRegressor(loss='poisson' | 'gamma')`": lambda: over_numbers(
        HistGradientBoostingRegressor(loss="poisson", max_iter=10), kind=BESIDE, fit=positive
    ),
    "`HistGradientBoosting…(categorical_features=…)`": lambda: of_categories(
        HistGradientBoostingRegressor(max_iter=10, categorical_features=[0])
    ),
    "`OneVsOneClassifier`": lambda: over_numbers(OneVsOneClassifier(LogisticRegression()), INTS, unclear=1),
    "`LinearDiscriminantAnalysis` of two classes": lambda: over_numbers(LinearDiscriminantAnalysis(), PAIR),
    "`OneVsRestClassifier` over `LinearSVC`, two classes": lambda: over_numbers(
        OneVsRestClassifier(LinearSVC()), PAIR, unclear=1
    ),
    "`OneHotEncoder` over floats": lambda: encoded(
        OneHotEncoder(handle_unknown="ignore"), [1.0, 2.0, 5.0, 9.0], [2.5], FloatTensorType
    ),
    "`OrdinalEncoder()`, a value that it has not seen": lambda: encoded(
        OrdinalEncoder(), ["Oslo", "Rome", "Split"], ["Atlantis"], StringTensorType
    ),
    "`KNeighbors…(weights='distance')`": lambda: over_numbers(
        KNeighborsRegressor(weights="distance"), kind=Numbers(huge=1e3)
    ),
    "`KNeighbors…`, a row far from all others": lambda: over_numbers(KNeighborsRegressor()),
    "`CountVectorizer`, `TfidfVectorizer` and words that are not ASCII": lambda: over_texts(
        TfidfVectorizer(), LogisticRegression()
    ),
    "LightGBM, a value on a split": lambda: lightgbm(LGBMRegressor(**LIGHT), kind=MISSING),
    "LightGBM `zero_as_missing=True`": lambda: lightgbm(LGBMRegressor(zero_as_missing=True, **LIGHT)),
    "LightGBM `boosting_type='rf'`": lambda: lightgbm(
        LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.8, **LIGHT)
    ),
    "LightGBM `linear_tree=True`": lambda: lightgbm(LGBMRegressor(linear_tree=True, **LIGHT)),
    "LightGBM `objective='multiclassova'`": lambda: lightgbm(
        LGBMClassifier(objective="multiclassova", **LIGHT), INTS
    ),
    "XGBoost behind a `StandardScaler`": scaled_xgboost,
    "Forests and `HistGradientBoosting…` behind a `StandardScaler`": lambda: scaled(
        HistGradientBoostingRegressor(max_iter=30)
    ),
    "XGBoost `objective='reg:logistic'`": lambda: xgboost(
        XGBRegressor(objective="reg:logistic", **FAST), fit=between
    ),
    "XGBoost `objective='multi:softmax'`": lambda: xgboost(
        XGBClassifier(objective="multi:softmax", **FAST), np.array([0, 1, 2])
    ),
    "XGBoost with several numbers as its target": lambda: xgboost(XGBRegressor(**FAST), outputs=2),
    "CatBoost `loss_function='MultiClassOneVsAll'`": lambda: over_numbers(
        CatBoostClassifier(loss_function="MultiClassOneVsAll", **CAT),
        INTS,
        kind=MISSING,
        convert=from_catboost,
    ),
    "CatBoost `loss_function='Poisson'`": lambda: over_numbers(
        CatBoostRegressor(loss_function="Poisson", **CAT), kind=MISSING, convert=from_catboost, fit=positive
    ),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("corpus")) as engine:
        yield InProcess(engine)


@pytest.mark.parametrize("case", CASES)
def test_the_file_still_says_something_else(session: InProcess, case: str) -> None:
    name = f"m{list(CASES).index(case)}"
    with pytest.raises(AssertionError, match=r"rows differ|no probabilities"):
        check(session, name, CASES[case](), compiles=False)


def test_the_document_has_a_row_for_each() -> None:
    section = DOCUMENT.read_text().split("## Where converters disagree", 1)[1].split("\n## ", 1)[0]
    lines = [line.replace("\\|", "/") for line in section.splitlines() if line.startswith("| ")]
    rows = [line.split(" | ")[0].removeprefix("| ").replace("/", "|") for line in lines]
    assert set(rows) - {"Model"} == set(CASES)
