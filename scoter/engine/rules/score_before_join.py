"""Score the rows of a table before they are joined, where the condition of a join names a score, and again elsewhere.

    SELECT a.x, P FROM a JOIN b ON P = b.k
    SELECT a.x, p FROM (SELECT *, P AS p FROM a) AS a JOIN b ON p = b.k

DuckDB evaluates the call for the join, and again above it. This module must not know how a call becomes a function.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.call_sites import calls_of, is_lazy, is_volatile
from scoter.engine.from_clauses import (
    ColumnsOf,
    Owners,
    adds_unseen,
    named_relations,
    owner_of,
    owners_of,
    wrap,
)
from scoter.engine.grouping import Grouping, is_of_several_rows
from scoter.engine.marks import VOLATILE_CALL
from scoter.engine.model_runs import call_text
from scoter.engine.replacing import put
from scoter.engine.statements import Predict


def score_before_join(tree: exp.Expr, columns_of: ColumnsOf) -> exp.Expr:
    """Return ``tree``, changed in place, with predictions that a join's condition repeats computed below the join.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake.
    """
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        joins = select.args.get("joins") or []
        conditions = [join.args["on"] for join in joins if join.args.get("on") is not None]
        asked = [call for condition in conditions for call in calls_of(condition)]
        relations = named_relations(select)
        if asked and adds_unseen(select, relations):
            _move(select, asked, owners_of(relations, columns_of), f"scoter_joined_{number}")
    return tree


def _move(select: exp.Select, asked: list[Predict], owners: Owners, name: str) -> None:
    runs: dict[str, list[Predict]] = {}
    for call in [*asked, *calls_of(select)]:
        if not is_volatile(call):
            runs.setdefault(_qualified(call, owners), []).append(call)
    grouping = Grouping(select)
    owned = [(calls, _owner(select, calls, owners, grouping)) for calls in runs.values()]
    for place, (calls, owner) in enumerate(owned):
        if owner is None:
            continue
        score = f"{name}_{place}"
        for call in calls:
            put(call, exp.column(exp.to_identifier(score, quoted=True)))
        calls[0].meta[VOLATILE_CALL] = True
        relation = next(each for each in named_relations(select) if each.alias_or_name.casefold() == owner)
        wrap(select, relation, [exp.Star()], {score: calls[0]})


def _qualified(call: Predict, owners: Owners) -> str:
    """Return a call's text with each column's table and in one case."""
    call = call.copy()
    for column in call.find_all(exp.Column):
        owner = owner_of(column, owners)
        if owner is not None:
            column.set("table", exp.to_identifier(owner))
            column.set("this", exp.to_identifier(column.name.casefold()))
    return call_text(call)


def _owner(select: exp.Select, calls: list[Predict], owners: Owners, grouping: Grouping) -> str | None:
    """Return the relation below whose join equal calls can move, None where they stay."""
    first = calls[0]
    if len(calls) < 2 or not _is_in_join(first) or is_lazy(first, exp.Join):
        return None
    if not all(grouping.may_be_column(call) for call in calls if not _is_in_join(call)):
        return None
    return _scored(select, first, owners)


def _is_in_join(call: Predict) -> bool:
    return call.find_ancestor(exp.Join, exp.Select) is not call.find_ancestor(exp.Select)


def _scored(select: exp.Select, call: Predict, owners: Owners) -> str | None:
    """Return the one relation whose rows a call scores, if no join adds rows without it."""
    names = {owner_of(column, owners) for column in call.find_all(exp.Column)}
    name = names.pop() if len(names) == 1 else None
    if name is None or call.find(exp.Query) is not None or is_of_several_rows(call):
        return None
    joins: list[exp.Join] = select.args.get("joins") or []
    relations = [relation.alias_or_name.casefold() for relation in named_relations(select)]
    if len(relations) != len(joins) + 1 or any(join.args.get("method") for join in joins):
        return None
    place = relations.index(name)
    own, later = joins[:place][-1:], joins[place:]
    sides = [str(join.args.get("side") or "").upper() for join in [*own, *later]]
    kept = all(side == "" for side in sides[: len(own)]) and all(
        side in {"", "LEFT"} for side in sides[len(own) :]
    )
    return name if kept else None
