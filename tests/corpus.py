"""Fitted models of the usual libraries with rows on which a converted model is likely to disagree with its library.

This module must not know SQL beyond the text of an INPUT clause.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import models_zoo as zoo
import numpy as np
import pandas as pd
import pyarrow as pa
from catboost.utils import convert_to_onnx_object
from numpy.typing import NDArray
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx.common.data_types import FloatTensorType
from threadpoolctl import threadpool_limits

ROWS = 10_000
FEATURES = zoo.FEATURES
COLUMNS = tuple(f"c{place}" for place in range(FEATURES))
BOOLS = np.array([False, True])
INTS = np.array([-7, 0, 40])
PAIR = np.array([10, 20])
TEXTS = np.array(["à bientôt", "no", "高"], dtype=object)
YES_NO = np.array(["no", "yes"], dtype=object)

Thresholds = list[tuple[int, float]]
Convert = Callable[[Any], bytes]


@dataclass(frozen=True)
class Trained:
    """A fitted estimator, its ONNX file, rows to score and those rows as the estimator takes them.

    ``inputs`` is an INPUT clause. Numbers agree within ``rtol`` and ``atol``; labels must be equal where the
    estimator itself prefers one by more than ``atol``, and it must do so for all but ``unclear`` of the rows.
    """

    estimator: Any
    data: bytes
    table: pa.Table
    given: Any
    inputs: str
    rtol: float
    atol: float
    unclear: float


@dataclass(frozen=True)
class Numbers:
    """What the rows of numbers hold beside ordinary ones.

    ``missing`` is NaN and NULL, ``infinite`` both infinities; ``huge`` the largest magnitude of a value. Where
    the converter rounds thresholds the values beside them are ``steps`` floats away, and none lies on them.
    """

    missing: bool = False
    infinite: bool = False
    huge: float = 1e30
    steps: int = 0


def quiet(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a library that warns, with one thread: other tests run beside."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        return function(*arguments)


def matrix(thresholds: Iterable[tuple[int, float]], kind: Numbers, rows: int = ROWS) -> NDArray[np.float32]:
    """Return rows of which each edge has some: large and small values, thresholds and their neighbours, gaps."""
    values = zoo.numbers(rows, seed=5).to_numpy().copy()
    random = np.random.default_rng(6)
    edges: list[tuple[int, float]] = []
    for place in range(FEATURES):
        singles = [0.0, -0.0, 1e-40, -1e-40, 1e-7, kind.huge, -kind.huge, kind.huge**0.5]
        singles += [np.nan] * 3 if kind.missing else []
        singles += [np.inf, -np.inf] if kind.infinite else []
        edges += [(place, single) for single in singles for _ in range(5)]
    # CatBoost has a border at the largest float.
    for place, threshold in [pair for pair in sorted(set(thresholds)) if abs(pair[1]) < 1e38][:1500]:
        exact = np.float32(threshold)
        away = max(kind.steps, 1) * np.spacing(exact)
        edges += [(place, float(exact + away)), (place, float(exact - away))]
        edges += [(place, float(exact))] if not kind.steps else []
    for row, (place, value) in enumerate(edges):
        values[row, place] = value
    if kind.missing:
        gaps = random.random((rows // 10, FEATURES)) < 0.3
        values[-len(gaps) :][gaps] = np.nan
        values[-1] = np.nan
    return values


def sql_rows(values: NDArray[np.float32]) -> tuple[pa.Table, str]:
    """Return the rows as a table, every second NaN as NULL, and the INPUT clause that makes NULL NaN."""
    arrays = []
    for place in range(values.shape[1]):
        column = values[:, place]
        gap = np.isnan(column) & (np.arange(len(column)) % 2 == 0)
        arrays.append(pa.array(column, mask=gap))
    declared = ", ".join(f"c{place} FLOAT ON NULL NAN" for place in range(values.shape[1]))
    return pa.table(arrays, names=[f"c{place}" for place in range(values.shape[1])]), f"INPUT ({declared})"


def split(values: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels of rows by quantiles of what the rows should give."""
    edges = np.quantile(values, np.linspace(0, 1, len(labels) + 1)[1:-1])
    return labels[np.digitize(values, edges)]


