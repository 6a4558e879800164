"""From the bytes of a model file to its signature, by way of the sandbox.

This module must not know names, versions or where the bytes came from. It never parses the bytes
itself: only what the sandbox says about them reaches this process.
"""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scoter
from scoter.errors import InternalError, InvalidDefinition, InvalidModel
from scoter.settings import Models
from scoter.suggestions import closest
from scoter.udfs.linear import Linear
from scoter.udfs.signature import Input, Output, Signature
from scoter.udfs.tensors import STRING, Element, element_named

_MIB = 1024 * 1024
# Python, NumPy and ONNX Runtime themselves map this much before they see the model.
_OWN_MEMORY = 512 * _MIB

_ALIASES = {
    "BIGINT": "BIGINT",
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "CHAR": "VARCHAR",
    "DOUBLE": "DOUBLE",
    "DOUBLE PRECISION": "DOUBLE",
    "FLOAT": "FLOAT",
    "FLOAT4": "FLOAT",
    "FLOAT8": "DOUBLE",
    "INT": "INTEGER",
    "INT1": "TINYINT",
    "INT2": "SMALLINT",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "INTEGER": "INTEGER",
    "LONG": "BIGINT",
    "REAL": "FLOAT",
    "SMALLINT": "SMALLINT",
    "STRING": "VARCHAR",
    "TEXT": "VARCHAR",
    "TINYINT": "TINYINT",
    "UBIGINT": "UBIGINT",
    "UINTEGER": "UINTEGER",
    "USMALLINT": "USMALLINT",
    "UTINYINT": "UTINYINT",
    "VARCHAR": "VARCHAR",
}
_DECIMAL = re.compile(r"(DECIMAL|NUMERIC)(\s*\(.*\))?")
_RANGES = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UINTEGER": (0, 2**32 - 1),
    "UBIGINT": (0, 2**64 - 1),
}


@dataclass(frozen=True)
class DeclaredInput:
    """One line of ``INPUT (…)``: name, type and NULL policy as the user wrote them."""

    name: str
    type: str
    on_null: str = "NULL"


@dataclass(frozen=True)
class _Column:
    """One column of a model's tensors, before the user's INPUT is laid over it."""

    name: str
    element: Element
    tensor: str
    position: int | None


@dataclass(frozen=True)
class Inspection:
    """What a model takes and gives, and what its file says of itself: its operators' version, what wrote it.

    ``linear`` has its weights in the order of the signature's inputs.
    """

    signature: Signature
    opset: int | None
    producer: str | None
    linear: Linear | None = None


def inspect(
    data: bytes,
    declared: tuple[DeclaredInput, ...],
    settings: Models,
    attach: Callable[[Callable[[], None]], None] | None = None,
) -> Inspection:
    """Return what is known of a model file.

    The file is parsed, loaded and run in a process of its own with limits on memory and time; ``attach``
    is given what ends that process. Raises InvalidModel when it is refused there, InvalidDefinition when INPUT
    does not fit it.
    """
    facts = _ask_sandbox(data, len(declared), settings, attach=attach)
    columns, named = _columns(facts)
    inputs = (
        _declare(columns, declared)
        if declared
        else tuple(
            Input(column.name, column.element.duckdb, column.tensor, column.position) for column in columns
        )
    )
    labels = tuple(facts["labels"])
    signature = Signature(inputs, _outputs(facts, labels), labels, named or bool(declared))
    linear = _linear(facts["linear"], columns, signature)
    return Inspection(signature, facts["opset"], facts["producer"] or None, linear)


def _linear(found: dict[str, Any] | None, columns: list[_Column], signature: Signature) -> Linear | None:
    if found is None or found["output"] != signature.primary.name or len(columns) != len(signature.inputs):
        return None
    by_place = dict(zip(((c.tensor, c.position) for c in columns), found["weights"], strict=True))
    weights = tuple(by_place[one.tensor, one.position] for one in signature.inputs)
    return Linear(**(found | {"weights": weights, "labels": tuple(found["labels"])}))


