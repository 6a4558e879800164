"""Let QUALIFY leave rows before they are scored, where it asks for a score only beside its windows.

    SELECT id, P AS p FROM t WHERE a QUALIFY row_number() OVER (…) = 1 AND P > 0.5
    SELECT id, P AS p FROM (SELECT * FROM t WHERE a QUALIFY row_number() OVER (…) = 1) AS t WHERE P > 0.5

Windows of the select list are computed below, too. This module must not know how a call becomes a function.
"""

from __future__ import annotations

from sqlglot import exp

from scoter.engine.clauses import parted, where_all
from scoter.engine.from_clauses import ColumnsOf, adds_unseen, named_relations, wrap
from scoter.engine.replacing import put
from scoter.engine.select_names import SelectNames
from scoter.engine.statements import Predict

_CLAUSES = frozenset(
    {"with_", "expressions", "from_", "where", "qualify", "order", "limit", "offset", "distinct"}
)


def score_qualified(tree: exp.Expr, columns_of: ColumnsOf) -> exp.Expr:
    """Return ``tree``, changed in place, with what QUALIFY asks of scores in WHERE.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake.
    """
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        relations = named_relations(select)
        qualified = select.args.get("qualify") is not None and select.find(Predict) is not None
        if qualified and len(relations) == 1 and _is_plain(select) and adds_unseen(select, relations):
            _split(select, relations[0], SelectNames.of(select, columns_of), f"scoter_window_{number}")
    return tree


def _is_plain(select: exp.Select) -> bool:
    return {key for key, value in select.args.items() if value} <= _CLAUSES


def _split(select: exp.Select, relation: exp.Expr, names: SelectNames, name: str) -> None:
    qualify = select.args["qualify"]
    if names.known is None or names.aliases.keys() & names.known & _bare(qualify):
        return
    spelled = qualify.copy()
    names.spell_out(spelled)
    above, below = parted(spelled, lambda part: part.find(Predict) is not None)
    where = select.args.get("where")
    filters = where is not None and (where.find(Predict) is not None or _bare(where) & names.aliases.keys())
    if not above or not below or filters:
        return
    order = select.args.get("order")
    parts = [*select.expressions, *([order] if order is not None else []), *above]
    windows = [window for part in parts for window in part.find_all(exp.Window)]
    if any(window.find(Predict) is not None or _bare(window) & names.aliases.keys() for window in windows):
        return
    names_of: dict[str, str] = {}
    computed: dict[str, exp.Expr] = {}
    for window in windows:
        text = window.sql(dialect="duckdb")
        if text not in names_of:
            names_of[text] = f"{name}_{len(names_of)}"
            computed[names_of[text]] = window
        put(window, exp.column(exp.to_identifier(names_of[text], quoted=True)))
    inner = wrap(select, relation, [exp.Star()], computed).this
    inner.set("where", where)
    inner.set("qualify", exp.Qualify(this=exp.and_(*below, copy=False)))
    select.set("qualify", None)
    select.set("where", where_all(above))


def _bare(part: exp.Expr) -> set[str]:
    """Return the folded names in a part that have no table."""
    return {column.name.casefold() for column in part.find_all(exp.Column) if not column.table}
