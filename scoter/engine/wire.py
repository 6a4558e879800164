"""From a query's own types to those that clients get, in SQL and in Arrow.

This module must not know sockets or protocols; docs/sql.md, "Types", is its table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from scoter.engine.binding import Binding, data_type
from scoter.engine.columns import Origin, field
from scoter.engine.epoch import DAY
from scoter.engine.types import literal, quote, wire_type
from scoter.errors import InternalError, InvalidValue

_T = exp.DType
_SIMPLE: dict[exp.DType, str] = {
    _T.NULL: "INTEGER",
    # Arrow's JDBC driver reads unsigned integers as signed ones: 255 as -1.
    _T.UTINYINT: "SMALLINT",
    _T.USMALLINT: "INTEGER",
    _T.UINT: "BIGINT",
    _T.UBIGINT: "DECIMAL(20, 0)",
    _T.INT128: "DECIMAL(38, 0)",
    _T.UINT128: "DECIMAL(38, 0)",
    _T.TIMESTAMP_S: "TIMESTAMP",
    _T.TIMESTAMP_MS: "TIMESTAMP",
    _T.UUID: "VARCHAR",
    _T.JSON: "VARCHAR",
    _T.BIT: "VARCHAR",
    _T.TIMETZ: "VARCHAR",
    _T.ENUM: "VARCHAR",
}
_PLAIN = frozenset(
    {
        _T.BOOLEAN, _T.TINYINT, _T.SMALLINT, _T.INT, _T.BIGINT,
        _T.FLOAT, _T.DOUBLE, _T.DECIMAL, _T.VARCHAR, _T.TEXT, _T.DATE, _T.TIME, _T.TIMESTAMP,
        _T.TIMESTAMPNTZ, _T.TIMESTAMP_NS, _T.TIMESTAMPTZ, _T.INTERVAL, _T.VARBINARY, _T.BLOB,
    }
)  # fmt: skip


def wire_text(kind: exp.DataType) -> str:
    """Return the DuckDB type to which a value of type ``kind`` is cast before it leaves."""
    tag = kind.this
    if tag in _SIMPLE:
        return _SIMPLE[tag]
    if tag in (_T.LIST, _T.ARRAY):
        return f"{wire_text(kind.expressions[0])}[]"
    if tag == _T.MAP:
        key, value = kind.expressions
        return f"MAP({wire_text(key)}, {wire_text(value)})"
    if tag == _T.STRUCT:
        parts = (f"{quote(p.name)} {wire_text(p.args['kind'])}" for p in kind.expressions)
        return f"STRUCT({', '.join(parts)})"
    if tag in _PLAIN:
        return kind.sql(dialect="duckdb")
    return "VARCHAR"


@dataclass(frozen=True)
class _Travel:
    """How a type leaves: DuckDB's text of it, that of the type to which it is cast, and the Arrow type."""

    own: str
    target: str
    arrow: pa.DataType


@lru_cache(maxsize=4096)
def _travel(text: str) -> _Travel:
    kind = data_type(text)
    target = wire_text(kind)
    return _Travel(kind.sql(dialect="duckdb"), target, wire_type(data_type(target)))


def wire_schema(binding: Binding, origins: Sequence[Origin | None] | None = None) -> pa.Schema:
    """Return the Arrow schema that clients see: every column nullable, names as in the query.

    ``origins`` are the tables of the columns, in order.
    """
    columns = zip(binding.names, binding.texts, origins or [None] * len(binding.names), strict=True)
    return pa.schema([field(name, _travel(text).arrow, text, origin) for name, text, origin in columns])


def listed_schema(columns: Sequence[tuple[str, str]]) -> pa.Schema:
    """Return the Arrow schema of (name, DuckDB type) columns that travel as they are."""
    return pa.schema([field(name, wire_type(data_type(kind)), kind) for name, kind in columns])


