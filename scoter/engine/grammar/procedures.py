"""How CALL is read: which procedures there are and what their arguments are named.

This module must not know what a procedure does.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import TokenType

from scoter.engine.grammar.terms import Terms, place
from scoter.engine.statements import RegisterTable, Statement
from scoter.errors import NotSupported

PROCEDURES = ("register_table",)
_ARGUMENTS = ("table", "metadata_file")
_NAME_PARTS = 2  # schema.procedure; a catalog may stand before


class ProcedureGrammar(Terms):
    """CALL, with Spark's names and arguments."""

    def read_call(self) -> Statement:
        """Read what follows ``CALL``: ``[catalog.]system.procedure(argument => value, …)``."""
        start = self._here()
        path = [self.name("a procedure's name")]
        while self._match(TokenType.DOT):
            path.append(self.name("a procedure's name"))
        names = [part.name.casefold() for part in path]
        if len(names) not in {_NAME_PARTS, _NAME_PARTS + 1} or names[-2:] != ["system", PROCEDURES[0]]:
            raise NotSupported(
                f'procedure "{".".join(part.name for part in path)[:80]}" is not offered',
                hint="there is CALL system.register_table(table => 'name', metadata_file => 'path')",
                span=place(start),
            )
        catalog = path[0] if len(path) > _NAME_PARTS else None
        values = self._arguments()
        return self.expression(
            RegisterTable(this=_table(values[0], catalog), metadata_file=values[1]), token=start
        )

    def _arguments(self) -> list[exp.Literal]:
        """Read all arguments, by name or in order; Spark knows no mixture of the two."""
        self.opening()
        named: dict[str, exp.Literal] = {}
        ordered: list[exp.Literal] = []
        while not self._match(TokenType.R_PAREN):
            if (named or ordered) and not self._match(TokenType.COMMA):
                self.unexpected('"," or ")"')
            if self._next and self._next.token_type == TokenType.FARROW:
                if ordered:
                    self.fail("arguments stand all by name or all in order")
                name = self.name("an argument's name").name.casefold()
                self._match(TokenType.FARROW)
                if name not in _ARGUMENTS or name in named:
                    self.fail(f'argument "{name[:40]}" is unknown or stands twice', hint=_usage())
                named[name] = self.text("a constant text")
            else:
                if named:
                    self.fail("arguments stand all by name or all in order")
                ordered.append(self.text("a constant text"))
        found = [named.get(name) for name in _ARGUMENTS] if named else [*ordered]
        values = [value for value in found if value is not None]
        if len(values) != len(_ARGUMENTS):
            self.fail("register_table takes two arguments", hint=_usage())
        return values


def _usage() -> str:
    return f"they are {' and '.join(_ARGUMENTS)}"


def _table(text: exp.Literal, catalog: exp.Identifier | None) -> exp.Table:
    """Return the table that a text names, with the place of the text."""
    try:
        table = exp.to_table(text.name, dialect="duckdb")
    except (ParseError, TokenError, ValueError):
        table = None
    plain = table is not None and all(isinstance(part, exp.Identifier) for part in table.parts)
    if table is None or not plain or set(table.args) - {"this", "db", "catalog"}:
        raise NotSupported(f"'{text.name[:80]}' is no table's name", hint="write 'schema.table'")
    if catalog is not None and not table.catalog:
        if not table.db:
            raise NotSupported("a procedure of a catalog needs 'schema.table'")
        table.set("catalog", catalog)
    table.meta.update(text.meta)
    return table
