"""What drivers read of a column beside its Arrow type: Flight SQL's metadata of fields.

This module must not know statements, nor how a schema is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
from sqlglot import exp
from sqlglot.errors import SqlglotError

from scoter.catalog.names import TableName
from scoter.engine.binding import data_type

_KEY = "ARROW:FLIGHT:SQL:"
_T = exp.DType
_INTEGERS = {
    3: (_T.TINYINT, _T.UTINYINT),
    5: (_T.SMALLINT, _T.USMALLINT),
    10: (_T.INT, _T.UINT),
    19: (_T.BIGINT,),
    20: (_T.UBIGINT,),
    38: (_T.INT128, _T.UINT128),
}
# Digits or characters that a value has at most, and digits behind the point; as GetXdbcTypeInfo says.
_SIZES: dict[exp.DType, tuple[int, int | None]] = {
    **{kind: (digits, 0) for digits, kinds in _INTEGERS.items() for kind in kinds},
    _T.BOOLEAN: (1, None),
    _T.FLOAT: (7, None),
    _T.DOUBLE: (15, None),
    _T.DATE: (10, None),
    _T.TIME: (15, 6),
    _T.TIMETZ: (21, 6),
    _T.TIMESTAMP: (26, 6),
    _T.TIMESTAMPNTZ: (26, 6),
    _T.TIMESTAMP_S: (19, 0),
    _T.TIMESTAMP_MS: (23, 3),
    _T.TIMESTAMP_NS: (29, 9),
    _T.TIMESTAMPTZ: (32, 6),
    _T.UUID: (36, None),
}
_TEXTS = frozenset({_T.VARCHAR, _T.TEXT, _T.JSON, _T.ENUM, _T.UUID})


@dataclass(frozen=True)
class Origin:
    """The table that a column is of, and what is said about the column there."""

    table: TableName
    remarks: str | None = None


def field(
    name: str,
    arrow: pa.DataType,
    text: str,
    origin: Origin | None = None,
    *,
    nullable: bool = True,
    read_only: bool = True,
) -> pa.Field:
    """Return an Arrow field with its metadata; ``text`` is DuckDB's name of the column's own type."""
    about = dict(_facts(text))
    about["IS_READ_ONLY"] = "1" if read_only else "0"
    if origin is not None:
        about |= {
            "CATALOG_NAME": origin.table.catalog,
            "SCHEMA_NAME": origin.table.schema,
            "TABLE_NAME": origin.table.name,
        }
        if origin.remarks:
            about["REMARKS"] = origin.remarks
    metadata = {_KEY + key: value for key, value in about.items()}
    return pa.field(name, arrow, nullable=nullable, metadata=metadata)


@lru_cache(maxsize=4096)
def _facts(text: str) -> tuple[tuple[str, str], ...]:
    if text.strip('"') == "NULL":
        text = "INTEGER"  # as which an untyped NULL travels
    try:
        kind = data_type(text)
    except SqlglotError:
        # Iceberg's name of a type that can not be read.
        kind = exp.DataType(this=exp.DType.UNKNOWN)
    # The values of an ENUM are no part of its name.
    shown = "ENUM" if kind.this == _T.ENUM else text
    facts = {
        "TYPE_NAME": shown,
        "IS_AUTO_INCREMENT": "0",
        "IS_CASE_SENSITIVE": "1" if kind.this in _TEXTS else "0",
        "IS_SEARCHABLE": "1",
    }
    size, scale = _SIZES.get(kind.this, (None, None))
    if kind.this == _T.DECIMAL:
        size, scale = [int(str(part.this)) for part in kind.expressions] or [18, 3]
    if size is not None:
        facts["PRECISION"] = str(size)
    if scale is not None:
        facts["SCALE"] = str(scale)
    return tuple(facts.items())
