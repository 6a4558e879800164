"""Which calls of a SELECT run a model on the same values, and which of these runs DuckDB would repeat for a row.

This module must not know where runs are moved to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from sqlglot import exp

from scoter.engine.call_sites import calls_of, is_evaluated, is_volatile, site_of
from scoter.engine.clauses import columns_beside, path_to
from scoter.engine.dialect import Scoter
from scoter.engine.functions import AGGREGATES
from scoter.engine.gate import function_name
from scoter.engine.grouping import Grouping
from scoter.engine.select_names import SelectNames
from scoter.engine.statements import Predict, span_of
from scoter.errors import Span

KINDS = frozenset({"predict", "proba", "all"})
"""The kinds of calls of which several can be one."""
IsAlone = Callable[[Predict], bool]
_NOWHERE = Span(0, 0)
_BARRIERS = AGGREGATES | {"try"}


def call_text(call: Predict) -> str:
    """Return the text by which calls are found equal."""
    return call.sql(dialect=Scoter)


def run_text(call: Predict) -> str:
    """Return the text by which calls are found to run one model on the same values, whatever they want of its results."""
    given = [each.copy() for each in call.arguments]
    return call_text(Predict(model=call.model.copy(), arguments=given, kind="all"))


def first_written(calls: Iterable[Predict]) -> Predict:
    """Return the call that stands first in the statement as written."""
    return min(calls, key=lambda call: span_of(call) or _NOWHERE)


class Runs:
    """The runs of models that the calls of one SELECT ask for.

    ``asked`` are the folded names of results that conditions of queries around may ask for. Calls for which
    ``is_alone`` holds share no run with calls for other results.
    """

    def __init__(self, names: SelectNames, is_alone: IsAlone, asked: Collection[str]) -> None:
        self._select = names.select
        self._names = names
        self._asked = asked
        self._runs: dict[str, list[Predict]] = {}
        for call in calls_of(self._select):
            if not is_volatile(call) and call.find(exp.Column) is not None:
                shares = call.kind in KINDS and not call.tries and not is_alone(call)
                self._runs.setdefault(run_text(call) if shares else call_text(call), []).append(call)
        self._alias_uses = self._uses_of_aliases() if names.aliases and self._runs else {}

    def repeated(self) -> list[list[Predict]]:
        """Return the calls of each run that is evaluated more than once for a row and may be computed below the SELECT."""
        grouping = Grouping(self._select)
        return [
            run for run in self._runs.values() if self._is_repeated(run) and self._can_move(run, grouping)
        ]

    def asked_above(self) -> Iterator[Predict]:
        """Yield the calls that still stand in the SELECT, alone, and that conditions around it would repeat."""
        for call, *more in self._runs.values():
            stays = call.find_ancestor(exp.Select) is self._select and not self._select.args.get("group")
            if stays and not more and self._is_asked(call) and not self._uses([call]):
                yield call

    def _is_repeated(self, calls: Sequence[Predict]) -> bool:
        uses = self._uses(calls)
        sites = [site_of(node, self._select) for node in [*calls, *uses]]
        if len(set(sites)) > 1 or any(sites.count(clause) > 1 for clause in ("where", "having", "qualify")):
            return True
        if "order" in sites:  # DuckDB finds the first rows, and reads and computes them once more
            return True
        several = len({call_text(call) for call in calls}) > 1
        return any(map(self._is_asked, calls)) or (several and self._select.args.get("group") is not None)

    def _can_move(self, calls: Sequence[Predict], grouping: Grouping) -> bool:
        nodes: list[exp.Expr] = [*calls, *self._uses(calls)]
        filtering = [node for node in nodes if site_of(node, self._select) == "where"]
        return any(is_evaluated(node, self._select) for node in filtering or nodes) and all(
            grouping.may_be_column(call) and all(map(self._names.is_below, call.find_all(exp.Column)))
            for call in calls
        )

    def _is_asked(self, call: Predict) -> bool:
        """Say whether conditions of a query around this one may be moved below what is made of a call."""
        path = list(path_to(call, self._select))
        if any(function_name(node) in _BARRIERS or isinstance(node, exp.Window) for node in path[1:]):
            return False
        return path[-1].arg_key == "expressions" and path[-1].alias_or_name.casefold() in self._asked

    def _uses(self, calls: Sequence[Predict]) -> list[exp.Column]:
        """Return the columns that may be aliases of what is made of calls."""
        aliases = [call.find_ancestor(exp.Alias, exp.Select) for call in calls]
        made = dict.fromkeys(each.alias.casefold() for each in aliases if isinstance(each, exp.Alias))
        return [column for name in made for column in self._alias_uses.get(name, ())]

    def _uses_of_aliases(self) -> dict[str, list[exp.Column]]:
        """Return the columns that may be aliases, by folded name."""
        found: dict[str, list[exp.Column]] = {}
        for column in columns_beside(self._select):
            if not column.table and not self._names.means_column(column):
                found.setdefault(column.name.casefold(), []).append(column)
        return found
