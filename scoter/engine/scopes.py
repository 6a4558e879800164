"""What names can mean at a place of a query: the tables around it, from the innermost SELECT, and their columns' names.

This module must not know hidden columns, types or where tables are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from scoter.engine.gate import function_name
from scoter.engine.naming import cte_of
from scoter.engine.views import VIEW

# The folded names of a table's columns; None for what is no table.
Columns = Callable[[exp.Table], "Collection[str] | None"]


@dataclass(frozen=True)
class Member:
    """What stands in a FROM; ``join`` is the SEMI or ANTI JOIN outside of which its columns are not seen."""

    node: exp.Expr
    join: exp.Join | None = None


@dataclass(frozen=True)
class Scope:
    """The tables and the aliases of a SELECT list that can be named at a place.

    The holder is a SELECT, or the parentheses of a join that has an alias. Of the SELECT list, ``listed`` parts
    stand before the place.
    """

    holder: exp.Expr
    members: tuple[Member, ...]
    listed: int = 0

    @staticmethod
    def of(select: exp.Select) -> Scope:
        """Return all of a SELECT."""
        return Scope(select, tuple(_members(select)))


def scopes_of(column: exp.Expr) -> Iterator[Scope]:
    """Yield the scopes around a column, the innermost first.

    A view and what a WITH names see nothing of the SELECT that reads them; a query in FROM sees what stands before it.
    What ORDER BY of a UNION and parameters of functions name is in no scope.
    """
    if not isinstance(column, exp.Column) or is_parameter(column):
        return
    path: list[exp.Expr] = [column]
    node = column.parent
    entered = False
    while node is not None:
        if isinstance(node, exp.Select):
            entered = True
            yield _seen(node, path)
        elif (
            isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query) and node.args.get("alias")
        ):
            yield _seen(node, path)
        elif _ends(node, path[-1], entered=entered):
            return
        elif isinstance(node, exp.With) and node.parent is not None:
            entered = True
            node = node.parent
        path.append(node)
        node = node.parent


def has_alias(scope: Scope, name: str, known: dict[int, dict[str, int]]) -> bool:
    """Say whether an alias of the SELECT list, before the place, has a name; ``known`` keeps lists."""
    aliases = known.get(id(scope.holder))
    if aliases is None:
        aliases = known[id(scope.holder)] = {}
        for place, part in enumerate(scope.holder.expressions):
            # A column under its own name means the same either way.
            own = isinstance(part.this, exp.Column) and part.this.name.casefold() == part.alias.casefold()
            if isinstance(part, exp.Alias) and not own:
                aliases.setdefault(part.alias.casefold(), place)
    return aliases.get(name, scope.listed) < scope.listed


def has_column(
    node: exp.Expr, name: str, columns: Columns, known: dict[tuple[int, str], bool | None]
) -> bool | None:
    """Say whether what stands in a FROM has a column of a name: None is unknown.

    ``known`` keeps answers, so that what is read many times is looked at once.
    """
    key = (id(node), name)
    if key not in known:
        known[key] = False  # of a query that reads itself, the other part says
        known[key] = _has(node, name, columns, known)
    return known[key]


def own_parts(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield what a SELECT consists of, without the queries inside."""
    return select.walk(
        prune=lambda part: part is not select and isinstance(part, exp.Query) and not _open(part)
    )


def _open(node: exp.Expr) -> bool:
    """Say whether a node is a join in parentheses whose tables are seen from outside."""
    return (
        isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query) and not node.args.get("alias")
    )


def _ends(node: exp.Expr, child: exp.Expr, *, entered: bool) -> bool:
    if isinstance(node, exp.SetOperation):
        return not entered
    return isinstance(node, exp.Subquery) and VIEW in node.meta and child.arg_key == "this"


def _seen(holder: exp.Expr, path: list[exp.Expr]) -> Scope:
    around = {id(part) for part in path}
    # What is joined to a table stands below it, and is no part of it.
    beside = {id(part.parent) for part in path if part.arg_key in ("joins", "laterals")}
    members: list[Member] = []
    for member in _members(holder):
        if id(member.node) in around - beside:
            break
        if member.join is None or id(member.join) in around:
            members.append(member)
    return Scope(holder, tuple(members), _listed(holder, path[-1]))


