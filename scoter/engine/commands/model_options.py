"""What WITH (…) says of a model's version: comment, metrics, properties, golden rows, the file that is meant.

This module must not know models' records.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from scoter.engine.commands.constants import pairs
from scoter.engine.commands.golden_rows import golden_of
from scoter.engine.statements import Option, span_of
from scoter.errors import InvalidDefinition, InvalidModel, Span
from scoter.suggestions import closest
from scoter.udfs.golden import Golden

_NAMES = ("comment", "metrics", "post", "pre", "properties", "sha256", "tolerance", "trained_on", "verify")
_TEXT_MOST = 32_768  # characters


@dataclass(frozen=True)
class Told:
    """The options of one statement; empty where it has none."""

    comment: str | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    sha256: str | None = None
    place: Span | None = None
    verify: Golden | None = None
    verify_place: Span | None = None
    trained_on: tuple[exp.Expr, ...] = ()
    pre: exp.Expr | None = None
    post: exp.Expr | None = None

    def check_file(self, data: bytes) -> None:
        """Raise InvalidModel for the bytes of another file than ``sha256`` means."""
        if self.sha256 is not None:
            found = hashlib.sha256(data).hexdigest()
            if found != self.sha256.lower():
                raise InvalidModel(
                    f"the model file has the sha256 {found}, not {self.sha256[:64]}",
                    hint="is it the file that was meant?",
                    span=self.place,
                )


def told_of(options: Sequence[Option]) -> Told:
    """Return what options say.

    Raises InvalidDefinition for an option that does not exist, stands twice, or has another kind of value.
    """
    found: dict[str, exp.Expr] = {}
    for option in options:
        name = option.name.lower()
        if name not in _NAMES:
            known = ", ".join(_NAMES)
            raise InvalidDefinition(
                f'WITH has no option "{option.name}"',
                hint=closest(name, list(_NAMES)) or f"there are: {known}",
                span=span_of(option),
            )
        if name in found:
            raise InvalidDefinition(f'the option "{name}" stands twice', span=span_of(option))
        found[name] = option.expression
    sha256 = found.get("sha256")
    return Told(
        comment=_text("comment", found["comment"]) if "comment" in found else None,
        metrics=tuple(_numbers(found["metrics"])) if "metrics" in found else (),
        properties=tuple(_texts(found["properties"])) if "properties" in found else (),
        sha256=None if sha256 is None else _text("sha256", sha256),
        place=span_of(sha256),
        verify=golden_of(found.get("verify"), found.get("tolerance")),
        verify_place=span_of(found.get("verify")),
        pre=found.get("pre"),
        post=found.get("post"),
        trained_on=tuple(_tables(found["trained_on"])) if "trained_on" in found else (),
    )


def _text(name: str, value: exp.Expr) -> str:
    if not (isinstance(value, exp.Literal) and value.is_string):
        raise InvalidDefinition(f"{name} is a text in quotes", span=span_of(value))
    text = str(value.name)
    if len(text) > _TEXT_MOST:
        raise InvalidDefinition(f"{name} has at most {_TEXT_MOST:,} characters", span=span_of(value))
    return text


def _tables(value: exp.Expr) -> Iterator[exp.Expr]:
    if not isinstance(value, exp.Array):
        raise InvalidDefinition("trained_on is a list of tables: ['t']", span=span_of(value))
    for one in value.expressions:
        _text("a table of trained_on", one)
        yield one


def _numbers(value: exp.Expr) -> Iterator[tuple[str, float]]:
    for name, one in pairs("metrics", "{auc: 0.91}", value):
        negative = isinstance(one, exp.Neg)
        plain = one.this if negative else one
        try:
            if not isinstance(plain, exp.Literal) or plain.is_string:
                raise ValueError(name)  # noqa: TRY301  # as what float raises for a number such as 1e
            number = float(plain.name)
        except ValueError as error:
            raise InvalidDefinition(f'the metric "{name}" is not a number', span=span_of(one)) from error
        if not math.isfinite(number):
            raise InvalidDefinition(f'the metric "{name}" is too large', span=span_of(one))
        yield name, -number if negative else number


def _texts(value: exp.Expr) -> Iterator[tuple[str, str]]:
    for name, one in pairs("properties", "{team: 'search'}", value):
        yield name, _text(f'the property "{name}"', one)
