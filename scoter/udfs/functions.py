"""Model calls as DuckDB functions over one STRUCT argument.

This module must not know catalogs, names of models or SQL text; it is told artifacts and signatures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256 as digest
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import FunctionNullHandling, PythonUDFType

from scoter.errors import ModelFailed, NotSupported, OutOfMemory, ScoterError
from scoter.udfs import batches
from scoter.udfs.isolation import Isolated, RowsFailed, apart
from scoter.udfs.pieces import Feeds, in_pieces
from scoter.udfs.results import column_of, probabilities, probability
from scoter.udfs.runs import Counts, Run
from scoter.udfs.sessions import Loaded, Sessions, is_memory, reason
from scoter.udfs.signature import Output, Signature
from scoter.udfs.tensors import arrow_type

UNFIT = "unfit"
ERROR = "error"
# A model that has failed on so many rows, and given not one result, is broken: the statement says so.
_HOPELESS = 10_000


@dataclass(frozen=True)
class Function:
    """One model call: which file, read how, and which of its results.

    ``kind`` is predict, proba (a MAP of all classes), proba_class (one class, ``class_label``), all (a STRUCT
    of all outputs) or together (a STRUCT of the results r0, r1, … of the functions ``parts``). A function that ``tries`` gives NULL for a row that fails, of kind all a STRUCT whose field
    ``error`` says why; its argument has a last field ``unfit``: the number of the first input whose value did not
    fit its type, else NULL.
    """

    sha256: str
    signature: Signature
    kind: str = "predict"
    class_label: str | None = None
    tries: bool = False
    parts: tuple[Function, ...] = ()

    @cached_property
    def name(self) -> str:
        """The SQL name: the same for the same file, signature and result, and only then."""
        parts: list[object] = [self.sha256, self.signature.to_json(), self.kind, self.class_label, self.tries]
        parts += [part.name for part in self.parts]
        return f"predict_{digest(json.dumps(parts).encode()).hexdigest()[:32]}"

    @property
    def argument_type(self) -> str:
        """DuckDB's type of the one argument: fields i0, i1, … in the signature's order."""
        fields = ", ".join(f"i{place} {each.argument}" for place, each in enumerate(self.signature.inputs))
        return f"STRUCT({fields}, {UNFIT} INTEGER)" if self.tries else f"STRUCT({fields})"

    @property
    def return_type(self) -> str:
        """DuckDB's type of the result; raises NotSupported when the model has no such result."""
        match self.kind:
            case "predict":
                return self.signature.predict_type()
            case "proba":
                return self.signature.proba_type()
            case "all":
                return self._struct_type()
            case "together":
                fields = (f"r{place} {part.return_type}" for place, part in enumerate(self.parts))
                return f"STRUCT({', '.join(fields)})"
        self.signature.proba_type()
        return "DOUBLE"

    @property
    def arrow_type(self) -> pa.DataType:
        """Arrow's type of the result."""
        if self.kind == "together":
            return pa.struct([(f"r{place}", part.arrow_type) for place, part in enumerate(self.parts)])
        if self.kind != "all":
            return arrow_type(self.return_type)
        fields = [(output.name, arrow_type(output.type)) for output in self.signature.outputs]
        return pa.struct([*fields, (ERROR, pa.string())] if self.tries else fields)

    def _struct_type(self) -> str:
        known = self.signature.struct_type()
        if not self.tries:
            return known
        if any(output.name.casefold() == ERROR for output in self.signature.outputs):
            raise NotSupported(
                "the model has an output called error, too", hint="TRY_PREDICT gives its first output"
            )
        return f'{known.removesuffix(")")}, "{ERROR}" VARCHAR)'

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The model's outputs that the result is made of, in order."""
        signature = self.signature
        if self.kind == "all":
            return signature.outputs
        if self.parts:
            return tuple(dict.fromkeys(output for part in self.parts for output in part.outputs))
        found = signature.primary if self.kind == "predict" else signature.probabilities
        return () if found is None else (found,)


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
    """Return what scores a batch with the columns of the function's argument: one result for each row.

    It raises ScoterErrors only and keeps the first in ``run.error``. Safe for many threads.
    """
    score = _Scorer(function, sessions, run)

    def call(batch: pa.RecordBatch) -> pa.Array:
        try:
            return score(batch)
        except ScoterError as error:
            run.fail(error, function.name)
            raise
        except Exception as error:
            failure = _failure(error)
            failure.__cause__ = error
            run.fail(failure, function.name)
            raise failure from error

    return call


