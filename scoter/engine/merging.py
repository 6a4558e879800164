"""MERGE, UPDATE and DELETE as a query: a row for each row that changes, with where it stands, what becomes of it and its new values.

What the tables are is not known yet: ``scoter.engine.merged_rows`` gives the query the columns of its target. This
module must not know columns, files or how rows are written.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from scoter.engine.binding import data_type
from scoter.engine.gate import function_name
from scoter.engine.scopes import is_parameter
from scoter.engine.statements import Delete, Explain, Merge, MergeWhen, Predict, TableCall, Update, span_of
from scoter.errors import AmbiguousName, NotSupported, UndefinedColumn

TARGET = "scoter_merged"
"""Marks the table node by which the target's rows are read."""

PLACE = ("_file", "_pos")
"""The hidden columns that say where a row of the target stands."""

READS = "scoter_read"
"""Marks a name of a clause for which one table alone has a row: which of the two, and the column's name there."""

_FILE, _POS, ACTION, _THERE, _JOINED, _MARK = (
    f"scoter_merge_{word}" for word in ("file", "pos", "action", "there", "joined", "mark")
)
_UNNAMED = "scoter_merge_source"
# Where these stand, columns are read that are not named, or rows are not looked at one by one.
_REFUSED: dict[type[exp.Expr], str] = {
    exp.Query: "a subquery",
    exp.Window: "a window function",
    exp.Star: "a star",
    exp.Columns: "COLUMNS",
    exp.PositionalColumn: "a column by its number",
    exp.Unnest: "unnest",
    exp.Explode: "unnest",
}
# They give several rows or none for one: rows would be lost or doubled.
_MANY = frozenset({"unnest", "generate_subscripts", "regexp_split_to_table"})


def expand_merge(tree: exp.Expr) -> None:
    """Give a MERGE, UPDATE or DELETE the query of its rows, in place; a statement of another kind stays.

    Of the table's columns it holds those that the statement names: ``complete_merge`` adds the others. Raises
    NotSupported, AmbiguousName, UndefinedColumn for a name of the table that can have no value there.
    """
    merge = tree.this if isinstance(tree, Explain) else tree
    if isinstance(merge, Merge) and merge.args.get("expression") is None:
        one_table = isinstance(merge, Update | Delete)
        merge.set("expression", _of_one_table(merge) if one_table else _Expansion(merge).query())
        for key in ("using", "on", "where", "with_"):
            merge.set(key, None)


def _of_one_table(merge: Merge) -> exp.Select:
    """Return the query of an UPDATE or DELETE: all its rows have the one clause, whose values are evaluated for them."""
    read: exp.Expr = merge.this.copy()
    read.meta[TARGET] = True
    (when,) = merge.whens
    for value in when.values:
        for part in value.walk(prune=lambda node: isinstance(node, exp.Query)):
            what = None if isinstance(part, exp.Query) else _refused(part)
            if what is not None:
                raise NotSupported(f"{what} in SET", hint="a subquery may hold it", span=span_of(part))
    name = read.alias_or_name
    when.set("columns", [_assigned(column, name) for column in when.columns])
    number = exp.Cast(this=exp.Literal.number(0), to=data_type("INTEGER").copy())
    places = zip((*PLACE, None), (_FILE, _POS, ACTION), strict=True)
    facts = [exp.alias_(of_table(name, own) if own else number, alias, quoted=True) for own, alias in places]
    return exp.Select(
        expressions=[*facts, *when.values],
        from_=exp.From(this=read),
        where=merge.args.get("where"),
        with_=merge.args.get("with_"),
    )


def _refused(part: exp.Expr) -> str | None:
    """Say what a part of an expression is that reads more than one row or names no column, if it is that."""
    kind = next((kind for kind in _REFUSED if isinstance(part, kind)), None)
    if kind is not None:
        return _REFUSED[kind]
    name = function_name(part)
    return name if name in _MANY else None


def _assigned(column: exp.Column, target: str) -> exp.Column:
    """Return a column that gets a value by its name alone."""
    if column.table and column.table.casefold() != target.casefold():
        raise UndefinedColumn(
            f'"{column.table}" is not the table that is written',
            hint=f'SET names columns of "{target}"',
            span=span_of(column),
        )
    column.set("table", None)
    return column


