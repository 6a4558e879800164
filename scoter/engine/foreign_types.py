"""Types that meet in a view of Spark: those for which Spark calculates by other rules than DuckDB.

Spark takes FLOAT and whole numbers or decimals together as DOUBLE, DuckDB as FLOAT; the average of decimals is a
decimal in Spark and a DOUBLE in DuckDB; DuckDB reads text as numbers in USING. This module must not know tables,
nor how a query is bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from scoter.engine.binding import data_type, marked
from scoter.engine.gate import function_name
from scoter.errors import NotSupported

_EXACT_FLOAT = 2**24  # whole numbers up to this one are exact as FLOAT
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)
_TEXTS = frozenset({exp.DType.VARCHAR, exp.DType.TEXT})
_EXACT = frozenset({*exp.DataType.INTEGER_TYPES, exp.DType.DECIMAL})


@dataclass(frozen=True)
class Operand:
    """A part of an operation: the key of its type, and the type of the number in it, if there is one.

    DuckDB has no type of a constant that it calculated while it bound the query.
    """

    key: str
    number: str | None


@dataclass(frozen=True)
class Meeting:
    """What one operation brings together; ``word`` names it in messages."""

    word: str
    operands: tuple[Operand, ...]


def mark_meetings(query: exp.Expr) -> list[Meeting]:
    """Mark every operand whose type matters, in place, and return what meets.

    The query is to be bound, not run. Equal operands of one SELECT get one key: what is grouped by stays the same.
    """
    for select in list(query.find_all(exp.Select)):
        _spell_using(select)
    keys: dict[tuple[int, str], str] = {}
    meetings: list[Meeting] = []
    operands: list[tuple[exp.Expr, str]] = []
    for node in query.walk():
        for word, parts in _meetings(node):
            own = []
            for part in parts:
                place = (id(part.find_ancestor(exp.Select)), part.sql(dialect="duckdb"))
                key = keys.setdefault(place, str(len(keys)))
                own.append(Operand(key, _number(part)))
                operands.append((part, key))
            meetings.append(Meeting(word, tuple(own)))
    # Inner ones first, because outer ones take them along.
    for part, key in reversed(operands):
        new = marked(part.copy(), key)
        if isinstance(part, exp.Column) and isinstance(part.parent, exp.Select):
            new = exp.alias_(new, part.name, quoted=True)
        part.replace(new)
    return meetings


def check_meetings(meetings: Sequence[Meeting], kinds: Mapping[str, str], dialect: str) -> None:
    """Raise NotSupported for operands, of types ``kinds`` by key, that mean something else in the view's dialect."""
    for meeting in meetings:
        found = {kinds.get(operand.key, operand.number) for operand in meeting.operands}
        texts = sorted(text for text in found if text is not None)
        types = {data_type(text).this for text in texts}
        mixed = exp.DType.FLOAT in types and not types.isdisjoint(_EXACT)
        averaged = meeting.word == _AVG and exp.DType.DECIMAL in types
        joined = meeting.word == _USING and not types.isdisjoint(_TEXTS) and not types <= _TEXTS
        if mixed or averaged or joined:
            raise NotSupported(
                f"{meeting.word} of {' and '.join(texts)} in the view's text of the dialect {dialect} has no exact"
                " counterpart",
                hint="CREATE VIEW makes one of the dialect scoter",
            )


_AVG, _USING = "avg", "USING"
_SEEN = "scoter_seen"


def _spell_using(select: exp.Select) -> None:
    """Name both sides of USING in conditions of their own; all joins become inner ones, in which both can be named."""
    joins = select.args.get("joins") or []
    pairs = [
        exp.EQ(
            this=exp.column(name.copy()),
            expression=exp.column(name.copy(), table=join.this.alias_or_name, quoted=True),
        )
        for join in joins
        for name in join.args.get("using") or []
    ]
    if not pairs:
        return
    for join in joins:
        join.set("side", None)
    for pair in pairs:
        pair.meta[_SEEN] = True
    where = select.args.get("where")
    select.set("where", exp.Where(this=exp.and_(*pairs, *([where.this] if where else []), copy=False)))


def _meetings(node: exp.Expr) -> Iterator[tuple[str, list[exp.Expr]]]:
    if isinstance(node, _ARITHMETIC):
        yield "arithmetic", [node.this, node.expression]
    elif isinstance(node, exp.EQ) and _SEEN in node.meta:
        yield _USING, [node.this, node.expression]
    elif isinstance(node, _COMPARISONS):
        yield "a comparison", [part for part in _compared(node) if not _is_small(part)]
    elif isinstance(node, exp.Case):
        default = node.args.get("default")
        yield "CASE", [*(one.args["true"] for one in node.args["ifs"]), *([default] if default else [])]
    elif isinstance(node, exp.SetOperation) and not isinstance(node.parent, exp.SetOperation):
        arms = [[part.unalias() for part in arm.expressions] for arm in _arms(node)]
        yield from (("UNION", list(parts)) for parts in zip(*arms, strict=False))
    elif isinstance(node, exp.Coalesce):
        yield "coalesce", [node.this, *node.expressions]
    elif (name := function_name(node)) in (_AVG, "coalesce"):
        yield name, list(node.expressions)


def _compared(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Between):
        return [node.this, node.args["low"], node.args["high"]]
    if not isinstance(node, exp.In):
        return [node.this, node.expression]
    query = node.args.get("query")
    arms = [] if query is None else [arm.expressions[0].unalias() for arm in _arms(query.unnest())]
    return [node.this, *node.expressions, *arms]


def _arms(query: exp.Expr) -> list[exp.Select]:
    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        return [*_arms(query.left), *_arms(query.right)]
    return [query] if isinstance(query, exp.Select) else []


def _number(part: exp.Expr) -> str | None:
    """Return the type of the first number written in a part."""
    number = next((one.name for one in part.find_all(exp.Literal) if not one.is_string), None)
    if number is None:
        return None
    return "INTEGER" if number.isdigit() else "DOUBLE" if "e" in number.casefold() else "DECIMAL"


def _is_small(part: exp.Expr) -> bool:
    """Say whether a part is constants that are the same numbers as FLOAT and as DOUBLE."""
    match part:
        case exp.Null():
            return True
        case exp.Literal():
            return not part.is_string and part.name.isdigit() and int(part.name) <= _EXACT_FLOAT
        case exp.Neg() | exp.Paren():
            return _is_small(part.this)
        case exp.Coalesce():
            return all(_is_small(one) for one in (part.this, *part.expressions))
    return False
