"""Runs MERGE, UPDATE and DELETE: finds out once what becomes of which row, then writes the files anew that hold such rows.

This module must not know the SQL of users or how a plan is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import duckdb
from pyiceberg.table import Table

from scoter.engine.execute import Running
from scoter.engine.merged_rows import FACTS, GIVING
from scoter.engine.merging import PLACE
from scoter.engine.parts import Parts
from scoter.engine.plan import Target
from scoter.engine.types import quote
from scoter.engine.writing.append import Written, append, check_writable
from scoter.engine.writing.overwriting import Overwritten, refuse_changed
from scoter.errors import CardinalityViolation, InternalError

_CHANGES = "scoter_changes"


@dataclass(frozen=True)
class _Changes:
    """What a MERGE's query has found: how many rows change, which files hold some of them, whether one changes twice."""

    rows: int
    locations: frozenset[str]
    twice: bool


def change(
    running: Running, sql: str, target: Target, table: Table, parts: Parts, properties: Mapping[str, str]
) -> Written:
    """Run the query of a MERGE and commit what it says; ``table`` is the target as it is now.

    The rows are found once and kept in a temporary table until the end, so that what is volatile in the query has one
    value, and models run once. Raises WriteConflict where the table is not as it was planned, CardinalityViolation
    where several rows of the source would change one of it, and what `append` raises.
    """
    if target.metadata_location is None:
        raise InternalError("a MERGE has no table")
    pinned = parts.lake.metadata(target.metadata_location)
    refuse_changed(table.metadata, pinned)
    check_writable(table.metadata)
    changes = _find(running, sql)
    if not changes.rows:
        return Written(0, None, 0, 0)
    kept = None
    if changes.locations:
        scan = parts.scans.build(
            pinned,
            pinned.current_snapshot_id,
            name=str(target.name),
            # Its rows become rows of new files, whose columns are those of today.
            schema=pinned.schema(),
            hidden=PLACE,
            only=changes.locations,
            check=running.check,
        )
        if changes.twice:
            # Not before the scan: it refuses a table that has a file twice, whose rows are then found twice.
            raise CardinalityViolation(
                "more than one row of the source would change the same row of the table",
                hint="let the source have one row for each, as with QUALIFY row_number() OVER (PARTITION BY key) = 1",
            )
        open_with = partial(parts.lake.io, pinned)
        running.read_also(parts.scans.tables(scan.removed, open_with, running.check), scan.objects)
        kept = scan.sql
    written = append(
        running.connection,
        _rows_to_write(
            [field.name for field in pinned.schema().fields],
            kept,
            [number for number, action in enumerate(target.actions) if action in GIVING],
        ),
        table,
        properties=properties,
        overwrite=Overwritten(pinned, changes.locations),
        before_commit=running.check,
        staging=running.instance.staging,
    )
    return replace(written, rows=changes.rows)


def _find(running: Running, sql: str) -> _Changes:
    connection = running.connection
    running.drop_at_end(_CHANGES)
    running.check()
    connection.execute(f"CREATE TEMP TABLE {_CHANGES} AS {sql}")
    running.check()
    twice = _rows(
        connection,
        f"SELECT 1 FROM {_CHANGES} WHERE o0 IS NOT NULL GROUP BY o0, o1 HAVING count(*) > 1 LIMIT 1",
    )
    running.check()
    ((rows,),) = _rows(connection, f"SELECT count(*) FROM {_CHANGES}")
    files = _rows(connection, f"SELECT DISTINCT o0 FROM {_CHANGES} WHERE o0 IS NOT NULL")
    return _Changes(int(rows), frozenset(str(location) for (location,) in files), bool(twice))


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> Sequence[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def _rows_to_write(columns: Sequence[str], kept: str | None, written: Sequence[int]) -> str:
    """Return the SQL of the rows of new files: those of ``kept`` that do not change, and the new values.

    ``kept`` are all rows of the files that are written anew with where they stand, None where there are none;
    ``written`` are the numbers of the clauses that give a row.
    """
    values = ", ".join(f"o{FACTS + place}" for place in range(len(columns)))
    numbers = ", ".join(map(str, written)) or "NULL"
    new = f"SELECT {values} FROM {_CHANGES} WHERE o2 IN ({numbers})"
    if kept is None:
        return new
    named = ", ".join(f"kept.{quote(name)}" for name in columns)
    return (
        f"SELECT {named} FROM {kept} AS kept ANTI JOIN (SELECT o0, o1 FROM {_CHANGES} WHERE o0 IS NOT NULL) AS gone"
        f" ON kept._file = gone.o0 AND kept._pos = gone.o1 UNION ALL {new}"
    )
