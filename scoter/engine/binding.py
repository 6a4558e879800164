"""Bind a statement to types without reading a file or opening a model.

Tables are replaced by typed empty relations and model calls by typed NULLs, and DuckDB's own binder
answers: result columns, parameter types, and the types of every model call's arguments.
This module must not know where tables live or how models run.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
from sqlglot import exp

from scoter.engine.dialect import to_duckdb
from scoter.engine.functions import SESSION_WORDS
from scoter.engine.replacing import put
from scoter.engine.translate import translate
from scoter.engine.types import literal, quote
from scoter.errors import NotSupported, TypeMismatch

_MARK = "scoter_mark_"
UNTYPED = '"NULL"'
_NOT_JSON = re.compile(r"(?<=[:\[,])\s*-?(?:nan|inf)(?:inity)?(?=\s*[,}\]])", re.IGNORECASE)
# Each type of one value reads one of them.
_SAMPLES = ("1", "2000-01-01")
Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Binding:
    """What DuckDB's binder says of a query: column names, types, and types as DuckDB writes them."""

    names: tuple[str, ...]
    types: tuple[exp.DataType, ...]
    texts: tuple[str, ...]


class Binder:
    """A locked DuckDB without files, functions or tables of ours, shared by all threads."""

    def __init__(self) -> None:
        self._instance = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "512MB"})
        for setting in (
            "SET TimeZone='UTC'",
            "SET temp_directory=''",
            "SET enable_external_access=false",
            "SET autoinstall_known_extensions=false",
            "SET autoload_known_extensions=false",
            "SET python_enable_replacements=false",
            "SET allowed_configs=['TimeZone']",
            "SET lock_configuration=true",
        ):
            self._instance.execute(setting)
        # A word such as user that is no column would be DuckDB's own answer: these let it fail instead.
        for word in sorted(SESSION_WORDS):
            self._instance.execute(f"CREATE MACRO {quote(word)}(x) AS x")
        self.engine = f"DuckDB {duckdb.__version__}"
        self._local = threading.local()
        self._lock = threading.Lock()
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._clock: duckdb.DuckDBPyConnection | None = None
        self._overloads: dict[str, list[tuple[list[str], str | None]]] = {}

    def close(self) -> None:
        """Close the instance."""
        with self._lock:
            cursors, self._cursors = self._cursors, []
        for cursor in cursors:
            cursor.close()
        self._instance.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            with self._lock:
                cursor = self._instance.cursor()
                self._cursors.append(cursor)
            self._local.cursor = cursor
        return cursor

    def columns(self, query: exp.Expr, origin: exp.Expr) -> Binding:
        """Return the result columns of ``query``, which has no tables, calls or parameters of ours left.

        ``query`` may be changed. Raises the translation of what DuckDB's binder says, with places from
        ``origin``.
        """
        try:
            relation = self._cursor().sql(self.check(to_duckdb(query, copy=False)))
        except duckdb.Error as error:
            raise translate(error, origin) from error
        texts = tuple(str(kind) for kind in relation.types)
        return Binding(tuple(relation.columns), tuple(data_type(text) for text in texts), texts)

    def check(self, sql: str) -> duckdb.Statement:
        """Return ``sql`` as DuckDB reads it; raise NotSupported unless that is exactly one query.

        The wall behind the gate: DuckDB would run all of several statements and show the last.
        """
        try:
            statements = self._cursor().extract_statements(sql)
        except duckdb.Error as error:
            raise translate(error) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise NotSupported(
                "DuckDB does not read the statement as one query",
                hint="PIVOT needs its values: ON column IN (…)",
            )
        return statements[0]

    def instant(self, expression: exp.Expr, timezone: str) -> int | None:
        """Return a constant point in time as microseconds since 1970 in UTC.

        What has no zone of its own is read in ``timezone``. Raises what DuckDB says of the expression.
        """
        sql = f"SELECT epoch_us(CAST({to_duckdb(expression)} AS TIMESTAMPTZ))"
        self.check(sql)
        with self._lock:
            if self._clock is None:
                self._clock = self._instance.cursor()
                self._cursors.append(self._clock)
            try:
                self._clock.execute(f"SET TimeZone={literal(timezone)}")
                row = self._clock.execute(sql).fetchone()
            except duckdb.Error as error:
                raise translate(error, expression) from error
        return row[0] if row else None

    def casts(self, source: str, target: str) -> bool:
        """Say whether DuckDB has a cast between two types, which its binder does not: it tells while a value is cast."""
        for text in _SAMPLES:
            sql = f"SELECT CAST(CAST({literal(text)} AS {source}) AS {target})"
            self.check(sql)
            try:
                self._cursor().execute(sql).fetchall()
            except duckdb.Error as error:
                if isinstance(translate(error), TypeMismatch):
                    return False
        return True

    def name_of(self, expression: exp.Expr) -> str:
        """Return the name that DuckDB gives to an unnamed result column; nothing is bound."""
        text = to_duckdb(exp.Select(expressions=[expression]))
        sql = "SELECT json_deserialize_sql(json_serialize_sql(?::VARCHAR))"
        try:
            row = self._cursor().execute(sql, [text]).fetchone()
        except duckdb.Error:
            return text.removeprefix("SELECT ")
        return str(row[0]).removeprefix("SELECT ") if row else ""

    def serialise(self, query: exp.Expr) -> dict[str, Any]:
        """Return DuckDB's unoptimised logical plan as JSON; ``{"error": true, …}`` where it has none."""
        sql = to_duckdb(query)
        self.check(sql)
        row = self._cursor().execute("SELECT json_serialize_plan(?::VARCHAR)", [sql]).fetchone()
        # DuckDB writes NaN and infinity as bare words, which JSON does not have; no type depends on them.
        text = _NOT_JSON.sub("null", row[0]) if row else '{"error": true}'
        found: dict[str, Any] = json.loads(text)
        return found

    def overloads(self, name: str) -> list[tuple[list[str], str | None]]:
        """Return the argument types of each DuckDB function of that name, and the type of any more arguments."""
        folded = name.casefold()
        if folded not in self._overloads:
            sql = """SELECT DISTINCT parameter_types, varargs FROM duckdb_functions()
                     WHERE function_name = ? AND function_type NOT LIKE '%macro'"""
            found = self._cursor().execute(sql, [folded]).fetchall()
            if not found:
                return []  # so that names that are no functions do not gather
            self._overloads[folded] = found
        return self._overloads[folded]


