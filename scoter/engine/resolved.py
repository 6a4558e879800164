"""A statement whose names are facts: its tables at their snapshots, its models at their versions.

This module must not know how they are found.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from sqlglot import exp

from scoter.catalog.model_records import ModelVersion
from scoter.catalog.names import TableName
from scoter.engine.changes import COLUMNS as CHANGE_COLUMNS
from scoter.engine.changes import Change
from scoter.engine.plan import Pins
from scoter.engine.types import duckdb_type
from scoter.engine.views import View
from scoter.engine.virtual import VirtualTable

SOURCE = "scoter_source"
MODEL = "scoter_model"


@dataclass(frozen=True)
class Source:
    """One table of a statement: an Iceberg table at a snapshot, or a table that Scoter makes itself.

    The name has the catalog's spelling, not the statement's. Of ``changes`` the rows that these snapshots added.
    ``hidden`` are columns beside its own that the statement names.
    """

    name: TableName
    metadata_location: str | None
    metadata: TableMetadata | None
    snapshot_id: int | None
    travelled: bool
    schema: Schema | None
    virtual: VirtualTable | None = None
    changes: tuple[Change, ...] | None = None
    hidden: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Column names and DuckDB type texts, in order."""
        if self.virtual is not None:
            return self.virtual.columns
        assert self.schema is not None  # noqa: S101  # one of the two is always there
        stored = tuple((f.name, duckdb_type(f.field_type)) for f in self.schema.fields)
        return stored if self.changes is None else (*stored, *CHANGE_COLUMNS)


@dataclass(frozen=True)
class Resolved:
    """A statement whose tables and models are known; nodes carry an index into ``sources`` or ``models``.

    ``definition`` is the query of CREATE VIEW with names in full. A ``personal`` statement may depend on
    who asks by a view that it reads.
    """

    tree: exp.Expr
    sources: tuple[Source, ...]
    models: tuple[ModelVersion, ...]
    pins: Pins
    written: tuple[str, ...] = ()
    target: TableName | None = None
    target_location: str | None = None
    asked: tuple[TableName, ...] = ()
    relative: bool = False
    views: tuple[View, ...] = ()
    definition: exp.Expr | None = None
    personal: bool = False

    def source(self, table: exp.Expr) -> Source | None:
        """Return what a table node stands for; None for a CTE or a table function."""
        index = table.meta.get(SOURCE)
        return None if index is None else self.sources[index]

    def model(self, call: exp.Expr) -> ModelVersion:
        """Return the model version that a call uses."""
        found: ModelVersion = self.models[call.meta[MODEL]]
        return found
