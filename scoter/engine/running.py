"""Runs plans: queries stream, writes commit, commands answer.

This module must not know how plans are made or kept.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from sqlglot import exp

from scoter.catalog.lake import Lake
from scoter.engine.arriving import Arriving
from scoter.engine.cancellation import Cancellation, watch
from scoter.engine.changing import change
from scoter.engine.commands.outcome import Call
from scoter.engine.commands.registry import command_of
from scoter.engine.context import Context
from scoter.engine.dialect import Scoter
from scoter.engine.execute import Running, scored, stream
from scoter.engine.explain import explain
from scoter.engine.instances import Instances
from scoter.engine.journal import Entry
from scoter.engine.parts import Parts
from scoter.engine.plan import Kind, Plan, Target
from scoter.engine.result import Result
from scoter.engine.rewriting import ROWS
from scoter.engine.statements import (
    DescribeQuery,
    Explain,
    ModelReference,
    PartitionField,
    span_of,
)
from scoter.engine.values import align
from scoter.engine.virtual_rows import arrow_table, virtual_rows
from scoter.engine.wire import batches
from scoter.engine.writing.append import Written, append
from scoter.errors import (
    DuplicateTable,
    InternalError,
    NotSupported,
    ScoterError,
    WriteConflict,
    WrongParameterCount,
)


class Runner:
    """Runs the plans of one lake on a pool of instances."""

    def __init__(self, parts: Parts, instances: Instances) -> None:
        self._parts = parts
        self._instances = instances

    def run(
        self,
        plan: Plan,
        context: Context,
        values: pa.RecordBatch | None,
        entry: Entry,
        cancellation: Cancellation,
    ) -> Result:
        """Run a plan; a query streams when its result is read, everything else has happened on return.

        Raises ScoterErrors only, each noted in ``entry``, whose line is then written.
        """
        entry.facts["action"] = plan.action
        try:
            if plan.kind is Kind.QUERY:
                return self._query(plan, context, entry, cancellation)
            if plan.kind is Kind.WRITE:
                written = self._write(plan, context, entry, cancellation)
                return self._counted(plan, context, written, entry, cancellation)
            return self._command(plan, context, values, entry, cancellation)
        except ScoterError as error:
            entry.failed(error)
            entry.write()
            raise
        except Exception as error:
            shown = entry.failed(error)
            entry.write()
            raise shown from error

    def _start(
        self, context: Context, entry: Entry, cancellation: Cancellation, tree: exp.Expr | None
    ) -> Running:
        with entry.stage("queue"):
            running = Running(
                self._instances,
                context,
                self._timeout(context),
                tree,
                cancellation,
                # A time that a session chose says nothing of a model.
                is_own=not context.statement_timeout,
            )
        cancellation.attach(running.cancel)
        return running

    def _prove(self, plan: Plan, context: Context, cancellation: Cancellation) -> None:
        """Let no model be served that is in quarantine or does not give the results of its golden rows."""
        for call in plan.calls:
            try:
                self._parts.quarantine.check(call.function.sha256, str(call.pin))
                if call.proven is not None:
                    self._parts.proofs.check(str(call.pin), call.proven, context, cancellation)
            except ScoterError as error:
                error.span = error.span or call.span
                raise

    def _timeout(self, context: Context) -> float:
        return context.statement_timeout or self._parts.settings.query.statement_timeout

    def _tables(
        self, plan: Plan, context: Context, cancellation: Cancellation
    ) -> dict[str, pa.Table | Arriving]:
        check = watch(cancellation, self._timeout(context))
        tables: dict[str, pa.Table | Arriving] = {
            name: virtual_rows(source, self._parts.lake, self._parts.models, check)
            for name, source in plan.virtual
        }
        if plan.rows is not None:
            tables[ROWS] = plan.rows
        return tables

    def _removed(self, plan: Plan, running: Running, *, runs: bool = True) -> dict[str, pa.Table]:
        """Return the deleted rows that a plan's scans leave out; what is not kept any more is read again.

        For a plan that never ``runs`` they are good to be planned with only.
        """
        tables: dict[str, pa.Table] = {}
        for scan in plan.scans:
            if scan.removed and scan.metadata_location is not None:
                location = scan.metadata_location
                open_with = partial(_io, self._parts.lake, location)
                query = running.batches if runs else None
                tables |= self._parts.scans.tables(scan.removed, open_with, running.check, query)
        return tables

    def _query(self, plan: Plan, context: Context, entry: Entry, cancellation: Cancellation) -> Result:
        if not plan.sql:
            raise WrongParameterCount(f"the statement has {len(plan.parameters)} parameters, none is bound")
        self._prove(plan, context, cancellation)
        tables = self._tables(plan, context, cancellation)
        running = self._start(context, entry, cancellation, plan.tree)

        def finish() -> None:
            running.finish()
            entry.write()

        try:
            sql = running.start(plan, tables | self._removed(plan, running))
        except Exception as error:
            shown = running.failure(error)
            running.finish()
            raise shown from error
        source = stream(running, sql, plan.schema, self._parts.settings.server.batch_bytes, entry, finish)
        return Result(entry.query_id, plan.schema, context, source, cancellation, on_close=finish)

    def _write(self, plan: Plan, context: Context, entry: Entry, cancellation: Cancellation) -> Written:
        target = plan.target
        if target is None:
            raise InternalError("a write has no target")
        if not plan.sql:
            raise WrongParameterCount(f"the statement has {len(plan.parameters)} parameters, none is bound")
        self._prove(plan, context, cancellation)
        lake = self._parts.lake
        create = None
        if target.definition is not None:
            try:
                create = lake.begin_create(target.name, *target.definition)
            except DuplicateTable:
                if target.if_not_exists:
                    return Written(0, None, 0, 0)
                raise
        table = _writable(lake, target) if create is None else create._table  # noqa: SLF001  # only its catalog
        tables = self._tables(plan, context, cancellation)
        running = self._start(context, entry, cancellation, plan.tree)
        try:
            sql = running.start(plan, tables | self._removed(plan, running))
            with entry.stage("write"):
                if target.actions:
                    properties = _properties(plan, entry)
                    return change(running, sql, target, table, self._parts, properties)
                return append(
                    running.connection,
                    sql,
                    table,
                    properties=_properties(plan, entry),
                    create=create,
                    before_commit=running.check,
                    staging=running.instance.staging,
                )
        except DuplicateTable:
            # Another writer made it meanwhile.
            if target.if_not_exists:
                return Written(0, None, 0, 0)
            raise
        except Exception as error:
            raise running.failure(error) from error
        finally:
            entry.facts |= scored(running.instance.run)
            running.finish()

    def _counted(
        self, plan: Plan, context: Context, written: Written, entry: Entry, cancellation: Cancellation
    ) -> Result:
        target: Target | None = plan.target
        entry.facts |= {
            "target": str(target.name) if target else None,
            "snapshot_id": written.snapshot_id,
            "rows": written.rows,
            "files": written.files,
            "bytes": written.bytes,
        }
        entry.write()
        table = pa.table({"Count": pa.array([written.rows], pa.int64())}, schema=plan.schema)
        return Result(
            entry.query_id,
            plan.schema,
            context,
            iter(table.to_batches()),
            cancellation,
            rows_affected=written.rows,
        )

    def _command(
        self,
        plan: Plan,
        context: Context,
        values: pa.RecordBatch | None,
        entry: Entry,
        cancellation: Cancellation,
    ) -> Result:
        tree = plan.command.tree
        with entry.stage("execute"):
            if isinstance(tree, Explain) and plan.inner is not None:
                rows = self._explain(plan.inner, context, entry, cancellation, bool(tree.args.get("analyze")))
                table, after = arrow_table(_texts(plan.schema), list(rows)), context
            elif isinstance(tree, DescribeQuery) and plan.inner is not None:
                described = [(name, kind, "YES", None, None, None) for name, kind in plan.described]
                table, after = arrow_table(_texts(plan.schema), described), context
            else:
                command = command_of(tree)
                bound = _bound(plan, values)
                try:
                    call = Call(tree, context, self._parts, plan.command, bound, cancellation, plan.described)
                    outcome = command.run(call)
                except ScoterError as error:
                    error.span = error.span or span_of(tree.this) or span_of(tree)
                    raise
                after = outcome.context
                table = arrow_table(command.columns, list(outcome.rows))
        entry.facts["rows"] = table.num_rows
        entry.write()
        reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
        source = batches(reader, plan.schema, self._parts.settings.server.batch_bytes)
        count = -1 if plan.schema.names else 0
        return Result(entry.query_id, plan.schema, after, source, cancellation, rows_affected=count)

    def _explain(
        self, plan: Plan, context: Context, entry: Entry, cancellation: Cancellation, analyze: bool
    ) -> list[tuple[str, str]]:
        if analyze and plan.kind is not Kind.QUERY:
            raise NotSupported("EXPLAIN ANALYZE runs queries only", hint="EXPLAIN shows the plan of a write")
        if analyze:
            self._prove(plan, context, cancellation)
        tables = self._tables(plan, context, cancellation)
        running = self._start(context, entry, cancellation, plan.tree)
        try:
            removed = self._removed(plan, running, runs=analyze)
            return explain(plan, running, tables | removed, analyze=analyze)
        except (duckdb.Error, ScoterError) as error:
            raise running.failure(error) from error
        finally:
            running.finish()


def _writable(lake: Lake, target: Target) -> Table:
    """Return the table that a write fills, as it is now; raises WriteConflict where its columns are not those planned for."""
    table = lake.writable(target.name)
    planned, now = target.columns, table.schema()
    if planned is not None and planned != now and not _differ_in_comments(planned, now):
        raise WriteConflict(
            f"the columns of table {target.name} have changed since the statement was planned",
            hint="prepare it again",
        )
    return table


def _differ_in_comments(one: Schema, other: Schema) -> bool:
    """Return whether two versions of a table's columns hold the same rows and differ in comments alone."""

    def bare(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: bare(value) for key, value in part.items() if key not in ("doc", "schema-id")}
        return [bare(value) for value in part] if isinstance(part, list | tuple) else part

    return bool(bare(one.model_dump(by_alias=True)) == bare(other.model_dump(by_alias=True)))


