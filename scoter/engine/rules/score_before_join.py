"""Score the rows of a table before they are joined, where the condition of a join names a score, and again elsewhere.

    SELECT a.x, P FROM a JOIN b ON P = b.k
    SELECT a.x, p FROM (SELECT *, P AS p FROM a) AS a JOIN b ON p = b.k

DuckDB evaluates the call for the join, and again above it. This module must not know how a call becomes a function.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.aliases import IN_PLACE
from scoter.engine.call_sites import (
    VOLATILE_CALL,
    ColumnsOf,
    Owners,
    adds_unseen,
    call_text,
    calls_of,
    hide,
    is_lazy,
    is_of_several_rows,
    is_volatile,
    may_be_column,
    named_relations,
    owner_of,
    owners_of,
)
from scoter.engine.replacing import put
from scoter.engine.statements import Predict


def score_before_join(tree: exp.Expr, columns_of: ColumnsOf) -> exp.Expr:
    """Return ``tree``, changed in place, with predictions that a join's condition repeats computed below the join.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake.
    """
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        joins = select.args.get("joins") or []
        conditions = [join.args["on"] for join in joins if join.args.get("on") is not None]
        asked = [call for condition in conditions for call in _own_calls(condition, select)]
        relations = named_relations(select)
        if asked and adds_unseen(select, relations):
            _move(select, asked, owners_of(relations, columns_of), f"scoter_joined_{number}")
    return tree


def _move(select: exp.Select, asked: list[Predict], owners: Owners, name: str) -> None:
    runs: dict[str, list[Predict]] = {}
    for call in [*asked, *calls_of(select, select)]:
        if not is_volatile(call):
            runs.setdefault(_qualified(call, owners), []).append(call)
    for place, calls in enumerate(runs.values()):
        first = calls[0]
        relation = _relation(select, first, owners)
        others_may = all(may_be_column(call, select) for call in calls if not _is_in_join(call))
        if (
            len(calls) < 2
            or relation is None
            or not others_may
            or not _is_in_join(first)
            or is_lazy(first, exp.Join)
        ):
            continue
        score = f"{name}_{place}"
        for call in calls:
            put(call, exp.column(exp.to_identifier(score, quoted=True)))
        first.meta[VOLATILE_CALL] = True
        hide(select, [score], relation.alias_or_name)
        inner = exp.Select(expressions=[exp.Star(), exp.alias_(first, score, quoted=True)])
        alias = exp.TableAlias(this=exp.to_identifier(relation.alias_or_name, quoted=True))
        wrapped = exp.Subquery(this=inner, alias=alias)
        wrapped.meta[IN_PLACE] = True
        put(relation, wrapped)
        inner.set("from_", exp.From(this=relation))


def _own_calls(condition: exp.Expr, select: exp.Select) -> list[Predict]:
    holders = (exp.Select, exp.Lambda, exp.Comprehension, Predict)
    return [call for call in condition.find_all(Predict) if call.find_ancestor(*holders) is select]


def _is_in_join(call: Predict) -> bool:
    return call.find_ancestor(exp.Join, exp.Select) is not call.find_ancestor(exp.Select)


def _qualified(call: Predict, owners: Owners) -> str:
    """Return a call's text with each column's table and in one case."""
    call = call.copy()
    for column in call.find_all(exp.Column):
        owner = owner_of(column, owners)
        if owner is not None:
            column.set("table", exp.to_identifier(owner))
            column.set("this", exp.to_identifier(column.name.casefold()))
    return call_text(call)


def _relation(select: exp.Select, call: Predict, owners: Owners) -> exp.Expr | None:
    """Return the one relation whose rows a call scores, if no join adds rows without it."""
    names = {owner_of(column, owners) for column in call.find_all(exp.Column)}
    if len(names) != 1 or None in names or call.find(exp.Query) is not None or is_of_several_rows(call):
        return None
    joins: list[exp.Join] = select.args.get("joins") or []
    relations = named_relations(select)
    place = next(place for place, each in enumerate(relations) if each.alias_or_name.casefold() in names)
    if len(relations) != len(joins) + 1 or any(join.args.get("method") for join in joins):
        return None
    own, later = joins[:place][-1:], joins[place:]
    sides = [str(join.args.get("side") or "").upper() for join in [*own, *later]]
    kept = all(side == "" for side in sides[: len(own)]) and all(
        side in {"", "LEFT"} for side in sides[len(own) :]
    )
    return relations[place] if kept else None
