"""Views become what they stand for: each name of one is replaced by its query, and what that reads is found.

This module must not know who asks, nor types or rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlglot import exp

from scoter.catalog.lake import Lake
from scoter.catalog.lookup import Found
from scoter.catalog.names import TableName
from scoter.catalog.views import DIALECT, load_view
from scoter.engine.aliases import Qualifiers, alias_of
from scoter.engine.changes import is_changes
from scoter.engine.context import Context
from scoter.engine.dialect import check_depth, parse
from scoter.engine.foreign_views import cast_columns, check_stars, translation
from scoter.engine.gate import check
from scoter.engine.naming import Reading, at_ref, readings_of
from scoter.engine.plan import Pins, TablePin, ViewPin
from scoter.engine.statements import INSIDE, WRITTEN, CreateView, Predict, span_of
from scoter.engine.types import duckdb_type, spelled
from scoter.engine.virtual import VIRTUAL_SCHEMAS
from scoter.errors import (
    CorruptData,
    InvalidDefinition,
    NotSupported,
    ScoterError,
    Span,
    TooComplex,
    WriteConflict,
)

VIEW = "scoter_view"
MAX_DEPTH = 32  # views inside of each other
MAX_NODES = 20_000  # parts of all views of one statement
_MAX_TEXT = 1024 * 1024
_KEPT_TEXT = 4096  # characters of a text whose tree is kept; a tree takes some 150 bytes for each
_ATTEMPTS = 20

Choose = Callable[[exp.Table, Sequence[Reading], dict[TableName, Found]], Reading]


@dataclass(frozen=True)
class View:
    """A view that a statement reads; ``body`` is the subquery in its place, None where it is only looked at.

    ``time`` is the text of the time that its tables are read as of, where one is given.
    """

    pin: ViewPin
    body: exp.Subquery | None
    span: Span | None
    time: str = ""


@dataclass(frozen=True)
class Expanded:
    """A statement without views: its tables with what their names mean, and what exists.

    ``definition`` is the query of CREATE VIEW with names that mean the same from everywhere.
    """

    tree: exp.Expr
    tables: tuple[tuple[exp.Table, Reading], ...]
    there: dict[TableName, Found]
    asked: tuple[TableName, ...]
    views: tuple[View, ...]
    definition: exp.Expr | None


@dataclass(frozen=True)
class _Name:
    """A name that is to be found: where it is looked up, and the views around it from the outermost."""

    node: exp.Table
    context: Context
    within: tuple[TableName, ...] = ()


@dataclass(frozen=True)
class _Text:
    tree: exp.Expr
    size: int


class _Changed(Exception):  # no error: what was read is read again
    """A view or a name changed while the views of a statement were read."""


def expand(
    tree: exp.Expr,
    tables_of: Callable[[exp.Expr], Iterator[exp.Table]],
    target: TableName | None,
    context: Context,
    lake: Lake,
    choose: Choose,
    pins: Pins | None,
) -> Expanded:
    """Return the statement with every view replaced by its query.

    What views read is only known when they have been read. After more than one SELECT everything is
    asked again in one, so that all of the statement is of one moment; where a view has changed meanwhile
    the statement is expanded anew. Raises what ``choose`` raises, InvalidDefinition for a view that reads
    itself, TooComplex, NotSupported, WriteConflict when views kept changing.
    """
    for _ in range(_ATTEMPTS):
        expansion = _Expansion(tree, tables_of, lake, choose, pins)
        try:
            return expansion.run(target, context)
        except _Changed:
            tree = expansion.original or tree
    raise WriteConflict("the views of the statement kept changing", hint="try again")


class _Expansion:
    """One attempt to replace the views of a statement."""

    def __init__(
        self,
        tree: exp.Expr,
        tables_of: Callable[[exp.Expr], Iterator[exp.Table]],
        lake: Lake,
        choose: Choose,
        pins: Pins | None,
    ) -> None:
        self.original: exp.Expr | None = None
        self._tree = tree
        self._tables_of = tables_of
        self._lake = lake
        self._choose = choose
        self._pins = pins if pins is not None and (pins.tables or pins.views) else None
        self._there: dict[TableName, Found] = {}
        self._asked: list[TableName] = []
        self._settled: list[tuple[exp.Table, Reading]] = []
        self._views: list[View] = []
        self._known: dict[TableName, ViewPin] = {}
        self._size = 0
        self._definition: exp.Expr | None = None

    def run(self, target: TableName | None, context: Context) -> Expanded:
        level = [_Name(node, context) for node in self._tables_of(self._tree)]
        asking = [] if target is None else [target]
        rounds = 0
        while level or not rounds:
            readings = [readings_of(one.node, one.context, self._lake) for one in level]
            ways = [
                w.name for found in readings for w in found if w.name.schema.casefold() not in VIRTUAL_SCHEMAS
            ]
            rounds += self._look_up([*ways, *asking])
            chosen = [
                self._choose(one.node, found, self._there) for one, found in zip(level, readings, strict=True)
            ]
            for one, reading in zip(level, chosen, strict=True):
                if reading.ref is not None:
                    at_ref(one.node, reading.ref)
            if self._definition is None and isinstance(self._tree, CreateView):
                self._definition = self._write(level, chosen, context)
            level = self._next(level, chosen)
            asking = []
            if not rounds:
                rounds = 1
        if self._views:
            check_depth(self._tree)
        if rounds > 1 and self._pins is None:
            self._confirm()
        return Expanded(
            self._tree,
            tuple(self._settled),
            self._there,
            tuple(self._asked),
            tuple(self._views),
            self._definition,
        )

    def _look_up(self, names: Sequence[TableName]) -> int:
        """Find names that were not asked for before; return how many times the lake was asked."""
        new = [name for name in dict.fromkeys(names) if name not in self._asked]
        if not new:
            return 0
        self._asked += new
        if self._pins is not None:
            self._there |= {name: found for name in new if (found := _pinned(name, self._pins))}
            return 0
        self._there |= self._lake.look_up(new)
        return 1

    def _confirm(self) -> None:
        again = self._lake.look_up(self._asked)
        places = {asked: (found.name, found.is_view) for asked, found in self._there.items()}
        if {asked: (found.name, found.is_view) for asked, found in again.items()} != places:
            raise _Changed
        if any(f.is_view and f.location != self._there[asked].location for asked, f in again.items()):
            raise _Changed
        self._there = again

    def _next(self, level: Sequence[_Name], chosen: Sequence[Reading]) -> list[_Name]:
        """Replace the views of a level and return the names that their texts hold."""
        qualifiers = Qualifiers([one.node for one in level])
        following: list[_Name] = []
        for one, reading in zip(level, chosen, strict=True):
            found = self._there.get(reading.name)
            if found is None or not found.is_view:
                self._settled.append((one.node, reading))
                continue
            if reading.suffix or reading.ref or is_changes(one.node):
                what = reading.suffix or ("branches and tags" if reading.ref else "changes")
                raise NotSupported(f"{found.name} is a view and has no {what}", span=span_of(one.node))
            pin = self._pin(found, one.node)
            if not isinstance(self._tree, exp.Query | exp.Insert) and one.node.parent is self._tree:
                # DESCRIBE and SHOW look at the view itself.
                self._views.append(View(pin, None, span_of(one.node)))
                self._settled.append((one.node, reading))
                continue
            if self.original is None:
                self.original = self._tree.copy()
            following += self._replace(one, pin, qualifiers.add(one.node, found.name))
        qualifiers.strip(self._tree)
        return following

    def _replace(self, one: _Name, pin: ViewPin, alias: str) -> list[_Name]:
        """Put a view's query in the place of its name; return the names in it."""
        node, place = one.node, span_of(one.node)
        if pin.name in one.within:
            path = " → ".join(str(name) for name in (*one.within[one.within.index(pin.name) :], pin.name))
            raise InvalidDefinition(f"view {pin.name} reads itself: {path}", span=place)
        if len(one.within) >= MAX_DEPTH:
            raise TooComplex(f"more than {MAX_DEPTH} views are nested", span=place)
        text = _read(pin, place)
        self._size += text.size
        if self._size > MAX_NODES:
            raise TooComplex(f"the views of the statement have more than {MAX_NODES:,} parts", span=place)
        body = text.tree.copy()
        _move(body, place, pin)
        _qualify_models(body, pin.namespace)
        context = replace(one.context, catalog=pin.name.catalog, schema=pin.namespace)
        # Before the query gets its place, so that a name of WITH around it means nothing in it.
        names = [_Name(table, context, (*one.within, pin.name)) for table in self._tables_of(body)]
        time = _travel(node, [name.node for name in names], pin.name)
        subquery = exp.Subquery(this=body, alias=alias_of(node.args.get("alias"), alias))
        for key in ("joins", "pivots", "sample", "laterals"):
            if node.args.get(key):
                subquery.set(key, node.args[key])
        subquery.meta.update(node.meta)
        subquery.meta[VIEW] = len(self._views)
        subquery.meta[WRITTEN] = _as_written(node)
        self._views.append(View(pin, subquery, place, time))
        node.replace(subquery)
        return names

    def _pin(self, found: Found, node: exp.Table) -> ViewPin:
        """Return what the view says; raises CorruptData, NotSupported."""
        known = self._known.get(found.name)
        if known is None and self._pins is not None:
            known = next(pin for pin in self._pins.views if pin.name == found.name)
        if known is None:
            try:
                view = load_view(self._lake, found)
                columns = tuple((c.name, c.text or spelled(duckdb_type(c.kind))) for c in view.columns)
            except ScoterError as error:
                error.span = error.span or span_of(node)
                raise
            known = ViewPin(found.name, found.location, view.sql, view.dialect, view.namespace, columns)
        self._known[found.name] = known
        return known

    def _write(self, level: Sequence[_Name], chosen: Sequence[Reading], context: Context) -> exp.Expr:
        """Return a copy of CREATE VIEW's query with the names of tables, views and models in full."""
        for one, reading in zip(level, chosen, strict=True):
            if is_changes(one.node):
                raise NotSupported("table_changes in a view", span=span_of(one.node.this))
            found = self._there.get(reading.name)
            one.node.meta[_FULL] = (reading.name if found is None else found.name, reading.suffix)
        query: exp.Expr = self._tree.expression.copy()
        nodes = [node for node in query.find_all(exp.Table) if _FULL in node.meta]
        qualifiers = Qualifiers(nodes)
        for node in nodes:
            name, suffix = node.meta[_FULL]
            node.meta[WRITTEN] = _as_written(node)
            last = f"{name.name}${suffix}" if suffix else name.name
            if node.args.get("alias") is None:
                alias = qualifiers.add(node, name, suffix if node.name.casefold() == suffix else None)
                if alias != last:
                    node.set("alias", alias_of(None, alias))
            for key, text in (("this", last), ("db", name.schema), ("catalog", name.catalog)):
                node.set(key, exp.to_identifier(text, quoted=True))
        qualifiers.strip(query)
        _qualify_models(query, context.schema)
        return query


