"""What a name without a table means in a SELECT: a column of its FROM, or one of its own aliases.

This module must not know what is moved for the names' sake, nor where to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlglot import exp

from scoter.engine.call_sites import is_volatile, site_of
from scoter.engine.clauses import aliases_of
from scoter.engine.from_clauses import ColumnsOf, columns_known, named_relations
from scoter.engine.grouping import is_of_several_rows
from scoter.engine.replacing import put
from scoter.engine.statements import Predict

_SPELLED = 100  # aliases of aliases that are spelled out in one WHERE: each may name others twice
_COLUMN_FIRST = frozenset({"where", "group", "list"})  # there a name that a column has is no alias


@dataclass(frozen=True)
class SelectNames:
    """The names of a SELECT: its ``aliases`` but for columns under their own names, and the columns of its FROM.

    Names are folded. Where a relation is no table of the lake, none of the columns is ``known``.
    """

    select: exp.Select
    aliases: Mapping[str, exp.Expr]
    known: frozenset[str] | None

    @classmethod
    def of(cls, select: exp.Select, columns_of: ColumnsOf) -> SelectNames:
        """Return the names of a SELECT as it stands."""
        relations = named_relations(select)
        known = columns_known(relations, columns_of) if relations else None
        aliases = aliases_of(select).items()
        return cls(select, {name: value for name, value in aliases if not _is_column(value, name)}, known)

    @cached_property
    def only_aliases(self) -> Mapping[str, exp.Expr]:
        """The aliases whose names no column is known to have."""
        return {name: value for name, value in self.aliases.items() if name not in (self.known or ())}

    def is_alias(self, column: exp.Column) -> bool:
        """Say whether a column is an alias if it is none of FROM that is not known."""
        return not column.table and column.name.casefold() in self.only_aliases

    def means_column(self, column: exp.Column) -> bool:
        """Say whether a column without a table certainly is none of the SELECT's aliases."""
        name = column.name.casefold()
        if name not in self.aliases:
            return True
        return name not in self.only_aliases and site_of(column, self.select) in _COLUMN_FIRST

    def is_below(self, column: exp.Column) -> bool:
        """Say whether what a column means can be computed below the SELECT, too, where aliases are spelled out."""
        return bool(column.table) or self.means_column(column) or self._is_of_columns(column)

    def _is_of_columns(self, column: exp.Column) -> bool:
        """Say whether a column is an alias of a value that is made of known columns only."""
        if self.known is None or not self.is_alias(column):
            return False
        value = self.only_aliases[column.name.casefold()]
        if is_volatile(value) or is_of_several_rows(value) or value.find(Predict, exp.Query) is not None:
            return False
        inside = (node for node in value.find_all(exp.Column) if not node.table)
        return all(node.name.casefold() in self.known for node in inside)

    def spell_out(self, part: exp.Expr) -> None:
        """Put in place of the aliases in a part of the SELECT, or a copy of one, what they stand for."""
        for column in list(part.find_all(exp.Column)):
            if self.is_alias(column):
                self._put_value(column)

    def spell_out_where(self) -> None:
        """Do so in WHERE where all columns are known, as DuckDB would, with aliases of aliases; those in calls stay."""
        where = self.select.args.get("where") if self.known is not None else None
        columns = list(where.find_all(exp.Column)) if where is not None else []
        for _ in range(_SPELLED):
            if not columns:
                break
            column = columns.pop()
            own = column.find_ancestor(exp.Select, Predict) is self.select
            if own and self.is_alias(column) and not is_volatile(self.only_aliases[column.name.casefold()]):
                columns += self._put_value(column).find_all(exp.Column)

    def _put_value(self, column: exp.Column) -> exp.Expr:
        value = exp.Paren(this=self.only_aliases[column.name.casefold()].copy())
        put(column, value)
        return value


def _is_column(value: exp.Expr, name: str) -> bool:
    return isinstance(value, exp.Column) and value.name.casefold() == name
