"""The SQL that registers a model.

This module must not know models, DataFrames or connections.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The server takes a megabyte of SQL, and 262,144 characters of golden rows.
_GOLDEN_MOST = 200_000


@dataclass(frozen=True)
class Input:
    """One column of INPUT; ``on_null`` is None where the prediction of a row without it is NULL."""

    name: str
    type: str
    on_null: Any = None

    def sql(self) -> str:
        """Return it as it stands in INPUT (…)."""
        if self.on_null is None:
            return f"{quoted(self.name)} {self.type}"
        value = _unboxed(self.on_null)
        missing = isinstance(value, float) and math.isnan(value)
        return f"{quoted(self.name)} {self.type} ON NULL {'NAN' if missing else constant(self.on_null)}"


def registration(
    verb: str,
    inputs: Sequence[Input],
    *,
    comment: str | None,
    metrics: Mapping[str, float],
    properties: Mapping[str, str],
    golden: Sequence[Mapping[str, Any]],
    tolerance: float,
) -> str:
    """Return the statement that makes a version of the file that is its one parameter."""
    options = []
    if comment is not None:
        options.append(f"comment = {constant(comment)}")
    if metrics:
        options.append(f"metrics = {constant({key: float(value) for key, value in metrics.items()})}")
    if properties:
        options.append(f"properties = {constant({key: str(value) for key, value in properties.items()})}")
    rows = _fitting(golden)
    if rows:
        options += [f"verify = [{', '.join(rows)}]", f"tolerance = {constant(float(tolerance))}"]
    tail = f" WITH ({', '.join(options)})" if options else ""
    return f"{verb} FROM ? INPUT ({', '.join(each.sql() for each in inputs)}){tail}"


def _fitting(golden: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    size = 0
    for row in golden:
        text = constant(row)
        size += len(text) + 2
        if size > _GOLDEN_MOST:
            break
        found.append(text)
    return found


def quoted(name: str) -> str:
    """Return a name as an identifier in quotes; raises ValueError for one that SQL can not write."""
    _refuse_nul(name)
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def qualified(name: str) -> str:
    """Return ``schema.model`` or ``model`` with each part in quotes."""
    return ".".join(quoted(part) for part in name.split("."))


def constant(value: Any) -> str:
    """Return None, a boolean, number, text, list or mapping as SQL; floats that SQL has no number for are texts.

    Raises ValueError for a text that SQL can not write.
    """
    value = _unboxed(value)
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        # A struct has no field without a name.
        opened, key_of = ("MAP {", _text) if "" in value else ("{", quoted)
        return (
            opened + ", ".join(f"{key_of(str(key))}: {constant(part)}" for key, part in value.items()) + "}"
        )
    return "[" + ", ".join(constant(part) for part in value) + "]"


def _unboxed(value: Any) -> Any:
    """Return a number of NumPy as one of Python, all else as it is."""
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def holds_nul(value: Any) -> bool:
    """Say whether a text in a value holds a NUL character, with which SQL ends."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(map(holds_nul, [*value, *value.values()]))
    return isinstance(value, (list, tuple)) and any(map(holds_nul, value))


def _number(value: float) -> str:
    if math.isnan(value):
        return "'NaN'"
    if math.isinf(value):
        return "'Infinity'" if value > 0 else "'-Infinity'"
    return repr(value)


def _text(value: str) -> str:
    _refuse_nul(value)
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _refuse_nul(text: str) -> None:
    if holds_nul(text):
        raise ValueError(f"{text!r} holds a NUL character, which SQL can not write")
