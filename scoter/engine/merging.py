"""MERGE as a query: a row for each row that changes, with where it stands, what becomes of it and its new values.

The first columns are the file and the position of the target's row, NULL for a new one, and the number of the clause
that applies; behind them stands each column of the table. This module must not know files, types of values or how rows
are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from scoter.engine.aliases import IN_PLACE
from scoter.engine.binding import data_type, number_parameters, typed_null
from scoter.engine.inference import operands
from scoter.engine.querying import listed_rows
from scoter.engine.scopes import is_parameter
from scoter.engine.statements import Explain, Merge, MergeWhen, Predict, TableCall, span_of
from scoter.engine.types import quote
from scoter.errors import (
    AmbiguousName,
    DuplicateColumn,
    InternalError,
    InvalidSyntax,
    NotSupported,
    UndefinedColumn,
)
from scoter.suggestions import closest

Columns = Sequence[tuple[str, str]]

TARGET = "scoter_merged"
"""Marks the table node by which the target's rows are read."""

FACTS = 3
"""How many columns stand before those of the table."""

_FILE, _POS, _ACTION, _THERE, _JOINED = (
    f"scoter_merge_{word}" for word in ("file", "pos", "action", "there", "joined")
)
_UNNAMED = "scoter_merge_source"
# Where these stand, columns are read that are not named, or rows are not looked at one by one.
_REFUSED: dict[type[exp.Expr], str] = {
    exp.Query: "a subquery",
    exp.Window: "a window function",
    exp.Star: "a star",
    exp.Columns: "COLUMNS",
    exp.PositionalColumn: "a column by its number",
}


def expand_merge(tree: exp.Expr) -> None:
    """Give a MERGE the query of its rows, in place; a statement of another kind stays.

    Of the table's columns it holds those that the statement names: ``complete_merge`` adds the others. Raises
    NotSupported, AmbiguousName, UndefinedColumn for a name of the table that can have no value there.
    """
    merge = tree.this if isinstance(tree, Explain) else tree
    if isinstance(merge, Merge) and merge.args.get("expression") is None:
        merge.set("expression", _Expansion(merge).query())
        for key in ("using", "on", "with_"):
            merge.set(key, None)