def over_numbers(
    estimator: Any,
    labels: NDArray[Any] | None = None,
    *,
    kind: Numbers | None = None,
    convert: Convert | None = None,
    fit: Callable[[Any, Any, Any], Any] | None = None,
    outputs: int = 1,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    unclear: float = 0.001,
) -> Trained:
    """Fit an estimator on five columns of numbers: to ``labels``, or without them to one or more numbers."""
    kind = kind or Numbers()
    train = zoo.numbers(800)
    target = zoo.target(train)
    inputs = train.to_numpy().copy()
    if kind.missing:
        inputs[np.random.default_rng(7).random(inputs.shape) < 0.1] = np.nan
    if labels is not None:
        target = split(target, labels)
    elif outputs > 1:
        target = np.column_stack([target * (place + 1) + place for place in range(outputs)])
    fitted = quiet(fit, estimator, inputs, target) if fit else quiet(estimator.fit, inputs, target)
    rows = matrix(thresholds_of(fitted), kind)
    table, declared = sql_rows(rows)
    data = (convert or from_sklearn)(fitted)
    return Trained(fitted, data, table, rows, declared, rtol, atol, unclear)


def from_sklearn(estimator: Any) -> bytes:
    """Return the ONNX file of an estimator over five numbers."""
    return zoo.export(estimator, [("x", FloatTensorType([None, FEATURES]))], zipmap=True)


def from_xgboost(estimator: Any) -> bytes:
    """Return the ONNX file of an XGBoost estimator over five numbers."""
    with zoo.strict_integers():
        model = quiet(convert_xgboost, estimator, None, [("x", ToolsFloat([None, FEATURES]))])
    return bytes(model.SerializeToString())


def from_lightgbm(estimator: Any) -> bytes:
    """Return the ONNX file of a LightGBM estimator over five numbers."""
    with zoo.strict_integers():
        model = quiet(convert_lightgbm, estimator, None, [("x", ToolsFloat([None, FEATURES]))])
    return bytes(model.SerializeToString())


def from_catboost(estimator: Any) -> bytes:
    """Return the ONNX file that CatBoost itself writes."""
    return bytes(convert_to_onnx_object(estimator).SerializeToString())


def thresholds_of(estimator: Any) -> Thresholds:
    """Return the places and values at which the trees of an estimator split."""
    if hasattr(estimator, "tree_"):
        tree = estimator.tree_
        inner = tree.children_left >= 0
        return list(zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True))
    if hasattr(estimator, "_predictors"):
        nodes = np.concatenate([tree.nodes for row in estimator._predictors for tree in row])
        nodes = nodes[nodes["is_leaf"] == 0]
        return list(zip(nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist(), strict=True))
    if hasattr(estimator, "get_booster"):
        frame = estimator.get_booster().trees_to_dataframe().dropna(subset=["Split"])
        return [(int(name[1:]), value) for name, value in zip(frame["Feature"], frame["Split"], strict=True)]
    if hasattr(estimator, "booster_"):
        frame = estimator.booster_.trees_to_dataframe().dropna(subset=["threshold"])
        pairs = zip(frame["split_feature"], frame["threshold"], strict=True)
        return [(int(name.removeprefix("Column_")), float(value)) for name, value in pairs]
    if hasattr(estimator, "get_borders"):
        return [(place, value) for place, found in estimator.get_borders().items() for value in found]
    parts = getattr(estimator, "estimators_", ())
    return [pair for part in np.asarray(parts, dtype=object).ravel() for pair in thresholds_of(part)]


def expected(trained: Trained) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[np.bool_]]:
    """Return what the library predicts, its probabilities if it has them, and which labels are clear."""
    estimator, given = trained.estimator, trained.given
    predicted = np.asarray(quiet(estimator.predict, given))
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted.ravel()
    clear = np.ones(len(predicted), dtype=np.bool_)
    if not hasattr(estimator, "predict_proba") and not hasattr(estimator, "decision_function"):
        return predicted, None, clear
    chances = quiet(estimator.predict_proba, given) if hasattr(estimator, "predict_proba") else None
    scores = chances if chances is not None else quiet(estimator.decision_function, given)
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores])
    ordered = np.sort(scores, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 2 * trained.atol
    return predicted, chances, clear


def texts(values: Iterable[Any]) -> pd.Series:
    """Return texts as Python's own, which every version of scikit-learn takes."""
    return pd.Series(list(values), dtype=object)
