"""Names become facts, once, from metadata only: tables, snapshots, model versions.

This module must not know who asks, and opens neither data files nor models.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlglot import exp

from scoter.catalog.lake import Lake
from scoter.catalog.lookup import Found
from scoter.catalog.model_records import ModelVersion
from scoter.catalog.models import Models
from scoter.catalog.names import TableName
from scoter.engine.changes import is_changes
from scoter.engine.context import Context
from scoter.engine.hidden import mentioned, settle_hidden
from scoter.engine.merging import PLACE, TARGET, expand_merge
from scoter.engine.model_names import resolve_model
from scoter.engine.naming import Reading, is_cte, table_name
from scoter.engine.plan import ModelPin, Pins, TablePin
from scoter.engine.resolved import MODEL, SOURCE, Resolved, Source
from scoter.engine.rules.pin_now import pin_now, uses_now
from scoter.engine.rules.pin_session import asks_who
from scoter.engine.scanning.lineage import hidden_columns
from scoter.engine.sources import chosen, source_of, undefined, view_source
from scoter.engine.statements import (
    CommentOn,
    CreateTable,
    CreateView,
    DropTable,
    DropView,
    Explain,
    Merge,
    Predict,
    RegisterTable,
    RenameView,
    span_of,
)
from scoter.engine.table_calls import check_names, expand_table_calls
from scoter.engine.views import Expanded, expand
from scoter.errors import NotSupported

InstantOf = Callable[[exp.Expr, str], "int | None"]
_TARGETING = (
    exp.Insert, Merge, CreateTable, CreateView, DropTable, DropView, RenameView, CommentOn, RegisterTable,
)  # fmt: skip


def resolve(
    tree: exp.Expr,
    context: Context,
    lake: Lake,
    models: Models,
    instant_of: InstantOf,
    pins: Pins | None = None,
) -> Resolved:
    """Return ``tree`` with every table and model looked up, all table pointers from one SELECT.

    With ``pins`` given, exactly those metadata files and model versions are used.
    Raises UndefinedTable, UndefinedModel, UndefinedVersion, AmbiguousName, UndefinedSnapshot.
    """
    expand_merge(tree)
    seen = expand_table_calls(tree, lambda text, node: resolve_model(text, context, models, node, pins))
    now = (pins.instant if pins else None) or datetime.now(UTC)

    def at(value: exp.Expr) -> int | None:
        return instant_of(pin_now(exp.Paren(this=value.copy()), now, context.timezone), context.timezone)

    def choose(node: exp.Table, ways: Sequence[Reading], there: dict[TableName, Found]) -> Reading:
        return chosen(node, ways, there, lake)

    target = _insert_target(tree, context, lake)
    expanded = expand(tree, _tables, target, context, lake, choose, pins)
    tree, there = expanded.tree, expanded.there
    if target is not None and (target not in there or there[target].is_view):
        raise undefined(target, target_of(tree), lake)
    relative = any(uses_now(version) for version in tree.find_all(exp.Version))
    relative = relative or any(is_changes(node) and uses_now(node) for node, _ in expanded.tables)
    sources: list[Source] = []
    looked_at = {view.pin.name: view.pin for view in expanded.views if view.body is None}
    for node, reading in expanded.tables:
        node.meta[SOURCE] = len(sources)
        stored = there.get(reading.name)
        if stored is not None and stored.is_view:
            sources.append(view_source(looked_at[stored.name]))
        else:
            sources.append(source_of(node, reading, there, lake, at))
    _check_rows(seen, expanded, sources)
    if mentioned(tree):
        sources = _with_hidden(tree, [node for node, _ in expanded.tables], sources)
    calls = list(tree.find_all(Predict))
    for number, call in enumerate(calls):
        call.meta[MODEL] = number
    written = [_model_text(call) for call in calls]
    found = _versions(calls, written, context, models, pins)
    versions = [found[text] for text in written]
    used = {s.name: s.metadata_location for s in sources if s.metadata_location}
    if target is not None:
        used[there[target].name] = there[target].location
    return Resolved(
        tree,
        tuple(sources),
        tuple(versions),
        Pins(
            tuple(TablePin(name, location) for name, location in sorted(used.items())),
            tuple(
                dict.fromkeys(
                    ModelPin(v.model, v.version, v.sha256, w) for v, w in zip(versions, written, strict=True)
                )
            ),
            now if relative else (pins.instant if pins else None),
            tuple(sorted({view.pin for view in expanded.views}, key=lambda pin: pin.name)),
        ),
        tuple(written),
        target,
        there[target].location if target is not None else None,
        expanded.asked,
        relative,
        expanded.views,
        expanded.definition,
        bool(expanded.views) and asks_who(tree),
    )


def _versions(
    calls: Sequence[Predict],
    written: Sequence[str],
    context: Context,
    models: Models,
    pins: Pins | None,
) -> dict[str, ModelVersion]:
    """Return the version of every reference, all as of one moment: none is between two changes."""
    while calls:
        revision = models.revision()
        found: dict[str, ModelVersion] = {}
        for call, text in zip(calls, written, strict=True):
            if text not in found:
                found[text] = resolve_model(text, context, models, call, pins)
        if models.revision() == revision:
            return found
    return {}


def _check_rows(seen: Container[str], expanded: Expanded, sources: Sequence[Source]) -> None:
    """Check the columns of the tables and views that calls in FROM see whole; ``seen`` are their folded names."""
    tables = ((reading.name, s.columns) for (_, reading), s in zip(expanded.tables, sources, strict=True))
    views = ((view.pin.name, view.pin.columns) for view in expanded.views)
    for relation, columns in (*tables, *views):
        if relation.name.casefold() in seen:
            check_names(name for name, _ in columns)


def _model_text(call: Predict) -> str:
    model = call.args["model"]
    if isinstance(model, exp.Literal) and model.is_string:
        return str(model.name)
    raise NotSupported(
        "the model of a call is a constant text",
        hint="write PREDICT('name', …)",
        span=span_of(call),
    )


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """Yield every table node that is not a CTE's name, a table function or a write's target."""
    if isinstance(tree, RenameView):
        return
    target = target_of(tree)
    for node in tree.find_all(exp.Table):
        named = isinstance(node.this, exp.Identifier | exp.Dot) and (node.db or not is_cte(node))
        if node is target or named or is_changes(node):
            if node is not target:
                yield node
        elif node.args.get("version") or node.args.get("when"):
            raise NotSupported("only tables have versions", span=span_of(node))


def target_of(tree: exp.Expr) -> exp.Table | None:
    """Return the table node that a statement makes, fills, drops or comments on; None for all other statements."""
    inner = tree.this if isinstance(tree, Explain) else tree
    target = inner.this if isinstance(inner, _TARGETING) else None
    return target.this if isinstance(target, exp.Schema) else target


def _insert_target(tree: exp.Expr, context: Context, lake: Lake) -> TableName | None:
    inner = tree.this if isinstance(tree, Explain) else tree
    node = target_of(inner)
    return (
        table_name(node, context, lake)
        if isinstance(inner, exp.Insert | Merge) and node is not None
        else None
    )


def _with_hidden(tree: exp.Expr, nodes: Sequence[exp.Table], sources: Sequence[Source]) -> list[Source]:
    """Return the tables with the hidden columns that the statement names."""
    own: dict[int, frozenset[str]] = {}
    known: dict[int, dict[str, str]] = {}
    for node, source in zip(nodes, sources, strict=True):
        own[id(node)] = frozenset(name.casefold() for name, _ in source.columns)
        if source.metadata is not None and source.schema is not None and source.virtual is None:
            known[id(node)] = hidden_columns(source.metadata, source.schema)
    asked = settle_hidden(tree, lambda node: known.get(id(node), {}), lambda node: own.get(id(node)))
    for node in nodes:
        if TARGET in node.meta:
            # By its name they could mean fields of a column that is called as the table is; here they do not.
            names = {*asked.get(id(node), ()), *PLACE}
            asked[id(node)] = tuple(name for name in known.get(id(node), {}) if name in names)
    return [
        replace(source, hidden=tuple((name, known[id(node)][name]) for name in asked.get(id(node), ())))
        for node, source in zip(nodes, sources, strict=True)
    ]
