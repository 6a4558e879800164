"""The columns of information_schema's tables, as the SQL standard and DuckDB name them.

This module must not know rows.
"""

from __future__ import annotations

Columns = tuple[tuple[str, str], ...]


def _columns(text: str) -> Columns:
    """Read ``name`` or ``name:TYPE`` words; VARCHAR goes without saying."""
    pairs = (word.partition(":") for word in text.split())
    return tuple((name, kind or "VARCHAR") for name, _, kind in pairs)


_CONSTRAINT = "constraint_catalog constraint_schema constraint_name"
_TABLE = "table_catalog table_schema table_name"

TABLES: dict[str, Columns] = {
    "character_sets": _columns(
        "character_set_catalog character_set_schema character_set_name character_repertoire form_of_use "
        "default_collate_catalog default_collate_schema default_collate_name"
    ),
    "check_constraints": _columns(f"{_CONSTRAINT} check_clause"),
    "columns": _columns(
        f"{_TABLE} column_name ordinal_position:INTEGER column_default is_nullable data_type "
        "character_maximum_length:INTEGER character_octet_length:INTEGER numeric_precision:INTEGER "
        "numeric_precision_radix:INTEGER numeric_scale:INTEGER datetime_precision:INTEGER interval_type "
        "interval_precision:INTEGER character_set_catalog character_set_schema character_set_name "
        "collation_catalog collation_schema collation_name domain_catalog domain_schema domain_name "
        "udt_catalog udt_schema udt_name scope_catalog scope_schema scope_name maximum_cardinality:BIGINT "
        "dtd_identifier is_self_referencing is_identity identity_generation identity_start "
        "identity_increment identity_maximum identity_minimum identity_cycle is_generated "
        "generation_expression is_updatable column_comment"
    ),
    "constraint_column_usage": _columns(
        f"{_TABLE} column_name {_CONSTRAINT} constraint_type constraint_text"
    ),
    "constraint_table_usage": _columns(f"{_TABLE} {_CONSTRAINT} constraint_type"),
    "key_column_usage": _columns(
        f"{_CONSTRAINT} {_TABLE} column_name ordinal_position:BIGINT position_in_unique_constraint:BIGINT"
    ),
    "referential_constraints": _columns(
        f"{_CONSTRAINT} unique_constraint_catalog unique_constraint_schema unique_constraint_name match_option "
        "update_rule delete_rule"
    ),
    "schemata": _columns(
        "catalog_name schema_name schema_owner default_character_set_catalog default_character_set_schema "
        "default_character_set_name sql_path"
    ),
    "table_constraints": _columns(
        f"{_CONSTRAINT} {_TABLE} constraint_type is_deferrable initially_deferred enforced nulls_distinct"
    ),
    "tables": _columns(
        f"{_TABLE} table_type self_referencing_column_name reference_generation user_defined_type_catalog "
        "user_defined_type_schema user_defined_type_name is_insertable_into is_typed commit_action table_comment"
    ),
    "views": _columns(
        f"{_TABLE} view_definition check_option is_updatable is_insertable_into is_trigger_updatable "
        "is_trigger_deletable is_trigger_insertable_into"
    ),
}
