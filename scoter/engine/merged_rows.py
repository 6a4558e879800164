"""The rows of a MERGE, UPDATE or DELETE for the table that it writes: each column's new value, by the clause that applies.

The first columns are the file and the position of the target's row, NULL for a new one, and the number of the clause
that applies; behind them stands each column of the table. This module must not know files, how types are bound or how
rows are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from scoter.engine.binding import data_type, number_parameters, typed_null
from scoter.engine.merging import ACTION, READS, of_table
from scoter.engine.parameter_places import operands
from scoter.engine.querying import listed_rows
from scoter.engine.scanning.lineage import HIDDEN
from scoter.engine.statements import Delete, Merge, MergeWhen, Update, span_of
from scoter.errors import AmbiguousName, DuplicateColumn, InternalError, InvalidSyntax, UndefinedColumn
from scoter.suggestions import closest

Columns = Sequence[tuple[str, str]]

FACTS = 3
"""How many columns stand before those of the table."""

GIVING = ("UPDATE", "INSERT")
"""The actions that give a row."""


def complete_merge(merge: Merge, columns: Columns) -> tuple[exp.Select, dict[str, str]]:
    """Return the query of the rows that a statement changes, for a table's columns, and the types that they give to parameters.

    Raises UndefinedColumn, DuplicateColumn, InvalidSyntax for clauses that do not fit the table.
    """
    query = merge.args["expression"].copy()
    if not isinstance(query, exp.Select):
        raise InternalError("the statement has no query")
    number_parameters(query)
    of_one = isinstance(merge, Update | Delete)
    return _of_one_table(merge, query, columns) if of_one else _of_two_tables(merge, query, columns)


def _of_two_tables(merge: Merge, query: exp.Select, columns: Columns) -> tuple[exp.Select, dict[str, str]]:
    facts, values = query.expressions[:FACTS], query.expressions[FACTS:]
    joined = query.args["from_"].this.this
    alias = merge.this.alias_or_name
    _check_names(joined, alias, columns)
    known: dict[str, str] = {}
    cases = [exp.Case(this=exp.column(ACTION, quoted=True), ifs=[]) for _ in columns]
    for number, when in enumerate(merge.whens):
        own, values = values[: len(when.values)], values[len(when.values) :]
        if when.action not in GIVING:
            continue
        given = dict(zip(_places(when, columns), own, strict=True))
        for place, value in given.items():
            for parameter in _parameters(value, joined):
                known.setdefault(parameter, columns[place][1])
        for place, new in enumerate(_row(when, given, columns)):
            cases[place].append("ifs", exp.If(this=exp.Literal.number(number), true=new))
    for place, (name, kind) in enumerate(columns):
        for parameter in _compared(joined, alias, name):
            known.setdefault(parameter, kind)
        if any(when.action == "UPDATE" for when in merge.whens):
            joined.append("expressions", exp.alias_(of_table(alias, name), _kept(place), quoted=True))
    new_values = [
        exp.alias_(case if case.args["ifs"] else typed_null(kind), f"scoter_merge_new_{place}", quoted=True)
        for place, (case, (_, kind)) in enumerate(zip(cases, columns, strict=True))
    ]
    query.set("expressions", [*facts, *new_values])
    return query, known


def _check_names(joined: exp.Select, alias: str, columns: Columns) -> None:
    """Refuse names of clauses for which one table has a row alone that could mean a column of the other one."""
    kinds = {name.casefold(): kind for name, kind in columns}
    source = joined.args["from_"].this.alias_or_name
    for column in joined.find_all(exp.Column):
        kind, name = column.meta.get(READS, ("", ""))
        if kind == "NOT MATCHED BY SOURCE" and name.casefold() not in kinds and name.casefold() not in HIDDEN:
            raise UndefinedColumn(
                f'column "{name}" does not exist in "{alias}"',
                hint=closest(name, [name for name, _ in columns]),
                span=span_of(column),
            )
        if kind == "NOT MATCHED" and source.casefold() in kinds:
            fields = kinds[source.casefold()].startswith(("STRUCT", "MAP"))
            if len(column.parts) == 1 or fields:
                raise AmbiguousName(
                    f'"{source}" is the source of the MERGE and a column of "{alias}"',
                    hint="give the source an alias that is no column's name",
                    span=span_of(column),
                )


def _of_one_table(merge: Merge, query: exp.Select, columns: Columns) -> tuple[exp.Select, dict[str, str]]:
    (when,) = merge.whens
    facts, values = query.expressions[:FACTS], query.expressions[FACTS:]
    given = dict(zip(_places(when, columns), values, strict=True)) if when.action == "UPDATE" else {}
    known: dict[str, str] = {}
    row: list[exp.Expr] = []
    for place, (name, kind) in enumerate(columns):
        value: exp.Expr = typed_null(kind)
        if place in given:
            for parameter in operands(given[place]):
                known.setdefault(str(parameter.this), kind)
            value = exp.Cast(this=given[place], to=data_type(kind).copy())
        elif when.action == "UPDATE":
            value = of_table(merge.this.alias_or_name, name)
        row.append(exp.alias_(value, f"scoter_merge_new_{place}", quoted=True))
    query.set("expressions", [*facts, *row])
    return query, known


def _row(when: MergeWhen, given: Mapping[int, exp.Expr], columns: Columns) -> Iterator[exp.Expr]:
    """Yield the value of each column of the row that a clause gives."""
    for place, (_, kind) in enumerate(columns):
        if place in given:
            yield exp.Cast(this=given[place], to=data_type(kind).copy())
        elif when.action == "UPDATE":
            yield exp.column(_kept(place), quoted=True)
        else:
            yield typed_null(kind)


def _kept(place: int) -> str:
    return f"scoter_merge_kept_{place}"


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
    join = joined.args["joins"][-1]
    for equal in join.args["on"].find_all(exp.EQ, exp.NullSafeEQ):
        for own, other in ((equal.this, equal.expression), (equal.expression, equal.this)):
            mine = isinstance(own, exp.Column) and own.name.casefold() == name.casefold()
            if mine and own.table.casefold() == alias.casefold() and isinstance(other, exp.Column):
                yield from _of_source(other, joined)


def _of_source(column: exp.Column, joined: exp.Select) -> Iterator[str]:
    source = joined.args["from_"].this
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
