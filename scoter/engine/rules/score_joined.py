"""Put the FROM and the plain filters of a joined SELECT into a subquery that also gives its predictions.

    SELECT a.x, P FROM a JOIN b ON … WHERE y = 1 AND P > 0.5
    SELECT c0 AS x, p FROM (SELECT a.x AS c0, P AS p FROM a JOIN b ON … WHERE y = 1) WHERE p > 0.5

DuckDB then has one projection above the join, where a LATERAL subquery would cost it a second join.
This module must not know what a prediction is, and leaves every SELECT alone whose names it is not sure of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from scoter.engine.clauses import columns_outside, parted, star_of, where_all
from scoter.engine.from_clauses import ColumnsOf, aliased
from scoter.engine.replacing import put

_UNSURE = exp.Null()


def below_filter(
    select: exp.Select,
    scores: dict[str, exp.Expr],
    columns_of: ColumnsOf,
    name: str,
    stays: Callable[[exp.Expr], bool],
) -> bool:
    """Rewrite ``select`` in place and return True, or return False with nothing changed.

    ``scores`` are the predictions by the column name that has taken their place in ``select``. Parts of WHERE for which
    ``stays`` holds are none of the plain ones.
    """
    names = _Names.of(select, columns_of)
    if names is None or not _is_plain(select):
        return False
    projections = [part for part in select.expressions if star_of(part) is None]
    aliases = {part.alias.casefold() for part in projections if isinstance(part, exp.Alias)}
    outside = [
        column for column in columns_outside(select) if column.name not in scores and star_of(column) is None
    ]
    found = [names.find(column, aliases) for column in outside]
    unnamed = (part for part in projections if not isinstance(part, exp.Alias | exp.Column))
    if any(place is _UNSURE for place in found) or any(part.find(exp.Column) for part in unnamed):
        return False

    def is_above(part: exp.Expr) -> bool:
        columns = part.find_all(exp.Column)
        return stays(part) or any(c.name in scores or names.find(c, aliases) is None for c in columns)

    above, below = parted(select.args.get("where"), is_above)
    select.set("expressions", _expanded(select.expressions, names))
    inner = exp.Select(expressions=[], from_=select.args["from_"], joins=select.args.get("joins"))
    select.set("joins", None)
    select.set("from_", None)
    select.set("where", where_all(above))
    given: dict[str, str] = {}
    for column in columns_outside(select):
        place = names.find(column, aliases) if column.name not in scores else None
        if not isinstance(place, exp.Column):
            continue
        text = place.sql(dialect="duckdb")
        if text not in given:
            given[text] = f"scoter_c{len(given)}"
            inner.append("expressions", exp.alias_(place, given[text], quoted=True))
        new: exp.Expr = exp.column(exp.to_identifier(given[text], quoted=True))
        if column.parent is select and column.arg_key == "expressions":
            new = exp.alias_(new, column.name, quoted=True)
        put(column, new)
    for score in aliased(scores):
        inner.append("expressions", score)
    inner.set("where", where_all(below))
    alias = exp.TableAlias(this=exp.to_identifier(name))
    select.set("from_", exp.From(this=exp.Subquery(this=inner, alias=alias)))
    return True


@dataclass(frozen=True)
class _Names:
    """The columns of a FROM's tables behind the tables' names as written, by these names folded."""

    tables: Mapping[str, tuple[str, Sequence[str]]]

    @classmethod
    def of(cls, select: exp.Select, columns_of: ColumnsOf) -> _Names | None:
        tables: dict[str, tuple[str, list[str]]] = {}
        joins = select.args.get("joins") or []
        for relation in [select.args["from_"].this, *(join.this for join in joins)]:
            known = columns_of(relation) if isinstance(relation, exp.Table) else None
            alias = relation.alias_or_name
            if known is None or alias.casefold() in tables or relation.args.get("joins"):
                return None
            tables[alias.casefold()] = (alias, known)
        if any(join.args.get("using") or join.args.get("method") for join in joins):
            return None
        return cls(tables)

    def find(self, column: exp.Column, aliases: set[str]) -> exp.Column | exp.Null | None:
        """Return the column of the FROM that is meant, None for an alias of the SELECT, else _UNSURE."""
        name, table = column.name.casefold(), column.table.casefold()
        if column.db:
            return _UNSURE
        if table:
            known = self.tables.get(table)
            if known is None or name not in (c.casefold() for c in known[1]):
                return _UNSURE
            return column.copy()
        owners = [alias for alias, known in self.tables.values() if name in (c.casefold() for c in known)]
        if name in aliases:
            return _UNSURE if owners else None
        if len(owners) == 1:
            return exp.column(column.this.copy(), table=exp.to_identifier(owners[0], quoted=True))
        return _UNSURE


def _is_plain(select: exp.Select) -> bool:
    if select.args.get("laterals") or select.args.get("with_") or select.args.get("windows"):
        return False
    if select.find(exp.Lambda, exp.Subquery, exp.Columns, exp.Exists) is not None:
        return False
    if sum(1 for _ in select.find_all(exp.Select)) > 1:
        return False
    stars = [star for star in map(star_of, select.expressions) if star is not None]
    return not any(star.args.get("replace") or star.args.get("rename") for star in stars)


def _expanded(parts: list[exp.Expr], names: _Names) -> list[exp.Expr]:
    """Replace stars by the columns that they stand for, less those excepted."""
    found: list[exp.Expr] = []
    for part in parts:
        star = star_of(part)
        if star is None:
            found.append(part)
            continue
        hidden = {e.name.casefold() for e in star.args.get("except_") or []}
        wanted = part.table.casefold() if isinstance(part, exp.Column) else None
        for alias, columns in names.tables.values():
            if wanted is None or alias.casefold() == wanted:
                found += [
                    exp.column(exp.to_identifier(c, quoted=True), table=exp.to_identifier(alias, quoted=True))
                    for c in columns
                    if c.casefold() not in hidden
                ]
    return found
