"""The statements of schemas, tables and views.

This module must not know how they are read, checked or run.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

from scoter.engine.statements.places import Statement


class TableColumn(exp.Expression):
    """``name type [NOT NULL] [COMMENT 'text']`` of CREATE TABLE."""

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "kind": True,
        "not_null": False,
        "comment": False,
    }


class PartitionField(exp.Expression):
    """One entry of PARTITIONED BY.

    ``this`` is the column's identifier, ``transform`` one of identity, year, month, day, hour, bucket,
    truncate; ``parameter`` the number of bucket and truncate as a literal.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "transform": True, "parameter": False}

    @property
    def transform_name(self) -> str:
        """The transform's Iceberg name."""
        return str(self.args["transform"])

    @property
    def parameter(self) -> int | None:
        """The number of buckets or the width, or None."""
        value = self.args.get("parameter")
        return None if value is None else int(value.name)


class CreateTable(Statement):
    """``CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t (…) [PARTITIONED BY (…)] [COMMENT …] [AS query]``.

    ``columns`` are TableColumn nodes; a CTAS has ``expression`` and no columns; ``with_data`` is False
    for ``WITH NO DATA``.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "columns": False,
        "expression": False,
        "replace": False,
        "exists": False,
        "partitions": False,
        "comment": False,
        "options": False,
        "no_data": False,
    }


class DropTable(Statement):
    """``DROP TABLE [IF EXISTS] t [CASCADE | RESTRICT]``; ``behaviour`` is kept as written."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False, "behaviour": False}


class ViewColumn(exp.Expression):
    """``name [COMMENT 'text']`` of CREATE VIEW."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "comment": False}


class CreateView(Statement):
    """``CREATE [OR REPLACE] VIEW [IF NOT EXISTS] v [(column, …)] [COMMENT 'text'] AS query``.

    ``columns`` are ViewColumn nodes.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "columns": False,
        "expression": True,
        "replace": False,
        "exists": False,
        "comment": False,
    }


class DropView(Statement):
    """``DROP VIEW [IF EXISTS] v``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False}


class RenameView(Statement):
    """``ALTER VIEW v RENAME TO w``; ``name`` is a Table."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "name": True}


class CreateSchema(Statement):
    """``CREATE SCHEMA [IF NOT EXISTS] s``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False}


class DropSchema(Statement):
    """``DROP SCHEMA [IF EXISTS] s [CASCADE]``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False, "cascade": False}


class CommentOn(Statement):
    """``COMMENT ON TABLE t IS 'text' | NULL``, ``COMMENT ON COLUMN t.c IS 'text' | NULL``.

    A table or, with ``view``, a view is in ``this``; a column's whole dotted name, which only the lake
    can take apart, in ``path``.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": False, "path": False, "comment": True, "view": False}


class RegisterTable(Statement):
    """``CALL system.register_table(table => 'name', metadata_file => 'path')``.

    ``this`` is the table that is to be, ``metadata_file`` the string literal.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "metadata_file": True}
