"""DuckDB's spelling of types, both ways.

This module must not know tables or connections.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import exc, types
from sqlalchemy.sql.compiler import GenericTypeCompiler

from scoter_client.dialect import types as duck

_DEFAULT_FLOAT_BITS = 24


def _word(word: str) -> Any:
    """Return a method that writes a type without parameters."""

    def visit(_self: Any, _type: Any, **_: Any) -> str:
        return word

    return visit


class ScoterTypeCompiler(GenericTypeCompiler):
    """Writes types as DuckDB does; lengths of texts are left out, because nothing enforces them."""

    visit_TINYINT = _word("TINYINT")
    visit_INTEGER = _word("INTEGER")
    visit_HUGEINT = _word("HUGEINT")
    visit_UTINYINT = _word("UTINYINT")
    visit_USMALLINT = _word("USMALLINT")
    visit_UINTEGER = _word("UINTEGER")
    visit_UBIGINT = _word("UBIGINT")
    visit_UHUGEINT = _word("UHUGEINT")
    visit_REAL = _word("FLOAT")
    visit_DOUBLE = visit_DOUBLE_PRECISION = _word("DOUBLE")
    visit_VARCHAR = visit_NVARCHAR = visit_CHAR = visit_NCHAR = visit_TEXT = visit_CLOB = _word("VARCHAR")
    visit_BLOB = visit_BINARY = visit_VARBINARY = _word("BLOB")
    visit_JSON = _word("JSON")
    visit_UUID = visit_uuid = _word("UUID")
    visit_INTERVAL = _word("INTERVAL")
    visit_TIMESTAMP_NS = _word("TIMESTAMP_NS")

    def visit_FLOAT(self, type_: Any, **kw: Any) -> str:
        precision = getattr(type_, "precision", None)
        return "FLOAT" if precision is not None and precision <= _DEFAULT_FLOAT_BITS else "DOUBLE"

    def visit_NUMERIC(self, type_: Any, **kw: Any) -> str:
        if type_.precision is None:
            raise exc.CompileError(
                "a DECIMAL needs a precision and a scale, as in Numeric(18, 4): DuckDB's own are 18 and 3, "
                "which would round other values"
            )
        return f"DECIMAL({type_.precision}, {type_.scale or 0})"

    visit_DECIMAL = visit_NUMERIC

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:
        return "TIMESTAMP WITH TIME ZONE" if type_.timezone else "TIMESTAMP"

    visit_DATETIME = visit_TIMESTAMP

    def visit_TIME(self, type_: Any, **kw: Any) -> str:
        return "TIME WITH TIME ZONE" if type_.timezone else "TIME"

    def visit_ARRAY(self, type_: Any, **kw: Any) -> str:
        return self.process(type_.item_type, **kw) + "[]" * (type_.dimensions or 1)

    def visit_STRUCT(self, type_: Any, **kw: Any) -> str:
        quote = self.dialect.identifier_preparer.quote
        fields = (f"{quote(name)} {self.process(kind, **kw)}" for name, kind in type_.fields.items())
        return f"STRUCT({', '.join(fields)})"

    def visit_MAP(self, type_: Any, **kw: Any) -> str:
        return f"MAP({self.process(type_.key, **kw)}, {self.process(type_.value, **kw)})"


_PLAIN: dict[str, Any] = {
    "BIGINT": types.BIGINT,
    "BIT": types.VARCHAR,
    "BLOB": types.BLOB,
    "BOOLEAN": types.BOOLEAN,
    "DATE": types.DATE,
    "DOUBLE": getattr(types, "DOUBLE", types.FLOAT),
    "FLOAT": types.REAL,
    "HUGEINT": duck.HUGEINT,
    "INTEGER": types.INTEGER,
    "INTERVAL": duck.INTERVAL,
    "JSON": types.JSON,
    "SMALLINT": types.SMALLINT,
    "TIME": types.TIME,
    "TIME WITH TIME ZONE": types.VARCHAR,  # travels as text
    "TIMESTAMP": types.TIMESTAMP,
    "TIMESTAMP_MS": types.TIMESTAMP,
    "TIMESTAMP_NS": duck.TIMESTAMP_NS,
    "TIMESTAMP_S": types.TIMESTAMP,
    "TINYINT": duck.TINYINT,
    "UBIGINT": duck.UBIGINT,
    "UHUGEINT": duck.UHUGEINT,
    "UINTEGER": duck.UINTEGER,
    "USMALLINT": duck.USMALLINT,
    "UTINYINT": duck.UTINYINT,
    "UUID": duck.UUID,
    "VARCHAR": types.VARCHAR,
}
_TIMESTAMPTZ = frozenset({"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"})
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_LIST = re.compile(r"(.*)\[\d*\]", re.DOTALL)
_NAMED = re.compile(r'(?:"((?:[^"]|"")*)"|(\S+)) (.*)', re.DOTALL)


def read_type(text: str) -> Any:
    """Return the SQLAlchemy type of DuckDB's spelling, NullType for one that is not known."""
    text = text.strip()
    if text in _PLAIN:
        return _PLAIN[text]()
    if text in _TIMESTAMPTZ:
        return types.TIMESTAMP(timezone=True)
    if found := _DECIMAL.fullmatch(text):
        return types.DECIMAL(int(found.group(1)), int(found.group(2)))
    if found := _LIST.fullmatch(text):
        return _list_of(read_type(found.group(1)))
    if text.startswith("STRUCT(") and text.endswith(")"):
        return _struct(text[len("STRUCT(") : -1])
    if text.startswith("MAP(") and text.endswith(")"):
        key, value = _parts(text[len("MAP(") : -1])
        return duck.MAP(read_type(key), read_type(value))
    if text.startswith("ENUM("):
        return types.VARCHAR()
    return types.NullType()


def _list_of(item: Any) -> Any:
    # SQLAlchemy counts dimensions; it takes no ARRAY of ARRAY.
    if isinstance(item, types.ARRAY):
        return types.ARRAY(item.item_type, dimensions=(item.dimensions or 1) + 1)
    return types.ARRAY(item, dimensions=1)


def _struct(text: str) -> Any:
    fields = {}
    for part in _parts(text):
        found = _NAMED.fullmatch(part)
        if found is None:
            return types.NullType()
        quoted, plain, kind = found.groups()
        fields[plain if quoted is None else quoted.replace('""', '"')] = read_type(kind)
    return duck.STRUCT(fields)


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses and no quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for place, sign in enumerate(text):
        if sign == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]
