"""From a resolved statement to a prepared one: names of columns, types and targets of queries, writes and commands.

This module must not know bound values, files, or how a plan is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

import pyarrow as pa
from sqlglot import exp

from scoter.engine import querying, rewriting
from scoter.engine.analysis import Analysis, action_of, kind_of
from scoter.engine.binding import data_type, number_parameters, parameters_of
from scoter.engine.commands.registry import command_of
from scoter.engine.context import Context
from scoter.engine.merged_rows import FACTS, complete_merge
from scoter.engine.merging import PLACE, TARGET
from scoter.engine.naming import table_name
from scoter.engine.origins import origins
from scoter.engine.parameter_places import operands
from scoter.engine.parts import Parts
from scoter.engine.plan import Kind, Target
from scoter.engine.querying import Bound, listed_rows
from scoter.engine.replacing import put
from scoter.engine.resolved import Resolved
from scoter.engine.statements import CreateTable, CreateView, DescribeQuery, Explain, Merge, span_of
from scoter.engine.types import duckdb_type
from scoter.engine.values import parameter_schema
from scoter.engine.viewing import check_views
from scoter.engine.wire import listed_schema, wire_schema
from scoter.engine.writing.definition import partition_spec, schema_of
from scoter.errors import (
    AmbiguousName,
    DuplicateColumn,
    InternalError,
    InvalidSyntax,
    NotSupported,
    TypeMismatch,
    UndefinedColumn,
)
from scoter.suggestions import closest

_COUNT = pa.schema([pa.field("Count", pa.int64())])
_EXPLAIN = (("explain_key", "VARCHAR"), ("explain_value", "VARCHAR"))


@dataclass(frozen=True)
class Prepared:
    """A statement with everything settled that does not depend on bound values or the time."""

    sql: str
    resolved: Resolved
    analysis: Analysis
    schema: pa.Schema
    parameters: pa.Schema
    bound: Bound | None = None
    target: Target | None = None
    order: tuple[int | None, ...] = ()
    from_rows: bool = False
    of_values: bool = False
    inner: Prepared | None = None

    @property
    def is_stable(self) -> bool:
        """Say whether the plan is the same each time but for what is bound to it, so that it can be kept."""
        fixed = self.from_rows or self.of_values or not self.parameters.names
        inner = self.inner.bound if self.inner is not None else None
        return fixed and not any(bound is not None and bound.uses_now for bound in (self.bound, inner))

    @cached_property
    def executed(self) -> Bound:
        """The query that is executed, without its parameters where the same SQL fits all values."""
        if self.bound is None:
            raise InternalError("only a query is executed")
        if self.from_rows:
            return rewriting.over_rows(self.bound)
        return rewriting.over_values(self.bound) if self.of_values else self.bound

    @cached_property
    def shape(self) -> rewriting.Shape:
        """What all executions of the query have in common; made when it is executed first."""
        return rewriting.shape(self.executed)


def bind(sql: str, resolved: Resolved, analysis: Analysis, context: Context, parts: Parts) -> Prepared:
    """Return the statement with its types; raises what DuckDB's binder finds, with places, and StaleView."""
    if resolved.views:
        check_views(resolved, parts.binder, context)
    return _bind(sql, resolved, analysis, context, parts)


def _bind(sql: str, resolved: Resolved, analysis: Analysis, context: Context, parts: Parts) -> Prepared:
    tree = resolved.tree
    if analysis.kind is Kind.QUERY:
        bound = querying.bind(tree, resolved, parts.binder, context)
        schema = wire_schema(bound.result, origins(bound.tree, resolved, len(bound.result.names)))
        of_values = querying.is_of_values(bound)
        return Prepared(sql, resolved, analysis, schema, bound.parameter_schema, bound, of_values=of_values)
    if isinstance(tree, Explain | DescribeQuery):
        return _about(sql, resolved, analysis, context, parts)
    if isinstance(tree, exp.Insert):
        return _insert(sql, resolved, analysis, context, parts)
    if isinstance(tree, Merge):
        return _merge(sql, resolved, analysis, context, parts)
    if isinstance(tree, CreateTable) and tree.expression is not None:
        return _create_as(sql, resolved, analysis, context, parts)
    if isinstance(tree, CreateView):
        return _create_view(sql, resolved, analysis, context, parts)
    names = number_parameters(tree)
    # The only parameter that a command takes is a model file's bytes.
    parameters = parameter_schema(names, dict.fromkeys(names, "BLOB"))
    columns = command_of(tree).columns
    schema = listed_schema(columns)
    return Prepared(sql, resolved, analysis, schema, parameters)


