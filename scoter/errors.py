"""Every error that Scoter raises: one tree, each class with its SQLSTATE and condition name.

This module must not know which part raises an error, nor how it is sent to a client.

    ScoterError
    ├── StatementError      the statement itself can not be accepted
    │   ├── InvalidSyntax, TooLarge, TooComplex, NotSupported
    │   ├── UndefinedTable, UndefinedSchema, UndefinedCatalog, UndefinedColumn,
    │   │   UndefinedFunction, UndefinedModel, UndefinedVersion, UndefinedTag, UndefinedSetting,
    │   │   UndefinedSnapshot
    │   ├── DuplicateTable, DuplicateSchema, DuplicateModel, DuplicateColumn, SchemaNotEmpty
    │   ├── AmbiguousName, AmbiguousColumn, TypeMismatch, WrongArguments, UnknownParameterType
    │   └── InvalidDefinition, GroupingError, WrongObject, StaleView
    ├── AccessError         who asks may not
    │   └── AuthenticationFailed, PermissionDenied, InvalidTicket, InvalidHandle
    ├── DataError           a value or a file does not fit
    │   └── NumericOutOfRange, DivisionByZero, InvalidText, NotNullViolation,
    │       InvalidValue, ValueTooLarge, CorruptData, WrongParameterCount
    ├── ModelError          a model can not be accepted or run
    │   └── InvalidModel, ModelFailed, ModelTooSlow, ModelQuarantined, GoldenRowsBroken
    ├── ResourceError       a limit was reached; the same statement may succeed later
    │   └── OutOfMemory, DiskFull, TooManyStatements, TooManySessions, TooManyStreams, ClientStalled,
    │       ShuttingDown, Unreachable
    ├── ConcurrencyError    another writer came first
    │   └── WriteConflict, OutcomeUnknown
    ├── Cancelled           the statement was ended from outside
    │   └── StatementTimeout
    ├── ConfigurationError  settings can not be used
    └── InternalError       a defect of Scoter; details are in the log under the query id
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, order=True)
class Span:
    """A place in the SQL text: line and column count from 1.

    ``inside`` names the place in a view's text that is meant, where the statement holds the view's name only.
    """

    line: int
    column: int
    inside: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        within = f", in view {self.inside}" if self.inside else ""
        return f"{self.line}:{self.column}{within}"


class ScoterError(Exception):
    """An error with an SQLSTATE, a condition name and, where known, a hint and a place in the SQL."""

    sqlstate: ClassVar[str] = "XX000"
    condition: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        span: Span | None = None,
        query_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.span = span
        self.query_id = query_id

    def text(self) -> str:
        """Return the one line that a user sees.

        Form: ``[SQLSTATE] CONDITION: message (line:column). Hint: … Query id …``.
        """
        place = f" ({self.span})" if self.span else ""
        message = self.message.strip().rstrip(".")
        parts = [f"[{self.sqlstate}] {self.condition}: {message}{place}."]
        if self.hint:
            hint = self.hint.strip().rstrip(".")
            parts.append(f"Hint: {hint}" if hint.endswith("?") else f"Hint: {hint}.")
        if self.query_id:
            parts.append(f"Query id {self.query_id}")
        return " ".join(parts)

    def __str__(self) -> str:
        return self.text()


class StatementError(ScoterError):
    """The statement itself can not be accepted."""


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


class AccessError(ScoterError):
    """Who asks may not."""


class AuthenticationFailed(AccessError):
    """The user, password or token is not valid."""

    sqlstate = "28000"
    condition = "AUTHENTICATION_FAILED"


class PermissionDenied(AccessError):
    """The role does not allow the statement."""

    sqlstate = "42501"
    condition = "PERMISSION_DENIED"


class InvalidTicket(AccessError):
    """A ticket is not one of ours, has expired, or belongs to someone else."""

    sqlstate = "34000"
    condition = "INVALID_TICKET"


class InvalidHandle(AccessError):
    """A prepared statement's handle is not one of ours, has expired, or belongs to someone else."""

    sqlstate = "26000"
    condition = "INVALID_HANDLE"


class DataError(ScoterError):
    """A value or a file does not fit."""


class NumericOutOfRange(DataError):
    """A number does not fit its type."""

    sqlstate = "22003"
    condition = "NUMERIC_OUT_OF_RANGE"


class DivisionByZero(DataError):
    """A division by zero that has no result."""

    sqlstate = "22012"
    condition = "DIVISION_BY_ZERO"


