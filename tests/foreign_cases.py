"""The tables that other engines wrote, the cases with their expected rows, and how both are compared.

This module must not know which cases pass.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "impala-iceberg"


@dataclass(frozen=True)
class Case:
    """One query over one table, at one snapshot, and the rows that are right."""

    id: str
    table: str
    metadata: str
    prefixes: tuple[str, ...]
    folder: str
    snapshot_id: int | None
    tags: tuple[str, ...]
    query: str
    ordered: bool
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def sql(self) -> str:
        """The query over the snapshot."""
        if self.snapshot_id is None:
            return self.query
        before, name, behind = self.query.rpartition(f"FROM {self.table}")
        assert name, self.query
        return f"{before}{name} FOR VERSION AS OF {self.snapshot_id}{behind}"


def cases() -> list[Case]:
    """Return every case; none where the tables are not there."""
    file = FOLDER / "expected.json"
    return [_case(found) for found in json.loads(file.read_text("utf-8"))] if file.is_file() else []


def _case(found: dict[str, Any]) -> Case:
    prefixes = tuple(p for p in (found["path_prefix"], found["delete_path_prefix"]) if p)
    return Case(
        found["id"],
        found["table"],
        found["metadata"],
        prefixes,
        "/".join(found["metadata"].split("/")[:2]),
        found["snapshot_id"],
        tuple(found["tags"]),
        found["query"],
        found["ordered"],
        tuple(found["columns"]),
        tuple(found["types"]),
        tuple(tuple(row) for row in found["rows"]),
    )


def path_map(every: list[Case]) -> dict[str, str]:
    """Return the prefixes of all tables and the folders that they stand for."""
    return {prefix: str(FOLDER / case.folder) for case in every for prefix in case.prefixes}


def difference(case: Case, columns: list[str], rows: list[tuple[Any, ...]]) -> str | None:
    """Return in words how rows differ from the expected ones, None where they do not."""
    if [name.casefold() for name in columns] != [name.casefold() for name in case.columns]:
        return f"columns {columns} instead of {case.columns}"
    kinds = case.types
    found = [tuple(_plain(v, kind) for v, kind in zip(row, kinds, strict=True)) for row in rows]
    wanted = [tuple(_wanted(v, kind) for v, kind in zip(row, kinds, strict=True)) for row in case.rows]
    same = found == wanted if case.ordered else Counter(map(repr, found)) == Counter(map(repr, wanted))
    return None if same else f"{found[:5]} ({len(found)}) instead of {wanted[:5]} ({len(wanted)})"


def _wanted(value: Any, kind: str) -> Any:
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    if isinstance(value, str) and kind.startswith("TIMESTAMP"):
        return value.removesuffix("+00:00").removesuffix("Z").replace("T", " ")
    return _plain(value, kind)


def _plain(value: Any, kind: str) -> Any:
    if isinstance(value, float) and kind == "FLOAT":
        return "NaN" if math.isnan(value) else struct.unpack("f", struct.pack("f", value))[0]
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else float(f"{value:.14g}")
    if isinstance(value, dict):
        return {key: _plain(part, "") for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part, "") for part in value]
    if kind.startswith("DECIMAL") or kind == "HUGEINT":
        return None if value is None else str(value)
    if value is None or isinstance(value, bool | int | str | bytes):
        return value
    text = value.isoformat(" ") if kind.startswith("TIMESTAMP") else str(value)
    return text.removesuffix("+00:00")
