"""How expressions are read where sqlglot's reading would change what DuckDB means.

This module must not know statements, nor which functions exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from sqlglot import exp, parser
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from scoter.engine.grammar.terms import Terms

_ONES = (
    "YEAR",
    "MONTH",
    "DAY",
    "HOUR",
    "MINUTE",
    "SECOND",
    "MILLISECOND",
    "MICROSECOND",
    "WEEK",
    "QUARTER",
    "DECADE",
)
_UNITS = frozenset(
    (*_ONES, *(f"{unit}S" for unit in _ONES), "CENTURY", "CENTURIES", "MILLENNIUM", "MILLENNIA")
)
# Functions whose second argument is a lambda; elsewhere `x -> y` reads JSON.
_TAKE_LAMBDA = frozenset(
    (
        *(
            f"{kind}_{verb}"
            for kind in ("LIST", "ARRAY")
            for verb in ("TRANSFORM", "APPLY", "FILTER", "REDUCE")
        ),
        *("APPLY", "FILTER", "REDUCE", "COLUMNS"),
    )
)
# Functions with a grammar of their own; all others are read as a name with arguments.
_OWN_GRAMMAR = ("CAST", "TRY_CAST", "EXTRACT", "SUBSTRING", "TRIM", "OVERLAY")
_WITHOUT_PARENTHESES = ("ANY", "CASE")
# Operators that DuckDB binds as it binds ||.
_LIKE_CONCATENATION: dict[TokenType, type[exp.Expr]] = {
    TokenType.AT_GT: exp.ArrayContainsAll,
    TokenType.LT_AT: exp.ArrayContainedBy,
    TokenType.DAMP: exp.ArrayOverlaps,
    TokenType.CARET_AT: exp.StartsWith,
    TokenType.LR_ARROW: exp.Distance,
}
_PARTS = "a part of a struct or map is a name and a value: {name: value}"


class OperandGrammar(Terms):
    """DuckDB's expressions without sqlglot's translations."""

    # Without builders a call stays a name with its arguments: nothing is translated, and the name
    # that is checked is the name that DuckDB sees.
    FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {"COLUMNS": exp.Columns.from_arg_list}
    FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
        **{name: parser.Parser.FUNCTION_PARSERS[name] for name in _OWN_GRAMMAR},
        "POSITION": lambda self: self.position_call(),
    }
    NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {
        token: node
        for token, node in DuckDBParser.NO_PAREN_FUNCTIONS.items()
        if token != TokenType.CURRENT_DATETIME
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
        **{name: DuckDBParser.NO_PAREN_FUNCTION_PARSERS[name] for name in _WITHOUT_PARENTHESES},
        "MAP": lambda self: self.map_value(),
    }
    UNARY_PARSERS: ClassVar[dict[Any, Any]] = {
        **DuckDBParser.UNARY_PARSERS,
        TokenType.NOT: lambda self: self.negation(),
        # The operand of ~ reaches as far as a sum.
        TokenType.TILDE: lambda self: self.expression(exp.BitwiseNot(this=self._parse_term())),
    }
    TERM: ClassVar[dict[Any, Any]] = {
        token: node for token, node in DuckDBParser.TERM.items() if token != TokenType.COLLATE
    }
    FACTOR: ClassVar[dict[Any, Any]] = {
        token: node for token, node in DuckDBParser.FACTOR.items() if token != TokenType.LR_ARROW
    }
    RANGE_PARSERS: ClassVar[dict[Any, Any]] = {
        token: read for token, read in DuckDBParser.RANGE_PARSERS.items() if token not in _LIKE_CONCATENATION
    }
    BITWISE: ClassVar[dict[Any, Any]] = {**DuckDBParser.BITWISE, **_LIKE_CONCATENATION}
    # -> is no operator here: it binds looser than OR, see _parse_disjunction.
    JSON_OPERATORS: ClassVar[dict[Any, Any]] = {
        TokenType.DARROW: DuckDBParser.JSON_OPERATORS[TokenType.DARROW]
    }
    PRIMARY_PARSERS: ClassVar[dict[Any, Any]] = {
        **DuckDBParser.PRIMARY_PARSERS,
        TokenType.HEREDOC_STRING: lambda self, token: self.expression(
            exp.Literal.string(token.text), token=token
        ),
    }
    PLACEHOLDER_PARSERS: ClassVar[dict[Any, Any]] = {
        **DuckDBParser.PLACEHOLDER_PARSERS,
        TokenType.PARAMETER: lambda self: self.parameter(),
        TokenType.PLACEHOLDER: lambda self: self.expression(exp.Placeholder()).update_positions(self._prev),
    }
    FUNC_TOKENS: ClassVar[Any] = DuckDBParser.FUNC_TOKENS | {TokenType.APPLY}
    TYPE_LITERAL_PARSERS: ClassVar[dict[Any, Any]] = {}
    ODBC_DATETIME_LITERALS: ClassVar[dict[str, type[exp.Expr]]] = {}

    def position_call(self) -> exp.Expr:
        """Read what follows ``POSITION(``; the closing parenthesis is left standing."""
        first = self._parse_bitwise()
        if self._match(TokenType.IN):
            return self.expression(exp.StrPosition(this=self._parse_bitwise(), substr=first))
        rest = self._parse_function_args() if self._match(TokenType.COMMA) else []
        return self.expression(exp.Anonymous(this="position", expressions=[first, *rest]))

    def map_value(self) -> exp.Expr:
        """Read what follows ``MAP``: ``{key: value}`` with subscripts, or two lists."""
        found = self._parse_map()
        outer = found.this
        if not isinstance(found, exp.ToMap) or not isinstance(outer, exp.Bracket):
            return found
        # The subscripts belong to the map, not to what stands in its braces.
        inner: exp.Expr = outer
        while isinstance(inner, exp.Bracket):
            inner = inner.this
        inner.replace(exp.ToMap(this=inner.copy()))
        return outer

    def _parse_function_call(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        start = self._here()
        found = super()._parse_function_call(*args, **kwargs)
        if start and isinstance(found, exp.Expr) and "line" not in found.meta:
            found.update_positions(start)
        return found

    def _parse_function_args(self, alias: bool = False) -> list[exp.Expr]:
        name = self._tokens[self._index - 2].text.upper() if self._index >= 2 else ""
        outer = getattr(self, "_arrows", False)
        self._arrows = name in _TAKE_LAMBDA
        try:
            return super()._parse_function_args(alias)
        finally:
            self._arrows = outer

    def _parse_lambda(self, alias: bool = False) -> exp.Expr | None:
        arrow = self._next and self._next.token_type == TokenType.ARROW
        opened = self._curr and self._curr.token_type == TokenType.L_PAREN
        if (not arrow and not opened) or getattr(self, "_arrows", False):
            return super()._parse_lambda(alias=alias)
        this = self._parse_select_or_expression(alias=alias)
        return self._parse_limit(self._parse_order(self._parse_respect_or_ignore_nulls(this)))

    def _parse_primary(self) -> exp.Expr | None:
        start = self._here()
        if start and start.token_type == TokenType.STRING:
            self._advance()
            text = start.text
            # Strings on consecutive lines are one string.
            while self._curr and self._curr.token_type == TokenType.STRING:
                if self._curr.line == self._prev.line:
                    self.unexpected("an operator or a comma")
                text += self._curr.text
                self._advance()
            return self.expression(exp.Literal.string(text), token=start)
        if self._match_pair(TokenType.DOT, TokenType.NUMBER):
            # .5 is DECIMAL(1,1), but 0.5 is DECIMAL(2,1).
            return exp.Literal(this=f".{self._prev.text}", is_string=False)
        return super()._parse_primary()

    def _parse_interval(
        self, require_interval: bool = True, parse_function_unit: bool = True
    ) -> exp.Interval | None:
        del require_interval, parse_function_unit  # DuckDB has one form
        index, start = self._index, self._here()
        if not self._match(TokenType.INTERVAL):
            return None
        value: exp.Expr | None
        if self._match(TokenType.STRING):
            value = exp.Literal.string(self._prev.text)
        elif self._match(TokenType.NUMBER):
            value = exp.Literal(this=self._prev.text, is_string=False)
        elif self._curr and self._curr.token_type == TokenType.L_PAREN:
            value = self._parse_paren()
        else:
            value = self._parse_column()
            value = exp.Paren(this=value) if value else None
        unit = None
        if value and self._curr and self._unquoted(self._curr) and self._curr.text.upper() in _UNITS:
            unit = exp.var(self._curr.text.upper())
            self._advance()
        if value is None or (unit is None and not value.is_string):
            # a column may be named interval
            self._retreat(index)
            return None
        if unit is not None and self.ahead("TO"):
            self.refuse("an interval with TO", hint="write INTERVAL '1 year 2 months'")
        return self.expression(exp.Interval(this=value, unit=unit), token=start)

    def _parse_in(self, this: exp.Expr | None, alias: bool = False) -> exp.In:
        if self._curr and self._curr.token_type == TokenType.L_PAREN:
            return super()._parse_in(this, alias)
        # x IN [1, NULL] is contains([1, NULL], x), which is not x IN (1, NULL).
        field = self._parse_bitwise()
        if field is None:
            self.unexpected('"(" or a list')
        return self.expression(exp.In(this=this, field=field))

    def _parse_is_rhs(self, distinct: bool = False) -> exp.Expr | None:
        if distinct:
            return super()._parse_is_rhs(distinct)
        if self.words("UNKNOWN"):
            return exp.null()
        return self._parse_null() or self._parse_boolean()

    def _parse_disjunction(self) -> exp.Expr | None:
        this = super()._parse_disjunction()
        while self._match(TokenType.ARROW):
            this = self.expression(exp.JSONExtract(this=this, expression=super()._parse_disjunction()))
        return this

    def _parse_unary(self) -> exp.Expr | None:
        this = super()._parse_unary()
        while this is not None:
            if self._match(TokenType.COLLATE):
                name = ".".join(self._dotted("a collation"))
                this = self.expression(exp.Collate(this=this, expression=exp.var(name)))
            elif self.words("AT", "TIME", "ZONE"):
                this = self.expression(exp.AtTimeZone(this=this, zone=self._parse_type()))
            else:
                break
        return this

    def _parse_type(
        self, parse_interval: bool = True, fallback_to_identifier: bool = False
    ) -> exp.Expr | None:
        start = self._here()
        if (
            start
            and not fallback_to_identifier
            and start.token_type in self.TYPE_TOKENS
            and start.token_type != TokenType.INTERVAL
            and self._next
            and (self._next.token_type == TokenType.STRING or not self._column_goes_on())
        ):
            index = self._index
            kind = self._parse_types(check_func=True, allow_identifiers=False)
            if isinstance(kind, exp.DataType) and self._match(TokenType.STRING):
                # DATE '2020-01-01'::VARCHAR casts the date, not the string.
                value = exp.Literal.string(self._prev.text)
                cast = self.expression(exp.Cast(this=value, to=kind), token=start)
                return self._parse_column_ops(cast)
            self._retreat(index)
        return super()._parse_type(parse_interval, fallback_to_identifier)

    def _parse_bracket_key_value(self, is_map: bool = False) -> exp.Expr | None:
        found = super()._parse_bracket_key_value(is_map)
        if is_map and found is not None and not _is_pair(found):
            self.fail(_PARTS)
        return found

    def _kv_to_prop_eq(self, expressions: list[exp.Expr], parse_map: bool = False) -> list[exp.Expr]:
        for part in expressions:
            if not parse_map and isinstance(part, exp.Slice) and not _is_name(part.this):
                self.fail(_PARTS)
        return super()._kv_to_prop_eq(expressions, parse_map)

    def negation(self) -> exp.Expr:
        """Read what follows ``NOT``: all that binds tighter than AND."""
        found = self.expression(exp.Not(this=self._parse_equality()))
        tighter = {*self.FACTOR, *self.TERM, *self.EXPONENT, *self.BITWISE, *self.JSON_OPERATORS}
        if self._curr and self._curr.token_type in tighter | {TokenType.DPIPE}:
            # NOT a IS NULL + b: only DuckDB gives IS NULL an operand behind it
            self.unexpected("AND, OR or a parenthesis")
        return found

    def parameter(self) -> exp.Expr | None:
        """Read what follows ``$``: a number or a name."""
        if self._prev.text != "$":
            self.refuse(f"the operator {self._prev.text}", hint="write abs(x)", token=self._prev)
        sign = self._prev
        if not self._match(TokenType.NUMBER) and not self._match_set(self.ID_VAR_TOKENS):
            self.unexpected("a parameter's number or name")
        return self.expression(exp.Placeholder(this=self._prev.text)).update_positions(sign)

    def _column_goes_on(self) -> bool:
        return self._next.token_type in (TokenType.COMMA, TokenType.R_PAREN, TokenType.DOT, TokenType.EQ)

    def _dotted(self, wanted: str) -> list[str]:
        parts = [self.name(wanted).name]
        while self._match(TokenType.DOT):
            parts.append(self.name(wanted).name)
        return parts

    def _unquoted(self, token: Token) -> bool:
        return token.token_type not in (TokenType.IDENTIFIER, TokenType.STRING)


def _is_name(key: exp.Expr) -> bool:
    """Say whether a key can be the name of a struct's field."""
    return isinstance(key, exp.Identifier | exp.Literal | exp.ByteString) or (
        isinstance(key, exp.Column) and isinstance(key.this, exp.Identifier) and not key.table
    )


def _is_pair(part: exp.Expr) -> bool:
    """Say whether a part of a struct or map is one key and one value."""
    is_pair = isinstance(part, exp.Slice) and part.this is not None and part.expression is not None
    return is_pair and part.args.get("step") is None
