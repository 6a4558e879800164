"""From bound types to DuckDB SQL: the rules, in order.

The rules that look at no value make a query's shape, once for all its executions; the others take an execution's
values, its instant and the files that it reads. This module must not know commands, writes, or how SQL is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.fetching import Check, unchecked
from scoter.engine.binding import data_type, empty_relation, substitute, typed_null
from scoter.engine.changes import constants_of
from scoter.engine.column_names import columns_used, name_set, seen_names, stored_names
from scoter.engine.context import Context
from scoter.engine.dialect import to_duckdb
from scoter.engine.plan import ModelCall, ScanFacts, Stage
from scoter.engine.predicates import table_predicates
from scoter.engine.querying import Bound
from scoter.engine.resolved import Source
from scoter.engine.rules.call_models import call_models, first_places, given_by, linear_calls, logic_calls
from scoter.engine.rules.pin_now import pin_now
from scoter.engine.rules.read_tables import read_tables
from scoter.engine.rules.score_apart import score_apart
from scoter.engine.rules.score_before_join import score_before_join
from scoter.engine.rules.score_once import score_once
from scoter.engine.rules.score_qualified import score_qualified
from scoter.engine.rules.score_together import score_together
from scoter.engine.rules.spell_alike import spell_alike
from scoter.engine.scan import Scans
from scoter.engine.scanning.stored import StoredFiles
from scoter.engine.stages import cut_stages
from scoter.engine.statements import Predict
from scoter.engine.summing import is_summed
from scoter.engine.types import quote
from scoter.engine.values import literal_at
from scoter.engine.virtual import VirtualTable
from scoter.errors import InternalError

ROWS = "scoter_rows"
# Below so many rows a model's calls inside one query end sooner than a second query starts.
APART_ROWS = 50_000


@dataclass(frozen=True)
class Query:
    """DuckDB SQL with what must be there when it runs."""

    sql: str
    scans: tuple[ScanFacts, ...]
    calls: tuple[ModelCall, ...]
    virtual: tuple[tuple[str, Source], ...]
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Shape:
    """A query after the rules that look at no value and no file: models are functions, parameters stand in it still."""

    tree: exp.Expr
    calls: tuple[ModelCall, ...] = ()
    is_summed: bool = False


def shape(bound: Bound, *, only_planned: bool = False, apart: bool = False, inline: bool = False) -> Shape:
    """Return what all executions of a bound query have in common.

    SQL that is ``only_planned``, as by EXPLAIN, runs no model. With ``apart`` predictions are scored between two
    queries where that is possible; the query then has stages and its SQL reads from them, and with ``inline`` linear
    models are computed in the SQL. All ways to run a query call the same functions.
    """
    resolved = bound.resolved
    if not resolved.models:
        return Shape(bound.tree, is_summed=is_summed(bound.tree))
    tree = bound.tree.copy()

    def columns_of(node: exp.Table) -> list[str] | None:
        return seen_names(node, resolved.source(node))

    tree = spell_alike(tree, columns_of, lambda call: given_by(call, resolved, bound.arguments))

    def is_alone(call: Predict) -> bool:
        return id(call) in linear_calls(call, resolved, bound.arguments).keys() | logic_calls(call, resolved)

    tree = score_before_join(score_qualified(tree, columns_of), columns_of)
    tree = score_once(tree, columns_of, is_alone)
    tree = score_together(tree, is_alone)
    # The rules move calls with their places in the statement as written, and keep the first of several.
    places = first_places(tree, resolved, bound.arguments)
    if apart:
        linear = linear_calls(tree, resolved, bound.arguments) if inline else {}
        tree = score_apart(tree, lambda node: stored_names(resolved.source(node)), linear.keys())
    tree, called = call_models(tree, resolved, bound.arguments, volatile=only_planned, inline=inline)
    return Shape(tree, tuple(replace(call, span=places.get(call.function.name)) for call in called))


def rewrite(
    bound: Bound,
    shape: Shape,
    context: Context,
    scans: Scans,
    values: pa.RecordBatch | None,
    instant: datetime | None,
    *,
    check: Check = unchecked,
) -> Query:
    """Return the DuckDB SQL of a query for one execution: its values, its instant and the files that it reads.

    ``values`` is one row of parameter values in the order of the parameter schema. ``check`` is called while
    files are read, and may raise.
    """
    if values is not None:
        row = {
            field.name: _cast(literal_at(column, 0), bound.parameters[field.name])
            for field, column in zip(values.schema, values.columns, strict=True)
        }
        tree = substitute(shape.tree, lambda _, name: row[name].copy())
    else:
        tree = shape.tree.copy()
    if instant is not None:
        tree = pin_now(tree, instant, context.timezone)
    predicates: dict[int, exp.Expr] = {}
    used: frozenset[str] | None = None
    if bound.resolved.sources:
        predicates = table_predicates(tree, lambda node: name_set(bound.resolved.source(node)))
        used = columns_used(tree)
    filtered = shape.is_summed and any(select.args.get("where") for select in tree.find_all(exp.Select))
    facts: list[ScanFacts] = []
    virtual: dict[str, Source] = {}
    stored: dict[str, StoredFiles] = {}

    def relation(node: exp.Table, source: Source) -> str:
        if source.virtual is not None:
            name = f"scoter_virtual_{len(virtual)}"
            own = _narrowed(source.virtual, used if source.metadata is not None else None)
            virtual[name] = replace(source, virtual=own)
            return _virtual(name, own)
        if source.changes is not None:
            return _changes(source, lambda snapshot_id: scanned(node, source, snapshot_id, added=True))
        return scanned(node, source, source.snapshot_id)

    def scanned(node: exp.Table, source: Source, snapshot_id: int | None, *, added: bool = False) -> str:
        metadata = _metadata_of(source)
        scan = scans.build(
            metadata,
            snapshot_id,
            predicates.get(id(node)),
            used,
            name=str(source.name),
            schema=source.schema,
            added=added,
            hidden=[name for name, _ in source.hidden],
            is_summed=shape.is_summed and (id(node) in predicates or not filtered),
            check=check,
        )
        if scan.stored is not None:
            stored[scan.sql] = scan.stored
        facts.append(
            ScanFacts(
                str(source.name),
                snapshot_id,
                scan.files,
                scan.files_total,
                scan.rows,
                scan.bytes,
                scan.note,
                scan.removed,
                source.metadata_location,
                scan.objects,
            )
        )
        return scan.sql

    tree = read_tables(tree, bound.resolved, relation)
    stages = cut_stages(tree, shape.calls, stored)
    return Query(to_duckdb(tree, copy=False), tuple(facts), shape.calls, tuple(virtual.items()), stages)


def _metadata_of(source: Source) -> TableMetadata:
    if source.metadata is None:
        raise InternalError(f"{source.name} has no metadata")
    return source.metadata


def _changes(source: Source, scanned: Callable[[int], str]) -> str:
    """Return the SQL of the rows that each snapshot added, with what is known of the snapshot."""
    parts = [
        f"SELECT *, {constants_of(change)} FROM {scanned(change.snapshot_id)}"
        for change in source.changes or ()
    ]
    empty = empty_relation((*source.columns, *source.hidden))
    return f"({' UNION ALL '.join(parts)})" if parts else str(empty.this)


def over_rows(bound: Bound) -> Bound:
    """Return ``bound`` reading its parameters from the registered table of bound rows."""
    tree = substitute(
        bound.tree, lambda _, name: _cast(exp.column(f"p{name}", table=ROWS), bound.parameters[name])
    )
    tree.set("from_", exp.From(this=exp.Table(this=exp.to_identifier(ROWS))))
    return replace(bound, tree=tree)


def over_values(bound: Bound) -> Bound:
    """Return ``bound`` with DuckDB's own parameters, in the order of the parameter schema."""
    places = {name: place for place, name in enumerate(bound.parameter_schema.names, start=1)}
    tree = substitute(
        bound.tree,
        lambda _, name: _cast(exp.Parameter(this=exp.Literal.number(places[name])), bound.parameters[name]),
    )
    return replace(bound, tree=tree)


def _cast(value: exp.Expr, kind: str) -> exp.Expr:
    if isinstance(value, exp.Cast) and value.to == data_type(kind):
        return value
    if isinstance(value, exp.Cast) and isinstance(value.this, exp.Null):
        # A NULL of another type is no NULL as a UNION.
        return typed_null(kind)
    return exp.Cast(this=value, to=data_type(kind).copy())


def _virtual(name: str, table: VirtualTable) -> str:
    columns = ", ".join(
        # Arrow has no UUID that DuckDB would know inside a struct.
        f"CAST({quote(column)} AS {kind}) AS {quote(column)}" if "UUID" in kind else quote(column)
        for column, kind in table.columns
    )
    return f"(SELECT {columns} FROM {name})"


def _narrowed(table: VirtualTable, used: frozenset[str] | None) -> VirtualTable:
    """Return a table with those of its columns that may be used, at least one: all others need not be made."""
    if used is None:
        return table
    columns = tuple(pair for pair in table.columns if pair[0].casefold() in used)
    return replace(table, columns=columns or table.columns[:1])
