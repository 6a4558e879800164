"""Pipelines over columns of several types, over texts, and files that no library wrote, say in SQL what they should."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import models_zoo as zoo
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from corpus import TEXTS, YES_NO, Trained, quiet, texts
from corpus_check import check
from onnx import TensorProto, helper, numpy_helper
from sessions import InProcess, opened
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

ROWS = 10_000
CITIES = ("Oslo", "Rome", "Hà Nội", "São Paulo", "", "New York", "高雄")
UNSEEN = ("Atlantis", "oslo", " Oslo", "Rome ", "\N{PILE OF POO}", "a'b\"c")
PEOPLE = {
    "age": Int64TensorType,
    "income": FloatTensorType,
    "city": StringTensorType,
    "plan": StringTensorType,
}


def people(rows: int, *, seed: int, hard: bool = False) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, rows),
            "income": random.normal(50, 12, rows).astype(np.float32),
            "city": texts(random.choice(CITIES, rows)),
            "plan": texts(random.choice(["a", "b", "C"], rows)),
        }
    )
    if hard:
        frame.loc[: rows // 3, "city"] = texts(random.choice(CITIES + UNSEEN, rows // 3 + 1))
        edges = [0, 1e6, -1e6, 1e-30]
        frame.loc[: len(edges) - 1, "income"] = np.array(edges, dtype=np.float32)
        frame.loc[:3, "age"] = [0, -1, 120, 2**24]
    return frame


def over_people(
    steps: list[Any], final: Any, labels: Any = None, *, gaps: bool = False, **more: Any
) -> Trained:
    train, rows = people(1000, seed=1), people(ROWS, seed=2, hard=True)
    value = train["age"] * 1.0 + train["income"] + 20 * (train["city"] == "Rome") - 9 * (train["plan"] == "C")
    if gaps:
        for frame in (train, rows):
            frame.loc[np.arange(len(frame)) % 7 == 3, "income"] = np.nan
    target = value.to_numpy()
    if labels is not None:
        target = labels[np.digitize(target, np.quantile(target, np.linspace(0, 1, len(labels) + 1)[1:-1]))]
    pipeline = make_pipeline(ColumnTransformer(steps), final)
    quiet(pipeline.fit, train, target)
    data = zoo.export(pipeline, [(name, kind([None, 1])) for name, kind in PEOPLE.items()], zipmap=True)
    tolerances = {"rtol": 1e-5, "atol": 1e-5, "unclear": 0.001} | more
    income = pa.array(
        rows["income"].to_numpy(), mask=np.isnan(rows["income"].to_numpy()) & (rows.index % 2 == 0)
    )
    table = pa.Table.from_pandas(rows, preserve_index=False).set_column(1, "income", income)
    declared = "INPUT (age BIGINT, income FLOAT ON NULL NAN, city VARCHAR, plan VARCHAR)"
    return Trained(pipeline, data, table, rows, declared, **tolerances)


ONE_HOT = ("text", OneHotEncoder(handle_unknown="ignore"), ["city", "plan"])
ORDINAL = ("text", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["city", "plan"])
SCALED = ("number", StandardScaler(), ["age", "income"])
IMPUTED = ("number", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["income"])
BARE = ("number", "passthrough", ["age", "income"])

# What scikit-learn's own pattern of a word means, as ONNX Runtime's expressions spell it.
UNICODE_WORDS = r"[\pL\pN_][\pL\pN_]+"
WORDS = (
    "late",
    "early",
    "on time",
    "naïve",
    "cancelled!",
    "GATE 7",
    "gate-7",
    "x",
    "",
    "don't",
    "高雄",
    "Ünïcode",
)


def sentences(rows: int, seed: int) -> pd.Series:
    random = np.random.default_rng(seed)
    made = [" ".join(random.choice(WORDS, random.integers(0, 8))) for _ in range(rows)]
    return texts(made)


def over_texts(vectoriser: Any, final: Any, words: str | None = None, **more: Any) -> Trained:
    train, rows = sentences(800, 1), sentences(ROWS, 2)
    rows.iloc[:4] = ["", "   ", "unknown words only", "late late late late"]
    target = YES_NO[train.str.contains("late|GATE").to_numpy().astype(int)]
    pipeline = quiet(make_pipeline(vectoriser, final).fit, train, target)
    options = {id(vectoriser): {"tokenexp": words}} if words else None
    data = zoo.export(pipeline, [("note", StringTensorType([None, 1]))], zipmap=True, options=options)
    table = pa.table({"note": pa.array(rows.tolist())})
    return Trained(pipeline, data, table, rows, "", **({"rtol": 1e-5, "atol": 1e-5, "unclear": 0.01} | more))


class Tanh:
    """Two layers that NumPy computes as ONNX does, with doubles."""

    def __init__(self) -> None:
        random = np.random.default_rng(9)
        self.first, self.second = random.normal(size=(3, 8)), random.normal(size=(8, 1))

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.tanh(rows @ self.first) @ self.second

    def file(self) -> bytes:
        nodes = [
            helper.make_node("Concat", ["a", "b", "c"], ["x"], axis=1),
            helper.make_node("MatMul", ["x", "first"], ["h"]),
            helper.make_node("Tanh", ["h"], ["t"]),
            helper.make_node("MatMul", ["t", "second"], ["y"]),
        ]
        double = TensorProto.DOUBLE
        graph = helper.make_graph(
            nodes,
            "by hand",
            [helper.make_tensor_value_info(name, double, ["n", 1]) for name in "abc"],
            [helper.make_tensor_value_info("y", double, ["n", 1])],
            [numpy_helper.from_array(self.first, "first"), numpy_helper.from_array(self.second, "second")],
        )
        model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
        return bytes(model.SerializeToString())


def by_hand() -> Trained:
    net = Tanh()
    rows = np.random.default_rng(10).normal(size=(ROWS, 3))
    rows[:4] = [[0, -0.0, 1e300], [np.inf, -np.inf, 1], [1e-320, 0, 0], [np.nan, 1, 1]]
    table = pa.table(dict(zip("abc", rows.T, strict=True)))
    return Trained(net, net.file(), table, rows, "", rtol=1e-12, atol=1e-12, unclear=0)


class Digits:
    """Four filters over pictures of 8 x 8 points and a logistic regression over what they see."""

    def __init__(self) -> None:
        self.filters = np.random.default_rng(11).normal(size=(4, 1, 3, 3)).astype(np.float32)
        self.pictures, target = load_digits(return_X_y=True)
        self.last = quiet(LogisticRegression(max_iter=200).fit, self.seen(self.pictures), target)

    def seen(self, rows: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(rows.reshape(-1, 8, 8), (3, 3), axis=(1, 2))
        found = np.einsum("nijab,fab->nfij", windows, self.filters[:, 0])
        return np.maximum(found, 0).reshape(len(rows), -1)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.last.predict(self.seen(rows))

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return self.last.predict_proba(self.seen(rows))

    def file(self) -> bytes:
        nodes = [
            helper.make_node("Conv", ["picture", "filters"], ["seen"]),
            helper.make_node("Relu", ["seen"], ["bright"]),
            helper.make_node("Flatten", ["bright"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["sums"], transB=1),
            helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["sums"], ["label"], axis=1, keepdims=0),
        ]
        held = {"filters": self.filters, "weights": self.last.coef_, "bias": self.last.intercept_}
        graph = helper.make_graph(
            nodes,
            "digits",
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 1, 8, 8])],
            [
                helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10]),
            ],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in held.items()],
        )
        model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
        return bytes(model.SerializeToString())


def digits() -> Trained:
    net = Digits()
    random = np.random.default_rng(12)
    rows = net.pictures[random.integers(0, len(net.pictures), ROWS)] + random.integers(-2, 3, (ROWS, 64))
    rows[:3] = [np.zeros(64), np.full(64, 1e4), np.tile([16, 0], 32)]
    table = pa.table({"picture": pa.array(list(rows), pa.list_(pa.float32()))})
    return Trained(net, net.file(), table, rows, "", rtol=1e-4, atol=1e-4, unclear=0.01)


CASES: dict[str, Callable[[], Trained]] = {
    "by_hand_doubles": by_hand,
    "digits": digits,
    "one_hot": lambda: over_people([ONE_HOT, SCALED], LogisticRegression(max_iter=500), YES_NO),
    "one_hot_three": lambda: over_people([ONE_HOT, SCALED], LogisticRegression(max_iter=500), TEXTS),
    "one_hot_ridge": lambda: over_people([ONE_HOT, SCALED], Ridge()),
    "ordinal_forest": lambda: over_people(
        [ORDINAL, BARE], RandomForestClassifier(20, random_state=0), YES_NO, unclear=0.03
    ),
    "ordinal_forest_regressor": lambda: over_people(
        [ORDINAL, BARE], RandomForestRegressor(20, random_state=0)
    ),
    "imputed": lambda: over_people(
        [ONE_HOT, IMPUTED], LogisticRegression(max_iter=500), YES_NO, gaps=True, unclear=0.01
    ),
    "min_max": lambda: over_people([ONE_HOT, ("number", MinMaxScaler(), ["age", "income"])], Ridge()),
    "robust": lambda: over_people([ONE_HOT, ("number", RobustScaler(), ["age", "income"])], Ridge()),
    "polynomial": lambda: over_people(
        [ONE_HOT, ("number", make_pipeline(StandardScaler(), PolynomialFeatures(2)), ["age", "income"])],
        Ridge(),
    ),
    "bins": lambda: over_people(
        [ONE_HOT, ("number", KBinsDiscretizer(5, encode="onehot-dense"), ["age", "income"])],
        LogisticRegression(max_iter=500),
        YES_NO,
    ),
    "counts": lambda: over_texts(CountVectorizer(), MultinomialNB(), UNICODE_WORDS),
    "tfidf": lambda: over_texts(TfidfVectorizer(), LogisticRegression(), UNICODE_WORDS),
    "tfidf_pairs": lambda: over_texts(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern="[a-zA-Z0-9]+"), LogisticRegression()
    ),
    "tfidf_cased": lambda: over_texts(
        TfidfVectorizer(lowercase=False, token_pattern="[^ ]+"), LogisticRegression()
    ),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("corpus")) as engine:
        yield InProcess(engine)


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_it_was_made_from(session: InProcess, name: str) -> None:
    check(session, name, CASES[name]())
