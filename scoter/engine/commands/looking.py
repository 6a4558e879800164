"""SHOW and DESCRIBE: what the catalogs hold, as rows.

This module must not know how anything is changed.
"""

from __future__ import annotations

from typing import Any

from pyiceberg.types import NestedField
from sqlglot import exp

from scoter.catalog.comments import comments_inside
from scoter.catalog.names import TableName
from scoter.catalog.views import View, load_view
from scoter.engine.commands.outcome import Call, Columns, Command, Outcome
from scoter.engine.commands.places import known_schema
from scoter.engine.naming import table_name
from scoter.engine.resolved import Source
from scoter.engine.statements import (
    DescribeTable,
    ShowCatalogs,
    ShowColumns,
    ShowCreateTable,
    ShowSchemas,
    ShowTables,
    ShowViews,
    Statement,
    span_of,
)
from scoter.engine.types import listed_type, literal, quote, spelled
from scoter.errors import UndefinedCatalog, WrongObject
from scoter.suggestions import closest

COLUMNS: Columns = (
    ("column_name", "VARCHAR"),
    ("column_type", "VARCHAR"),
    ("null", "VARCHAR"),
    ("key", "VARCHAR"),
    ("default", "VARCHAR"),
    ("extra", "VARCHAR"),
)


def _schemas(call: Call) -> Outcome:
    catalog = call.tree.this.name if call.tree.this is not None else call.context.catalog
    _known_catalog(call, catalog)
    return Outcome([(catalog, name) for name in call.parts.lake.schemas(catalog)], call.context)


def _catalogs(call: Call) -> Outcome:
    return Outcome([(name,) for name in call.parts.lake.catalogs()], call.context)


def _tables(call: Call) -> Outcome:
    lake = call.parts.lake
    if call.tree.args.get("everywhere"):
        rows = [
            (catalog, schema, name)
            for catalog in lake.catalogs()
            for schema in lake.schemas(catalog)
            for name in sorted(lake.tables(catalog, schema) + lake.views(catalog, schema))
        ]
        return Outcome(rows, call.context)
    catalog, schema = _place(call)
    names = sorted(lake.tables(catalog, schema) + lake.views(catalog, schema))
    return Outcome([(catalog, schema, name) for name in names], call.context)


def _views(call: Call) -> Outcome:
    catalog, schema = _place(call)
    return Outcome([(catalog, schema, n) for n in call.parts.lake.views(catalog, schema)], call.context)


def _place(call: Call) -> tuple[str, str]:
    """Return the catalog and schema that a SHOW is about; raises UndefinedCatalog, UndefinedSchema."""
    place = call.tree.this
    catalog = (place.catalog if place is not None else None) or call.context.catalog
    schema = place.name if place is not None else call.context.schema
    _known_catalog(call, catalog)
    known_schema(call, catalog, schema, call.tree)
    return catalog, schema


def _known_catalog(call: Call, catalog: str) -> None:
    known = call.parts.lake.catalogs()
    if catalog not in known:
        raise UndefinedCatalog(
            f'catalog "{catalog}" does not exist', hint=closest(catalog, known), span=span_of(call.tree)
        )


def _describe(call: Call) -> Outcome:
    if call.resolved.views:
        return Outcome(_view_columns(call), call.context)
    source: Source = call.resolved.sources[0]
    if source.schema is None or source.virtual is not None:
        return Outcome([(n, kind, "YES", None, None, None) for n, kind in source.columns], call.context)
    rows: list[tuple[Any, ...]] = [
        (f.name, listed_type(f.field_type), "NO" if f.required else "YES", None, None, _remarks(f))
        for f in source.schema.fields
    ]
    return Outcome(rows, call.context)


def _view_columns(call: Call) -> list[tuple[Any, ...]]:
    (view,) = call.resolved.views
    remarks = [column.comment for column in _view(call, view.pin.name).columns]
    kinds = [spelled(kind) for _, kind in view.pin.columns]
    return [
        (name, kind, "YES", None, None, remark)
        for (name, _), kind, remark in zip(view.pin.columns, kinds, remarks, strict=True)
    ]


def _view(call: Call, name: TableName) -> View:
    lake = call.parts.lake
    found = lake.look_up([name]).get(name)
    if found is None or not found.is_view:
        raise lake.undefined(name)
    return load_view(lake, found)


def _remarks(field: NestedField) -> str | None:
    """Return the comment of a column, and behind it those of the fields inside."""
    inside = [f"{path}: {text}" for path, text in comments_inside(field)]
    return "; ".join([field.doc, *inside] if field.doc else inside) if inside else field.doc


def _create_statement(call: Call) -> Outcome:
    if call.resolved.views:
        return _create_view(call)
    lake = call.parts.lake
    name = table_name(call.tree.this, call.context, lake)
    if call.tree.args.get("view"):
        raise WrongObject(f"{name} is a table", hint="write SHOW CREATE TABLE")
    metadata = lake.load(name).metadata
    schema, spec = metadata.schema(), metadata.spec()
    lines = []
    for field in schema.fields:
        line = f"  {exp.to_identifier(field.name, quoted=True).sql(dialect='duckdb')} {listed_type(field.field_type)}"
        line += " NOT NULL" if field.required else ""
        line += f" COMMENT {literal(field.doc)}" if field.doc else ""
        lines.append(line)
    text = f"CREATE TABLE {_plain(name)} (\n" + ",\n".join(lines) + "\n)"
    if spec.fields:
        text += f" PARTITIONED BY ({', '.join(_partition(schema, f) for f in spec.fields)})"
    comment = metadata.properties.get("comment")
    text += f" COMMENT {literal(comment)}" if comment else ""
    return Outcome([(str(name), text)], call.context)


def _create_view(call: Call) -> Outcome:
    name = call.resolved.views[0].pin.name
    view = _view(call, name)
    parts = [
        quote(column.name) + (f" COMMENT {literal(column.comment)}" if column.comment else "")
        for column in view.columns
    ]
    text = f"CREATE VIEW {_plain(name)} ({', '.join(parts)})"
    text += f" COMMENT {literal(view.comment)}" if view.comment else ""
    return Outcome([(str(name), f"{text} AS\n{view.sql}")], call.context)


def _plain(name: TableName) -> str:
    return f"{name.schema}.{TableName(name.catalog, name.schema, name.name).name}"


def _partition(schema: Any, field: Any) -> str:
    column = schema.find_column_name(field.source_id)
    transform = str(field.transform)
    if transform == "identity":
        return str(column)
    if "[" in transform:
        verb, number = transform.rstrip("]").split("[")
        return f"{verb}({number}, {column})"
    return f"{transform}({column})"


COMMANDS: dict[type[Statement], Command] = {
    ShowSchemas: Command((("catalog_name", "VARCHAR"), ("schema_name", "VARCHAR")), _schemas, changes=False),
    ShowCatalogs: Command((("catalog_name", "VARCHAR"),), _catalogs, changes=False),
    ShowTables: Command(
        (("catalog_name", "VARCHAR"), ("schema_name", "VARCHAR"), ("table_name", "VARCHAR")),
        _tables,
        changes=False,
    ),
    ShowViews: Command(
        (("catalog_name", "VARCHAR"), ("schema_name", "VARCHAR"), ("view_name", "VARCHAR")),
        _views,
        changes=False,
    ),
    ShowColumns: Command(COLUMNS, _describe, changes=False),
    DescribeTable: Command(COLUMNS, _describe, changes=False),
    ShowCreateTable: Command(
        (("table_name", "VARCHAR"), ("create_statement", "VARCHAR")), _create_statement, changes=False
    ),
}
