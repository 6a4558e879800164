"""From a prepared statement and its values to a plan.

This module must not know statements, nor how a plan is run.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from scoter.catalog.fetching import Check
from scoter.engine import rewriting
from scoter.engine.context import Context
from scoter.engine.parts import Parts
from scoter.engine.plan import Kind, Pins, Plan, Staged
from scoter.engine.preparing import Prepared
from scoter.engine.types import quote
from scoter.engine.values import align
from scoter.engine.wire import wire_query
from scoter.errors import WrongParameterCount


def finish(
    prepared: Prepared,
    context: Context,
    parts: Parts,
    values: pa.RecordBatch | None,
    check: Check,
    *,
    only_planned: bool = False,
) -> Plan:
    """Return the plan with ``values`` in place; without values a statement with parameters gets no SQL.

    ``check`` is called while files are read, and may raise. Raises WrongParameterCount, InvalidValue for values
    that do not fit.
    """
    given = aligned(prepared, values)
    pins = _pins(prepared, prepared.resolved.pins)
    plan = Plan(
        kind=prepared.analysis.kind,
        statement=prepared.sql,
        schema=prepared.schema,
        parameters=prepared.parameters,
        pins=pins,
        action=prepared.analysis.action,
        tree=prepared.resolved.tree,
        target=prepared.target,
        command=prepared.resolved if prepared.analysis.kind is Kind.COMMAND else None,
        inner=_inner(prepared, context, parts, values, check),
        described=_described(prepared.inner),
    )
    if prepared.bound is None or (prepared.parameters.names and given is None):
        return plan
    bound = prepared.executed
    shape = rewriting.shape(bound, only_planned=True) if only_planned else prepared.shape
    if prepared.from_rows or prepared.of_values:
        plan, given = filled(plan, prepared, values), None
    query = rewriting.rewrite(bound, shape, context, parts.scans, given, pins.instant, check=check)
    sql = _output(query, prepared)
    parts.binder.check(sql)
    plan = replace(plan, sql=sql, scans=query.scans, calls=query.calls, virtual=query.virtual)
    if not query.calls or prepared.from_rows or sum(scan.rows for scan in query.scans) < rewriting.APART_ROWS:
        return plan
    apart = rewriting.shape(bound, only_planned=only_planned, apart=True, inline=parts.settings.models.inline)
    query = rewriting.rewrite(bound, apart, context, parts.scans, given, pins.instant, check=check)
    return replace(plan, staged=_staged(query, prepared, parts))


def filled(plan: Plan, prepared: Prepared, values: pa.RecordBatch | None) -> Plan:
    """Return a plan with other values bound to its SQL; raises WrongParameterCount, InvalidValue."""
    given = aligned(prepared, values)
    if given is None:
        return plan
    if prepared.of_values:
        return replace(plan, values=tuple(column[0].as_py() for column in given.columns))
    if prepared.from_rows:
        columns = [f"p{name}" for name in prepared.parameters.names]
        return replace(plan, rows=pa.Table.from_batches([given]).rename_columns(columns))
    return plan


def _output(query: rewriting.Query, prepared: Prepared) -> str:
    """Return the SQL whose columns are those of the wire, or of the table that is written."""
    if prepared.target is None and prepared.bound is not None:
        return wire_query(query.sql, prepared.bound.result)
    rows = _ordered(query.sql, prepared)
    empty = prepared.target is not None and not prepared.target.with_data
    return f"SELECT * FROM ({rows}) LIMIT 0" if empty else rows


def _staged(query: rewriting.Query, prepared: Prepared, parts: Parts) -> Staged | None:
    inlined = frozenset(call.function.name for call in query.calls if call.inlined)
    if not query.stages and not inlined:
        return None
    staged = Staged(_output(query, prepared), query.stages, inlined)
    for sql in (staged.sql, *(stage.sql for stage in staged.stages)):
        parts.binder.check(sql)
    return staged


def _inner(
    prepared: Prepared, context: Context, parts: Parts, values: pa.RecordBatch | None, check: Check
) -> Plan | None:
    if prepared.inner is None:
        return None
    runs = bool(prepared.resolved.tree.args.get("analyze"))
    return finish(prepared.inner, context, parts, values, check, only_planned=not runs)


def _described(inner: Prepared | None) -> tuple[tuple[str, str], ...]:
    if inner is None or inner.bound is None:
        return ()
    result = inner.bound.result
    return tuple((n, k) for n, k in zip(result.names, result.texts, strict=True))


def aligned(prepared: Prepared, values: pa.RecordBatch | None) -> pa.RecordBatch | None:
    """Return bound values in the parameters' order and types; raises WrongParameterCount, InvalidValue."""
    wanted = len(prepared.parameters.names)
    if values is None:
        return None
    if values.num_columns != wanted:
        raise WrongParameterCount(
            f"the statement has {wanted} parameters, {values.num_columns} values are bound"
        )
    if not wanted:
        return None
    if values.num_rows != 1 and not prepared.from_rows:
        raise WrongParameterCount(
            f"{values.num_rows} rows are bound, the statement takes one",
            hint="INSERT INTO … VALUES (?, …) takes any number of rows",
        )
    bound = prepared.inner.bound if prepared.inner is not None else prepared.bound
    if bound is None:
        return align(values, prepared.parameters)
    return align(values, prepared.parameters, bound.exact, bound.given)


def _pins(prepared: Prepared, pins: Pins) -> Pins:
    bound = prepared.bound
    if bound is None or not bound.uses_now or pins.instant is not None:
        return pins
    return replace(pins, instant=datetime.now(UTC))


def _ordered(sql: str, prepared: Prepared) -> str:
    """Return the rows of a write with one column for each column of the table, in its order."""
    count = sum(1 for position in prepared.order if position is not None)
    names = [f"c{i}" for i in range(count)]
    parts = [
        f"{'NULL' if position is None else names[position]} AS {quote(f'o{i}')}"
        for i, position in enumerate(prepared.order)
    ]
    # A list of aliases hides surplus columns; the star shows them to the write, which counts.
    parts.append(f"q.* EXCLUDE ({', '.join(names)})")
    return f"SELECT {', '.join(parts)} FROM ({sql}) AS q({', '.join(names)})"
