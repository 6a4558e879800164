"""Typed syntax-tree nodes for the statements and calls that DuckDB does not have.

This module must not know how they are read, written as text, checked or run. Nodes are made once by
the parser and are not changed afterwards.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

from scoter.errors import Span

# Of a node out of a view's text: its view and its place there. The place of the node itself is that of the
# view's name in the statement.
INSIDE = "scoter_inside"
# Of a relation that stands in the place of a table's name: the name as it was written, which names columns.
WRITTEN = "scoter_written"


class Statement(exp.Expression):
    """One whole statement of ours."""

    arg_types: ClassVar[dict[str, bool]] = {}


class SchemaName(exp.Expression):
    """``[catalog.]schema``, both identifiers."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "catalog": False}

    @property
    def catalog(self) -> str | None:
        """The catalog's name as written, or None."""
        return _text(self, "catalog")


class ModelReference(exp.Expression):
    """``[schema.]model[@version]``; the version is a number or an alias, kept as a string literal."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "db": False, "version": False}

    @property
    def schema(self) -> str | None:
        """The schema's name as written, or None."""
        return _text(self, "db")

    @property
    def version(self) -> str | None:
        """What stands behind ``@``, or None."""
        return _text(self, "version")


# Models


class ModelInput(exp.Expression):
    """``name type [ON NULL NULL | NAN | ERROR | literal]`` of an INPUT list.

    ``on_null`` is a Var (NULL, NAN, ERROR) or a literal.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": True, "on_null": False}


class ModelOutput(exp.Expression):
    """``name [type]`` of an OUTPUT list."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": False}


class Option(exp.Expression):
    """``name = value`` of a WITH list."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True}


class CreateModel(Statement):
    """``CREATE [OR REPLACE] MODEL [IF NOT EXISTS] m FROM 'uri' | ? [INPUT (…)] [OUTPUT (…)] [WITH (…)]``."""

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "source": True,
        "replace": False,
        "exists": False,
        "inputs": False,
        "outputs": False,
        "options": False,
    }


class AddModelVersion(Statement):
    """``ALTER MODEL m ADD VERSION FROM 'uri' | ? [INPUT (…)] [OUTPUT (…)] [WITH (…)]``."""

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "source": True,
        "inputs": False,
        "outputs": False,
        "options": False,
    }


class SetModelDefault(Statement):
    """``ALTER MODEL m SET DEFAULT_VERSION = 3``; ``version`` is a number or alias as a string literal."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "version": True}


class SetModelAlias(Statement):
    """``ALTER MODEL m SET ALIAS champion = 3``, or ``… VERSION 3 SET ALIAS = champion``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "alias": True, "version": True}


class DropModelAlias(Statement):
    """``ALTER MODEL m DROP ALIAS champion``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "alias": True}


class DropModelVersion(Statement):
    """``ALTER MODEL m DROP VERSION 2``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "version": True}


class RenameModel(Statement):
    """``ALTER MODEL m RENAME TO n``; ``name`` is a ModelReference without a version."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "name": True}


class SetModelOwner(Statement):
    """``ALTER MODEL m OWNER TO u``; ``owner`` is an identifier."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "owner": True}


class SetModelTags(Statement):
    """``ALTER MODEL m SET TAG t = 'x', …``; ``tags`` are Options with string literals."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "tags": True}


class UnsetModelTags(Statement):
    """``ALTER MODEL m UNSET TAG t, …``; ``tags`` are identifiers."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "tags": True}


class CommentOnModel(Statement):
    """``COMMENT ON MODEL m IS 'text' | NULL``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "comment": True}


class DropModel(Statement):
    """``DROP MODEL [IF EXISTS] m``."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False}


ON_ERROR = ("return", "fail")


class Predict(exp.Expression, exp.Condition):
    """A scalar model call; ``kind`` is ``predict``, ``proba``, ``all`` or ``try``.

    ``model`` is the expression that names the model, ``arguments`` the features, ``class_label`` what
    stands behind ``class =>``, ``on_error`` the literal behind ``on_error =>``.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "model": True,
        "arguments": False,
        "kind": True,
        "class_label": False,
        "on_error": False,
    }

    @property
    def model(self) -> exp.Expr:
        """The expression that names the model; only a string literal can be resolved."""
        return self.args["model"]  # type: ignore[no-any-return]  # arguments of a node are untyped

    @property
    def arguments(self) -> list[exp.Expr]:
        """The feature arguments in the order written."""
        return self.args.get("arguments") or []

    @property
    def kind(self) -> str:
        """One of ``predict``, ``proba``, ``all``, ``try``."""
        return str(self.args["kind"])

    @property
    def class_label(self) -> exp.Expr | None:
        """The label whose probability is asked for, or None."""
        return self.args.get("class_label")

    @property
    def on_error(self) -> exp.Expr | None:
        """``'return'`` or ``'fail'`` as a literal, or None."""
        return self.args.get("on_error")

    @property
    def tries(self) -> bool:
        """Say whether a row that fails has a result, and the statement goes on."""
        return self.kind == "try" or (self.on_error is not None and self.on_error.name == ON_ERROR[0])


class TableCall(exp.Expression):
    """``ML_…(MODEL m@v, TABLE t | TABLE (SELECT …) [, name => value …])`` in FROM.

    ``expression`` is a Table or a query; ``options`` are Option nodes.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True, "options": False}
    function: ClassVar[str] = ""


class MlPredict(TableCall):
    """The rows of a relation, and beside each what a model gives for it."""

    function = "ML_PREDICT"


class MlEvaluate(TableCall):
    """One row: how good a model's results are for a relation that knows the right ones."""

    function = "ML_EVALUATE"


# Tables and schemas


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


# Procedures


class RegisterTable(Statement):
    """``CALL system.register_table(table => 'name', metadata_file => 'path')``.

    ``this`` is the table that is to be, ``metadata_file`` the string literal.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "metadata_file": True}


# Looking


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


# The session


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


def span_of(node: exp.Expr | None) -> Span | None:
    """Return where the first token of ``node`` stands in the SQL, or None when that is not known.

    A node without a place of its own takes the first place among its parts.
    """
    if node is None:
        return None
    own = _own_span(node)
    if own is not None:
        return own
    places = [(p["start"], _own_span(part)) for part in node.walk() if "start" in (p := part.meta)]
    return min(places, key=lambda place: place[0])[1] if places else None


def _own_span(node: exp.Expr) -> Span | None:
    meta = node.meta
    if "line" not in meta:
        return None
    # sqlglot counts the column of a token's last character.
    return Span(meta["line"], max(1, meta["col"] - (meta["end"] - meta["start"])), meta.get(INSIDE))


def _text(node: exp.Expr, key: str) -> str | None:
    part = node.args.get(key)
    return None if part is None else str(part.name)
