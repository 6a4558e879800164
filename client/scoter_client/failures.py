"""The server's errors as DB-API classes, told apart by their SQLSTATE.

This module must not know what was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from adbc_driver_manager import AdbcStatusCode
from adbc_driver_manager.dbapi import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

# The driver gives OperationalError for all that the server refuses.
_BY_CLASS: dict[str, type[DatabaseError]] = {
    "07": ProgrammingError,
    "0A": NotSupportedError,
    "22": DataError,
    "23": IntegrityError,
    "26": ProgrammingError,
    "2B": ProgrammingError,
    "34": ProgrammingError,
    "3D": ProgrammingError,
    "3F": ProgrammingError,
    "42": ProgrammingError,
    "XX": InternalError,
}

_SQLSTATE = re.compile(r"\[([0-9A-Z]{5})\] [A-Z][A-Z_]+:")


def sqlstate_of(error: BaseException) -> str | None:
    """Return the SQLSTATE that a message of the server bears, None for a message of another's."""
    found = _SQLSTATE.search(str(error))
    return found.group(1) if found else None


def classified(error: Error) -> Error:
    """Return the error with the class of its SQLSTATE and the SQLSTATE as ``sqlstate``."""
    sqlstate = sqlstate_of(error)
    if sqlstate is None:
        return error
    kind = _BY_CLASS.get(sqlstate[:2], type(error))
    known: dict[str, Any] = {
        "vendor_code": error.vendor_code,
        "sqlstate": sqlstate,
        "details": error.details,
    }
    if kind is NotSupportedError:
        return NotSupportedError(str(error), **known)  # its status is always NOT_IMPLEMENTED
    return kind(str(error), status_code=error.status_code, **known)


def unusable(error: Exception) -> DataError:
    """Return the error for values that Arrow can not hold."""
    return DataError(
        f"a bound value can not be sent: {error}",
        status_code=AdbcStatusCode.INVALID_ARGUMENT,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Give the errors of a call the class of their SQLSTATE."""
    try:
        yield
    except Error as error:
        better = classified(error)
        if better is error:
            raise
        raise better from error
    except pa.ArrowException as error:
        raise OperationalError(str(error), status_code=AdbcStatusCode.IO) from error
