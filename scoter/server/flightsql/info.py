"""The answer to GetSqlInfo: what the server can do, in the union that drivers decode by position.

This module must not know settings or sessions; what it claims, tests hold against the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa

import scoter

# Children of the union, in the protocol's order. Drivers cast by this index: truth values, bit masks
# and small enumerations stand in exactly the child that the protocol's reference names.
_STRING, _BOOL, _BIGINT, _INT32, _STRINGS, _MAP = range(6)
_CHILDREN: tuple[tuple[str, pa.DataType], ...] = (
    ("string_value", pa.string()),
    ("bool_value", pa.bool_()),
    ("bigint_value", pa.int64()),
    ("int32_bitmask", pa.int32()),
    ("string_list", pa.list_(pa.string())),
    ("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32()))),
)


def _words(text: str) -> list[str]:
    return text.split()


_KEYWORDS = _words("""ANTI ASOF ATTACH DESCRIBE DETACH EXCLUDE GLOB ILIKE LAMBDA MACRO MODEL PIVOT PIVOT_LONGER
PIVOT_WIDER POSITIONAL PREDICT PREDICT_PROBA PRAGMA QUALIFY REPLACE SAMPLE SEMI SHOW STRUCT SUMMARIZE
TRY_CAST UNPIVOT USE VERSION""")
_NUMERIC = _words("""ABS ACOS ASIN ATAN ATAN2 CBRT CEIL COS COT DEGREES EXP FLOOR LN LOG LOG10 LOG2 MOD PI POW
RADIANS ROUND SIGN SIN SQRT TAN TRUNC""")
_TEXT = _words("""ASCII CHR CONCAT CONCAT_WS CONTAINS ENDS_WITH LEFT LENGTH LOWER LPAD LTRIM MD5 POSITION
REGEXP_EXTRACT REGEXP_MATCHES REGEXP_REPLACE REPEAT REPLACE REVERSE RIGHT RPAD RTRIM SPLIT_PART
STARTS_WITH STRPOS SUBSTRING TRIM UPPER""")
_DATES = _words("""AGE CURRENT_DATE CURRENT_TIMESTAMP DATE_ADD DATE_DIFF DATE_PART DATE_TRUNC DAY DAYNAME EPOCH
EXTRACT HOUR LAST_DAY MAKE_DATE MAKE_TIMESTAMP MINUTE MONTH MONTHNAME NOW QUARTER SECOND STRFTIME
STRPTIME TO_TIMESTAMP WEEK YEAR""")

# SqlSupportsConvert: every atomic type converts to text and back, numbers among themselves.
_NUMBERS = [0, 2, 5, 6, 7, 12, 13, 14, 17]
_TIMES = [4, 15, 16]
_TEXTS = [3, 11, 19]
_CONVERT = [(n, sorted(_NUMBERS + _TEXTS)) for n in _NUMBERS]
_CONVERT += [(n, sorted(_TIMES + _TEXTS)) for n in _TIMES]
_CONVERT += [(n, sorted(_NUMBERS + _TIMES + _TEXTS)) for n in _TEXTS]

_NAME_LENGTH = 128

_VALUES: dict[int, tuple[int, Any]] = {
    0: (_STRING, "Scoter"),
    1: (_STRING, scoter.__version__),
    2: (_STRING, pa.__version__),
    3: (_BOOL, False),  # read only
    4: (_BOOL, True),  # SQL
    5: (_BOOL, False),  # Substrait
    6: (_STRING, ""),  # least Substrait version
    7: (_STRING, ""),  # newest Substrait version
    8: (_INT32, 0),  # no BeginTransaction: 1 or 2 would make DB-API leave autocommit
    9: (_BOOL, True),  # CancelQuery
    10: (_BOOL, True),  # bulk ingestion
    11: (_BOOL, False),  # ingestion in transactions
    100: (_INT32, 0),  # milliseconds that a prepared statement's handle lasts: a setting
    101: (_INT32, 0),  # the same of transactions, which are not offered
    500: (_BOOL, False),  # CREATE CATALOG
    501: (_BOOL, True),  # CREATE SCHEMA
    502: (_BOOL, True),  # CREATE TABLE
    503: (_INT32, 1),  # names compare without case
    504: (_STRING, '"'),
    505: (_INT32, 1),  # quoted ones too
    506: (_BOOL, True),  # all tables are selectable
    507: (_INT32, 3),  # NULLs sort last
    508: (_STRINGS, _KEYWORDS),
    509: (_STRINGS, _NUMERIC),
    510: (_STRINGS, _TEXT),
    511: (_STRINGS, ["COALESCE", "IFNULL", "NULLIF"]),
    512: (_STRINGS, _DATES),
    513: (_STRING, "\\"),
    514: (_STRING, "$"),
    515: (_BOOL, True),  # column aliases
    516: (_BOOL, True),  # NULL || text is NULL
    517: (_MAP, _CONVERT),
    518: (_BOOL, True),  # table aliases
    519: (_BOOL, False),  # … need not differ from table names
    520: (_BOOL, True),  # expressions in ORDER BY
    521: (_BOOL, True),  # ORDER BY what is not selected
    522: (_INT32, 0b11),  # GROUP BY
    523: (_BOOL, True),  # LIKE … ESCAPE
    524: (_BOOL, True),  # NOT NULL columns
    525: (_INT32, 0b111),  # ODBC grammar
    526: (_INT32, 0b001),  # SQL-92 entry level
    527: (_BOOL, False),  # integrity enhancement
    528: (_INT32, 0b110),  # limited and full outer joins
    529: (_STRING, "schema"),
    530: (_STRING, "procedure"),
    531: (_STRING, "catalog"),
    532: (_BOOL, True),  # the catalog stands first
    533: (_INT32, 0),
    534: (_INT32, 0),
    535: (_INT32, 0),  # positioned UPDATE, DELETE
    536: (_BOOL, False),  # SELECT … FOR UPDATE
    537: (_BOOL, False),  # stored procedures
    538: (_INT32, 0b1111),  # subqueries
    539: (_BOOL, True),  # correlated ones
    540: (_INT32, 0b11),  # UNION, UNION ALL
    541: (_BIGINT, 0),
    542: (_BIGINT, 0),
    543: (_BIGINT, 0),
    544: (_BIGINT, 0),
    545: (_BIGINT, 0),
    546: (_BIGINT, 0),
    547: (_BIGINT, 0),
    548: (_BIGINT, 0),
    549: (_BIGINT, 0),
    550: (_BIGINT, 0),
    551: (_BIGINT, 0),
    552: (_BIGINT, _NAME_LENGTH),
    553: (_BIGINT, 0),
    554: (_BIGINT, _NAME_LENGTH),
    555: (_BIGINT, 0),
    556: (_BOOL, False),
    557: (_BIGINT, 0),  # bytes of a statement: a setting
    558: (_BIGINT, 0),
    559: (_BIGINT, _NAME_LENGTH),
    560: (_BIGINT, 0),
    561: (_BIGINT, 0),
    562: (_BIGINT, 0),  # default isolation: none, without transactions
    563: (_BOOL, False),  # transactions
    564: (_INT32, 0),
    565: (_BOOL, False),
    566: (_BOOL, False),
    567: (_INT32, 0b11),  # forward-only results
    568: (_INT32, 0b10),  # … that are read only
    569: (_INT32, 0b10),
    570: (_INT32, 0),
    571: (_INT32, 0),
    572: (_BOOL, True),  # batches of bound rows
    573: (_BOOL, False),  # savepoints
    574: (_BOOL, False),  # named parameters of callable statements
    575: (_BOOL, False),
    576: (_BOOL, False),
}


@dataclass(frozen=True)
class Limits:
    """Those of the server's limits that the protocol has a code for: milliseconds and bytes."""

    handle_milliseconds: int = 0
    statement_bytes: int = 0


