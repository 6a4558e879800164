"""Models of every kind, exported from scikit-learn or built by hand, for tests and benchmarks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx.helper
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

OPSETS = {"": 18, "ai.onnx.ml": 3}
FEATURES = 5
CITIES = ("Oslo", "Rome", "Lima", "Hà Nội")


@dataclass(frozen=True)
class Exported:
    """A fitted estimator, its ONNX bytes, and rows that it has not seen."""

    data: bytes
    estimator: Any
    rows: pd.DataFrame


@contextmanager
def strict_integers() -> Iterator[None]:
    """Turn booleans into integers on the way into a file.

    skl2onnx writes the flags of missing values as booleans, which the newer protobuf refuses.
    """
    original = onnx.helper.make_attribute

    def make_attribute(key: str, value: Any, *args: Any, **named: Any) -> Any:
        if isinstance(value, list | tuple) and any(isinstance(each, bool | np.bool_) for each in value):
            value = [int(each) for each in value]
        return original(key, value, *args, **named)

    onnx.helper.make_attribute = make_attribute
    try:
        yield
    finally:
        onnx.helper.make_attribute = original


def export(
    estimator: Any,
    types: list[tuple[str, Any]],
    *,
    zipmap: bool = False,
    options: dict[int, Any] | None = None,
) -> bytes:
    if not zipmap and hasattr(estimator, "classes_"):
        options = {id(estimator): {"zipmap": False}, **(options or {})}
    with strict_integers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = to_onnx(estimator, initial_types=types, options=options, target_opset=OPSETS)
    return bytes(model.SerializeToString())


def numbers(rows: int, features: int = FEATURES, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        random.normal(size=(rows, features)).astype(np.float32), columns=[f"c{i}" for i in range(features)]
    )


def target(rows: pd.DataFrame) -> Any:
    values = rows.to_numpy()
    return values[:, 0] * 2 + values[:, 1] * values[:, 2] - values[:, 3]


REGRESSORS = {
    "linear_regression": LinearRegression,
    "tree_regressor": lambda: DecisionTreeRegressor(max_depth=6, random_state=0),
    "forest_regressor": lambda: RandomForestRegressor(20, max_depth=6, random_state=0),
    "boosting_regressor": lambda: HistGradientBoostingRegressor(max_iter=20, random_state=0),
    "mlp_regressor": lambda: MLPRegressor(hidden_layer_sizes=(16, 8), max_iter=50, random_state=0),
}
CLASSIFIERS = {
    "logistic": LogisticRegression,
    "tree": lambda: DecisionTreeClassifier(max_depth=6, random_state=0),
    "forest": lambda: RandomForestClassifier(20, max_depth=6, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=20, random_state=0),
    "mlp": lambda: MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=50, random_state=0),
}
LABELS = {
    "two_ints": np.array([10, 20]),
    "two_texts": np.array(["no", "yes"]),
    "three_texts": np.array(["low", "mid", "high"]),
}


def _fit(estimator: Any, rows: Any, values: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(rows, values)


@cache
def regressor(name: str) -> Exported:
    train = numbers(600)
    estimator = _fit(REGRESSORS[name](), train.to_numpy(), target(train))
    return Exported(
        export(estimator, [("x", FloatTensorType([None, FEATURES]))]), estimator, numbers(3000, seed=2)
    )


@cache
def classifier(name: str, labels: str = "two_texts", *, zipmap: bool = False) -> Exported:
    train = numbers(600)
    names = LABELS[labels]
    edges = np.quantile(target(train), np.linspace(0, 1, len(names) + 1)[1:-1])
    estimator = _fit(CLASSIFIERS[name](), train.to_numpy(), names[np.digitize(target(train), edges)])
    data = export(estimator, [("x", FloatTensorType([None, FEATURES]))], zipmap=zipmap)
    return Exported(data, estimator, numbers(3000, seed=2))


def people(rows: int, seed: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": random.integers(18, 90, rows).astype(np.int64),
            "city": np.array(CITIES, dtype=object)[random.integers(0, len(CITIES), rows)],
            "income": random.normal(50, 12, rows).astype(np.float32),
            "plan": np.array(["a", "b"], dtype=object)[random.integers(0, 2, rows)],
        }
    )


PEOPLE_TYPES = [
    ("age", Int64TensorType([None, 1])),
    ("city", StringTensorType([None, 1])),
    ("income", FloatTensorType([None, 1])),
    ("plan", StringTensorType([None, 1])),
]


@cache
def pipeline(*, zipmap: bool = True, unknown: str = "ignore") -> Exported:
    """A pipeline over integers, texts and floats, one [N, 1] input for each column."""
    train = people(800)
    encode = OneHotEncoder(handle_unknown=unknown, sparse_output=False)
    columns = ColumnTransformer(
        [("text", encode, ["city", "plan"]), ("number", StandardScaler(), ["age", "income"])]
    )
    churned = np.where((train["age"] > 50) ^ (train["city"] == "Rome") | (train["income"] > 65), "yes", "no")
    estimator = _fit(make_pipeline(columns, LogisticRegression(max_iter=300)), train, churned)
    return Exported(export(estimator, PEOPLE_TYPES, zipmap=zipmap), estimator, people(3000, seed=4))
