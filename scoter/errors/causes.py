"""What ends a statement that is right: who asks, values and files, models, limits, other writers.

This module must not know which part raises an error.
"""

from __future__ import annotations

from scoter.errors.roots import AccessError, Cancelled, ConcurrencyError, DataError, ModelError, ResourceError


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


class CardinalityViolation(DataError):
    """More than one row of a MERGE's source would change the same row of its target."""

    sqlstate = "21000"
    condition = "CARDINALITY_VIOLATION"


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


class WriteConflict(ConcurrencyError):
    """The table was changed by another writer in a way that does not fit this write."""

    sqlstate = "40001"
    condition = "WRITE_CONFLICT"


class OutcomeUnknown(ConcurrencyError):
    """The answer to a commit was lost: it may or may not have been made."""

    sqlstate = "08007"
    condition = "OUTCOME_UNKNOWN"


class StatementTimeout(Cancelled):
    """The statement ran longer than ``statement_timeout``."""

    condition = "STATEMENT_TIMEOUT"
