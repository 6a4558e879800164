"""Run a model once for each row of a SELECT that names its results in several places.

DuckDB evaluates a consistent function once in each operator that names it, and copies it into filters that it moves
below: a score in the select list and the filter is computed twice. So the call moves below them, and becomes volatile,
which keeps DuckDB from copying it: with one relation in FROM into a subquery around that relation, with joined tables
into one around the join, else into a LATERAL one. A prediction in a subquery or CTE that an enclosing query's
conditions name is made volatile likewise.
This module must not know how a call becomes a function.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from scoter.engine.call_sites import calls_of, is_read_whole, site_of
from scoter.engine.clauses import conjuncts_of, parted, where_all
from scoter.engine.filtered import Conditions
from scoter.engine.from_clauses import (
    ColumnsOf,
    adds_unseen,
    aliased,
    columns_needed,
    hide,
    named_relations,
    wrap,
)
from scoter.engine.marks import READ_WHOLE, VOLATILE_CALL
from scoter.engine.model_runs import IsAlone, Runs
from scoter.engine.replacing import put
from scoter.engine.rules.score_joined import below_filter
from scoter.engine.rules.score_together import together
from scoter.engine.select_names import SelectNames
from scoter.engine.statements import Predict

_LEVELS = 8  # queries around each other for one SELECT; DuckDB takes some hundreds in all


def score_once(tree: exp.Expr, columns_of: ColumnsOf, is_alone: IsAlone = lambda _: False) -> exp.Expr:
    """Return ``tree``, changed in place, with predictions that a SELECT names in several places computed in one.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake. Calls for which
    ``is_alone`` holds share no run with calls for other results.
    """
    conditions = Conditions(tree)
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        if not calls_of(select):
            continue
        names = SelectNames.of(select, columns_of)
        names.spell_out_where()
        runs = Runs(names, is_alone, conditions.above(select))
        if _takes_columns(select):
            _move(runs.repeated(), names, columns_of, number)
        for call in runs.asked_above():
            call.meta[VOLATILE_CALL] = True
    return tree


def _takes_columns(select: exp.Select) -> bool:
    """Say whether columns can be added to the FROM of a SELECT."""
    relations = named_relations(select)
    pivoted = any(relation.args.get("pivots") for relation in relations)
    return bool(relations) and not pivoted and adds_unseen(select, relations)


@dataclass(frozen=True)
class _Level:
    """Runs that are scored in one subquery, for the rows that the conditions of the levels before it leave.

    ``first`` is the number of the first of them, ``later`` are the calls of the levels behind it, by identity.
    """

    runs: Sequence[list[Predict]]
    first: int
    later: frozenset[int]

    def is_later(self, part: exp.Expr) -> bool:
        """Say whether a part of WHERE needs a level behind this one."""
        return any(id(call) in self.later for call in part.find_all(Predict))


def _levels(runs: Sequence[list[Predict]], select: exp.Select) -> Iterator[_Level]:
    """Yield runs that filter one by one, each for the rows that those before it leave, and then the others at once."""
    filtering: list[list[Predict]] = []
    others: list[list[Predict]] = []
    for run in runs:
        is_filtering = any(site_of(call, select) == "where" for call in run)
        (filtering if is_filtering else others).append(run)
    first = 0
    for level in (*([run] for run in filtering[:_LEVELS]), filtering[_LEVELS:], others):
        later = filtering[first + len(level) :]
        if level:
            yield _Level(level, first, frozenset(id(call) for run in later for call in run))
        first += len(level)


def _move(runs: Sequence[list[Predict]], names: SelectNames, columns_of: ColumnsOf, number: int) -> None:
    """Compute runs below their SELECT, in place."""
    select = names.select
    has_lateral = False
    for level in _levels(runs, select):
        name = f"scoter_once_{number}_{level.first}"
        scores: dict[str, exp.Expr] = {}
        placed: list[tuple[exp.Expr, Predict]] = []
        for place, calls in enumerate(level.runs, start=level.first):
            score = f"scoter_score_{number}_{place}"
            scores[score], results = _taken(calls, score, names)
            placed += results
        relations = named_relations(select)
        if len(relations) == 1 and relations[0].alias_or_name and not select.args.get("laterals"):
            _wrap(relations[0], level, scores, names, columns_of)
        elif not below_filter(select, scores, columns_of, name, level.is_later):
            # DuckDB applies conditions with queries above what is LATERAL, and fails inside on two of these.
            if has_lateral or _filters_by_queries(select, scores):
                for result, call in placed:
                    put(result, call)
            else:
                _add_lateral(select, scores, name)
                has_lateral = True


def _taken(
    calls: list[Predict], name: str, names: SelectNames
) -> tuple[Predict, list[tuple[exp.Expr, Predict]]]:
    """Put the results of one call in the places of all; return a copy of that call, and what stands for each now."""
    shared, result_of = together(calls)
    moved = shared.copy()
    score = exp.column(exp.to_identifier(name, quoted=True))
    results = [(result_of(call, score.copy()), call) for call in calls]
    for result, call in results:
        put(call, result)
    names.spell_out(moved)
    moved.meta[VOLATILE_CALL] = True
    return moved, results


def _wrap(
    relation: exp.Expr,
    level: _Level,
    scores: dict[str, exp.Expr],
    names: SelectNames,
    columns_of: ColumnsOf,
) -> None:
    """Put ``(SELECT …, score FROM relation WHERE …) AS alias`` in the relation's place."""
    select = names.select

    def is_above(part: exp.Expr) -> bool:
        columns = part.find_all(exp.Column)
        return level.is_later(part) or any(c.name in scores or names.is_alias(c) for c in columns)

    above, below = parted(select.args.get("where"), is_above)
    select.set("where", where_all(above))
    columns = columns_of(relation) if isinstance(relation, exp.Table) else None
    inner = wrap(select, relation, columns_needed(select, relation, columns), scores).this
    inner.set("where", where_all(below))
    some = (select.args.get("limit") or select.args.get("offset")) and not select.args.get("order")
    inner.meta[READ_WHOLE] = is_read_whole(select) and not some


def _add_lateral(select: exp.Select, scores: dict[str, exp.Expr], name: str) -> None:
    """Join ``LATERAL (SELECT score) AS name``."""
    hide(select, scores, name)
    lateral = exp.Lateral(
        this=exp.Subquery(this=exp.Select(expressions=list(aliased(scores)))),
        alias=exp.TableAlias(this=exp.to_identifier(name)),
    )
    select.append("joins", exp.Join(this=lateral, kind="CROSS"))


def _filters_by_queries(select: exp.Select, scores: Collection[str]) -> bool:
    """Say whether a part of WHERE that needs no score has a query."""
    below = (part for part in conjuncts_of(select.args.get("where")) if part.find(exp.Query))
    return any(all(column.name not in scores for column in part.find_all(exp.Column)) for part in below)
