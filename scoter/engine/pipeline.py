"""The flow of every statement on one page.

    parse → resolve → analyse → authorise → bind → rewrite → plan → execute → stream
                                                                  ↘ write → commit

This module must not know how a stage does its work, nor what is cached.
"""

from __future__ import annotations

import pyarrow as pa
from sqlglot import exp

from scoter.catalog.fetching import Check
from scoter.engine.analysis import analyse
from scoter.engine.authorise import authorise
from scoter.engine.context import Context
from scoter.engine.dialect import parse as parse_text
from scoter.engine.gate import check
from scoter.engine.journal import Entry
from scoter.engine.parts import Parts
from scoter.engine.plan import Pins, Plan
from scoter.engine.planning import finish
from scoter.engine.preparing import Prepared, bind
from scoter.engine.resolve import resolve


def parse(sql: str, parts: Parts) -> exp.Expr:
    """Return the one allowed statement in ``sql``."""
    tree = parse_text(sql, parts.settings.query.max_sql_bytes)
    check(tree)
    return tree


def prepare(
    sql: str,
    tree: exp.Expr,
    context: Context,
    parts: Parts,
    pins: Pins | None,
    entry: Entry,
    check: Check,
) -> Prepared:
    """Return a statement whose names, types and rights are settled; nothing has been opened or run.

    What ``check`` raises ends the waiting for stores and catalogs.
    """
    with entry.stage("resolve"):
        lake = parts.lake.ended_by(check)
        resolved = resolve(tree, context, lake, parts.models, parts.binder.instant, pins)
    analysis = analyse(resolved)
    entry.facts["action"] = analysis.action
    authorise(analysis, context.principal)
    with entry.stage("bind"):
        return bind(sql, resolved, analysis, context, parts)


def plan(
    prepared: Prepared,
    context: Context,
    parts: Parts,
    values: pa.RecordBatch | None,
    entry: Entry,
    check: Check,
) -> Plan:
    """Return the plan of a prepared statement; ``values`` are its bound rows, one row for a query.

    What ``check`` raises ends the reading of metadata, delete files and footers.
    """
    with entry.stage("plan"):
        return finish(prepared, context, parts, values, check)
