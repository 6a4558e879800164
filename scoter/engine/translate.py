"""DuckDB's errors as ours: the only place that reads the text of what DuckDB raises.

This module must not know why a statement ran, only what DuckDB said and where names stand in the AST.
"""

from __future__ import annotations

import re

from sqlglot import exp

from scoter.engine.statements import span_of
from scoter.errors import (
    AmbiguousColumn,
    Cancelled,
    CorruptData,
    DataError,
    DiskFull,
    DivisionByZero,
    GroupingError,
    InternalError,
    InvalidText,
    InvalidValue,
    NotSupported,
    NumericOutOfRange,
    OutOfMemory,
    ScoterError,
    Span,
    StatementError,
    StatementTimeout,
    SyntaxError_,
    TypeMismatch,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedTable,
    closest,
)

_PATH = re.compile(r"(file:)?/[^\s\"',)]+/[^\s\"',)]*")
_QUOTED = re.compile(r'"([^"]+)"')


def translate(error: Exception, tree: exp.Expression | None = None) -> ScoterError:
    """Return the error of ours that says what DuckDB's error says, with a place in ``tree`` where found.

    DuckDB's streams raise pyarrow errors with DuckDB's text, so the text's prefix decides, not the class.
    """
    text = _first_line(str(error))
    prefix, _, rest = text.partition(" Error: ")
    name = _named(text)
    span = _find(tree, name)
    match prefix.casefold():
        case "interrupt":
            if "timeout" in rest.casefold() or "execution time" in rest.casefold():
                return StatementTimeout("the statement ran longer than statement_timeout")
            return Cancelled("the statement was cancelled")
        case "out of memory":
            if "max_temp_directory_size" in str(error) or "offload" in rest.casefold():
                return DiskFull("the temporary space is full", hint="raise query.temp_bytes or free disk")
            return OutOfMemory(
                "the statement needs more memory than its share",
                hint="read fewer rows or columns, or raise query.memory_limit",
            )
        case "conversion":
            kind = NumericOutOfRange if "out of range" in rest else InvalidText
            return kind(_clean(text), span=span)
        case "out of range":
            return NumericOutOfRange(_clean(text), span=span)
        case "binder":
            return _binder(text, name, span)
        case "catalog":
            return _catalog(text, name, span, error)
        case "parser" | "syntax":
            return SyntaxError_(_clean(text), span=span)
        case "not implemented":
            return NotSupported(_clean(text), span=span)
        case "permission":
            return NotSupported("the statement reaches outside the lake")
        case "io" | "http":
            if "no space left" in rest.casefold() or "could not write" in rest.casefold():
                return DiskFull("the disk is full")
            return CorruptData("a file of the lake can not be read; its name is in the log")
        case "serialization":
            return CorruptData("a file of the lake can not be read; its name is in the log")
        case "divide by zero":
            return DivisionByZero(_clean(text), span=span)
        case "mismatch type" | "invalid type":
            return TypeMismatch(_clean(text), span=span)
        case "invalid input" | "constraint":
            return _invalid(text, span)
        case _:
            return InternalError("the statement failed inside the engine; details are in the log")


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()


def _clean(text: str) -> str:
    """Drop DuckDB's class prefix and every path from a message."""
    text = re.sub(r"^[A-Z][A-Za-z ]+ Error: ", "", text)
    return _PATH.sub("…", text).rstrip(".!")


def _named(text: str) -> str | None:
    for pattern in (
        r'column (?:named )?"([^"]+)"',
        r'[Cc]olumn name "([^"]+)"',
        r"with name ([^\s!]+) does not exist",
        r'[Tt]able "([^"]+)"',
        r'function "?([A-Za-z_][\w]*)"?',
        r"'([A-Za-z_][\w]*)\(",
    ):
        found = re.search(pattern, text)
        if found:
            return found.group(1)
    return None


def _find(tree: exp.Expression | None, name: str | None) -> Span | None:
    """Return where ``name`` stands as a column, table or function, or None."""
    if tree is None or name is None:
        return None
    folded = name.casefold().rsplit(".", 1)[-1]
    for node in tree.find_all(exp.Column, exp.Table, exp.Func):
        own = node.name if isinstance(node, exp.Column | exp.Table | exp.Anonymous) else node.sql_name()
        if own.casefold() == folded:
            span = span_of(node)
            if span is not None:
                return span
    return None


def _binder(text: str, name: str | None, span: Span | None) -> StatementError | DataError:
    message = _clean(text)
    low = text.casefold()
    if "ambiguous reference" in low:
        return AmbiguousColumn(message, span=span)
    if "referenced table" in low:
        found = _QUOTED.findall(text)
        return UndefinedTable(
            f'table or alias "{name}" is not in scope', hint=_candidates(name, found), span=span
        )
    if "referenced column" in low or "does not have a column" in low or "column with name" in low:
        found = _QUOTED.findall(text)
        return UndefinedColumn(f'column "{name}" does not exist', hint=_candidates(name, found), span=span)
    if "could not find key" in low or "struct" in low and "not find" in low:
        return UndefinedColumn(message, span=span)
    if "no function matches" in low or "no matching" in low:
        return UndefinedFunction(message, hint="cast the arguments to types the function takes", span=span)
    if "group by" in low or "aggregate" in low or "window function" in low:
        return GroupingError(message, span=span)
    if "does not exist" in low and "function" in low:
        return UndefinedFunction(message, span=span)
    return TypeMismatch(message, span=span)


def _candidates(name: str | None, found: list[str]) -> str | None:
    names = [part.rsplit(".", 1)[-1] for part in found if part != name]
    if not names or name is None:
        return None
    listed = ", ".join(dict.fromkeys(names))
    return closest(name.rsplit(".", 1)[-1], names) or f"in scope are {listed}"


def _catalog(text: str, name: str | None, span: Span | None, error: Exception) -> StatementError:
    second = re.search(r"Did you mean \"([^\"]+)\"", str(error))
    hint = f'did you mean "{second.group(1)}"?' if second else None
    if "unction" in text:
        return UndefinedFunction(f'function "{name}" does not exist', hint=hint, span=span)
    if "Type with name" in text:
        return TypeMismatch(f'type "{name}" does not exist', hint=hint, span=span)
    return UndefinedTable(f'"{name}" does not exist', span=span)


def _invalid(text: str, span: Span | None) -> ScoterError:
    low = text.casefold()
    if "division by zero" in low or "divide by zero" in low:
        return DivisionByZero(_clean(text), span=span)
    if "parquet" in low or "magic bytes" in low or "file" in low:
        return CorruptData("a file of the lake can not be read; its name is in the log")
    return InvalidValue(_clean(text), span=span)
