"""Whether views still are what they were made as, and what a new view is stored as.

This module must not know how views are found or kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from pyiceberg.types import DecimalType, IcebergType, NestedField, StringType
from sqlglot import exp

from scoter.catalog.views import DIALECT, Draft
from scoter.engine import querying
from scoter.engine.binding import Binder, data_type, empty_relation, marker_types
from scoter.engine.context import Context
from scoter.engine.dialect import Scoter, parse
from scoter.engine.foreign_types import check_meetings, mark_meetings
from scoter.engine.foreign_views import holds, strict, uncast
from scoter.engine.gate import check, function_name
from scoter.engine.resolved import Resolved
from scoter.engine.result_names import name_results
from scoter.engine.rules.pin_session import settle_words
from scoter.engine.statements import ViewColumn, span_of
from scoter.engine.types import iceberg_type
from scoter.engine.views import VIEW, View, within
from scoter.engine.writing.definition import checked
from scoter.errors import (
    DuplicateColumn,
    InvalidDefinition,
    NotSupported,
    ScoterError,
    StaleView,
    TooLarge,
    TypeMismatch,
)

MAX_TEXT = 1024 * 1024  # bytes of a view's query
_REPLACE = "CREATE OR REPLACE VIEW makes it anew"


def check_views(resolved: Resolved, binder: Binder, context: Context) -> None:
    """Raise StaleView for a view whose columns are no longer those that it was made with.

    Each view is bound alone, with the columns of the views in it as these were made. What its query
    raises names the view.
    """
    # What is read twice at one time has the same columns.
    distinct = {(view.pin, view.time): view for view in reversed(resolved.views)}
    for view in distinct.values():
        if view.body is None:
            continue
        try:
            query = _alone(view, resolved)
            query = query if view.pin.dialect == DIALECT else uncast(query)
            translated = view.pin.dialect not in (DIALECT, "duckdb")
            query = strict(query) if translated else query
            found = querying.bind(query, resolved, binder, context).result
            if translated:
                _check_types(query, view.pin.dialect, resolved, binder)
        except ScoterError as error:
            raise within(error, view.pin.name, view.span) from error
        _compare(view, tuple(zip(found.names, found.texts, strict=True)))


def _check_types(query: exp.Expr, dialect: str, resolved: Resolved, binder: Binder) -> None:
    meetings = mark_meetings(query)
    plan = binder.serialise(querying.over_empties(query, resolved))
    if plan.get("error"):
        raise NotSupported(
            f"the types in the view's text of the dialect {dialect} can not be found",
            hint="CREATE VIEW makes one of the dialect scoter",
        )
    check_meetings(meetings, marker_types(plan), dialect)


def _alone(view: View, resolved: Resolved) -> exp.Expr:
    """Return a copy of a view's query that reads the views in it as they were made."""
    assert view.body is not None  # noqa: S101  # asked for views with a query only
    query: exp.Expr = view.body.this.copy()
    for node in list(query.find_all(exp.Subquery)):
        index = node.meta.get(VIEW)
        if index is not None:
            made = exp.Table(this=empty_relation(resolved.views[index].pin.columns))
            node.set("this", exp.Select(expressions=[exp.Star()], from_=exp.From(this=made)))
    return query


def _compare(view: View, found: Sequence[tuple[str, str]]) -> None:
    made = view.pin.columns
    name = view.pin.name
    own = view.pin.dialect == DIALECT
    for before, now in zip(made, found, strict=False):
        # Columns of views that other engines made go by position and are cast.
        if own and before[0].casefold() != now[0].casefold():
            raise StaleView(
                f'view {name} was made with the column "{before[0]}", where its query has "{now[0]}" now',
                hint=_REPLACE,
                span=view.span,
            )
        if before[1] != now[1] and (own or not holds(before[1], now[1])):
            raise StaleView(
                f'column "{before[0]}" of view {name} was made as {before[1]} and is {now[1]} now',
                hint=_REPLACE,
                span=view.span,
            )
    if len(made) != len(found):
        raise StaleView(
            f"view {name} was made with {len(made)} columns, its query has {len(found)} now",
            hint=_REPLACE,
            span=view.span,
        )


def draft(
    resolved: Resolved,
    described: Sequence[tuple[str, str]],
    columns: Sequence[ViewColumn],
    comment: str | None,
    binder: Binder,
) -> Draft:
    """Return what a new view is stored as: its text, written anew from the tree, and its columns.

    ``described`` are the names and types of its query's columns, ``columns`` the names that it shall have.
    Raises InvalidDefinition, DuplicateColumn, TooLarge.
    """
    assert resolved.definition is not None  # noqa: S101  # every CREATE VIEW has one
    query = resolved.definition.copy()
    name_results(query, binder.name_of)
    settle_words(query, (column for source in resolved.sources for column in source.columns))
    if columns and len(columns) != len(described):
        raise InvalidDefinition(
            f"the view has {len(columns)} columns, its query {len(described)}", span=span_of(columns[0])
        )
    given = [name for name, _ in described]
    names = [column.name for column in columns] or given
    _distinct(names, columns)
    query = _named(query, given, names)
    text = _text(query)
    ids = count(len(names) + 1)
    comments = [column.args.get("comment") for column in columns] or [None] * len(names)
    fields = [
        NestedField(i, name, _iceberg(kind, ids), required=False, doc=None if doc is None else doc.name)
        for i, (name, (_, kind), doc) in enumerate(zip(names, described, comments, strict=True), 1)
    ]
    return Draft(text, checked(fields, columns), tuple(kind for _, kind in described), comment)


