"""Where the model calls of a SELECT stand: which operator evaluates them, for which rows, and what they may move below.

DuckDB evaluates equal expressions of one operator once, and again in each other operator: filter, grouping, window,
select list. This module must not know what becomes of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from sqlglot import exp

from scoter.engine.dialect import Scoter
from scoter.engine.functions import AGGREGATES, VOLATILE, WINDOWS
from scoter.engine.gate import function_name
from scoter.engine.statements import Predict

FIELD = "scoter_field"
"""Marks what takes one of the results of a call that is several together."""
VOLATILE_CALL = "scoter_volatile"
"""Marks a call that DuckDB must not copy."""
READ_WHOLE = "scoter_read_whole"
"""Marks a SELECT inside another query, of which all rows and all scores are needed."""
ColumnsOf = Callable[[exp.Table], list[str] | None]
Owners = Mapping[str, frozenset[str]]

# What stands below them is evaluated for some rows only, and may fail for the others.
_LAZY = frozenset({"coalesce", "if", "ifnull", "try"})
_BINDING = (exp.Lambda, exp.Comprehension)  # their variables hide columns
_UNNESTS = frozenset({"generate_subscripts", "unnest"})
_PLAIN = AGGREGATES | WINDOWS | {"abs", "ceil", "exp", "floor", "ln", "round", "sqrt"}
# What may stand between a call and its SELECT: anything else might not evaluate the call for every row.
_EAGER = (
    exp.Alias,
    exp.Paren,
    exp.Cast,
    exp.Neg,
    exp.Not,
    exp.Ordered,
    exp.Order,
    exp.Group,
    exp.Having,
    exp.IgnoreNulls,
    exp.RespectNulls,
)


def call_text(call: Predict) -> str:
    """Return the text by which calls are found equal."""
    return _text(call)


def run_text(call: Predict) -> str:
    """Return the text by which calls are found to run one model on the same values, whatever they want of its results."""
    given = [each.copy() for each in call.arguments]
    return call_text(Predict(model=call.model.copy(), arguments=given, kind="all"))


def is_volatile(call: exp.Expr) -> bool:
    """Say whether two such calls, or queries, may give two values for one row, as on random()."""
    return any(function_name(node) in VOLATILE for node in call.find_all(exp.Func))


def calls_of(root: exp.Expr, select: exp.Select) -> list[Predict]:
    """Return the outermost calls below ``root`` that belong to ``select`` itself, not to a FROM or subquery."""
    holders = (exp.Select, exp.From, exp.Join, exp.Lateral, exp.With, Predict, *_BINDING)
    return [call for call in root.find_all(Predict) if call.find_ancestor(*holders) is select]


def columns_outside(select: exp.Select) -> list[exp.Column]:
    """Return the columns of a SELECT outside its FROM and joins."""
    holders = (exp.From, exp.Join, exp.Select)
    return [column for column in select.find_all(exp.Column) if column.find_ancestor(*holders) is select]


def columns_beside(select: exp.Select) -> list[exp.Column]:
    """Return the columns of a SELECT and of the queries in it, but for those of its FROM and joins."""
    clauses = {"from_", "joins", "laterals", "with_"}
    return [
        column for column in select.find_all(exp.Column) if [*_up(column, select)][-1].arg_key not in clauses
    ]


def named_relations(select: exp.Select) -> list[exp.Expr]:
    """Return the relations that a SELECT's FROM and joins name, those joined in parentheses too."""
    from_ = select.args.get("from_")
    if from_ is None:
        return []
    nested = from_.this.args.get("joins") or []
    return [from_.this, *(join.this for join in [*nested, *(select.args.get("joins") or [])])]


def columns_known(relations: Iterable[exp.Expr], columns_of: ColumnsOf) -> frozenset[str] | None:
    """Return the folded names of all columns of relations, None where one is no table of the lake."""
    known: set[str] = set()
    for relation in relations:
        names = columns_of(relation) if isinstance(relation, exp.Table) else None
        if names is None:
            return None
        known |= {name.casefold() for name in names}
    return frozenset(known)


