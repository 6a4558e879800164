"""What tests prove of Iceberg's features by format version, and the rows of docs/iceberg.md that are made of it.

A test says with `@reads` which feature it proves in which versions; the tables of other engines say it by the
tags of their cases. This module must not know how anything is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from documents import ROOT
from foreign_cases import Case

DOCUMENT = ROOT / "docs" / "iceberg.md"
VERSIONS = (1, 2, 3)
READ = "read"
TAGS = {
    "case": "column names in capitals",
    "column-defaults": "defaults of added columns",
    "dangling-deletes": "position deletes of files that are gone",
    "empty-table": "tables without rows",
    "equality-deletes": "equality deletes",
    "external-data-paths": "data files outside of the table's directory",
    "identity-partition-not-in-file": "partition columns that are not in the files",
    "key-metadata": "files with key metadata",
    "malformed": "position deletes without a path or position",
    "mixed-format": "data files of several formats",
    "multi-id": "equality deletes of several sets of columns",
    "nested": "structs, lists and maps",
    "no-field-ids": "files without field ids, by name mapping or plain names",
    "partition-transform": "partition transforms",
    "position-deletes": "position deletes",
    "puffin-statistics": "statistics files: numbers of distinct values",
    "row-lineage": "tables with row lineage",
    "schema-evolution": "columns renamed, added, dropped, moved, promoted",
    "time-travel": "time travel",
    "timestamptz": "times with a zone",
    "variant": "columns of type variant",
}
T = TypeVar("T", bound=Callable[..., object])
_proven: dict[tuple[str, int], set[str]] = {}


def reads(feature: str, *versions: int) -> Callable[[T], T]:
    """Say that a test proves that a feature is read in tables of these format versions."""
    for version in versions:
        assert version in VERSIONS
        _proven.setdefault((feature, version), set()).add(READ)
    return lambda test: test


def answered(case: Case, version: int, answer: str) -> None:
    """Note the answer to a case of another engine's table: `read` or the heading of its error."""
    kind = next((kind for kind in ("orc", "avro") if f"_{kind}" in case.table), None)
    if kind is not None:
        # What these tables have beside their format says nothing.
        _proven.setdefault((f"data files of format {kind.upper()}", version), set()).add(answer)
        return
    tags = set(case.tags)
    if len(tags & set(TAGS)) > 1:
        # Snapshots of a table are read for what else they show.
        tags -= {"time-travel"}
    features = {TAGS[tag] for tag in tags if tag in TAGS}
    for feature in features or {"plain tables"}:
        _proven.setdefault((feature, version), set()).add(answer)


def rows() -> Iterable[tuple[str, ...]]:
    """Return a row for each feature with the answers in each version, a dash where nothing is proven."""
    for feature in sorted({feature for feature, _ in _proven}):
        yield (feature, *(_cell(_proven.get((feature, version), set())) for version in VERSIONS))


def _cell(answers: set[str]) -> str:
    errors = ", ".join(
        f"[{answer.split()[1]}](errors.md#{answer.lower().replace(' ', '-')})"
        for answer in sorted(answers - {READ})
    )
    if READ not in answers:
        return errors or "—"
    return f"{READ}; in some cases {errors}" if errors else READ
