"""Catalogs, schemas and tables as Flight SQL lists them.

This module must not know of statements or sessions; what exists, the lake says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice

import pyarrow as pa
from pyiceberg.types import IcebergType

from scoter.catalog.lake import Lake
from scoter.catalog.listing import Listing
from scoter.catalog.lookup import Found
from scoter.catalog.names import TableName
from scoter.catalog.views import load_view
from scoter.engine.binding import data_type
from scoter.engine.columns import Origin, field
from scoter.engine.types import duckdb_type, listed_type, spelled, wire_type
from scoter.engine.wire import wire_text
from scoter.errors import NotSupported, ScoterError, UndefinedSchema
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.flightsql import schemas

TABLE, VIEW = "TABLE", "VIEW"

_AT_ONCE = 256  # tables whose schemas are read and sent together
_NO_COLUMNS = bytes(pa.schema([]).serialize())


def catalogs(lake: Lake) -> pa.Table:
    """Return the names of all catalogs, in order."""
    return pa.table([sorted(lake.catalogs())], schema=schemas.CATALOGS)


def db_schemas(lake: Lake, command: m.CommandGetDbSchemas) -> pa.Table:
    """Return the schemas of a catalog, or of all, whose names fit the pattern."""
    catalog = command.catalog if command.HasField("catalog") else None
    pattern = command.db_schema_filter_pattern if command.HasField("db_schema_filter_pattern") else None
    rows = list(_schemas(lake, catalog, _like(pattern)))
    return _rows(rows, schemas.DB_SCHEMAS)


def table_types() -> pa.Table:
    """Return the kinds of tables."""
    return pa.table([[TABLE, VIEW]], schema=schemas.TABLE_TYPES)


def tables(lake: Lake, command: m.CommandGetTables) -> Iterator[pa.RecordBatch]:
    """Yield the tables and views that fit, ordered by catalog, schema and name, with their columns if asked.

    One that can not be read is listed without columns, unless it alone is asked for by its name: then that raises.
    """
    wanted = [kind for kind in (TABLE, VIEW) if not command.table_types or kind in command.table_types]
    found = _tables(lake, command, wanted)
    listing = Listing(lake)
    while some := list(islice(found, _AT_ONCE)):
        rows = [(name.catalog, name.schema, name.name, kind) for name, kind in some]
        if not command.include_schema:
            yield from _rows(rows, schemas.TABLES).to_batches()
            continue
        there = listing.look_up([name for name, _ in some])
        alone = len(some) == 1 and _is_name(command.table_name_filter_pattern, some[0][0].name)
        full = []
        for row, (name, kind) in zip(rows, some, strict=True):
            one = there.get(name)
            if one is None or (isinstance(one, Found) and one.is_view != (kind == VIEW)):
                continue  # dropped since its name was listed
            columns = listing.read(one, partial(_columns, lake, name))
            if isinstance(columns, ScoterError):
                if alone:
                    raise columns
                columns = _NO_COLUMNS
            full.append((*row, columns))
        yield from _rows(full, schemas.TABLES_WITH_SCHEMA).to_batches()


def _tables(
    lake: Lake, command: m.CommandGetTables, wanted: Sequence[str]
) -> Iterator[tuple[TableName, str]]:
    catalog = command.catalog if command.HasField("catalog") else None
    schema_fits = _like(
        command.db_schema_filter_pattern if command.HasField("db_schema_filter_pattern") else None
    )
    fits = _like(command.table_name_filter_pattern if command.HasField("table_name_filter_pattern") else None)
    if not wanted:
        return
    for found, schema in _schemas(lake, catalog, schema_fits):
        try:
            names = [(name, TABLE) for name in (lake.tables(found, schema) if TABLE in wanted else ())]
            names += [(name, VIEW) for name in (lake.views(found, schema) if VIEW in wanted else ())]
        except UndefinedSchema:
            continue
        yield from ((TableName(found, schema, name), kind) for name, kind in sorted(names) if fits(name))


def _schemas(lake: Lake, catalog: str | None, fits: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    for found in sorted(lake.catalogs()):
        if catalog is None or found.casefold() == catalog.casefold():
            yield from ((found, schema) for schema in sorted(lake.schemas(found)) if fits(schema))


def _columns(lake: Lake, name: TableName, found: Found) -> bytes:
    if found.is_view:
        return _view_columns(lake, name, found)
    return _encoded(_ByLocation(lake, found.location), name)


def _view_columns(lake: Lake, name: TableName, found: Found) -> bytes:
    fields = []
    for one in load_view(lake, found).columns:
        if one.text is None:
            fields.append(_column(name, one.name, one.kind, required=False, doc=one.comment))
            continue
        arrow = wire_type(data_type(wire_text(data_type(one.text))))
        fields.append(field(one.name, arrow, spelled(one.text), Origin(name, one.comment), read_only=True))
    return bytes(pa.schema(fields).serialize())


class _ByLocation:
    """A lake and a metadata file, equal by the file: metadata files never change."""

    def __init__(self, lake: Lake, location: str) -> None:
        self.lake = lake
        self.location = location

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByLocation) and (self.location, self.lake) == (other.location, other.lake)

    def __hash__(self) -> int:
        return hash(self.location)


@lru_cache(maxsize=4096)
def _encoded(place: _ByLocation, name: TableName) -> bytes:
    """Return the table's columns as an encapsulated IPC schema message."""
    columns = place.lake.metadata(place.location).schema().fields
    schema = pa.schema([_column(name, f.name, f.field_type, f.required, f.doc) for f in columns])
    return bytes(schema.serialize())


def _column(table: TableName, name: str, kind: IcebergType, required: bool, doc: str | None) -> pa.Field:
    try:
        arrow = wire_type(data_type(wire_text(data_type(duckdb_type(kind)))))
    except NotSupported:
        # The column is listed all the same; a query that reads it says what is wrong.
        arrow = pa.string()
    origin = Origin(table, doc)
    return field(name, arrow, listed_type(kind), origin, nullable=not required, read_only=False)


def _is_name(pattern: str, name: str) -> bool:
    """Say whether a pattern is a name, with or without its signs escaped."""
    return pattern.replace("\\", "").casefold() == name.replace("\\", "").casefold()


def _like(pattern: str | None) -> Callable[[str], bool]:
    """Return a test for a LIKE pattern: ``%``, ``_``, escaped by a backslash; without case."""
    if pattern is None:
        return lambda _: True
    signs = _signs(pattern.casefold())
    return lambda name: _fits(name.casefold(), signs)


def _signs(pattern: str) -> list[str | None]:
    """Split a pattern: None for ``%``, the empty string for ``_``, else the letter itself."""
    signs: list[str | None] = []
    escaped = False
    for sign in pattern:
        if escaped or sign not in "%_\\":
            signs.append(sign)
            escaped = False
        elif sign == "\\":
            escaped = True
        else:
            signs.append(None if sign == "%" else "")
    return [*signs, "\\"] if escaped else signs


def _fits(name: str, signs: list[str | None]) -> bool:
    # Not a regular expression: a hostile pattern such as %a%a%a… would make one try every split of a
    # name. Going back only to the last % is enough, and bounded by the product of the lengths.
    at = here = 0
    star, retry = -1, 0
    while here < len(name):
        if at < len(signs) and signs[at] is None:
            star, retry = at, here
            at += 1
        elif at < len(signs) and signs[at] in ("", name[here]):
            at += 1
            here += 1
        elif star >= 0:
            retry += 1
            at, here = star + 1, retry
        else:
            return False
    return all(sign is None for sign in signs[at:])


def _rows(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([list(column) for column in columns], schema=schema)
