"""The statements that look, and those that set what a session goes by.

This module must not know how they are read, checked or run.
"""

from __future__ import annotations

from typing import ClassVar

from scoter.engine.statements.places import Statement


class ShowModels(Statement):
    """``SHOW MODELS [FROM schema]``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": False}


class ShowVersions(Statement):
    """``SHOW VERSIONS IN MODEL m``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class ShowTables(Statement):
    """``SHOW TABLES [FROM [catalog.]schema]``; ``everywhere`` for ``SHOW ALL TABLES``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": False, "everywhere": False}


class ShowSchemas(Statement):
    """``SHOW SCHEMAS [FROM catalog]``; ``this`` is the catalog's identifier."""

    arg_types: ClassVar[dict[str, bool]] = {"this": False}


class ShowCatalogs(Statement):
    """``SHOW CATALOGS`` or ``SHOW DATABASES``."""


class ShowColumns(Statement):
    """``SHOW COLUMNS FROM t``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class ShowViews(Statement):
    """``SHOW VIEWS [FROM [catalog.]schema]``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": False}


class ShowCreateTable(Statement):
    """``SHOW CREATE TABLE t``; with ``view`` ``SHOW CREATE VIEW v``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "view": False}


class ShowCreateModel(Statement):
    """``SHOW CREATE MODEL m``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class ShowSettings(Statement):
    """``SHOW ALL``."""


class ShowIsolation(Statement):
    """``SHOW TRANSACTION ISOLATION LEVEL`` or ``SHOW transaction_isolation``."""


class ShowSetting(Statement):
    """``SHOW name``; ``this`` is an identifier. ``SHOW TIME ZONE`` has the name ``timezone``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class DescribeModel(Statement):
    """``DESCRIBE MODEL m[@version]``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class DescribeTable(Statement):
    """``DESCRIBE t``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class DescribeQuery(Statement):
    """``DESCRIBE SELECT …``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class Explain(Statement):
    """``EXPLAIN [ANALYZE] statement``; ``this`` is the inner statement."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "analyze": False}


class SetSetting(Statement):
    """``SET name = value``; ``this`` is an identifier. ``SET TIME ZONE`` has the name ``timezone``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True}


class ResetSetting(Statement):
    """``RESET name``, or ``RESET ALL`` without a name."""

    arg_types: ClassVar[dict[str, bool]] = {"this": False}


class UseSchema(Statement):
    """``USE [catalog.]schema``; ``this`` is a SchemaName."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


class BeginTransaction(Statement):
    """``BEGIN``."""


class CommitTransaction(Statement):
    """``COMMIT``."""


class RollbackTransaction(Statement):
    """``ROLLBACK``."""
