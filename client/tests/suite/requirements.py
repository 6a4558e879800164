"""Which parts of SQLAlchemy's suite for dialects apply to Scoter, and why the others do not."""

from __future__ import annotations

from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

# What Scoter has and SQLAlchemy does not take for granted.
OFFERED = frozenset(
    """
    array_type binary_literals boolean_col_expressions comment_reflection comment_reflection_full_unicode
    create_or_replace_view
    ctes ctes_with_values datetime_historic datetime_literals datetime_timezone datetime_timezone_historic
    date_historic default_schema_name_switch except_ fetch_expression fetch_no_order_by
    implicit_decimal_binds infinity_floats intersect isolation_level json_type mod_operator_as_percent_sign
    nullsordering order_by_label_with_expression precision_numerics_enotation_small
    precision_numerics_many_significant_digits regexp_match regexp_replace schema_create_delete schemas
    supports_bitwise_and supports_bitwise_not supports_bitwise_or supports_bitwise_shift
    supports_is_distinct_from timestamp_microseconds tuple_in uuid_data_type views window_functions window_range
    window_range_non_numeric window_range_numeric
    """.split()  # noqa: SIM905  # words read better than a list of a hundred lines
)

# What Scoter has not. SQLAlchemy's other requirements of this kind are closed unless a dialect opens them.
ABSENT = {
    "autocommit": "there is no other mode to switch to",
    "autoincrement_insert": "Iceberg tables have no generated values",
    "autoincrement_without_sequence": "Iceberg tables have no generated values",
    "cast_precision_numerics_many_significant_digits": "DuckDB reads numbers in JSON as doubles",
    "check_constraint_reflection": "Iceberg tables have no constraints but NOT NULL",
    "ctes_on_dml": "a WITH clause before INSERT is written behind it",
    "ctes_with_update_delete": "UPDATE … FROM and DELETE … USING are not offered",
    "date_coerces_from_datetime": "a timestamp bound to a DATE is not cut to its date by the client",
    "delete_from": "DELETE … USING is not offered",
    "delete_returning": "RETURNING is not offered",
    "duplicate_key_raises_integrity_error": "keys are not enforced",
    "empty_inserts": "INSERT … DEFAULT VALUES is not offered",
    "emulated_lastrowid": "Iceberg tables have no generated values",
    "foreign_key_constraint_reflection": "Iceberg tables have no foreign keys",
    "implements_get_lastrowid": "Iceberg tables have no generated values",
    "index_reflection": "Iceberg tables have no indexes",
    "indexes_with_ascdesc": "Iceberg tables have no indexes",
    "insert_returning": "RETURNING is not offered",
    "named_constraints": "Iceberg tables have no constraints but NOT NULL",
    "on_update_cascade": "Iceberg tables have no foreign keys",
    "percent_schema_names": "names of tables and schemas hold letters, digits, _, $, - and spaces",
    "primary_key_constraint_reflection": "Iceberg tables have no primary keys",
    "recursive_fk_cascade": "Iceberg tables have no foreign keys",
    "reflect_indexes_with_ascdesc": "Iceberg tables have no indexes",
    "sane_rowcount": "the counts of UPDATE and DELETE have not been tried",
    "savepoints": "transactions are not offered yet",
    "self_referential_foreign_keys": "Iceberg tables have no foreign keys",
    "supports_distinct_on": "the dialect writes no DISTINCT ON",
    "temp_table_reflection": "there are no temporary tables",
    "temporary_tables": "there are no temporary tables",
    "time_timezone": "a TIME with a time zone can not be stored",
    "two_phase_transactions": "transactions are not offered yet",
    "unicode_ddl": "names of tables and schemas hold letters, digits, _, $, - and spaces",
    "unique_constraint_reflection": "Iceberg tables have no constraints but NOT NULL",
    "unusual_column_name_characters": "the test needs such names for tables too",
    "update_from": "UPDATE … FROM is not offered",
    "update_returning": "RETURNING is not offered",
}


def _requirement(*, reason: str | None) -> property:
    """Return what opens the tests that ask for it, or closes them for a reason.

    A new exclusion is made for each test, because the suite adds to the exclusions that a test has.
    """
    return property(lambda _: exclusions.skip_if(exclusions.BooleanPredicate(reason is not None, reason)))


class Requirements(SuiteRequirements):
    """What the suite asks before each test."""

    def get_isolation_levels(self, config: Any) -> dict[str, Any]:  # noqa: ARG002  # SQLAlchemy's signature
        """Return the one level."""
        return {"default": "AUTOCOMMIT", "supported": ["AUTOCOMMIT"]}


for _name in OFFERED:
    setattr(Requirements, _name, _requirement(reason=None))
for _name, _reason in ABSENT.items():
    setattr(Requirements, _name, _requirement(reason=_reason))
