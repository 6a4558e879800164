"""How model statements and model calls are read.

This module must not know what a model is made of.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from scoter.engine.grammar.terms import Terms
from scoter.engine.statements import (
    ON_ERROR,
    AddModelVersion,
    CreateModel,
    DropModel,
    DropModelAlias,
    DropModelVersion,
    MlPredict,
    ModelInput,
    ModelOutput,
    ModelReference,
    Option,
    Predict,
    RenameModel,
    SetModelAlias,
    SetModelDefault,
    SetModelOwner,
    SetModelTags,
    Statement,
    TableCall,
    UnsetModelTags,
)

_SCALAR = "a call over single values has the model's name as text: PREDICT('name', …)"
_PARAMETERS = (TokenType.PLACEHOLDER, TokenType.PARAMETER, TokenType.COLON)
NULL_POLICIES = ("NULL", "NAN", "ERROR")


class ModelGrammar(Terms):
    """CREATE, ALTER and DROP MODEL; PREDICT and its relatives."""

    def create_model(self, *, replace: bool) -> Statement:
        """Read what follows ``CREATE [OR REPLACE] MODEL``."""
        exists = self.if_not_exists()
        if replace and exists:
            self.fail("OR REPLACE and IF NOT EXISTS exclude each other")
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
        for words, read in _ALTERATIONS:
            if self.words(*words):
                return self.expression(read(self, name))
        hint = "write COMMENT ON MODEL name IS 'text'" if self.ahead("SET", "COMMENT") else None
        return self.unexpected(", ".join(sorted({" ".join(words) for words, _ in _ALTERATIONS})), hint=hint)

    def add_version(self, model: ModelReference) -> Statement:
        """Read what follows ``ADD VERSION``."""
        return AddModelVersion(this=model, **self._origin())

    def set_default(self, model: ModelReference) -> Statement:
        """Read what follows ``SET DEFAULT_VERSION``."""
        self._match(TokenType.EQ)
        return SetModelDefault(this=model, version=self.version("a version"))

    def set_alias(self, model: ModelReference) -> Statement:
        """Read what follows ``SET ALIAS``."""
        alias = self.name("an alias")
        self.equals()
        return SetModelAlias(this=model, alias=alias, version=self.version("a version"))

    def name_version(self, model: ModelReference) -> Statement:
        """Read what follows ``VERSION``."""
        version = self.version("a version")
        self.need("SET", "ALIAS")
        self.equals()
        return SetModelAlias(this=model, alias=self.name("an alias"), version=version)

    def drop_alias(self, model: ModelReference) -> Statement:
        """Read what follows ``DROP ALIAS``."""
        return DropModelAlias(this=model, alias=self.name("an alias"))

    def drop_version(self, model: ModelReference) -> Statement:
        """Read what follows ``DROP VERSION``."""
        return DropModelVersion(this=model, version=self.version("a version"))

    def rename_model(self, model: ModelReference) -> Statement:
        """Read what follows ``RENAME TO``."""
        return RenameModel(this=model, name=self.model_reference(version=False))

    def set_owner(self, model: ModelReference) -> Statement:
        """Read what follows ``OWNER TO``."""
        return SetModelOwner(this=model, owner=self.name("a user's name"))

    def set_tags(self, model: ModelReference) -> Statement:
        """Read what follows ``SET TAG``."""
        return SetModelTags(this=model, tags=self._several(self._tag))

    def unset_tags(self, model: ModelReference) -> Statement:
        """Read what follows ``UNSET TAG``."""
        return UnsetModelTags(this=model, tags=self._several(lambda: self.name("a tag's name")))

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
            return self.table_call(MlPredict)
        parts = self._parse_function_args()
        self._ends()
        arguments: list[exp.Expr] = []
        label = on_error = None
        for part in parts:
            if not isinstance(part, exp.Kwarg):
                arguments.append(part)
            elif kind == "proba" and part.name.lower() == "class":
                if label is not None:
                    self.fail("class stands twice")
                label = part.expression
            elif kind == "all" and part.name.lower() == "on_error":
                if on_error is not None:
                    self.fail("on_error stands twice")
                on_error = part.expression
                if not on_error.is_string or on_error.name not in ON_ERROR:
                    self.fail("on_error is 'return' or 'fail'")
            else:
                self.fail(
                    f'a model call has no argument named "{part.name}"',
                    hint="values by name are a struct: {a: x, b: y}",
                )
        if not arguments:
            self.fail("a model call needs the model's name as its first argument")
        return self.expression(
            Predict(
                model=arguments[0],
                arguments=arguments[1:],
                kind=kind,
                class_label=label,
                on_error=on_error,
            )
        )

    def table_call(self, kind: type[TableCall]) -> exp.Expr:
        """Read ``MODEL m@v, TABLE t | [TABLE] (query) [, name => value …]``; the parenthesis is left.

        A query without TABLE, and ``STRUCT(value AS name, …)`` for ``name => value, …``, are BigQuery's spellings.
        """
        model = relation = None
        options: list[exp.Expr] = []
        while True:
            if model is None and self.words("MODEL"):
                if self._curr and self._curr.token_type in _PARAMETERS:
                    self.refuse(
                        "a parameter as the model of a table call",
                        hint="its columns depend on the model; in a scalar call: PREDICT(?, …)::DOUBLE",
                    )
                model = self.model_reference(version=True)
            elif relation is None and (self.words("TABLE") or self.ahead("(")):
                relation = self._relation()
            elif model is not None and relation is not None and self.ahead("STRUCT", "("):
                self.words("STRUCT")
                options += self._list(self._struct_option)
            elif model is not None and relation is not None:
                options.append(self._named())
            elif model is not None and relation is None:
                self.unexpected("TABLE name or TABLE (query)", hint=_SCALAR)
            else:
                self.unexpected("MODEL name or TABLE name")
            if not self._match(TokenType.COMMA):
                break
        if model is None or relation is None:
            self.unexpected("MODEL name and TABLE name")
        self._ends()
        return self.expression(kind(this=model, expression=relation, options=options))

    def _ends(self) -> None:
        """Refuse a call without its closing parenthesis, which is left."""
        if not self._match(TokenType.R_PAREN, advance=False):
            self.unexpected('"," or ")"')

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

    def _struct_option(self) -> Option:
        start = self._here()
        value = self._parse_disjunction()
        if value is None or not self._match(TokenType.ALIAS):
            self.unexpected("a value AS an option's name")
        return self.expression(Option(this=self.name("an option's name"), expression=value), token=start)

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
        found = self._several(one)
        self.closing()
        return found

    def _several(self, one: Callable[[], exp.Expr]) -> list[exp.Expr]:
        found = [one()]
        while self._match(TokenType.COMMA):
            found.append(one())
        return found

    def _tag(self) -> Option:
        start = self._here()
        name = self.name("a tag's name")
        self.equals()
        return self.expression(Option(this=name, expression=self.text("a value in quotes")), token=start)

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


_ALTERATIONS: tuple[tuple[tuple[str, ...], Callable[[ModelGrammar, ModelReference], Statement]], ...] = (
    (("ADD", "VERSION"), ModelGrammar.add_version),
    (("SET", "DEFAULT_VERSION"), ModelGrammar.set_default),
    (("SET", "ALIAS"), ModelGrammar.set_alias),
    (("VERSION",), ModelGrammar.name_version),
    (("DROP", "ALIAS"), ModelGrammar.drop_alias),
    (("DROP", "VERSION"), ModelGrammar.drop_version),
    (("RENAME", "TO"), ModelGrammar.rename_model),
    (("OWNER", "TO"), ModelGrammar.set_owner),
    (("SET", "OWNER", "TO"), ModelGrammar.set_owner),
    (("SET", "TAG"), ModelGrammar.set_tags),
    (("UNSET", "TAG"), ModelGrammar.unset_tags),
)
