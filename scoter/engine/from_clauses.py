"""Which relations and columns the FROM of a SELECT gives, and how columns are added to it.

This module must not know what the added columns hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlglot import exp

from scoter.engine.clauses import star_of
from scoter.engine.gate import function_name
from scoter.engine.marks import IN_PLACE
from scoter.engine.replacing import put
from scoter.engine.statements import Predict

ColumnsOf = Callable[[exp.Table], list[str] | None]
Owners = Mapping[str, frozenset[str]]


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


def adds_unseen(select: exp.Select, relations: Sequence[exp.Expr]) -> bool:
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


def wrap(
    select: exp.Select, relation: exp.Expr, columns: Iterable[exp.Expr], added: Mapping[str, exp.Expr]
) -> exp.Subquery:
    """Put ``(SELECT columns, added FROM relation)`` in a relation's place, and return it.

    It is called as the relation, and stars of ``select`` do not show what is ``added``.
    """
    name = relation.alias_or_name
    hide(select, added, name)
    subquery = exp.Subquery(
        this=exp.Select(expressions=[*columns, *aliased(added)]),
        alias=exp.TableAlias(this=exp.to_identifier(name, quoted=True)),
    )
    subquery.meta[IN_PLACE] = True
    put(relation, subquery)
    subquery.this.set("from_", exp.From(this=relation))
    return subquery


def hide(select: exp.Select, names: Iterable[str], owner: str) -> None:
    """Keep columns that were added to the relation ``owner`` out of a star, in place."""
    for part in select.expressions:
        star = star_of(part)
        others = isinstance(part, exp.Column) and part.table.casefold() != owner.casefold()
        if star is not None and not others:
            hidden = [exp.to_identifier(name, quoted=True) for name in names]
            star.set("except_", [*(star.args.get("except_") or []), *hidden])


def aliased(values: Mapping[str, exp.Expr]) -> Iterator[exp.Expr]:
    """Yield values as parts of a select list, under their names."""
    return (exp.alias_(value, name, quoted=True) for name, value in values.items())
