"""What a fitted model is made of.

This module must not know what is done with the parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scoter_client.models.libraries import library


def package_of(model: Any) -> str:
    """Return the name of the library that a model is of."""
    name: str = type(model).__module__.partition(".")[0]
    return name


def parts_of(model: Any) -> Iterator[Any]:
    """Yield a model and the fitted steps, transformers and models inside it."""
    yield model
    inner = [step for _, step in getattr(model, "steps", [])]
    inner += [each[1] for each in getattr(model, "transformers_", [])]
    inner += [each[1] for each in getattr(model, "transformer_list", [])]
    inner += list(library("numpy").ravel(getattr(model, "estimators_", [])))
    inner += [each.estimator for each in getattr(model, "calibrated_classifiers_", [])]
    for name in ("best_estimator_", "final_estimator_", "regressor_"):
        inner += [getattr(model, name)] if hasattr(model, name) else []
    for part in inner:
        if not isinstance(part, str):
            yield from parts_of(part)


def wrappers_of(model: Any) -> tuple[list[Any], Any]:
    """Return the pipelines and searches around the model that predicts, the outermost first, and that model."""
    wrappers = []
    while hasattr(model, "best_estimator_") or hasattr(model, "steps"):
        wrappers.append(model)
        model = model.best_estimator_ if hasattr(model, "best_estimator_") else model.steps[-1][1]
    return wrappers, model
