"""Where one statement of a script ends and the next begins.

This module must not know what statements mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from scoter.engine.dialect import Scoter
from scoter.errors import InvalidSyntax


@dataclass(frozen=True)
class Piece:
    """One statement of a script without its semicolon, and the line of the script where it begins."""

    sql: str
    line: int


def split(script: str) -> list[Piece]:
    """Return the statements of a script; what holds only comments is left out.

    Raises InvalidSyntax where the text ends inside a string, a quoted name or a comment.
    """
    tokens = _tokens(script)
    if tokens is None:
        raise InvalidSyntax("the text ends inside a string, a quoted name or a comment")
    pieces = []
    start = 0
    first: Token | None = None
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            if first is not None:
                pieces.append(_piece(script, start, token.start))
            start, first = token.end + 1, None
        elif first is None:
            first = token
    if first is not None:
        pieces.append(_piece(script, start, len(script)))
    return pieces


def is_complete(text: str) -> bool:
    """Say whether ``text`` holds nothing, or ends with a semicolon that ends a statement."""
    tokens = _tokens(text)
    if tokens is None:
        return False
    return not tokens or tokens[-1].token_type == TokenType.SEMICOLON


def first_word(sql: str) -> str:
    """Return the first word of a statement in capitals, or an empty text."""
    tokens = _tokens(sql)
    return tokens[0].text.upper() if tokens else ""


def _piece(script: str, start: int, end: int) -> Piece:
    text = script[start:end]
    lead = len(text) - len(text.lstrip())
    return Piece(text.strip(), script.count("\n", 0, start + lead) + 1)


def _tokens(text: str) -> list[Token] | None:
    try:
        return list(Scoter().tokenize(text))
    except TokenError:
        return None
