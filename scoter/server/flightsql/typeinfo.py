"""The answer to GetXdbcTypeInfo: the SQL types by name, with the codes that ODBC and JDBC use.

This module must not know columns or tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from scoter.server.flightsql.schemas import TYPE_INFO

_DATETIME, _INTERVAL = 9, 10  # generic codes of the verbose SQL type
_DATE, _TIME, _TIMESTAMP = 91, 92, 93
_NULLABLE, _ALL_BUT_LIKE, _ANY_OPERATOR = 1, 2, 3


@dataclass(frozen=True)
class _Type:
    name: str
    code: int
    size: int | None = None
    quote: str | None = None
    parameters: tuple[str, ...] | None = None
    unsigned: bool | None = None
    scale: tuple[int, int] | None = None
    radix: int | None = None
    sql_code: int | None = None
    subcode: int | None = None


def _integer(name: str, code: int, digits: int, *, unsigned: bool = False) -> _Type:
    return _Type(name, code, digits, unsigned=unsigned, scale=(0, 0), radix=10)


_TYPES = (
    _Type("BOOLEAN", -7, 1),
    _integer("TINYINT", -6, 3),
    _integer("SMALLINT", 5, 5),
    _integer("INTEGER", 4, 10),
    _integer("BIGINT", -5, 19),
    _integer("UTINYINT", 5, 3, unsigned=True),
    _integer("USMALLINT", 4, 5, unsigned=True),
    _integer("UINTEGER", -5, 10, unsigned=True),
    _integer("UBIGINT", 2, 20, unsigned=True),
    _integer("HUGEINT", 2, 38),
    _Type("DECIMAL", 3, 38, parameters=("precision", "scale"), unsigned=False, scale=(0, 38), radix=10),
    _Type("FLOAT", 7, 24, unsigned=False, radix=2),
    _Type("DOUBLE", 8, 53, unsigned=False, radix=2),
    _Type("VARCHAR", 12, 2**31 - 1, quote="'"),
    _Type("UUID", 12, 36, quote="'"),
    _Type("JSON", 12, 2**31 - 1, quote="'"),
    _Type("BLOB", -3, 2**31 - 1, quote="'"),
    _Type("DATE", _DATE, 10, quote="'", sql_code=_DATETIME, subcode=1),
    _Type("TIME", _TIME, 15, quote="'", scale=(6, 6), sql_code=_DATETIME, subcode=2),
    _Type("TIMESTAMP", _TIMESTAMP, 26, quote="'", scale=(6, 6), sql_code=_DATETIME, subcode=3),
    _Type("TIMESTAMP_NS", _TIMESTAMP, 29, quote="'", scale=(9, 9), sql_code=_DATETIME, subcode=3),
    _Type("TIMESTAMP WITH TIME ZONE", _TIMESTAMP, 32, quote="'", scale=(6, 6), sql_code=_DATETIME, subcode=5),
    _Type("INTERVAL", _INTERVAL, quote="'", sql_code=_INTERVAL),
)


def table(code: int | None = None) -> pa.Table:
    """Return the types, or those of one XdbcDataType code, ordered by code and then by name."""
    chosen = [kind for kind in _TYPES if code is None or kind.code == code]
    rows = [_row(kind) for kind in sorted(chosen, key=lambda kind: (kind.code, kind.name))]
    return pa.Table.from_pylist(rows, schema=TYPE_INFO)


def _row(kind: _Type) -> dict[str, object]:
    low, high = kind.scale or (None, None)
    return {
        "type_name": kind.name,
        "data_type": kind.code,
        "column_size": kind.size,
        "literal_prefix": kind.quote,
        "literal_suffix": kind.quote,
        "create_params": None if kind.parameters is None else list(kind.parameters),
        "nullable": _NULLABLE,
        "case_sensitive": kind.code == 12,
        "searchable": _ANY_OPERATOR if kind.code == 12 else _ALL_BUT_LIKE,
        "unsigned_attribute": kind.unsigned,
        "fixed_prec_scale": False,
        "auto_increment": None if kind.unsigned is None else False,
        "local_type_name": kind.name,
        "minimum_scale": low,
        "maximum_scale": high,
        "sql_data_type": kind.sql_code or kind.code,
        "datetime_subcode": kind.subcode,
        "num_prec_radix": kind.radix,
        "interval_precision": None,
    }
