"""Models of every library, logged from Python on a real server, say in SQL what they say in Python."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scoter_client
from catboost import CatBoostClassifier, CatBoostRegressor
from flight_sql import served
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits
from xgboost import XGBClassifier, XGBRegressor

CITIES = ("Oslo", "Hà Nội", "", "a'b")
BOOSTER = {"n_estimators": 10, "n_jobs": 1, "random_state": 0}
CAT = {"iterations": 10, "depth": 4, "verbose": False, "thread_count": 1, "allow_writing_files": False}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        served(tmp_path_factory.mktemp("logged")) as running,
        scoter_client.connect(running.address) as made,
    ):
        yield made


def people(rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "Age": random.integers(18, 90, rows),
            "income €": random.normal(50, 12, rows),
            "member": random.random(rows) < 0.5,
            "city": pd.Series(random.choice(CITIES, rows)),
            "plan": pd.Categorical(random.choice(["a", "b"], rows)),
        }
    )


def wanted(frame: pd.DataFrame) -> Any:
    return frame["Age"] + frame["income €"] + 20 * frame["member"]


NUMBERS = ["Age", "income €", "member"]
ENCODED = ColumnTransformer(
    [("text", OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]), ("n", StandardScaler(), NUMBERS[:2])]
)
UNSCALED = ColumnTransformer(
    [("text", OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]), ("n", "passthrough", NUMBERS[:2])]
)


def fit(model: Any, sample: pd.DataFrame, target: Any) -> Any:
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        return model.fit(sample, target)


def predicted(connection: Any, name: str, frame: pd.DataFrame) -> list[Any]:
    table = f"{name}_rows"
    with connection.cursor() as cursor:
        sent = frame.assign(n=range(len(frame)))
        sent["plan"] = sent["plan"].astype(object)
        cursor.adbc_ingest(table, pa.Table.from_pandas(sent, preserve_index=False), mode="replace")
        cursor.execute(f"SELECT PREDICT('{name}', t) FROM {table} AS t ORDER BY n")
        return [row[0] for row in cursor.fetchall()]


CLASSIFIERS = {
    "pipeline": lambda: make_pipeline(ENCODED, LogisticRegression(max_iter=300)),
    "pipeline_of_xgboost": lambda: make_pipeline(UNSCALED, XGBClassifier(**BOOSTER)),
    "pipeline_of_lightgbm": lambda: make_pipeline(UNSCALED, LGBMClassifier(**BOOSTER, verbose=-1)),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "xgboost": lambda: XGBClassifier(**BOOSTER),
    "lightgbm": lambda: LGBMClassifier(**BOOSTER, verbose=-1),
    "catboost": lambda: CatBoostClassifier(**CAT),
}
REGRESSORS = {
    "linear_number": LinearRegression,
    "hist_number": lambda: HistGradientBoostingRegressor(max_iter=10),
    "xgboost_number": lambda: XGBRegressor(**BOOSTER),
    "lightgbm_number": lambda: LGBMRegressor(**BOOSTER, verbose=-1),
    "catboost_number": lambda: CatBoostRegressor(**CAT),
}


@pytest.mark.parametrize("name", [*CLASSIFIERS, *REGRESSORS])
def test_a_logged_model_says_the_same(connection: Any, name: str) -> None:
    frame = people()
    sample = frame if "pipeline" in name else frame[NUMBERS]
    target = wanted(frame)
    if name in CLASSIFIERS:
        labels = np.array([0, 1]) if "xgb" in name else np.array(["no", "yes"])
        target = labels[(target > target.median()).to_numpy().astype(int)]
    model = fit((CLASSIFIERS | REGRESSORS)[name](), sample, target)
    logged = scoter_client.log_model(connection, name, model, sample=sample)
    assert (logged.name, logged.version) == (f"main.{name}", 1)
    found = predicted(connection, name, frame)
    if name in CLASSIFIERS:
        chances = np.sort(model.predict_proba(sample))
        clear = chances[:, -1] - chances[:, -2] > 1e-3
        assert (np.array(found) == np.ravel(model.predict(sample)))[clear].all()
        assert clear.mean() > 0.8
    else:
        np.testing.assert_allclose(found, model.predict(sample), rtol=1e-4)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT sha256 FROM system.model_versions WHERE model_name = '{name}'")
        assert cursor.fetchall() == [(logged.sha256,)]
        cursor.execute(f"SHOW CREATE MODEL {name}")
        assert "verify = [" in str(cursor.fetchall())


def test_the_next_version_with_all_that_is_said_of_it(connection: Any) -> None:
    frame = people()[NUMBERS]
    for version in (1, 2):
        model = fit(LinearRegression(), frame, wanted(frame) * version)
        logged = scoter_client.log_model(
            connection,
            "main.said",
            model,
            sample=frame,
            alias="champion",
            comment="it's the best",
            metrics={"r2": np.float64(0.5), "n": 3},
            properties={"run": "a'17"},
            golden_rows=3,
        )
        assert logged.version == version
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version, aliases, comment, metrics['r2'], properties['run'] FROM system.model_versions "
            "WHERE model_name = 'said' ORDER BY version"
        )
        assert cursor.fetchall() == [
            (1, [], "it's the best", 0.5, "a'17"),
            (2, ["champion"], "it's the best", 0.5, "a'17"),
        ]
        cursor.execute("SELECT PREDICT('said@champion', 30, 50, true)")
        assert math.isclose(cursor.fetchone()[0], 200, rel_tol=1e-4)


def test_texts(connection: Any) -> None:
    frame = pd.DataFrame({"note": ["late Ünïcode", "on time", "naïve late", "", "x"] * 40})
    model = fit(
        make_pipeline(TfidfVectorizer(), LogisticRegression()),
        frame["note"],
        frame["note"].str.contains("late"),
    )
    scoter_client.log_model(connection, "notes", model, sample=frame)
    with connection.cursor() as cursor:
        cursor.execute("SELECT PREDICT('notes', 'Ünïcode late'), PREDICT('notes', 'on time')")
        assert cursor.fetchall() == [(1, 0)]


def test_what_is_missing(connection: Any) -> None:
    frame = people()[["Age", "income €"]].astype({"Age": "Int64"})
    target = wanted(people()).to_numpy()
    frame.loc[frame.index % 5 == 0, "income €"] = np.nan
    frame.loc[frame.index % 7 == 0, "Age"] = pd.NA
    taken = fit(make_pipeline(SimpleImputer(), LinearRegression()), frame, target)
    scoter_client.log_model(connection, "imputed", taken, sample=frame)
    whole = frame.dropna()
    refused = fit(LinearRegression(), whole, target[whole.index])
    scoter_client.log_model(connection, "refused", refused, sample=frame)
    scoter_client.log_model(connection, "filled", refused, sample=frame, on_null={"income €": 50.0})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT " + ", ".join(f"PREDICT('{m}', 30, NULL)" for m in ("imputed", "refused", "filled"))
        )
        imputed, nothing, filled = cursor.fetchone()
    gap = pd.DataFrame({"Age": pd.array([30], dtype="Int64"), "income €": [np.nan]})
    assert math.isclose(imputed, taken.predict(gap)[0], rel_tol=1e-4)
    assert nothing is None
    assert math.isclose(filled, refused.predict(gap.fillna(50.0))[0], rel_tol=1e-4)


def test_a_large_model_over_a_plain_connection(tmp_path: Path) -> None:
    """The driver takes messages up to 16 MiB, when it is told nothing."""
    frame = people(60)[NUMBERS].astype(float)
    model = fit(
        MLPRegressor(hidden_layer_sizes=(2500, 2000), max_iter=1, random_state=0), frame, wanted(frame)
    )
    with (
        served(tmp_path) as running,
        adbc_driver_flightsql.dbapi.connect(running.address, autocommit=True) as plain,
    ):
        for version in (1, 2):
            logged = scoter_client.log_model(plain, "large", model, sample=frame)
            assert (logged.version, len(logged.onnx) > 17 * 1024 * 1024) == (version, True)
        with plain.cursor() as cursor:
            cursor.execute("SELECT sha256 FROM system.model_versions")
            assert cursor.fetchall() == [(logged.sha256,)] * 2
            cursor.execute("SELECT PREDICT('large', 30, 50, true)")
            rows = pd.DataFrame([[30.0, 50.0, 1.0]], columns=NUMBERS)
            assert math.isclose(cursor.fetchone()[0], model.predict(rows)[0], rel_tol=1e-4)


def test_large_integers(connection: Any) -> None:
    frame = pd.DataFrame({"seen": np.arange(300) + 2**40, "n": np.arange(300) % 7})
    target = (frame["seen"] - 2**40).astype(float)
    exact = fit(make_pipeline(StandardScaler(), LinearRegression()), frame, target)
    scoter_client.log_model(connection, "exact", exact, sample=frame)
    seconds = frame.assign(seen=frame["seen"] * 1_000_000).astype({"seen": float})
    rounded = fit(XGBRegressor(**BOOSTER), seconds, target)
    scoter_client.log_model(connection, "rounded", rounded, sample=seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT PREDICT('exact', {2**40 + 17}, 3), PREDICT('rounded', {2**40 * 1_000_000}, 0)"
        )
        found, rough = cursor.fetchone()
    assert math.isclose(found, 17, rel_tol=1e-4)
    assert math.isclose(rough, rounded.predict(seconds.head(1))[0], rel_tol=1e-4)


def test_a_file_that_says_something_else_is_refused(connection: Any) -> None:
    frame = people()[["Age", "income €"]].astype(float)
    target = frame["Age"] > 50
    gaps = np.random.default_rng(3).random(400) < 0.1
    frame.loc[gaps, "Age"] = np.nan
    model = fit(DecisionTreeClassifier(max_depth=1, random_state=0), frame, target & ~gaps)
    with pytest.raises(
        scoter_client.MismatchError, match=r"on \d+ of 400 rows(.|\n)*'Age': nan.*the model says"
    ):
        scoter_client.log_model(connection, "wrong", model, sample=frame)
    on_gaps = fit(DecisionTreeClassifier(random_state=0), frame, frame["Age"].isna())
    with pytest.raises(scoter_client.ConversionError, match="split on missing values"):
        scoter_client.log_model(connection, "wrong", on_gaps, sample=frame)
    # XGBoost splits at values of the data, and a scaled float may lie beside the scaled double.
    scaled = fit(make_pipeline(ENCODED, XGBClassifier(**BOOSTER)), people(), wanted(people()) > 100)
    with pytest.raises(scoter_client.MismatchError, match=r"on \d of 400 rows"):
        scoter_client.log_model(connection, "wrong", scaled, sample=people())
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM system.models WHERE model_name = 'wrong'")
        assert cursor.fetchall() == [(0,)]


def test_what_can_not_be_logged(connection: Any) -> None:
    frame = people()
    model = fit(LinearRegression(), frame[NUMBERS], wanted(frame))

    def log(model: Any = model, sample: Any = frame, **more: Any) -> None:
        scoter_client.log_model(connection, "never", model, sample=sample, **more)

    for message, attempt in {
        "must be a pandas DataFrame": lambda: log(sample=frame[NUMBERS].to_numpy()),
        "no column 'member'": lambda: log(sample=frame[["Age", "income €"]]),
        "has no rows": lambda: log(sample=frame.head(0)),
        "Exception is not a model": lambda: log(model=Exception()),
        "on_null names 'nothing'": lambda: log(on_null={"nothing": 1}),
        "holds datetime64": lambda: log(sample=frame.assign(Age=pd.Timestamp("2020-01-01"))),
    }.items():
        with pytest.raises(scoter_client.ConversionError, match=message):
            attempt()
    with pytest.raises(scoter_client.ProgrammingError, match="nowhere"):
        scoter_client.log_model(connection, "nowhere.never", model, sample=frame)


def test_an_alias_that_is_no_name_is_refused_before_anything_is_made(connection: Any) -> None:
    before = _versions(connection)
    with pytest.raises(ValueError, match="the alias '7' can not be used"):
        scoter_client.log_model(connection, "unaliased", object(), sample=None, alias="7")
    assert _versions(connection) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": -1}, "the tolerance is a number from 0 on, not -1"),
        ({"tolerance": math.nan}, "the tolerance is a number from 0 on, not nan"),
        ({"golden_rows": 500}, "golden_rows is from 0 to 200"),
        ({"golden_rows": -1}, "golden_rows is from 0 to 200"),
    ],
)
def test_numbers_out_of_their_range_are_refused(
    connection: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        scoter_client.log_model(connection, "unaliased", object(), sample=None, **arguments)


def _versions(connection: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM system.model_versions")
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def test_the_arguments_are_documented() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "models.md").read_text()
    section = text.split("## From Python", 1)[1].split("\n## ", 1)[0]
    for name in inspect.signature(scoter_client.log_model).parameters:
        assert f"`{name}`" in section, name