_FULL = "scoter_full"


def _as_written(node: exp.Table) -> exp.Table:
    parts = {key: node.args[key].copy() for key in ("this", "db", "catalog", "alias") if node.args.get(key)}
    return exp.Table(**parts)


def _pinned(name: TableName, pins: Pins) -> Found | None:
    fits: list[TablePin | ViewPin] = [pin for pin in pins.tables if pin.name.folded == name.folded]
    fits += [pin for pin in pins.views if pin.name.folded == name.folded]
    # A statement may read two tables whose names differ in case alone.
    best = max(
        fits, key=lambda pin: (pin.name.schema == name.schema) + (pin.name.name == name.name), default=None
    )
    if best is None:
        return None
    if isinstance(best, ViewPin):
        return Found(best.name, best.location, is_view=True)
    return Found(best.name, best.metadata_location)


def _read(pin: ViewPin, place: Span | None) -> _Text:
    """Return a view's query, allowed as any other; raises what reading it raises, with the place in its text."""
    try:
        parse_text = _parsed if len(pin.sql) <= _KEPT_TEXT else _parsed.__wrapped__
        return parse_text(pin.sql, pin.dialect, pin.columns)
    except ScoterError as error:
        raise within(error, pin.name, place) from error


@lru_cache(maxsize=256)
def _parsed(sql: str, dialect: str, columns: tuple[tuple[str, str], ...]) -> _Text:
    if dialect not in (DIALECT, "duckdb"):
        sql = translation(sql, dialect, _MAX_TEXT)
    tree = parse(sql, _MAX_TEXT)
    # What is stored is not trusted: other writers reach it.
    check(tree)
    if not isinstance(tree, exp.Query):
        raise CorruptData("the text of the view is no query")
    if tree.find(exp.Placeholder) is not None:
        raise NotSupported("a view has no parameters")
    if dialect != DIALECT:
        check_stars(tree, dialect)
        tree = cast_columns(tree, columns)
    return _Text(tree, sum(1 for _ in tree.walk()))