def empty_relation(columns: Columns) -> exp.Expr:
    """Return a query of no rows with the given (name, DuckDB type) columns."""
    if not columns:
        return exp.Var(this="(SELECT NULL AS none WHERE false)")
    parts = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in columns)
    return exp.Var(this=f"(SELECT {parts} WHERE false)")


def typed_null(kind: str) -> exp.Expr:
    """Return ``CAST(NULL AS kind)``, a bare NULL where the kind is not known."""
    if kind == UNTYPED:
        return exp.Null()
    return exp.Cast(this=exp.Null(), to=data_type(kind).copy())


@lru_cache(maxsize=4096)
def data_type(text: str) -> exp.DataType:
    """Return the AST of a DuckDB type text; share it, do not change it."""
    if text.strip('"').upper() in {"NULL", "SQLNULL"}:
        return exp.DataType(this=exp.DType.NULL)
    text = text.replace('"NULL"', "INTEGER")
    return exp.DataType.build(text, dialect="duckdb", udt=True)


def marked(expression: exp.Expr, key: str) -> exp.Expr:
    """Return ``expression`` wrapped so that its type can be read from the serialised plan under ``key``."""
    name = _MARK + key
    return exp.Anonymous(
        this="struct_extract",
        expressions=[
            exp.Anonymous(
                this="struct_pack",
                expressions=[exp.PropertyEQ(this=exp.to_identifier(name), expression=expression)],
            ),
            exp.Literal.string(name),
        ],
    )


def marker_types(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return the DuckDB type text of everything that ``marked`` wrapped, by key."""
    found: dict[str, str] = {}
    for node in _walk(plan):
        if isinstance(node.get("first"), str) and node["first"].startswith(_MARK):
            found[node["first"].removeprefix(_MARK)] = _type_text(node["second"])
    return found


def parameter_types(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return the DuckDB type text of every parameter that DuckDB could type, by identifier."""
    found: dict[str, str] = {}
    for node in _walk(plan):
        if node.get("type") == "VALUE_PARAMETER" and node.get("return_type"):
            text = _type_text(node["return_type"])
            if text not in {"UNKNOWN", '"NULL"', "INVALID"}:
                found[str(node.get("identifier"))] = text
    return found


def uses_time_zone(plan: Mapping[str, Any]) -> bool:
    """Say whether a point in time with a zone stands in a plan: its parts and texts are those of a session's zone."""
    return any(str(node.get("id")).endswith("WITH TIME ZONE") for node in _walk(plan))


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            yield top
            stack.extend(top.values())
        elif isinstance(top, list):
            stack.extend(top)


def _type_text(kind: Mapping[str, Any]) -> str:
    """Return DuckDB type text for a type in a serialised plan."""
    tag = str(kind["id"])
    info = kind.get("type_info") or {}
    if info.get("alias") == "JSON":
        return "JSON"
    match tag:
        case "DECIMAL":
            return f"DECIMAL({info['width']}, {info['scale']})"
        case "STRUCT":
            parts = (f"{quote(c['first'])} {_type_text(c['second'])}" for c in info["child_types"])
            return f"STRUCT({', '.join(parts)})"
        case "LIST":
            return f"{_type_text(info['child_type'])}[]"
        case "ARRAY":
            return f"{_type_text(info['child_type'])}[{info['size']}]"
        case "MAP":
            pair = info["child_type"]["type_info"]["child_types"]
            return f"MAP({_type_text(pair[0]['second'])}, {_type_text(pair[1]['second'])})"
        case "ENUM":
            return "VARCHAR"
        case "NULL" | "SQLNULL":
            return '"NULL"'
    return tag


def parameters_of(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield every parameter node in the order of the text, which is not that of the tree."""
    yield from sorted(tree.find_all(exp.Placeholder, bfs=False), key=lambda node: node.meta.get("start", 0))


def parameter_name(node: exp.Expr) -> str:
    """Return a parameter's identifier: '1' for the first `?` (numbered beforehand) or `$1`, else its name."""
    return str(node.this)


def number_parameters(tree: exp.Expr) -> tuple[str, ...]:
    """Give every anonymous `?` its number, in place, and return the distinct names in order."""
    names: list[str] = []
    position = 0
    for node in list(parameters_of(tree)):
        if node.this is None:
            position += 1
            node.set("this", str(position))
            names.append(str(position))
        else:
            names.append(parameter_name(node))
    distinct = list(dict.fromkeys(names))
    if all(name.isdigit() for name in distinct):
        distinct.sort(key=int)
    return tuple(distinct)


def substitute(query: exp.Expr, value: Callable[[exp.Expr, str], exp.Expr]) -> exp.Expr:
    """Return a copy of ``query`` with every parameter replaced by ``value(node, name)``."""
    copied = query.copy()
    for node in list(parameters_of(copied)):
        new = value(node, parameter_name(node))
        if new is not node:
            if node is copied:
                return new
            put(node, new)
    return copied