class InvalidText(DataError):
    """A text can not be read as a value of the type."""

    sqlstate = "22P02"
    condition = "INVALID_TEXT"


class NotNullViolation(DataError):
    """NULL was to be written to a NOT NULL column."""

    sqlstate = "23502"
    condition = "NOT_NULL_VIOLATION"


class InvalidValue(DataError):
    """A value is not allowed there."""

    sqlstate = "22023"
    condition = "INVALID_VALUE"


class ValueTooLarge(DataError):
    """A single value is larger than a message may be."""

    sqlstate = "54000"
    condition = "VALUE_TOO_LARGE"


class CorruptData(DataError):
    """A file of the lake is missing, truncated or not what its metadata says."""

    sqlstate = "XX001"
    condition = "CORRUPT_DATA"


class WrongParameterCount(DataError):
    """The bound values are more or fewer than the statement's parameters."""

    sqlstate = "07001"
    condition = "WRONG_PARAMETER_COUNT"


class ModelError(ScoterError):
    """A model can not be accepted or run."""


class InvalidModel(ModelError):
    """A model file is refused: not ONNX, too large, external data, unknown operators, crash on load."""

    sqlstate = "22023"
    condition = "INVALID_MODEL"


class ModelFailed(ModelError):
    """A model failed while it scored rows."""

    sqlstate = "38000"
    condition = "MODEL_FAILED"


class ModelTooSlow(ModelError):
    """A model took longer for one batch of rows than ``models.batch_seconds``."""

    sqlstate = "57014"
    condition = "MODEL_TOO_SLOW"


class ModelQuarantined(ModelError):
    """A model has ended so many statements by the time or memory that it took that it is not run any more."""

    sqlstate = "38000"
    condition = "MODEL_QUARANTINED"


class GoldenRowsBroken(ModelError):
    """A model gives other results than the rows that it was registered with say."""

    sqlstate = "38000"
    condition = "GOLDEN_ROWS_BROKEN"


class ResourceError(ScoterError):
    """A limit was reached; the same statement may succeed later."""


class OutOfMemory(ResourceError):
    """The statement needed more memory than its share."""

    sqlstate = "53200"
    condition = "OUT_OF_MEMORY"


class DiskFull(ResourceError):
    """The temporary space of the statement, or the disk, is full."""

    sqlstate = "53100"
    condition = "DISK_FULL"


class TooManyStatements(ResourceError):
    """The server, or one user, has as many statements under way as it may."""

    sqlstate = "53300"
    condition = "TOO_MANY_STATEMENTS"


class TooManySessions(ResourceError):
    """A user has as many sessions as it may."""

    sqlstate = "53300"
    condition = "TOO_MANY_SESSIONS"


class TooManyStreams(ResourceError):
    """A user fetches as many results at once as it may."""

    sqlstate = "53300"
    condition = "TOO_MANY_STREAMS"


class ClientStalled(ResourceError):
    """The client stopped reading a result, or sending rows, for longer than ``stall_seconds``."""

    sqlstate = "57014"
    condition = "CLIENT_STALLED"


class ShuttingDown(ResourceError):
    """The server is stopping and takes no new statements."""

    sqlstate = "57P03"
    condition = "SHUTTING_DOWN"


class Unreachable(ResourceError):
    """A service that the lake needs, such as the database of its metastore, can not be reached."""

    sqlstate = "58000"
    condition = "UNREACHABLE"


class ConcurrencyError(ScoterError):
    """Another writer came first."""


class WriteConflict(ConcurrencyError):
    """The table was changed by another writer in a way that does not fit this write."""

    sqlstate = "40001"
    condition = "WRITE_CONFLICT"


class OutcomeUnknown(ConcurrencyError):
    """The answer to a commit was lost: it may or may not have been made."""

    sqlstate = "08007"
    condition = "OUTCOME_UNKNOWN"


class Cancelled(ScoterError):
    """The statement was ended by its client or by the server."""

    sqlstate = "57014"
    condition = "CANCELLED"


class StatementTimeout(Cancelled):
    """The statement ran longer than ``statement_timeout``."""

    condition = "STATEMENT_TIMEOUT"


class ConfigurationError(ScoterError):
    """Settings can not be used."""

    sqlstate = "F0000"
    condition = "CONFIGURATION_ERROR"


class InternalError(ScoterError):
    """A defect of Scoter; the details are in the log under the query id."""
