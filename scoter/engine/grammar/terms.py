"""The small steps of reading: expecting words, naming tables and models, refusing with a place.

This module must not know whole statements.
"""

from __future__ import annotations

from typing import NoReturn

from sqlglot import exp
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from scoter.engine.statements import ModelReference, Option, SchemaName
from scoter.errors import InvalidSyntax, NotSupported, Span


def place(token: Token | None) -> Span | None:
    """Return where ``token`` starts."""
    if not token:
        return None
    return Span(token.line, max(1, token.col - (token.end - token.start)))


class Terms(DuckDBParser):
    """Steps that every statement's grammar uses."""

    def refuse(self, message: str, *, hint: str | None = None, token: Token | None = None) -> NoReturn:
        """Raise NotSupported at ``token``, by default the current one."""
        raise NotSupported(message, hint=hint, span=place(token or self._here()))

    def fail(self, message: str, *, hint: str | None = None) -> NoReturn:
        """Raise a syntax error at the current token, or behind the last one."""
        here = place(self._here())
        if here is None and self._prev:
            here = Span(self._prev.line, self._prev.col + 1)
        raise InvalidSyntax(message, hint=hint, span=here)

    def unexpected(self, wanted: str, *, hint: str | None = None) -> NoReturn:
        """Raise a syntax error that names what was expected and what stands there."""
        found = f'"{self._curr.text}"' if self._curr else "the end"
        self.fail(f"expected {wanted}, found {found}", hint=hint)

    def words(self, *texts: str) -> bool:
        """Consume the given words if they stand next, in order, unquoted."""
        return bool(self._match_text_seq(*texts))

    def need(self, *texts: str) -> None:
        """Consume the given words or raise a syntax error."""
        if not self.words(*texts):
            self.unexpected(" ".join(texts))

    def ahead(self, *texts: str) -> bool:
        """Say whether the given words stand next, without consuming them."""
        return bool(self._match_text_seq(*texts, advance=False))

    def at_end(self) -> bool:
        """Say whether nothing is left of the statement."""
        return not self._curr

    def name(self, wanted: str) -> exp.Identifier:
        """Read one identifier; any word will do, also a keyword."""
        if self._curr and self._curr.token_type in (TokenType.STRING, TokenType.NUMBER):
            self.unexpected(wanted)
        found = self._parse_id_var(any_token=True)
        if not isinstance(found, exp.Identifier):
            self.unexpected(wanted)
        return found

    def if_exists(self) -> bool:
        """Read ``IF EXISTS`` if it stands next."""
        return self.words("IF", "EXISTS")

    def if_not_exists(self) -> bool:
        """Read ``IF NOT EXISTS`` if it stands next."""
        return self.words("IF", "NOT", "EXISTS")

    def equals(self) -> None:
        """Read ``=``."""
        if not self._match(TokenType.EQ):
            self.unexpected('"="')

    def opening(self) -> None:
        """Read ``(``."""
        if not self._match(TokenType.L_PAREN):
            self.unexpected('"("')

    def closing(self) -> None:
        """Read ``)``."""
        if not self._match(TokenType.R_PAREN):
            self.unexpected('"," or ")"')

    def schema_name(self) -> SchemaName:
        """Read ``[catalog.]schema``."""
        start = self._here()
        first = self.name("a schema's name")
        if not self._match(TokenType.DOT):
            return self.expression(SchemaName(this=first), token=start)
        return self.expression(SchemaName(this=self.name("a schema's name"), catalog=first), token=start)

    def table_name(self) -> exp.Table:
        """Read ``[[catalog.]schema.]table``."""
        if self._curr and self._curr.token_type == TokenType.STRING:
            self.unexpected("a table's name")
        found = self._parse_table_parts(schema=True)
        if not isinstance(found, exp.Table) or not found.name:
            self.unexpected("a table's name")
        return found

    def model_reference(self, *, version: bool) -> ModelReference:
        """Read ``[schema.]model``, with ``@version`` behind it where ``version`` is true."""
        start = self._here()
        this = self.name("a model's name")
        db = None
        if self._match(TokenType.DOT):
            db, this = this, self.name("a model's name")
        wanted = None
        if self._curr and self._curr.text == "@" and self._curr.token_type == TokenType.PARAMETER:
            if not version:
                self.fail("a version cannot stand here", hint="name the model without @")
            self._advance()
            wanted = self.version("a version's number or alias")
        return self.expression(ModelReference(this=this, db=db, version=wanted), token=start)

    def version(self, wanted: str) -> exp.Literal:
        """Read a version's number or alias; returned as a string literal."""
        token = self._here()
        if self._match(TokenType.NUMBER):
            text = self._prev.text
            if not text.isdigit():
                self._retreat(self._index - 1)
                self.unexpected(wanted)
        else:
            text = self.name(wanted).name
        return self.expression(exp.Literal.string(text), token=token)

    def number(self, wanted: str) -> exp.Literal:
        """Read a non-negative integer; returned as a number literal."""
        token = self._here()
        if not (self._match(TokenType.NUMBER) and self._prev.text.isdigit()):
            self.unexpected(wanted)
        return self.expression(exp.Literal(this=self._prev.text, is_string=False), token=token)

    def text(self, wanted: str) -> exp.Literal:
        """Read a string literal."""
        found = self._parse_string()
        if not (isinstance(found, exp.Literal) and found.is_string):
            self.unexpected(wanted)
        return found

    def data_type(self) -> exp.DataType:
        """Read a type."""
        found = self._parse_types()
        if not isinstance(found, exp.DataType):
            self.unexpected("a type")
        return found

    def options(self) -> list[Option]:
        """Read ``(name = value, …)``."""
        self.opening()
        found = [self._option()]
        while self._match(TokenType.COMMA):
            found.append(self._option())
        self.closing()
        return found

    def query(self) -> exp.Query:
        """Read a query."""
        start = self._here()
        found = self._parse_statement()
        if not isinstance(found, exp.Query):
            raise InvalidSyntax("expected a query", span=place(start))
        return found

    def _option(self) -> Option:
        start = self._here()
        name = self.name("an option's name")
        self.equals()
        value = self._parse_disjunction()
        if value is None:
            self.unexpected("a value")
        return self.expression(Option(this=name, expression=value), token=start)

    def _here(self) -> Token | None:
        return self._curr or None
