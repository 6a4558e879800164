"""What is wrong with a statement itself.

This module must not know how a statement is read or bound.
"""

from __future__ import annotations

from scoter.errors.roots import StatementError


class InvalidSyntax(StatementError):
    """The text is not SQL, or not exactly one statement."""

    sqlstate = "42601"
    condition = "SYNTAX_ERROR"


class TooLarge(StatementError):
    """The statement has more bytes than ``max_sql_bytes``."""

    sqlstate = "54000"
    condition = "STATEMENT_TOO_LARGE"


class TooComplex(StatementError):
    """The statement is nested too deeply or has too many parts."""

    sqlstate = "54001"
    condition = "STATEMENT_TOO_COMPLEX"


class NotSupported(StatementError):
    """The statement, function or option is not one that Scoter offers."""

    sqlstate = "0A000"
    condition = "NOT_SUPPORTED"


class UndefinedTable(StatementError):
    """No table of that name can be seen."""

    sqlstate = "42P01"
    condition = "UNDEFINED_TABLE"


class UndefinedSchema(StatementError):
    """No schema of that name can be seen."""

    sqlstate = "3F000"
    condition = "UNDEFINED_SCHEMA"


class UndefinedCatalog(StatementError):
    """No catalog of that name can be seen."""

    sqlstate = "3D000"
    condition = "UNDEFINED_CATALOG"


class UndefinedColumn(StatementError):
    """No column of that name is in scope."""

    sqlstate = "42703"
    condition = "UNDEFINED_COLUMN"


class UndefinedFunction(StatementError):
    """No function of that name, or none that takes these arguments."""

    sqlstate = "42883"
    condition = "UNDEFINED_FUNCTION"


class UndefinedModel(StatementError):
    """No model of that name can be seen."""

    sqlstate = "42704"
    condition = "UNDEFINED_MODEL"


class UndefinedVersion(StatementError):
    """The model has no such version or alias."""

    sqlstate = "42704"
    condition = "UNDEFINED_MODEL_VERSION"


class UndefinedTag(StatementError):
    """The model has no such tag."""

    sqlstate = "42704"
    condition = "UNDEFINED_TAG"


class UndefinedSetting(StatementError):
    """No setting of that name can be set or shown."""

    sqlstate = "42704"
    condition = "UNDEFINED_SETTING"


class UndefinedSnapshot(StatementError):
    """The table has no such snapshot, branch or tag."""

    sqlstate = "42704"
    condition = "UNDEFINED_SNAPSHOT"


class DuplicateTable(StatementError):
    """A table of that name exists."""

    sqlstate = "42P07"
    condition = "DUPLICATE_TABLE"


class DuplicateSchema(StatementError):
    """A schema of that name exists."""

    sqlstate = "42P06"
    condition = "DUPLICATE_SCHEMA"


class DuplicateModel(StatementError):
    """A model of that name exists."""

    sqlstate = "42710"
    condition = "DUPLICATE_MODEL"


class DuplicateColumn(StatementError):
    """A column name appears twice where names must differ."""

    sqlstate = "42701"
    condition = "DUPLICATE_COLUMN"


class SchemaNotEmpty(StatementError):
    """A schema with tables in it can not be dropped."""

    sqlstate = "2BP01"
    condition = "SCHEMA_NOT_EMPTY"


class AmbiguousName(StatementError):
    """A name can be read in two ways and both exist."""

    sqlstate = "42725"
    condition = "AMBIGUOUS_NAME"


class AmbiguousColumn(StatementError):
    """A column name fits more than one table in scope."""

    sqlstate = "42702"
    condition = "AMBIGUOUS_COLUMN"


class TypeMismatch(StatementError):
    """A value has a type that can not be used there."""

    sqlstate = "42804"
    condition = "TYPE_MISMATCH"


class WrongArguments(StatementError):
    """A model call has too few, too many or wrongly named arguments."""

    sqlstate = "42883"
    condition = "WRONG_ARGUMENTS"


class UnknownParameterType(StatementError):
    """The type of a parameter can not be found from the statement."""

    sqlstate = "42P18"
    condition = "UNKNOWN_PARAMETER_TYPE"


class InvalidDefinition(StatementError):
    """A definition (table, column, partition field, model input) contradicts itself."""

    sqlstate = "42611"
    condition = "INVALID_DEFINITION"


class GroupingError(StatementError):
    """A column is neither grouped nor aggregated, or an aggregate stands where none may."""

    sqlstate = "42803"
    condition = "GROUPING_ERROR"


class WrongObject(StatementError):
    """The name is a view where a table is needed, or a table where a view is."""

    sqlstate = "42809"
    condition = "WRONG_OBJECT_TYPE"


class StaleView(StatementError):
    """What a view reads has changed, so that its columns are no longer those that it was made with."""

    sqlstate = "42P11"
    condition = "STALE_VIEW"
