"""Arrow schemas of the answers to Flight SQL's metadata commands, as the protocol fixes them.

This module must not know where the rows come from.
"""

from __future__ import annotations

import pyarrow as pa


def _text(name: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, pa.string(), nullable=not required)


def _number(name: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, pa.int32(), nullable=not required)


CATALOGS = pa.schema([_text("catalog_name", required=True)])

DB_SCHEMAS = pa.schema([_text("catalog_name"), _text("db_schema_name", required=True)])

TABLE_TYPES = pa.schema([_text("table_type", required=True)])

TABLES = pa.schema(
    [
        _text("catalog_name"),
        _text("db_schema_name"),
        _text("table_name", required=True),
        _text("table_type", required=True),
    ]
)

TABLES_WITH_SCHEMA = TABLES.append(pa.field("table_schema", pa.binary(), nullable=False))

PRIMARY_KEYS = pa.schema(
    [
        _text("catalog_name"),
        _text("db_schema_name"),
        _text("table_name", required=True),
        _text("column_name", required=True),
        _text("key_name"),
        _number("key_sequence", required=True),
    ]
)

FOREIGN_KEYS = pa.schema(
    [
        _text("pk_catalog_name"),
        _text("pk_db_schema_name"),
        _text("pk_table_name", required=True),
        _text("pk_column_name", required=True),
        _text("fk_catalog_name"),
        _text("fk_db_schema_name"),
        _text("fk_table_name", required=True),
        _text("fk_column_name", required=True),
        _number("key_sequence", required=True),
        _text("fk_key_name"),
        _text("pk_key_name"),
        pa.field("update_rule", pa.uint8(), nullable=False),
        pa.field("delete_rule", pa.uint8(), nullable=False),
    ]
)

TYPE_INFO = pa.schema(
    [
        _text("type_name", required=True),
        _number("data_type", required=True),
        _number("column_size"),
        _text("literal_prefix"),
        _text("literal_suffix"),
        pa.field("create_params", pa.list_(pa.field("item", pa.string(), nullable=False))),
        _number("nullable", required=True),
        pa.field("case_sensitive", pa.bool_(), nullable=False),
        _number("searchable", required=True),
        pa.field("unsigned_attribute", pa.bool_()),
        pa.field("fixed_prec_scale", pa.bool_(), nullable=False),
        pa.field("auto_increment", pa.bool_()),
        _text("local_type_name"),
        _number("minimum_scale"),
        _number("maximum_scale"),
        _number("sql_data_type", required=True),
        _number("datetime_subcode"),
        _number("num_prec_radix"),
        _number("interval_precision"),
    ]
)

# What a write answers when a client reads it like a query.
COUNT = pa.schema([pa.field("Count", pa.int64())])
