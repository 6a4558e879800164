"""Constants in a statement's options, as values and back as text.

This module must not know what any option means.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from sqlglot import exp

from scoter.catalog.names import quoted
from scoter.engine.statements import span_of
from scoter.engine.types import literal
from scoter.errors import InvalidDefinition, NotSupported

_PAIRS_MOST = 200


def constant(value: exp.Expr) -> Any:
    """Return a literal's value; a struct or a map becomes a dict. Raises InvalidDefinition for anything else."""
    match value:
        case exp.Null():
            return None
        case exp.Boolean():
            return bool(value.this)
        case exp.Literal() if value.is_string:
            return str(value.name)
        case exp.Literal():
            text = value.name.replace("_", "")
            with contextlib.suppress(ValueError):
                number = int(text) if text.isdecimal() else float(text)
                if math.isfinite(number):
                    return number
        case exp.Neg():
            number = constant(value.this)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number
        case exp.Array():
            return [constant(part) for part in value.expressions]
        case exp.Struct() | exp.ToMap():
            is_map = isinstance(value, exp.ToMap)
            given = pairs("its parts", "{a: 1}", value.this if is_map else value, of_map=is_map)
            return {name: constant(part) for name, part in given}
    raise InvalidDefinition("only constants can stand here", hint=_hint(value), span=span_of(value))


def _hint(value: exp.Expr) -> str | None:
    of_text = isinstance(value, exp.Cast) and isinstance(value.this, exp.Literal) and value.this.is_string
    return f"write the text alone: {literal(value.this.name)}" if of_text else None


def constant_text(value: Any) -> str:
    """Return a value as SQL."""
    match value:
        case None:
            return "NULL"
        case bool() | int() | float():
            return str(value).lower()
        case str():
            return literal(value)
        case list():
            return f"[{', '.join(map(constant_text, value))}]"
        case _:  # also of a struct, which names no part by an empty text
            return f"MAP {{{', '.join(f'{literal(key)}: {constant_text(part)}' for key, part in value.items())}}}"


def struct_text(parts: Mapping[str, str]) -> str:
    """Return a struct of parts that are written as SQL."""
    return f"{{{', '.join(f'{quoted(name)}: {text}' for name, text in parts.items())}}}"


def pairs(
    option: str, example: str, value: exp.Expr, *, of_map: bool = False
) -> Iterator[tuple[str, exp.Expr]]:
    """Yield the names and values of a struct, or keys and values of a map, which may be empty texts and numbers.

    Raises InvalidDefinition for anything else.
    """
    refusal = InvalidDefinition(f"{option} are names and values: {example}", span=span_of(value))
    if not isinstance(value, exp.Struct):
        raise refusal
    if len(value.expressions) > _PAIRS_MOST:
        raise NotSupported(f"{option} are at most {_PAIRS_MOST}", span=span_of(value))
    names = set()
    for pair in value.expressions:
        if not isinstance(pair, exp.PropertyEQ):
            raise refusal
        name = _name_of(pair.this, of_map=of_map)
        if name is None:
            raise refusal
        if name in names:
            raise InvalidDefinition(f'"{name}" stands twice in {option}', span=span_of(pair))
        names.add(name)
        yield name, pair.expression


def _name_of(key: exp.Expr, *, of_map: bool) -> str | None:
    """Return a key as a text, None for one that can not stand there."""
    if of_map and isinstance(key, exp.Neg) and isinstance(key.this, exp.Literal) and not key.this.is_string:
        return f"-{key.this.name}"
    if not isinstance(key, exp.Identifier | exp.Literal):
        return None
    return str(key.name) if key.name or of_map else None
