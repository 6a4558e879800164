"""Models of XGBoost, LightGBM and CatBoost say in SQL what these libraries say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from corpus import (
    INTS,
    PAIR,
    TEXTS,
    YES_NO,
    Numbers,
    Trained,
    from_catboost,
    from_lightgbm,
    from_xgboost,
    over_numbers,
)
from corpus_check import check
from lightgbm import LGBMClassifier, LGBMRegressor
from sessions import InProcess, opened
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier

MISSING = Numbers(missing=True)
ANY = Numbers(missing=True, infinite=True)
BESIDE = Numbers(missing=True, infinite=True, steps=2)  # the converter rounds thresholds
FAST = {"n_estimators": 25, "n_jobs": 1, "random_state": 0}
CAT = {
    "iterations": 25,
    "depth": 4,
    "random_seed": 0,
    "verbose": False,
    "thread_count": 1,
    "allow_writing_files": False,
}
ZERO_ONE, THREE = np.array([0, 1]), np.array([0, 1, 2])


def xgboost(estimator, labels=None, kind=MISSING, **more):
    return over_numbers(estimator, labels, kind=kind, convert=from_xgboost, **more)


def lightgbm(estimator, labels=None, kind=BESIDE, **more):
    return over_numbers(estimator, labels, kind=kind, convert=from_lightgbm, **more)


def catboost(estimator, labels=None, kind=ANY, **more):
    return over_numbers(estimator, labels, kind=kind, convert=from_catboost, **more)


CASES: dict[str, Callable[[], Trained]] = {
    "xgb": lambda: xgboost(XGBClassifier(**FAST), ZERO_ONE),
    "xgb_three": lambda: xgboost(XGBClassifier(**FAST), THREE),
    "xgb_forest": lambda: xgboost(XGBRFClassifier(n_estimators=20, n_jobs=1), ZERO_ONE),
    "xgb_regressor": lambda: xgboost(XGBRegressor(**FAST)),
    "lgbm": lambda: lightgbm(LGBMClassifier(**FAST, verbose=-1), YES_NO),
    "lgbm_ints": lambda: lightgbm(LGBMClassifier(**FAST, verbose=-1), PAIR),
    "lgbm_three": lambda: lightgbm(LGBMClassifier(**FAST, verbose=-1), INTS),
    "lgbm_regressor": lambda: lightgbm(LGBMRegressor(**FAST, verbose=-1)),
    "cat": lambda: catboost(CatBoostClassifier(**CAT), ZERO_ONE),
    "cat_texts": lambda: catboost(CatBoostClassifier(**CAT), YES_NO),
    "cat_three": lambda: catboost(CatBoostClassifier(**CAT), INTS),
    "cat_texts_three": lambda: catboost(CatBoostClassifier(**CAT), TEXTS),
    "cat_regressor": lambda: catboost(CatBoostRegressor(**CAT)),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("corpus")) as engine:
        yield InProcess(engine)


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_the_library_says(session: InProcess, name: str) -> None:
    check(session, name, CASES[name]())
