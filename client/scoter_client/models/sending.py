"""A file as the one parameter of a statement, in pieces where it is larger than a message of any driver.

This module must not know models or SQL.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pyarrow as pa

_PIECE = 8 * 1024 * 1024  # bytes; drivers send messages up to 16 MiB unless they are told more
_WHOLE = b"scoter.sha256"  # tells the server that the rows are pieces of one file


def parameters(data: bytes) -> Any:
    """Return what ``Cursor.execute`` of ADBC's DB-API takes as parameters: a row, or a stream of pieces."""
    if len(data) <= _PIECE:
        return (data,)
    schema = pa.schema([pa.field("0", pa.binary())], {_WHOLE: sha256(data).hexdigest()})
    pieces = (
        pa.RecordBatch.from_arrays([pa.array([data[at : at + _PIECE]], pa.binary())], schema=schema)
        for at in range(0, len(data), _PIECE)
    )
    return pa.RecordBatchReader.from_batches(schema, pieces)