def _io(lake: Lake, metadata_location: str) -> FileIO:
    return lake.io(lake.metadata(metadata_location))


def _bound(plan: Plan, values: pa.RecordBatch | None) -> dict[str, Any]:
    """Return a command's one row of bound values by parameter name; clients bind by position."""
    wanted = len(plan.parameters)
    given = values.num_columns if values is not None and values.num_rows else 0
    if given != wanted:
        raise WrongParameterCount(f"the statement has {wanted} parameters, {given} values are bound")
    if values is None or not wanted:
        return {}
    row = align(values.slice(0, 1), plan.parameters)
    return {name: column[0].as_py() for name, column in zip(plan.parameters.names, row.columns, strict=True)}


def _texts(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    return tuple((name, "VARCHAR") for name in schema.names)


def _properties(plan: Plan, entry: Entry) -> dict[str, str]:
    """Return what the snapshot's summary says of the statement and the models that made its rows."""
    properties = {"scoter.query-id": entry.query_id}
    if plan.calls:
        # One version may be written in several ways.
        pins = {(pin.name, pin.version): pin for pin in plan.pins.models}.values()
        properties |= {
            "scoter.model": ",".join(str(pin.name) for pin in pins),
            "scoter.model-version": ",".join(str(pin.version) for pin in pins),
            "scoter.model-sha256": ",".join(pin.sha256 for pin in pins),
        }
    return properties


def normalised(tree: object) -> str:
    """Return a statement as the log shows it: one spelling, every literal as `?`."""
    if not isinstance(tree, exp.Expr):
        return ""
    copied = tree.copy()
    for literal in copied.find_all(exp.Literal):
        if not isinstance(literal.parent, exp.DataTypeParam | PartitionField | ModelReference):
            # Changed in place: to replace one literal of a long list costs a search of the list.
            literal.set("this", "?")
            literal.set("is_string", False)
    return Scoter().generate(copied, copy=False, comments=False)
