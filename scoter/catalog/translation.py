"""What pyiceberg, SQLAlchemy and the file system raise about the lake, turned into errors of ours.

This module must not know what was attempted, only what it was attempted on.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError as Unparsed
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    RESTError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
    TooManyRequestsError,
    ValidationError,
    ValidationException,
)
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import Timeout
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from scoter.catalog.metastore import translation
from scoter.errors import (
    ConfigurationError,
    CorruptData,
    DiskFull,
    DuplicateSchema,
    DuplicateTable,
    NotSupported,
    OutcomeUnknown,
    SchemaNotEmpty,
    ScoterError,
    UndefinedSchema,
    UndefinedTable,
    Unreachable,
    WriteConflict,
)

# Looked through in order: a class stands before those it derives from.
_TRANSLATIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], type[ScoterError], str], ...] = (
    (TableAlreadyExistsError, DuplicateTable, "{} exists"),
    (NamespaceAlreadyExistsError, DuplicateSchema, "{} exists"),
    (NoSuchTableError, UndefinedTable, "{} does not exist"),
    (NoSuchNamespaceError, UndefinedSchema, "the schema of {} does not exist"),
    (NamespaceNotEmptyError, SchemaNotEmpty, "{} is not empty"),
    ((CommitFailedException, ValidationException), WriteConflict, "{} was changed by another writer"),
    (CommitStateUnknownException, OutcomeUnknown, "whether {} was changed is not known"),
    (
        (ValidationError, Unparsed),
        CorruptData,
        "the metadata of {} is damaged or of a kind that can not be read",
    ),
    (
        (NoConnection, Timeout, ServiceUnavailableError, TooManyRequestsError),
        Unreachable,
        "the catalog's server does not answer about {}",
    ),
    (FileNotFoundError, CorruptData, "a metadata file of {} is missing"),
    (RecursionError, NotSupported, "the metadata of {} has types that are nested too deep to be read"),
    (RESTError, ConfigurationError, "the catalog's server refused a request about {}"),
)
_UNKNOWN_TYPE = re.compile(r"Unsupported field type: '([\w() ,]{1,60})'")  # pyiceberg's words
_NO_SPACE = 28  # errno.ENOSPC
# What opening and decoding a file raise: gzip has two of them, pyarrow a ValueError for a scheme that it does not know
# and no size for a directory.
_UNREADABLE = (OSError, ValueError, TypeError, EOFError, zlib.error, ImportError)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what is raised inside about ``what`` (``table a.b.c``) into an error of ours.

    Exceptions that come from a defect pass through.
    """
    try:
        yield
    except IntegrityError as error:
        duplicate = DuplicateSchema if what.startswith("schema") else DuplicateTable
        raise duplicate(f"{what} exists") from error
    except SQLAlchemyError as error:
        raise translation(error) from error
    except Exception as error:
        found = _translation(error, what)
        if found is None:
            raise
        raise found from error


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what is raised inside as ``translated`` does, and all else that a metadata file raises into CorruptData."""
    try:
        with translated(what):
            yield
    except _UNREADABLE as error:
        raise CorruptData(f"the metadata of {what} is damaged or at a place that can not be read") from error


def _translation(error: Exception, what: str) -> ScoterError | None:
    unknown = _UNKNOWN_TYPE.search(str(error)) if isinstance(error, ValidationError | Unparsed) else None
    if unknown is not None:
        return NotSupported(f"{what} has a column of type {unknown[1]}, which can not be read")
    for classes, ours, message in _TRANSLATIONS:
        if isinstance(error, classes):
            return ours(message.format(what))
    if isinstance(error, OSError) and error.errno == _NO_SPACE:
        return DiskFull("the disk that holds the warehouse is full")
    return None
