"""Run a model once for each row of a SELECT that names its results in several places.

DuckDB evaluates a consistent function once in each operator that names it, and copies it into filters that it moves
below: a score in the select list and the filter is computed twice. So the call moves below them, and becomes volatile,
which keeps DuckDB from copying it: with one relation in FROM into a subquery around that relation, with joined tables
into one around the join, else into a LATERAL one. A prediction in a subquery or CTE that an enclosing query's
conditions name is made volatile likewise.
This module must not know how a call becomes a function.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlglot import exp

from scoter.engine.aliases import IN_PLACE
from scoter.engine.call_sites import (
    READ_WHOLE,
    VOLATILE_CALL,
    ColumnsOf,
    adds_unseen,
    aliases_of,
    call_text,
    calls_of,
    columns_beside,
    columns_known,
    columns_needed,
    conjuncts_of,
    hide,
    is_evaluated,
    is_of_several_rows,
    is_read_whole,
    is_volatile,
    may_be_column,
    named_relations,
    run_text,
    site_of,
)
from scoter.engine.filtered import Conditions
from scoter.engine.functions import AGGREGATES
from scoter.engine.gate import function_name
from scoter.engine.replacing import put
from scoter.engine.rules.score_joined import below_filter
from scoter.engine.rules.score_together import KINDS, IsAlone, together
from scoter.engine.statements import Predict

_BARRIERS = AGGREGATES | {"try"}
_LEVELS = 8  # queries around each other for one SELECT; DuckDB takes some hundreds in all
_SPELLED = 100  # aliases of aliases that are spelled out in one WHERE: each may name others twice
_COLUMN_FIRST = frozenset({"where", "group", "list"})  # there a name that a column has is no alias


def score_once(tree: exp.Expr, columns_of: ColumnsOf, is_alone: IsAlone = lambda _: False) -> exp.Expr:
    """Return ``tree``, changed in place, with predictions that a SELECT names in several places computed in one.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake. Calls for which
    ``is_alone`` holds share no run with calls for other results.
    """
    conditions = Conditions(tree)
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        if calls_of(select, select):
            _Runs(select, columns_of, is_alone, conditions.above(select)).place(f"{number}")
    return tree


class _Runs:
    """The runs of models that the calls of one SELECT ask for, by a text for each."""

    def __init__(
        self, select: exp.Select, columns_of: ColumnsOf, is_alone: IsAlone, asked: Collection[str]
    ) -> None:
        self._select = select
        self._columns_of = columns_of
        self._relations = named_relations(select)
        self._known = columns_known(self._relations, columns_of) if self._relations else None
        self._aliases = {
            name: part for name, part in aliases_of(select).items() if not _is_column(part, name)
        }
        self._asked = asked
        self._later: frozenset[int] = frozenset()
        self._is_lateral = False
        if self._known is not None:
            _spell_out(select, self._aliases, self._known)
        self._runs: dict[str, list[Predict]] = {}
        for call in calls_of(select, select):
            if not is_volatile(call) and call.find(exp.Column) is not None:
                shares = call.kind in KINDS and not call.tries and not is_alone(call)
                self._runs.setdefault(run_text(call) if shares else call_text(call), []).append(call)
        self._alias_uses = self._uses_of_aliases() if self._aliases and self._runs else {}

    def place(self, number: str) -> None:
        """Move runs that are named in several places below the SELECT; make volatile what is asked for above, in place."""
        select = self._select
        pivoted = any(relation.args.get("pivots") for relation in self._relations)
        movable = bool(self._relations) and not pivoted and adds_unseen(select, self._relations)
        moved = [
            run for run in self._runs.values() if movable and self._is_repeated(run) and self._can_move(run)
        ]
        # Each is scored for the rows that the conditions before it leave.
        filtering = [run for run in moved if self._is_in_filter(run)]
        others = [run for run in moved if not self._is_in_filter(run)]
        levels = [*([run] for run in filtering[:_LEVELS]), filtering[_LEVELS:]]
        for place, runs in enumerate(each for each in levels if each):
            self._later = frozenset(id(call) for run in filtering[place + len(runs) :] for call in run)
            self._put_below(runs, number, place)
        if others:
            self._put_below(others, number, len(filtering))
        for run in self._runs.values():
            (call, *more) = run
            stays = call.find_ancestor(exp.Select) is select and not select.args.get("group")
            if stays and not more and self._is_asked(call) and not self._uses(run):
                call.meta[VOLATILE_CALL] = True

    def _put_below(self, runs: list[list[Predict]], number: str, first: int) -> None:
        select = self._select
        relations = named_relations(select)
        scores: dict[str, exp.Expr] = {}
        placed: list[tuple[exp.Expr, Predict]] = []
        for place, calls in enumerate(runs, start=first):
            name = f"scoter_score_{number}_{place}"
            scores[name] = self._moved(calls, exp.column(exp.to_identifier(name, quoted=True)), placed)
        if len(relations) == 1 and relations[0].alias_or_name and not select.args.get("laterals"):
            self._wrap(relations[0], scores)
        elif not below_filter(
            select, scores, self._columns_of, name := f"scoter_once_{number}_{first}", self._is_later
        ):
            # DuckDB applies conditions with queries above what is LATERAL, and fails inside on two of these.
            if self._filters_by_queries(scores) or self._is_lateral:
                for column, call in placed:
                    put(column, call)
                return
            self._is_lateral = True
            hide(select, list(scores), name)
            lateral = exp.Lateral(
                this=exp.Subquery(this=exp.Select(expressions=_aliased(scores))),
                alias=exp.TableAlias(this=exp.to_identifier(name)),
            )
            select.append("joins", exp.Join(this=lateral, kind="CROSS"))

    def _is_later(self, part: exp.Expr) -> bool:
        """Say whether a part of WHERE has a call that moves after those that are moved now."""
        return any(id(call) in self._later for call in part.find_all(Predict))

    def _is_in_filter(self, calls: list[Predict]) -> bool:
        return any(site_of(call, self._select) == "where" for call in calls)

    def _is_repeated(self, calls: list[Predict]) -> bool:
        """Say whether a run is evaluated more than once for a row."""
        uses = self._uses(calls)
        sites = [site_of(node, self._select) for node in [*calls, *uses]]
        if len(set(sites)) > 1 or any(sites.count(clause) > 1 for clause in ("where", "having", "qualify")):
            return True
        if "order" in sites:  # DuckDB finds the first rows, and reads and computes them once more
            return True
        several = len({call_text(call) for call in calls}) > 1
        return any(map(self._is_asked, calls)) or (several and self._select.args.get("group") is not None)

    def _uses(self, calls: list[Predict]) -> list[exp.Column]:
        """Return the columns that may be aliases of what is made of calls."""
        aliases = [call.find_ancestor(exp.Alias, exp.Select) for call in calls]
        made = dict.fromkeys(each.alias.casefold() for each in aliases if isinstance(each, exp.Alias))
        return [column for name in made for column in self._alias_uses.get(name, ())]

    def _uses_of_aliases(self) -> dict[str, list[exp.Column]]:
        """Return the columns that may be aliases, by folded name."""
        found: dict[str, list[exp.Column]] = {}
        for column in columns_beside(self._select):
            name = column.name.casefold()
            if not column.table and name in self._aliases and not self._means_column(column):
                found.setdefault(name, []).append(column)
        return found

    def _means_column(self, column: exp.Column) -> bool:
        """Say whether a column without a table certainly is none of the SELECT's aliases."""
        name = column.name.casefold()
        if name not in self._aliases:
            return True
        known = self._known is not None and name in self._known
        return known and site_of(column, self._select) in _COLUMN_FIRST

    def _is_asked(self, call: Predict) -> bool:
        """Say whether conditions of a query around this one may be moved below what is made of a call."""
        node: exp.Expr = call
        while node.parent is not None and node.parent is not self._select:
            if function_name(node.parent) in _BARRIERS or isinstance(node.parent, exp.Window):
                return False
            node = node.parent
        return node.arg_key == "expressions" and node.alias_or_name.casefold() in self._asked

    def _can_move(self, calls: list[Predict]) -> bool:
        nodes: list[exp.Expr] = [*calls, *self._uses(calls)]
        filtering = [node for node in nodes if site_of(node, self._select) == "where"]
        return any(is_evaluated(node, self._select) for node in filtering or nodes) and all(
            may_be_column(call, self._select) and self._has_own_names(call) for call in calls
        )

    def _has_own_names(self, call: Predict) -> bool:
        """Say whether what a call names is there below the SELECT, but for aliases that can be spelled out."""
        return all(
            column.table or self._means_column(column) or self._is_spelled_out(column)
            for column in call.find_all(exp.Column)
        )

    def _is_spelled_out(self, column: exp.Column) -> bool:
        name = column.name.casefold()
        part = self._aliases[name]
        if self._known is None or name in self._known or is_volatile(part):
            return False
        inside = [node for node in part.walk() if isinstance(node, exp.Column) and not node.table]
        plain = not any(isinstance(node, Predict | exp.Query) for node in part.walk())
        return (
            plain
            and not is_of_several_rows(part)
            and all(node.name.casefold() in self._known for node in inside)
        )

    def _filters_by_queries(self, scores: Collection[str]) -> bool:
        """Say whether a part of WHERE that needs no score has a query."""
        below = (part for part in conjuncts_of(self._select.args.get("where")) if part.find(exp.Query))
        return any(all(column.name not in scores for column in part.find_all(exp.Column)) for part in below)

    def _moved(
        self, calls: list[Predict], score: exp.Column, placed: list[tuple[exp.Expr, Predict]]
    ) -> Predict:
        """Put the results of one call in the places of all, and return a copy of that call."""
        moved, result_of = together(calls)
        moved = moved.copy()
        for call in calls:
            result = result_of(call, score.copy())
            put(call, result)
            placed.append((result, call))
        for column in list(moved.find_all(exp.Column)):
            if not column.table and not self._is_known(column):
                put(column, exp.Paren(this=self._aliases[column.name.casefold()].copy()))
        moved.meta[VOLATILE_CALL] = True
        return moved

    def _is_known(self, column: exp.Column) -> bool:
        name = column.name.casefold()
        return name not in self._aliases or (self._known is not None and name in self._known)

    def _wrap(self, relation: exp.Expr, scores: dict[str, exp.Expr]) -> None:
        """Put ``(SELECT …, score FROM relation WHERE …) AS alias`` in the relation's place."""
        select = self._select
        below, above = self._split(scores)
        select.set("where", exp.Where(this=exp.and_(*above, copy=False)) if above else None)
        columns = self._columns_of(relation) if isinstance(relation, exp.Table) else None
        inner = exp.Select(expressions=[*columns_needed(select, relation, columns), *_aliased(scores)])
        hide(select, list(scores), relation.alias_or_name)
        inner.set("from_", select.args["from_"])
        inner.set("where", exp.Where(this=exp.and_(*below, copy=False)) if below else None)
        some = (select.args.get("limit") or select.args.get("offset")) and not select.args.get("order")
        inner.meta[READ_WHOLE] = is_read_whole(select) and not some
        alias = exp.TableAlias(this=exp.to_identifier(relation.alias_or_name, quoted=True))
        wrapped = exp.Subquery(this=inner, alias=alias)
        wrapped.meta[IN_PLACE] = True
        select.set("from_", exp.From(this=wrapped))

    def _split(self, scores: Collection[str]) -> tuple[list[exp.Expr], list[exp.Expr]]:
        """Return the parts of WHERE that need no score and no alias, and the others."""
        below: list[exp.Expr] = []
        above: list[exp.Expr] = []
        for part in conjuncts_of(self._select.args.get("where")):
            names = [column.name.casefold() for column in part.find_all(exp.Column) if not column.table]
            free = all(name in (self._known or ()) or name not in self._aliases for name in names)
            moves = free and not self._is_later(part) and not any(name in scores for name in names)
            (below if moves else above).append(part)
        return below, above


def _spell_out(select: exp.Select, aliases: dict[str, exp.Expr], known: Collection[str]) -> None:
    """Replace an alias in WHERE by what it stands for, as DuckDB would where no column has the name."""
    where = select.args.get("where")
    columns = list(where.find_all(exp.Column)) if where is not None else []
    for _ in range(_SPELLED):
        if not columns:
            break
        column = columns.pop()
        name = column.name.casefold()
        own = column.find_ancestor(exp.Select, Predict) is select  # a call's are spelled out where it moves
        if (
            own
            and not column.table
            and name in aliases
            and name not in known
            and not is_volatile(aliases[name])
        ):
            value = exp.Paren(this=aliases[name].copy())
            column.replace(value)
            # An alias may be made of those before it.
            columns += value.find_all(exp.Column)


def _is_column(value: exp.Expr, name: str) -> bool:
    return isinstance(value, exp.Column) and value.name.casefold() == name


def _aliased(scores: dict[str, exp.Expr]) -> list[exp.Expr]:
    return [exp.alias_(score, name, quoted=True) for name, score in scores.items()]
