"""Fitted models of Python's libraries, registered on a server as what they are: ``log_model``.

Its parts: ``refusals`` of models and ``samples`` of their rows, ``conversion`` to ONNX, ``comparison`` of a file with
its model, ``statements`` for the server, ``sending`` of the file.
This module must not know how any library is converted.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoter_client.failures import sqlstate_of
from scoter_client.models import statements
from scoter_client.models.comparison import GOLDEN_MOST, prove
from scoter_client.models.conversion import attempts
from scoter_client.models.failures import ConversionError, MismatchError
from scoter_client.models.samples import frame_of
from scoter_client.models.sending import parameters

__all__ = ["ConversionError", "LoggedModel", "MismatchError", "log_model"]

_UNDEFINED = "42704"
_ALIAS = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ $-]*[A-Za-z0-9_$-])?", re.ASCII)


@dataclass(frozen=True)
class LoggedModel:
    """A version that was made: the model's full name, the number, the file's sha256 and the file."""

    name: str
    version: int
    sha256: str
    onnx: bytes


def log_model(
    connection: Any,
    name: str,
    model: Any,
    *,
    sample: Any,
    alias: str | None = None,
    comment: str | None = None,
    metrics: Mapping[str, float] | None = None,
    properties: Mapping[str, str] | None = None,
    on_null: Mapping[str, Any] | None = None,
    tolerance: float = 1e-4,
    golden_rows: int = 50,
) -> LoggedModel:
    """Convert a fitted model to ONNX, prove the file on a sample, and register it as a model or its next version.

    ``connection`` is one of this package or another of ADBC's DB-API. ``model`` is fitted with scikit-learn,
    XGBoost, LightGBM or CatBoost. ``sample`` is a pandas DataFrame, or a table of polars or pyarrow, with the columns
    that it was fitted on; they name and type the inputs. On each of its rows the file must say what the model says:
    labels exactly, numbers within ``tolerance``, of their size where that is larger than 1. Up to ``golden_rows``
    of them go along for the server to prove the version with. ``on_null`` says what the model gets for NULL in a
    column: NaN, another value, or None, which makes the prediction NULL. Where it says nothing, that is NaN for a
    column of numbers that has missing values in the sample and a model that takes them, and else None.

    Raises ValueError for an alias that is no name, a tolerance that is no number from 0 on, golden rows that are not
    from 0 to 200, and texts with NUL characters, ImportError where a library is missing, ConversionError for a model
    that can not be converted or a sample that can not be its inputs, MismatchError where the file says something
    else, and the driver's Error for what the server refuses.
    """
    if alias is not None and not _ALIAS.fullmatch(alias):
        raise ValueError(
            f"the alias {alias!r} can not be used: a name begins with a letter or underscore "
            "and holds letters A-Z, digits, _, -, $ and spaces"
        )
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"the tolerance is a number from 0 on, not {tolerance}")
    if not 0 <= golden_rows <= GOLDEN_MOST:
        raise ValueError(
            f"golden_rows is from 0 to {GOLDEN_MOST}, which is what a server takes, not {golden_rows}"
        )
    frame = frame_of(sample)
    proven = prove(model, frame, attempts(model, frame), dict(on_null or {}), tolerance)
    with connection.cursor() as cursor:
        verb = "ALTER MODEL {} ADD VERSION" if _exists(cursor, name) else "CREATE MODEL {}"
        sql = statements.registration(
            verb.format(statements.qualified(name)),
            proven.inputs,
            comment=comment,
            metrics=metrics or {},
            properties=properties or {},
            golden=proven.golden(golden_rows),
            tolerance=tolerance,
        )
        cursor.execute(sql, parameters(proven.data))
        made = next(row for row in cursor.fetchall() if row[0] == "model")
        version = int(made[2].split()[-1])
        if alias is not None:
            cursor.execute(
                f"ALTER MODEL {statements.qualified(name)} SET ALIAS {statements.quoted(alias)} = {version}"
            )
    return LoggedModel(made[1], version, hashlib.sha256(proven.data).hexdigest(), proven.data)


def _exists(cursor: Any, name: str) -> bool:
    try:
        cursor.execute(f"DESCRIBE MODEL {statements.qualified(name)}")
        cursor.fetchall()
    except Exception as error:
        if sqlstate_of(error) == _UNDEFINED:
            return False
        raise
    return True
