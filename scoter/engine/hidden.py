"""Hidden columns of tables: who asks for them by name gets them, and nothing that is not their name shows them.

A name means a hidden column only where it can mean nothing else. This module must not know where values come from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from collections.abc import Set as AbstractSet
from typing import cast

from sqlglot import exp

from scoter.engine.changes import is_changes
from scoter.engine.functions import TABLE_CHANGES
from scoter.engine.gate import function_name
from scoter.engine.scanning.lineage import HIDDEN
from scoter.engine.scopes import Columns, Member, Scope, has_alias, has_column, own_parts, scopes_of
from scoter.engine.statements import span_of
from scoter.errors import NotSupported

# Where these stand, columns are read that the statement does not name.
_UNNAMED = (exp.Columns, exp.PositionalColumn, exp.Pivot)

Known = Callable[[exp.Table], Collection[str]]


def mentioned(tree: exp.Expr) -> bool:
    """Say whether any column of a statement has the name of a hidden one."""
    return any(column.name.casefold() in HIDDEN for column in tree.find_all(exp.Column))


def settle_hidden(tree: exp.Expr, known: Known, columns: Columns) -> dict[int, tuple[str, ...]]:
    """Return the hidden columns that a statement names, by the id of their table's node, and keep stars free of them.

    ``known`` are those that a table has, ``columns`` its own. Raises NotSupported where a row of a table with
    such columns is read without their names, and where a name could mean one of them or something else.
    """
    return _Settling(tree, known, columns).run()


class _Settling:
    """What the hidden columns' names of one statement mean."""

    def __init__(self, tree: exp.Expr, known: Known, columns: Columns) -> None:
        self._tree = tree
        self._known = known
        self._columns = columns
        self._asked: dict[int, set[str]] = {}
        self._has: dict[tuple[int, str], bool | None] = {}
        self._aliases: dict[int, dict[str, int]] = {}

    def run(self) -> dict[int, tuple[str, ...]]:
        every = list(self._tree.find_all(exp.Column))
        named = [c for c in every if c.name.casefold() in HIDDEN and not _of_star(c)]
        left = [column for column in named if not self._settle(column)]
        if self._asked:
            for column in left:
                self._check_left(column)
            tables = {_called(n) for n in self._tree.find_all(exp.Table) if id(n) in self._asked}
            for column in every:
                if (column.table or column.name).casefold() in tables:
                    self._check_row(column)
            for select in list(self._tree.find_all(exp.Select)):
                self._keep(select)
        return {node: tuple(n for n in HIDDEN if n in names) for node, names in self._asked.items()}

    def _settle(self, column: exp.Column) -> bool:
        """Give the tables that a name can only mean their hidden column; say whether there are any."""
        name = column.name.casefold()
        if column.table:
            return self._settle_qualified(column, name)
        scopes = list(scopes_of(column))
        for scope in scopes:
            if has_alias(scope, name, self._aliases) or self._there(scope, name) is not False:
                return False
        return any(self._ask(scope, scope.members, name, column) for scope in scopes)

    def _settle_qualified(self, column: exp.Column, name: str) -> bool:
        scopes = list(scopes_of(column))
        if not column.db and any(self._there(scope, column.table.casefold()) for scope in scopes):
            return False  # a field of a struct
        for scope in scopes:
            meant = [member for member in scope.members if self._is_called(member, column)]
            if meant:
                return self._ask(scope, meant, name, column)
        return False

    def _ask(self, scope: Scope, members: Collection[Member], name: str, column: exp.Column) -> bool:
        found = [m.node for m in members if isinstance(m.node, exp.Table) and name in self._known(m.node)]
        if found and not isinstance(scope.holder, exp.Select):
            raise NotSupported(
                f"{name} in a join that has an alias of its own",
                hint="write the join without parentheses",
                span=span_of(column),
            )
        for node in found:
            self._asked.setdefault(id(node), set()).add(name)
        return bool(found)

    def _there(self, scope: Scope, name: str) -> bool | None:
        """Say whether a column of a scope's has a name: None is unknown."""
        answers = [has_column(member.node, name, self._columns, self._has) for member in scope.members]
        return True if True in answers else None if None in answers else False

    def _is_called(self, member: Member, column: exp.Column) -> bool:
        node = member.node
        if _called(node) != column.table.casefold():
            return False
        if not column.db:
            return True
        if not isinstance(node, exp.Table) or node.args.get("alias") is not None:
            return False
        return node.db.casefold() in ("", column.db.casefold())

    def _check_left(self, column: exp.Column) -> None:
        """Raise NotSupported where DuckDB would read a hidden column by a name that means something else."""
        name = column.name.casefold()
        for scope in scopes_of(column):
            aliased = has_alias(scope, name, self._aliases)
            if aliased and _orders(column, scope.holder):
                return
            for member in scope.members:
                fits = self._is_called(member, column) if column.table else True
                if fits and name in self._asked.get(id(member.node), ()):
                    raise NotSupported(
                        f'"{column.name}" can be a hidden column and another one',
                        hint=f"give the other one another name, or write {_called(member.node)}.{name}",
                        span=span_of(column),
                    )
            if aliased or (not column.table and self._there(scope, name)):
                return

    def _check_row(self, column: exp.Column) -> None:
        """Raise NotSupported for a whole row of a table whose hidden columns are named."""
        star = isinstance(column.this, exp.Star)
        if bool(column.table) != star or _of_star(column):
            return
        name = (column.table if star else column.name).casefold()
        for scope in scopes_of(column):
            if not star and self._there(scope, name):
                return
            meant = [member for member in scope.members if _called(member.node) == name]
            if any(id(member.node) in self._asked for member in meant):
                if not star or column.parent is not scope.holder:
                    raise _unnamed(column)
                return
            if meant:
                return

    def _keep(self, select: exp.Select) -> None:
        """Take hidden columns out of the stars over their tables, in place."""
        scope = Scope.of(select)
        asked = [member for member in scope.members if id(member.node) in self._asked]
        if not asked:
            return
        for member in asked:
            renamed = member.node.args.get("alias")
            if renamed is not None and renamed.columns:
                raise _unnamed(member.node)
            if renamed is None and is_changes(cast(exp.Table, member.node)):
                member.node.set("alias", exp.TableAlias(this=exp.to_identifier(TABLE_CHANGES)))
        names = {(_called(member.node), name) for member in asked for name in self._asked[id(member.node)]}
        for part in own_parts(select):
            _refuse_unnamed(part, select, names)
        for part in select.expressions:
            star = part.this if isinstance(part, exp.Column) else part
            if not isinstance(star, exp.Star):
                continue
            of = part.table.casefold() if isinstance(part, exp.Column) else None
            left_out = [
                _left_out(cast(exp.Table, member.node), name)
                for member in asked
                for name in sorted(self._asked[id(member.node)])
                if (of == _called(member.node) if of else member.join is None)
            ]
            if left_out:
                star.set("except_", [*(star.args.get("except_") or []), *left_out])


