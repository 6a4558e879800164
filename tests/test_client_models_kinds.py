"""Models and samples of kinds that converters or SQL need help with, logged on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scoter_client
from flight_sql import served
from lightgbm import LGBMClassifier
from scoter_client.models.comparison import prove
from scoter_client.models.conversion import attempts
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from test_client_models import BOOSTER, fit

NUMBERS = ["height", "count"]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        served(tmp_path_factory.mktemp("kinds")) as running,
        scoter_client.connect(running.address) as made,
    ):
        with made.cursor() as cursor:
            cursor.adbc_ingest("measured", pa.Table.from_pandas(measured().assign(n=range(200))))
        yield made


def measured() -> pd.DataFrame:
    random = np.random.default_rng(4)
    return pd.DataFrame({"height": random.normal(size=200), "count": random.integers(0, 60, 200)})


def labels(frame: pd.DataFrame) -> Any:
    return np.array(["low", "", "it's"])[(frame["count"] // 20).to_numpy()]


def asked(connection: Any, sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[-1] for row in cursor.fetchall()]


def voters() -> list[tuple[str, Any]]:
    return [
        ("line", LogisticRegression()),
        ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
        ("curve", QuadraticDiscriminantAnalysis()),
    ]


def imputed(model: Any) -> Any:
    """Let a model stand behind integers and floats, each an input of its own."""
    return make_pipeline(ColumnTransformer([("n", SimpleImputer(), NUMBERS)]), model)


CLASSIFIERS = {
    "svc": LinearSVC,
    "svc_behind": lambda: make_pipeline(StandardScaler(), LinearSVC()),
    "svc_behind_two": lambda: make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LinearSVC())),
    "svc_found": lambda: GridSearchCV(LinearSVC(), {"C": [1]}, cv=2),
    "svc_found_behind": lambda: make_pipeline(StandardScaler(), GridSearchCV(LinearSVC(), {"C": [1]}, cv=2)),
    "svc_behind_found": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), LinearSVC()), {"linearsvc__C": [1]}, cv=2
    ),
    "svc_calibrated": lambda: CalibratedClassifierCV(LinearSVC(), cv=2),
    "logistic_found_behind": lambda: make_pipeline(
        StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [1]}, cv=2)
    ),
    "curved": QuadraticDiscriminantAnalysis,
    "curved_behind": lambda: imputed(QuadraticDiscriminantAnalysis()),
    "soft_votes": lambda: imputed(VotingClassifier(voters(), voting="soft")),
    "weighed_votes": lambda: VotingClassifier(voters(), voting="soft", weights=[3, 2, 1]),
    "hard_votes": lambda: VotingClassifier(voters()),
    "light": lambda: LGBMClassifier(**BOOSTER, verbose=-1),
}


@pytest.mark.parametrize("of", ["texts", "booleans"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_says_the_same(connection: Any, name: str, of: str) -> None:
    frame = measured()
    model = fit(CLASSIFIERS[name](), frame, labels(frame) if of == "texts" else frame["count"] > 30)
    wanted = list(model.predict(frame))
    logged = f"{name}_{of}"
    scoter_client.log_model(connection, logged, model, sample=frame)
    assert asked(connection, f"SELECT PREDICT('{logged}', height, count) FROM measured ORDER BY n") == wanted
    assert list(model.predict(frame)) == wanted  # also of a model that is converted as another
    if hasattr(model, "predict_proba"):
        found = asked(connection, f"SELECT PREDICT_PROBA('{logged}', height, count) FROM measured ORDER BY n")
        names = list(model.classes_) if of == "texts" else [0, 1]
        assert [label for label, _ in found[0]] == names
        chances = [[chance for _, chance in row] for row in found]
        np.testing.assert_allclose(chances, model.predict_proba(frame), atol=1e-4)


def test_votes_on_a_number(connection: Any) -> None:
    frame = measured()
    members = [("line", LinearRegression()), ("tree", DecisionTreeRegressor(max_depth=3))]
    model = fit(VotingRegressor(members, weights=[2, 1]), frame, frame["height"] + frame["count"])
    scoter_client.log_model(connection, "number", model, sample=frame)
    found = asked(connection, "SELECT PREDICT('number', height, count) FROM measured ORDER BY n")
    np.testing.assert_allclose(found, model.predict(frame), rtol=1e-4)
    assert model.weights == [2, 1]


def test_a_conversion_leaves_a_voting_model_as_it_is() -> None:
    frame = measured()
    model = fit(VotingClassifier(voters(), voting="soft", weights=[3, 2, 1]), frame, labels(frame))
    before = dict(vars(model))
    prove(model, frame, attempts(model, frame), {}, 1e-4)
    assert vars(model) == before
    assert model.transform(frame).shape == (200, 9)


def test_golden_rows_with_an_empty_label(connection: Any) -> None:
    frame = measured()
    model = fit(LogisticRegression(max_iter=300), frame, labels(frame))
    scoter_client.log_model(connection, "empty", model, sample=frame, golden_rows=3)
    made = str(asked(connection, "SHOW CREATE MODEL empty"))
    assert made.count("MAP {") == 3


@pytest.mark.parametrize("kind", ["polars", "arrow"])
def test_tables_of_other_libraries(connection: Any, kind: str) -> None:
    frame = measured().astype({"count": "Int64"})
    frame.loc[::7, "count"] = pd.NA
    frame["tall"] = frame["height"] > 0
    sample = pl.from_pandas(frame) if kind == "polars" else pa.Table.from_pandas(frame)
    model = fit(make_pipeline(SimpleImputer(), LinearRegression()), frame, frame["height"] * 2)
    scoter_client.log_model(connection, kind, model, sample=sample)
    whole, gap = (
        asked(connection, f"SELECT PREDICT('{kind}', 1.5, {count}, true)")[0] for count in ("7", "NULL")
    )
    rows = pd.DataFrame({"height": [1.5, 1.5], "count": [7, np.nan], "tall": [True, True]})
    np.testing.assert_allclose([whole, gap], model.predict(rows), rtol=1e-4)


def test_columns_that_numbers_name(connection: Any) -> None:
    frame = measured()
    model = fit(LinearRegression(), frame.to_numpy(), frame["count"])
    scoter_client.log_model(connection, "numbered", model, sample=frame.set_axis([0, 1], axis=1))
    (found,) = asked(connection, """SELECT PREDICT('numbered', {'0': 0.5, '1': 17})""")
    assert found == pytest.approx(17, rel=1e-4)


def test_rows_that_sql_can_not_write_are_no_golden_rows(connection: Any) -> None:
    notes = pd.DataFrame({"note": ["late\0", "on time", "late again", "x"] * 10})
    late = notes["note"].str.contains("late")
    model = fit(make_pipeline(TfidfVectorizer(), LogisticRegression()), notes["note"], late)
    scoter_client.log_model(connection, "noted", model, sample=notes, golden_rows=10)
    made = str(asked(connection, "SHOW CREATE MODEL noted"))
    assert made.count("expected") == 10
    assert asked(connection, "SELECT PREDICT('noted', 'late late')") == [1]


def test_labels_that_sql_can_not_write(connection: Any) -> None:
    frame = measured()
    model = fit(LogisticRegression(), frame, np.where(frame["count"] > 30, "ma\0ny", "few"))
    with pytest.raises(scoter_client.ConversionError, match="NUL character, which SQL can not write"):
        scoter_client.log_model(connection, "nul", model, sample=frame)
    scoter_client.log_model(connection, "nul", model, sample=frame, golden_rows=0)
    found = asked(connection, "SELECT PREDICT('nul', height, count) FROM measured ORDER BY n")
    assert found == list(model.predict(frame))


@pytest.mark.parametrize("told", [{"name": "a\0b"}, {"comment": "a\0b"}, {"properties": {"run": "a\0b"}}])
def test_other_texts_that_sql_can_not_write(connection: Any, told: dict[str, Any]) -> None:
    frame = measured()
    model = fit(LinearRegression(), frame, frame["height"])
    with pytest.raises(ValueError, match=r"'a\\x00b' holds a NUL character, which SQL can not write"):
        scoter_client.log_model(connection, **{"name": "told", "model": model, "sample": frame} | told)


def test_numbers_of_numpy_in_what_is_said_of_a_version(connection: Any) -> None:
    frame = measured()
    model = fit(make_pipeline(SimpleImputer(), LinearRegression()), frame, frame["height"] * 2)
    scoter_client.log_model(
        connection,
        "numpy",
        model,
        sample=frame,
        on_null={"height": frame["height"].median(), "count": np.float32("nan")},
        metrics={"r2": np.float64(0.5), "rows": np.int64(200)},
    )
    found = asked(connection, "SELECT PREDICT('numpy', NULL, 3)")[0]
    assert found == pytest.approx(2 * frame["height"].median(), abs=1e-3)
    assert asked(
        connection, "SELECT on_null FROM system.model_inputs WHERE model_name = 'numpy' AND position = 2"
    ) == ["NAN"]
    assert asked(
        connection, "SELECT metrics['rows'] FROM system.model_versions WHERE model_name = 'numpy'"
    ) == [200.0]