def table(wanted: Sequence[int] = (), limits: Limits | None = None) -> pa.Table:
    """Return ``(info_name, value)`` for the wanted codes, for all without; unknown codes are left out."""
    codes = sorted(set(wanted or _VALUES) & _VALUES.keys())
    known = limits or Limits()
    own = {100: known.handle_milliseconds, 557: known.statement_bytes}
    return pa.table(list(_columns(codes, own)), schema=schema())


@cache
def schema() -> pa.Schema:
    """Return the answer's schema."""
    names, values = _columns([0], {})
    return pa.schema(
        [
            pa.field("info_name", names.type, nullable=False),
            pa.field("value", values.type, nullable=False),
        ]
    )


def _columns(codes: list[int], own: Mapping[int, int]) -> tuple[pa.Array, pa.Array]:
    rows: list[list[Any]] = [[] for _ in _CHILDREN]
    kinds, offsets = [], []
    for code in codes:
        kind, value = _VALUES[code]
        kinds.append(kind)
        offsets.append(len(rows[kind]))
        rows[kind].append(own.get(code, value))
    children = [pa.array(values, kind) for values, (_, kind) in zip(rows, _CHILDREN, strict=True)]
    union = pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()), pa.array(offsets, pa.int32()), children, [name for name, _ in _CHILDREN]
    )
    return pa.array(codes, pa.uint32()), union
