"""How statements are told apart, and how queries stand in FROM.

This module must not know how expressions are read, nor which functions exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from scoter.engine.grammar.merging import MergeGrammar
from scoter.engine.grammar.models import ModelGrammar
from scoter.engine.grammar.operands import OperandGrammar
from scoter.engine.grammar.procedures import ProcedureGrammar
from scoter.engine.grammar.sessions import SessionGrammar
from scoter.engine.grammar.tables import TableGrammar
from scoter.engine.grammar.terms import place
from scoter.engine.statements import Explain, MlEvaluate, MlPredict, Statement, TableCall
from scoter.errors import InvalidSyntax

_QUERIES = frozenset({"SELECT", "WITH", "FROM", "VALUES", "PIVOT", "UNPIVOT", "TABLE", "PIVOT_WIDER"})
_REFUSED = {
    "TRUNCATE": "DELETE FROM t deletes all rows",
    "COPY": "files cannot be read or written by SQL",
    "EXPORT": "files cannot be written by SQL",
    "IMPORT": "files cannot be read by SQL",
    "ATTACH": "catalogs are configured by the server",
    "DETACH": "catalogs are configured by the server",
    "INSTALL": "extensions are not loaded by SQL",
    "LOAD": "extensions are not loaded by SQL",
    "FORCE": "extensions are not loaded by SQL",
    "PRAGMA": "settings belong to the server",
    "PREPARE": "the driver prepares statements",
    "EXECUTE": "the driver runs prepared statements",
    "DEALLOCATE": "the driver closes prepared statements",
    "CHECKPOINT": "the lake needs no checkpoint",
    "VACUUM": "there is no maintenance by SQL yet",
    "ANALYZE": "there is no maintenance by SQL yet",
    "OPTIMIZE": "there is no maintenance by SQL yet",
    "GRANT": "roles are given with scoter user",
    "REVOKE": "roles are given with scoter user",
    "SUMMARIZE": "it is not offered yet",
    "CONNECT": "catalogs are configured by the server",
    "DISCONNECT": "catalogs are configured by the server",
}


class QueryGrammar(
    OperandGrammar, ModelGrammar, TableGrammar, SessionGrammar, ProcedureGrammar, MergeGrammar
):
    """All that one statement may be."""

    FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
        **OperandGrammar.FUNCTION_PARSERS,
        "PREDICT": lambda self: self.scalar_call("predict"),
        "PREDICT_PROBA": lambda self: self.scalar_call("proba"),
        "PREDICT_ALL": lambda self: self.scalar_call("all"),
        "TRY_PREDICT": lambda self: self.scalar_call("try"),
        "ML_PREDICT": lambda self: self.table_call(MlPredict),
        "EVALUATE": lambda self: self.table_call(MlEvaluate),
        "ML_EVALUATE": lambda self: self.table_call(MlEvaluate),
    }

    def _parse_cube_or_rollup(self, with_prefix: bool = False) -> exp.Cube | exp.Rollup | None:
        """Read CUBE or ROLLUP of whole expressions; DuckDB has no suffix form."""
        kind: type[exp.Cube | exp.Rollup] = exp.Cube
        if not self._match(TokenType.CUBE):
            if not self._match(TokenType.ROLLUP):
                return None
            kind = exp.Rollup
        return self.expression(
            kind(expressions=[] if with_prefix else self._parse_wrapped_csv(self._parse_disjunction))
        )

    def _parse_statement(self) -> exp.Expr | None:
        start = self._here()
        if start is None:
            return None
        if start.token_type == TokenType.L_PAREN:
            return super()._parse_statement()
        word = start.text.upper() if start.token_type not in self.TEXT_MATCH_EXCLUDED_TOKENS else ""
        if word in _QUERIES:
            found = super()._parse_statement()
            if found is None:
                self.unexpected("a query")
            if isinstance(found, exp.Insert):
                return self._with_inside(found)
            return self._selected(self._pivoted(found))
        self._advance()
        read = _STATEMENTS.get(word)
        if read is None:
            reason = _REFUSED.get(word)
            if reason:
                self.refuse(f"{word} is not offered", hint=reason, token=start)
            raise InvalidSyntax(f'a statement cannot start with "{start.text[:40]}"', span=place(start))
        return read(self).update_positions(start)

    def _selected(self, found: exp.Expr) -> exp.Expr:
        if not isinstance(found, exp.Values):
            return found
        # VALUES as a statement is a query like any other.
        modifiers = {key: found.args.get(key) for key in ("order", "limit", "offset", "with_")}
        for key in modifiers:
            found.set(key, None)
        return exp.Select(expressions=[exp.Star()], from_=exp.From(this=found), **modifiers)

    def _pivoted(self, found: exp.Expr) -> exp.Expr:
        if not isinstance(found, exp.Pivot):
            return found
        # PIVOT as a statement is a query like any other; ORDER BY behind it belongs to its result.
        within = found.args.get("with_")
        found.set("with_", None)
        query = exp.Select(
            expressions=[exp.Star()], from_=exp.From(this=exp.Subquery(this=found)), with_=within
        )
        return self._parse_query_modifiers(query) or query

    def _with_inside(self, found: exp.Insert) -> exp.Insert:
        """Put what stands in WITH before INSERT before its query, where it means the same."""
        within, source = found.args.get("with_"), found.expression
        found.set("with_", None)
        if within is None or source is None:
            return found
        if not isinstance(source, exp.Select) or source.args.get("with_"):
            inner = source if isinstance(source, exp.Values) else exp.Subquery(this=source)
            source = exp.Select(expressions=[exp.Star()], from_=exp.From(this=inner))
        source.set("with_", within)
        found.set("expression", source)
        return found

    def read_alter(self) -> exp.Expr:
        """Read what follows ``ALTER``."""
        if self.words("MODEL"):
            return self.alter_model()
        if self.words("VIEW"):
            return self.alter_view()
        return self.refuse(f"ALTER {self._curr.text.upper()}", hint="models and views can be altered")

    def read_create(self) -> Statement:
        """Read what follows ``CREATE``."""
        replace = self.words("OR", "REPLACE")
        if self.words("MODEL"):
            return self.create_model(replace=replace)
        if self.words("TABLE"):
            return self.create_table(replace=replace)
        if self.words("VIEW"):
            return self.create_view(replace=replace)
        if self.words("SCHEMA") and not replace:
            return self.create_schema()
        return self.refuse(
            f"CREATE {self._curr.text.upper()}", hint="tables, views, schemas and models can be created"
        )

    def read_drop(self) -> Statement:
        """Read what follows ``DROP``."""
        if self.words("MODEL"):
            return self.drop_model()
        if self.words("TABLE"):
            return self.drop_table()
        if self.words("VIEW"):
            return self.drop_view()
        if self.words("SCHEMA"):
            return self.drop_schema()
        return self.refuse(
            f"DROP {self._curr.text.upper()}", hint="tables, views, schemas and models can be dropped"
        )

    def read_explain(self) -> Statement:
        """Read what follows ``EXPLAIN``."""
        analyze = self.words("ANALYZE")
        if (
            self._curr
            and self._curr.token_type == TokenType.L_PAREN
            and self._next
            and (self._next.text.upper() in ("FORMAT", "ANALYZE"))
        ):
            self.refuse("options of EXPLAIN", hint="EXPLAIN and EXPLAIN ANALYZE are offered")
        start = self._here()
        inner = self._parse_statement()
        if inner is None:
            self.unexpected("a statement")
        if isinstance(inner, Explain):
            self.refuse("EXPLAIN of EXPLAIN", token=start)
        return self.expression(Explain(this=inner, analyze=analyze))

    def read_insert(self) -> exp.Insert:
        """Read what follows ``INSERT``."""
        if self.ahead("OR"):
            self.refuse("INSERT OR …", hint="rows are only added: INSERT INTO t …")
        if self.ahead("OVERWRITE"):
            self.refuse("INSERT OVERWRITE", hint="rows are only added: INSERT INTO t …")
        self.need("INTO")
        if not (self.ahead("TABLE") and self._next and self._next.token_type == TokenType.DOT):
            self.words("TABLE")
        target: exp.Expr = self.table_name()
        if self.ahead("AS"):
            self.refuse("an alias in INSERT")
        columns = self._insert_columns()
        if columns:
            target = self.expression(exp.Schema(this=target, expressions=columns))
        by_name = self.words("BY", "NAME")
        if not by_name:
            self.words("BY", "POSITION")
        default = self.words("DEFAULT", "VALUES")
        source = None if default else self._insert_source()
        for word in ("ON", "RETURNING"):
            if self.ahead(word):
                self.refuse(f"{word} in INSERT")
        return self.expression(
            exp.Insert(this=target, expression=source, by_name=by_name or None, default=default or None)
        )

    def _insert_columns(self) -> list[exp.Identifier]:
        index = self._index
        if not self._match(TokenType.L_PAREN):
            return []
        if self._curr and (self._curr.token_type == TokenType.L_PAREN or self._curr.text.upper() in _QUERIES):
            self._retreat(index)
            return []
        columns = [self.name("a column's name")]
        while self._match(TokenType.COMMA):
            columns.append(self.name("a column's name"))
        self.closing()
        return columns

    def _insert_source(self) -> exp.Expr:
        values = self._parse_derived_table_values()
        if values is not None:
            return values
        found = self._parse_statement()
        if not isinstance(found, (exp.Query, exp.Values)):
            self.unexpected("VALUES or a query")
        return found

    def _parse_table(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        table = super()._parse_table(*args, **kwargs)
        if not isinstance(table, exp.Table):
            return table
        if isinstance(table.this, TableCall) and table.db.upper() == "ML" and not table.catalog:
            table.set("db", None)
        when = table.args.get("when")
        if isinstance(when, exp.HistoricalData):
            # One spelling of time travel in the tree: AT (VERSION => 3) is FOR VERSION AS OF 3.
            kind = str(when.args["kind"])
            if str(when.this) != "AT" or kind not in ("VERSION", "TIMESTAMP"):
                self.refuse(f"{when.this} ({kind} => …)", hint="use AT (VERSION => …) or AT (TIMESTAMP => …)")
            if table.args.get("version"):
                self.fail("two versions of one table")
            version = exp.Version(this=kind, expression=when.expression, kind="AS OF")
            table.set("when", None)
            table.set("version", version)
        return table

    def _parse_table_part(self, schema: bool = False) -> exp.Expr | None:
        if self._curr and self._curr.token_type in (TokenType.STRING, TokenType.NATIONAL_STRING):
            self.refuse(
                "a file as a table",
                hint='name a table of the lake; quote its name with "double quotes" where needed',
            )
        return super()._parse_table_part(schema=schema)

    def _parse_command(self) -> NoReturn:
        self.refuse(f"{self._prev.text.upper()} is not offered", token=self._prev)

    def _parse_as_command(self, start: Token) -> NoReturn:
        self.refuse(f"this form of {start.text.upper()} is not offered", token=start)


_STATEMENTS: dict[str, Callable[[QueryGrammar], exp.Expr]] = {
    "CREATE": QueryGrammar.read_create,
    "DROP": QueryGrammar.read_drop,
    "ALTER": QueryGrammar.read_alter,
    "INSERT": QueryGrammar.read_insert,
    "MERGE": QueryGrammar.read_merge,
    "UPDATE": QueryGrammar.read_update,
    "DELETE": QueryGrammar.read_delete,
    "CALL": QueryGrammar.read_call,
    "COMMENT": QueryGrammar.read_comment,
    "EXPLAIN": QueryGrammar.read_explain,
    "SHOW": QueryGrammar.read_show,
    "DESCRIBE": QueryGrammar.read_describe,
    "DESC": QueryGrammar.read_describe,
    "SET": QueryGrammar.read_set,
    "RESET": QueryGrammar.read_reset,
    "USE": QueryGrammar.read_use,
    "BEGIN": QueryGrammar.read_begin,
    "START": QueryGrammar.read_begin,
    "COMMIT": lambda grammar: grammar.read_end(commit=True),
    "END": lambda grammar: grammar.read_end(commit=True),
    "ROLLBACK": lambda grammar: grammar.read_end(commit=False),
    "ABORT": lambda grammar: grammar.read_end(commit=False),
}
