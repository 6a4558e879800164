"""Models that refuse categories they have not seen are run, before they are registered, on ones that they name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import models_zoo as zoo
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper
from sessions import InProcess, bound, opened
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from slt import Refused
from test_udfs_hostile import model, tensor
from test_udfs_texts import labels, one_hot

from scoter.engine.ingest import Mode, Present, ingest

_REPLACE = Mode(create=True, present=Present.REPLACE)
KINDS = {"city": StringTensorType, "plan": StringTensorType, "code": Int64TensorType, "age": FloatTensorType}
FRAME = pd.DataFrame(
    {
        "city": pd.Series(["Oslo", "Rome", "Bern", "Oslo"] * 20, dtype=object),
        "plan": pd.Series(["x", "y", "y", "z"] * 20, dtype=object),
        "code": [40, 10, 20, 30] * 20,
        "age": np.arange(80, dtype=np.float32),
    }
)
TARGET = (np.arange(80) // 7) % 2


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("samples")) as engine:
        yield InProcess(engine)


def register(session: InProcess, data: bytes) -> None:
    session.update("CREATE OR REPLACE MODEL m FROM ?", bound(data))


def encoded(*groups: tuple[Any, list[str]]) -> tuple[Any, list[str]]:
    steps = [(f"g{place}", encoder, columns) for place, (encoder, columns) in enumerate(groups)]
    pipeline = make_pipeline(
        ColumnTransformer([*steps, ("n", StandardScaler(), ["age"])]), LogisticRegression()
    )
    return pipeline, ["age", *sorted({column for _, columns in groups for column in columns})]


PIPELINES = {
    "one encoder": encoded((OneHotEncoder(), ["city", "plan"])),
    "an encoder for each": encoded((OneHotEncoder(), ["city"]), (OneHotEncoder(), ["plan"])),
    "of integers": encoded((OneHotEncoder(), ["code"]), (OneHotEncoder(), ["plan"])),
    "drop": encoded((OneHotEncoder(drop="first"), ["plan"]), (OneHotEncoder(drop="if_binary"), ["city"])),
    "two for a column": encoded(
        (OneHotEncoder(categories=[["Atlantis", "Bern", "Oslo", "Rome"]]), ["city"]),
        (OneHotEncoder(), ["city"]),
    ),
    "one of two refuses": encoded(
        (OneHotEncoder(categories=[["Atlantis", "Bern"]], handle_unknown="ignore"), ["city"]),
        (OneHotEncoder(), ["city"]),
    ),
    "places": encoded((make_pipeline(OrdinalEncoder(), OneHotEncoder()), ["city", "plan"])),
}


def fitted(name: str) -> tuple[Any, pd.DataFrame, bytes]:
    pipeline, columns = PIPELINES[name]
    made = pipeline.fit(FRAME[columns], TARGET)
    return made, FRAME[columns], zoo.export(made, [(each, KINDS[each]([None, 1])) for each in columns])


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_that_refuses_the_unknown_is_registered(session: InProcess, name: str) -> None:
    made, frame, data = fitted(name)
    register(session, data)
    rows = pa.Table.from_pandas(frame.assign(n=range(len(frame))), preserve_index=False)
    ingest(session.engine, "t", rows.to_reader(), session.context, mode=_REPLACE)
    found = [row[0] for row in session.rows("SELECT PREDICT('m', t) FROM t ORDER BY n")]
    chances = made.predict_proba(frame)
    clear = abs(chances[:, 0] - chances[:, 1]) > 1e-4
    assert (np.array(found) == made.predict(frame))[clear].all()
    category = next(column for column in ("code", "plan", "city") if column in frame)
    unseen = "7" if category == "code" else "'Venus'"
    row = "{" + ", ".join(f"{c}: {unseen if c == category else f't.{c}'}" for c in frame.columns) + "}"
    assert session.rows(f"SELECT TRY_PREDICT('m', {row}) FROM t WHERE n = 0") == [(None,)]
    with pytest.raises(Refused, match=r"\[38000\] MODEL_FAILED.*Unknown Category"):
        session.rows(f"SELECT PREDICT('m', {row}) FROM t WHERE n = 0")


@pytest.mark.parametrize("kind", [StringTensorType, Int64TensorType, FloatTensorType])
@pytest.mark.parametrize("columns", [1, 2])
def test_columns_of_one_tensor(session: InProcess, kind: Any, columns: int) -> None:
    frame = (
        FRAME[["city", "plan"]]
        if kind is StringTensorType
        else FRAME[["code"]].assign(other=FRAME["code"] * 3)
    )
    made = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(
        frame.iloc[:, :columns].to_numpy(), TARGET
    )
    register(session, zoo.export(made, [("x", kind([None, columns]))]))
    known = ["'Rome'", "'y'"] if kind is StringTensorType else ["10", "30"]
    given = frame.iloc[1:2, :columns].to_numpy()
    assert session.value(f"SELECT PREDICT('m', {', '.join(known[:columns])})") == made.predict(given)[0]
    unseen = [*known[: columns - 1], "'Venus'" if kind is StringTensorType else "7"]
    assert session.value(f"SELECT TRY_PREDICT('m', {', '.join(unseen)})") is None


def gather(given: str, made: str, places: list[int] | int, axis: int = 1) -> list[Any]:
    held = numpy_helper.from_array(np.array(places), f"{made}_places")
    return [
        helper.make_node("Constant", [], [f"{made}_places"], value=held),
        helper.make_node("Gather", [given, f"{made}_places"], [made], axis=axis),
    ]


def held(name: str, *values: int) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values), name))


# Both columns of x are looked up in lists of their own, of which neither has a text of the other.
CUTS = {
    "places from the end": [*gather("x", "a", [-2], -1), *gather("x", "b", [-1], -1)],
    "one place": [*gather("x", "a", 0), *gather("x", "b", 1)],
    "split": [helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)],
    "split by sizes": [held("s", 1, 1), helper.make_node("Split", ["x", "s"], ["a", "b"], axis=-1)],
    "slice": [
        held("zero", 0),
        held("one", 1),
        held("all", 2**62),
        helper.make_node("Slice", ["x", "zero", "one", "one"], ["a"]),
        helper.make_node("Slice", ["x", "one", "all", "one", "one"], ["b"]),
    ],
    "joined and cut": [
        *gather("x", "a1", [1]),
        *gather("x", "b1", [0]),
        helper.make_node("Concat", ["a1", "b1"], ["turned"], axis=-1),
        *gather("turned", "a", [1]),
        *gather("turned", "b", [0]),
    ],
}


@pytest.mark.parametrize("name", CUTS)
def test_columns_are_found_where_they_were_cut(session: InProcess, name: str) -> None:
    nodes = [
        *CUTS[name],
        held("flat", -1, 1),
        helper.make_node("Reshape", ["a", "flat"], ["a2"]),
        helper.make_node("Reshape", ["b", "flat"], ["b2"]),
        one_hot("a2", "a3", "Oslo", "Rome", zeros=0),
        one_hot("b2", "b3", "x", "y", "z", zeros=0),
        helper.make_node("Concat", ["a3", "b3"], ["both"], axis=2),
        helper.make_node("Flatten", ["both"], ["y"]),
    ]
    one = model(
        nodes,
        inputs=[tensor("x", TensorProto.STRING, ("n", 2))],
        outputs=[tensor("y", TensorProto.FLOAT, ("n", 5))],
    )
    register(session, one.SerializeToString())
    assert session.value("SELECT PREDICT('m', 'Rome', 'z')") == [0, 1, 0, 0, 1]
    assert session.value("SELECT TRY_PREDICT('m', 'z', 'Rome')") is None


def test_a_text_is_looked_up_before_it_is_encoded(session: InProcess) -> None:
    nodes = [
        labels("x", "place", ["Oslo", "Rome"], values_int64s=[5, 6], default_int64=-1),
        helper.make_node("OneHotEncoder", ["place"], ["y"], domain="ai.onnx.ml", cats_int64s=[5, 6], zeros=0),
    ]
    one = model(
        nodes,
        inputs=[tensor("x", TensorProto.STRING, ("n",))],
        outputs=[tensor("y", TensorProto.FLOAT, ("n", 2))],
    )
    register(session, one.SerializeToString())
    assert session.value("SELECT PREDICT('m', 'Rome')") == [0, 1]
    assert session.value("SELECT TRY_PREDICT('m', 'Venus')") is None


def test_numbers_become_the_texts_of_categories(session: InProcess) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["text"], to=TensorProto.STRING),
        one_hot("text", "y", "40", "50", "none", zeros=0),
    ]
    one = model(
        nodes,
        inputs=[tensor("x", TensorProto.INT64, ("n",))],
        outputs=[tensor("y", TensorProto.FLOAT, ("n", 3))],
    )
    register(session, one.SerializeToString())
    assert session.value("SELECT PREDICT('m', 50)") == [0, 1, 0]
    assert session.value("SELECT TRY_PREDICT('m', 7)") is None
