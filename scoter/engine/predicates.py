"""Which parts of a statement's filters speak of one table only, so that its files can be pruned by them.

This module must not know schemas' types, files or statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from scoter.engine.subqueries import conditions_inside, names_of, select_of

ColumnsOf = Callable[[exp.Table], frozenset[str] | None]

# A leaf with one of these may differ from row to row of other tables, or is not a filter of rows.
_FOREIGN = (exp.Query, exp.Subquery, exp.AggFunc, exp.Window, exp.Lambda, exp.Placeholder, exp.Parameter)
_STRICT = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.Like, exp.StartsWith, exp.In)
_CHAINED = ("", "INNER", "CROSS", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI")


def table_predicates(tree: exp.Expr, columns_of: ColumnsOf | None = None) -> dict[int, exp.Expr]:
    """Return for ``id(Table node)`` a predicate that is true for every row of it that can matter.

    Rows of that table for which the predicate is not TRUE can be left out without changing the result
    of the statement. Columns stand without qualifier. Tables without such a predicate are absent.
    ``columns_of`` gives the column names of a table, so that unqualified columns of a join find their
    table; None where they are not known. Conditions on a subquery in FROM, such as a view, hold for the
    rows it is made from where that is plain.

    >>> from sqlglot import parse_one
    >>> tree = parse_one("SELECT * FROM t JOIN u ON t.k = u.k AND u.x = 1 WHERE t.y > 2", dialect="duckdb")
    >>> sorted(p.sql() for p in table_predicates(tree).values())
    ['x = 1', 'y > 2']
    """
    found: dict[int, exp.Expr] = {}
    outer: dict[int, list[exp.Expr]] = {}
    # Outer queries come first.
    for select in tree.find_all(exp.Select):
        for node, predicate in _Sources.of(select, columns_of, outer.pop(id(select), ())).predicates():
            if isinstance(node, exp.Table):
                found[id(node)] = predicate
            else:
                outer[id(node.this)] = list(conditions_inside(node, predicate))
    return found


@dataclass
class _Member:
    """One member of FROM: ``kind`` is how it joins what stands before it."""

    node: exp.Expr
    name: str
    kind: str
    on: exp.Expr | None
    columns: frozenset[str] | None
    prunable: bool


@dataclass
class _Sources:
    """The members of one SELECT's FROM, and its WHERE."""

    members: list[_Member]
    where: exp.Expr | None
    shared: frozenset[str] | None
    readable: bool = True
    owners: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, select: exp.Select, columns_of: ColumnsOf | None, more: Sequence[exp.Expr] = ()) -> _Sources:
        """Read the FROM of a SELECT; what is not understood makes its tables not prunable.

        ``more`` are conditions that its rows must meet besides WHERE.
        """
        start = select.args.get("from_")
        where = select.args.get("where")
        members: list[_Member] = []
        shared: set[str] = set()
        natural = False
        readable = start is not None
        if start is not None:
            members.append(_member(start.this, "", None, columns_of))
        for join in select.args.get("joins") or []:
            kind = _join_kind(join)
            readable = readable and kind in (*_CHAINED, "ASOF")
            members.append(_member(join.this, kind, join.args.get("on"), columns_of))
            shared |= {column.name.casefold() for column in join.args.get("using") or []}
            natural = natural or bool(join.args.get("method") == "NATURAL")
        # USING SAMPLE draws from the rows before WHERE.
        readable = readable and not select.args.get("laterals") and not select.args.get("sample")
        names = [member.name for member in members]
        made = cls(
            members,
            _all_of([*([where.this] if where is not None else []), *more]),
            None if natural else frozenset(shared),
            readable,
        )
        made.owners = {name: names.index(name) for name in names if name and names.count(name) == 1}
        return made

    def predicates(self) -> Iterator[tuple[exp.Table | exp.Subquery, exp.Expr]]:
        """Yield the tables and subqueries of this FROM that can be pruned, each with its predicate."""
        if not self.readable:
            return
        outer = any(member.kind in ("LEFT", "RIGHT", "FULL") for member in self.members)
        for index, member in enumerate(self.members):
            # The nearest row of an ASOF join is found among all rows of its right side.
            if not member.prunable or member.kind == "ASOF":
                continue
            if not isinstance(member.node, exp.Table | exp.Subquery):
                continue
            parts = [part for part in self._where(index) if not outer or _rejects_null(part)]
            for position, join in enumerate(self.members):
                if join.on is None or not _on_filters(join.kind, position == index, position > index):
                    continue
                own = position == index and join.kind in ("LEFT", "SEMI", "ANTI")
                parts += [p for p in self._about(index, join.on) if own or not outer or _rejects_null(p)]
            if parts:
                yield member.node, exp.and_(*parts, copy=False)

    def _where(self, index: int) -> list[exp.Expr]:
        # SEMI and ANTI joins hide their right side from WHERE.
        if self.where is None or self.members[index].kind in ("SEMI", "ANTI"):
            return []
        return self._about(index, self.where)

    def _about(self, index: int, expression: exp.Expr) -> list[exp.Expr]:
        conjuncts = expression.flatten() if isinstance(expression, exp.And) else [expression]
        weakened = (self._weakened(index, part) for part in conjuncts)
        return [part for part in weakened if part is not None]

    def _weakened(self, index: int, expression: exp.Expr) -> exp.Expr | None:
        """Return what an expression says of one member alone, None if that is nothing.

        What is returned is true wherever the expression is.
        """
        match expression:
            case exp.Paren():
                return self._weakened(index, expression.this)
            case exp.And():
                sides = [self._weakened(index, side) for side in expression.flatten()]
                known = [side for side in sides if side is not None]
                return exp.and_(*known, copy=False) if known else None
            case exp.Or():
                sides = [self._weakened(index, side) for side in expression.flatten()]
                known = [side for side in sides if side is not None]
                return exp.or_(*known, copy=False) if len(known) == len(sides) else None
        return self._leaf(index, expression)

    def _leaf(self, index: int, expression: exp.Expr) -> exp.Expr | None:
        if expression.find(*_FOREIGN) is not None:
            return None
        columns = list(expression.find_all(exp.Column))
        if not columns or any(self._owner(column) != index for column in columns):
            return None
        bare = expression.copy()
        for column in [bare] if isinstance(bare, exp.Column) else list(bare.find_all(exp.Column)):
            for qualifier in ("table", "db", "catalog"):
                column.set(qualifier, None)
        return bare

    def _is_schema(self, column: exp.Column, owner: int) -> bool:
        """Say whether a.b.c is column c of table a.b; it may be a field of column b of a relation a."""
        node, schema = self.members[owner].node, column.db.casefold()
        return isinstance(node, exp.Table) and node.db.casefold() == schema and schema not in self.owners

    def _owner(self, column: exp.Column) -> int | None:
        """Return the number of the member that a column belongs to, None if that is not sure."""
        if isinstance(column.this, exp.Star):
            return None
        if column.table:
            owner = self.owners.get(column.table.casefold())
            return owner if owner is None or not column.db or self._is_schema(column, owner) else None
        name = column.name.casefold()
        if len(self.members) == 1:
            return 0 if self.members[0].columns is None or name in self.members[0].columns else None
        if self.shared is None or name in self.shared:
            return None
        # A name that two members have makes the statement fail, so one that has it is enough.
        holders = [i for i, member in enumerate(self.members) if member.columns and name in member.columns]
        return holders[0] if len(holders) == 1 else None


