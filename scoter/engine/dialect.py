"""Turns SQL text into exactly one typed statement, and a statement back into SQL text.

This module must not know which tables, models and functions exist, nor which may be used.
"""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from typing import Any, ClassVar, Self

import sqlglot.parser
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenizerCore, TokenType

from scoter.engine.grammar.queries import QueryGrammar
from scoter.engine.grammar.terms import place
from scoter.engine.grammar.writing import Writing
from scoter.engine.statements import Predict, Statement, TableCall, span_of
from scoter.errors import (
    ConfigurationError,
    InternalError,
    InvalidSyntax,
    NotSupported,
    Span,
    TooComplex,
    TooLarge,
)

if not str(sqlglot.parser.__file__).endswith(".py"):
    # Classes of the compiled build cannot be inherited from; without this the first statement would fail.
    raise ConfigurationError(
        "the package sqlglotc is installed, whose compiled parser cannot be extended",
        hint="remove it with: pip uninstall sqlglotc",
    )

MAX_TOKENS = 200_000
MAX_PARENTHESES = 400
MAX_DEPTH = 1_000
MAX_CHAINED_CALLS = 200
_PLAIN_NUMBERS = "write numbers with decimal digits, and a space before a name"


# What opens a string between dollar signs: a tag is a name, so that the text between $1, and $2 is none.
_TAG = re.compile(r"\$([A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$")


class _Words(TokenizerCore):
    """sqlglot's tokenizer, which would take what stands between two parameters for the tag of a string."""

    def _scan_string(self, start: str) -> bool:
        if start == "$":
            tag = _TAG.match(self.sql, self._current - 1)
            if tag is None:
                self._add(self.heredoc_string_alternative)
                return True
            if self.sql.find(tag.group(), tag.end()) < 0:
                raise TokenError("a string between dollar signs does not end")
        return super()._scan_string(start)


_WORDS = [name for name in inspect.signature(TokenizerCore.__init__).parameters if name != "self"]


class Scoter(DuckDB):
    """DuckDB's SQL with models, time travel and the statements of a lake."""

    # Subscripts stay as written.
    INDEX_OFFSET = 0
    NORMALIZE_FUNCTIONS = "lower"

    class Tokenizer(DuckDB.Tokenizer):
        """DuckDB's words, none of which opens a statement of unknown grammar."""

        # A command token would swallow the rest of the statement as one opaque text.
        COMMANDS: ClassVar[set[TokenType]] = set()
        # "?::" is another dialect's operator; here it is a parameter and a cast.
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            word: kind for word, kind in DuckDB.Tokenizer.KEYWORDS.items() if word != "?::"
        }
        HEX_STRINGS: ClassVar[list[str | tuple[str, str]]] = [("x'", "'"), ("X'", "'")]

        def _init_core(self) -> TokenizerCore:
            core = super()._init_core()
            return _Words(**{name: getattr(core, name) for name in _WORDS})

    Parser = QueryGrammar

    Generator = Writing

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """Leave a JSON path as it was written: 'a.b' is one key, '$.a.b' are two."""
        return path


