"""The SQL that says how good a model's results are: scikit-learn's numbers, by DuckDB's aggregates.

This module must not know how a relation is read or scored: it is told what the right answer and the model's result
are called.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from scoter.engine.types import literal
from scoter.errors import NotSupported
from scoter.udfs.signature import Signature

TRUE = "scoter_true"
RESULT = "scoter_result"
SCORED = "scoter_scored"
EVALUATED = "scoter_evaluated"
"""Marks the call of an evaluation with the parts of its errors' texts by which they are known to be its own."""

# scikit-learn keeps probabilities so far from 0 and 1 before it takes their logarithm.
_EPSILON = sys.float_info.epsilon
_TEXTS = f"typeof({TRUE}) = 'VARCHAR' OR typeof({TRUE}) LIKE 'ENUM%' OR typeof({TRUE}) = '\"NULL\"'"
_NUMBERS = (
    f"typeof({TRUE}) LIKE '%INT%' OR typeof({TRUE}) LIKE 'DECIMAL%' OR "
    f"typeof({TRUE}) IN ('BOOLEAN', 'FLOAT', 'DOUBLE', '\"NULL\"')"
)


@dataclass(frozen=True)
class Evaluation:
    """SQL in two parts, and the columns of its one row.

    ``scored`` are expressions by name over the columns ``TRUE`` with the right answer and ``RESULT`` with the struct
    that PREDICT_ALL gives; ``measures`` is a query that reads these names from ``SCORED``. ``of_label`` and
    ``of_model`` are what errors say of the label and of the model.
    """

    scored: dict[str, str]
    measures: str
    columns: tuple[str, ...]
    of_label: str
    of_model: str


def evaluation(signature: Signature, model: str, label: str) -> Evaluation:
    """Return the SQL for a model; ``model`` and ``label`` are their names for messages.

    Raises NotSupported for a model that is neither a classifier nor a regression.
    """
    match signature.task:
        case "classification":
            return _classification(signature, model, label)
        case "regression":
            return _regression(signature, model, label)
    raise NotSupported(
        f"{model} is neither a classifier nor a regression",
        hint="ML_EVALUATE needs a model whose first output is a class label or one number",
    )


def _of_type(wanted: str, value: str, label: str, kind: str) -> str:
    """Return ``value`` guarded: a number is never read as a text, nor a text as a number."""
    words = f"{literal(_of_label(label))} || typeof({TRUE}) || {literal(f', the model gives {kind}')}"
    return f"CASE WHEN {TRUE} IS NULL THEN NULL WHEN NOT ({wanted}) THEN error({words}) ELSE {value} END"


def _of_label(label: str) -> str:
    return f"the label {label} is "


def _of_model(model: str) -> str:
    return f" is none of the classes of {model}: "


def _output(name: str) -> str:
    return f"struct_extract({RESULT}, {literal(name)})"


def _regression(signature: Signature, model: str, label: str) -> Evaluation:
    scored = {
        "y": _of_type(_NUMBERS, f"TRY_CAST({TRUE} AS DOUBLE)", label, "numbers"),
        "p": f"CAST({_output(signature.primary.name)} AS DOUBLE)",
    }
    measures = f"""
        SELECT 'regression' AS task, n, skipped AS rows_skipped, sqrt(squares / n) AS rmse, distances / n AS mae,
               CASE WHEN n < 2 THEN NULL WHEN total <> 0 THEN 1 - squares / total
                    WHEN squares = 0 THEN 1::DOUBLE ELSE 0::DOUBLE END AS r2
        FROM (SELECT count(y + p) AS n, count(*) - count(y + p) AS skipped, fsum((y - p) * (y - p)) AS squares,
                     fsum(abs(y - p)) AS distances,
                     count(y + p) * var_pop(y) FILTER (WHERE p IS NOT NULL) AS total
              FROM {SCORED})
    """
    columns = ("task", "n", "rows_skipped", "rmse", "mae", "r2")
    return Evaluation(scored, measures, columns, _of_label(label), _of_model(model))


