"""How SHOW, DESCRIBE, SET, USE and transactions are read.

This module must not know which settings exist.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from scoter.engine.grammar.terms import Terms
from scoter.engine.statements import (
    BeginTransaction,
    CommitTransaction,
    DescribeModel,
    DescribeQuery,
    DescribeTable,
    ModelReference,
    ResetSetting,
    RollbackTransaction,
    SchemaName,
    SetSetting,
    ShowCatalogs,
    ShowColumns,
    ShowCreateModel,
    ShowCreateTable,
    ShowIsolation,
    ShowModels,
    ShowSchemas,
    ShowSetting,
    ShowSettings,
    ShowTables,
    ShowVersions,
    ShowViews,
    Statement,
    UseSchema,
)

_NOT_DESCRIBED = frozenset(
    {"INSERT", "CREATE", "DROP", "ALTER", "UPDATE", "DELETE", "MERGE", "EXPLAIN", "DESCRIBE", "COPY"}
)
_QUERY_STARTS = ("SELECT", "WITH", "FROM", "VALUES", "PIVOT", "UNPIVOT")


class SessionGrammar(Terms):
    """SHOW, DESCRIBE, SET, RESET, USE, BEGIN, COMMIT, ROLLBACK."""

    def read_show(self) -> Statement:
        """Read what follows ``SHOW``."""
        if self.at_end():
            return self.expression(ShowTables())
        for words, read in _SHOWS:
            if self.words(*words):
                found = read(self)
                rows = _ROWS_OF.get(words[-1])
                if rows and any(self.ahead(word) for word in ("LIKE", "ILIKE", "WHERE")):
                    self.refuse(
                        f"SHOW {' '.join(words)} with {self._curr.text.upper()}",
                        hint=f"ask the table {rows} with WHERE … LIKE",
                    )
                return self.expression(found)
        return self.expression(ShowSetting(this=self._setting()))

    def scope(self) -> SchemaName | None:
        """Read ``FROM [catalog.]schema`` if it stands next."""
        return self.schema_name() if self._from() else None

    def catalog_scope(self) -> exp.Identifier | None:
        """Read ``FROM catalog`` if it stands next."""
        return self.name("a catalog's name") if self._from() else None

    def in_model(self) -> ModelReference:
        """Read ``IN MODEL m``."""
        if not self._from():
            self.unexpected("IN MODEL")
        self.words("MODEL")
        return self.model_reference(version=False)

    def from_table(self) -> exp.Table:
        """Read ``FROM t``."""
        if not self._from():
            self.unexpected("FROM")
        return self.table_name()

    def read_describe(self) -> Statement:
        """Read what follows ``DESCRIBE``."""
        if self.ahead("MODEL") and self._next and self._next.token_type != TokenType.DOT:
            self.need("MODEL")
            return self.expression(DescribeModel(this=self.model_reference(version=True)))
        if any(self.ahead(word) for word in _QUERY_STARTS) or (
            self._curr and self._curr.token_type == TokenType.L_PAREN
        ):
            return self.expression(DescribeQuery(this=self.query()))
        word = self._curr.text.upper() if not self.at_end() and self._next else ""
        if word in _NOT_DESCRIBED and self._next.token_type != TokenType.DOT:
            self.refuse(
                f"DESCRIBE {word}",
                hint="DESCRIBE takes a table or a query; EXPLAIN shows the plan of a write",
            )
        if not (self.ahead("TABLE") and self._next and self._next.token_type == TokenType.DOT):
            self.words("TABLE")
        return self.expression(DescribeTable(this=self.table_name()))

    def read_set(self) -> Statement:
        """Read what follows ``SET``."""
        if self.ahead("GLOBAL") or self.ahead("VARIABLE") or self.ahead("PERSIST"):
            self.refuse(
                f"SET {self._curr.text.upper()}", hint="settings belong to the session: SET name = value"
            )
        if not self.words("SESSION"):
            self.words("LOCAL")
        name = self._setting()
        if not self._match(TokenType.EQ) and not self.words("TO") and name.name != "timezone":
            self.unexpected('"=" or TO')
        value = self._value()
        return self.expression(SetSetting(this=name, expression=value))

    def read_reset(self) -> Statement:
        """Read what follows ``RESET``."""
        if self.words("ALL"):
            return self.expression(ResetSetting())
        self.words("SESSION")
        return self.expression(ResetSetting(this=self._setting()))

    def read_use(self) -> Statement:
        """Read what follows ``USE``."""
        self.words("SCHEMA")
        return self.expression(UseSchema(this=self.schema_name()))

    def read_begin(self) -> Statement:
        """Read what follows ``BEGIN`` or ``START``."""
        if not self.words("TRANSACTION"):
            self.words("WORK")
        return self.expression(BeginTransaction())

    def read_end(self, *, commit: bool) -> Statement:
        """Read what follows ``COMMIT``, ``END``, ``ROLLBACK`` or ``ABORT``."""
        if not self.words("TRANSACTION"):
            self.words("WORK")
        return self.expression(CommitTransaction() if commit else RollbackTransaction())

    def _from(self) -> bool:
        return self.words("FROM") or self.words("IN")

    def _setting(self) -> exp.Identifier:
        start = self._here()
        if self.words("TIME", "ZONE"):
            return self.expression(exp.Identifier(this="timezone", quoted=False), token=start)
        name = self.name("a setting's name")
        if self._match(TokenType.DOT):
            part = self.name("a setting's name")
            name = self.expression(exp.Identifier(this=f"{name.name}.{part.name}", quoted=True), token=start)
        return name

    def _value(self) -> exp.Expr:
        token = self._here()
        negative = bool(self._match(TokenType.DASH))
        if self._match(TokenType.NUMBER):
            found: exp.Expr = exp.Literal.number(self._prev.text)
            return exp.Neg(this=found) if negative else found
        if negative:
            self.unexpected("a number")
        if token and token.token_type == TokenType.STRING:
            return self.text("a value")
        # words such as DEFAULT and ON are keywords elsewhere
        return self.expression(exp.Var(this=self.name("a value").name), token=token)


_ROWS_OF = {
    "COLUMNS": "information_schema.columns",
    "MODELS": "system.models",
    "SCHEMAS": "information_schema.schemata",
    "TABLES": "information_schema.tables",
    "VERSIONS": "system.model_versions",
    "VIEWS": "information_schema.views",
}
_SHOWS: tuple[tuple[tuple[str, ...], Callable[[SessionGrammar], Statement]], ...] = (
    (("TABLES",), lambda grammar: ShowTables(this=grammar.scope())),
    (("ALL", "TABLES"), lambda _: ShowTables(everywhere=True)),
    (("ALL",), lambda _: ShowSettings()),
    (("MODELS",), lambda grammar: ShowModels(this=grammar.scope())),
    (("VERSIONS",), lambda grammar: ShowVersions(this=grammar.in_model())),
    (("SCHEMAS",), lambda grammar: ShowSchemas(this=grammar.catalog_scope())),
    (("CATALOGS",), lambda _: ShowCatalogs()),
    (("DATABASES",), lambda _: ShowCatalogs()),
    (("COLUMNS",), lambda grammar: ShowColumns(this=grammar.from_table())),
    (("VIEWS",), lambda grammar: ShowViews(this=grammar.scope())),
    (("CREATE", "VIEW"), lambda grammar: ShowCreateTable(this=grammar.table_name(), view=True)),
    (("CREATE", "MODEL"), lambda grammar: ShowCreateModel(this=grammar.model_reference(version=False))),
    (("CREATE", "TABLE"), lambda grammar: ShowCreateTable(this=grammar.table_name())),
    (("TRANSACTION", "ISOLATION", "LEVEL"), lambda _: ShowIsolation()),
    (("TRANSACTION_ISOLATION",), lambda _: ShowIsolation()),
)
