"""Model calls as DuckDB functions over one STRUCT argument.

This module must not know catalogs, names of models or SQL text; it is told artifacts and signatures.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256 as digest
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from scoter.errors import Cancelled, ModelFailed, ScoterError
from scoter.udfs import batches
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.sessions import Loaded, Sessions, reason
from scoter.udfs.signature import Output, Signature
from scoter.udfs.tensors import arrow_type

_FATAL_ONLY = 4


@dataclass(frozen=True)
class Function:
    """One model call: which file, read how, and which of its results.

    ``kind`` is predict, proba (a MAP of all classes), proba_class (one class, ``class_label``) or all (a STRUCT
    of all outputs).
    """

    sha256: str
    signature: Signature
    kind: str = "predict"
    class_label: str | None = None

    @cached_property
    def name(self) -> str:
        """The SQL name: the same for the same file, signature and result, and only then."""
        parts = [self.sha256, self.signature.to_json(), self.kind, self.class_label]
        return f"predict_{digest(json.dumps(parts).encode()).hexdigest()[:32]}"

    @property
    def argument_type(self) -> str:
        """DuckDB's type of the one argument: fields i0, i1, … in the signature's order."""
        fields = ", ".join(f"i{place} {each.type}" for place, each in enumerate(self.signature.inputs))
        return f"STRUCT({fields})"

    @property
    def return_type(self) -> str:
        """DuckDB's type of the result; raises NotSupported when the model has no such result."""
        match self.kind:
            case "predict":
                return self.signature.predict_type()
            case "proba":
                return self.signature.proba_type()
            case "all":
                return self.signature.struct_type()
        self.signature.proba_type()
        return "DOUBLE"

    @property
    def arrow_type(self) -> pa.DataType:
        """Arrow's type of the result."""
        if self.kind != "all":
            return arrow_type(self.return_type)
        return pa.struct([(output.name, arrow_type(output.type)) for output in self.signature.outputs])

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The model's outputs that the result is made of, in order."""
        signature = self.signature
        if self.kind == "all":
            return signature.outputs
        found = signature.primary if self.kind == "predict" else signature.probabilities
        return () if found is None else (found,)


class Run:
    """What all model calls of one statement share: counters, the first error, and the way to end them.

    One DuckDB instance runs one statement at a time; ``begin`` starts the next.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Forget the last statement."""
        options = onnxruntime.RunOptions()
        options.log_severity_level = _FATAL_ONLY
        with self._lock:
            self.options = options
            self.rows = 0
            self.skipped = 0
            self.error: Exception | None = None
            self.failed = ""
            self.cancelled = False

    def cancel(self) -> None:
        """End model calls that are running, from any thread, and refuse further ones."""
        with self._lock:
            self.cancelled = True
            self.options.terminate = True

    def count(self, rows: int, skipped: int) -> None:
        """Add rows that were given and rows among them whose result is NULL for a NULL input."""
        with self._lock:
            self.rows += rows
            self.skipped += skipped

    def fail(self, error: Exception, function: str = "") -> None:
        """Keep the first error, and the name of the function that raised it: of both DuckDB passes on a text."""
        with self._lock:
            if self.error is None:
                self.error = error
                self.failed = function


def register(
    connection: duckdb.DuckDBPyConnection,
    function: Function,
    sessions: Sessions,
    run: Run,
    *,
    volatile: bool = False,
) -> None:
    """Create ``function`` on a connection's instance under its name, ``_v`` appended when volatile.

    A volatile function is never folded or run while a statement is only planned. What a call raises
    is kept in ``run.error``. Raises NotSupported when the model has no such result, and
    duckdb.CatalogException when the function exists.
    """
    connection.create_function(
        function.name + ("_v" if volatile else ""),
        _over_struct(scorer(function, sessions, run)),
        [connection.type(function.argument_type)],
        connection.type(function.return_type),
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
        side_effects=volatile,
    )


def scorer(function: Function, sessions: Sessions, run: Run) -> Callable[[pa.RecordBatch], pa.Array]:
    """Return what scores a batch with the columns i0, i1, …: one result for each row, NULL as the policy says.

    It raises ScoterErrors only and keeps the first in ``run.error``. Safe for many threads.
    """
    signature = function.signature
    target = function.arrow_type
    wanted = [output.name for output in function.outputs]
    finish = _finisher(function)
    # The session may be let go and loaded again between calls; its layout goes with it.
    known: list[tuple[Loaded, batches.Layout]] = []

    def layout_of(loaded: Loaded) -> batches.Layout:
        if not known or known[0][0] is not loaded:
            known[:] = [(loaded, batches.Layout(signature, loaded.session))]
        return known[0][1]

    def score(batch: pa.RecordBatch) -> pa.Array:
        total = batch.num_rows
        if not total:
            return pa.nulls(0, target)
        loaded = sessions.get(function.sha256)
        layout = layout_of(loaded)
        kept = None
        feeds = layout.plain(batch)
        if feeds is None:
            rest = layout.without_nulls(batch)
            batch, kept = rest.batch, rest.kept
            if not batch.num_rows:
                run.count(total, total)
                return pa.nulls(total, target)
            feeds = layout.feeds(batch)
        result = _infer(loaded, wanted, feeds, run)
        run.count(total, total - batch.num_rows)
        scored = finish(result, batch.num_rows)
        return scored if kept is None else batches.spread(scored, kept)

    def call(batch: pa.RecordBatch) -> pa.Array:
        try:
            return score(batch)
        except ScoterError as error:
            run.fail(error, function.name)
            raise
        except Exception as error:
            failure = ModelFailed(f"the model failed: {reason(error)}")
            failure.__cause__ = error
            run.fail(failure, function.name)
            raise failure from error

    return call


def _over_struct(score: Callable[[pa.RecordBatch], pa.Array]) -> Callable[[pa.ChunkedArray], pa.Array]:
    def call(rows: pa.ChunkedArray) -> pa.Array:
        struct = rows.chunk(0) if rows.num_chunks == 1 else rows.combine_chunks()
        return score(pa.RecordBatch.from_struct_array(struct))

    return call


def _infer(loaded: Loaded, wanted: list[str], feeds: batches.Feeds, run: Run) -> list[Any]:
    if run.cancelled:
        raise Cancelled("the statement was cancelled")
    try:
        results: list[Any] = loaded.session.run(wanted, feeds, run.options)
    except Exception as error:
        if run.cancelled:
            raise Cancelled("the statement was cancelled") from error
        raise ModelFailed(f"the model failed: {reason(error)}") from error
    return results


def _finisher(function: Function) -> Callable[[list[Any], int], pa.Array]:
    """Return what makes the model's results for so many rows into one column."""
    signature = function.signature
    if function.kind == "proba_class":
        place = signature.label_index(function.class_label or "")
        return lambda results, rows: batches.probability(results[0], place, rows)

    def column(output: Output, result: object, rows: int) -> pa.Array:
        if output.role == "probabilities":
            return batches.probabilities(result, signature.labels, rows)
        return batches.column(result, output.type, rows)

    if function.kind != "all":
        (only,) = function.outputs
        return lambda results, rows: column(only, results[0], rows)
    fields = list(function.arrow_type)
    return lambda results, rows: pa.StructArray.from_arrays(
        [column(each, result, rows) for each, result in zip(function.outputs, results, strict=True)],
        fields=fields,
    )
