"""How names are written: what must be quoted, and a schema that names its catalog.

This module must not know statements.
"""

from __future__ import annotations

from sqlalchemy.sql.compiler import IdentifierPreparer
from sqlalchemy.sql.elements import quoted_name

# Words that can not stand for a column or a table without quotes: DuckDB's keywords but the unreserved ones.
RESERVED = frozenset(
    """
    all analyse analyze and anti any array as asc asof asymmetric at authorization between bigint binary bit
    boolean both by case cast char character check coalesce collate collation column columns concurrently
    constraint create cross current_date current_time current_timestamp dec decimal default deferrable desc
    describe distinct do else end except exists extract false fetch float for foreign freeze from full
    generated glob group grouping grouping_id having ilike in initially inner inout int integer intersect
    interval into is isnull join lambda lateral leading left like limit localtime localtimestamp map
    national natural nchar none not notnull null nullif numeric offset on only or order out outer over
    overlaps overlay pivot pivot_longer pivot_wider placing position positional precision primary qualify
    real references returning right row select semi set setof show similar smallint some struct substring
    summarize symmetric table tablesample then time timestamp to trailing treat trim true try_cast tuple
    union unique unpack unpivot using values varchar variadic verbose when where window with xmlattributes
    xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
    """.split()  # noqa: SIM905  # words read better than a list of a hundred lines
)


def schema_path(schema: str) -> tuple[str | None, str]:
    """Return catalog and schema of ``catalog.schema``, or None and the name; a quoted_name has no catalog."""
    catalog, dot, name = schema.partition(".")
    if dot and not (isinstance(schema, quoted_name) and schema.quote):
        return catalog, name
    return None, schema


class ScoterIdentifierPreparer(IdentifierPreparer):
    """Quotes names with ``"`` where they are reserved, have other characters, or capitals."""

    reserved_words = set(RESERVED)  # noqa: RUF012  # SQLAlchemy's name and form

    def quote_schema(self, schema: str, force: object = None) -> str:
        """Return ``schema`` or ``catalog.schema``, each part quoted on its own."""
        catalog, name = schema_path(schema)
        return self.quote(name) if catalog is None else f"{self.quote(catalog)}.{self.quote(name)}"
