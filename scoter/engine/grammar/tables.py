"""How CREATE and DROP of tables, views and schemas are read.

This module must not know which types and transforms a table may have.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from scoter.engine.grammar.terms import Terms
from scoter.engine.statements import (
    CommentOn,
    CommentOnModel,
    CreateSchema,
    CreateTable,
    CreateView,
    DropSchema,
    DropTable,
    DropView,
    PartitionField,
    RenameView,
    Statement,
    TableColumn,
    ViewColumn,
)

TRANSFORMS = {
    "identity": "identity",
    "year": "year",
    "years": "year",
    "month": "month",
    "months": "month",
    "day": "day",
    "days": "day",
    "date": "day",
    "hour": "hour",
    "hours": "hour",
    "date_hour": "hour",
    "bucket": "bucket",
    "truncate": "truncate",
}
_WITH_NUMBER = ("bucket", "truncate")
_OF_COLUMNS = ("PRIMARY KEY", "UNIQUE", "CHECK", "REFERENCES", "CONSTRAINT", "GENERATED", "DEFAULT", "AS")
_OF_TABLES = ("PRIMARY KEY", "FOREIGN KEY", "CONSTRAINT", "UNIQUE", "CHECK")


class TableGrammar(Terms):
    """CREATE and DROP of tables, views and schemas, ALTER VIEW, COMMENT ON."""

    def read_comment(self) -> Statement:
        """Read what follows ``COMMENT``."""
        self.need("ON")
        if self.words("TABLE"):
            table = self.table_name()
            return self.expression(CommentOn(this=table, comment=self._comment()))
        if self.words("VIEW"):
            view = self.table_name()
            return self.expression(CommentOn(this=view, comment=self._comment(), view=True))
        if self.words("MODEL"):
            model = self.model_reference(version=False)
            return self.expression(CommentOnModel(this=model, comment=self._comment()))
        if self.words("COLUMN"):
            path = [self.name("a table's name")]
            while self._match(TokenType.DOT):
                path.append(self.name("a column's name"))
            if len(path) == 1:
                self.unexpected('"." and a column\'s name')
            return self.expression(CommentOn(path=path, comment=self._comment()))
        if self.at_end():
            self.unexpected("TABLE, VIEW, MODEL or COLUMN")
        return self.refuse(
            f"COMMENT ON {self._curr.text.upper()}",
            hint="tables, views, models and columns can have comments",
        )

    def _comment(self) -> exp.Expr:
        self.need("IS")
        start = self._here()
        if self.words("NULL"):
            return self.expression(exp.Null(), token=start)
        return self.text("a comment in quotes or NULL")

    def create_schema(self) -> Statement:
        """Read what follows ``CREATE SCHEMA``."""
        exists = self.if_not_exists()
        return self.expression(CreateSchema(this=self.schema_name(), exists=exists))

    def drop_schema(self) -> Statement:
        """Read what follows ``DROP SCHEMA``."""
        exists = self.if_exists()
        name = self.schema_name()
        cascade = self.words("CASCADE")
        if not cascade:
            self.words("RESTRICT")
        return self.expression(DropSchema(this=name, exists=exists, cascade=cascade))

    def drop_table(self) -> Statement:
        """Read what follows ``DROP TABLE``."""
        exists = self.if_exists()
        name = self.table_name()
        if self._curr and self._curr.token_type == TokenType.COMMA:
            self.refuse("several tables in one DROP", hint="write one DROP TABLE for each")
        behaviour = next((w for w in ("CASCADE", "RESTRICT") if self.words(w)), None)
        return self.expression(DropTable(this=name, exists=exists, behaviour=behaviour))

    def create_view(self, *, replace: bool) -> Statement:
        """Read what follows ``CREATE [OR REPLACE] VIEW``."""
        exists = self.if_not_exists()
        if replace and exists:
            self.fail("OR REPLACE and IF NOT EXISTS exclude each other")
        name = self.table_name()
        columns = self._view_columns() if self._match(TokenType.L_PAREN) else None
        comment = None
        if self.words("COMMENT"):
            self._match(TokenType.EQ)
            comment = self.text("a comment in quotes")
        self.need("AS")
        return self.expression(
            CreateView(
                this=name,
                columns=columns,
                expression=self.query(),
                replace=replace,
                exists=exists,
                comment=comment,
            )
        )

    def _view_columns(self) -> list[ViewColumn]:
        columns = []
        while True:
            start = self._here()
            name = self.name("a column's name")
            comment = self.text("a comment in quotes") if self.words("COMMENT") else None
            columns.append(self.expression(ViewColumn(this=name, comment=comment), token=start))
            if not self._match(TokenType.COMMA):
                self.closing()
                return columns

    def drop_view(self) -> Statement:
        """Read what follows ``DROP VIEW``."""
        exists = self.if_exists()
        name = self.table_name()
        if self._curr and self._curr.token_type == TokenType.COMMA:
            self.refuse("several views in one DROP", hint="write one DROP VIEW for each")
        if self.ahead("CASCADE"):
            self.refuse(
                "DROP VIEW … CASCADE", hint="views that read this one stay, and fail until it is there again"
            )
        self.words("RESTRICT")
        return self.expression(DropView(this=name, exists=exists))

    def alter_view(self) -> Statement:
        """Read what follows ``ALTER VIEW``."""
        name = self.table_name()
        if not self.words("RENAME", "TO"):
            self.refuse(
                "this change of a view", hint="ALTER VIEW v RENAME TO w, CREATE OR REPLACE VIEW v AS …"
            )
        return self.expression(RenameView(this=name, name=self.table_name()))

    def create_table(self, *, replace: bool) -> Statement:
        """Read what follows ``CREATE [OR REPLACE] TABLE``."""
        exists = self.if_not_exists()
        found: dict[str, object] = {"this": self.table_name(), "replace": replace, "exists": exists}
        if self._match(TokenType.L_PAREN):
            found["columns"] = self._columns()
        while not self.at_end() and not self.ahead("AS"):
            self._clause(found)
        if self.words("AS"):
            if "columns" in found:
                self.refuse(
                    "CREATE TABLE … AS with a column list", hint="name and cast the columns in the query"
                )
            found["expression"] = self.query()
            if self.words("WITH", "NO", "DATA"):
                found["no_data"] = True
            else:
                self.words("WITH", "DATA")
        if "columns" not in found and "expression" not in found:
            self.unexpected('"(" with columns, or AS with a query')
        return self.expression(CreateTable(**found))

    def _clause(self, found: dict[str, object]) -> None:
        value: object
        if self.words("PARTITIONED BY") or self.words("PARTITION BY"):
            key, value = "partitions", self._partitions()
        elif self.words("COMMENT"):
            self._match(TokenType.EQ)
            key, value = "comment", self.text("a comment in quotes")
        elif self.words("WITH") or self.words("TBLPROPERTIES"):
            key, value = "options", self.options()
        elif self.words("USING", "ICEBERG"):
            return
        else:
            self.unexpected("PARTITIONED BY, COMMENT, WITH or AS")
        if key in found:
            self.fail("the same clause stands twice")
        found[key] = value

    def _columns(self) -> list[TableColumn]:
        columns = [self._column()]
        while self._match(TokenType.COMMA):
            columns.append(self._column())
        self.closing()
        return columns

    def _column(self) -> TableColumn:
        opened = self._next and self._next.token_type == TokenType.L_PAREN
        if opened or self.ahead("CONSTRAINT"):
            self._no_constraint(_OF_TABLES)
        start = self._here()
        name = self.name("a column's name")
        if self._curr and self._curr.token_type in (TokenType.COMMA, TokenType.R_PAREN):
            self.unexpected(f'the type of column "{name.name}"')
        kind = self.data_type()
        not_null = False
        comment = None
        while self._curr and self._curr.token_type not in (TokenType.COMMA, TokenType.R_PAREN):
            if self.words("NOT", "NULL"):
                not_null = True
            elif self.words("NULL"):
                not_null = False
            elif self.words("COMMENT"):
                comment = self.text("a comment in quotes")
            else:
                self._no_constraint(_OF_COLUMNS)
                self.unexpected('NOT NULL, COMMENT, "," or ")"')
        return self.expression(
            TableColumn(this=name, kind=kind, not_null=not_null, comment=comment), token=start
        )

    def _no_constraint(self, words: tuple[str, ...]) -> None:
        if self._match_texts(words, advance=False):
            word = self._curr.text.upper()
            self.refuse(f"{word} in CREATE TABLE", hint="Iceberg tables know NOT NULL only")

    def _partitions(self) -> list[PartitionField]:
        self.opening()
        fields = [self._partition()]
        while self._match(TokenType.COMMA):
            fields.append(self._partition())
        self.closing()
        return fields

    def _partition(self) -> PartitionField:
        start = self._here()
        name = self.name("a column or a transform")
        if not self._match(TokenType.L_PAREN):
            return self.expression(PartitionField(this=name, transform="identity"), token=start)
        transform = TRANSFORMS.get(name.name.lower())
        if transform is None:
            self.refuse(
                f'partition transform "{name.name}"',
                hint="identity, year, month, day, hour, bucket and truncate are known",
                token=start,
            )
        parameter = None
        if transform in _WITH_NUMBER:
            if self._curr and self._curr.token_type == TokenType.NUMBER:
                parameter = self.number("a number")
                self._comma()
                column = self.name("a column")
            else:
                column = self.name("a column")
                self._comma()
                parameter = self.number("a number")
        else:
            column = self.name("a column")
        self.closing()
        return self.expression(
            PartitionField(this=column, transform=transform, parameter=parameter), token=start
        )

    def _comma(self) -> None:
        if not self._match(TokenType.COMMA):
            self.unexpected('","')
