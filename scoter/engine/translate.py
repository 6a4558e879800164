"""DuckDB's errors as ours: beside ``error_places`` the only place that reads the text of what DuckDB raises.

This module must not know why a statement ran, only what DuckDB said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from scoter.engine.error_places import CAST, NO_COPY, SOURCE, TWICE, is_given, named, place_of
from scoter.engine.functions import SESSION, SESSION_WORDS
from scoter.engine.scanning.lineage import HIDDEN
from scoter.errors import (
    AmbiguousColumn,
    Cancelled,
    CorruptData,
    DiskFull,
    DivisionByZero,
    DuplicateColumn,
    GroupingError,
    InternalError,
    InvalidSyntax,
    InvalidText,
    InvalidValue,
    NotSupported,
    NumericOutOfRange,
    OutOfMemory,
    ScoterError,
    Span,
    StatementTimeout,
    TypeMismatch,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedTable,
)
from scoter.suggestions import closest

_PATH = re.compile(r"(file:)?/[^\s\"',)]+/[^\s\"',)]*")
_MISSING_COLUMN = re.compile(
    r'referenced column|does not have a column|column with name|column "[^"]+" (does not exist|in exclude)'
)
_QUOTED = re.compile(r'"([^"]+)"')
# DuckDB's names of how whole numbers are stored, where they are no part of a quoted value or name.
_IN_SQL = {
    "INT8": "TINYINT", "INT16": "SMALLINT", "INT32": "INTEGER", "INT64": "BIGINT", "INT128": "HUGEINT",
    "UINT8": "UTINYINT", "UINT16": "USMALLINT", "UINT32": "UINTEGER", "UINT64": "UBIGINT", "UINT128": "UHUGEINT",
}  # fmt: skip
_PHYSICAL = re.compile(r"""'.*'|".*"|\bU?INT(8|16|32|64|128)\b""")


@dataclass(frozen=True)
class _Told:
    """What DuckDB said: the first line, what follows its prefix in lower case, all of it, what it names, and where.

    ``given`` says whether that stands among the arguments of a PREDICT.
    """

    text: str
    rest: str
    whole: str
    name: str | None
    span: Span | None
    given: bool = False


def translate(error: Exception, tree: exp.Expr | None = None) -> ScoterError:
    """Return the error of ours that says what DuckDB's error says, with a place in ``tree`` where found.

    DuckDB's streams raise pyarrow errors with DuckDB's text, so the text's prefix decides, not the class.
    """
    whole = str(error).strip()
    text = _first_line(whole)
    prefix, _, rest = text.partition(" Error: ")
    name, span = named(rest), place_of(tree, rest)
    told = _Told(text, rest.casefold(), whole, name, span, is_given(tree, span))
    found = _BY_PREFIX.get(prefix.casefold())
    if found is None:
        return InternalError("the statement failed inside the engine; details are in the log")
    return found(told)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()


def _clean(text: str) -> str:
    """Drop DuckDB's class prefix, names that the rewriter made, and every path from a message."""
    text = re.sub(r" Use TRY\(.*| You might need to add.*| In order to select one.*", "", text)
    text = SOURCE.sub("", text)
    text = re.sub(r"^[A-Z][A-Za-z ]+ Error: ", "", text)
    return _PATH.sub("…", text).rstrip(".!")


def _of_types(text: str) -> str:
    """Return a message about values and types, these with the names that SQL has for them."""
    return _PHYSICAL.sub(lambda found: _IN_SQL.get(found.group(), found.group()), _clean(text))


def _candidates(told: _Told) -> str | None:
    """Return a hint from the candidates that DuckDB names."""
    _, found, listed = told.whole.partition("Candidate")
    names = list(dict.fromkeys(part.rsplit(".", 1)[-1] for part in _QUOTED.findall(listed)))
    # DuckDB names what is alike, and rows of a table that is written have columns beside those of the table.
    names = [name for name in names if name not in HIDDEN and not name.startswith("scoter_")]
    if not found or not names:
        return None
    near = closest(told.name.rsplit(".", 1)[-1], names) if told.name else None
    return near or f"among the columns there: {', '.join(names)}"


def _interrupted(told: _Told) -> ScoterError:
    if "timeout" in told.rest or "execution time" in told.rest:
        return StatementTimeout("the statement ran longer than statement_timeout")
    return Cancelled("the statement was cancelled")


def _memory(told: _Told) -> ScoterError:
    if "max_temp_directory_size" in told.whole or "offload" in told.rest:
        return DiskFull("the temporary space is full", hint="raise query.temp_bytes or free disk")
    return OutOfMemory(
        "the statement needs more memory than its share",
        hint="read fewer rows or columns, or raise query.memory_limit",
    )