class _Expansion:
    """The query of one MERGE."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._read: exp.Expr = merge.this.copy()
        self._read.meta[TARGET] = True
        self._using: exp.Expr = merge.args["using"]
        if not self._using.alias_or_name:
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
            when.set("columns", [self._assigned(column) for column in when.columns])
        action = self._action(whens)
        joined = exp.Select(
            expressions=[
                self._own("_file", _FILE),
                self._own("_pos", _POS),
                exp.alias_(exp.Cast(this=action, to=data_type("INTEGER").copy()), _ACTION, quoted=True),
            ],
            from_=exp.From(this=self._from()),
            joins=[exp.Join(this=self._read, side=self._side(), on=self._merge.args["on"])],
            with_=self._merge.args.get("with_"),
        )
        values = [self._outside(value, joined) for when in whens for value in when.values]
        for when in whens:
            when.set("condition", None)
        facts: list[exp.Expr] = [exp.column(name, quoted=True) for name in (_FILE, _POS, _ACTION)]
        return exp.Select(
            expressions=[*facts, *values],
            from_=exp.From(
                this=exp.Subquery(
                    this=joined, alias=exp.TableAlias(this=exp.to_identifier(_JOINED, quoted=True))
                )
            ),
            where=exp.Where(this=_there(exp.column(_ACTION, quoted=True))),
        )

    def _check(self, part: exp.Expr, where: str) -> None:
        for kind, what in _REFUSED.items():
            found = part.find(kind)
            if found is not None:
                hint = "let the query behind USING give the value" if where == "WHEN" else None
                raise NotSupported(f"{what} in {where} of MERGE", hint=hint, span=span_of(found))

    def _settle(self, part: exp.Expr, kind: str) -> None:
        """Let names of a clause mean the one table that has a row there, in place."""
        if kind == "MATCHED":
            return
        of_source = kind == "NOT MATCHED"
        own, other = (self._source, self._target) if of_source else (self._target, self._source)
        for column in list(part.find_all(exp.Column)):
            parts: list[exp.Expr] = list(column.parts)
            whole = len(parts) == 1 and column.name.casefold() == own.casefold()
            if whole or is_parameter(column) or self._means(parts, of_source=of_source):
                continue
            if self._means(parts, of_source=not of_source):
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

    def _means(self, parts: Sequence[exp.Expr], *, of_source: bool) -> bool:
        """Say whether a dotted name begins with that of the source, or of the target, with its schema or without."""
        node = self._using if of_source else self._read
        before = [part.name.casefold() for part in parts[:-1]]
        written = [node.alias_or_name.casefold()]
        if isinstance(node, exp.Table) and node.args.get("alias") is None:
            written = [part.name.casefold() for part in node.parts]
        return any(before[: len(written) - at] == written[at:] for at in range(len(written)))

    def _assigned(self, column: exp.Column) -> exp.Column:
        """Return a column that gets a value by its name alone."""
        if column.table and column.table.casefold() != self._target.casefold():
            raise UndefinedColumn(
                f'"{column.table}" is not the table that is written',
                hint=f'SET names columns of "{self._target}"',
                span=span_of(column),
            )
        column.set("table", None)
        return column

    def _own(self, name: str, alias: str) -> exp.Expr:
        return exp.alias_(_of(self._target, name), alias, quoted=True)

    def _side(self) -> str:
        if "NOT MATCHED BY SOURCE" in self._kinds:
            return "FULL" if self._keeps_source else "RIGHT"
        return "LEFT" if self._keeps_source else ""

    def _from(self) -> exp.Expr:
        """Return the source, with a column that tells its rows from those of the target alone where there are some."""
        if "NOT MATCHED BY SOURCE" not in self._kinds:
            return self._using
        rows = exp.Select(
            expressions=[exp.Star(), exp.alias_(exp.true(), _THERE, quoted=True)],
            from_=exp.From(this=self._using),
        )
        marked = exp.Subquery(
            this=rows, alias=exp.TableAlias(this=exp.to_identifier(self._source, quoted=True))
        )
        marked.meta[IN_PLACE] = True
        return marked

    def _action(self, whens: Sequence[MergeWhen]) -> exp.Expr:
        """Return the number of the first clause that applies to a joined row, NULL where nothing is done."""
        cases = exp.Case(ifs=[], default=self._first(whens, "MATCHED"))
        if "NOT MATCHED BY SOURCE" in self._kinds:
            alone = exp.Not(this=_there(_of(self._source, _THERE)))
            cases.append("ifs", exp.If(this=alone, true=self._first(whens, "NOT MATCHED BY SOURCE")))
        if self._keeps_source:
            new = exp.Not(this=_there(_of(self._target, "_file")))
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


def complete_merge(merge: Merge, columns: Columns) -> tuple[exp.Select, dict[str, str]]:
    """Return the query of a MERGE's rows for a table's columns, and the types that they give to parameters.

    Raises UndefinedColumn, DuplicateColumn, InvalidSyntax for clauses that do not fit the table.
    """
    query = merge.args["expression"].copy()
    if not isinstance(query, exp.Select):
        raise InternalError("a MERGE has no query")
    number_parameters(query)
    facts, values = query.expressions[:FACTS], query.expressions[FACTS:]
    joined = query.args["from_"].this.this
    alias = merge.this.alias_or_name
    known: dict[str, str] = {}
    cases = [exp.Case(this=exp.column(_ACTION, quoted=True), ifs=[]) for _ in columns]
    kept: set[int] = set()
    for number, when in enumerate(merge.whens):
        own, values = values[: len(when.values)], values[len(when.values) :]
        if when.action not in ("UPDATE", "INSERT"):
            continue
        given = dict(zip(_places(when, columns), own, strict=True))
        for place, value in given.items():
            for parameter in _parameters(value, joined):
                known.setdefault(parameter, columns[place][1])
        for place, (_, kind) in enumerate(columns):
            if place in given:
                new: exp.Expr = exp.Cast(this=given[place], to=data_type(kind).copy())
            elif when.action == "UPDATE":
                kept.add(place)
                new = exp.column(f"scoter_merge_kept_{place}", quoted=True)
            else:
                new = typed_null(kind)
            cases[place].append("ifs", exp.If(this=exp.Literal.number(number), true=new))
    for name, kind in columns:
        for parameter in _compared(joined, alias, name):
            known.setdefault(parameter, kind)
    for place in sorted(kept):
        joined.append(
            "expressions",
            exp.alias_(_of(alias, columns[place][0]), f"scoter_merge_kept_{place}", quoted=True),
        )
    new_values = [
        exp.alias_(case if case.args["ifs"] else typed_null(kind), f"scoter_merge_new_{place}", quoted=True)
        for place, (case, (_, kind)) in enumerate(zip(cases, columns, strict=True))
    ]
    query.set("expressions", [*facts, *new_values])
    return query, known


def _parameters(value: exp.Expr, joined: exp.Select) -> Iterator[str]:
    """Yield the parameters that have the type of a value: it may be one, or name a column of the source that is one."""
    yield from (str(parameter.this) for parameter in operands(value))
    named = value.unnest()
    if isinstance(named, exp.Column):
        read = next((part.this for part in joined.expressions if part.alias == named.name), None)
        if isinstance(read, exp.Column):
            yield from _of_source(read, joined)


def _compared(joined: exp.Select, alias: str, name: str) -> Iterator[str]:
    """Yield the parameters of the source that ON compares with a column of the target."""
    (join,) = joined.args["joins"]
    for equal in join.args["on"].find_all(exp.EQ, exp.NullSafeEQ):
        for own, other in ((equal.this, equal.expression), (equal.expression, equal.this)):
            mine = isinstance(own, exp.Column) and own.name.casefold() == name.casefold()
            if mine and own.table.casefold() == alias.casefold() and isinstance(other, exp.Column):
                yield from _of_source(other, joined)


def _of_source(column: exp.Column, joined: exp.Select) -> Iterator[str]:
    source = joined.args["from_"].this
    if isinstance(source, exp.Subquery) and IN_PLACE in source.meta:
        source = source.this.args["from_"].this
    if column.table and column.table.casefold() != source.alias_or_name.casefold():
        return
    query = source.this if isinstance(source, exp.Subquery) else source
    renamed = (
        [one.name.casefold() for one in source.args["alias"].columns] if source.args.get("alias") else []
    )
    for row in listed_rows(query):
        names = renamed or [part.alias_or_name.casefold() for part in row]
        if column.name.casefold() in names and len(names) == len(row):
            yield from (str(one.this) for one in operands(row[names.index(column.name.casefold())]))


def _places(when: MergeWhen, columns: Columns) -> list[int]:
    """Return the place in the table of each value of a clause."""
    names = [name.casefold() for name, _ in columns]
    if not when.columns:
        if len(when.values) != len(columns):
            raise InvalidSyntax(
                f"the table has {len(columns)} columns, INSERT gives {len(when.values)}",
                hint="name the columns: INSERT (a, b) VALUES (…)",
                span=span_of(when),
            )
        return list(range(len(columns)))
    found: list[int] = []
    for column in when.columns:
        if column.name.casefold() not in names:
            known = [name for name, _ in columns]
            raise UndefinedColumn(
                f'column "{column.name}" does not exist',
                hint=closest(column.name, known) or f"the columns are {', '.join(known)}",
                span=span_of(column),
            )
        found.append(names.index(column.name.casefold()))
        if found.count(found[-1]) > 1:
            raise DuplicateColumn(f'column "{column.name}" gets two values', span=span_of(column))
    if len(when.values) != len(found):
        raise InvalidSyntax(
            f"INSERT names {len(found)} columns and gives {len(when.values)} values", span=span_of(when)
        )
    return found


def rows_to_write(columns: Sequence[str], kept: str | None, changes: str, written: Sequence[int]) -> str:
    """Return the SQL of the rows of new files: those of ``kept`` that do not change, and the new values.

    ``kept`` are all rows of the files that are written anew with where they stand, None where there are none;
    ``changes`` is the table of the rows of a MERGE's query, ``written`` the numbers of the clauses that give a row.
    """
    values = ", ".join(f"o{FACTS + place}" for place in range(len(columns)))
    numbers = ", ".join(map(str, written)) or "NULL"
    new = f"SELECT {values} FROM {changes} WHERE o2 IN ({numbers})"
    if kept is None:
        return new
    named = ", ".join(f"kept.{quote(name)}" for name in columns)
    return (
        f"SELECT {named} FROM {kept} AS kept ANTI JOIN (SELECT o0, o1 FROM {changes} WHERE o0 IS NOT NULL) AS gone"
        f" ON kept._file = gone.o0 AND kept._pos = gone.o1 UNION ALL {new}"
    )


def _there(column: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=column, expression=exp.Null()))


def _of(table: str, name: str) -> exp.Column:
    return exp.column(name, table=table, quoted=True)