def parse(sql: str, max_bytes: int) -> exp.Expr:
    """Return the syntax tree of the one statement in ``sql``.

    A trailing semicolon and comments are accepted. Raises TooLarge above ``max_bytes`` bytes of UTF-8,
    TooComplex for deep nesting, NotSupported for a statement that we do not offer, else InvalidSyntax.
    """
    size = len(sql.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise TooLarge(f"the statement has {size:,} bytes, {max_bytes:,} are allowed")
    dialect = Scoter()
    tokens = _tokens(sql, dialect)
    _measure(tokens)
    try:
        parser = dialect.parser(error_level=ErrorLevel.IMMEDIATE)
        trees = parser.parse(tokens, sql)
    except ParseError as error:
        raise _syntax_error(error) from error
    except RecursionError as error:
        raise _too_deep() from error
    if len(trees) != 1 or trees[0] is None:
        raise InternalError("the parser did not return one statement")
    check_depth(trees[0])
    _share_facts(trees[0])
    return trees[0]


def to_duckdb(tree: exp.Expr, *, copy: bool = True) -> str:
    """Return the DuckDB SQL of a tree in which every node of ours has been replaced.

    Without ``copy``, which takes as long as writing, the tree may be changed; constants are not.
    Raises NotSupported where text would lose a part of the tree and for a version that is left on a name,
    InternalError for a node of ours.
    """
    for node in tree.walk():
        if isinstance(node, (Statement, Predict, TableCall)):
            raise InternalError(f"{type(node).__name__} was not rewritten", span=span_of(node))
        if node.args.get("version"):
            # What is left has not been found in the lake: a name of WITH, or rows of a function.
            raise NotSupported("a version of something that is not a table of the lake", span=span_of(node))
    try:
        return Scoter().generate(
            tree, copy=copy, identify=True, comments=False, unsupported_level=ErrorLevel.RAISE
        )
    except RecursionError as error:
        raise _too_deep() from error
    except SqlglotError as error:
        raise NotSupported(f"the statement cannot be written for DuckDB: {error}") from error


def _tokens(sql: str, dialect: Scoter) -> list[Token]:
    try:
        tokens = dialect.tokenize(sql)
    except TokenError as error:
        raise InvalidSyntax("the text ends inside a string, a quoted name or a comment") from error
    _no_glued_numbers(tokens, sql)
    # Comments must neither steer the parser nor reach the generated text.
    for token in tokens:
        token.comments = []
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    while tokens and tokens[0].token_type == TokenType.SEMICOLON:
        tokens.pop(0)
    if not tokens:
        raise InvalidSyntax("the statement is empty")
    for token in tokens:
        if token.token_type == TokenType.PIPE_GT:
            raise NotSupported("the operator |>", hint="write SELECT … FROM …", span=place(token))
        if token.token_type == TokenType.SEMICOLON:
            raise InvalidSyntax(
                "several statements in one call", hint="send them one by one", span=place(token)
            )
    return tokens


def _no_glued_numbers(tokens: list[Token], sql: str) -> None:
    # DuckDB reads 0xFF as 0 named "xFF", which nobody means.
    for before, token in pairwise(tokens):
        number = before.token_type == TokenType.NUMBER and before.end + 1 == token.start
        if number and token.token_type == TokenType.VAR:
            raise InvalidSyntax(
                f'"{before.text}{token.text}" is not a number', hint=_PLAIN_NUMBERS, span=place(before)
            )
    for token in tokens:
        if token.token_type == TokenType.HEX_STRING and sql[token.start] == "0":
            raise InvalidSyntax("a hexadecimal number", hint=_PLAIN_NUMBERS, span=place(token))


def _measure(tokens: list[Token]) -> None:
    if len(tokens) > MAX_TOKENS:
        raise TooComplex(f"the statement has {len(tokens):,} words, {MAX_TOKENS:,} are allowed")
    calls = 0
    for before, token in pairwise(tokens):
        # Each call in a chain a.f().g() reads all before it once more.
        calls += before.token_type == TokenType.R_PAREN and token.token_type == TokenType.DOT
        if calls > MAX_CHAINED_CALLS:
            raise TooComplex(f"more than {MAX_CHAINED_CALLS} chained calls", span=place(token))
    depth = 0
    for token in tokens:
        if token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE):
            depth += 1
            if depth > MAX_PARENTHESES:
                raise TooComplex(f"more than {MAX_PARENTHESES} parentheses are nested", span=place(token))
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE):
            depth -= 1


class _Facts(dict[str, Any]):
    """What is known of a node: nothing in it ever changes, so that a copy of the tree may share it."""

    def __deepcopy__(self, _memo: object) -> Self:
        return type(self)(self)


def _share_facts(tree: exp.Expr) -> None:
    """Make copies of the tree cheap: half of their time went into copies of places in the text."""
    for node in tree.walk():
        if known := node._meta:  # noqa: SLF001  # the property would make one for every node
            node._meta = _Facts(known)  # noqa: SLF001  # as above


def check_depth(tree: exp.Expr) -> None:
    """Raise TooComplex for a tree deeper than DuckDB takes; a chain of ANDs or ORs counts once, as there."""
    waiting: list[tuple[exp.Expr, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise _too_deep()
        for part in node.iter_expressions():
            chained = isinstance(part, exp.Connector) and type(part) is type(node)
            waiting.append((part, depth if chained else depth + 1))


def _too_deep() -> TooComplex:
    return TooComplex("the statement is nested too deeply", hint="split it with WITH or IN lists")


def _syntax_error(error: ParseError) -> InvalidSyntax:
    facts = error.errors[0] if error.errors else {}
    message = str(facts.get("description") or "the text is not SQL").strip().rstrip(".")
    message = re.sub(r" but got <Token.*", "", message)
    if "missing for <class" in message or "Required keyword" in message:
        message = "a part of the expression is missing"
    found = str(facts.get("highlight") or "")
    if found and message == "Invalid expression / Unexpected token":
        message = f'"{found[:40]}" is not expected there'
    elif found:
        message = f'{message}, at "{found[:40]}"'
    line, column = facts.get("line"), facts.get("col")
    span = Span(line, max(1, column - len(found) + 1)) if line and column else None
    return InvalidSyntax(message[:1].lower() + message[1:], span=span)