class _Scorer:
    """Scores batches of one function for one run."""

    def __init__(self, function: Function, sessions: Sessions, run: Run) -> None:
        self._function = function
        self._sessions = sessions
        self._run = run
        self._type = _results_type(function)
        self._wanted = [output.in_file for output in function.outputs]
        self._finish = _finisher(function)
        # The session may be let go and loaded again between calls; its layout goes with it.
        self._known: tuple[Loaded, batches.Layout] | None = None

    def __call__(self, batch: pa.RecordBatch) -> pa.Array:
        if not batch.num_rows:
            return pa.nulls(0, self._function.arrow_type)
        loaded, layout = self._loaded()
        counts = Counts(rows=batch.num_rows)
        started = time.perf_counter()

        def score(rows: pa.RecordBatch) -> pa.Array:
            return self._scored(rows, loaded, layout, counts)

        result = self._tried(batch, score, counts) if self._function.tries else score(batch)
        counts.conversion_seconds = time.perf_counter() - started - counts.model_seconds
        self._run.count(self._function.name, counts)
        return result

    def _loaded(self) -> tuple[Loaded, batches.Layout]:
        loaded = self._sessions.get(self._function.sha256, free=self._function.signature.batch is None)
        known = self._known
        if known is None or known[0] is not loaded:
            known = self._known = (loaded, batches.Layout(self._function.signature, loaded))
        return known

    def _scored(
        self, batch: pa.RecordBatch, loaded: Loaded, layout: batches.Layout, counts: Counts
    ) -> pa.Array:
        """Return a result for each row, NULL as the policy says; raises for all rows if one fails."""
        total = batch.num_rows
        kept = None
        groups = layout.plain(batch)
        if groups is None:
            rest = layout.without_nulls(batch)
            batch, kept = rest.batch, rest.kept
            if not batch.num_rows:
                counts.skipped += total
                return pa.nulls(total, self._type)
            groups = layout.groups(batch)
        results = [
            self._finish(_infer(loaded, self._wanted, group, self._run, counts), group.rows)
            for group in groups
        ]
        scored = batches.gathered(results, groups)
        counts.skipped += total - batch.num_rows
        return scored if kept is None else batches.spread(scored, kept)

    def _tried(
        self, batch: pa.RecordBatch, score: Callable[[pa.RecordBatch], pa.Array], counts: Counts
    ) -> pa.Array:
        """Return a result for each row, NULL for those that fail, and of kind all why they did."""
        found = apart(batch, self._function.signature.inputs, self._type, score)
        counts.failed += found.failed
        if found.by_model:
            self._check_hope(found, counts)
        if self._function.kind != "all":
            return found.results
        fields = list(self._function.arrow_type)
        skipped = pc.and_(found.results.is_null(), found.reasons.is_null())
        return pa.StructArray.from_arrays(
            [*found.results.flatten(), found.reasons], fields=fields, mask=skipped
        )

    def _check_hope(self, found: Isolated, counts: Counts) -> None:
        before = self._run.count(self._function.name, Counts())
        failed = before.failed + counts.failed
        given = before.rows + counts.rows - before.skipped - counts.skipped
        if failed == given and failed >= _HOPELESS:
            raise ModelFailed(
                f"the model failed on each of {failed:,} rows: {found.by_model}",
                hint="a model that gives no result at all ends the statement",
            )


def _results_type(function: Function) -> pa.DataType:
    """Return Arrow's type of the result, without the error that is put beside it."""
    return replace(function, tries=False).arrow_type


def _over_struct(score: Callable[[pa.RecordBatch], pa.Array]) -> Callable[[pa.ChunkedArray], pa.Array]:
    def call(rows: pa.ChunkedArray) -> pa.Array:
        struct = rows.chunk(0) if rows.num_chunks == 1 else rows.combine_chunks()
        return score(pa.RecordBatch.from_struct_array(struct))

    return call


def _infer(loaded: Loaded, wanted: list[str], group: batches.Group, run: Run, counts: Counts) -> list[Any]:
    def once(feeds: Feeds) -> list[Any]:
        started = time.perf_counter()
        with run.batch(loaded.sha256):
            try:
                results, compiled = loaded.run(wanted, feeds, run.options)
            except Exception as error:
                if run.ended is not None:
                    raise run.ended from error
                failure = _failure(error)
                if isinstance(failure, OutOfMemory):
                    run.charge(loaded.sha256)
                raise failure from error
            finally:
                counts.batches += 1
                counts.model_seconds += time.perf_counter() - started
        counts.compiled += compiled
        return results

    return in_pieces(once, group.feeds, group.rows, group.at_once, exactly=group.exactly)


def _failure(error: Exception) -> ScoterError:
    """Return what a user sees of what ONNX Runtime, Arrow or NumPy raised; RowsFailed if other rows may do."""
    if is_memory(error):
        return OutOfMemory(
            "the model ran out of memory", hint="give the server more memory, or export a smaller model"
        )
    return RowsFailed(f"the model failed: {reason(error)}")


def _finisher(function: Function) -> Callable[[list[Any], int], pa.Array]:
    """Return what makes the model's results for so many rows into one column."""
    signature = function.signature
    if function.parts:
        return _together(function)
    if function.kind == "proba_class":
        place = signature.label_index(function.class_label or "")
        return lambda results, rows: probability(results[0], place, rows)

    def column(output: Output, result: object, rows: int) -> pa.Array:
        if output.role == "probabilities":
            return probabilities(result, signature.labels, rows)
        return column_of(result, output.type, rows)

    if function.kind != "all":
        (only,) = function.outputs
        return lambda results, rows: column(only, results[0], rows)
    fields = list(_results_type(function))
    return lambda results, rows: pa.StructArray.from_arrays(
        [column(each, result, rows) for each, result in zip(function.outputs, results, strict=True)],
        fields=fields,
    )


def _together(function: Function) -> Callable[[list[Any], int], pa.Array]:
    parts = [
        (_finisher(part), [function.outputs.index(output) for output in part.outputs])
        for part in function.parts
    ]
    fields = list(function.arrow_type)
    return lambda results, rows: pa.StructArray.from_arrays(
        [finish([results[place] for place in places], rows) for finish, places in parts], fields=fields
    )
