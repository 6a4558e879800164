"""Models of which no file says what they say, refused before one is made.

This module must not know converters or samples.
"""

from __future__ import annotations

import json
from typing import Any

from scoter_client.models.failures import ConversionError
from scoter_client.models.libraries import library
from scoter_client.models.parts import package_of, parts_of

_OF_CLASSES = ("binary", "multiclass")  # LightGBM's objectives
_OF_TREES = "gbtree"  # XGBoost's booster that converters know


def refuse(model: Any) -> None:
    """Raise ConversionError for a model that can not be logged, with what to log in its place."""
    if not hasattr(model, "predict"):
        raise ConversionError(f"{type(model).__name__} is not a model: it can not predict")
    _refuse_bare(model)
    _refuse_labels(model)
    for part in parts_of(model):
        _refuse_endless(part)
        _refuse_other_boosters(part)


def _refuse_bare(model: Any) -> None:
    """Raise ConversionError for a bare booster that predicts other things, or of other rows, than its file."""
    package = package_of(model)
    if type(model).__name__ != "Booster":
        return
    if package == "xgboost":
        raise ConversionError(
            "a bare xgboost.Booster is not taken, as it does not predict tables: make an XGBClassifier or XGBRegressor "
            "of it with load_model(booster.save_raw())"
        )
    objective = model.dump_model(num_iteration=1).get("objective", "") if package == "lightgbm" else ""
    if objective.startswith(_OF_CLASSES):
        raise ConversionError(
            f"a bare lightgbm.Booster of classes ({objective.split()[0]}) is not taken, as it predicts probabilities "
            "and no classes: fit an LGBMClassifier"
        )


def _refuse_labels(model: Any) -> None:
    """Raise ConversionError for one class, of which converters write files that can not be run."""
    classes = getattr(model, "classes_", None)
    # A classifier with several outputs has the classes of each.
    if classes is None or not len(classes) or library("numpy").ndim(classes[0]):
        return
    if len(classes) == 1:
        label = classes[0].item() if hasattr(classes[0], "item") else classes[0]
        raise ConversionError(
            f"{type(model).__name__} has learned one class only, {label!r}, and says it of every row: "
            "fit it on rows of two classes or more"
        )
    if package_of(model) == "catboost" and isinstance(classes[0], (bool, library("numpy").bool_)):
        raise ConversionError(
            f"{type(model).__name__} has learned boolean labels, of which CatBoost writes no file: "
            "fit it on integers, as y.astype(int) has them"
        )


def _refuse_endless(part: Any) -> None:
    """Raise ConversionError for a tree that splits on whether a value is missing: the converter would not end."""
    tree = getattr(part, "tree_", None)
    if tree is not None and not library("numpy").isfinite(tree.threshold).all():
        raise ConversionError(
            f"{type(part).__name__} has learned to split on missing values, which its files can not hold: "
            "fill them in before the trees, or use HistGradientBoosting"
        )


def _refuse_other_boosters(part: Any) -> None:
    """Raise ConversionError for a booster of XGBoost whose trees are weighted, or that has none."""
    if package_of(part) != "xgboost" or not hasattr(part, "get_booster"):
        return
    booster = json.loads(part.get_booster().save_config())["learner"]["gradient_booster"]["name"]
    if booster != _OF_TREES:
        raise ConversionError(
            f"{type(part).__name__} has the booster {booster!r}, of which no converter makes a file: "
            f"fit it with booster={_OF_TREES!r}"
        )
