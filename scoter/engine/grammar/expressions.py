"""How expressions are written so that DuckDB reads what was meant.

This module must not know our own statements and calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, cast

from sqlglot import exp
from sqlglot.generator import Generator
from sqlglot.generators.duckdb import DuckDBGenerator

_Writer = Callable[[DuckDBGenerator, exp.Expr], str]


def _operator(text: str) -> _Writer:
    return lambda self, e: self.binary(cast(exp.Binary, e), text)


def _behind(text: str) -> _Writer:
    return lambda self, e: f"{self.sql(e, 'this')} {text}"


def _word(text: str) -> _Writer:
    return lambda _self, _e: text


def _interval(self: DuckDBGenerator, e: exp.Expr) -> str:
    return f"INTERVAL {self.sql(e, 'this')} {self.sql(e, 'unit')}".rstrip()


def _tuple(self: DuckDBGenerator, e: exp.Expr) -> str:
    parts = ", ".join(self.sql(part) for part in e.expressions)
    # (1,) is a tuple, (1) a number; a row of VALUES is neither.
    single = len(e.expressions) == 1 and not isinstance(e.parent, exp.Values)
    return f"({parts},)" if single else f"({parts})"


def _struct(self: DuckDBGenerator, e: exp.Expr) -> str:
    # the keys of a map are expressions, those of a struct are names
    in_map = isinstance(e.parent, exp.ToMap)
    fields = []
    for part in e.expressions:
        if isinstance(part, exp.PropertyEQ):
            key = part.this if in_map else exp.Literal.string(part.name)
            fields.append(f"{self.sql(key)}: {self.sql(part, 'expression')}")
        else:
            fields.append(self.sql(part))
    return f"{{{', '.join(fields)}}}"


def _array(self: DuckDBGenerator, e: exp.Expr) -> str:
    if (
        len(e.expressions) == 1
        and isinstance(e.expressions[0], exp.Query)
        and not e.args.get("bracket_notation")
    ):
        return f"ARRAY({self.sql(e.expressions[0])})"
    return f"[{', '.join(self.sql(part) for part in e.expressions)}]"


_INFIX: dict[type[exp.Expr], str] = {exp.SimilarTo: "NOT SIMILAR TO", exp.RegexpLike: "!~"}


def _not(self: DuckDBGenerator, e: exp.Expr) -> str:
    """Write the negation inside its operator: a NOT IN (1) = b is not NOT (a IN (1) = b)."""
    inner = e.this
    match inner:
        case exp.Is():
            return f"{self.sql(inner, 'this')} IS NOT {self.sql(inner, 'expression')}"
        case exp.In():
            return f"{self.sql(inner, 'this')} NOT IN {_members(self, inner)}"
        case exp.Between():
            low, high = self.sql(inner, "low"), self.sql(inner, "high")
            return f"{self.sql(inner, 'this')} NOT BETWEEN {low} AND {high}"
        case exp.SimilarTo() | exp.RegexpLike():
            return self.binary(inner, _INFIX[type(inner)])
    return f"NOT {self.sql(inner)}"


def _extract(self: DuckDBGenerator, e: exp.Expr) -> str:
    return f"EXTRACT({self.sql(e, 'this')} FROM {self.sql(e, 'expression')})"


def _bracket(self: DuckDBGenerator, e: exp.Expr) -> str:
    return f"{self.sql(e, 'this')}[{', '.join(self.sql(part) for part in e.expressions)}]"


def _try_cast(self: DuckDBGenerator, e: exp.Expr) -> str:
    return f"TRY_CAST({self.sql(e, 'this')} AS {self.sql(e, 'to')})"


def _trim(self: DuckDBGenerator, e: exp.Expr) -> str:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(e.args.get("position") or "").upper(), "trim")
    return self.func(name, e.this, e.args.get("expression"))


def _position(self: DuckDBGenerator, e: exp.Expr) -> str:
    return f"POSITION({self.sql(e, 'substr')} IN {self.sql(e, 'this')})"


def _substring(self: DuckDBGenerator, e: exp.Expr) -> str:
    return self.func("substring", e.this, e.args.get("start"), e.args.get("length"))


def _collate(self: DuckDBGenerator, e: exp.Expr) -> str:
    return f"{self.sql(e, 'this')} COLLATE {e.expression.name}"


def _members(self: DuckDBGenerator, e: exp.Expr) -> str:
    field, query = e.args.get("field"), e.args.get("query")
    if field is not None or query is not None:
        return self.sql(field or query)
    return f"({', '.join(self.sql(part) for part in e.expressions)})"


EXPRESSIONS: dict[type[exp.Expr], Callable[..., str]] = {
    exp.Array: _array,
    exp.ArrayContainedBy: _operator("<@"),
    exp.ArrayContainsAll: _operator("@>"),
    exp.ArrayOverlaps: _operator("&&"),
    exp.BitwiseAnd: _operator("&"),
    exp.BitwiseLeftShift: _operator("<<"),
    exp.BitwiseNot: lambda self, e: f"~{self.sql(e, 'this')}",
    exp.BitwiseOr: _operator("|"),
    exp.BitwiseRightShift: _operator(">>"),
    exp.Bracket: _bracket,
    exp.Collate: _collate,
    exp.CurrentCatalog: _word("current_catalog"),
    exp.CurrentDate: _word("current_date"),
    exp.CurrentTime: _word("current_time"),
    exp.CurrentTimestamp: _word("current_timestamp"),
    exp.CurrentUser: _word("current_user"),
    exp.Distance: _operator("<->"),
    exp.Extract: _extract,
    exp.Filter: Generator.filter_sql,
    exp.HexString: lambda _self, e: f"x'{e.name}'",
    exp.IgnoreNulls: _behind("IGNORE NULLS"),
    exp.In: lambda self, e: f"{self.sql(e, 'this')} IN {_members(self, e)}",
    exp.Interval: _interval,
    exp.Join: Generator.join_sql,
    exp.JSONExtract: _operator("->"),
    exp.JSONExtractScalar: _operator("->>"),
    exp.Lateral: Generator.lateral_sql,
    exp.Localtime: _word("localtime"),
    exp.Localtimestamp: _word("localtimestamp"),
    exp.Not: _not,
    exp.Pivot: Generator.pivot_sql,
    exp.Pow: _operator("**"),
    exp.RegexpLike: _operator("~"),
    exp.RespectNulls: _behind("RESPECT NULLS"),
    exp.Select: Generator.select_sql,
    exp.SessionUser: _word("session_user"),
    exp.StartsWith: _operator("^@"),
    exp.StrPosition: _position,
    exp.Struct: _struct,
    exp.Substring: _substring,
    exp.Trim: _trim,
    exp.TryCast: _try_cast,
    exp.Tuple: _tuple,
    exp.Unnest: Generator.unnest_sql,
    exp.Window: Generator.window_sql,
    exp.WithinGroup: Generator.withingroup_sql,
}

_T = exp.DType
# DuckDB's own names, because the names of unnamed result columns show them.
TYPE_NAMES: dict[exp.DType, str] = {
    _T.FLOAT: "FLOAT",
    _T.INT: "INTEGER",
    _T.INT128: "HUGEINT",
    _T.UINT128: "UHUGEINT",
    _T.TEXT: "VARCHAR",
    _T.VARCHAR: "VARCHAR",
    _T.CHAR: "VARCHAR",
    _T.BPCHAR: "VARCHAR",
}


class Plain(DuckDBGenerator):
    """DuckDB's SQL as it was written, without translations for other engines."""

    TRANSFORMS: ClassVar[dict[type[exp.Expr], Callable[..., str]]] = {
        **DuckDBGenerator.TRANSFORMS,
        **EXPRESSIONS,
    }
    TYPE_MAPPING: ClassVar[dict[exp.DType, str]] = {**DuckDBGenerator.TYPE_MAPPING, **TYPE_NAMES}
    MULTI_ARG_DISTINCT = True
    NORMALIZE_EXTRACT_DATE_PARTS = False