class _Expansion:
    """The query of one MERGE."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._read: exp.Expr = merge.this.copy()
        self._read.meta[TARGET] = True
        self._using: exp.Expr = merge.args["using"]
        if not self._using.alias_or_name:
            if isinstance(self._using, exp.Subquery) and isinstance(self._using.unnest(), exp.Table):
                raise NotSupported(
                    "tables in parentheses without a name of their own as the source of MERGE",
                    hint="write USING (a JOIN b ON …) AS s, or a query",
                    span=span_of(self._using) or span_of(self._using.unnest()),
                )
            self._using.set("alias", exp.TableAlias(this=exp.to_identifier(_UNNAMED, quoted=True)))
        self._target = self._read.alias_or_name
        self._source = self._using.alias_or_name
        if self._target.casefold() == self._source.casefold():
            raise AmbiguousName(
                f'"{self._source}" is the name of both tables of the MERGE',
                hint="give one of the two an alias: MERGE INTO t AS a USING …",
                span=span_of(self._using),
            )
        self._kinds = {when.kind for when in merge.whens}
        # A condition on its rows alone is then no filter below the join, which would run their models once more.
        scored = self._using.find(Predict, TableCall) is not None
        self._keeps_source = scored or "NOT MATCHED" in self._kinds
        self._named: dict[str, str] = {}

    def query(self) -> exp.Select:
        whens = self._merge.whens
        self._check(self._merge.args["on"], "ON")
        for when in whens:
            for part in (when.condition, *when.values):
                if part is not None:
                    self._check(part, "WHEN")
                    self._settle(part, when.kind)
            when.set("columns", [_assigned(column, self._target) for column in when.columns])
        action = self._action(whens)
        joined = exp.Select(
            expressions=[
                self._own("_file", _FILE),
                self._own("_pos", _POS),
                exp.alias_(exp.Cast(this=action, to=data_type("INTEGER").copy()), ACTION, quoted=True),
            ],
            from_=exp.From(this=self._using),
            joins=[
                *self._marks(),
                exp.Join(this=self._read, side=self._side(), on=self._merge.args["on"]),
            ],
            with_=self._merge.args.get("with_"),
        )
        values = [self._outside(value, joined) for when in whens for value in when.values]
        for when in whens:
            when.set("condition", None)
        facts: list[exp.Expr] = [exp.column(name, quoted=True) for name in (_FILE, _POS, ACTION)]
        return exp.Select(
            expressions=[*facts, *values],
            from_=exp.From(
                this=exp.Subquery(
                    this=joined, alias=exp.TableAlias(this=exp.to_identifier(_JOINED, quoted=True))
                )
            ),
            where=exp.Where(this=_there(exp.column(ACTION, quoted=True))),
        )

    def _check(self, part: exp.Expr, where: str) -> None:
        for found in part.walk():
            what = _refused(found)
            if what is not None:
                hint = "let the query behind USING give the value" if where == "WHEN" else None
                raise NotSupported(f"{what} in {where} of MERGE", hint=hint, span=span_of(found))

    def _settle(self, part: exp.Expr, kind: str) -> None:
        """Let names of a clause mean the one table that has a row there, in place."""
        if kind == "MATCHED":
            return
        of_source = kind == "NOT MATCHED"
        own, other = (self._source, self._target) if of_source else (self._target, self._source)
        for column in list(part.find_all(exp.Column)):
            if is_parameter(column):
                continue
            parts: list[exp.Expr] = list(column.parts)
            named = self._named_by(parts, of_source=of_source)
            # A row of the target can not be read whole beside its hidden columns.
            whole = of_source and len(parts) == 1 and column.name.casefold() == own.casefold()
            if not named and not whole:
                if self._named_by(parts, of_source=not of_source):
                    raise UndefinedColumn(
                        f'"{other}" has no row in WHEN {kind}',
                        hint=f'name columns of "{own}"',
                        span=span_of(column),
                    )
                if len(parts) > 3:
                    raise NotSupported(
                        "so long a name in MERGE", hint="give the tables aliases", span=span_of(column)
                    )
                free = next(key for key in ("table", "db", "catalog") if column.args.get(key) is None)
                column.set(free, exp.to_identifier(own, quoted=True))
            column.meta[READS] = (kind, parts[named].name)

    def _named_by(self, parts: Sequence[exp.Expr], *, of_source: bool) -> int:
        """Return how many parts of a dotted name are that of the source, or of the target, with its schema or without."""
        node = self._using if of_source else self._read
        before = [part.name.casefold() for part in parts[:-1]]
        written = [node.alias_or_name.casefold()]
        if isinstance(node, exp.Table) and node.args.get("alias") is None:
            written = [part.name.casefold() for part in node.parts]
        whole = (
            len(written) - at for at in range(len(written)) if before[: len(written) - at] == written[at:]
        )
        return next(whole, 0)

    def _own(self, name: str, alias: str) -> exp.Expr:
        return exp.alias_(of_table(self._target, name), alias, quoted=True)

    def _side(self) -> str:
        if "NOT MATCHED BY SOURCE" in self._kinds:
            return "FULL" if self._keeps_source else "RIGHT"
        return "LEFT" if self._keeps_source else ""

    def _marks(self) -> list[exp.Join]:
        """Return what is joined to the source to tell its rows from those of the target alone, where there are some.

        It is a table of its own, as a column beside those of the source would be seen by its stars and its rows.
        """
        if "NOT MATCHED BY SOURCE" not in self._kinds:
            return []
        row = exp.Select(expressions=[exp.alias_(exp.true(), _THERE, quoted=True)])
        alias = exp.TableAlias(this=exp.to_identifier(_MARK, quoted=True))
        return [exp.Join(this=exp.Subquery(this=row, alias=alias), kind="CROSS")]

    def _action(self, whens: Sequence[MergeWhen]) -> exp.Expr:
        """Return the number of the first clause that applies to a joined row, NULL where nothing is done."""
        cases = exp.Case(ifs=[], default=self._first(whens, "MATCHED"))
        if "NOT MATCHED BY SOURCE" in self._kinds:
            alone = exp.Not(this=_there(of_table(_MARK, _THERE)))
            cases.append("ifs", exp.If(this=alone, true=self._first(whens, "NOT MATCHED BY SOURCE")))
        if self._keeps_source:
            new = exp.Not(this=_there(of_table(self._target, "_file")))
            cases.append("ifs", exp.If(this=new, true=self._first(whens, "NOT MATCHED")))
        first = cases if cases.args["ifs"] else cases.args["default"]
        # What is volatile DuckDB does not evaluate once more in a filter below: conditions run their models once.
        chance = exp.Anonymous(this="random")
        always = exp.GTE(this=chance, expression=exp.Literal.number(0))
        return exp.Case(ifs=[exp.If(this=always, true=first)])

    def _first(self, whens: Sequence[MergeWhen], kind: str) -> exp.Expr:
        case = exp.Case(ifs=[])
        for number, when in enumerate(whens):
            if when.kind == kind:
                chosen = exp.Null() if when.action == "DO NOTHING" else exp.Literal.number(number)
                case.append("ifs", exp.If(this=when.condition or exp.true(), true=chosen))
        return case if case.args["ifs"] else exp.Null()

    def _outside(self, value: exp.Expr, joined: exp.Select) -> exp.Expr:
        """Return a value that names what it reads by columns of the query ``joined``, which gets them."""
        held = exp.Paren(this=value)
        for column in list(held.find_all(exp.Column)):
            if is_parameter(column):
                continue
            text = column.sql("duckdb", identify=True).casefold()
            name = self._named.get(text)
            if name is None:
                name = self._named[text] = f"scoter_merge_{len(self._named)}"
                joined.append("expressions", exp.alias_(column.copy(), name, quoted=True))
            new = exp.column(name, quoted=True)
            new.meta.update(column.meta)
            column.replace(new)
        return held


def _there(column: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=column, expression=exp.Null()))


def of_table(table: str, name: str) -> exp.Column:
    """Return a column of the table of that name or alias."""
    return exp.column(name, table=table, quoted=True)
