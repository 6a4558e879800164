"""From the bytes of a model file to its signature, by way of the sandbox.

This module must not know names, versions or where the bytes came from. It never parses the bytes
itself: only what the sandbox says about them reaches this process.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scoter
from scoter.errors import InternalError, InvalidModel
from scoter.settings import Models
from scoter.udfs.declared import Column, DeclaredInput, declare
from scoter.udfs.linear import Linear
from scoter.udfs.signature import Input, Output, Signature, is_list
from scoter.udfs.tensors import element_named, element_of, map_of, sequence_of

_MIB = 1024 * 1024
# Python, NumPy and ONNX Runtime themselves map this much before they see the model.
_OWN_MEMORY = 512 * _MIB


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
    facts = _ask_sandbox(data, declared, settings, attach=attach)
    columns, named = _columns(facts, whole=any(each.shape for each in declared))
    inputs = (
        declare(columns, declared)
        if declared
        else tuple(
            Input(
                column.name,
                column.type,
                column.tensor,
                column.position,
                shape=column.shape,
                is_optional=column.is_optional,
                holds=column.element.runtime,
            )
            for column in columns
        )
    )
    labels = tuple(facts["labels"])
    outputs = _outputs(facts, labels)
    signature = Signature(inputs, outputs, labels, named or bool(declared), facts["batch"])
    linear = _linear(facts["linear"], columns, signature)
    return Inspection(signature, facts["opset"], facts["producer"] or None, linear)


def _linear(found: dict[str, Any] | None, columns: list[Column], signature: Signature) -> Linear | None:
    if found is None or found["output"] != signature.primary.name or len(columns) != len(signature.inputs):
        return None
    if any(column.shape for column in columns):
        return None
    places = {(column.tensor, column.position): place for place, column in enumerate(columns)}
    order = [places[each.tensor, each.position] for each in signature.inputs]
    if any(columns[place].type != each.type for place, each in zip(order, signature.inputs, strict=True)):
        return None  # what INPUT declares is cast on the way to the model, by other rules than those of SQL
    sorted_parts = {name: [found[name][place] for place in order] for name in ("weights", "sizes")}
    return Linear.from_parts(found | sorted_parts)


def _ask_sandbox(
    data: bytes,
    declared: tuple[DeclaredInput, ...],
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
        "declared": [(each.name, each.shape) for each in declared],
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


def _columns(facts: dict[str, Any], *, whole: bool) -> tuple[list[Column], bool]:
    """Return the model's columns in order, and whether their names are the model's own.

    With ``whole`` all values of a tensor are one list, else they are as many columns where they are not too many.
    """
    columns = []
    named = True
    for each in facts["inputs"]:
        name, shape = each["name"], tuple(each["shape"])
        pair, entry = map_of(each["type"]), sequence_of(each["type"])
        element = pair[1] if pair is not None else entry or element_of(each["type"])
        if element is None:
            raise InternalError(f"the process that loads models speaks of the type {each['type']}")
        if pair is not None:
            kind = f"MAP({pair[0].duckdb}, {pair[1].duckdb})"
            columns.append(Column(name, element, name, None, map=kind))
        elif entry is not None:
            columns.append(Column(name, element, name, None, shape, is_optional=each["is_optional"]))
        elif shape in ((), (1,)):
            columns.append(Column(name, element, name, None, is_optional=each["is_optional"]))
        elif whole or is_list(shape) or each["is_optional"]:
            columns.append(Column(name, element, name, None, shape, is_optional=each["is_optional"]))
        else:
            named = False
            columns.extend(Column(f"{name}_{place}", element, name, place) for place in range(shape[0]))
    return columns, named


def _outputs(facts: dict[str, Any], labels: Sequence[str | int]) -> tuple[Output, ...]:
    """Return the outputs, the one of PREDICT first: a classifier's label, else the first."""
    primary: list[Output] = []
    others: list[Output] = []
    has_probabilities = any(each["is_probabilities"] for each in facts["outputs"])
    for place, each in enumerate(facts["outputs"]):
        element = element_named(each["element"])
        text = element.duckdb + "[]" * each["depth"]
        if each["key"] is not None:
            text = f"MAP({element_named(each['key']).duckdb}, {text})"
        # Beside probabilities a truth or a small number is a flag; the classes that stand in files are of these types.
        kinds = "iO" if has_probabilities else "biuO"
        discrete = text == element.duckdb and element.dtype.kind in kinds
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