def _about(sql: str, resolved: Resolved, analysis: Analysis, context: Context, parts: Parts) -> Prepared:
    """Prepare EXPLAIN and DESCRIBE: the inner statement takes the same path."""
    tree = resolved.tree
    statement = tree.this
    if isinstance(tree, Explain) and isinstance(statement, Explain):
        raise NotSupported("EXPLAIN of EXPLAIN is not offered", span=span_of(statement))
    if tree.args.get("analyze") and kind_of(statement) is not Kind.QUERY:
        raise NotSupported(
            "EXPLAIN ANALYZE runs queries only",
            hint="EXPLAIN shows the plan of a write",
            span=span_of(statement),
        )
    of = replace(resolved, tree=statement.copy())
    inner = replace(
        _bind(sql, of, replace(analysis, kind=kind_of(statement)), context, parts), of_values=False
    )
    if inner.bound is None:
        raise NotSupported("only queries and writes have a plan to explain", span=span_of(statement))
    columns = _EXPLAIN if isinstance(tree, Explain) else command_of(tree).columns
    schema = listed_schema(columns)
    return Prepared(sql, resolved, analysis, schema, inner.parameters, inner=inner)


def _create_view(
    sql: str, resolved: Resolved, analysis: Analysis, context: Context, parts: Parts
) -> Prepared:
    """Prepare CREATE VIEW: its query takes the path of a query, so that its columns are known."""
    query = resolved.tree.expression
    parameter = next(parameters_of(query), None)
    if parameter is not None:
        raise NotSupported(
            "a view has no parameters", hint="write a value in its place", span=span_of(parameter)
        )
    of = replace(resolved, tree=query.copy())
    inner = _bind(sql, of, replace(analysis, kind=Kind.QUERY), context, parts)
    return Prepared(sql, resolved, analysis, listed_schema(()), inner.parameters, inner=inner)


def _insert(sql: str, resolved: Resolved, analysis: Analysis, context: Context, parts: Parts) -> Prepared:
    tree = resolved.tree
    name, location = resolved.target, resolved.target_location
    if name is None or location is None:
        raise NotSupported("INSERT needs a table", span=span_of(tree))
    schema = parts.lake.metadata(location).schema()
    columns = [(f.name, duckdb_type(f.field_type)) for f in schema.fields]
    listed = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
    places: dict[str, tuple[int, str]] = {}
    for place, (column, _) in enumerate(columns):
        places.setdefault(column.casefold(), (place, column))
    asked = [_column(part, places) for part in listed]
    if len(set(asked)) < len(asked):
        raise DuplicateColumn("a column is named twice", span=span_of(tree.this))
    chosen = asked or list(range(len(columns)))
    rows = querying.rows_query(tree.expression)
    query = rows if rows is not None else tree.expression
    if query is None:
        raise NotSupported("INSERT needs VALUES or a query", span=span_of(tree))
    types = [columns[i][1] for i in chosen]
    by_name = bool(tree.args.get("by_name"))
    known = _known(query, _named_types(query, columns) if by_name else types)
    if isinstance(tree.expression, exp.Values):
        _cast_values(query, types)
        query = querying.constant_rows(query)
    bound = querying.bind(query, resolved, parts.binder, context, known)
    given = bound.result.names
    if by_name:
        chosen = [_column(exp.to_identifier(n), places) for n in given]
        if len(set(chosen)) < len(chosen):
            raise DuplicateColumn("the query gives a column twice", span=span_of(tree))
    if len(given) != len(chosen):
        raise InvalidSyntax(
            f"INSERT has {len(chosen)} columns, the query gives {len(given)}",
            hint="name the columns: INSERT INTO t (a, b) …",
            span=span_of(tree.this),
        )
    for i, given_type in zip(chosen, bound.result.types, strict=True):
        _check_cast(given_type, columns[i], tree)
    given_at = {i: position for position, i in enumerate(chosen)}
    order = tuple(given_at.get(i) for i in range(len(columns)))
    return Prepared(
        sql, resolved, analysis, _COUNT, bound.parameter_schema, bound,
        Target(name, location, columns=schema), order, from_rows=rows is not None,
    )  # fmt: skip


def _merge(sql: str, resolved: Resolved, analysis: Analysis, context: Context, parts: Parts) -> Prepared:
    tree: Any = resolved.tree
    name, location = resolved.target, resolved.target_location
    if name is None or location is None:
        raise NotSupported("the statement needs a table", span=span_of(tree))
    node = next(node for node in tree.find_all(exp.Table) if TARGET in node.meta)
    read = resolved.source(node)
    if read is None or read.metadata_location != location or read.virtual is not None or read.travelled:
        raise AmbiguousName(
            f'"{node.sql("duckdb")}" means something else than the table {name}',
            hint="write catalog.schema.table, or give what is called so another name",
            span=span_of(node),
        )
    if not {name for name, _ in read.hidden}.issuperset(PLACE):
        raise NotSupported(
            f"{action_of(tree)} of a table with a column _file or _pos",
            hint="INSERT INTO adds rows",
            span=span_of(node),
        )
    schema = parts.lake.metadata(location).schema()
    columns = [(field.name, duckdb_type(field.field_type)) for field in schema.fields]
    query, known = complete_merge(tree, columns)
    bound = querying.bind(query, resolved, parts.binder, context, known)
    target = Target(name, location, actions=tuple(when.action for when in tree.whens))
    order = tuple(range(FACTS + len(columns)))
    return Prepared(sql, resolved, analysis, _COUNT, bound.parameter_schema, bound, target, order)