def _ask_sandbox(
    data: bytes,
    declared: int,
    settings: Models,
    limits: dict[str, int] | None = None,
    attach: Callable[[Callable[[], None]], None] | None = None,
) -> dict[str, Any]:
    """Run the sandbox on ``data`` and return its facts; ``limits`` replace those of the settings."""
    if len(data) > settings.max_bytes:
        raise InvalidModel(
            f"the model file has {len(data):,} bytes; the limit is {settings.max_bytes:,}",
            hint="the setting models.max_bytes raises the limit",
        )
    header = {
        "limits": limits or {"max_bytes": settings.max_bytes, "max_nodes": settings.max_nodes},
        "declared": declared,
        "memory": settings.load_memory + _OWN_MEMORY,
        "seconds": math.ceil(settings.load_seconds) + 1,
        "bytes": len(data),
    }
    # The child inherits no secrets, no working directory and no more threads than it needs.
    environment = {
        "PYTHONPATH": str(Path(scoter.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
    }
    with subprocess.Popen(  # our own interpreter and module, no words of the user
        [sys.executable, "-P", "-m", "scoter.udfs.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        start_new_session=True,
    ) as child:
        if attach is not None:
            attach(child.kill)
        try:
            out, _ = child.communicate(
                json.dumps(header).encode() + b"\n" + data, timeout=settings.load_seconds
            )
        except subprocess.TimeoutExpired as error:
            child.kill()
            child.communicate()
            raise _too_slow(settings) from error
    return _facts(out, child.returncode, settings)


def _facts(out: bytes, code: int, settings: Models) -> dict[str, Any]:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _too_slow(settings)
    if code == -signal.SIGABRT:
        raise InvalidModel(
            f"the model ends ONNX Runtime when it is loaded, or needs more than {settings.load_memory // _MIB:,} MiB",
            hint="the setting models.load_memory raises the limit",
        )
    if code < 0:
        raise InvalidModel(f"the model crashes ONNX Runtime when it is loaded ({signal.Signals(-code).name})")
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError as error:
        raise InternalError(f"the process that loads models ended with code {code}") from error
    if answer.get("memory"):
        raise InvalidModel(
            f"the model needs more than {settings.load_memory // _MIB:,} MiB to load and score a batch of rows",
            hint="the setting models.load_memory raises the limit",
        )
    if "facts" not in answer:
        raise InvalidModel(str(answer["error"]), hint=answer["hint"])
    facts: dict[str, Any] = answer["facts"]
    return facts


def _too_slow(settings: Models) -> InvalidModel:
    return InvalidModel(
        f"the model did not load and score a few batches within {settings.load_seconds:g} s",
        hint="the setting models.load_seconds raises the limit",
    )


def _columns(facts: dict[str, Any]) -> tuple[list[_Column], bool]:
    """Return the model's columns in order, and whether their names are the model's own."""
    columns = []
    named = True
    for each in facts["inputs"]:
        element = element_named(each["element"])
        if each["width"] == 1:
            columns.append(_Column(each["name"], element, each["name"], None))
            continue
        named = False
        columns.extend(
            _Column(f"{each['name']}_{place}", element, each["name"], place) for place in range(each["width"])
        )
    return columns, named


def _outputs(facts: dict[str, Any], labels: Sequence[str | int]) -> tuple[Output, ...]:
    """Return the outputs, the one of PREDICT first: a classifier's label, else the first."""
    primary: list[Output] = []
    others: list[Output] = []
    has_probabilities = any(each["is_probabilities"] for each in facts["outputs"])
    for place, each in enumerate(facts["outputs"]):
        element = element_named(each["element"])
        text = element.duckdb if each["width"] <= 1 else f"{element.duckdb}[]"
        discrete = each["width"] <= 1 and element.dtype.kind in "iO"
        if each["is_probabilities"]:
            key = "VARCHAR" if isinstance(labels[0], str) else "BIGINT"
            others.append(Output(each["name"], f"MAP({key}, DOUBLE)", "probabilities"))
        elif not primary and discrete and (has_probabilities or place == 0):
            primary.append(Output(each["name"], text, "label"))
        elif place == 0 and not has_probabilities:
            primary.append(Output(each["name"], text, "value"))
        else:
            others.append(Output(each["name"], text, "other"))
    return (*primary, *others)


def _declare(columns: list[_Column], declared: tuple[DeclaredInput, ...]) -> tuple[Input, ...]:
    """Lay the user's INPUT over the model's columns.

    A model with names of its own is bound by them, whatever the order; one without, by position.
    """
    if len(declared) != len(columns):
        raise InvalidDefinition(
            f"INPUT names {len(declared)} columns, the model takes {len(columns)}",
            hint=f"the model's inputs are {', '.join(column.name for column in columns[:20])}",
        )
    folded = [_fold(each.name) for each in declared]
    if len({each.name.casefold() for each in declared}) != len(declared):
        raise InvalidDefinition("INPUT names a column twice")
    own = {_fold(column.name): column for column in columns if column.position is None}
    matched = [name for name in folded if name in own]
    if not matched:
        return tuple(_input(each, column) for each, column in zip(declared, columns, strict=True))
    if len(own) != len(columns) or len(set(matched)) != len(columns):
        wrong = next(each.name for each, name in zip(declared, folded, strict=True) if name not in own)
        raise InvalidDefinition(
            f'the model has no input "{wrong}"',
            hint=closest(wrong, [column.name for column in columns])
            or f"the model's inputs are {', '.join(column.name for column in columns[:20])}",
        )
    return tuple(_input(each, own[name]) for each, name in zip(declared, folded, strict=True))


def _fold(name: str) -> str:
    """Fold a name for comparison: exporters turn what is not an identifier into underscores."""
    return re.sub(r"\W|_", "", name).casefold()


def _input(declared: DeclaredInput, column: _Column) -> Input:
    text = declared.type.strip().upper()
    kind = column.element.duckdb if _DECIMAL.fullmatch(text) else _ALIASES.get(text.partition("(")[0].strip())
    if kind is None:
        raise InvalidDefinition(
            f'the input "{declared.name}" can not have the type {declared.type}',
            hint="inputs are numbers, BOOLEAN or VARCHAR",
        )
    if (kind == "VARCHAR") != (column.element is STRING):
        raise InvalidDefinition(
            f'the input "{declared.name}" is declared {kind}; the model takes {column.element.duckdb} there'
        )
    if kind in ("FLOAT", "DOUBLE") and not column.element.is_float:
        raise InvalidDefinition(
            f'the input "{declared.name}" is declared {kind}; the model takes {column.element.duckdb} '
            "there and would lose the fraction"
        )
    if column.element.is_float and kind in ("FLOAT", "DOUBLE"):
        kind = column.element.duckdb  # DuckDB's own cast reports what does not fit
    return Input(
        declared.name,
        kind,
        column.tensor,
        column.position,
        _null_policy(declared, kind, column.element),
    )


def _null_policy(declared: DeclaredInput, kind: str, element: Element) -> str:
    """Return the policy as stored; raises InvalidDefinition for a value that the input can not take."""
    text = declared.on_null
    if text.upper() in ("NULL", "ERROR"):
        return text.upper()
    if text.upper() == "NAN":
        if not element.is_float:
            raise InvalidDefinition(f'the input "{declared.name}" is {element.duckdb} and has no NaN')
        return "NAN"
    if kind == "VARCHAR":
        return text
    try:
        _check_literal(text, kind)
    except ValueError as error:
        raise InvalidDefinition(f'ON NULL {text} is not a {kind} for the input "{declared.name}"') from error
    return text


def _check_literal(text: str, kind: str) -> None:
    if kind == "BOOLEAN":
        if text.casefold() not in ("true", "false"):
            raise ValueError(text)
    elif kind in ("FLOAT", "DOUBLE"):
        float(text)
    else:
        low, high = _RANGES[kind]
        if not low <= int(text) <= high:
            raise ValueError(text)
