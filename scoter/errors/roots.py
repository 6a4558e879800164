"""The root of all errors, the kinds right below it, and the place in the SQL that an error may have.

This module must not know which part raises an error, nor how it is sent to a client.
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


class AccessError(ScoterError):
    """Who asks may not."""


class DataError(ScoterError):
    """A value or a file does not fit."""


class ModelError(ScoterError):
    """A model can not be accepted or run."""


class ResourceError(ScoterError):
    """A limit was reached; the same statement may succeed later."""


class ConcurrencyError(ScoterError):
    """Another writer came first."""


class Cancelled(ScoterError):
    """The statement was ended by its client or by the server."""

    sqlstate = "57014"
    condition = "CANCELLED"


class ConfigurationError(ScoterError):
    """Settings can not be used."""

    sqlstate = "F0000"
    condition = "CONFIGURATION_ERROR"


class InternalError(ScoterError):
    """A defect of Scoter; the details are in the log under the query id."""