_NESTED = (exp.DType.LIST, exp.DType.ARRAY, exp.DType.STRUCT, exp.DType.MAP)


def _check_cast(given: exp.DataType, column: tuple[str, str], tree: exp.Expr) -> None:
    """Refuse a value that no cast brings into its column: a list for a number, a number for a struct."""
    name, kind = column
    wanted = data_type(kind)
    texts = (exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.NULL, exp.DType.USERDEFINED, exp.DType.JSON)
    lists = (exp.DType.LIST, exp.DType.ARRAY)
    alike = given.this == wanted.this or (given.this in lists and wanted.this in lists)
    nested = given.this in _NESTED or wanted.this in _NESTED
    if nested and not alike and given.this not in texts and wanted.this not in texts:
        raise TypeMismatch(
            f'column "{name}" is {kind}, the value is {given.sql(dialect="duckdb")}', span=span_of(tree.this)
        )


def _column(node: exp.Expr, places: dict[str, tuple[int, str]]) -> int:
    found = places.get(node.name.casefold())
    if found is None:
        columns = [name for _, name in places.values()]
        raise UndefinedColumn(
            f'column "{node.name}" does not exist',
            hint=closest(node.name, columns) or f"the columns are {', '.join(columns)}",
            span=span_of(node),
        )
    return found[0]


def _known(query: exp.Expr, types: Sequence[str | None]) -> dict[str, str]:
    """Type the parameters that stand as a value for a column; behind a star no place is known."""
    number_parameters(query)
    found: dict[str, str] = {}
    for row in listed_rows(query):
        places = takewhile(lambda part: not (part.is_star or part.find(exp.Columns)), row)
        for part, kind in zip(places, types, strict=False):
            for parameter in operands(part) if kind is not None else ():
                found.setdefault(str(parameter.this), str(kind))
    return found


def _named_types(query: exp.Expr, columns: Sequence[tuple[str, str]]) -> list[str | None]:
    """Return the type of the column that each result of a query is for BY NAME, None where there is none."""
    types = {name.casefold(): kind for name, kind in columns}
    return [types.get(part.alias_or_name.casefold()) for row in listed_rows(query)[:1] for part in row]


def _cast_values(query: exp.Expr, types: list[str]) -> None:
    """Cast the values of VALUES to their columns' types, so that the rows do not have to agree on another.

    A column of plain literals of one kind agrees by itself, and thousands of rows stay small.
    """
    rows = listed_rows(query)
    for row in rows:
        for part in row:
            if isinstance(part, exp.Var):
                raise NotSupported(f"{part.name} is not offered as a value", span=span_of(part))
    width = min((len(row) for row in rows), default=0)
    for position, kind in enumerate(types[:width]):
        if len({_literal_kind(row[position]) for row in rows} - {"null"}) <= 1 and all(
            _literal_kind(row[position]) != "other" for row in rows
        ):
            continue
        for row in rows:
            part = row[position]
            put(part, exp.Cast(this=part.copy(), to=data_type(kind).copy()))


def _literal_kind(part: exp.Expr) -> str:
    if isinstance(part, exp.Literal):
        return "string" if part.is_string else "number"
    return "null" if isinstance(part, exp.Null) else "other"


def _create_as(sql: str, resolved: Resolved, analysis: Analysis, context: Context, parts: Parts) -> Prepared:
    tree = resolved.tree
    if tree.args.get("options"):
        raise NotSupported("WITH (…) is not offered", span=span_of(tree))
    if tree.args.get("replace"):
        raise NotSupported(
            "CREATE OR REPLACE TABLE is not offered yet", hint="DROP TABLE first", span=span_of(tree)
        )
    name = table_name(tree.this, context, parts.lake)
    bound = querying.bind(tree.expression, resolved, parts.binder, context)
    schema = schema_of(bound.result.names, bound.result.types)
    spec = partition_spec(schema, tree.args.get("partitions") or [])
    comment = tree.args.get("comment")
    properties = {"comment": comment.name} if comment is not None else {}
    definition: Any = (schema, spec, properties)
    target = Target(
        name, None, definition, bool(tree.args.get("exists")), with_data=not tree.args.get("no_data")
    )
    order = tuple(range(len(bound.result.names)))
    return Prepared(sql, resolved, analysis, _COUNT, bound.parameter_schema, bound, target, order)
