"""The engine's public face: open a lake, plan statements, run plans.

This module must not know sockets, tokens or terminals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
from sqlglot import exp

from scoter.catalog.fetching import Check
from scoter.catalog.lake import Lake
from scoter.catalog.manifests import Manifests
from scoter.catalog.metastore import Metastore
from scoter.catalog.models import Models
from scoter.catalog.principals import Principal, Principals
from scoter.catalog.recent import Recent
from scoter.engine import pipeline
from scoter.engine.authorise import authorise
from scoter.engine.binding import Binder
from scoter.engine.cancellation import Cancellation, watch
from scoter.engine.context import Context
from scoter.engine.instances import Instances
from scoter.engine.journal import Entry, Journal, new_query_id
from scoter.engine.kept import MOST, MOST_SQL, NO_REVISION, Keeping, Kept
from scoter.engine.named_models import names_models, with_names, without_names
from scoter.engine.parts import Parts
from scoter.engine.plan import Pins, Plan
from scoter.engine.planning import filled
from scoter.engine.proving import Proofs
from scoter.engine.result import Result
from scoter.engine.rules.pin_session import asks_who
from scoter.engine.running import Runner, normalised
from scoter.engine.scan import Scans
from scoter.engine.values import in_one
from scoter.errors import TooComplex
from scoter.settings import Settings
from scoter.udfs.artifacts import Artifacts
from scoter.udfs.quarantine import Quarantine
from scoter.udfs.sessions import Sessions, check_provider

_PATIENCE = 5.0  # seconds that interrupted statements get to end when the engine closes


@dataclass(frozen=True)
class _Parsed:
    tree: exp.Expr
    normalised: str
    personal: bool  # the result may depend on who asks
    size: int
    names_models: bool = False


def _size(held: _Parsed) -> int:
    return max(held.size, MOST_SQL // MOST)


class Engine:
    """One open lake. Thread-safe; close it when done."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        check_provider(settings.models.execution_provider)
        settings.directory.mkdir(parents=True, exist_ok=True)
        # First, because it may be away, and nothing else is open then.
        self.metastore = Metastore.open(settings.metastore_url)
        self.journal = Journal(settings.log)
        self.lake = Lake(settings, self.metastore)
        self.models = Models(self.metastore)
        self.principals = Principals(self.metastore)
        artifacts = Artifacts(settings.warehouse)
        sessions = Sessions(
            artifacts,
            settings.models.cache_bytes,
            provider=settings.models.execution_provider,
            compile_trees=settings.models.compile_trees,
        )
        limits = settings.models
        self._quarantine = Quarantine(limits.quarantine_after, limits.batch_seconds)
        self._binder = Binder()
        self.instances = Instances(
            settings.query,
            lambda: tuple(self.lake.directories()),
            sessions,
            self.lake.objects,
            self._quarantine,
        )
        self._parts = Parts(
            settings,
            self.lake,
            self.models,
            self.principals,
            artifacts,
            sessions,
            Proofs(self.instances, settings.query.statement_timeout),
            self._quarantine,
            Scans(Manifests(self.lake.io, real=self.lake.real), threads=settings.query.threads),
            self._binder,
        )
        self._runner = Runner(self._parts, self.instances)
        self._parsed: Recent[str, _Parsed] = Recent(MOST_SQL, _size)
        self._prepared = Keeping(self.lake, self.models)
        # What planning took, for the line that running writes under the same query id.
        self._stages: Recent[str, dict[str, float]] = Recent(MOST)

    def close(self) -> None:
        """Close the lake; running statements are interrupted."""
        self.instances.close()
        self.instances.end_all(_PATIENCE)
        self._quarantine.close()
        self._binder.close()
        self.lake.close()
        self.metastore.close()
        self.journal.close()

    def context(self, principal: Principal) -> Context:
        """Return a new session's state."""
        return Context(principal, self.settings.catalog, self.settings.schema_)

    def plan(
        self,
        sql: str,
        context: Context,
        pins: Pins | None = None,
        *,
        parameters: pa.RecordBatch | None = None,
        query_id: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> Plan:
        """Return the plan of a statement without running it.

        With ``pins``, exactly those table metadata files and model versions are used. A refusal is
        logged. A ``cancellation`` or the statement's timeout ends the work while it reads files, and a cancellation
        where its next stage would begin. Raises ScoterError.
        """
        entry = Entry(self.journal, query_id, context.principal.name, context.query_tag, cancellation)
        check = self._watch(context, cancellation or Cancellation())
        try:
            plan = self._plan(sql, context, pins, parameters, entry, check)
        except Exception as error:
            shown = entry.failed(error)
            entry.write()
            if shown is error:
                raise
            raise shown from error
        self._stages.put(entry.query_id, entry.times)
        return plan

    def run(
        self,
        plan: Plan,
        context: Context,
        parameters: pa.RecordBatch | None = None,
        *,
        query_id: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> Result:
        """Run a plan with its parameters bound; a write has committed on return.

        Raises ScoterError.
        """
        entry = Entry(self.journal, query_id, context.principal.name, context.query_tag)
        entry.times |= self._stages.get(entry.query_id) or {}
        cancellation = cancellation or Cancellation()
        try:
            parameters = None if parameters is None else in_one(parameters)
            authorised = plan
            if (plan.parameters.names and plan.sql == "" and plan.command is None) or parameters is not None:
                check = self._watch(context, cancellation)
                authorised = self._plan(plan.statement, context, plan.pins, parameters, entry, check)
            entry.facts |= {"sql": self._text(plan.statement), "pins": authorised.pins.logged}
        except Exception as error:
            shown = entry.failed(error)
            entry.write()
            if shown is error:
                raise
            raise shown from error
        return self._runner.run(authorised, context, parameters, entry, cancellation)

    def execute(self, sql: str, context: Context, parameters: pa.RecordBatch | None = None) -> Result:
        """Plan and run a statement."""
        query_id = new_query_id()
        plan = self.plan(sql, context, query_id=query_id)
        return self.run(plan, context, parameters, query_id=query_id)

    def _watch(self, context: Context, cancellation: Cancellation) -> Check:
        return watch(cancellation, context.statement_timeout or self.settings.query.statement_timeout)

    def _text(self, sql: str) -> str:
        parsed = self._parsed.get(sql)
        return parsed.normalised if parsed is not None else ""

    def _parse(self, sql: str, entry: Entry) -> _Parsed:
        found = self._parsed.get(sql)
        if found is None:
            with entry.stage("parse"):
                tree = pipeline.parse(sql, self._parts)
            found = _Parsed(tree, normalised(tree), asks_who(tree), len(sql), names_models(tree))
            self._parsed.put(sql, found)
        return found

    def _plan(
        self,
        sql: str,
        context: Context,
        pins: Pins | None,
        values: pa.RecordBatch | None,
        entry: Entry,
        check: Check,
    ) -> Plan:
        try:
            return self._planned(sql, context, pins, values, entry, check)
        except RecursionError as error:
            raise TooComplex("the statement is nested too deeply") from error

    def _planned(
        self,
        sql: str,
        context: Context,
        pins: Pins | None,
        values: pa.RecordBatch | None,
        entry: Entry,
        check: Check,
    ) -> Plan:
        parsed = self._parse(sql, entry)
        entry.facts["sql"] = parsed.normalised
        tree, named = parsed.tree, tuple[str, ...]()
        if parsed.names_models and values is None:
            tree = without_names(tree)
        elif parsed.names_models and values is not None:
            tree, named, values = with_names(tree, values)
        shared = ((sql, *named), context.catalog, context.schema, context.timezone)
        own = (*shared, context.principal.name)
        kept = None if parsed.personal else self._prepared.get(shared, pins, check)
        # A view may ask who reads it, which the statement does not show.
        kept = kept or self._prepared.get(own, pins, check)
        if kept is None:
            # The revision is read first: a change in between makes the entry stale, never wrong.
            revision = self.models.revision()
            prepared = pipeline.prepare(sql, tree.copy(), context, self._parts, pins, entry, check)
            resolved = prepared.resolved
            pointers = {pin.name: pin.metadata_location for pin in resolved.pins.tables}
            pointers |= {pin.name: pin.location for pin in resolved.pins.views}
            size = len(sql) + sum(len(pin.sql) for pin in resolved.pins.views)
            if pins is not None and not named:
                revision = NO_REVISION
            kept = Kept(prepared, pointers, revision if resolved.models else None, size)
            if not resolved.relative:
                self._prepared.put(own if parsed.personal or resolved.personal else shared, kept)
        prepared = kept.prepared
        authorise(prepared.analysis, context.principal)
        filling = values is not None or not prepared.parameters.names
        if kept.plan is not None and filling:
            return filled(kept.plan, prepared, values)
        if pins is not None and pins.instant is not None:
            prepared = replace(
                prepared,
                resolved=replace(
                    prepared.resolved, pins=replace(prepared.resolved.pins, instant=pins.instant)
                ),
            )
        plan = pipeline.plan(prepared, context, self._parts, values, entry, check)
        if prepared.is_stable and filling:
            # What is bound to it is this execution's alone.
            bound = plan.rows is not None or plan.values is not None
            kept.plan = replace(plan, rows=None, values=None) if bound else plan
        return plan
