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
    │       InvalidValue, ValueTooLarge, CorruptData, WrongParameterCount, CardinalityViolation
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

from scoter.errors.causes import (
    AuthenticationFailed,
    CardinalityViolation,
    ClientStalled,
    CorruptData,
    DiskFull,
    DivisionByZero,
    GoldenRowsBroken,
    InvalidHandle,
    InvalidModel,
    InvalidText,
    InvalidTicket,
    InvalidValue,
    ModelFailed,
    ModelQuarantined,
    ModelTooSlow,
    NotNullViolation,
    NumericOutOfRange,
    OutcomeUnknown,
    OutOfMemory,
    PermissionDenied,
    ShuttingDown,
    StatementTimeout,
    TooManySessions,
    TooManyStatements,
    TooManyStreams,
    Unreachable,
    ValueTooLarge,
    WriteConflict,
    WrongParameterCount,
)
from scoter.errors.roots import (
    AccessError,
    Cancelled,
    ConcurrencyError,
    ConfigurationError,
    DataError,
    InternalError,
    ModelError,
    ResourceError,
    ScoterError,
    Span,
    StatementError,
)
from scoter.errors.statements import (
    AmbiguousColumn,
    AmbiguousName,
    DuplicateColumn,
    DuplicateModel,
    DuplicateSchema,
    DuplicateTable,
    GroupingError,
    InvalidDefinition,
    InvalidSyntax,
    NotSupported,
    SchemaNotEmpty,
    StaleView,
    TooComplex,
    TooLarge,
    TypeMismatch,
    UndefinedCatalog,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedModel,
    UndefinedSchema,
    UndefinedSetting,
    UndefinedSnapshot,
    UndefinedTable,
    UndefinedTag,
    UndefinedVersion,
    UnknownParameterType,
    WrongArguments,
    WrongObject,
)

__all__ = [
    "AccessError",
    "AmbiguousColumn",
    "AmbiguousName",
    "AuthenticationFailed",
    "Cancelled",
    "CardinalityViolation",
    "ClientStalled",
    "ConcurrencyError",
    "ConfigurationError",
    "CorruptData",
    "DataError",
    "DiskFull",
    "DivisionByZero",
    "DuplicateColumn",
    "DuplicateModel",
    "DuplicateSchema",
    "DuplicateTable",
    "GoldenRowsBroken",
    "GroupingError",
    "InternalError",
    "InvalidDefinition",
    "InvalidHandle",
    "InvalidModel",
    "InvalidSyntax",
    "InvalidText",
    "InvalidTicket",
    "InvalidValue",
    "ModelError",
    "ModelFailed",
    "ModelQuarantined",
    "ModelTooSlow",
    "NotNullViolation",
    "NotSupported",
    "NumericOutOfRange",
    "OutOfMemory",
    "OutcomeUnknown",
    "PermissionDenied",
    "ResourceError",
    "SchemaNotEmpty",
    "ScoterError",
    "ShuttingDown",
    "Span",
    "StaleView",
    "StatementError",
    "StatementTimeout",
    "TooComplex",
    "TooLarge",
    "TooManySessions",
    "TooManyStatements",
    "TooManyStreams",
    "TypeMismatch",
    "UndefinedCatalog",
    "UndefinedColumn",
    "UndefinedFunction",
    "UndefinedModel",
    "UndefinedSchema",
    "UndefinedSetting",
    "UndefinedSnapshot",
    "UndefinedTable",
    "UndefinedTag",
    "UndefinedVersion",
    "UnknownParameterType",
    "Unreachable",
    "ValueTooLarge",
    "WriteConflict",
    "WrongArguments",
    "WrongObject",
    "WrongParameterCount",
]
