"""Clients of Scoter: DB-API connections here, the SQLAlchemy dialect in ``scoter_client.dialect``.

This package must not know anything of the server but its address and its SQL.
"""

from scoter_client.dbapi import Connection, Cursor, connect
from scoter_client.failures import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004  # PEP 249 names it
)

__version__ = "0.1.0"

__all__ = [
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Warning",
    "__version__",
    "connect",
]