def _listed(holder: exp.Expr, child: exp.Expr) -> int:
    """Return how many aliases can be named in a part of a SELECT: FROM and JOIN see none."""
    if not isinstance(holder, exp.Select) or child.arg_key in ("from_", "joins", "laterals"):
        return 0
    before = child.index if child.arg_key == "expressions" else None
    return len(holder.expressions) if before is None else before


def _members(holder: exp.Expr) -> Iterator[Member]:
    if isinstance(holder, exp.Select):
        start = holder.args.get("from_")
        if start is not None:
            yield from _flat(start.this, None)
        yield from _joined(holder, None)
    else:
        yield from _flat(holder.this, None)


def _flat(node: exp.Expr, join: exp.Join | None) -> Iterator[Member]:
    if _open(node):
        yield from _flat(node.this, join)
    else:
        yield Member(node, join)
    yield from _joined(node, join)


def _joined(node: exp.Expr, join: exp.Join | None) -> Iterator[Member]:
    for one in node.args.get("joins") or []:
        unseen = {one.side.upper(), one.kind.upper()}.intersection(("SEMI", "ANTI"))
        yield from _flat(one.this, join or (one if unseen else None))
    for one in node.args.get("laterals") or []:
        yield from _flat(one, join)


def is_parameter(column: exp.Column) -> bool:
    """Say whether a name is that of a function's own parameter, as in ``x -> x + 1``."""
    name = (column.table or column.name).casefold()
    around = column.find_ancestor(exp.Lambda, exp.Comprehension)
    while around is not None:
        own = around.expressions if isinstance(around, exp.Lambda) else [around.expression]
        if any(part.name.casefold() == name for part in own):
            return True
        around = around.find_ancestor(exp.Lambda, exp.Comprehension)
    return False


def _any(answers: Iterable[bool | None]) -> bool | None:
    found = set(answers)
    return True if True in found else None if None in found else False


def _has(
    node: exp.Expr, name: str, columns: Columns, known: dict[tuple[int, str], bool | None]
) -> bool | None:
    if any(column.name.casefold() == name for column in _renamed(node)):
        return True
    if node.args.get("pivots"):
        return None

    def any_has(nodes: Iterable[exp.Expr]) -> bool | None:
        return _any([has_column(one, name, columns, known) for one in nodes])

    def of_tables() -> bool | None:
        return any_has(member.node for member in _members(node))

    match node:
        case exp.Table():
            return _has_table(node, name, columns, any_has)
        case exp.Select():
            return _any([_shown(part, name, of_tables) for part in node.expressions])
        case exp.SetOperation():
            return any_has([node.this, node.expression])
        case exp.Subquery() | exp.CTE() | exp.Lateral():
            joined = isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query)
            return of_tables() if joined else any_has([node.this])
    plain = isinstance(node, exp.Values) or (isinstance(node, exp.Unnest) and len(node.expressions) == 1)
    return False if plain else None


def _has_table(
    node: exp.Table, name: str, columns: Columns, any_has: Callable[[Iterable[exp.Expr]], bool | None]
) -> bool | None:
    stored = columns(node)
    if stored is not None:
        return name in stored
    cte = cte_of(node) if isinstance(node.this, exp.Identifier) else None
    if cte is not None:
        return any_has([cte])
    return False if isinstance(node.this, exp.GenerateSeries) else None


def _shown(part: exp.Expr, name: str, of_tables: Callable[[], bool | None]) -> bool | None:
    """Say whether a part of a SELECT list gives a column of a name."""
    if isinstance(part, exp.Alias):
        return part.alias.casefold() == name
    star = part.this if isinstance(part, exp.Column) else part
    if isinstance(star, exp.Star):
        changed = [*(star.args.get("replace") or []), *(star.args.get("rename") or [])]
        return True if any(one.alias.casefold() == name for one in changed) else of_tables()
    if part.find(exp.Star, exp.Columns) is not None:
        return of_tables()
    if isinstance(part, exp.Unnest | exp.Explode) or function_name(part) == "unnest":
        return None
    return bool(part.output_name.casefold() == name)


def _renamed(node: exp.Expr) -> list[exp.Expr]:
    alias = node.args.get("alias")
    return alias.columns if isinstance(alias, exp.TableAlias) else []
