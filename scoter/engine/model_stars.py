"""``*`` as what a model call is given: the rows that its SELECT reads.

This module must not know models.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.arguments import ROWS
from scoter.engine.relations import is_row_and_column, relations_of
from scoter.engine.resolved import Resolved
from scoter.engine.statements import Predict, span_of
from scoter.errors import WrongArguments


def expand_stars(tree: exp.Expr, resolved: Resolved) -> None:
    """Replace ``PREDICT('m', *)`` by the rows of every table of its SELECT, ``t.*`` by that of t, in place.

    Raises WrongArguments where the star is not alone, leaves columns out, or where a column has the
    name of the row.
    """
    for call in tree.find_all(Predict):
        stars = [argument for argument in call.arguments if _star(argument) is not None]
        if not stars:
            continue
        select = call.find_ancestor(exp.Select)
        if len(call.arguments) != 1 or select is None:
            raise WrongArguments("* stands alone in a model call", span=span_of(call))
        star = _star(stars[0])
        if star is not None and any(star.args.get(key) for key in ("except_", "replace", "rename")):
            raise WrongArguments(
                "* in a model call is of all columns", hint="write a struct", span=span_of(call)
            )
        relations = list(relations_of(select))
        if not relations:
            raise WrongArguments("* needs a FROM", span=span_of(call))
        whole = isinstance(stars[0], exp.Star)
        names = [r.alias_or_name for r in relations] if whole else [stars[0].args["table"].name]
        for name in names:
            if not name:
                raise WrongArguments(
                    "* needs a name for every relation", hint="write AS and an alias", span=span_of(call)
                )
            if is_row_and_column(name, call, resolved):
                raise WrongArguments(
                    f'"{name}" may be a column of the row "{name}", too',
                    hint="give the table another alias, or name its columns",
                    span=span_of(call),
                )
        if not whole:
            call.set("arguments", [exp.Column(this=stars[0].args["table"].copy())])
            continue
        call.set("arguments", [exp.column(name) for name in names])
        joins = select.args.get("joins") or []
        natural = any(str(join.args.get("method", "")).upper() == "NATURAL" for join in joins)
        merged = [column.name.casefold() for join in joins for column in join.args.get("using") or []]
        call.meta[ROWS] = ("*",) if natural else tuple(merged)


def _star(argument: exp.Expr) -> exp.Star | None:
    inner = argument.this if isinstance(argument, exp.Column) else argument
    return inner if isinstance(inner, exp.Star) else None