def _distinct(names: Sequence[str], columns: Sequence[ViewColumn]) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name.casefold() in seen:
            raise DuplicateColumn(
                f'the view has the column "{name}" twice',
                hint="name its columns: CREATE VIEW v (a, b) AS …",
                span=span_of(columns[position]) if columns else None,
            )
        seen.add(name.casefold())


def _named(query: exp.Expr, given: Sequence[str], names: Sequence[str]) -> exp.Expr:
    """Return a query whose columns have ``names``, whatever columns its tables get later."""
    if _is_plain(query):
        if list(given) == list(names):
            _name_parts(query, names)
            return query
        # By position, because two columns of the query may have one name.
        alias = exp.TableAlias(this=_quoted("v"), columns=[_quoted(name) for name in names])
        return exp.Select(
            expressions=[exp.column(_quoted(name)) for name in names],
            from_=exp.From(this=exp.Subquery(this=query, alias=alias)),
        )
    if len({name.casefold() for name in given}) < len(given):
        raise DuplicateColumn(
            "two columns of the query have one name", hint="name each instead of writing a star"
        )
    # A star means the columns that there are now.
    parts = [
        exp.column(_quoted(have))
        if have == want
        else exp.alias_(exp.column(_quoted(have)), want, quoted=True)
        for have, want in zip(given, names, strict=True)
    ]
    if _is_star_of_a_table(query):
        query.set("expressions", parts)
        return query
    inner = exp.Subquery(this=query, alias=exp.TableAlias(this=_quoted("v")))
    return exp.Select(expressions=parts, from_=exp.From(this=inner))


def _is_plain(query: exp.Expr) -> bool:
    """Say whether a query lists its columns, so that none comes or goes with those of its tables."""
    if isinstance(query, exp.SetOperation):
        return not query.args.get("by_name") and _is_plain(query.left) and _is_plain(query.right)
    if not isinstance(query, exp.Select):
        return False
    return not any(_spreads(part) for part in query.expressions)


def _spreads(part: exp.Expr) -> bool:
    if part.find(exp.Columns) is not None:
        return True
    inner = part.this if isinstance(part, exp.Column | exp.Alias) else part
    if isinstance(inner, exp.Star):
        return True
    return function_name(inner) == "unnest" or isinstance(inner, exp.Unnest)


def _is_star_of_a_table(query: exp.Expr) -> bool:
    if not isinstance(query, exp.Select) or len(query.expressions) != 1 or query.args.get("distinct"):
        return False
    (star,) = query.expressions
    source = query.args.get("from_")
    plain = isinstance(star, exp.Star) and not any(star.args.get(k) for k in ("except_", "replace", "rename"))
    alone = not any(query.args.get(key) for key in ("joins", "laterals", "group", "order"))
    return (
        plain
        and alone
        and source is not None
        and isinstance(source.this, exp.Table)
        and not source.this.args.get("pivots")
    )


def _name_parts(query: exp.Expr, names: Sequence[str]) -> None:
    """Write the names that DuckDB gives to columns without one."""
    while isinstance(query, exp.SetOperation):
        query = query.left
    for part, name in zip(list(query.expressions), names, strict=True):
        if not isinstance(part, exp.Alias | exp.Column):
            part.replace(exp.alias_(part.copy(), name, quoted=True))


def _quoted(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _text(query: exp.Expr) -> str:
    """Return the query's text, which reads as the same query; raises TooLarge, NotSupported."""
    text = Scoter().generate(query, copy=True, comments=False, pretty=True)
    if len(text.encode()) > MAX_TEXT:
        raise TooLarge(f"the view's query has more than {MAX_TEXT:,} bytes")
    again = parse(text, MAX_TEXT)
    check(again)
    if Scoter().generate(again, comments=False, pretty=True) != text:
        raise NotSupported("the view's query can not be written so that it reads as the same")
    return text


def _iceberg(text: str, ids: count[int]) -> IcebergType:
    """Return the type that other engines are told; a view may have types that tables have not."""
    kind = data_type(text)
    wide = {exp.DType.INT128: DecimalType(38, 0), exp.DType.UINT128: DecimalType(38, 0)}
    wide[exp.DType.UBIGINT] = DecimalType(20, 0)
    try:
        return wide.get(exp.DType(kind.this)) or iceberg_type(kind, ids)
    except (TypeMismatch, ValueError):
        return StringType()