def owners_of(relations: Iterable[exp.Expr], columns_of: ColumnsOf) -> Owners:
    """Return the folded columns of each relation by its folded name; none where one is no table of the lake."""
    found: dict[str, frozenset[str]] = {}
    for relation in relations:
        is_joined = bool(relation.args.get("joins"))
        columns = columns_of(relation) if isinstance(relation, exp.Table) and not is_joined else None
        if columns is None or relation.alias_or_name.casefold() in found:
            return {}
        found[relation.alias_or_name.casefold()] = frozenset(column.casefold() for column in columns)
    return found


def owner_of(column: exp.Column, owners: Owners) -> str | None:
    """Return the only relation that a column can be of."""
    name, table = column.name.casefold(), column.table.casefold()
    found = [owner for owner, columns in owners.items() if name in columns and table in {"", owner}]
    return found[0] if len(found) == 1 and not column.db else None


def aliases_of(select: exp.Select) -> dict[str, exp.Expr]:
    """Return what a SELECT's own aliases stand for, by folded name; of several alike the last, as DuckDB has it."""
    return {part.alias.casefold(): part.this for part in select.expressions if isinstance(part, exp.Alias)}


def conjuncts_of(condition: exp.Expr | None) -> list[exp.Expr]:
    """Return the parts of a WHERE or QUALIFY that all must hold; none where there is no such clause."""
    if condition is None:
        return []
    whole: exp.Expr = condition.this
    return list(whole.flatten()) if isinstance(whole, exp.And) else [whole]


def site_of(node: exp.Expr, select: exp.Select) -> object:
    """Return which operator evaluates a node of ``select``; nodes of one site are evaluated once where they are equal."""
    part, window, aggregated = node, None, False
    for part in _up(node, select):
        window = part if isinstance(part, exp.Window) else window
        aggregated = aggregated or _is_aggregate(part)
    clause = part.arg_key
    if window is not None:
        return id(window)
    if clause in {"where", "qualify"} or (clause == "having" and not aggregated):
        return clause
    if aggregated or clause == "group" or select.args.get("group"):
        return "group"
    return "order" if clause == "order" and select.args.get("limit") else "list"


def is_evaluated(call: exp.Expr, select: exp.Select) -> bool:
    """Say whether a call is evaluated for every row that its SELECT's other clauses leave."""
    path = list(_up(call, select))
    if path[-1].arg_key == "where":
        return not is_lazy(call, exp.Where)
    qualify = select.args.get("qualify")
    site = site_of(call, select)
    if site == "qualify":
        return not is_lazy(call, exp.Qualify) and all(part.find(Predict) for part in conjuncts_of(qualify))
    # The others of these are evaluated for the rows that QUALIFY leaves.
    return is_eager(call, select) and (qualify is None or site not in {"list", "order"})


def is_lazy(call: exp.Expr, clause: type[exp.Expr]) -> bool:
    """Say whether a call in a condition, up to its ``clause``, may be spared for some rows."""
    node = call.parent
    while node is not None and not isinstance(node, clause):
        if isinstance(node, exp.Case) or function_name(node) in _LAZY:
            return True
        node = node.parent
    return False


def is_eager(call: exp.Expr, select: exp.Select) -> bool:
    """Say whether a call outside of the filter is evaluated for every row that its SELECT reads."""
    for node in _up(call.parent, select):
        if isinstance(node, exp.Window):
            return True
        arithmetic = isinstance(node, exp.Binary) and not isinstance(node, exp.Connector)
        plain = function_name(node) in _PLAIN or FIELD in node.meta
        if not (isinstance(node, _EAGER) or arithmetic or plain):
            return False
    return True


def may_be_column(call: Predict, select: exp.Select) -> bool:
    """Say whether a column can stand for a call.

    Where rows are grouped, only in WHERE, in an aggregate's arguments, or in what the rows are grouped by.
    """
    if is_of_several_rows(call):
        return False
    group = select.args.get("group")
    if not group and not select.args.get("having"):
        return True
    if group and group.args.get("all") and select.args.get("having"):
        return False  # DuckDB groups by the columns that HAVING names, too
    path = list(_up(call, select))
    top = path[-1]
    if top.arg_key in {"where", "group"} or any(map(_is_aggregate, path)):
        return True
    return group is not None and not _keys(select, group).isdisjoint(_text(node) for node in path)