def _member(node: exp.Expr, kind: str, on: exp.Expr | None, columns_of: ColumnsOf | None) -> _Member:
    name = node.alias_or_name.casefold()
    if isinstance(node, exp.Subquery):
        return _Member(node, name, kind, on, names_of(node), select_of(node) is not None)
    prunable = isinstance(node, exp.Table) and not any(
        node.args.get(part) for part in ("joins", "pivots", "sample", "laterals")
    )
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        prunable = False
    columns = (
        columns_of(node) if columns_of is not None and isinstance(node, exp.Table) and prunable else None
    )
    folded = None if columns is None else frozenset(name.casefold() for name in columns)
    return _Member(node, name, kind, on, folded, prunable)


def _all_of(conditions: Sequence[exp.Expr]) -> exp.Expr | None:
    if len(conditions) < 2:  # one is itself
        return conditions[0] if conditions else None
    return exp.and_(*conditions, copy=True)


def _join_kind(join: exp.Join) -> str:
    side, kind, method = (str(join.args.get(part) or "").upper() for part in ("side", "kind", "method"))
    if method not in ("", "NATURAL", "ASOF"):
        return method
    if method == "ASOF":
        return "ASOF" if not side else "ASOF " + side
    if kind in ("SEMI", "ANTI"):
        return kind
    return side or (kind if kind != "OUTER" else "FULL")


def _on_filters(kind: str, own: bool, before: bool) -> bool:
    """Say whether the ON of a join leaves out rows of a member: its own right side, or one before it."""
    if kind in ("", "INNER", "CROSS", "SEMI"):
        return own or before
    if kind in ("LEFT", "ANTI"):
        return own
    return kind == "RIGHT" and before


def _rejects_null(predicate: exp.Expr) -> bool:
    """Say whether a predicate can not be TRUE when every column in it is NULL."""
    match predicate:
        case exp.Paren():
            return _rejects_null(predicate.this)
        case exp.And():
            return any(_rejects_null(side) for side in predicate.flatten())
        case exp.Or():
            return all(_rejects_null(side) for side in predicate.flatten())
        case exp.Not():
            inner = predicate.this.unnest()
            if isinstance(inner, exp.Is):
                return isinstance(inner.expression, exp.Null) and isinstance(inner.this, exp.Column)
            return _is_strict(inner)
    return _is_strict(predicate)


def _is_strict(leaf: exp.Expr) -> bool:
    """Say whether a comparison is NULL when a column in it is: one operand is a bare or cast column."""
    if isinstance(leaf, exp.Column):
        return True
    if not isinstance(leaf, _STRICT):
        return False
    operands = (
        [leaf.this] if isinstance(leaf, exp.Between | exp.In) else [leaf.this, leaf.args.get("expression")]
    )
    return any(_is_column(operand) for operand in operands)


def _is_column(operand: exp.Expr | None) -> bool:
    while isinstance(operand, exp.Paren | exp.Cast):
        operand = operand.this
    return isinstance(operand, exp.Column)