def _called(node: exp.Expr) -> str:
    if isinstance(node, exp.Table) and node.args.get("alias") is None and is_changes(node):
        return TABLE_CHANGES
    return node.alias_or_name.casefold()


def _left_out(node: exp.Table, name: str) -> exp.Column:
    schema = node.db if node.args.get("alias") is None and node.db else None
    return exp.column(name, table=node.alias_or_name, db=schema, quoted=True)


def _of_star(column: exp.Column) -> bool:
    """Say whether a name stands among those that a star leaves out or renames."""
    holder = column.parent
    if isinstance(holder, exp.Alias) and holder.arg_key == "rename":
        holder = holder.parent
        return isinstance(holder, exp.Star)
    return isinstance(holder, exp.Star) and column.arg_key == "except_"


def _orders(column: exp.Column, select: exp.Expr) -> bool:
    """Say whether rows are ordered by a name alone: an alias is preferred there."""
    ordered = column.parent
    return isinstance(ordered, exp.Ordered) and ordered.parent is select.args.get("order")


def _refuse_unnamed(part: exp.Expr, select: exp.Select, hidden: AbstractSet[tuple[str, str]]) -> None:
    """Raise NotSupported where a part of a SELECT reads columns by no name; ``hidden`` are tables with columns."""
    refused = isinstance(part, _UNNAMED)
    match part:
        case exp.Star():
            refused = not _plain(part, select) or not hidden.isdisjoint(_names_of_star(part, hidden))
        case exp.Join():
            names = {name for _, name in hidden}
            used = {column.name.casefold() for column in part.args.get("using") or []}
            refused = part.args.get("method") == "NATURAL" or not names.isdisjoint(used)
    if refused:
        raise _unnamed(part)


def _unnamed(part: exp.Expr) -> NotSupported:
    return NotSupported(
        f"columns that are not named beside one of {', '.join(HIDDEN)}",
        hint="name the columns that are meant",
        span=span_of(part),
    )


def _names_of_star(star: exp.Star, hidden: AbstractSet[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield, with each table that may be meant, the names that a star leaves out, gives another value or name."""
    tables = {table for table, _ in hidden}
    of = star.parent.table if isinstance(star.parent, exp.Column) else ""
    changed = [*(star.args.get("replace") or []), *(star.args.get("rename") or [])]
    named = [(part.alias, of) for part in changed]
    renamed = [part.this for part in star.args.get("rename") or []]
    left_out = [*(star.args.get("except_") or []), *renamed]
    named += [(one.name, of or (one.table if isinstance(one, exp.Column) else "")) for one in left_out]
    for name, table in named:
        yield from ((one, name.casefold()) for one in ([table.casefold()] if table else tables))


def _plain(star: exp.Star, select: exp.Select) -> bool:
    holder = star.parent if isinstance(star.parent, exp.Column) else star
    if holder.parent is select:
        return True
    return holder.parent is not None and function_name(holder.parent) == "count" and holder is star
