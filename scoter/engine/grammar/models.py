"""How model statements and model calls are read.

This module must not know what a model is made of.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from scoter.engine.grammar.terms import Terms
from scoter.engine.statements import (
    AddModelVersion,
    CreateModel,
    DropModel,
    DropModelAlias,
    DropModelVersion,
    MlPredict,
    ModelInput,
    ModelOutput,
    Option,
    Predict,
    SetModelAlias,
    SetModelDefault,
    Statement,
)

NULL_POLICIES = ("NULL", "NAN", "ERROR")


class ModelGrammar(Terms):
    """CREATE, ALTER and DROP MODEL; PREDICT and its relatives."""

    def create_model(self, *, replace: bool) -> Statement:
        """Read what follows ``CREATE [OR REPLACE] MODEL``."""
        exists = self.if_not_exists()
        name = self.model_reference(version=False)
        if self.ahead("AS") or self.ahead("TRANSFORM") or self.ahead("OPTIONS"):
            self.refuse(
                "models are not trained here",
                hint="train elsewhere, export to ONNX and write CREATE MODEL … FROM 'uri'",
            )
        return self.expression(CreateModel(this=name, replace=replace, exists=exists, **self._origin()))

    def alter_model(self) -> Statement:
        """Read what follows ``ALTER MODEL``."""
        name = self.model_reference(version=False)
        if self.words("ADD", "VERSION"):
            return self.expression(AddModelVersion(this=name, **self._origin()))
        if self.words("SET", "DEFAULT_VERSION"):
            self._match(TokenType.EQ)
            return self.expression(SetModelDefault(this=name, version=self.version("a version")))
        if self.words("SET", "ALIAS"):
            alias = self.name("an alias")
            self.equals()
            return self.expression(SetModelAlias(this=name, alias=alias, version=self.version("a version")))
        if self.words("VERSION"):
            version = self.version("a version")
            self.need("SET", "ALIAS")
            self.equals()
            return self.expression(SetModelAlias(this=name, alias=self.name("an alias"), version=version))
        if self.words("DROP", "ALIAS"):
            return self.expression(DropModelAlias(this=name, alias=self.name("an alias")))
        if self.words("DROP", "VERSION"):
            return self.expression(DropModelVersion(this=name, version=self.version("a version")))
        return self.unexpected("ADD VERSION, SET DEFAULT_VERSION, SET ALIAS, DROP ALIAS or DROP VERSION")

    def drop_model(self) -> Statement:
        """Read what follows ``DROP MODEL``."""
        exists = self.if_exists()
        return self.expression(DropModel(this=self.model_reference(version=False), exists=exists))

    def scalar_call(self, kind: str) -> exp.Expr:
        """Read what follows ``PREDICT(`` up to the closing parenthesis, which is left standing."""
        if (
            self.ahead("MODEL")
            and self._next
            and self._next.token_type
            not in (
                TokenType.COMMA,
                TokenType.R_PAREN,
                TokenType.DOT,
            )
        ):
            return self.table_call()
        parts = self._parse_function_args()
        arguments: list[exp.Expr] = []
        label = None
        for part in parts:
            if not isinstance(part, exp.Kwarg):
                arguments.append(part)
            elif kind == "proba" and part.name.lower() == "class" and label is None:
                label = part.expression
            else:
                self.fail(f'a model call has no argument named "{part.name}"')
        if not arguments:
            self.fail("a model call needs the model's name as its first argument")
        return self.expression(
            Predict(model=arguments[0], arguments=arguments[1:], kind=kind, class_label=label)
        )

    def table_call(self) -> exp.Expr:
        """Read ``MODEL m@v, TABLE t | TABLE (query) [, name => value …]``; the parenthesis is left."""
        model = relation = None
        options: list[Option] = []
        while True:
            if model is None and self.words("MODEL"):
                model = self.model_reference(version=True)
            elif relation is None and self.words("TABLE"):
                relation = self._relation()
            elif model is not None and relation is not None:
                options.append(self._named())
            else:
                self.unexpected("MODEL name or TABLE name")
            if not self._match(TokenType.COMMA):
                break
        if model is None or relation is None:
            self.unexpected("MODEL name and TABLE name")
        return self.expression(MlPredict(this=model, expression=relation, options=options))

    def _relation(self) -> exp.Expr:
        if not self._match(TokenType.L_PAREN):
            return self.table_name()
        found = self.query()
        self.closing()
        return found

    def _named(self) -> Option:
        start = self._here()
        name = self.name("an option's name")
        if not self._match(TokenType.FARROW):
            self.unexpected('"=>"')
        value = self._parse_disjunction()
        if value is None:
            self.unexpected("a value")
        return self.expression(Option(this=name, expression=value), token=start)

    def _origin(self) -> dict[str, object]:
        self.need("FROM")
        source = self._parse_string() or self._parse_placeholder()
        if source is None:
            self.unexpected("a URI in quotes or a parameter")
        found: dict[str, object] = {"source": source}
        while not self.at_end():
            key = next((k for k in ("INPUT", "OUTPUT", "WITH") if self.words(k)), None)
            slot = {"INPUT": "inputs", "OUTPUT": "outputs", "WITH": "options"}.get(key or "")
            if slot is None:
                self.unexpected("INPUT, OUTPUT or WITH")
            if slot in found:
                self.fail(f"{key} stands twice")
            if slot == "inputs":
                found[slot] = self._list(self._input)
            elif slot == "outputs":
                found[slot] = self._list(self._output)
            else:
                found[slot] = self.options()
        return found

    def _list(self, one: Callable[[], exp.Expr]) -> list[exp.Expr]:
        self.opening()
        found = [one()]
        while self._match(TokenType.COMMA):
            found.append(one())
        self.closing()
        return found

    def _input(self) -> ModelInput:
        start = self._here()
        name = self.name("an input's name")
        kind = self.data_type()
        policy: exp.Expr | None = None
        if self.words("ON", "NULL"):
            word = next((p for p in NULL_POLICIES if self.words(p)), None)
            policy = exp.var(word) if word else self._literal()
        return self.expression(ModelInput(this=name, kind=kind, on_null=policy), token=start)

    def _literal(self) -> exp.Expr:
        negative = bool(self._match(TokenType.DASH))
        found = self._parse_primary()
        if isinstance(found, exp.Literal) and negative and not found.is_string:
            return exp.Neg(this=found)
        if isinstance(found, (exp.Literal, exp.Boolean)) and not negative:
            return found
        return self.unexpected("NULL, NAN, ERROR or a literal")

    def _output(self) -> ModelOutput:
        start = self._here()
        name = self.name("an output's name")
        kind = None
        if self._curr and self._curr.token_type not in (TokenType.COMMA, TokenType.R_PAREN):
            kind = self.data_type()
        return self.expression(ModelOutput(this=name, kind=kind), token=start)
