"""The formats that results can be written in.

This module must not know how they are written.
"""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
