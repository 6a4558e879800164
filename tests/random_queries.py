"""Random conditions and projections over a schema, as SQL that any reader's rows can be asked with.

This module must not know tables.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from plain_values import is_aware
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, StringType, StructType
from random_tables import VALUES

from scoter.engine.types import duckdb_type, quote

Draw = Callable[[st.SearchStrategy[Any]], Any]
_SIGNS = ("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
_PATTERNS = ("a%", "%a", "_", "%", "", "a_b", "A%", "b" * 19 + "%", "é%", "a\\%")


def terms(schema: Schema) -> list[tuple[str, IcebergType]]:
    """Return the columns with primitive values and the like fields of structs, as SQL over the alias t."""
    found: list[tuple[str, IcebergType]] = []
    for field in schema.fields:
        name = f"t.{quote(field.name)}"
        if isinstance(field.field_type, StructType):
            inner = field.field_type.fields
            found += [(f"{name}.{quote(f.name)}", f.field_type) for f in inner if f.field_type in VALUES]
        elif field.field_type in VALUES:
            found.append((name, field.field_type))
    return found


def constant(value: Any, kind: IcebergType) -> str:
    """Return SQL for a value other than NULL."""
    if isinstance(value, bytes):
        return f"unhex('{value.hex()}')"
    if isinstance(value, bool | int) and not isinstance(value, float):
        return str(value) if value > -(2**63) else f"'{value}'::BIGINT"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return (
            f"{value!r}::{duckdb_type(kind)}" if math.isfinite(value) else f"'{value}'::{duckdb_type(kind)}"
        )
    if isinstance(value, dt.date | dt.time):
        return (
            f"{duckdb_type(kind)} '{value.isoformat()}'"
            if not is_aware(value)
            else f"'{value.isoformat()}'::{duckdb_type(kind)}"
        )
    text = str(value).replace("'", "''")
    return f"'{text}'"


def condition(draw: Draw, schema: Schema, depth: int = 2) -> str:
    """Draw a condition over the alias t."""
    shape = draw(st.integers(0, 5)) if depth else 0
    if shape == 3:
        return f"NOT ({condition(draw, schema, depth - 1)})"
    if shape > 3:
        word = "AND" if shape == 4 else "OR"
        return f"({condition(draw, schema, depth - 1)} {word} {condition(draw, schema, depth - 1)})"
    term, kind = draw(st.sampled_from(terms(schema)))

    def value() -> str:
        return "NULL" if draw(st.integers(0, 15)) == 0 else constant(draw(VALUES[kind]), kind)

    word = "NOT " if draw(st.booleans()) else ""
    match draw(st.integers(0, 7)):
        case 0:
            return f"{term} IS {word}NULL"
        case 1:
            return f"{term} {word}IN ({', '.join(value() for _ in range(draw(st.integers(1, 3))))})"
        case 2:
            return f"{term} {word}BETWEEN {value()} AND {value()}"
        case 3 if isinstance(kind, StringType):
            return f"{term} {word}LIKE '{draw(st.sampled_from(_PATTERNS))}'"
        case 4:
            return f"{value()} {draw(st.sampled_from(_SIGNS[:6]))} {term}"
    return f"{term} {draw(st.sampled_from(_SIGNS))} {value()}"


def projection(draw: Draw, schema: Schema) -> str:
    """Draw what a query gives: all columns, some, fields of structs, or an aggregate."""
    columns = [f"t.{quote(field.name)}" for field in schema.fields] + [term for term, _ in terms(schema)]
    match draw(st.integers(0, 3)):
        case 0:
            return "*"
        case 1:
            return "count(*)"
        case 2:
            return f"count(*), min({columns[0]}), max({draw(st.sampled_from(terms(schema)))[0]})"
    return ", ".join(draw(st.lists(st.sampled_from(columns), min_size=1, max_size=3)))