def wire_query(sql: str, binding: Binding) -> str:
    """Return ``sql`` with those columns cast whose type does not travel as it is; names are kept."""
    types = binding.types
    targets = [_travel(text).target for text in binding.texts]
    own = [_travel(text).own for text in binding.texts]
    if targets == own:
        return sql
    names = [f"c{i}" for i in range(len(types))]
    parts = []
    for name, kind, target, mine, shown in zip(names, types, targets, own, binding.names, strict=True):
        part = name if target == mine else _sent(name, kind)
        parts.append(f"{part} AS {quote(shown)}")
    # A list of aliases hides surplus columns; the star shows them to whoever counts.
    parts.append(f"q.* EXCLUDE ({', '.join(names)})")
    return f"SELECT {', '.join(parts)} FROM ({sql}) AS q({', '.join(names)})"


def _sent(value: str, kind: exp.DataType, depth: int = 0) -> str:
    """Return SQL for ``value`` as it leaves; a cast would lose which member of a UNION it is."""
    if kind.this == _T.UNION:
        return f"CAST(to_json({value}) AS VARCHAR)"
    if not any(part.this == _T.UNION for part in kind.find_all(exp.DataType)):
        return f"CAST({value} AS {wire_text(kind)})"
    item = f"x{depth}"
    if kind.this == _T.STRUCT:
        parts = (
            f"{quote(p.name)} := {_sent(f'struct_extract({value}, {literal(p.name)})', p.args['kind'], depth)}"
            for p in kind.expressions
        )
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"
    if kind.this == _T.MAP:
        key, held = (
            _sent(f"{item}.{name}", part, depth + 1)
            for name, part in zip(("key", "value"), kind.expressions, strict=True)
        )
        entries = f"list_transform(map_entries({value}), lambda {item}: struct_pack(k := {key}, v := {held}))"
        return f"map_from_entries({entries})"
    return f"list_transform({value}, lambda {item}: {_sent(item, kind.expressions[0], depth + 1)})"


def batches(reader: pa.RecordBatchReader, schema: pa.Schema, most_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yield the reader's batches under ``schema``, each of at most about ``most_bytes`` bytes.

    Slices share memory with the reader's batches. Raises InternalError when a rewritten query gives
    another number of columns than was bound.
    """
    if len(reader.schema) != len(schema):
        raise InternalError(f"{len(schema)} columns were bound, {len(reader.schema)} come")
    same = reader.schema.types == schema.types
    times = [i for i, kind in enumerate(schema.types) if pa.types.is_time(kind)]
    for batch in reader:
        for i in times:
            _refuse_midnight(batch.column(i), schema.names[i])
        columns = (
            batch.columns if same else [_fit(c, f.type) for c, f in zip(batch.columns, schema, strict=True)]
        )
        ready = pa.RecordBatch.from_arrays(columns, schema=schema)
        pieces = -(-ready.nbytes // most_bytes)
        if pieces <= 1:
            if ready.num_rows:
                yield ready
            continue
        yield from _sliced(ready, most_bytes, pieces)


def _sliced(batch: pa.RecordBatch, most_bytes: int, pieces: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch into equal numbers of rows, and again where rows differ much in size."""
    rows = max(1, batch.num_rows // pieces)
    for start in range(0, batch.num_rows, rows):
        piece = batch.slice(start, rows)
        parts = -(-piece.nbytes // most_bytes)
        if parts > 2 and piece.num_rows > 1:
            yield from _sliced(piece, most_bytes, parts)
        else:
            yield piece


def _refuse_midnight(column: pa.Array, name: str) -> None:
    # Arrow's times end before 24:00:00; a client would show 00:00:00 or fail.
    latest = pc.max(column.cast(pa.time64("us")).cast(pa.int64())).as_py()
    if latest is not None and latest >= DAY:
        raise InvalidValue(
            f'column "{name}" has the TIME 24:00:00, which Arrow does not have',
            hint="write CAST(… AS VARCHAR)",
        )


def _fit(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type == kind else column.cast(kind)