def _conversion(told: _Told) -> ScoterError:
    moment = re.match(r"(date|time|timestamp|interval) ", told.rest) is not None
    cast = CAST.search(told.text)
    if cast is not None:
        return TypeMismatch(f"{cast.group(1)} can not be cast to {cast.group(2)}", span=told.span)
    too_large = not moment and ("out of range" in told.rest or "could not cast value" in told.rest)
    kind = NumericOutOfRange if too_large else InvalidText
    hint = (
        "TRY_PREDICT gives NULL for a row whose values do not fit the model's inputs" if told.given else None
    )
    return kind(_of_types(told.text), hint=hint, span=told.span)


def _file(told: _Told) -> ScoterError:
    if "no space left" in told.rest or "could not write" in told.rest:
        return DiskFull("the disk is full")
    return CorruptData("a file of the lake can not be read; its name is in the log")


def _serialization(told: _Told) -> ScoterError:
    # DuckDB writes unnest of a struct as one expression for each field, and can not write a subquery twice.
    if NO_COPY in told.rest:
        return NotSupported(
            "a struct with a subquery inside can not be unnested",
            hint="name it in a query of its own: SELECT unnest(s) FROM (SELECT … AS s)",
            span=told.span,
        )
    return _file(told)


def _outside(_told: _Told) -> ScoterError:
    return NotSupported("the statement reaches outside the lake")


def _same(kind: type[ScoterError]) -> Callable[[_Told], ScoterError]:
    """Return a translation that keeps DuckDB's message."""
    return lambda told: kind(_clean(told.text), span=told.span)


def _binder(told: _Told) -> ScoterError:
    message, low, name, span = _clean(told.text), told.text.casefold(), told.name, told.span
    if name in SESSION_WORDS and low.startswith("binder error: macro"):
        return _not_a_column(name, span)
    twice = TWICE.search(told.text)
    if twice is not None:
        return DuplicateColumn(f'a struct has the field "{twice.group(1)}" twice', span=span)
    if "ambiguous reference" in low:
        return AmbiguousColumn(message, span=span)
    if "referenced table" in low:
        return UndefinedTable(f'table or alias "{name}" is not in scope', hint=_candidates(told), span=span)
    if _MISSING_COLUMN.search(low):
        return UndefinedColumn(f'column "{name}" does not exist', hint=_candidates(told), span=span)
    if "could not find key" in low or ("struct" in low and "not find" in low):
        return UndefinedColumn(message, span=span)
    if "no function matches" in low or "no matching" in low or "best candidate" in low:
        return UndefinedFunction(message, hint="cast the arguments to types the function takes", span=span)
    if "group by" in low or "aggregate" in low or "window function" in low:
        return GroupingError(message, span=span)
    if "does not exist" in low and "function" in low:
        return UndefinedFunction(message, span=span)
    return TypeMismatch(message, span=span)


def _not_a_column(name: str, span: Span | None) -> NotSupported:
    """Return the error for a word that is no column there; DuckDB's binder finds a macro that never fits."""
    if name not in SESSION:
        return NotSupported(f"{name} is not offered", hint="write current_user", span=span)
    return NotSupported(
        f"{name} is no column there, but has the name of one in the statement",
        hint=f"write {name}() for the session's, or the table's name before the column's",
        span=span,
    )


def _catalog(told: _Told) -> ScoterError:
    second = re.search(r"Did you mean \"([^\"]+)\"", told.whole)
    hint = f'did you mean "{second.group(1)}"?' if second else None
    if "unction" in told.text:
        return UndefinedFunction(f'function "{told.name}" does not exist', hint=hint, span=told.span)
    if "Type with name" in told.text:
        return TypeMismatch(f'type "{told.name}" does not exist', hint=hint, span=told.span)
    return UndefinedTable(f'"{told.name}" does not exist', span=told.span)


def _invalid(told: _Told) -> ScoterError:
    low = told.text.casefold()
    if "division by zero" in low or "divide by zero" in low:
        return DivisionByZero(_clean(told.text), hint="divide by NULLIF(x, 0)", span=told.span)
    if "parquet" in low or "magic bytes" in low:
        return CorruptData("a file of the lake can not be read; its name is in the log")
    return InvalidValue(_clean(told.text), span=told.span)


_BY_PREFIX: dict[str, Callable[[_Told], ScoterError]] = {
    "binder": _binder,
    "catalog": _catalog,
    "constraint": _invalid,
    "conversion": _conversion,
    "divide by zero": _same(DivisionByZero),
    "http": _file,
    "interrupt": _interrupted,
    "invalid input": _invalid,
    "invalid type": _same(TypeMismatch),
    "io": _file,
    "mismatch type": _same(TypeMismatch),
    "not implemented": _same(NotSupported),
    "out of memory": _memory,
    "out of range": lambda told: NumericOutOfRange(_of_types(told.text), span=told.span),
    "parser": _same(InvalidSyntax),
    "permission": _outside,
    "serialization": _serialization,
    "syntax": _same(InvalidSyntax),
}
