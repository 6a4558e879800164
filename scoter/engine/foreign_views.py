"""Views that Spark made: their text as ours, where every part of it means the same to DuckDB.

What is not listed here is refused by name: a translation that is nearly right gives wrong rows. This module
must not know tables, nor how views are found.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp, parse_one
from sqlglot.errors import ErrorLevel, SqlglotError

from scoter.engine.binding import data_type
from scoter.engine.gate import function_name
from scoter.errors import NotSupported, TooLarge

_DIALECTS = frozenset({"spark"})

# What a query is made of in both, with the parts that it may have. No division (by zero), no LIKE with an escape,
# no casts (Spark cuts where DuckDB rounds), no functions but those whose results agree for every value.
_QUERIES: dict[type[exp.Expr], str] = {
    exp.Alias: "this alias",
    exp.CTE: "this alias",
    exp.Distinct: "expressions",
    exp.From: "this",
    exp.Group: "expressions all",
    exp.Having: "this",
    exp.Join: "this side kind on using",
    exp.Limit: "expression",
    exp.Order: "expressions",
    exp.Ordered: "this desc nulls_first",
    exp.Select: "expressions from_ joins where group having order limit distinct with_ kind",
    exp.Star: "",
    exp.Subquery: "this alias",
    exp.Table: "this db catalog alias",
    exp.TableAlias: "this columns",
    exp.Union: "this expression distinct order limit with_",
    exp.Where: "this",
    exp.With: "expressions",
}
_VALUES: dict[type[exp.Expr], str] = {
    **dict.fromkeys(
        (
            exp.Add, exp.And, exp.EQ, exp.GT, exp.GTE, exp.Is, exp.LT, exp.LTE, exp.Mul, exp.NEQ,
            exp.NullSafeEQ, exp.Or, exp.Sub,
        ),
        "this expression",
    ),
    **dict.fromkeys((exp.Avg, exp.Max, exp.Min, exp.Neg, exp.Not, exp.Paren, exp.Sum), "this"),
    exp.Between: "this low high",
    exp.Boolean: "this",
    exp.Case: "this ifs default",
    exp.Coalesce: "this expressions",
    exp.Column: "this table db catalog",
    exp.Count: "this big_int",
    exp.Exists: "this",
    exp.Identifier: "this quoted",
    exp.If: "this true false",
    exp.In: "this expressions query",
    exp.Literal: "this is_string",
    exp.Null: "",
}  # fmt: skip
_COMPARISONS = (
    exp.Between, exp.Case, exp.EQ, exp.GT, exp.GTE, exp.In, exp.LT, exp.LTE, exp.NEQ, exp.NullSafeEQ,
)  # fmt: skip
_PARTS = {kind: frozenset(parts.split()) for kind, parts in (_QUERIES | _VALUES).items()}


def translation(sql: str, dialect: str, most: int) -> str:
    """Return a query of another engine as ours; raises NotSupported, TooLarge above ``most`` bytes."""
    if dialect not in _DIALECTS:
        raise NotSupported(
            f"the view is written in the dialect {dialect}",
            hint="views of the dialects scoter, duckdb and, in part, spark can be read",
        )
    if len(sql.encode()) > most:
        raise TooLarge(f"the view's text has more than {most:,} bytes")
    try:
        tree = parse_one(sql, read=dialect, error_level=ErrorLevel.IMMEDIATE)
    except SqlglotError as error:
        raise NotSupported(f"the view's text can not be read as {dialect}") from error
    for node in tree.walk():
        _exact(node, dialect)
    try:
        return tree.sql(dialect="duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise NotSupported(f"the view's text of the dialect {dialect} has no exact counterpart") from error


def cast_columns(query: exp.Query, columns: Sequence[tuple[str, str]]) -> exp.Select:
    """Return a query of another engine with the names and types that its view was made with.

    A number that does not fit its column's type is an error when it is read.
    """
    names = [exp.to_identifier(f"c{position}", quoted=True) for position in range(len(columns))]
    parts = [
        exp.alias_(exp.Cast(this=exp.column(name.copy()), to=data_type(kind).copy()), own, quoted=True)
        for name, (own, kind) in zip(names, columns, strict=True)
    ]
    alias = exp.TableAlias(this=exp.to_identifier("v", quoted=True), columns=names)
    return exp.Select(expressions=parts, from_=exp.From(this=exp.Subquery(this=query, alias=alias)))


def uncast(query: exp.Expr) -> exp.Expr:
    """Return the query that ``cast_columns`` was given."""
    found: exp.Expr = query.args["from_"].this.this
    return found


def holds(made: str, now: str) -> bool:
    """Say whether a column made as one type takes the values of another: as they are, or with an error."""
    if made == now:
        return True
    one, other = data_type(made), data_type(now)
    if one.this == other.this == exp.DType.DECIMAL:
        return _scale(one) >= _scale(other)
    return now in _HOLDS.get(made, ())


def _scale(kind: exp.DataType) -> int:
    return int(str(kind.expressions[1].this)) if len(kind.expressions) > 1 else 3


# A number that is too large is an error; none is rounded.
_HOLDS = {
    "BIGINT": ("HUGEINT", "INTEGER", "SMALLINT", "TINYINT"),
    "INTEGER": ("SMALLINT", "TINYINT"),
}


def check_stars(query: exp.Expr, dialect: str) -> None:
    """Raise NotSupported for a query of another engine whose columns come and go with those of its tables.

    Its columns go by position, and where a star puts them differs between engines and times.
    """
    for node in query.find_all(exp.Star, exp.Columns, exp.Select):
        word = "unnest" if isinstance(node, exp.Select) else "a star"
        if isinstance(node, exp.Select):
            spreads = any(function_name(part.unalias()) == "unnest" for part in node.expressions)
        else:
            # count(*) has no columns, and nobody sees those of EXISTS (SELECT * …).
            spreads = not (
                (node.parent is not None and function_name(node.parent) == "count")
                or (isinstance(node.parent, exp.Select) and isinstance(node.parent.parent, exp.Exists))
            )
        if spreads:
            raise NotSupported(
                f"{word} in the view's text of the dialect {dialect} may stand for other columns than it did",
                hint="name the columns in the view's text; CREATE VIEW makes one of the dialect scoter",
            )


def strict(query: exp.Expr) -> exp.Expr:
    """Return ``query``, changed so that it has its types and can not be bound where it compares text with more.

    Spark and DuckDB turn one into the other by different rules. DuckDB does so for constants, ``=`` and ``IN``,
    but neither in BETWEEN nor in coalesce. The query is to be bound, not run.
    """
    for text in list(query.find_all(exp.Literal)):
        if text.is_string and not isinstance(text.find_ancestor(exp.Table, exp.Select), exp.Table):
            text.replace(exp.Cast(this=text.copy(), to=exp.DataType(this=exp.DType.VARCHAR)))
    # Inner ones first, because outer ones take them along.
    for node in reversed(list(query.find_all(exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.In, exp.Case))):
        if isinstance(node, exp.Case):
            compared = node.args.get("this")
            if compared is not None:
                for one in node.args["ifs"]:
                    one.set("this", _same_type(compared.copy(), one.this))
                node.set("this", None)
        elif not isinstance(node, exp.In):
            node.replace(_same_type(node.this, node.expression))
        elif node.expressions:
            first, *more = node.expressions
            node.replace(_same_type(node.this, exp.Coalesce(this=first, expressions=[*more, exp.Null()])))
    return query


def _same_type(one: exp.Expr, other: exp.Expr) -> exp.Expr:
    return exp.Paren(this=exp.Between(this=one, low=other, high=exp.Null()))


def _exact(node: exp.Expr, dialect: str) -> None:
    parts = _PARTS.get(type(node))
    known = parts is not None and all(
        key in parts or value in (None, False, []) for key, value in node.args.items()
    )
    if isinstance(node, exp.Literal) and node.is_string:
        known = known and "\\" not in node.name
    if isinstance(node, exp.Literal) and not node.is_string and not node.name.isdigit():
        # Spark compares FLOAT with 0.1 as DOUBLE, DuckDB as FLOAT.
        inside = node.find_ancestor(*_COMPARISONS, exp.Select)
        while isinstance(inside, exp.Case) and not inside.args.get("this"):
            inside = inside.find_ancestor(*_COMPARISONS, exp.Select)
        if isinstance(inside, _COMPARISONS):
            raise NotSupported(
                f"a comparison with {node.name} in the view's text of the dialect {dialect} has no exact counterpart",
                hint="CREATE VIEW makes one of the dialect scoter",
            )
    if isinstance(node, exp.Distinct) and len(node.expressions) > 1:
        known = False
    if isinstance(node, exp.Select) and node.args.get("kind"):
        known = False
    if not known:
        word = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__.upper()
        raise NotSupported(
            f"{word} in the view's text of the dialect {dialect} has no exact counterpart",
            hint="CREATE VIEW makes one of the dialect scoter",
        )