def _classification(signature: Signature, model: str, label: str) -> Evaluation:
    """Classes are numbered as the model lists them; of two the second is the positive one, as in scikit-learn."""
    known = signature.probabilities
    scores = f"map_values({_output(known.name)})" if known is not None else "NULL::DOUBLE[]"
    true, said = _classes(signature, model, label, scores)
    is_binary = len(signature.labels) == 2
    ranked = "[2]" if is_binary else f"range(1, {len(signature.labels) + 1})"
    measured = _of_probabilities(ranked) if known is not None else _NO_PROBABILITIES
    measures = f"""
        WITH pairs AS MATERIALIZED (SELECT y, p, count(*) AS n FROM {SCORED} GROUP BY ALL),
        total AS (
            SELECT coalesce(sum(n) FILTER (WHERE y IS NOT NULL AND p IS NOT NULL), 0)::BIGINT AS n,
                   coalesce(sum(n) FILTER (WHERE y IS NULL OR p IS NULL), 0)::BIGINT AS skipped,
                   coalesce(sum(n) FILTER (WHERE y = p), 0)::DOUBLE AS agreed
            FROM pairs
        ),
        classes AS (
            SELECT class, sum(tp)::DOUBLE AS tp, sum(fp) AS fp, sum(fn) AS fn
            FROM (SELECT y AS class, CASE WHEN y = p THEN n ELSE 0 END AS tp, 0 AS fp,
                         CASE WHEN y <> p THEN n ELSE 0 END AS fn
                  FROM pairs WHERE y IS NOT NULL AND p IS NOT NULL
                  UNION ALL
                  SELECT p, 0, n, 0 FROM pairs WHERE y <> p)
            GROUP BY class
        ),
        rates AS (
            SELECT avg(CASE WHEN tp > 0 THEN tp / (tp + fp) ELSE 0 END) AS "precision",
                   avg(CASE WHEN tp > 0 THEN tp / (tp + fn) ELSE 0 END) AS recall,
                   avg(CASE WHEN tp > 0 THEN 2 * tp / (2 * tp + fp + fn) ELSE 0 END) AS f1
            FROM classes {"WHERE class = 2" if is_binary else ""}
        ),
        {measured}
        SELECT 'classification' AS task, t.n, t.skipped AS rows_skipped,
               CASE WHEN t.n > 0 THEN t.agreed / t.n END AS accuracy,
               CASE WHEN t.n > 0 THEN coalesce(r."precision", 0) END AS "precision",
               CASE WHEN t.n > 0 THEN coalesce(r.recall, 0) END AS recall,
               CASE WHEN t.n > 0 THEN coalesce(r.f1, 0) END AS f1,
               m.roc_auc, m.log_loss
        FROM total AS t, rates AS r, measured AS m
    """
    columns = ("task", "n", "rows_skipped", "accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")
    scored = {"y": true, "p": said, "s": scores}
    return Evaluation(scored, measures, columns, _of_label(label), _of_model(model))


def _classes(signature: Signature, model: str, label: str, scores: str) -> tuple[str, str]:
    """Return the right class of a row and the one that the model gives: by number, by value if it lists none."""
    primary = signature.primary
    is_text = (signature.label_type if signature.labels else primary.type) == "VARCHAR"
    # 1.5 is no class, though a cast makes it one.
    integer = "HUGEINT" if primary.type == "UBIGINT" else "BIGINT"
    whole = f"TRY_CAST({TRUE} AS DOUBLE) = TRY_CAST({TRUE} AS {integer})"
    value = f"CASE WHEN {whole} THEN TRY_CAST({TRUE} AS {integer}) END"
    value = f"CAST({TRUE} AS VARCHAR)" if is_text else value
    said = _output(primary.name) if primary.type != "BOOLEAN" else f"CAST({_output(primary.name)} AS BIGINT)"
    if signature.labels:
        names = [str(one) for one in signature.labels]
        listed = ", ".join(literal(one) if is_text else f"CAST({one} AS BIGINT)" for one in names)
        about = literal(f"{_of_model(model)}{', '.join(names[:20])}")
        unknown = f"error('the label ' || CAST({TRUE} AS VARCHAR) || {about})"
        value = f"coalesce(list_position([{listed}], {value}), {unknown})"
        of_label = f"list_position([{listed}], {said})"
        said = of_label if primary.role == "label" else f"list_position({scores}, list_max({scores}))"
    of_number = "truth values" if primary.type == "BOOLEAN" else "whole numbers"
    kind, wanted = ("texts", _TEXTS) if is_text else (of_number, _NUMBERS)
    return _of_type(wanted, value, label, kind), said


_NO_PROBABILITIES = "measured AS (SELECT NULL::DOUBLE AS roc_auc, NULL::DOUBLE AS log_loss)"


def _of_probabilities(ranked: str) -> str:
    """Return what is measured on probabilities: each class in ``ranked`` against the others, and the loss.

    The area under the curve is the share of pairs of a row of the class and another in which the class's row has
    the higher score; equal scores count half.
    """
    kept = f"greatest(least(s[y], 1 - {_EPSILON!r}), {_EPSILON!r})"
    return f"""
        ranks AS (
            SELECT class, score, hits::DOUBLE AS hits, misses::DOUBLE AS misses,
                   (sum(misses) OVER (PARTITION BY class ORDER BY score))::DOUBLE AS below
            FROM (SELECT class, s[class] AS score, count(*) FILTER (WHERE y = class) AS hits,
                         count(*) FILTER (WHERE y <> class) AS misses
                  FROM {SCORED}, (SELECT unnest({ranked}) AS class)
                  WHERE y IS NOT NULL AND s IS NOT NULL GROUP BY ALL)
        ),
        areas AS (
            SELECT CASE WHEN NOT bool_or(isnan(score))
                        THEN fsum(hits * (below - misses / 2)) / nullif(sum(hits) * sum(misses), 0) END AS area
            FROM ranks GROUP BY class
        ),
        measured AS (
            SELECT (SELECT CASE WHEN count(area) = count(*) THEN avg(area) END FROM areas) AS roc_auc,
                   CASE WHEN NOT bool_or(isnan(s[y])) THEN -avg(ln({kept})) END AS log_loss
            FROM {SCORED} WHERE y IS NOT NULL AND s IS NOT NULL
        )
    """
