"""Compute a prediction once that stands in the filter and again elsewhere in the same SELECT.

DuckDB evaluates a consistent function once for the filter and again for the rows that pass. So the call
moves below the filter and becomes volatile, which keeps DuckDB from copying it: with one relation in
FROM into a subquery around that relation, with joined tables into one around the join, else into a
LATERAL one. A prediction in a subquery or CTE on which an enclosing query filters is made volatile likewise.
This module must not know how a call becomes a function.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from scoter.engine.aliases import IN_PLACE
from scoter.engine.dialect import Scoter
from scoter.engine.functions import AGGREGATES, VOLATILE
from scoter.engine.gate import function_name
from scoter.engine.rules.score_joined import below_filter
from scoter.engine.statements import Predict

VOLATILE_CALL = "scoter_volatile"
FIELD = "scoter_field"
"""Marks what takes one of the results of a call that is several together."""
# What stands below them is evaluated for some rows only, and may fail for the others.
_LAZY = frozenset({"coalesce", "if", "ifnull", "try"})
_BINDING = (exp.Lambda, exp.Comprehension)  # their variables hide columns
ColumnsOf = Callable[[exp.Table], list[str] | None]


def score_once(tree: exp.Expr, columns_of: ColumnsOf) -> exp.Expr:
    """Return ``tree`` with repeated predictions of a filtered SELECT computed in one place.

    ``columns_of`` gives a table's column names, None for a name that is no table of the lake.
    """
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        _spell_out_aliases(select, columns_of)
        _lift(select, number, columns_of)
    _keep_below_filters(tree)
    return tree


def named_relations(select: exp.Select) -> list[exp.Expr]:
    """Return the relations that a SELECT's FROM and joins name, those joined in parentheses too."""
    from_ = select.args.get("from_")
    if from_ is None:
        return []
    nested = from_.this.args.get("joins") or []
    return [from_.this, *(join.this for join in [*nested, *(select.args.get("joins") or [])])]


def _spell_out_aliases(select: exp.Select, columns_of: ColumnsOf) -> None:
    """Replace a prediction's alias in WHERE by the prediction, as DuckDB would where no column has the name."""
    where = select.args.get("where")
    predictions = {
        part.alias.casefold(): part.this
        for part in select.expressions
        if isinstance(part, exp.Alias) and part.this.find(Predict) is not None
    }
    if where is None or not predictions:
        return
    taken: set[str] = set()
    for relation in named_relations(select):
        names = columns_of(relation) if isinstance(relation, exp.Table) else None
        if names is None:
            return
        taken |= {name.casefold() for name in names}
    for column in list(where.find_all(exp.Column)):
        name = column.name.casefold()
        own = column.find_ancestor(exp.Select) is select
        if own and not column.table and name in predictions and name not in taken:
            column.replace(exp.Paren(this=predictions[name].copy()))


def _lift(select: exp.Select, number: int, columns_of: ColumnsOf) -> None:
    where = select.args.get("where")
    relations = named_relations(select)
    if where is None or not relations or not adds_unseen(select, relations):
        return
    filtered = {call_text(call): call for call in calls_of(where, select)}
    everywhere = list(calls_of(select, select))
    repeated = [
        text
        for text, call in filtered.items()
        if sum(call_text(other) == text for other in everywhere) > 1
        and not is_volatile(call)
        and not _is_lazy(call, where)
        and all(may_be_column(other, select) for other in everywhere if call_text(other) == text)
    ]
    if not repeated:
        return
    columns = {text: f"scoter_score_{number}_{i}" for i, text in enumerate(repeated)}
    scores: dict[str, exp.Expr] = {}
    for text in repeated:
        call = filtered[text].copy()
        call.meta[VOLATILE_CALL] = True
        scores[columns[text]] = call
    for call in everywhere:
        name = columns.get(call_text(call))
        if name is not None:
            call.replace(exp.column(exp.to_identifier(name, quoted=True)))
    if len(relations) == 1 and relations[0].alias_or_name and not select.args.get("laterals"):
        hide(select, list(columns.values()))
        _wrap(select, relations[0], _aliased(scores))
    elif not below_filter(select, scores, columns_of, f"scoter_once_{number}"):
        hide(select, list(columns.values()))
        lateral = exp.Lateral(
            this=exp.Subquery(this=exp.Select(expressions=_aliased(scores))),
            alias=exp.TableAlias(this=exp.to_identifier(f"scoter_once_{number}")),
        )
        select.append("joins", exp.Join(this=lateral, kind="CROSS"))


def _is_lazy(call: Predict, where: exp.Expr) -> bool:
    node = call.parent
    while node is not None and node is not where:
        if isinstance(node, exp.Case) or function_name(node) in _LAZY:
            return True
        node = node.parent
    return False


