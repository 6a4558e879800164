"""The SQL that reads one group of a scan's files, without their deleted rows.

This module must not know predicates, nor how delete files are matched with data files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField

from scoter.catalog.data_files import DataFiles, Ints
from scoter.engine.scanning.deletes import Deleted
from scoter.engine.scanning.equality import RANK, Against, LayoutOf, gone, left, ranked
from scoter.engine.scanning.grouping import Group
from scoter.engine.scanning.layout import Layouts
from scoter.engine.scanning.lineage import hidden_value
from scoter.engine.scanning.paths import readable
from scoter.engine.scanning.projection import Source, field_map
from scoter.engine.scanning.removed import (
    NUMBERED,
    PLACE,
    Held,
    Removed,
    beside,
    left_of,
    removed,
    without,
)
from scoter.engine.scanning.statistics import statistics
from scoter.engine.scanning.stored import StoredFiles, stored_files
from scoter.engine.types import duckdb_type, literal, quote

# Without can_have_nan DuckDB prunes row groups by bounds that leave NaN out, and loses NaN rows.
_OPTIONS = "hive_partitioning = false, can_have_nan = true"


@dataclass(frozen=True, eq=False)
class Reading:
    """What all groups of a scan share: the schema with the fields that deletes compare, the files, the deletes."""

    schema: Schema
    files: DataFiles
    deleted: Deleted
    against: Against
    layouts: Layouts
    layout_of: LayoutOf
    distinct: Mapping[int, int]

    def select(self, group: Group, wanted: frozenset[int], *, counted: bool) -> tuple[str, Removed | None]:
        """Return the SQL of a group's rows with the ``wanted`` fields, and the table of positions that it reads.

        ``counted`` says that nobody looks at values: only how many rows there are matters.
        """
        if group.is_masked and group.compared:
            return self._masked(group, wanted, counted=counted)
        count = self._count(group) if counted and group.removed else None
        if count is not None:
            return as_many(self.schema, wanted, count), None
        if not group.compared:
            return self._rows(group, self._order(group), wanted)
        first = _representative(self.files, group.files)
        order = ranked(self.files, group.files, first, self.against)
        inner = wanted | {field for delete in order.ranges for field in delete.fields}
        rows, positions = self._rows(group, order.numbers, inner, (f"{order.rank} AS {RANK}",))
        columns = [quote(field.name) for field in self.schema.fields if field.field_id in wanted]
        return left(rows, columns, self.schema, order, self.layout_of), positions

    def stored(self, group: Group, wanted: frozenset[int]) -> StoredFiles | None:
        """Return what reads a group without SQL where its files hold the ``wanted`` fields as they are, in the same order."""
        return stored_files(self.schema, self.files, group, self._order(group), wanted)

    def _order(self, group: Group) -> Ints:
        first = _representative(self.files, group.files)
        return np.array([first, *(n for n in group.files.tolist() if n != first)])

    def _masked(self, group: Group, wanted: frozenset[int], *, counted: bool) -> tuple[str, Removed]:
        """Return the SQL of a group whose rows that are deleted by value a mask leaves out, too."""
        order = ranked(self.files, group.files, _representative(self.files, group.files), self.against)
        compared = frozenset(field for delete in order.ranges for field in delete.fields)
        plain = replace(group, removed=False)
        rows, _ = self._rows(plain, order.numbers, compared, (f"{order.rank} AS {RANK}", *NUMBERED))
        by_value = gone(rows, PLACE, self.schema, order, self.layout_of)
        mask = self._mask(order.numbers, by_value)
        if counted:
            return left_of(mask, nulls(self.schema, wanted)), mask
        text, _ = self._rows(plain, order.numbers, wanted, aliased=True)
        return text + beside(mask), mask

    def _mask(self, numbers: Ints, by_value: str | None = None) -> Removed:
        """Return the mask of files in their order."""
        held = []
        for place, number in enumerate(numbers.tolist()):
            known = self.deleted.held.get(number) or Held(0, str(self.files.paths[number]), ())
            held.append(replace(known, number=place, rows=int(self.files.rows[number])))
        return removed(held, is_mask=True, by_value=by_value)

    def _count(self, group: Group) -> int | None:
        """Return how many rows of a group are left where metadata tell, else None."""
        numbers = group.files.tolist()
        told = [int(self.files.rows[number]) for number in numbers]
        # The deleted ones were counted by what the manifest says; the file itself must say the same.
        if group.compared or told != [self.layouts.rows(str(self.files.paths[n])) for n in numbers]:
            return None
        return sum(told) - sum(self.deleted.rows[number] for number in numbers)

    def _rows(
        self,
        group: Group,
        numbers: Ints,
        wanted: frozenset[int],
        extra: Sequence[str] = (),
        *,
        aliased: bool = False,
    ) -> tuple[str, Removed | None]:
        pairs = zip(self.schema.fields, group.projection.sources, strict=True)
        output = [(field, source) for field, source in pairs if field.field_id in wanted]
        items, hidden = [], False
        for field, source in output:
            own = hidden_value(field, source.expression, self.files, numbers)
            hidden = hidden or own is not None
            value = own or source.expression
            items.append(value if value == quote(field.name) else f"{value} AS {quote(field.name)}")
        items += extra
        paths = ", ".join(
            literal(readable(str(self.files.paths[n]), int(self.files.bytes[n]))) for n in numbers
        )
        if group.projection.by_id:
            options = f"schema = {field_map(self.schema)}, can_have_nan = true"
        else:
            options = _by_name(self.files, numbers, output, self.distinct)
        text = f"SELECT {', '.join(items)} FROM read_parquet([{paths}], {options})"
        if extra or group.removed or hidden or aliased:
            text += " AS r"
        if not group.removed:
            return text, None
        if group.is_masked:
            mask = self._mask(numbers)
            return text + beside(mask), mask
        positions = removed(
            [replace(self.deleted.held[n], number=place) for place, n in enumerate(numbers.tolist())]
        )
        return text + without(
            positions, alone=len(numbers) == 1, estimated=not group.projection.by_id
        ), positions


def nulls(schema: Schema, wanted: frozenset[int]) -> str:
    """Return the ``wanted`` fields of rows whose values nobody looks at."""
    fields = [field for field in schema.fields if field.field_id in wanted]
    return ", ".join(f"NULL::{duckdb_type(f.field_type)} AS {quote(f.name)}" for f in fields)


def as_many(schema: Schema, wanted: frozenset[int], rows: int) -> str:
    """Return the SQL of so many rows with the ``wanted`` fields, whose values nobody looks at."""
    columns = nulls(schema, wanted)
    return f"SELECT {columns} FROM range({rows})" if rows else f"SELECT {columns} WHERE false"


def _by_name(
    files: DataFiles, numbers: Ints, output: list[tuple[NestedField, Source]], distinct: Mapping[int, int]
) -> str:
    if len(numbers) == 1 and all(source.natural for _, source in output):
        return _OPTIONS
    bound, told = [], []
    for field, source in output:
        if source.column is None:
            continue
        bound.append(f"{literal(source.column)}: {literal(source.bound)}")
        # Of a single file DuckDB knows the statistics already.
        if len(numbers) > 1 and source.expression == quote(source.column):
            known = statistics(files, numbers, field, source.column, distinct.get(field.field_id))
            if known is not None:
                told.append(known)
    options = _OPTIONS
    if bound:
        options += f", bound_schema = {{{', '.join(bound)}}}"
        if told:
            options += f", column_statistics = {{{', '.join(told)}}}"
    return options


def _representative(files: DataFiles, numbers: Ints) -> int:
    """Return the file to open first, the one whose rows are nearest to the mean.

    DuckDB takes the first file's rows times the number of files as its estimate.
    """
    rows = files.rows[numbers]
    return int(numbers[np.argmin(np.abs(rows - rows.mean()))])