def _keys(select: exp.Select, group: exp.Expr) -> set[str]:
    """Return the texts of what rows are grouped by, also where that is meant by its alias or place."""
    listed = [part.unalias() for part in select.expressions]
    found = {_text(key) for key in group.expressions}
    found |= {_text(value) for name, value in aliases_of(select).items() if {name} & _bare_names(group)}
    places = {key.name for key in group.expressions if isinstance(key, exp.Literal)}
    found |= {_text(value) for place, value in enumerate(listed, start=1) if str(place) in places}
    if group.args.get("all"):
        found |= {_text(value) for value in listed if not any(map(_is_aggregate, value.walk()))}
    return found


def _bare_names(group: exp.Expr) -> set[str]:
    return {key.name.casefold() for key in group.expressions if isinstance(key, exp.Column) and not key.table}


def _text(node: exp.Expr) -> str:
    return node.sql(dialect=Scoter)


def is_read_whole(select: exp.Select) -> bool:
    """Say whether every row and every score of the SELECT is in the statement's result.

    A stream is scored whole. Where another query reads the rows, DuckDB may need few of them, or no score.
    """
    if select.meta.get(READ_WHOLE):
        return True
    node: exp.Expr = select
    while isinstance(node.parent, exp.SetOperation):
        node = node.parent
        if node.args.get("limit") or node.args.get("offset"):
            return False
    return node.parent is None


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


def hide(select: exp.Select, names: list[str], owner: str) -> None:
    """Keep columns that were added to the relation ``owner`` out of a star, in place."""
    for projection in select.expressions:
        star = projection.this if isinstance(projection, exp.Column) else projection
        others = isinstance(projection, exp.Column) and projection.table.casefold() != owner.casefold()
        if isinstance(star, exp.Star) and not others:
            hidden = [exp.to_identifier(name, quoted=True) for name in names]
            star.set("except_", [*(star.args.get("except_") or []), *hidden])


def columns_needed(select: exp.Select, relation: exp.Expr, columns: list[str] | None) -> list[exp.Expr]:
    """Return the columns that a SELECT itself needs of a table of ``columns``; all where it has a star."""
    holders = [star.parent for star in select.find_all(exp.Star) if star.parent is not None]
    own = relation.alias_or_name
    rows = (column.name.casefold() for column in select.find_all(exp.Column) if not column.table)
    if (
        columns is None
        or any(function_name(holder) != "count" for holder in holders)
        or own.casefold() in rows
    ):
        return [exp.Star()]
    named = {column.name.casefold() for column in select.find_all(exp.Column)}
    return [
        exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(own, quoted=True))
        for name in columns
        if name.casefold() in named
    ]


def _is_listed(star: exp.Star) -> bool:
    holder = star.parent if isinstance(star.parent, exp.Column) else star
    if holder.parent is not None and function_name(holder.parent) == "count":
        return True
    return holder.arg_key == "expressions" and isinstance(holder.parent, exp.Select)


def is_of_several_rows(value: exp.Expr) -> bool:
    """Say whether a value is one of a group's or a window's rows, or is several rows: it can not move below these."""
    return any(
        isinstance(node, exp.Window) or function_name(node) in AGGREGATES or function_name(node) in _UNNESTS
        for node in value.walk(prune=lambda node: isinstance(node, exp.Query))
    )


def _is_aggregate(node: exp.Expr) -> bool:
    """Say whether a node is an aggregate over groups, and none of a window."""
    holder = node.parent
    while isinstance(holder, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        holder = holder.parent
    aggregates = isinstance(node, exp.Filter) or function_name(node) in AGGREGATES
    return aggregates and not isinstance(holder, exp.Window)


def _up(node: exp.Expr | None, select: exp.Select) -> Iterator[exp.Expr]:
    """Yield a node and what it stands in, up to the part of ``select``."""
    while node is not None and node is not select:
        yield node
        node = node.parent
