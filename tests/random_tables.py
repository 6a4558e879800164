"""Random Iceberg tables with their rows held in Python lists: what a reader must find is known without reading.

Each step changes the table as an engine would, and the lists in step with it. This module must not know who
reads the table, nor how.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from delete_files import commit_deletes, delete_file, vector_file, write_positions, write_vectors
from hypothesis import strategies as st
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
)
from scan_tables import naive

Draw = Callable[[st.SearchStrategy[Any]], Any]
KEY = 1
"""The field id of a column whose values are unique; it is renamed, but never dropped."""

NAMES = ("a", "b", "Long Name", "select", "ünï", 'q"t', "it's", "file_index", "k.v", "x", "y")
_MOMENTS = st.sampled_from(
    [
        naive(1969, 12, 31, 23, 59, 59, 999999),
        naive(1970, 1, 1),
        naive(2024, 2, 29, 12, 30, 0, 1),
        naive(2024, 3, 1),
        naive(2024, 3, 1, 0, 59),
        naive(9999, 12, 31),
    ]
)
_TEXTS = ("", "a", "A", "ab", "a%", "a_b", "é", "\U0001f986", "b" * 20, "b" * 19 + "c", "it's", "\uffff")
# Few values of each type, so that filters, partitions and deletes hit some rows; those at the edges among them.
VALUES: dict[IcebergType, st.SearchStrategy[Any]] = {
    BooleanType(): st.booleans(),
    IntegerType(): st.integers(-3, 3) | st.sampled_from([-(2**31), 2**31 - 1]),
    LongType(): st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1]),
    FloatType(): st.sampled_from([0.0, -0.5, 1.5, math.inf, -math.inf, math.nan, 3.0000000054977558e38]),
    DoubleType(): st.sampled_from([0.0, -0.5, 1.5, 0.1, math.inf, -math.inf, math.nan, 1e300]),
    DecimalType(9, 2): st.integers(-3, 3).map(lambda n: Decimal(n).scaleb(-2)),
    DecimalType(20, 2): st.sampled_from(
        [Decimal("0.01"), Decimal("123456789012345678.25"), Decimal("-0.03")]
    ),
    StringType(): st.sampled_from(_TEXTS),
    BinaryType(): st.sampled_from([b"", b"\0", b"\xff\xff", b"a"]),
    DateType(): _MOMENTS.map(lambda moment: moment.date()),
    TimeType(): _MOMENTS.map(lambda moment: moment.time()),
    TimestampType(): _MOMENTS,
    TimestamptzType(): _MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
}
_PROMOTED = {IntegerType(): LongType(), FloatType(): DoubleType(), DecimalType(9, 2): DecimalType(20, 2)}
_IDS = count(100)  # pyiceberg gives fields ids of its own, but tells them apart by these
_MOMENT_TRANSFORMS = (YearTransform(), MonthTransform(), DayTransform())


def transforms(kind: IcebergType) -> list[Transform[Any, Any]]:
    """Return the partition transforms of a type."""
    found: list[Transform[Any, Any]] = [IdentityTransform()]
    if isinstance(kind, IntegerType | LongType | StringType | DecimalType):
        found += [BucketTransform(3), TruncateTransform(2)]
    if isinstance(kind, DateType | TimestampType | TimestamptzType):
        found += [*_MOMENT_TRANSFORMS, BucketTransform(3)]
    if isinstance(kind, TimestampType | TimestamptzType):
        found.append(HourTransform())
    return found


@st.composite
def kinds(draw: Any, depth: int = 1) -> IcebergType:
    """Return a type; structs, lists and maps hold types of one level less."""
    primitive = st.sampled_from([kind for kind in VALUES if kind != DecimalType(20, 2)])
    shape = draw(st.integers(0, 7)) if depth else 0
    if shape == 5:
        names = draw(st.lists(st.sampled_from(("x", "y", "z")), min_size=1, max_size=3, unique=True))
        return StructType(*(NestedField(next(_IDS), name, draw(kinds(depth - 1))) for name in names))
    if shape == 6:
        return ListType(next(_IDS), draw(kinds(depth - 1)), element_required=False)
    if shape == 7:
        return MapType(next(_IDS), StringType(), next(_IDS), draw(kinds(depth - 1)), value_required=False)
    return draw(primitive)


def value_of(draw: Draw, kind: IcebergType) -> Any:
    """Draw a value as the lists hold it: fields of a struct by their ids."""
    if draw(st.integers(0, 5)) == 0:
        return None
    match kind:
        case StructType():
            return {field.field_id: value_of(draw, field.field_type) for field in kind.fields}
        case ListType():
            return [value_of(draw, kind.element_type) for _ in range(draw(st.integers(0, 2)))]
        case MapType():
            keys = draw(st.lists(st.sampled_from(("p", "q")), max_size=2, unique=True))
            return [(key, value_of(draw, kind.value_type)) for key in keys]
    return draw(VALUES[kind])


def seen(value: Any, kind: IcebergType) -> Any:
    """Return a held value as a reader under ``kind`` must see it."""
    if value is None:
        return None
    match kind:
        case StructType():
            return {field.name: seen(value.get(field.field_id), field.field_type) for field in kind.fields}
        case ListType():
            return [seen(part, kind.element_type) for part in value]
        case MapType():
            return [(key, seen(part, kind.value_type)) for key, part in value]
    return value


@dataclass(eq=False)
class Row:
    """A row by field ids, and where it lies."""

    values: dict[int, Any]
    spec_id: int = 0
    partition: tuple[Any, ...] = ()
    path: str = ""
    position: int = 0


@dataclass(frozen=True)
class Version:
    """A snapshot, or the current state for None: its schema, and its rows as a reader must see them."""

    snapshot_id: int | None
    schema: Schema
    rows: pa.Table
    equality: bool


@dataclass
class RandomTable:
    """A table and its rows."""

    table: Table
    draw: Draw
    directory: Path
    insert: Callable[[pa.Table], None]
    rows: list[Row] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    vectors: set[str] = field(default_factory=set)
    removed: dict[str, set[int]] = field(default_factory=dict)
    equality: bool = False
    steps: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def step(self) -> None:
        """Change the table in one way; where the drawn way does not fit, nothing is changed."""
        ways = (
            self.append,
            self.append,
            self.append,
            self.evolve,
            self.evolve,
            self.partition,
            self.delete_positions,
            self.delete_vectors,
            self.delete_values,
        )
        way = ways[self.draw(st.integers(0, len(ways) - 1))]
        way()
        self.table = self.table.refresh()

    def current(self) -> Version:
        """Return the current state."""
        schema = self.table.schema()
        return Version(None, schema, self._arrow(schema, self.rows), self.equality)

    def append(self) -> None:
        """Add rows in one commit, by pyiceberg or by an INSERT."""
        schema = self.table.schema()
        fresh = []
        for _ in range(self.draw(st.integers(1, 5))):
            values = {f.field_id: value_of(self.draw, f.field_type) for f in schema.fields}
            fresh.append(Row(values | {KEY: next(self.numbers)}))
        rows = self._arrow(schema, fresh)
        by_us = self.draw(st.booleans()) or self._divided_by_nan(fresh)
        if by_us:
            self.insert(rows)
            self.table = self.table.refresh()
        else:
            self.table.append(rows)
        self._note(f"append {rows.to_pylist()} {'by INSERT' if by_us else 'by pyiceberg'}")
        found = self._written(self.table.refresh())
        for row in fresh:
            file, row.position = found[row.values[KEY]]
            row.path, row.spec_id = file.file_path, file.spec_id
            row.partition = tuple(file.partition[i] for i in range(len(file.partition)))
        self.rows += fresh
        self._keep()

    def _divided_by_nan(self, rows: Sequence[Row]) -> bool:
        """Say whether rows go to a partition of NaN, where pyiceberg finds none of them and fails."""
        sources = [field.source_id for field in self.table.spec().fields]
        values = (row.values.get(source) for row in rows for source in sources)
        return any(isinstance(value, float) and math.isnan(value) for value in values)

    def evolve(self) -> None:
        """Change the schema in one way."""
        schema = self.table.schema()
        top = [f.name for f in schema.fields]
        structs = [f for f in schema.fields if isinstance(f.field_type, StructType)]
        way = self.draw(
            st.sampled_from(["add", "drop", "rename", "move", "promote", "add in", "drop in", "rename in"])
        )
        parent = self.draw(st.sampled_from(structs)) if structs else None
        if way.endswith(" in"):
            if parent is None:
                return
            names = [f.name for f in parent.field_type.fields]
            path: tuple[str, ...] = (parent.name,)
        else:
            names, path = top, ()
        free = [
            n
            for n in (("x", "y", "z", "w") if path else NAMES)
            if n.casefold() not in {m.casefold() for m in names}
        ]
        droppable = [n for n in names if schema.find_field(".".join((*path, n))).field_id != KEY]
        droppable = [n for n in droppable if "." not in n]
        partitioned = {f.source_id for spec in self.table.specs().values() for f in spec.fields}
        droppable = [
            n for n in droppable if schema.find_field(".".join((*path, n))).field_id not in partitioned
        ]
        kind = way.removesuffix(" in")
        chosen = new = None
        with self.table.update_schema() as update:
            if kind == "add" and free:
                new = self.draw(st.sampled_from(free))
                update.add_column((*path, new), self.draw(kinds(0 if path else 1)))
            elif kind == "drop" and droppable and (path == () or len(names) > 1):
                chosen = self.draw(st.sampled_from(droppable))
                update.delete_column((*path, chosen))
            elif kind == "rename" and free:
                chosen, new = (
                    self.draw(st.sampled_from([n for n in names if "." not in n])),
                    self.draw(st.sampled_from(free)),
                )
                update.rename_column((*path, chosen), new)
            elif kind == "move":
                chosen = self.draw(st.sampled_from([n for n in names if "." not in n]))
                update.move_first((*path, chosen))
            elif kind == "promote":
                promotable = [
                    f for f in schema.fields if f.field_type in _PROMOTED and f.field_id not in partitioned
                ]
                if promotable:
                    one = self.draw(st.sampled_from(promotable))
                    chosen = one.name
                    update.update_column((one.name,), _PROMOTED[one.field_type])
        self._note(f"{way} {path} {chosen} {new}")

    def partition(self) -> None:
        """Add a partition field, or take one out."""
        schema, spec = self.table.schema(), self.table.spec()
        if spec.fields and self.draw(st.booleans()):
            name = self.draw(st.sampled_from([f.name for f in spec.fields]))
            with self.table.update_spec() as update:
                update.remove_field(name)
            self._note(f"no partition by {name}")
            return
        used = {f.source_id for s in self.table.specs().values() for f in s.fields}
        fields = [
            f
            for f in schema.fields
            if f.field_type in VALUES and f.field_id not in used and "." not in f.name
        ]
        if not fields or len(spec.fields) > 1:
            return
        chosen = self.draw(st.sampled_from(fields))
        transform = self.draw(st.sampled_from(transforms(chosen.field_type)))
        with self.table.update_spec() as update:
            update.add_field(chosen.name, transform, f"p{next(self.numbers)}")
        self._note(f"partition by {transform} of {chosen.name}")

    def delete_positions(self) -> None:
        """Delete rows of one partition by their positions."""
        free = [row for row in self.rows if row.path not in self.vectors]
        if not free:
            return
        (first,) = self._some(free, 1)
        alike = [row for row in free if _scope(row) == _scope(first)]
        gone = self._some(alike, 4)
        place = self._place("parquet")
        write_positions(place, [(row.path, row.position) for row in gone])
        self._commit(
            delete_file(self.table, place, len(gone), partition=first.partition, spec_id=first.spec_id)
        )
        self._without(gone, "positions")

    def delete_vectors(self) -> None:
        """Delete rows of one file by a deletion vector, which holds what was deleted of it before, too."""
        free = [row for row in self.rows if row.path not in self.vectors]
        if not free:
            return
        path = self._some(free, 1)[0].path
        gone = self._some([row for row in free if row.path == path], 9)
        positions = sorted({row.position for row in gone} | self.removed.get(path, set()))
        place = self._place("puffin")
        at = write_vectors(place, {path: positions})[path]
        facts = {"partition": gone[0].partition, "spec_id": gone[0].spec_id}
        self._commit(vector_file(self.table, place, len(positions), path, at, **facts))
        self.vectors.add(path)
        self._without(gone, "vector")

    def delete_values(self) -> None:
        """Delete rows by the values of some columns, in one partition or everywhere."""
        schema = self.table.schema()
        fields = [f for f in schema.fields if f.field_type in VALUES]
        if not self.rows:
            return
        (first,) = self._some(self.rows, 1)
        everywhere = [i for i, spec in self.table.specs().items() if spec.is_unpartitioned()]
        scoped = first.spec_id not in everywhere
        chosen = self.draw(st.lists(st.sampled_from(fields), min_size=1, max_size=2, unique=True))
        wanted = [first, *self._some(self.rows, 2)]
        tuples = [tuple(row.values.get(f.field_id) for f in chosen) for row in wanted]
        own = Schema(*chosen)
        arrow = schema_to_pyarrow(own)
        rows = pa.Table.from_pylist([dict(zip(arrow.names, t, strict=True)) for t in tuples], arrow)
        place = self._place("parquet")
        pq.write_table(rows, place)
        self._commit(
            delete_file(
                self.table,
                place,
                len(tuples),
                DataFileContent.EQUALITY_DELETES,
                equality_ids=[f.field_id for f in chosen],
                partition=first.partition,
                spec_id=first.spec_id,
            )
        )
        self.equality = True
        gone = [
            row
            for row in self.rows
            if (not scoped or _scope(row) == _scope(first))
            and any(_same(tuple(row.values.get(f.field_id) for f in chosen), t) for t in tuples)
        ]
        self._without(gone, f"values {[f.name for f in chosen]} {tuples}")

    def _commit(self, file: DataFile) -> None:
        commit_deletes(self.table, file)
        self.table = self.table.refresh()

    def _without(self, gone: Sequence[Row], how: str) -> None:
        for row in gone:
            self.removed.setdefault(row.path, set()).add(row.position)
        self.rows = [row for row in self.rows if row not in gone]
        self._note(f"delete {[row.values[KEY] for row in gone]} by {how}")
        self._keep()

    def _keep(self) -> None:
        schema = self.table.schema()
        snapshot = self.table.current_snapshot()
        assert snapshot is not None
        rows = self._arrow(schema, self.rows)
        self.versions.append(Version(snapshot.snapshot_id, schema, rows, self.equality))

    def _some(self, rows: Sequence[Row], most: int) -> list[Row]:
        """Draw up to ``most`` of the rows, by their numbers: what is drawn is printed when a test fails."""
        numbers = st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=most, unique=True)
        return [rows[number] for number in self.draw(numbers)]

    def _note(self, text: str) -> None:
        self.steps.append(text)

    def _place(self, suffix: str) -> Path:
        directory = self.directory / "deletes"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"{self.table.name()[-1]}-{len(self.steps)}.{suffix}"

    @staticmethod
    def _arrow(schema: Schema, rows: Sequence[Row]) -> pa.Table:
        arrow = schema_to_pyarrow(schema, include_field_ids=False)
        columns = [
            pa.array([seen(row.values.get(f.field_id), f.field_type) for row in rows], arrow.field(i).type)
            for i, f in enumerate(schema.fields)
        ]
        return pa.Table.from_arrays(columns, schema=arrow)

    @staticmethod
    def _written(table: Table) -> Mapping[int, tuple[DataFile, int]]:
        """Return file and position of each key that the last commit wrote."""
        snapshot = table.current_snapshot()
        assert snapshot is not None
        found = {}
        for manifest in snapshot.manifests(table.io):
            if manifest.added_snapshot_id != snapshot.snapshot_id:
                continue
            for entry in manifest.fetch_manifest_entry(table.io):
                if entry.snapshot_id == snapshot.snapshot_id:
                    file = entry.data_file
                    file.spec_id = manifest.partition_spec_id
                    rows = pq.read_table(file.file_path.removeprefix("file://"), partitioning=None)
                    (place,) = [
                        i
                        for i, f in enumerate(rows.schema)
                        if (f.metadata or {}).get(b"PARQUET:field_id") == str(KEY).encode()
                    ]
                    found |= {key: (file, i) for i, key in enumerate(rows.column(place).to_pylist())}
        return found


def _scope(row: Row) -> tuple[Any, ...]:
    return (row.spec_id, *("NaN" if value != value else value for value in row.partition))  # noqa: PLR0124  # tells NaN


def _same(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    """Say whether values are equal as deletes compare them: NULL equals NULL, NaN equals NaN."""
    return all(a == b or (a != a and b != b) for a, b in zip(left, right, strict=True))  # noqa: PLR0124  # tells NaN