def adds_unseen(select: exp.Select, relations: list[exp.Expr]) -> bool:
    """Say whether a column added to the FROM is seen only where it is named.

    COLUMNS(*), #1, a star inside an expression and a whole row would see it; SEMI and ANTI joins hide sides.
    """
    rows = {relation.alias_or_name.casefold() for relation in relations}
    for node in select.walk():
        if isinstance(node, exp.Columns | exp.PositionalColumn):
            return False
        if isinstance(node, exp.Star) and not _is_listed(node):
            return False
        if isinstance(node, exp.Column) and not node.table and node.name.casefold() in rows:
            inside = node.find_ancestor(Predict, exp.Select)
            if not isinstance(inside, Predict):
                return False
        if isinstance(node, exp.Join) and str(node.args.get("kind") or "").upper() in {"SEMI", "ANTI"}:
            return False
    return True


def _is_listed(star: exp.Star) -> bool:
    holder = star.parent if isinstance(star.parent, exp.Column) else star
    if holder.parent is not None and function_name(holder.parent) == "count":
        return True
    return holder.arg_key == "expressions" and isinstance(holder.parent, exp.Select)


def may_be_column(call: Predict, select: exp.Select) -> bool:
    """Say whether a column can stand for a call.

    Where rows are grouped, only in WHERE, in an aggregate's arguments, or as a whole grouping expression.
    """
    if not select.args.get("group") and not select.args.get("having"):
        return True
    if call.find_ancestor(exp.Where, exp.Select) is not select:
        return True
    node = call.parent
    while node is not None and node is not select:
        if function_name(node) in AGGREGATES:
            return True
        node = node.parent
    group = select.args.get("group")
    if group is None:
        return False
    whole = call.parent is group or call.parent is select
    whole = whole or (isinstance(call.parent, exp.Alias) and call.parent.parent is select)
    named = any(
        isinstance(part, Predict) and call_text(part) == call_text(call) for part in group.expressions
    )
    return whole and (named or bool(group.args.get("all")))


def _aliased(scores: dict[str, exp.Expr]) -> list[exp.Expr]:
    return [exp.alias_(score, name, quoted=True) for name, score in scores.items()]


def _wrap(select: exp.Select, relation: exp.Expr, scores: list[exp.Expr]) -> None:
    """Put ``(SELECT *, score FROM relation) AS alias`` in the relation's place."""
    alias = exp.to_identifier(relation.alias_or_name, quoted=True)
    inner = exp.Select(expressions=[exp.Star(), *scores])
    inner.set("from_", exp.From(this=relation.copy()))
    wrapped = exp.Subquery(this=inner, alias=exp.TableAlias(this=alias))
    wrapped.meta[IN_PLACE] = True
    select.set("from_", exp.From(this=wrapped))


def call_text(call: Predict) -> str:
    """Return the text by which calls are found equal."""
    return call.sql(dialect=Scoter)


def calls_of(root: exp.Expr, select: exp.Select) -> list[Predict]:
    """Return the outermost calls below ``root`` that belong to ``select`` itself, not to a FROM or subquery."""
    holders = (exp.Select, exp.From, exp.Join, exp.Lateral, exp.With, Predict, *_BINDING)
    return [call for call in root.find_all(Predict) if call.find_ancestor(*holders) is select]


def is_volatile(call: exp.Expr) -> bool:
    """Say whether two such calls, or queries, may give two values for one row, as on random()."""
    return any(function_name(node) in VOLATILE for node in call.find_all(exp.Func))


def hide(select: exp.Select, names: list[str]) -> None:
    """Keep added columns out of a star, in place."""
    for projection in select.expressions:
        star = projection.this if isinstance(projection, exp.Column) else projection
        if isinstance(star, exp.Star):
            hidden = [exp.to_identifier(name, quoted=True) for name in names]
            star.set("except_", [*(star.args.get("except_") or []), *hidden])


def _keep_below_filters(tree: exp.Expr) -> None:
    """Make predictions volatile whose alias an enclosing query's WHERE uses, so the filter stays above."""
    filters = [
        (where.find_ancestor(exp.Select), {column.name.casefold() for column in where.find_all(exp.Column)})
        for where in tree.find_all(exp.Where)
    ]
    for call in tree.find_all(Predict):
        select = call.find_ancestor(exp.Select)
        projection = call.find_ancestor(exp.Alias)
        if select is None or projection is None or projection.parent is not select or is_volatile(call):
            continue
        if select.args.get("group"):
            continue
        inside = select.find_ancestor(exp.Select, exp.CTE) is not None
        name = projection.alias.casefold()
        if inside and any(owner is not select and name in names for owner, names in filters):
            call.meta[VOLATILE_CALL] = True
