"""A client of Scoter: this package is its DB-API 2.0 module, with ``log_model`` for models.

``scoter_client.dialect`` is the SQLAlchemy dialect. This package must not know anything of the server but its
address and its SQL.
"""

from adbc_driver_manager.dbapi import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    DatabaseError,
    DataError,
    Date,
    DateFromTicks,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    Warning,  # noqa: A004  # PEP 249 names it
)

from scoter_client.dbapi import MAX_MESSAGE_BYTES, Connection, Cursor, connect
from scoter_client.models import ConversionError, LoggedModel, MismatchError, log_model

__version__ = "0.1.0"

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"
Binary = bytes

__all__ = [
    "BINARY",
    "DATETIME",
    "MAX_MESSAGE_BYTES",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Connection",
    "ConversionError",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "LoggedModel",
    "MismatchError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "__version__",
    "apilevel",
    "connect",
    "log_model",
    "paramstyle",
    "threadsafety",
]
