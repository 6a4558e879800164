"""Rows that are deleted by the values of some columns: which delete files apply, and the SQL that leaves them out.

This module must not know positions, predicates or who reads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import VoidTransform
from pyiceberg.types import ListType, MapType, NestedField, StructType

from scoter.catalog.data_files import DataFiles, DeleteFile, DeleteKind, Ints
from scoter.engine.scanning.deletes import partition_key
from scoter.engine.scanning.layout import Layout, hides_numbers
from scoter.engine.scanning.paths import readable
from scoter.engine.scanning.projection import missing, project
from scoter.engine.types import duckdb_type, literal, quote
from scoter.errors import CorruptData, NotSupported

LayoutOf = Callable[[str], Layout]
RANK = '"scoter rank"'
_Scope = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class Against:
    """The equality deletes that apply to a scan: to which of its data files says the order of sequences.

    ``scopes`` are the partitions, as far as they tell deletes apart, of the data files that any delete
    applies to, by the file's number. ``everywhere`` are the deletes of all partitions, ``own`` those of one.
    """

    scopes: dict[int, _Scope]
    everywhere: tuple[DeleteFile, ...]
    own: dict[_Scope, tuple[DeleteFile, ...]]

    @property
    def deletes(self) -> Iterator[DeleteFile]:
        """All of them that apply to a file of the scan."""
        yield from self.everywhere
        for found in self.own.values():
            yield from found


@dataclass(frozen=True)
class Ranked:
    """Data files as one SELECT reads them: ``numbers`` in the order of its list.

    ``rank`` is SQL that gives each of them, over the alias r, a number that grows with scope and sequence.
    """

    numbers: Ints
    rank: str
    ranges: Mapping[DeleteFile, tuple[tuple[int, int], ...]]
    most: tuple[int, int]


def applicable(files: DataFiles, kept: Ints, metadata: TableMetadata) -> Against:
    """Return the equality deletes that apply to the ``kept`` data files, and to which.

    https://iceberg.apache.org/spec/#scan-planning: a delete applies to data that is older than itself, of
    its own partition, or of all where its spec has no fields but void ones.
    """
    everywhere: list[DeleteFile] = []
    by_partition: dict[_Scope, list[DeleteFile]] = {}
    whole = {
        number
        for number, spec in metadata.specs().items()
        if all(isinstance(field.transform, VoidTransform) for field in spec.fields)
    }
    for delete in files.deletes:
        if delete.kind == DeleteKind.EQUALITY:
            scope = (delete.spec_id, *partition_key(delete.partition))
            (everywhere if delete.spec_id in whole else by_partition.setdefault(scope, [])).append(delete)
    if not everywhere and not by_partition:
        return Against({}, (), {})
    newest = max((delete.sequence for delete in everywhere), default=-1)
    newest_of = {scope: max(delete.sequence for delete in found) for scope, found in by_partition.items()}
    scopes: dict[int, _Scope] = {}
    oldest: dict[_Scope, int] = {}
    for number in kept.tolist():
        spec = int(files.spec_ids[number])
        scope = (spec, *partition_key(values[number] for values in files.partitions.get(spec, ())))
        scope = scope if scope in by_partition else ()
        sequence = int(files.sequences[number])
        if sequence < max(newest, newest_of.get(scope, -1)):
            scopes[number] = scope
            oldest[scope] = min(sequence, oldest.get(scope, sequence))
    first = min(oldest.values(), default=0)
    return Against(
        scopes,
        tuple(delete for delete in everywhere if scopes and delete.sequence > first),
        {
            scope: tuple(delete for delete in by_partition[scope] if delete.sequence > since)
            for scope, since in oldest.items()
            if scope
        },
    )


def ranked(files: DataFiles, numbers: Ints, first: int, against: Against) -> Ranked:
    """Put data files in the order in which deletes apply to them, but ``first`` at the front of the list.

    A delete then applies to one range of ranks in each scope.
    """
    sequences = files.sequences
    ordinals = {
        scope: i for i, scope in enumerate(dict.fromkeys(against.scopes[n] for n in numbers.tolist()))
    }
    order = sorted(numbers.tolist(), key=lambda n: (ordinals[against.scopes[n]], int(sequences[n]), n))
    place = order.index(first)
    listed = [first, *order[:place], *order[place + 1 :]]
    # The file at the list's place i has rank 2i, so that there is room for the first one in between.
    ranks = (
        [2 * (i + 1) for i in range(place)] + [2 * place + 1] + [2 * i for i in range(place + 1, len(order))]
    )
    ranges: dict[DeleteFile, list[tuple[int, int]]] = {}
    start = 0
    for scope, group in groupby(order, key=lambda n: against.scopes[n]):
        held = [int(sequences[n]) for n in group]
        for delete in (*against.everywhere, *against.own.get(scope, ())):
            older = bisect_left(held, delete.sequence)
            if older:
                ranges.setdefault(delete, []).append((ranks[start], ranks[start + older - 1]))
        start += len(held)
    rank = f"{ranks[0]}"
    if len(order) > 1:
        rank = f"CASE WHEN r.file_index = 0 THEN {ranks[place]} ELSE 2 * r.file_index::BIGINT END"
    return Ranked(
        np.array(listed),
        rank,
        {delete: tuple(found) for delete, found in ranges.items()},
        (ranks[0], ranks[-1]),
    )


def compared(metadata: TableMetadata, schema: Schema, deletes: Iterable[DeleteFile], name: str) -> Schema:
    """Return ``schema`` with all fields that deletes compare; those that were dropped stand at its end.

    Raises CorruptData for a field that no schema has, NotSupported for one inside a column or of a nested type.
    """
    wanted = {field for delete in deletes for field in delete.fields}
    older = [field for known in reversed(metadata.schemas) for field in known.fields]
    extra: list[NestedField] = []
    for field_id in sorted(wanted):
        held = next((field for field in (*schema.fields, *older) if field.field_id == field_id), None)
        if held is None:
            if any(field_id in known._lazy_id_to_field for known in metadata.schemas):  # noqa: SLF001  # pyiceberg's map
                raise NotSupported(f"{name} has equality deletes on a field inside a column")
            raise CorruptData(f"{name} has equality deletes on a field that it never had")
        if isinstance(held.field_type, StructType | ListType | MapType):
            raise NotSupported(f"{name} has equality deletes on a column of type {held.field_type}")
        if held not in schema.fields:
            extra.append(held.model_copy(update={"name": hidden(field_id), "required": False}))
    return Schema(*schema.fields, *extra, schema_id=schema.schema_id) if extra else schema


def hidden(field_id: int) -> str:
    """Return the name under which a dropped column is read for its values to be compared."""
    return f"scoter deleted {field_id}"


def left(rows: str, columns: Sequence[str], schema: Schema, ranked: Ranked, layout_of: LayoutOf) -> str:
    """Return the SQL of ``rows`` without those that deletes name; NULL is equal to NULL.

    ``rows`` is SQL that yields at least ``columns``, the compared fields under the names of ``schema``, and
    the rank of each row's file as ``RANK``.
    """
    text = f"SELECT {', '.join(f'd.{column}' for column in columns)} FROM ({rows}) AS d"
    return text + "".join(f" ANTI JOIN {joined}" for joined in _joined(schema, ranked, layout_of))


def gone(rows: str, columns: Sequence[str], schema: Schema, ranked: Ranked, layout_of: LayoutOf) -> str:
    """Return the SQL of those of ``rows``, as ``left`` has them, that deletes name; some may be there twice."""
    chosen = f"SELECT {', '.join(f'd.{column}' for column in columns)} FROM ({rows}) AS d SEMI JOIN "
    return " UNION ALL ".join(chosen + joined for joined in _joined(schema, ranked, layout_of))


def _joined(schema: Schema, ranked: Ranked, layout_of: LayoutOf) -> Iterator[str]:
    """Yield what stands behind JOIN: for each set of fields the values, and where they are those of the row d."""
    by_fields: dict[tuple[int, ...], list[DeleteFile]] = {}
    for delete in ranked.ranges:
        by_fields.setdefault(delete.fields, []).append(delete)
    for number, (ids, deletes) in enumerate(by_fields.items()):
        fields = [schema.find_field(field_id) for field_id in ids]
        same = " AND ".join(
            f"e{number}.c{i} IS NOT DISTINCT FROM d.{quote(field.name)}" for i, field in enumerate(fields)
        )
        if all(ranked.ranges[delete] == (ranked.most,) for delete in deletes):
            values = _values(fields, deletes, None, layout_of)
        else:
            # Of many deletes of one key the newest says it all.
            names = ", ".join(f"c{i}" for i in range(len(fields)))
            all_values = _values(fields, deletes, ranked.ranges, layout_of)
            values = f"SELECT {names}, low, max(high) AS high FROM ({all_values}) GROUP BY ALL"
            same += f" AND d.{RANK} >= e{number}.low AND d.{RANK} <= e{number}.high"
        yield f"({values}) AS e{number} ON {same}"


def _values(
    fields: Sequence[NestedField],
    deletes: Sequence[DeleteFile],
    ranges: Mapping[DeleteFile, tuple[tuple[int, int], ...]] | None,
    layout_of: LayoutOf,
) -> str:
    """Return the SQL of all values that delete files of the same fields hold, with the ranks they apply to."""
    own = Schema(*(field.model_copy(update={"required": False}) for field in fields))
    alike: dict[tuple[str, str, bool], list[DeleteFile]] = {}
    for delete in deletes:
        layout = layout_of(delete.path)
        if missing(own, layout):
            raise CorruptData("a file of equality deletes lacks a column that it compares")
        sources = project(own, layout, {}).sources
        items = ", ".join(
            f"({source.expression})::{duckdb_type(field.field_type)} AS c{i}"
            for i, (field, source) in enumerate(zip(fields, sources, strict=True))
        )
        bound = ", ".join(f"{literal(s.column)}: {literal(s.bound)}" for s in sources if s.column is not None)
        alike.setdefault((items, bound, hides_numbers(layout)), []).append(delete)
    return " UNION ALL ".join(
        _read(items, bound, group, ranges)
        for (items, bound, hides), found in alike.items()
        for group in ([[delete] for delete in found] if hides else [found])
    )


def _read(
    items: str,
    bound: str,
    deletes: Sequence[DeleteFile],
    ranges: Mapping[DeleteFile, tuple[tuple[int, int], ...]] | None,
) -> str:
    paths = ", ".join(literal(readable(delete.path)) for delete in deletes)
    options = f"hive_partitioning = false, can_have_nan = true, bound_schema = {{{bound}}}"
    source = f"read_parquet([{paths}], {options}) AS r"
    if ranges is None:
        return f"SELECT {items} FROM {source}"
    rows = [(i, low, high) for i, delete in enumerate(deletes) for low, high in ranges[delete]]
    unnested = ", ".join(
        f"unnest([{', '.join(str(row[i]) for row in rows)}]::BIGINT[]) AS {name}"
        for i, name in enumerate(("file", "low", "high"))
    )
    condition = "m.file = r.file_index::BIGINT" if len(deletes) > 1 else "true"
    return f"SELECT {items}, m.low, m.high FROM {source} JOIN (SELECT {unnested}) AS m ON {condition}"
