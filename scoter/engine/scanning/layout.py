"""What a Parquet file physically holds: its columns with field ids, names and kinds, from its footer.

This module must not know predicates or SQL.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.table.name_mapping import MappedField, NameMapping

from scoter.catalog.fetching import Check, each, unchecked
from scoter.catalog.objects.files import ObjectInput
from scoter.catalog.reach import local_path
from scoter.catalog.recent import Recent
from scoter.engine.scanning.footers import LONGEST, ReadAt, head_of, read, rows_of
from scoter.engine.types import escaped, literal
from scoter.errors import CorruptData, NotSupported

_FIELD_ID = b"PARQUET:field_id"
_PARALLEL_FOOTERS = 8
_PARALLEL_OBJECTS = 32
_MET = 8


@dataclass(frozen=True)
class Column:
    """One physical column: ``kind`` is a primitive's kind, or ``struct``, ``list`` or ``map``.

    ``field_id`` is None where the file carries none. A list's child is its element; a map's two
    children are key and value. ``exact`` says that DuckDB reads a primitive as just this kind.
    """

    field_id: int | None
    name: str
    kind: str
    children: tuple[Column, ...] = ()
    exact: bool = False


@dataclass(frozen=True)
class Layout:
    """The columns of a file, in file order."""

    columns: tuple[Column, ...]

    @property
    def identified(self) -> bool:
        """Whether any column carries a field id."""
        return any(_ids(self.columns))

    def names(self) -> Iterator[str]:
        """Yield the dotted name of every field, those of list and map parts as Iceberg has them."""
        yield from _names(self.columns, "")

    def named(self, mapping: NameMapping) -> Layout:
        """Return this layout with the field ids that a name mapping gives to its names."""
        return Layout(_mapped(self.columns, list(mapping)))


class Layouts:
    """Layouts of files, each footer read once; equal layouts are one object."""

    def __init__(self, *, capacity: int = 1_000_000) -> None:
        """Keep the layouts of up to ``capacity`` files."""
        self._by_path: Recent[str, tuple[Layout, int]] = Recent(capacity)
        self._shared: dict[Layout, Layout] = {}
        self._met = _Met()

    def of(
        self, paths: Sequence[str], open_with: Callable[[], FileIO], check: Check = unchecked
    ) -> list[Layout]:
        """Return the layout of each file; ``open_with`` is called only when a footer has to be read.

        ``check`` is called while footers are read, and may raise. Raises CorruptData for a file that is missing
        or not Parquet, and what the FileIO raises for a place that may not be read.
        """
        found = [None if known is None else known[0] for known in map(self._by_path.get, paths)]
        missing = [path for path, layout in zip(paths, found, strict=True) if layout is None]
        if not missing:
            return [layout for layout in found if layout is not None]
        io = open_with()
        # To ask for each file whether its place may be read takes longer than to read its footer.
        for directory in {_directory(path) for path in map(local_path, missing) if path.startswith("/")}:
            io.new_input(directory)

        def footers(part: Sequence[str]) -> list[tuple[Layout, int]]:
            read = []
            for path in part:
                check()
                read.append(_read(path, io, self._met))
            return read

        # The first one's schema is most often that of all.
        (read,) = each(footers, [missing[:1]], 1, check)
        if len(missing) > 1:
            threads = _PARALLEL_OBJECTS if "://" in missing[0] else _PARALLEL_FOOTERS
            parts = each(footers, list(_parts(missing[1:], threads)), threads, check)
            read += itertools.chain.from_iterable(parts)
        fresh = {}
        last = read[0][0]
        shared = self._shared.setdefault(last, last)
        for path, (layout, rows) in zip(missing, read, strict=True):
            if layout is not last:
                # To hash one takes as long as to read its file.
                last = layout
                shared = self._shared.setdefault(layout, layout)
            fresh[path] = shared
            self._by_path.put(path, (fresh[path], rows))
        return [fresh[path] if layout is None else layout for path, layout in zip(paths, found, strict=True)]

    def rows(self, path: str) -> int | None:
        """Return how many rows a file has whose layout is known, else None."""
        known = self._by_path.get(path)
        return None if known is None else known[1]


def _read(location: str, io: FileIO, met: _Met) -> tuple[Layout, int]:
    path = local_path(location)
    try:
        if path.startswith("/") and "\0" not in path:
            return _local(path, met, io)
        source = io.new_input(location)
        with source.through_cache() if isinstance(source, ObjectInput) else source.open() as stream:

            def read(at: int, count: int) -> bytes:
                stream.seek(at)
                return stream.read(count)

            size = len(source)
            return met.again(size, read) or met.first(pq.ParquetFile(stream), size, read)
    except (OSError, pa.ArrowException) as error:
        raise CorruptData("a data file of the table is missing or is not a Parquet file") from error


def _directory(path: str) -> str:
    """Return where a file of this machine lies; of what is no name of a file, the place itself."""
    directory, _, name = path.rpartition("/")
    return path if name in {"", ".", ".."} else directory or "/"


def _local(path: str, met: _Met, io: FileIO) -> tuple[Layout, int]:
    """Read the footer of a file of this machine, whose directory may be read; raises OSError."""
    # A pipe would be waited for.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        # A link may lead out of its directory: this asks where to.
        io.new_input(path)
        file = os.open(path, flags)

    def read(at: int, count: int) -> bytes:
        return os.pread(file, count, at)

    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "no file", path)
        size = facts.st_size
        found = met.again(size, read)
        if found is not None:
            return found
        try:
            return met.first(pq.ParquetFile(path), size, read)
        except OSError as error:
            return _as_duckdb_reads(path, met, error)
    finally:
        os.close(file)


def _as_duckdb_reads(path: str, met: _Met, error: OSError) -> tuple[Layout, int]:
    """Return the columns that DuckDB sees in a file that Arrow refuses; raises ``error`` where it refuses, too.

    Such are files of Hive, with an annotation where none belongs.
    """
    with tempfile.TemporaryDirectory() as directory, duckdb.connect() as connection:
        source, like = literal(escaped(path)), f"{directory}/like.parquet"
        try:
            ((ids,),) = connection.sql(f"SELECT count(field_id) FROM parquet_schema({source})").fetchall()
            if ids:
                # DuckDB's own file would have lost them.
                raise error
            ((rows,),) = connection.sql(f"SELECT num_rows FROM parquet_file_metadata({source})").fetchall()
            connection.execute(f"COPY (FROM read_parquet({source}) LIMIT 0) TO {literal(like)}")
        except duckdb.Error:
            raise error from None
        return met.layout(pq.ParquetFile(like)), int(rows)


def _parts(paths: Sequence[str], count: int) -> Iterator[Sequence[str]]:
    """Cut a sequence into up to ``count`` pieces."""
    length = -(-len(paths) // count)
    return (paths[start : start + length] for start in range(0, len(paths), length))


@dataclass(frozen=True, eq=False)
class _Known:
    """The schema of a file that was met, as Parquet and as Arrow have it, and what it came to."""

    schema: pq.ParquetSchema
    arrow: pa.Schema
    layout: Layout


class _Met:
    """The schemas met last: most files of a table look like one of them."""

    def __init__(self) -> None:
        self._known: tuple[_Known, ...] = ()
        self._heads: tuple[tuple[bytes, Layout], ...] = ()

    def again(self, size: int, at: ReadAt) -> tuple[Layout, int] | None:
        """Return layout and rows of a file whose schema was met, by the bytes of its footer; else None."""
        longest = max((len(head) for head, _ in self._heads), default=0)
        first = read(size, at, longest + LONGEST) if longest else None
        if first is not None:
            for head, layout in self._heads:
                rows = rows_of(first, head)
                if rows is not None:
                    return layout, rows
        return None

    def first(self, file: pq.ParquetFile, size: int, at: ReadAt) -> tuple[Layout, int]:
        """Return layout and rows of a file, and keep what its footer begins with."""
        layout = self.layout(file)
        head = head_of(read(size, at) or b"")
        if head is not None and not any(head == known for known, _ in self._heads):
            self._heads = ((head, layout), *self._heads[: _MET - 1])
        return layout, int(file.metadata.num_rows)

    def layout(self, file: pq.ParquetFile) -> Layout:
        schema, arrow = file.schema, file.schema_arrow.remove_metadata()
        for known in self._known:
            # Parquet's comparison looks at leaves only, Arrow's not at all that is said of a leaf.
            if schema.equals(known.schema) and arrow.equals(known.arrow, check_metadata=True):
                return known.layout
        leaves = (schema.column(i) for i in range(len(schema)))
        found = Layout(tuple(_column(field, leaves) for field in arrow))
        # Replaced whole: another thread may be looking.
        self._known = (_Known(schema, arrow, found), *self._known[: _MET - 1])
        return found


def _column(field: pa.Field, leaves: Iterator[pq.ColumnSchema]) -> Column:
    number = (field.metadata or {}).get(_FIELD_ID)
    field_id = int(number) if number is not None and int(number) >= 0 else None
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_struct(kind):
        children = tuple(_column(kind.field(i), leaves) for i in range(kind.num_fields))
        return Column(field_id, field.name, "struct", children)
    if pa.types.is_map(kind):
        pair = (_column(kind.key_field, leaves), _column(kind.item_field, leaves))
        return Column(field_id, field.name, "map", pair)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return Column(field_id, field.name, "list", (_column(kind.value_field, leaves),))
    leaf = next(leaves)
    logical = json.loads(leaf.logical_type.to_json())
    return Column(field_id, field.name, _kind(leaf, logical), exact=_exact(leaf, logical))


_PLAIN = {
    "BOOLEAN": "boolean",
    "INT32": "int",
    "INT64": "long",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BYTE_ARRAY": "binary",
    # DuckDB reads the old 96 bit timestamps as TIMESTAMP, which is the instant in UTC.
    "INT96": "timestamp",
}


_ANNOTATED = {"String": "string", "Enum": "string", "JSON": "string", "Date": "date", "UUID": "uuid"}


def _exact(leaf: pq.ColumnSchema, logical: dict[str, Any]) -> bool:
    match logical["Type"]:
        case "Int":
            return bool(logical["isSigned"]) and logical["bitWidth"] in {32, 64}
        case "Timestamp":
            return bool(logical["timeUnit"] == "microseconds")
        case "None" | "Undefined" | "Null":
            return leaf.physical_type in {"BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE"}
    return logical["Type"] in {"String", "Date", "Decimal"}


def _kind(leaf: pq.ColumnSchema, logical: dict[str, Any]) -> str:
    name = str(logical["Type"])
    match name:
        case "Int":
            kind = _integer(int(logical["bitWidth"]), signed=bool(logical["isSigned"]))
        case "Decimal":
            kind = f"decimal({logical['precision']}, {logical['scale']})"
        case "Time" | "Timestamp" if logical["timeUnit"] == "nanoseconds":
            kind = f"{name.lower()} in nanoseconds"
        case "Timestamp":
            # Old annotations say nothing of zones; DuckDB reads them as TIMESTAMP.
            zoned = logical["isAdjustedToUTC"] and not logical.get("is_from_converted_type")
            kind = "timestamptz" if zoned else "timestamp"
        case "None" | "Undefined" | "Null" if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY":
            kind = f"fixed[{leaf.length}]"
        case "None" | "Undefined" | "Null":
            kind = _PLAIN.get(leaf.physical_type, str(leaf.physical_type))
        case _:
            kind = _ANNOTATED.get(name, name.lower())
    return kind


def _integer(width: int, *, signed: bool) -> str:
    if signed:
        return "long" if width == 64 else "int"
    return {64: "unsigned long", 32: "unsigned int"}.get(width, "int")


def _ids(columns: tuple[Column, ...]) -> Iterator[bool]:
    for column in columns:
        yield column.field_id is not None
        yield from _ids(column.children)


def _names(columns: tuple[Column, ...], before: str) -> Iterator[str]:
    for column in columns:
        yield f"{before}{column.name}"
        yield from _names(_with_standard_names(column), f"{before}{column.name}.")


def _mapped(columns: tuple[Column, ...], fields: list[MappedField]) -> tuple[Column, ...]:
    by_name = {name: field for field in fields for name in field.names}
    mapped = []
    for column in columns:
        field = by_name.get(column.name)
        if field is None:
            mapped.append(column)
            continue
        parts = _with_standard_names(column)
        children = _mapped(parts, list(field.fields)) if column.children else ()
        mapped.append(replace(column, field_id=field.field_id, children=children))
    return tuple(mapped)


def _with_standard_names(column: Column) -> tuple[Column, ...]:
    """Return a column's children under the names that name mappings use for list and map parts."""
    if column.kind == "list":
        return (replace(column.children[0], name="element"),)
    if column.kind == "map":
        key, value = column.children
        return (replace(key, name="key"), replace(value, name="value"))
    return column.children


def refuse_row_number(layout: Layout, schema: Schema, where: str) -> None:
    """Raise NotSupported for a file or table with a column that hides DuckDB's own numbers of rows."""
    names = (*(column.name for column in layout.columns), *(field.name for field in schema.fields))
    if any(name.casefold() == "file_row_number" for name in names):
        raise NotSupported(
            f'{where} has deleted rows and a column "file_row_number", which can not be read together',
            hint="compact the table with the engine that wrote them",
        )


def hides_numbers(layout: Layout) -> bool:
    """Say whether a file has a column that hides DuckDB's own numbers of files."""
    return any(column.name.casefold() == "file_index" for column in layout.columns)


def refuse_ambiguous(names: Sequence[str], where: str) -> None:
    """Raise NotSupported when two names differ by case only: SQL can not tell them apart."""
    seen: dict[str, str] = {}
    for name in names:
        folded = name.casefold()
        if folded in seen:
            raise NotSupported(
                f'{where} has columns "{seen[folded]}" and "{name}", which differ only by case',
                hint="rename one of them with another engine",
            )
        seen[folded] = name
