"""Where in a statement stands what a message of DuckDB is about.

This module must not know what becomes of the message.
"""

from __future__ import annotations

import re

from sqlglot import exp

from scoter.engine.evaluation import EVALUATED
from scoter.engine.functions import AGGREGATES
from scoter.engine.gate import function_name
from scoter.engine.statements import Predict, span_of
from scoter.errors import Span

SOURCE = re.compile(r" when casting from source column (\w+)")
CAST = re.compile(r"Unimplemented type for cast \((.+) -> (.+)\)")
TWICE = re.compile(r'Duplicate named argument "([^"]+)"')
NO_COPY = "cannot copy boundsubqueryexpression"


def place_of(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where that stands which ``text``, a message without its prefix, is about; None where it is not sure."""
    return (
        _find_evaluation(tree, text)
        or _find(tree, named(text))
        or _find_value(tree, text)
        or _find_nested(tree, text)
        or _find_copied(tree, text)
        or _find_cast(tree, text)
        or _find_source(tree, text)
        or _find_field(tree, text)
    )


def is_given(tree: exp.Expr | None, span: Span | None) -> bool:
    """Say whether what stands at a place is given to a model by PREDICT, as TRY_PREDICT could do."""
    if tree is None or span is None:
        return False
    calls = (call for call in tree.find_all(Predict) if call.kind == "predict" and not call.tries)
    return any(span_of(node) == span for call in calls for each in call.arguments for node in each.walk())


def named(text: str) -> str | None:
    """Return the column, table, function or operator that a message is about."""
    for pattern in _NAMES:
        found = re.search(pattern, text)
        if found:
            return found.group(1)
    return None


_NAMES = (
    r'^Macro "?(\w+)"?\(\) does not support',
    r'column (?:named )?"([^"]+)"',
    r'[Cc]olumn name "([^"]+)"',
    r'^Column "([^"]+)"',
    r"with name ([^\s!]+) does not exist",
    r"""argument types '([^(']+)\(""",
    r'function call "([^("]+)\(',
    r'[Tt]able "([^"]+)"',
    r'key "([^"]+)" in struct',
    r"[Dd]ivision by zero in expression \(.* (//|%|/) ",
)

_OPERATORS: dict[str, type[exp.Expr]] = {
    "+": exp.Add,
    "-": exp.Sub,
    "*": exp.Mul,
    "/": exp.Div,
    "//": exp.IntDiv,
    "%": exp.Mod,
    "||": exp.DPipe,
    "array_extract": exp.Bracket,
}


def _find(tree: exp.Expr | None, name: str | None) -> Span | None:
    """Return where ``name`` stands as a column, table, function or lone operator, or None."""
    if tree is None or name is None:
        return None
    operator = _OPERATORS.get(name)
    if operator is not None:
        there = list(tree.find_all(operator))
        return span_of(there[0]) if len(there) == 1 else None
    folded = name.casefold().rsplit(".", 1)[-1]
    for node in tree.find_all(exp.Column, exp.Table, exp.Func):
        names = {node.name.casefold()}
        if isinstance(node, exp.Column):
            names.add(node.table.casefold())
        if folded in names:
            span = span_of(node)
            if span is not None:
                return span
    return None


def _find_value(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where a quoted value of a message stands, if it stands once."""
    found = re.search(r"""(?:string|format:|range:|value) ['"]?([^'"]+?)['"]?(?:,| to | can|$)""", text)
    if tree is None or found is None:
        return None
    there = [node for node in tree.find_all(exp.Literal) if _is_value(node, found.group(1))]
    return span_of(there[0]) if len(there) == 1 else None


def _is_value(literal: exp.Literal, text: str) -> bool:
    """Say whether a literal is the value that DuckDB writes so: 1e300 as 1e+300."""
    if literal.is_string or literal.name == text:
        return bool(literal.name == text)
    try:
        return float(literal.name) == float(text)
    except ValueError:
        return False


def _find_cast(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where the value stands that can not be cast, if one cast of the statement is to that type."""
    found = CAST.search(text)
    if not isinstance(tree, exp.Query) or found is None:  # a write casts to the types of its table
        return None
    target, casts = found.group(2), list(tree.find_all(exp.Cast))
    there = [
        cast for cast in casts if cast.to.sql(dialect="duckdb").upper() in {target, _SPELLED.get(target)}
    ]
    return span_of(there[0].this) if len(there) == 1 else None


def _find_source(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where the column stands whose value can not be cast, if one column of the statement has the name."""
    found = SOURCE.search(text)
    if tree is None or found is None:
        return None
    name = found.group(1).casefold()
    there = [column for column in tree.find_all(exp.Column) if column.name.casefold() == name]
    return span_of(there[0]) if len(there) == 1 else None


def _find_field(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where the struct stands that has a field twice."""
    found = TWICE.search(text)
    for struct in () if tree is None or found is None else tree.find_all(exp.Struct):
        names = [each.name.casefold() for each in struct.expressions if isinstance(each, exp.PropertyEQ)]
        if len(set(names)) < len(names):
            return span_of(struct) or span_of(struct.expressions[0])
    return None


_SPELLED = {"VARCHAR": "TEXT", "INTEGER": "INT", "FLOAT": "REAL"}


def _find_nested(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where the aggregate stands that another one holds, if the message is about such."""
    if tree is None or "nested" not in text or "aggregate" not in text:
        return None
    for node in tree.find_all(exp.Anonymous):
        if node.name.casefold() in AGGREGATES:
            inner = (part for part in node.find_all(exp.Anonymous) if part is not node)
            found = next((part for part in inner if part.name.casefold() in AGGREGATES), None)
            if found is not None:
                return span_of(found)
    return None


def _find_copied(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where the struct is unnested that DuckDB would have to copy with the subquery inside."""
    if tree is None or NO_COPY not in text.casefold():
        return None
    for node in tree.find_all(exp.Anonymous):
        if function_name(node) == "unnest" and node.find(exp.Query) is not None:
            return span_of(node)
    return None


def _find_evaluation(tree: exp.Expr | None, text: str) -> Span | None:
    """Return where the one ML_EVALUATE stands whose label a message is about."""
    if tree is None or not text.startswith("the label "):
        return None
    there = [
        call
        for call in tree.find_all(Predict)
        if EVALUATED in call.meta and any(part in text for part in call.meta[EVALUATED])
    ]
    return span_of(there[0]) if len(there) == 1 else None
