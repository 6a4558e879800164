"""Models that ``log_model`` does not take say why before anything is sent, and what to log in their place."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from scoter_client import ConversionError, MismatchError, log_model
from scoter_client.models.comparison import Proven, prove
from scoter_client.models.conversion import attempts
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from test_client_models import BOOSTER, CAT, fit
from xgboost import XGBClassifier, XGBRegressor

LIGHT = BOOSTER | {"verbose": -1}


def numbers(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(2)
    return pd.DataFrame({"height": random.normal(size=rows), "count": random.integers(0, 60, rows)})


def refused(model: Any, sample: Any, **more: Any) -> str:
    """Return what is said of a model, without a server: nothing is asked of one."""
    with pytest.raises(ConversionError) as error:
        log_model(None, "never", model, sample=sample, **more)
    return str(error.value)


def proven(model: Any, sample: pd.DataFrame) -> Proven:
    return prove(model, sample, attempts(model, sample), {}, 1e-4)


CLASSIFIERS = {
    "each": lambda: MultiOutputClassifier(LogisticRegression()),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "in_pipeline": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
    "neighbours": KNeighborsClassifier,
    "tree": DecisionTreeClassifier,
}
OF_TWO_CLASSES = {
    "xgboost": lambda: XGBClassifier(**BOOSTER),
    "network": lambda: MLPClassifier((3,), max_iter=5),
    "ridge": RidgeClassifier,
    "chain": lambda: ClassifierChain(LogisticRegression()),
}


@pytest.mark.parametrize("name", [*CLASSIFIERS, *OF_TWO_CLASSES])
def test_a_classifier_with_several_outputs(name: str) -> None:
    frame = numbers()
    second = frame["count"] > 30 if name in OF_TWO_CLASSES else frame["count"] // 20
    target = np.column_stack([frame["height"] > 0, second]).astype(int)
    model = fit((CLASSIFIERS | OF_TWO_CLASSES)[name](), frame, target)
    assert (
        f"{type(model).__name__} is a classifier with 2 outputs for each row, and in SQL a classifier has one: "
        "log a model for each, fitted on one column of the target"
    ) in refused(model, frame)


def test_the_models_of_each_output_are_taken() -> None:
    frame = numbers()
    target = np.column_stack([frame["height"] > 0, frame["count"] // 20]).astype(int)
    model = fit(MultiOutputClassifier(LogisticRegression()), frame, target)
    for each in model.estimators_:
        assert [column.name for column in proven(each, frame).inputs] == ["height", "count"]


def test_numbers_with_several_outputs() -> None:
    frame = numbers()
    target = np.column_stack([frame["height"], -frame["count"]])
    for taken in (LinearRegression(), RandomForestRegressor(5, random_state=0)):
        rows = proven(fit(taken, frame, target), frame).golden(5)
        assert all(len(row["expected"]["variable"]) == 2 for row in rows)
    hint = "the model has 2 outputs for each row: log a model for each"
    assert hint in refused(fit(CatBoostRegressor(loss_function="MultiRMSE", **CAT), frame, target), frame)
    with pytest.raises(MismatchError, match=f"says something else(.|\n)*{hint}"):
        log_model(None, "never", fit(XGBRegressor(**BOOSTER), frame, target), sample=frame)


def test_a_missing_value_hides_no_reason() -> None:
    frame = numbers()
    target = np.column_stack([frame["height"] > 0, frame["count"] > 30]).astype(int)
    model = fit(RandomForestClassifier(5, random_state=0), frame, target)
    gaps = frame.astype(float)
    gaps["count"] = np.nan
    assert "2 outputs" in refused(model, gaps)


@pytest.mark.parametrize("kind", [XGBClassifier, XGBRegressor])
def test_a_bare_booster_of_xgboost(kind: Any) -> None:
    frame = numbers()
    booster = fit(kind(**BOOSTER), frame, (frame["height"] > 0).astype(int)).get_booster()
    said = refused(booster, frame)
    assert "a bare xgboost.Booster is not taken" in said
    assert "XGBClassifier or XGBRegressor of it with load_model(booster.save_raw())" in said
    made = kind()
    made.load_model(booster.save_raw())
    assert len(proven(made, frame).inputs) == 2


def test_a_bare_booster_of_lightgbm() -> None:
    frame = numbers()
    classes = fit(LGBMClassifier(**LIGHT), frame, frame["height"] > 0)
    assert "a bare lightgbm.Booster of classes (binary) is not taken" in refused(classes.booster_, frame)
    values = fit(LGBMRegressor(**LIGHT), frame, frame["height"])
    assert len(proven(values.booster_, frame).inputs) == 2


FLOATS_ONLY = {
    "xgboost": lambda: XGBRegressor(**BOOSTER),
    "lightgbm": lambda: LGBMRegressor(**LIGHT),
    "catboost": lambda: CatBoostRegressor(**CAT),
}


@pytest.mark.parametrize("name", FLOATS_ONLY)
def test_integers_that_floats_do_not_hold(name: str) -> None:
    frame = numbers()
    # One row alone, which is none of the golden rows.
    frame.loc[1, "count"] = -(2**24) - 1
    model = fit(FLOATS_ONLY[name](), frame, frame["height"])
    said = refused(model, frame)
    assert "the column 'count' holds the integer -16777217, and the file takes floats of 32 bits" in said
    assert "above 2^24" in said
    assert "sample.astype({'count': float})" in said
    assert len(proven(model, frame.astype({"count": float})).inputs) == 2


def test_trees_round_integers_whatever_their_file_takes() -> None:
    frame = pd.DataFrame({"seen": 2**24 + 4 * np.arange(100)})
    model = fit(RandomForestClassifier(5, random_state=0), frame, frame["seen"] % 7)
    said = refused(model, frame.astype({"seen": "Int64"}))
    assert "the column 'seen' holds the integer 16777612, and the file takes floats of 32 bits" in said
    assert proven(model, frame.astype({"seen": float})).inputs[0].type == "DOUBLE"


def test_integers_that_only_doubles_hold() -> None:
    frame = numbers()
    frame["count"] += 2**40
    taken = proven(fit(LinearRegression(), frame, frame["height"]), frame)
    assert [each.type for each in taken.inputs] == ["DOUBLE", "BIGINT"]
    frame["count"] += 2**54
    model = fit(make_pipeline(StandardScaler(), LinearRegression()), frame, frame["height"])
    assert "the column 'count' holds the integer 18015498" in refused(model, frame)


def test_integers_that_floats_hold() -> None:
    frame = numbers()
    frame.loc[1, "count"] = 2**24
    model = fit(XGBRegressor(**BOOSTER), frame, frame["height"])
    assert len(proven(model, frame).inputs) == 2


@pytest.mark.parametrize("label", ["all", 1.0])
@pytest.mark.parametrize(
    "kind", [lambda: RandomForestClassifier(3), KNeighborsClassifier, lambda: LGBMClassifier(**LIGHT)]
)
def test_a_classifier_of_one_class(kind: Any, label: Any) -> None:
    frame = numbers()
    model = fit(kind(), frame, np.full(len(frame), label))
    said = refused(model, frame)
    assert f"{type(model).__name__} has learned one class only, {label!r}" in said
    assert "fit it on rows of two classes or more" in said


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Age", "age"], "the columns 'Age' and 'age' differ in case only, and in SQL both are one name"),
        (["É", "é"], "the columns 'É' and 'é' differ in case only"),
        (["", "age"], "the name '' of a column is empty"),
        (["a\0", "age"], r"the name 'a\x00' of a column holds a NUL character"),
        (["age", "age"], "the sample has the column 'age' more than once"),
        (["Expected", "age"], 'a column can not be called "expected"'),
    ],
)
def test_names_that_no_input_can_have(names: list[str], message: str) -> None:
    model = fit(LinearRegression(), numbers().to_numpy(), numbers()["height"])
    assert message in refused(model, numbers().set_axis(names, axis=1))


def test_names_of_columns_that_the_model_does_not_take() -> None:
    frame = numbers()
    model = fit(LinearRegression(), frame, frame["height"])
    more = frame.set_axis(["HEIGHT", "count "], axis=1).assign(**{"": 1})
    assert len(proven(model, pd.concat([frame, more, more], axis=1)).inputs) == 2


def test_a_sample_that_is_no_table() -> None:
    frame = numbers()
    model = fit(LinearRegression(), frame, frame["height"])
    for sample in (None, frame["height"], pl.from_pandas(frame).lazy(), pl.from_pandas(frame)["height"]):
        assert "the sample must be a pandas DataFrame, or a table of polars or pyarrow" in refused(
            model, sample
        )


@pytest.mark.parametrize("booster", ["dart", "gblinear"])
def test_boosters_of_xgboost_that_no_file_holds(booster: str) -> None:
    frame = numbers()
    target = (frame["height"] > 0).astype(int)
    model = XGBClassifier(**BOOSTER, booster=booster)
    for made in (
        model,
        make_pipeline(StandardScaler(), model),
        CalibratedClassifierCV(model, cv=2),
    ):
        said = refused(fit(made, frame, target), frame)
        assert f"XGBClassifier has the booster {booster!r}, of which no converter makes a file" in said
        assert "fit it with booster='gbtree'" in said


def test_boolean_labels_of_catboost() -> None:
    frame = numbers()
    model = fit(CatBoostClassifier(**CAT), frame, frame["height"] > 0)
    assert "CatBoostClassifier has learned boolean labels, of which CatBoost writes no file" in refused(
        model, frame
    )
    integers = fit(CatBoostClassifier(**CAT), frame, (frame["height"] > 0).astype(int))
    assert len(proven(integers, frame).inputs) == 2


def test_the_types_of_numbers_hide_no_reason() -> None:
    frame = numbers()
    columns = ColumnTransformer([("n", SimpleImputer(), ["height", "count"])])
    model = fit(make_pipeline(columns, NearestCentroid()), frame, frame["height"] > 0)
    assert "Unable to find a shape calculator for type '<class 'sklearn.neighbors" in refused(model, frame)


def test_a_file_that_loses_rows() -> None:
    frame = numbers()
    model = fit(BaggingClassifier(LinearSVC(), 2, random_state=0), frame, frame["count"] > 30)
    with pytest.raises(MismatchError, match="the file gives results for 2 rows of the sample, which has 200"):
        log_model(None, "never", model, sample=frame)


def test_a_mismatch_shows_what_each_row_is_given() -> None:
    frame = numbers()
    model = fit(OneVsRestClassifier(LinearSVC()), frame, frame["height"] > 0.1)
    with pytest.raises(MismatchError) as error:
        log_model(None, "never", model, sample=frame)
    first, *rows, last = str(error.value).splitlines()
    assert "on " in first
    assert 1 <= len(rows) <= 5
    for row in rows:
        assert re.fullmatch(
            r"  row \d+ {'height': .*, 'count': .*}: the model says .{4,5}, the file [01]", row
        )
    assert last.startswith("docs/models.md")


def test_classes_that_are_as_likely_in_many_rows() -> None:
    """Probabilities are cut at 0 and 1, so that many rows have two classes alike; the label is of what was cut."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.normal(size=(300, 3)), columns=["a", "b", "c"])
    labels = np.array(["low", "mid", "high"])[(frame["a"] + frame["b"] > 0).astype(int) + (frame["c"] > 0.5)]
    model = fit(SGDClassifier(loss="modified_huber", random_state=0), frame, labels)
    with pytest.raises(MismatchError, match="of 300 rows"):
        prove(model, frame, attempts(model, frame), {}, 1e-4)
