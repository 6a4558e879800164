"""The kinds of nodes that may stand in a statement, each with the parts it may have.

This module must not know functions' names.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine import statements as ours

_BINARY: tuple[type[exp.Expr], ...] = (
    exp.Add,
    exp.And,
    exp.ArrayContainedBy,
    exp.ArrayContainsAll,
    exp.ArrayOverlaps,
    exp.BitwiseAnd,
    exp.BitwiseLeftShift,
    exp.BitwiseOr,
    exp.BitwiseRightShift,
    exp.Collate,
    exp.Distance,
    exp.Div,
    exp.Dot,
    exp.EQ,
    exp.Escape,
    exp.GT,
    exp.GTE,
    exp.Glob,
    exp.IntDiv,
    exp.Is,
    exp.JSONExtract,
    exp.JSONExtractScalar,
    exp.Kwarg,
    exp.LT,
    exp.LTE,
    exp.Mod,
    exp.Mul,
    exp.NEQ,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Or,
    exp.Pow,
    exp.PropertyEQ,
    exp.RegexpLike,
    exp.SimilarTo,
    exp.StartsWith,
    exp.Sub,
)
_UNARY: tuple[type[exp.Expr], ...] = (
    exp.All,
    exp.Any,
    exp.BitwiseNot,
    exp.Exists,
    exp.From,
    exp.Having,
    exp.IgnoreNulls,
    exp.Neg,
    exp.Not,
    exp.Paren,
    exp.Placeholder,
    exp.PositionalColumn,
    exp.Qualify,
    exp.RespectNulls,
    exp.ToMap,
    exp.Var,
    exp.Where,
)
_LISTS: tuple[type[exp.Expr], ...] = (
    exp.Array,
    exp.Cube,
    exp.GroupingSets,
    exp.Rollup,
    exp.Struct,
    exp.Tuple,
)
_WORDS: tuple[type[exp.Expr], ...] = (
    exp.CurrentCatalog,
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.CurrentUser,
    exp.Localtime,
    exp.Localtimestamp,
    exp.Null,
    exp.SessionUser,
)
_SETS = "this expression distinct by_name order limit offset with_"
_OTHERS: dict[type[exp.Expr], str] = {
    exp.Alias: "this alias",
    exp.Anonymous: "this expressions",
    exp.AtTimeZone: "this zone",
    exp.Between: "this low high",
    exp.Boolean: "this",
    exp.Bracket: "this expressions",
    exp.ByteString: "this",
    exp.CTE: "this alias materialized key_expressions",
    exp.Case: "this ifs default",
    exp.Cast: "this to",
    exp.Column: "this table db catalog",
    exp.ColumnDef: "this kind",
    exp.Columns: "this unpack",
    exp.Comprehension: "this expression position iterator condition",
    exp.DPipe: "this expression safe",
    exp.DataType: "this expressions nested values kind",
    exp.DataTypeParam: "this",
    exp.Distinct: "expressions on",
    exp.Except: _SETS,
    exp.Extract: "this expression",
    exp.Fetch: "direction count limit_options",
    exp.Filter: "this expression",
    exp.Group: "expressions all cube rollup grouping_sets",
    exp.HexString: "this",
    exp.ILike: "this expression negate",
    exp.Identifier: "this quoted",
    exp.If: "this true false",
    exp.In: "this expressions query field",
    exp.Insert: "this expression by_name default with_",
    exp.Intersect: _SETS,
    exp.Interval: "this unit",
    exp.Join: "this method side kind on using",
    exp.Lambda: "this expressions",
    exp.Lateral: "this alias",
    exp.Like: "this expression negate",
    exp.Limit: "expression limit_options",
    exp.LimitOptions: "percent rows",
    exp.Literal: "this is_string",
    exp.Map: "keys values",
    exp.Offset: "expression",
    exp.Order: "this expressions",
    exp.Ordered: "this desc nulls_first",
    exp.Overlay: "this expression from_ for_",
    exp.Pivot: "this expressions fields using group columns unpivot include_nulls into alias "
    "pivot_column_naming with_",
    exp.PivotAlias: "this alias",
    exp.Schema: "this expressions",
    exp.Select: "distinct expressions from_ joins where group having qualify windows order limit offset sample "
    "with_",
    exp.Slice: "this expression step",
    exp.Star: "except_ replace rename",
    exp.StrPosition: "this substr",
    exp.Subquery: "this alias pivots joins sample order limit offset with_",
    exp.Substring: "this start length",
    exp.Table: "this db catalog alias joins pivots sample version",
    exp.TableAlias: "this columns",
    exp.TableSample: "method percent seed size rows",
    exp.Trim: "this expression position",
    exp.TryCast: "this to safe",
    exp.Union: _SETS,
    exp.Unnest: "expressions alias offset",
    exp.UnpivotColumns: "this expressions",
    exp.Values: "expressions alias pivots order limit offset",
    exp.Version: "this kind expression",
    exp.Window: "this partition_by order spec alias over",
    exp.WindowSpec: "kind start start_side end end_side exclude",
    exp.With: "expressions recursive",
    exp.WithinGroup: "this expression",
}


def _ours() -> dict[type[exp.Expr], frozenset[str]]:
    found = (getattr(ours, name) for name in ours.__all__)
    return {
        kind: frozenset(kind.arg_types)
        for kind in found
        if isinstance(kind, type) and issubclass(kind, exp.Expression)
    }


NODES: dict[type[exp.Expr], frozenset[str]] = {
    **dict.fromkeys(_BINARY, frozenset({"this", "expression"})),
    **dict.fromkeys(_UNARY, frozenset({"this"})),
    **dict.fromkeys(_LISTS, frozenset({"expressions"})),
    **dict.fromkeys(_WORDS, frozenset[str]()),
    **{kind: frozenset(parts.split()) for kind, parts in _OTHERS.items()},
    **_ours(),
}

JOIN_METHODS = frozenset({"", "ASOF", "NATURAL", "POSITIONAL"})
JOIN_SIDES = frozenset({"", "LEFT", "RIGHT", "FULL"})
JOIN_KINDS = frozenset({"", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"})
SAMPLE_METHODS = frozenset({"RESERVOIR", "SYSTEM", "BERNOULLI"})

_T = exp.DType
TYPES: frozenset[exp.DType] = frozenset(
    {
        _T.ARRAY,
        _T.BIGDECIMAL,
        _T.BIGINT,
        _T.BINARY,
        _T.BIT,
        _T.BLOB,
        _T.BOOLEAN,
        _T.BPCHAR,
        _T.CHAR,
        _T.DATE,
        _T.DATETIME,
        _T.DECIMAL,
        _T.DOUBLE,
        _T.ENUM,
        _T.FLOAT,
        _T.INT,
        _T.INT128,
        _T.INTERVAL,
        _T.JSON,
        _T.LIST,
        _T.MAP,
        _T.NCHAR,
        _T.NULL,
        _T.NVARCHAR,
        _T.SMALLINT,
        _T.STRUCT,
        _T.TEXT,
        _T.TIME,
        _T.TIMESTAMP,
        _T.TIMESTAMPNTZ,
        _T.TIMESTAMPTZ,
        _T.TIMESTAMP_MS,
        _T.TIMESTAMP_NS,
        _T.TIMESTAMP_S,
        _T.TIMETZ,
        _T.TINYINT,
        _T.UBIGINT,
        _T.UINT,
        _T.UINT128,
        _T.UNION,
        _T.USMALLINT,
        _T.UTINYINT,
        _T.UUID,
        _T.VARBINARY,
        _T.VARCHAR,
        _T.VARIANT,
    }
)
