"""The plan: frozen, pure data that says what a statement will read, run and return.

This module must not know how plans are made or executed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import pyarrow as pa

from scoter.catalog.model_records import ModelVersion
from scoter.catalog.names import ModelName, TableName
from scoter.engine.scanning.removed import Removed
from scoter.engine.scanning.stored import StoredRows
from scoter.errors import Span
from scoter.udfs.functions import Function


class Kind(StrEnum):
    """What running a plan does."""

    QUERY = "query"
    WRITE = "write"
    COMMAND = "command"


@dataclass(frozen=True)
class TablePin:
    """One table at one moment: its metadata file and the snapshot to read (None: empty)."""

    name: TableName
    metadata_location: str


@dataclass(frozen=True)
class ViewPin:
    """One version of a view with all that it says, so that a statement keeps the text that it was planned with.

    ``location`` tells versions apart. ``columns`` are the names and DuckDB types that it was made with;
    bare names in ``sql`` are found in the schema ``namespace`` of its catalog.
    """

    name: TableName
    location: str
    sql: str
    dialect: str
    namespace: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ModelPin:
    """One model version, as the reference in the statement was read."""

    name: ModelName
    version: int
    sha256: str
    written: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Pins:
    """Everything outside the statement that its result depends on."""

    tables: tuple[TablePin, ...] = ()
    models: tuple[ModelPin, ...] = ()
    instant: datetime | None = None
    views: tuple[ViewPin, ...] = ()

    @cached_property
    def text(self) -> str:
        """Compact JSON text."""
        return json.dumps(
            {
                "v": [
                    [v.name.catalog, v.name.schema, v.name.name, v.location, v.sql, v.dialect, v.namespace]
                    + [part for column in v.columns for part in column]
                    for v in self.views
                ],
                "t": [[t.name.catalog, t.name.schema, t.name.name, t.metadata_location] for t in self.tables],
                "m": [[m.name.schema, m.name.name, m.version, m.sha256, m.written] for m in self.models],
                "i": self.instant.isoformat() if self.instant else None,
            },
            separators=(",", ":"),
        )

    @cached_property
    def logged(self) -> dict[str, object]:
        """The pins for the log, without the paths of the server."""
        return {
            "tables": [
                {"table": str(pin.name), "metadata": pin.metadata_location.rsplit("/", 1)[-1]}
                for pin in self.tables
            ],
            "models": [
                {"model": str(pin.name), "version": pin.version, "sha256": pin.sha256} for pin in self.models
            ],
            "instant": self.instant.isoformat() if self.instant else None,
        }

    @classmethod
    def from_text(cls, text: str) -> Pins:
        """Read a ``text``."""
        data = json.loads(text)
        return cls(
            tuple(TablePin(TableName(*row[:3]), row[3]) for row in data["t"]),
            tuple(ModelPin(ModelName(row[0], row[1]), row[2], row[3], row[4]) for row in data["m"]),
            datetime.fromisoformat(data["i"]).astimezone(UTC) if data["i"] else None,
            tuple(
                ViewPin(
                    TableName(*row[:3]),
                    row[3],
                    row[4],
                    row[5],
                    row[6],
                    tuple(zip(row[7::2], row[8::2], strict=True)),
                )
                for row in data.get("v", ())  # tickets of older servers have none
            ),
        )


@dataclass(frozen=True)
class ScanFacts:
    """What EXPLAIN and the log say of one scan, and what its SQL needs to be there.

    ``removed`` are deleted rows, which it reads under names of their own; ``objects`` are paths and bytes of
    the files that are fetched ahead of it.
    """

    table: str
    snapshot_id: int | None
    files: int
    files_total: int
    rows: int
    bytes: int
    note: str
    removed: tuple[Removed, ...] = ()
    metadata_location: str | None = None
    objects: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class ModelCall:
    """A model function that the plan's SQL calls; ``span`` is the first place in the statement that means it.

    ``proven`` is the version where it has golden rows, by which it is proven before it is served; ``inlined`` says
    that the SQL computes what it can without the model.
    """

    pin: ModelPin
    function: Function
    volatile: bool
    span: Span | None = None
    proven: ModelVersion | None = None
    inlined: bool = False


@dataclass(frozen=True)
class Stage:
    """A query whose rows are scored before another one reads them as the table ``name``.

    ``scores`` are the columns that hold a model's arguments as a STRUCT, and the function that replaces
    each of them by its result. ``is_plain`` says that the query calls no model
    itself, and gives the same rows, in the same order, if it runs again. ``stored`` reads these without SQL.
    """

    name: str
    sql: str
    scores: tuple[tuple[str, Function], ...]
    is_plain: bool
    stored: StoredRows | None = None


@dataclass(frozen=True)
class Staged:
    """Another way to run a plan: its stages, and the SQL that reads from them.

    ``inlined`` are the names of the functions whose calls are computed in the SQL itself, for most rows.
    """

    sql: str
    stages: tuple[Stage, ...]
    inlined: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Target:
    """The table that a write fills: an existing one, or a new one with its definition.

    ``definition`` is (Iceberg schema, partition spec, properties) of a table to create. ``actions`` are what the
    clauses of a MERGE do, by their numbers. ``columns`` is the Iceberg schema of the table that an INSERT was planned
    for.
    """

    name: TableName
    metadata_location: str | None
    definition: Any = None
    if_not_exists: bool = False
    with_data: bool = True
    actions: tuple[str, ...] = ()
    columns: Any = None


@dataclass(frozen=True)
class Plan:
    """One statement, ready to run.

    ``schema`` is what clients see, ``parameters`` what they bind. ``tree`` is the statement as written,
    for the places of errors. ``virtual`` are tables of Scoter's own
    by the name under which the SQL reads them, ``rows`` the bound rows of an INSERT, ``values`` what is bound to
    parameters that the SQL itself has. ``staged`` is the
    faster way to run a plan that scores many rows, where there is one. ``command`` is the
    resolved statement of a command, ``inner`` the plan that EXPLAIN or DESCRIBE is about,
    ``described`` the names and DuckDB types of its columns.
    """

    kind: Kind
    statement: str
    schema: pa.Schema
    parameters: pa.Schema
    pins: Pins
    action: str = ""
    tree: Any = None
    sql: str = ""
    scans: tuple[ScanFacts, ...] = ()
    calls: tuple[ModelCall, ...] = ()
    staged: Staged | None = None
    virtual: tuple[tuple[str, Any], ...] = ()
    rows: pa.Table | None = None
    values: tuple[Any, ...] | None = None
    target: Target | None = None
    command: Any = None
    inner: Plan | None = None
    described: tuple[tuple[str, str], ...] = ()

    @property
    def is_update(self) -> bool:
        """Say whether running the plan gives a count of rows instead of rows."""
        return self.kind is Kind.WRITE or (self.kind is Kind.COMMAND and not self.schema.names)
