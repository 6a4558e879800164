"""From a resolved query to bound types, and from bound types to DuckDB SQL.

This module must not know commands, writes, or how SQL is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.fetching import Check, unchecked
from scoter.engine.binding import (
    Binder,
    Binding,
    data_type,
    empty_relation,
    number_parameters,
    substitute,
    typed_null,
)
from scoter.engine.changes import constants_of
from scoter.engine.context import Context
from scoter.engine.dialect import to_duckdb
from scoter.engine.gate import function_name
from scoter.engine.inference import infer_parameters
from scoter.engine.logic import BEHIND
from scoter.engine.plan import ModelCall, ScanFacts, Stage
from scoter.engine.predicates import table_predicates
from scoter.engine.resolve import Resolved, Source
from scoter.engine.rules.call_models import (
    argument_types,
    call_models,
    expand_stars,
    first_places,
    linear_calls,
    name_results,
    signature_for,
    without_calls,
)
from scoter.engine.rules.pin_now import pin_now, uses_now
from scoter.engine.rules.pin_session import constants, pin_session, settle_words
from scoter.engine.rules.read_tables import read_tables
from scoter.engine.rules.score_apart import APART, score_apart
from scoter.engine.rules.score_once import score_once
from scoter.engine.rules.unfold import unfold
from scoter.engine.scan import Scans
from scoter.engine.statements import Predict
from scoter.engine.types import quote
from scoter.engine.values import literal_at, parameter_schema
from scoter.engine.virtual import VirtualTable
from scoter.errors import InternalError, UndefinedColumn
from scoter.suggestions import closest

ROWS = "scoter_rows"
# Below so many rows a model's calls inside one query end sooner than a second query starts.
APART_ROWS = 50_000


@dataclass(frozen=True)
class Bound:
    """A query with every type known: parameters, calls' arguments, result columns.

    ``exact`` are the parameters whose values must not be rounded to their types, which nobody wrote.
    """

    tree: exp.Expr
    resolved: Resolved
    parameters: Mapping[str, str]
    arguments: Mapping[int, tuple[str, ...]]
    result: Binding
    parameter_schema: pa.Schema
    uses_now: bool
    exact: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Query:
    """DuckDB SQL with what must be there when it runs."""

    sql: str
    scans: tuple[ScanFacts, ...]
    calls: tuple[ModelCall, ...]
    virtual: tuple[tuple[str, Source], ...]
    stages: tuple[Stage, ...] = ()


def bind(
    query: exp.Expr,
    resolved: Resolved,
    binder: Binder,
    context: Context,
    known: Mapping[str, str] | None = None,
) -> Bound:
    """Return ``query`` with its types; ``known`` are parameter types that the statement's target gives."""
    names = number_parameters(query)
    name_results(query, binder.name_of)
    settle_words(query, (column for source in resolved.sources for column in source.columns))
    pin_session(query, constants(context, binder.engine))
    types = dict(known or {})
    # A tree is copied and searched only for what is in it: it may have ten thousand columns.
    if resolved.models:
        expand_stars(query, resolved)
        types |= _from_calls(query, resolved)
    empties = over_empties(query, resolved)
    bare = without_calls(empties, resolved) if resolved.models else empties
    exact: frozenset[str] = frozenset()
    arguments: Mapping[int, tuple[str, ...]] = {}
    if names:
        types, exact = infer_parameters(binder, bare, names, types)
    if resolved.models:
        arguments = argument_types(binder, empties, resolved, types)
    if names:
        bare = substitute(bare, lambda _, name: typed_null(types[name]))
    try:
        result = binder.columns(bare, query)
    except UndefinedColumn as error:
        quoted = error.message.split('"')
        columns = [name for source in resolved.sources for name, _ in source.columns]
        error.hint = error.hint or (closest(quoted[1], columns) if len(quoted) > 2 else None)
        raise
    return Bound(
        query, resolved, types, arguments, result, parameter_schema(names, types), uses_now(query), exact
    )


def over_empties(query: exp.Expr, resolved: Resolved) -> exp.Expr:
    """Return a copy of ``query`` that reads typed empty relations, so that DuckDB can bind it."""
    return unfold(
        read_tables(query.copy(), resolved, lambda _, s: str(empty_relation((*s.columns, *s.hidden)).this))
    )


