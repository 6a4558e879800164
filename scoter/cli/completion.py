"""What may stand at the cursor: keywords, tables, columns, models.

This module must not know terminals beyond prompt_toolkit's interface, nor how names are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from scoter.catalog.names import quoted
from scoter.cli.sessions import Session

KEYWORDS = (
    "ADD",
    "ALIAS",
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLUMNS",
    "COUNT",
    "CREATE",
    "CROSS",
    "DEFAULT_VERSION",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DO",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FILTER",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IF",
    "ILIKE",
    "IN",
    "INNER",
    "INPUT",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATCHED",
    "MERGE",
    "ML_EVALUATE",
    "ML_PREDICT",
    "MODEL",
    "MODELS",
    "NOT",
    "NOTHING",
    "NULL",
    "OF",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PARTITIONED",
    "PREDICT",
    "PREDICT_ALL",
    "PREDICT_PROBA",
    "QUALIFY",
    "REPLACE",
    "RESET",
    "RIGHT",
    "SCHEMA",
    "SCHEMAS",
    "SELECT",
    "SET",
    "SHOW",
    "TABLE",
    "TABLES",
    "THEN",
    "TIMESTAMP",
    "TIMEZONE",
    "TRY_PREDICT",
    "UNION",
    "UPDATE",
    "USE",
    "USING",
    "VALUES",
    "VERSION",
    "VERSIONS",
    "VIEW",
    "VIEWS",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "avg",
    "count",
    "max",
    "min",
    "round",
    "sum",
)

_WORD = re.compile(r"[\w$]*$")
_QUALIFIED = re.compile(r"([\w$]+)\.[\w$]*$")
_MODEL_TEXT = re.compile(r"\bpredict(?:_proba)?\s*\(\s*'([\w$.@-]*)$", re.IGNORECASE)
_AFTER_TABLE_WORD = re.compile(r"\b(?:from|join|into|table|view|describe|update)\s+[\w$]*$", re.IGNORECASE)
_AFTER_MODEL_WORD = re.compile(r"\bmodel\s+[\w$]*$", re.IGNORECASE)
_SYSTEM = frozenset({"information_schema", "system"})


@dataclass(frozen=True)
class Names:
    """The names of a lake: columns by (schema, table), and models by schema."""

    tables: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    models: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, session: Session) -> Names:
        """Ask a session for its names; raises ScoterError."""
        tables: dict[tuple[str, str], list[str]] = {}
        columns = "SELECT table_schema, table_name, column_name FROM information_schema.columns"
        for schema, table, column in _rows(session, columns):
            tables.setdefault((schema, table), []).append(column)
        listed = _rows(session, "SELECT DISTINCT schema_name, model_name FROM system.models")
        models = sorted((schema, name) for schema, name in listed)
        return cls({key: tuple(found) for key, found in tables.items()}, tuple(models))


class SqlCompleter(Completer):
    """Offers names that fit the words before the cursor."""

    def __init__(self) -> None:
        self.names = Names()

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002  # given by the library
    ) -> Iterator[Completion]:
        """Yield what may stand at the cursor."""
        before = document.text_before_cursor
        if before.startswith("\\"):
            return
        model = _MODEL_TEXT.search(before)
        if model is not None:
            yield from _matching(model[1], self._models(), "model")
            return
        found = _WORD.search(before)
        word = found[0] if found else ""
        qualifier = _QUALIFIED.search(before)
        if qualifier is not None:
            yield from _matching(word, self._below(qualifier[1], document.text), "")
        elif _AFTER_MODEL_WORD.search(before):
            yield from _matching(word, self._models(), "model")
        elif _AFTER_TABLE_WORD.search(before):
            yield from _matching(word, self._tables(), "table")
        elif word:
            yield from _matching(word, self._columns(document.text), "column")
            yield from _matching(word, self._tables(), "table")
            yield from _matching(word, KEYWORDS, "")

    def _models(self) -> list[str]:
        return [
            quoted(name) if schema == "main" else f"{schema}.{name}" for schema, name in self.names.models
        ]

    def _tables(self) -> list[str]:
        tables = [quoted(name) for schema, name in self.names.tables if schema not in _SYSTEM]
        return [*tables, *sorted({schema for schema, _ in self.names.tables})]

    def _columns(self, text: str) -> list[str]:
        """Return the columns of the tables that the text names, or of all of them."""
        words = {word.casefold() for word in re.findall(r"[\w$]+", text)}
        named = [key for key in self.names.tables if key[1].casefold() in words and key[0] not in _SYSTEM]
        chosen = named or [key for key in self.names.tables if key[0] not in _SYSTEM]
        return sorted({quoted(column) for key in chosen for column in self.names.tables[key]})

    def _below(self, qualifier: str, text: str) -> list[str]:
        """Return what may follow ``qualifier.``: a schema's tables, or a table's or its alias's columns."""
        folded = qualifier.casefold()
        tables = [quoted(name) for schema, name in self.names.tables if schema.casefold() == folded]
        if tables:
            return tables
        before = rf"\b([\w$]+)\s+(?:as\s+)?{re.escape(qualifier)}\b"
        wanted = {folded, *(found[1].casefold() for found in re.finditer(before, text, re.IGNORECASE))}
        return [
            quoted(column)
            for (_, name), columns in self.names.tables.items()
            if name.casefold() in wanted
            for column in columns
        ]


def _matching(word: str, names: Iterable[str], kind: str) -> Iterator[Completion]:
    folded = word.casefold()
    lower = word.islower()
    for name in names:
        if name.casefold().lstrip('"').startswith(folded):
            shown = name.lower() if lower and name.isupper() else name
            yield Completion(shown, start_position=-len(word), display_meta=kind)


def _rows(session: Session, sql: str) -> Iterator[tuple[str, ...]]:
    for batch in session.run(sql).batches:
        columns = [column.to_pylist() for column in batch.columns]
        yield from zip(*columns, strict=True)
