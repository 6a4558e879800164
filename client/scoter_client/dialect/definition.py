"""SQLAlchemy's tables as CREATE TABLE statements that Scoter takes.

This module must not know queries or connections.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc, schema, types
from sqlalchemy.sql.compiler import DDLCompiler


class ScoterDDLCompiler(DDLCompiler):
    """Writes definitions.

    Primary and foreign keys are for SQLAlchemy's own use, mapping and joins, and are left out: Iceberg tables
    have NOT NULL alone. Indexes only make queries faster and are left out too. What would change what a table
    may hold can not be left out, and is an error: UNIQUE and CHECK.
    """

    def get_column_specification(self, column: Any, **kwargs: Any) -> str:
        text = str(super().get_column_specification(column, **kwargs))
        return text + self._comment(column.comment)

    def create_table_constraints(
        self,
        table: Any,
        _include_foreign_key_constraints: Any = None,
        **kw: Any,
    ) -> str:
        for constraint in table.constraints:
            if constraint._create_rule is not None and not constraint._create_rule(self):  # noqa: SLF001  # the type decides
                continue
            if isinstance(constraint, (schema.UniqueConstraint, schema.CheckConstraint)):
                kind = "UNIQUE" if isinstance(constraint, schema.UniqueConstraint) else "CHECK"
                raise exc.CompileError(f"Scoter has no {kind} constraints: table {table.name!r}")
        return ""

    def post_create_table(self, table: Any) -> str:
        text = ""
        fields = table.dialect_options["scoter"]["partition_by"]
        if fields is not None:
            fields = [fields] if isinstance(fields, str) else list(fields)
            text += f" PARTITIONED BY ({', '.join(fields)})"
        return text + self._comment(table.comment)

    def visit_create_index(self, create: Any, *args: Any, **kw: Any) -> str:
        if create.element.unique:
            raise exc.CompileError(f"Scoter has no unique indexes: index {create.element.name!r}")
        return ""

    def visit_drop_index(self, drop: Any, **kw: Any) -> str:
        return ""

    def _comment(self, text: str | None) -> str:
        if text is None:
            return ""
        return f" COMMENT {self.sql_compiler.render_literal_value(text, types.String())}"
