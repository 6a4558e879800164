"""Decides whether a statement consists only of what we offer; whatever is not listed is refused.

This module must not know which tables and models exist, nor who asks.

Why it can not be passed by: the parser has no builders of functions, so that every call by name is one
kind of node that holds the name as written, and that same name is written into DuckDB's SQL. All other
nodes that may stand in a tree are listed here together with the parts they may have, and none of them
writes a name that the user chose where DuckDB would read a function's name. A test reads the written
SQL with DuckDB's own parser and compares the functions it finds with those that were checked here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from scoter.engine import statements as ours
from scoter.engine.functions import CALLABLE, NOW, SESSION, TABLE_CHANGES, TABLE_FUNCTIONS, refusal
from scoter.engine.nodes import JOIN_KINDS, JOIN_METHODS, JOIN_SIDES, NODES, SAMPLE_METHODS, TYPES
from scoter.engine.statements import span_of
from scoter.errors import InvalidDefinition, NotSupported, Span, UndefinedFunction, WrongArguments
from scoter.suggestions import closest

_ROOTS = (exp.Query, exp.Values, exp.Pivot, exp.Insert, ours.Statement)
_NOT_NESTED = (exp.Insert, ours.Statement)


def check(tree: exp.Expr) -> None:
    """Raise NotSupported or UndefinedFunction, with the place, for the first thing that is not offered."""
    if not isinstance(tree, _ROOTS):
        raise NotSupported(f"a statement of the kind {_words(tree)}", span=span_of(tree))
    for node in tree.walk():
        _known(node)
        _plain(node)
        if isinstance(node, _NOT_NESTED) and node is not tree and not isinstance(node.parent, ours.Explain):
            raise NotSupported("a statement inside another one", span=span_of(node))
        look = _CLOSER.get(type(node))
        if look is not None:
            look(node)


def function_name(node: exp.Expr) -> str | None:
    """Return the name, in lower case, under which DuckDB will see a call; None for other nodes."""
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return _WORDS.get(type(node))


_WORDS: dict[type[exp.Expr], str] = {
    exp.CurrentCatalog: "current_catalog",
    exp.CurrentDate: "current_date",
    exp.CurrentTime: "current_time",
    exp.CurrentTimestamp: "current_timestamp",
    exp.CurrentUser: "current_user",
    exp.Localtime: "localtime",
    exp.Localtimestamp: "localtimestamp",
    exp.SessionUser: "session_user",
}


def _known(node: exp.Expr) -> None:
    parts = NODES.get(type(node))
    if parts is None:
        raise NotSupported(f"{_words(node)} is not offered", span=_nearest(node))
    for key, value in node.args.items():
        if key not in parts and value not in (None, False, []):
            what = key.strip("_").replace("_", " ").upper()
            raise NotSupported(f"{what} in {_words(node)} is not offered", span=_nearest(node))


# What is written into SQL in quotes of its own, whatever it holds.
_QUOTED = (exp.Identifier, exp.Literal, exp.ByteString)
_WORD = re.compile(r"[A-Za-z0-9_.$ ]{0,128}", re.ASCII)


def _plain(node: exp.Expr) -> None:
    """Raise NotSupported for a text that would be written as it is and is no word: it could hold any SQL."""
    if isinstance(node, _QUOTED):
        return
    for value in node.args.values():
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str) and not _WORD.fullmatch(text):
                raise NotSupported(f"the name {text[:40]!r} is not offered here", span=_nearest(node))
    if isinstance(node, exp.Placeholder) and " " in str(node.this or ""):
        raise NotSupported("a parameter's name is one word", span=_nearest(node))
    if isinstance(node, exp.Collate):
        name = node.expression
        if not _WORD.fullmatch(name.name):
            raise NotSupported(f"the collation {name.name[:40]!r} is not offered", span=_nearest(node))


def _function(node: exp.Anonymous) -> None:
    name = function_name(node) or ""
    in_from = isinstance(node.parent, exp.Table) and node.arg_key == "this"
    if in_from and name == TABLE_CHANGES:
        _changes(node)
        return
    allowed = TABLE_FUNCTIONS if in_from else CALLABLE
    if name not in allowed:
        _refuse_function(name, allowed, node, in_from=in_from)
    if name in SESSION | NOW and (node.expressions or isinstance(node.parent, exp.Dot)):
        raise NotSupported(f"{name} takes no argument and no schema", span=_nearest(node))
    if name == "age" and len(node.expressions) == 1:
        raise NotSupported(
            "age with one argument", hint="write age(current_timestamp, …)", span=_nearest(node)
        )


def _changes(node: exp.Anonymous) -> None:
    table, *ends = node.expressions or [exp.Null()]
    if not (isinstance(table, exp.Literal) and table.is_string) or len(ends) not in {1, 2}:
        raise WrongArguments(
            "table_changes takes a table's name as a constant text, where to begin, and where to end",
            hint="write table_changes('t', from) or table_changes('t', from, to)",
            span=_nearest(node),
        )


def _refuse_function(name: str, allowed: frozenset[str], node: exp.Expr, *, in_from: bool) -> None:
    reason = refusal(name)
    if reason is not None:
        raise NotSupported(f"function {name} is not offered", hint=reason, span=_nearest(node))
    kind = "table function" if in_from else "function"
    hint = closest(name, sorted(allowed))
    if in_from and name in CALLABLE:
        hint = "it gives a value and stands in the select list"
    elif not in_from and name in TABLE_FUNCTIONS:
        hint = "it gives rows and stands behind FROM"
    raise UndefinedFunction(f'{kind} "{name}" does not exist', hint=hint, span=_nearest(node))


def _table(node: exp.Table) -> None:
    if isinstance(node.this, exp.Anonymous):
        if node.args.get("db") or node.args.get("catalog"):
            raise NotSupported("a function of a schema", span=_nearest(node))
        if node.args.get("version"):
            raise NotSupported("a version of a function's rows", span=_nearest(node))
        return
    if not isinstance(node.this, (exp.Identifier, exp.Dot, ours.TableCall)):
        raise NotSupported("this kind of table", span=_nearest(node))


def _join(node: exp.Join) -> None:
    given = (str(node.args.get(k) or "").upper() for k in ("method", "side", "kind"))
    for text, known in zip(given, (JOIN_METHODS, JOIN_SIDES, JOIN_KINDS), strict=True):
        if text not in known:
            raise NotSupported(f"{text} JOIN is not offered", span=_nearest(node))


def _sample(node: exp.TableSample) -> None:
    method = node.args.get("method")
    if method is not None and str(method.name).upper() not in SAMPLE_METHODS:
        raise NotSupported(f"sample method {method.name}", span=_nearest(node))


def _type(node: exp.DataType) -> None:
    if node.this not in TYPES:
        raise NotSupported(f'type "{node.sql("duckdb").lower()}" is not offered', span=_nearest(node))
    missing = _WITH_PARTS.get(node.this) if not node.expressions else None
    if missing is not None:
        raise InvalidDefinition(
            f"{node.this.value} alone is no type", hint=f"write {missing}", span=_nearest(node)
        )
    if node.this == exp.DType.DECIMAL and node.expressions:
        _decimal(node)


# Types that are made of others, as one writes them.
_WITH_PARTS = {
    exp.DType.ARRAY: "INTEGER[]",
    exp.DType.ENUM: "ENUM('a', 'b')",
    exp.DType.LIST: "INTEGER[]",
    exp.DType.MAP: "MAP(VARCHAR, INTEGER)",
    exp.DType.STRUCT: "STRUCT(a INTEGER, b VARCHAR)",
}


def _decimal(node: exp.DataType) -> None:
    digits = [part.name for part in node.expressions]
    precision, scale = [*(int(text) if text.isdecimal() else -1 for text in digits), 0][:2]
    if not 1 <= precision <= 38 or not 0 <= scale <= precision:
        raise InvalidDefinition(
            f"DECIMAL({', '.join(digits)}) does not exist",
            hint="the precision is 1 to 38, the scale at most the precision",
            span=_nearest(node),
        )


def _table_call(node: ours.TableCall) -> None:
    word = "ML_EVALUATE" if isinstance(node, ours.MlEvaluate) else "ML_PREDICT"
    if isinstance(node.parent, exp.Lateral):
        raise NotSupported(f"LATERAL {word}", hint=f"write FROM {word}(…)", span=_nearest(node))
    if not isinstance(node.parent, exp.Table):
        raise NotSupported(
            f"{word} gives rows and stands behind FROM",
            hint=f"write SELECT * FROM {word}(MODEL name, TABLE (SELECT …)); a value for a row is PREDICT('name', …)",
            span=_nearest(node),
        )


_CLOSER: dict[type[exp.Expr], Callable[..., None]] = {
    exp.Anonymous: _function,
    exp.Table: _table,
    exp.Join: _join,
    exp.TableSample: _sample,
    exp.DataType: _type,
    ours.MlEvaluate: _table_call,
    ours.MlPredict: _table_call,
}


def _nearest(node: exp.Expr) -> Span | None:
    place: exp.Expr | None = node
    while place is not None:
        span = span_of(place)
        if span is not None:
            return span
        place = place.parent
    return None


def _words(node: exp.Expr) -> str:
    if isinstance(node, exp.Func):
        return str(node.sql_name())
    name = type(node).__name__
    return "".join(f" {c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()
