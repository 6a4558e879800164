"""The models that the benchmarks of predictions score, with the same rows for SQL and for ONNX Runtime.

This module must not know how anything is timed.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from models_zoo import strict_integers

FEATURES = 28
NUMBERS = [f"f{i}" for i in range(FEATURES)]
TEXTS = ["s0", "s1", "s2"]
CATEGORIES = 40
PIXELS = 64
Feeds = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Scored:
    """A model's file, the SQL arguments of its call, and the tensors that the same rows are.

    ``columns`` are what the rows hold, as SQL over ``range``.
    """

    name: str
    data: bytes
    columns: Mapping[str, str]
    feeds: Callable[[pa.Table], Feeds]
    target: str

    @property
    def arguments(self) -> str:
        """The arguments of PREDICT."""
        return ", ".join(self.columns)


def _drawn(column: int) -> str:
    return f"hash(range * {FEATURES + 8} + {column}) % 1000000"


_NUMERIC = {name: f"CAST({_drawn(i)} / 1e6 AS FLOAT)" for i, name in enumerate(NUMBERS)}
_TEXT = {name: f"'category ' || {_drawn(FEATURES + i)} % {CATEGORIES}" for i, name in enumerate(TEXTS)}
_IMAGE = {"image": f"list_transform(range({PIXELS}), lambda x: CAST((range * 31 + x * 17) % 255 AS FLOAT))"}


def _matrix(table: pa.Table) -> Feeds:
    return {"X": np.column_stack([table.column(name).to_numpy() for name in NUMBERS])}


def _columns(table: pa.Table) -> Feeds:
    found: dict[str, NDArray[np.generic]] = {
        name: table.column(name).to_numpy().reshape(-1, 1) for name in NUMBERS[:5]
    }
    for name in TEXTS:
        found[name] = table.column(name).to_numpy(zero_copy_only=False).astype(object).reshape(-1, 1)
    return found


def _images(table: pa.Table) -> Feeds:
    flat = table.column("image").combine_chunks().flatten().to_numpy()
    return {"image": flat.reshape(-1, 1, 8, 8)}


def models() -> list[Scored]:
    """Train the models on data that they can learn."""
    draw = np.random.default_rng(7)
    rows = draw.random((20_000, FEATURES), dtype=np.float32)
    score = rows @ draw.normal(size=FEATURES) + 2 * rows[:, 0] * rows[:, 1]
    late = (score > np.median(score)).astype(np.int64)
    estimators = {
        ("logistic regression", "see scan"): LogisticRegression(),
        ("boosting, 100 trees", ">= 0.9"): HistGradientBoostingClassifier(max_iter=100, early_stopping=False),
        ("boosting, 500 trees", ">= 0.9"): HistGradientBoostingClassifier(max_iter=500, early_stopping=False),
        ("forest, 100 trees", ">= 0.9"): RandomForestClassifier(100, max_depth=10, n_jobs=-1, random_state=7),
        ("MLP 64-32", ">= 0.4"): MLPClassifier((64, 32), max_iter=20, random_state=7),
    }
    found = []
    with warnings.catch_warnings(), strict_integers():
        warnings.simplefilter("ignore")
        for (name, target), estimator in estimators.items():
            estimator.fit(rows, late)
            data = to_onnx(estimator, rows[:1], options={"zipmap": False}).SerializeToString()
            found.append(Scored(name, data, _NUMERIC, _matrix, target))
        found.append(_one_hot(rows, late, draw))
    return [*found, _convolution(draw)]


def _one_hot(rows: NDArray[np.float32], late: NDArray[np.int64], draw: np.random.Generator) -> Scored:
    frame = pd.DataFrame({name: rows[:, i] for i, name in enumerate(NUMBERS[:5])})
    for name in TEXTS:
        frame[name] = [f"category {place}" for place in draw.integers(0, CATEGORIES, len(rows))]
    encode = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS)], remainder="passthrough"
    )
    pipeline = make_pipeline(encode, LogisticRegression()).fit(frame, late)
    data = to_onnx(pipeline, frame[:1], options={"zipmap": False}).SerializeToString()
    columns = {name: _NUMERIC[name] for name in NUMBERS[:5]} | _TEXT
    return Scored("one-hot pipeline with strings", data, columns, _columns, ">= 0.7")


def _convolution(draw: np.random.Generator) -> Scored:
    def weights(name: str, *shape: int) -> TensorProto:
        values = draw.normal(scale=0.1, size=shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    nodes = [
        helper.make_node("Conv", ["image", "w0", "b0"], ["c0"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w2", "b2"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("digit", TensorProto.INT64, ["n"])],
        [
            weights("w0", 16, 1, 3, 3), weights("b0", 16), weights("w1", 32, 16, 3, 3), weights("b1", 32),
            weights("w2", 512, 10), weights("b2", 10),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    return Scored("convolutional net, 8x8", model.SerializeToString(), _IMAGE, _images, ">= 0.9")