def within(error: ScoterError, name: TableName, place: Span | None) -> ScoterError:
    """Return ``error`` about a view's text as one about the statement, with the place in the text named."""
    if error.span is None or error.span.inside is None:
        at = f" at {error.span.line}:{error.span.column}" if error.span is not None else ""
        line, column = (place.line, place.column) if place is not None else (1, 1)
        error.span = Span(line, column, f"{name}{at}")
    return error


def _move(body: exp.Expr, place: Span | None, pin: ViewPin) -> None:
    """Give every node of a view's text the place of the view's name, and keep where it really stands."""
    line, column = (place.line, place.column) if place is not None else (1, 1)
    for node in body.walk():
        if node._meta is None or "line" not in node._meta:  # noqa: SLF001  # the property would make one for every node
            continue
        own = span_of(node)
        start = node.meta["start"]
        node.meta.update(line=line, col=column, start=start, end=start)
        if own is not None:
            # A text that was translated has other places.
            at = "" if pin.dialect not in (DIALECT, "duckdb") else f" at {own.line}:{own.column}"
            node.meta[INSIDE] = f"{pin.name}{at}"


def _qualify_models(tree: exp.Expr, schema: str) -> None:
    for call in tree.find_all(Predict):
        model = call.args["model"]
        if isinstance(model, exp.Literal) and model.is_string and "." not in model.name.partition("@")[0]:
            model.meta[WRITTEN] = exp.Literal.string(model.name)
            model.set("this", f"{schema}.{model.name}")


def _travel(node: exp.Table, inner: Sequence[exp.Table], name: TableName) -> str:
    """Give the time of a view's name to every table and view in it that has none of its own, and return it."""
    version = node.args.get("version") or node.args.get("when")
    if version is None:
        return ""
    if str(version.this).upper() == "VERSION":
        raise NotSupported(
            f"{name} is a view and has no versions",
            hint="FOR TIMESTAMP AS OF reads its tables as they were",
            span=span_of(node),
        )
    for table in inner:
        if table.args.get("version") is None:
            table.set("version", version.copy())
    return str(version.sql(dialect="duckdb"))
