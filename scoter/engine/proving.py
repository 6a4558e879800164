"""Whether versions of models give the results of their golden rows: each once in the life of this process.

The rows go the way of a call in SQL, with what a version does before and behind its model.
This module must not know how golden rows are written, nor when they have to hold.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.engine.binding import data_type
from scoter.engine.cancellation import Cancellation
from scoter.engine.context import Context
from scoter.engine.dialect import to_duckdb
from scoter.engine.execute import Running
from scoter.engine.instances import Instances
from scoter.engine.logic import logic_of, signature_outside
from scoter.engine.model_functions import result_type
from scoter.engine.plan import ModelCall, Pins
from scoter.engine.resolved import MODEL, Resolved
from scoter.engine.rules.call_models import call_models
from scoter.engine.statements import Predict
from scoter.engine.types import quote
from scoter.errors import GoldenRowsBroken, InvalidDefinition
from scoter.udfs.golden import NUMBERS_OF_TEXT, PRIMARY, Golden, differences, fitted, named_by, shown
from scoter.udfs.runtime import onnxruntime

_ROWS = "scoter_golden"
_RESULT = "result"
_KEPT = 10_000  # outcomes
_SHOWN = 3
_INTEGERS = exp.DataType.INTEGER_TYPES - {exp.DType.BIT}
_NUMBERS = _INTEGERS | exp.DataType.REAL_TYPES
_PLAIN = _NUMBERS | exp.DataType.TEXT_TYPES | {exp.DType.BOOLEAN}
_LISTS = frozenset({exp.DType.ARRAY, exp.DType.LIST})


class Proofs:
    """Proves versions on a pool of instances. Thread-safe; a statement must not hold an instance while it asks."""

    def __init__(self, instances: Instances, statement_timeout: float) -> None:
        self._instances = instances
        self._timeout = statement_timeout
        self._lock = threading.Lock()
        self._outcomes: dict[tuple[str | None, ...], tuple[str, ...]] = {}

    def check(self, name: str, version: ModelVersion, context: Context, cancellation: Cancellation) -> None:
        """Raise GoldenRowsBroken if a version that has golden rows gives other results; ``name`` is for messages.

        Raises InvalidDefinition for values that the version's inputs do not take as they are, and what a call
        raises that fails.
        """
        facts = version.facts
        if facts.verify is None:
            return
        key = (version.sha256, version.signature, facts.logic, facts.verify)
        with self._lock:
            found = self._outcomes.get(key)
        if found is None:
            found = self._differences(
                version,
                fitted(Golden.from_json(facts.verify), signature_outside(version)),
                context,
                cancellation,
            )
            with self._lock:
                if len(self._outcomes) >= _KEPT:
                    self._outcomes.clear()
                self._outcomes[key] = found
        if found:
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise GoldenRowsBroken(
                f"{name} gives other results than its golden rows: {'; '.join(found[:_SHOWN])}{more}",
                hint=f"this is ONNX Runtime {onnxruntime.__version__}; a version with rows that hold can be served",
            )

    def _differences(
        self, version: ModelVersion, golden: Golden, context: Context, cancellation: Cancellation
    ) -> tuple[str, ...]:
        question = _question(version, golden)
        running = Running(
            self._instances,
            # Rows mean the same in every session.
            replace(context, timezone="UTC"),
            context.statement_timeout or self._timeout,
            cancellation=cancellation,
            is_own=not context.statement_timeout,
        )
        cancellation.attach(running.cancel)
        try:
            running.prepare(question.calls, {_ROWS: question.rows})
            _refuse_unfit(question, golden, running.connection.sql(question.unfit).to_arrow_table())
            given = running.connection.sql(question.sql).to_arrow_table()
        except Exception as error:
            raise running.failure(error) from error
        finally:
            running.finish()
        results = given[_RESULT].to_pylist(maps_as_pydicts="lossy")
        if PRIMARY in golden.expected:
            return differences(golden, {PRIMARY: results}, question.primary)
        columns = {
            output: [None if row is None else row[output] for row in results] for output in golden.expected
        }
        return differences(golden, columns, question.primary)


@dataclass(frozen=True)
class _Question:
    """What DuckDB is asked: the rows as texts, which of them are not of their input's type, and what calls give.

    ``kinds`` are the inputs' DuckDB types by name, ``primary`` is what the value of PREDICT is called.
    """

    rows: pa.Table
    kinds: Mapping[str, str]
    unfit: str
    sql: str
    calls: tuple[ModelCall, ...]
    primary: str


def _question(version: ModelVersion, golden: Golden) -> _Question:
    logic, signature = logic_of(version), named_by(golden, signature_outside(version))
    kinds = {each.name: each.argument for each in signature.inputs}
    rows = pa.table([_column(name, kind, golden.inputs[name]) for name, kind in kinds.items()], list(kinds))
    values: list[exp.Expr] = [
        exp.Cast(this=exp.column(exp.to_identifier(name, quoted=True)), to=data_type(kind).copy())
        for name, kind in kinds.items()
    ]
    types = tuple(kinds.values())
    if logic is not None and logic.before:
        # A struct is a value there, and no row.
        types = (f"STRUCT({', '.join(f'{quote(name)} {kind}' for name, kind in kinds.items())})",)
        fields = [
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value)
            for name, value in zip(kinds, values, strict=True)
        ]
        values = [exp.Struct(expressions=fields)]
    kind = "predict" if PRIMARY in golden.expected else "all"
    call = Predict(model=exp.Literal.string(str(version.model)), arguments=values, kind=kind)
    call.meta[MODEL] = 0
    is_text = kind == "predict" and not _is_plain(data_type(result_type(call, version)))
    result = exp.Cast(this=call, to=data_type("VARCHAR").copy()) if is_text else call
    query = exp.Select(
        expressions=[exp.alias_(result, _RESULT)],
        from_=exp.From(this=exp.Table(this=exp.to_identifier(_ROWS))),
    )
    resolved = Resolved(query, (), (version,), Pins(), (str(version.model),))
    tree, calls = call_models(query, resolved, {0: types}, volatile=True)
    lost = (
        f"{quote(name)} IS NOT NULL AND TRY(CAST({quote(name)} AS {kind})) IS NULL AS {quote(name)}"
        for name, kind in kinds.items()
    )
    behind = logic is not None and logic.behind
    return _Question(
        rows,
        kinds,
        f"SELECT {', '.join(lost)} FROM {_ROWS}",
        to_duckdb(tree, copy=False),
        calls,
        "PREDICT" if behind else signature.primary.name,
    )


def _refuse_unfit(question: _Question, golden: Golden, unfit: pa.Table) -> None:
    for name, column in zip(unfit.column_names, unfit.columns, strict=True):
        row = column.index(True).as_py()
        if row >= 0:
            raise _not_of(name, question.kinds[name], golden.inputs[name][row], row)


def _not_of(name: str, kind: str, value: Any, row: int) -> InvalidDefinition:
    whole = isinstance(value, float) and data_type(kind).this in _INTEGERS
    return InvalidDefinition(
        f'a value of verify for the input "{name}" is not {kind}: {shown(value)} in row {row + 1}',
        hint="a golden row is not rounded; write a whole number" if whole else None,
    )


class _Unfit(Exception):
    """A value is not of a type."""


def _column(name: str, kind: str, values: Sequence[Any]) -> pa.Array:
    """Return values as a column of texts, or of lists, structs and maps of such, from which DuckDB casts them."""
    wanted = data_type(kind)
    found = []
    for row, value in enumerate(values):
        try:
            found.append(_as_text(value, wanted))
        except (_Unfit, OverflowError) as error:
            raise _not_of(name, kind, value, row) from error
    return pa.array(found, type=_texts(wanted))


def _texts(kind: exp.DataType) -> pa.DataType:
    """Return the Arrow type of a type's values as ``_as_text`` gives them."""
    if kind.this in _LISTS:
        return pa.list_(_texts(kind.expressions[0]))
    if kind.this == exp.DType.MAP:
        return pa.map_(pa.string(), _texts(kind.expressions[1]))
    if kind.this == exp.DType.STRUCT:
        return pa.struct([(field.name, _texts(field.args["kind"])) for field in kind.expressions])
    return pa.string()