def rewrite(
    bound: Bound,
    context: Context,
    scans: Scans,
    values: pa.RecordBatch | None,
    *,
    only_planned: bool = False,
    apart: bool = False,
    inline: bool = False,
    check: Check = unchecked,
) -> Query:
    """Return the DuckDB SQL of a bound query: the rules, in order.

    ``values`` is one row of parameter values in the order of the parameter schema. SQL that is
    ``only_planned``, as by EXPLAIN, runs no model. With ``apart`` predictions are scored between two
    queries where that is possible; the query then has stages and its SQL reads from them. With ``inline`` linear
    models are computed in the SQL. ``check`` is called while
    files are read, and may raise.
    """
    if values is not None:
        row = {
            field.name: _cast(literal_at(column, 0), bound.parameters[field.name])
            for field, column in zip(values.schema, values.columns, strict=True)
        }
        tree = substitute(bound.tree, lambda _, name: row[name].copy())
    else:
        tree = bound.tree.copy()
    if bound.resolved.pins.instant is not None:
        tree = pin_now(tree, bound.resolved.pins.instant, context.timezone)
    calls: tuple[ModelCall, ...] = ()
    if bound.resolved.models:
        tree = score_once(tree, lambda node: _names_of(bound.resolved.source(node)))
        if apart:
            linear = linear_calls(tree, bound.resolved, bound.arguments) if inline else {}
            tree = score_apart(
                tree, lambda node: _stored_names_of(bound.resolved.source(node)), linear.keys()
            )
        tree, called = call_models(
            tree, bound.resolved, bound.arguments, volatile=only_planned, inline=inline
        )
        # These rules move calls and make one of several: places are those of the statement as written.
        places = first_places(bound.tree, bound.resolved, bound.arguments)
        calls = tuple(replace(call, span=places.get(call.function.name)) for call in called)
    predicates: dict[int, exp.Expr] = {}
    used: frozenset[str] | None = None
    if bound.resolved.sources:
        predicates = table_predicates(tree, lambda node: _name_set(bound.resolved.source(node)))
        used = _columns_used(tree)
    facts: list[ScanFacts] = []
    virtual: dict[str, Source] = {}

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
            check=check,
        )
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
    stages = _stages(tree, calls) if apart else ()
    return Query(to_duckdb(tree, copy=False), tuple(facts), calls, tuple(virtual.items()), stages)


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


def _stages(tree: exp.Expr, calls: tuple[ModelCall, ...]) -> tuple[Stage, ...]:
    """Cut the marked subqueries out of ``tree``, in place, and return them."""
    functions = {call.function.name + ("_v" if call.volatile else ""): call.function for call in calls}
    stages: list[Stage] = []
    for node in [found for found in tree.find_all(exp.Subquery) if APART in found.meta]:
        name = f"scoter_scored_{len(stages)}"
        scores = []
        for part in node.this.expressions:
            if not isinstance(part, exp.Alias):
                continue
            found = next(
                (node for node in part.this.find_all(exp.Anonymous) if str(node.this) in functions), None
            )
            if found is None or not (found is part.this or part.this.meta.get(BEHIND)):
                continue
            scores.append((part.alias, functions[str(found.this)]))
            if found is not part.this:
                _behind_stage(tree, part, found)
            part.set("this", found.expressions[0])
        stages.append(Stage(name, to_duckdb(node.this), tuple(scores)))
        node.replace(exp.Table(this=exp.to_identifier(name), alias=node.args["alias"].copy()))
    return tuple(stages)


def _behind_stage(tree: exp.Expr, part: exp.Expr, call: exp.Expr) -> None:
    """Compute what a stage makes of a model's result where its rows are read, in place."""
    columns = [column for column in tree.find_all(exp.Column) if column.name == part.alias]
    for column in columns:
        made = part.this.copy()
        inner = next(node for node in made.find_all(exp.Anonymous) if node.this == call.this)
        inner.replace(column.copy())
        column.replace(made)


def rows_query(values: exp.Expr | None) -> exp.Select | None:
    """Return `SELECT a, b FROM rows` for `VALUES (a, b)` of one tuple with parameters, else None.

    So that many bound rows are one statement: each parameter becomes a column of the bound rows.
    """
    if not isinstance(values, exp.Values) or len(values.expressions) != 1:
        return None
    if not list(values.find_all(exp.Placeholder)):
        return None
    row = values.expressions[0]
    parts = row.expressions if isinstance(row, exp.Tuple) else [row]
    return exp.Select(expressions=[part.copy() for part in parts])


