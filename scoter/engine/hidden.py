"""Hidden columns of tables: who asks for them by name gets them, and stars do not show them.

This module must not know where their values come from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from sqlglot import exp

from scoter.engine.gate import function_name
from scoter.engine.scanning.lineage import HIDDEN
from scoter.engine.statements import span_of
from scoter.errors import NotSupported

# Where these stand, columns are read that the statement does not name.
_UNNAMED = (exp.Columns, exp.PositionalColumn, exp.Pivot)


def mentioned(tree: exp.Expr) -> bool:
    """Say whether any column of a statement has the name of a hidden one."""
    return any(column.name.casefold() in HIDDEN for column in tree.find_all(exp.Column))


def asked_of(node: exp.Table, known: Collection[str]) -> tuple[str, ...]:
    """Return the hidden columns, of those ``known``, that the SELECT around a table names."""
    select = node.find_ancestor(exp.Select)
    if select is None:
        return ()
    names = {column.name.casefold() for column in select.find_all(exp.Column)}
    return tuple(name for name in HIDDEN if name in names and name in known)


def keep_hidden(tables: Iterable[tuple[exp.Table, tuple[str, ...]]]) -> None:
    """Take hidden columns out of the stars over their tables, in place.

    Raises NotSupported where columns are read in another way without being named.
    """
    for node, names in tables:
        select = node.find_ancestor(exp.Select)
        if not names or select is None:
            continue
        alias = node.alias_or_name
        _refuse_unnamed(node, select, alias)
        for part in select.expressions:
            star = part.this if isinstance(part, exp.Column) else part
            if not isinstance(star, exp.Star):
                continue
            if isinstance(part, exp.Column) and part.table.casefold() != alias.casefold():
                continue
            left_out = [exp.column(name, table=alias, quoted=True) for name in names]
            star.set("except_", [*(star.args.get("except_") or []), *left_out])


def _refuse_unnamed(node: exp.Table, select: exp.Select, alias: str) -> None:
    renamed = node.args.get("alias")
    found: exp.Expr | None = node if renamed is not None and renamed.columns else None
    for part in _own(select):
        star = isinstance(part, exp.Star) and not _plain(part, select)
        natural = isinstance(part, exp.Join) and part.args.get("method") == "NATURAL"
        row = isinstance(part, exp.Column) and not part.table and part.name.casefold() == alias.casefold()
        if isinstance(part, _UNNAMED) or star or natural or row:
            found = part
    if found is not None:
        raise NotSupported(
            f"columns that are not named beside one of {', '.join(HIDDEN)}",
            hint="name the columns that are meant",
            span=span_of(found) or span_of(node),
        )


def _plain(star: exp.Star, select: exp.Select) -> bool:
    holder = star.parent if isinstance(star.parent, exp.Column) else star
    if holder.parent is select:
        return True
    return holder.parent is not None and function_name(holder.parent) == "count" and holder is star


def _own(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield what a SELECT consists of, without the queries inside."""
    return select.walk(prune=lambda part: isinstance(part, exp.Query) and part is not select)
