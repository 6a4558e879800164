"""How MERGE, UPDATE and DELETE are read.

This module must not know which columns a table has, nor what becomes of the rows.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from scoter.engine.grammar.terms import Terms
from scoter.engine.statements import Delete, Merge, MergeWhen, Update

_NAMED = "name the columns: UPDATE SET a = s.a, INSERT (a) VALUES (s.a)"
_COUNTED = "the statement gives the number of rows that it changed"


class MergeGrammar(Terms):
    """MERGE INTO and its clauses, UPDATE, DELETE FROM."""

    def read_merge(self) -> Merge:
        """Read what follows ``MERGE``."""
        self.need("INTO")
        target = self._merge_target("USING")
        self.need("USING")
        using = self._parse_table()
        if using is None:
            self.unexpected("a table or a query in parentheses")
        if self.ahead("USING"):
            self.refuse("USING (…) in MERGE", hint="write ON t.a = s.a")
        self.need("ON")
        on = self._merge_condition()
        whens = [self._merge_when()]
        while self.ahead("WHEN"):
            whens.append(self._merge_when())
        if self.ahead("RETURNING"):
            self.refuse("RETURNING in MERGE", hint=_COUNTED)
        return self.expression(Merge(this=target, using=using, on=on, whens=whens))

    def read_update(self) -> Update:
        """Read what follows ``UPDATE``."""
        target = self._merge_target("SET")
        if not self.ahead("SET"):
            self.unexpected("SET")
        when = self.expression(MergeWhen(kind="MATCHED", action="UPDATE", **self._merge_update()))
        return self.expression(Update(this=target, whens=[when], where=self._merge_where("UPDATE", "FROM")))

    def read_delete(self) -> Delete:
        """Read what follows ``DELETE``."""
        self.need("FROM")
        target = self._merge_target("WHERE", "USING", "RETURNING")
        when = self.expression(MergeWhen(kind="MATCHED", action="DELETE"))
        return self.expression(Delete(this=target, whens=[when], where=self._merge_where("DELETE", "USING")))

    def _merge_where(self, verb: str, joining: str) -> exp.Where | None:
        if self.ahead(joining):
            self.refuse(
                f"{verb} … {joining}", hint="MERGE INTO t USING … changes rows by those of other tables"
            )
        where = self.expression(exp.Where(this=self._merge_condition())) if self.words("WHERE") else None
        if self.ahead("RETURNING"):
            self.refuse(f"RETURNING in {verb}", hint=_COUNTED)
        return where

    def _merge_target(self, *following: str) -> exp.Table:
        """Read the table that is written, with its alias, up to the words that may follow."""
        target = self.table_name()
        if self.ahead("FOR") or self.ahead("AT", "("):
            self.refuse("a version of the table that is written")
        if not self.words("AS") and (self.at_end() or any(self.ahead(word) for word in following)):
            return target
        alias = self.name("an alias")
        if self._curr and self._curr.token_type == TokenType.L_PAREN:
            self.refuse("other names for the columns of the table that is written")
        target.set("alias", exp.TableAlias(this=alias))
        return target

    def _merge_condition(self) -> exp.Expr:
        condition = self._parse_disjunction()
        if condition is None:
            self.unexpected("a condition")
        return condition

    def _merge_when(self) -> MergeWhen:
        start = self._here()
        self.need("WHEN")
        kind = "MATCHED"
        if self.words("NOT", "MATCHED"):
            kind = "NOT MATCHED BY SOURCE" if self.words("BY", "SOURCE") else "NOT MATCHED"
            if kind == "NOT MATCHED":
                self.words("BY", "TARGET")
        elif not self.words("MATCHED"):
            self.unexpected("MATCHED or NOT MATCHED")
        found: dict[str, object] = {"kind": kind}
        if self.words("AND"):
            found["condition"] = self._merge_condition()
        self.need("THEN")
        return self.expression(MergeWhen(**found, **self._merge_action(kind)), token=start)

    def _merge_action(self, kind: str) -> dict[str, object]:
        if self.words("DO", "NOTHING"):
            return {"action": "DO NOTHING"}
        if self.ahead("ERROR"):
            self.refuse("THEN ERROR in MERGE")
        if kind == "NOT MATCHED":
            if self.ahead("UPDATE") or self.ahead("DELETE"):
                self.fail("there is no row of the table yet: WHEN NOT MATCHED inserts or does nothing")
            self.need("INSERT")
            return {"action": "INSERT", **self._merge_insert()}
        if self.ahead("INSERT"):
            self.fail(f"the row is there: WHEN {kind} updates, deletes or does nothing")
        if self.words("DELETE"):
            return {"action": "DELETE"}
        if not self.words("UPDATE"):
            self.unexpected("UPDATE, DELETE or DO NOTHING")
        update = self._merge_update()
        if self.ahead("WHERE"):
            self.refuse("WHERE behind UPDATE in MERGE", hint="write WHEN MATCHED AND … THEN UPDATE")
        return {"action": "UPDATE", **update}

    def _merge_update(self) -> dict[str, object]:
        if not self.words("SET"):
            self.refuse("UPDATE without SET", hint=_NAMED)
        if self._curr and self._curr.token_type in (TokenType.STAR, TokenType.L_PAREN):
            self.refuse(f"UPDATE SET {self._curr.text}", hint=_NAMED)
        columns, values = [], []
        while True:
            column = exp.Column(this=self.name("a column's name"))
            if self._match(TokenType.DOT):
                column = exp.Column(this=self.name("a column's name"), table=column.this)
            if self._curr and self._curr.token_type == TokenType.DOT:
                self.refuse("a part of a column in SET", hint="set the whole column")
            self.equals()
            columns.append(column)
            values.append(self._merge_value())
            if not self._match(TokenType.COMMA):
                break
        return {"columns": columns, "values": values}

    def _merge_insert(self) -> dict[str, object]:
        if self._curr and self._curr.token_type == TokenType.STAR:
            self.refuse("INSERT *", hint=_NAMED)
        for words in (("BY", "NAME"), ("BY", "POSITION"), ("DEFAULT", "VALUES"), ("ROW",)):
            if self.ahead(*words):
                self.refuse(f"INSERT {' '.join(words)} in MERGE", hint=_NAMED)
        columns = []
        if self._match(TokenType.L_PAREN):
            columns.append(exp.Column(this=self.name("a column's name")))
            while self._match(TokenType.COMMA):
                columns.append(exp.Column(this=self.name("a column's name")))
            self.closing()
        if not self.words("VALUES"):
            self.refuse("INSERT without VALUES in MERGE", hint=_NAMED)
        self.opening()
        values = [self._merge_value()]
        while self._match(TokenType.COMMA):
            values.append(self._merge_value())
        self.closing()
        if self._curr and self._curr.token_type == TokenType.COMMA:
            self.refuse("several rows for one row of the source")
        if self.ahead("WHERE"):
            self.refuse("WHERE behind INSERT in MERGE", hint="write WHEN NOT MATCHED AND … THEN INSERT")
        return {"columns": columns, "values": values}

    def _merge_value(self) -> exp.Expr:
        if self.ahead("DEFAULT"):
            self.refuse("DEFAULT is not offered as a value", hint="columns have no defaults; write NULL")
        value = self._parse_disjunction()
        if value is None:
            self.unexpected("a value")
        return value