def _as_text(value: Any, kind: exp.DataType) -> Any:
    """Return a value so that a cast from text makes it a value of the type; raises _Unfit, OverflowError."""
    if value is None:
        return None
    if kind.this in _LISTS:
        return [_as_text(part, kind.expressions[0]) for part in _checked(value, list)]
    if kind.this == exp.DType.MAP:
        return [(key, _as_text(part, kind.expressions[1])) for key, part in _checked(value, dict).items()]
    if kind.this == exp.DType.STRUCT:
        fields = {field.name.casefold(): field for field in kind.expressions}
        given = {name.casefold(): part for name, part in _checked(value, dict).items()}
        if given.keys() != fields.keys():
            raise _Unfit
        return {field.name: _as_text(given[key], field.args["kind"]) for key, field in fields.items()}
    if kind.this == exp.DType.BOOLEAN:
        return str(_checked(value, bool)).lower()
    if kind.this in _NUMBERS:
        return _number(value, kind)
    # Of a date, a time and their kin there is no constant: they are written as DuckDB reads them.
    return _checked(value, str)


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _Unfit
    return value


def _number(value: Any, kind: exp.DataType) -> str:
    is_float = kind.this in exp.DataType.FLOAT_TYPES
    if is_float and isinstance(value, str) and value.lower() in NUMBERS_OF_TEXT:
        return value
    if not isinstance(value, int | float):
        raise _Unfit
    if kind.this in _INTEGERS and int(value) != value:
        raise _Unfit
    if is_float:
        # DuckDB would read it as infinity.
        struct.pack("<f" if kind.this == exp.DType.FLOAT else "<d", value)
    return str(int(value)) if isinstance(value, bool) or kind.this in _INTEGERS else str(value)


def _is_plain(kind: exp.DataType) -> bool:
    """Say whether values of a type are numbers, texts and booleans, or lists, structs and maps of them."""
    if kind.this == exp.DType.STRUCT:
        return all(_is_plain(field.args["kind"]) for field in kind.expressions)
    if kind.this in _LISTS or kind.this == exp.DType.MAP:
        return all(map(_is_plain, kind.expressions))
    return kind.this in _PLAIN
