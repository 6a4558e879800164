"""Models of scikit-learn over numbers say in SQL what scikit-learn says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from corpus import BOOLS, INTS, PAIR, TEXTS, YES_NO, Numbers, Trained, over_numbers
from corpus_check import check
from sessions import InProcess, opened
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

# The converter rounds the thresholds of histograms, and computes distances and variances with floats.
ANY = Numbers(missing=True, infinite=True, steps=2)
MODEST = Numbers(huge=1e15)
NEAR = Numbers(huge=1e3)
TIES = 0.04  # few votes are often equal

CASES: dict[str, Callable[[], Trained]] = {
    "logistic": lambda: over_numbers(LogisticRegression(), YES_NO),
    "logistic_bools": lambda: over_numbers(LogisticRegression(), BOOLS),
    "logistic_three": lambda: over_numbers(LogisticRegression(), TEXTS),
    "ridge_classifier": lambda: over_numbers(RidgeClassifier(), PAIR),
    "sgd_log": lambda: over_numbers(SGDClassifier(loss="log_loss", random_state=0), INTS, unclear=0.01),
    "sgd_hinge": lambda: over_numbers(SGDClassifier(random_state=0), YES_NO),
    "linear": lambda: over_numbers(LinearRegression()),
    "linear_two_outputs": lambda: over_numbers(LinearRegression(), outputs=2),
    "ridge": lambda: over_numbers(Ridge()),
    "elastic_net": lambda: over_numbers(ElasticNet(alpha=0.1)),
    "sgd_regressor": lambda: over_numbers(SGDRegressor(random_state=0)),
    "svc": lambda: over_numbers(SVC(), YES_NO),
    "svc_linear_three": lambda: over_numbers(SVC(kernel="linear"), INTS, unclear=0.01),
    "linear_svc": lambda: over_numbers(LinearSVC(), TEXTS),
    "svr": lambda: over_numbers(SVR()),
    "linear_svr": lambda: over_numbers(LinearSVR()),
    "tree": lambda: over_numbers(DecisionTreeClassifier(random_state=0), YES_NO),
    "tree_bools": lambda: over_numbers(
        DecisionTreeClassifier(max_depth=6, random_state=0), BOOLS, unclear=TIES
    ),
    "tree_three": lambda: over_numbers(
        DecisionTreeClassifier(max_depth=6, random_state=0), INTS, unclear=TIES
    ),
    "tree_regressor": lambda: over_numbers(DecisionTreeRegressor(random_state=0)),
    "tree_three_outputs": lambda: over_numbers(DecisionTreeRegressor(max_depth=6), outputs=3),
    "forest": lambda: over_numbers(RandomForestClassifier(20, random_state=0), PAIR, unclear=TIES),
    "forest_three": lambda: over_numbers(RandomForestClassifier(20, max_depth=8, random_state=0), TEXTS),
    "forest_regressor": lambda: over_numbers(RandomForestRegressor(20, random_state=0)),
    "extra_trees": lambda: over_numbers(ExtraTreesClassifier(20, random_state=0), TEXTS, unclear=TIES),
    "extra_trees_regressor": lambda: over_numbers(ExtraTreesRegressor(20, random_state=0)),
    "gradient": lambda: over_numbers(GradientBoostingClassifier(n_estimators=30, random_state=0), YES_NO),
    "gradient_three": lambda: over_numbers(GradientBoostingClassifier(n_estimators=20, random_state=0), INTS),
    "gradient_regressor": lambda: over_numbers(GradientBoostingRegressor(n_estimators=30, random_state=0)),
    "hist": lambda: over_numbers(HistGradientBoostingClassifier(max_iter=30), YES_NO, kind=ANY),
    "hist_three": lambda: over_numbers(HistGradientBoostingClassifier(max_iter=20), TEXTS, kind=ANY),
    "hist_regressor": lambda: over_numbers(HistGradientBoostingRegressor(max_iter=30), kind=ANY),
    "ada": lambda: over_numbers(AdaBoostClassifier(n_estimators=20, random_state=0), TEXTS),
    "ada_regressor": lambda: over_numbers(AdaBoostRegressor(n_estimators=20, random_state=0)),
    "bagging": lambda: over_numbers(BaggingClassifier(random_state=0), PAIR, unclear=TIES),
    "neighbours": lambda: over_numbers(KNeighborsClassifier(), TEXTS, kind=NEAR, unclear=TIES),
    "neighbours_regressor": lambda: over_numbers(KNeighborsRegressor(), kind=NEAR),
    "bayes": lambda: over_numbers(GaussianNB(), TEXTS, kind=MODEST, unclear=0.01),
    "bayes_bernoulli": lambda: over_numbers(BernoulliNB(), YES_NO),
    "mlp": lambda: over_numbers(
        MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=60, random_state=0), TEXTS
    ),
    "mlp_binary": lambda: over_numbers(
        MLPClassifier(hidden_layer_sizes=(16,), max_iter=60, random_state=0), PAIR
    ),
    "mlp_regressor": lambda: over_numbers(
        MLPRegressor(hidden_layer_sizes=(16, 8), max_iter=60, random_state=0)
    ),
    "calibrated": lambda: over_numbers(CalibratedClassifierCV(LinearSVC(), cv=3), YES_NO),
    "voting": lambda: over_numbers(
        VotingClassifier(
            [("a", LogisticRegression()), ("b", GaussianNB())], voting="soft", flatten_transform=False
        ),
        TEXTS,
        kind=MODEST,
        unclear=0.01,
    ),
    "voting_regressor": lambda: over_numbers(
        VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=4, random_state=0))])
    ),
    "stacking": lambda: over_numbers(
        StackingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier(max_depth=4, random_state=0))]),
        YES_NO,
        kind=MODEST,
    ),
    "stacking_regressor": lambda: over_numbers(
        StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=4, random_state=0))])
    ),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("corpus")) as engine:
        yield InProcess(engine)


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_scikit_learn_says(session: InProcess, name: str) -> None:
    check(session, name, CASES[name]())
