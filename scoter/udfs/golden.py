"""Golden rows: inputs of a model with the results that it gave, which it must give wherever it is served.

This module must not know SQL, nor where golden rows are kept.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from scoter.errors import CorruptData, GoldenRowsBroken, InvalidDefinition
from scoter.suggestions import closest
from scoter.udfs.functions import Function, scorer
from scoter.udfs.runs import Run
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.sessions import Sessions
from scoter.udfs.signature import Input, Signature
from scoter.udfs.tensors import arrow_type

TOLERANCE = 1e-4
PRIMARY = ""  # stands for the output that PREDICT gives
_SHOWN = 3
_KEPT = 10_000  # outcomes
_NUMBERS_OF_TEXT = frozenset({"nan", "inf", "-inf", "infinity", "-infinity"})


@dataclass(frozen=True)
class Golden:
    """Rows as columns: inputs by name, expected results by output (``PRIMARY``: that of PREDICT).

    A float may differ by ``tolerance``, of its size where it is larger than 1; all else must be equal.
    """

    inputs: Mapping[str, Sequence[Any]]
    expected: Mapping[str, Sequence[Any]]
    tolerance: float = TOLERANCE

    def to_json(self) -> str:
        """Return the rows as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Golden:
        """Read what ``to_json`` wrote; raises CorruptData for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise CorruptData("the stored golden rows of a model can not be read") from error

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.expected.values())))


def fitted(golden: Golden, signature: Signature) -> Golden:
    """Return golden rows under the signature's own names; raises InvalidDefinition for names it does not have."""
    signature = _given(golden, signature)
    inputs = _named(golden.inputs, [one.name for one in signature.inputs], "an input")
    for one in signature.inputs:
        if one.name not in inputs:
            raise InvalidDefinition(f'the rows of verify have no value for the input "{one.name}"')
    outputs = {key: value for key, value in golden.expected.items() if key != PRIMARY}
    expected = _named(outputs, [one.name for one in signature.outputs], "an output")
    if PRIMARY in golden.expected:
        expected[PRIMARY] = golden.expected[PRIMARY]
    return Golden(inputs, expected, golden.tolerance)


def _given(golden: Golden, signature: Signature) -> Signature:
    """Return the signature whose inputs golden rows name: values, or whole tensors."""
    whole = signature.of_tensors
    names = {name.casefold() for name in golden.inputs}
    if whole is None or names != {one.name.casefold() for one in whole.inputs}:
        return signature
    return whole


def _named(given: Mapping[str, Sequence[Any]], known: Sequence[str], what: str) -> dict[str, Sequence[Any]]:
    by_name = {name.casefold(): name for name in known}
    found = {}
    for name, values in given.items():
        own = by_name.get(name.casefold())
        if own is None:
            raise InvalidDefinition(
                f'verify names "{name}", which is not {what} of the model',
                hint=closest(name, list(known)) or f"there are: {', '.join(known[:20])}",
            )
        found[own] = values
    return found


class GoldenRows:
    """Proves models by their golden rows: each model once in the life of this process. Thread-safe."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lock = threading.Lock()
        self._outcomes: dict[tuple[str, str, str], tuple[str, ...]] = {}

    def check(
        self,
        model: str,
        sha256: str,
        signature: Signature,
        golden: str,
        attach: Callable[[Callable[[], None]], None],
    ) -> None:
        """Raise GoldenRowsBroken if the model gives other results than its golden rows say.

        ``attach`` is given what ends the model's run. Raises InvalidDefinition for values that do not fit the
        signature, and what a model raises that fails.
        """
        key = (sha256, signature.to_json(), golden)
        with self._lock:
            found = self._outcomes.get(key)
        if found is None:
            found = self._differences(sha256, signature, Golden.from_json(golden), attach)
            with self._lock:
                if len(self._outcomes) >= _KEPT:
                    self._outcomes.clear()
                self._outcomes[key] = found
        if found:
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise GoldenRowsBroken(
                f"{model} gives other results than its golden rows: {'; '.join(found[:_SHOWN])}{more}",
                hint=f"this is ONNX Runtime {onnxruntime.__version__}; a version with rows that hold can be served",
            )

    def _differences(
        self,
        sha256: str,
        signature: Signature,
        golden: Golden,
        attach: Callable[[Callable[[], None]], None],
    ) -> tuple[str, ...]:
        run = Run()
        attach(run.cancel)
        signature = _given(golden, signature)
        columns = [_column(one, golden.inputs[one.name]) for one in signature.inputs]
        batch = pa.RecordBatch.from_arrays(columns, names=[f"i{place}" for place in range(len(columns))])
        found: dict[int, str] = {}
        for output, expected in golden.expected.items():
            kind = "predict" if output == PRIMARY else "all"
            scored = scorer(Function(sha256, signature, kind), self._sessions, run)(batch)
            values = scored if output == PRIMARY else scored.field(output)
            name = signature.primary.name if output == PRIMARY else output
            for row, (wanted, given) in enumerate(zip(expected, values.to_pylist(), strict=True)):
                if not _same(wanted, given, golden.tolerance):
                    found.setdefault(row, f"row {row + 1}: {name} is {_shown(given)}, not {_shown(wanted)}")
        return tuple(found[row] for row in sorted(found))


def _column(one: Input, values: Sequence[Any]) -> pa.Array:
    target = arrow_type(one.argument)
    if pa.types.is_floating(target):
        values = [float(v) if isinstance(v, str) and v.lower() in _NUMBERS_OF_TEXT else v for v in values]
    if pa.types.is_map(target):
        values = [list(value.items()) if isinstance(value, dict) else value for value in values]
    try:
        return pa.array(values, type=target)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise InvalidDefinition(f'a value of verify for the input "{one.name}" is not {one.type}') from error


def _same(wanted: Any, given: Any, tolerance: float) -> bool:
    if isinstance(given, list) and given and isinstance(given[0], tuple):
        given = {str(label): value for label, value in given}
    if isinstance(wanted, dict) and isinstance(given, dict):
        return wanted.keys() == given.keys() and all(_same(wanted[k], given[k], tolerance) for k in wanted)
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(
            _same(left, right, tolerance) for left, right in zip(wanted, given, strict=True)
        )
    if isinstance(given, float) and isinstance(wanted, str) and wanted.lower() in _NUMBERS_OF_TEXT:
        wanted = float(wanted)
    if isinstance(given, float) and isinstance(wanted, int | float) and not isinstance(wanted, bool):
        both_nan = math.isnan(given) and math.isnan(wanted)
        return both_nan or math.isclose(wanted, given, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(wanted, bool) != isinstance(given, bool):
        return False
    return bool(wanted == given)


def _shown(value: Any) -> str:
    text = "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