# What VALUES of constants consist of: nothing that a rule would change, a name would mean or a place would tell.
_CONSTANT = (
    exp.Array, exp.Boolean, exp.Cast, exp.DataType, exp.DataTypeParam, exp.HexString, exp.Literal, exp.Neg,
    exp.Null, exp.Paren, exp.PropertyEQ, exp.Struct, exp.Tuple, exp.Values,
)  # fmt: skip


def constant_rows(values: exp.Expr) -> exp.Expr:
    """Return a query that reads VALUES of constants as one text, or ``values`` where it holds more.

    So that thousands of rows are not copied and searched by every stage.
    """
    for node in values.walk():
        key = isinstance(node, exp.Identifier) and isinstance(node.parent, exp.PropertyEQ)
        if not isinstance(node, _CONSTANT) and not (key and node.arg_key == "this"):
            return values
    rows = exp.Table(this=exp.Var(this=f"({to_duckdb(values, copy=False)})"))
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=rows))


def over_rows(bound: Bound) -> Bound:
    """Return ``bound`` reading its parameters from the registered table of bound rows."""
    tree = substitute(
        bound.tree, lambda _, name: _cast(exp.column(f"p{name}", table=ROWS), bound.parameters[name])
    )
    tree.set("from_", exp.From(this=exp.Table(this=exp.to_identifier(ROWS))))
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


def _names_of(source: Source | None) -> list[str] | None:
    return None if source is None or source.hidden else [name for name, _ in source.columns]


def _stored_names_of(source: Source | None) -> list[str] | None:
    if source is None or source.virtual is not None or source.changes is not None or source.hidden:
        return None
    return [name for name, _ in source.columns]


def _name_set(source: Source | None) -> frozenset[str] | None:
    return None if source is None else frozenset(name for name, _ in source.columns)


def _columns_used(tree: exp.Expr) -> frozenset[str] | None:
    """Return every name in the statement, or None where a column may be meant without being named."""
    rows: set[str] = set()
    columns: set[str] = set()
    names: set[str] = set()
    for node in tree.walk():
        if isinstance(node, _UNNAMED):
            if _means_unnamed(node):
                return None
        elif isinstance(node, exp.Table):
            rows.add(node.alias_or_name.casefold())
        elif isinstance(node, exp.Column):
            columns.add(node.name.casefold())
        elif isinstance(node, exp.Identifier):
            names.add(node.name.casefold())
    return frozenset(names) if rows.isdisjoint(columns) else None


# Where these stand, columns can be read that the statement does not name.
_UNNAMED = (exp.Star, exp.Columns, exp.PositionalColumn, exp.Pivot, exp.Join, exp.TableAlias)


def _means_unnamed(node: exp.Expr) -> bool:
    match node:
        case exp.Star():
            return node.parent is None or function_name(node.parent) != "count"
        case exp.Join():
            return bool(node.args.get("method") == "NATURAL")
        case exp.TableAlias():
            return isinstance(node.parent, exp.Table) and bool(node.columns)
    return True


# A call that tries takes a value that its input can not: the parameter must hold it.
_WIDER = {
    "FLOAT": "DOUBLE",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
}


def _from_calls(query: exp.Expr, resolved: Resolved) -> dict[str, str]:
    """Return the types of parameters that stand as a model's argument, by position or in a struct by name."""
    found: dict[str, str] = {}
    for call in query.find_all(Predict):
        signature = signature_for(call, resolved.model(call))
        # Parameters have no types yet: their number alone tells values from whole tensors.
        inputs = signature.taking([None] * len(call.arguments)).inputs
        kinds = [_WIDER.get(each.argument, each.argument) if call.tries else each.argument for each in inputs]
        by_name = {wanted.name.casefold(): kind for wanted, kind in zip(inputs, kinds, strict=True)}
        for struct in call.arguments:
            for part in struct.expressions if isinstance(struct, exp.Struct) else []:
                if isinstance(part, exp.PropertyEQ) and isinstance(part.expression, exp.Placeholder):
                    named = by_name.get(part.this.name.casefold())
                    if named is not None:
                        found.setdefault(str(part.expression.this), named)
        if len(inputs) != len(call.arguments):
            continue
        for kind, argument in zip(kinds, call.arguments, strict=True):
            if isinstance(argument, exp.Placeholder):
                found.setdefault(str(argument.this), kind)
    return found
