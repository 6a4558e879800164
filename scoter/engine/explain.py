"""EXPLAIN: what a plan reads, which models it calls, and DuckDB's own plan.

This module must not know how plans are made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from scoter.engine.arriving import Arriving
from scoter.engine.execute import Running
from scoter.engine.pacing import MOST
from scoter.engine.plan import ModelCall, Plan, Stage, Staged
from scoter.errors import InternalError
from scoter.udfs.functions import Function
from scoter.udfs.runs import Counts

_FRAME = frozenset({"RESULT_COLLECTOR", "EXPLAIN_ANALYZE", "QUERY"})
_SHOWN = (
    "Table", "Join Type", "Conditions", "Condition", "Expression", "Filters", "Projections", "Groups",
    "Aggregates", "Order By", "Top", "Limit", "Offset", "CTE Name", "Type",
)  # fmt: skip


def explain(
    plan: Plan, running: Running, tables: Mapping[str, pa.Table | Arriving], *, analyze: bool
) -> list[tuple[str, str]]:
    """Return rows (key, text): tables, models, then DuckDB's physical plan.

    Without ``analyze`` no model runs: the plan's calls are volatile then, so DuckDB folds none of them. With it
    the plan runs as it would without EXPLAIN, and rows tell what the models did, and what the stages read.
    """
    staged = plan.staged
    if analyze:
        sql = running.start(plan, tables)
        staged = staged if staged is not None and sql == staged.sql else None
    else:
        running.prepare(plan.calls, tables)
        # What reads from a stage can be planned only where the stage is open.
        sql = staged.sql if staged is not None and not staged.stages else plan.sql
    key, tree = _plan(running, f"EXPLAIN ({'ANALYZE, ' if analyze else ''}FORMAT json) {sql}")
    rows = [("tables", _tables(plan)), ("models", _models(plan, staged, running.instance.provider))]
    rows.append(("writes", _writes(plan)))
    names = _names(plan)
    if analyze:
        rows.append(("scored", _scored(plan, staged, running.instance.run.counts)))
        stages = staged.stages if staged is not None else ()
        rows += [("stage_plan", _stage_plan(running, stage, names)) for stage in stages]
    rows = [(key, text) for key, text in rows if text]
    return [*rows, (key, "\n".join(_lines(tree, 0, names)))]


def _stage_plan(running: Running, stage: Stage, names: dict[str, str]) -> str:
    if stage.stored is not None and stage.stored.is_readable(running.instance.directories):
        return f"Read columns as stored  files: {len(stage.stored.paths):,}  about {stage.stored.rows:,} rows"
    return "\n".join(_lines(_plan(running, f"EXPLAIN (FORMAT json) {stage.sql}")[1], 0, names))


def _plan(running: Running, sql: str) -> tuple[str, list[dict[str, Any]]]:
    found = running.connection.execute(sql).fetchone()
    if found is None:
        raise InternalError("DuckDB gave no plan")
    shown = json.loads(found[1])
    return str(found[0]), shown["operator"] if isinstance(shown, dict) else shown


def _lines(nodes: list[dict[str, Any]], depth: int, names: dict[str, str]) -> Iterator[str]:
    """Write DuckDB's plan as an indented outline: what each operator does, and how many rows it gives.

    Only listed facts are shown: others hold paths of the server.
    """
    for node in nodes:
        kind = str(node.get("name") or node.get("type"))
        if kind in _FRAME:
            yield from _lines(node.get("children", []), depth, names)
            continue
        facts = node.get("extra_info", {})
        parts = [kind.strip().replace("_", " ").capitalize()]
        for key in _SHOWN:
            value = facts.get(key)
            if value:
                text = ", ".join(value) if isinstance(value, list) else str(value)
                parts.append(f"{key.casefold()}: {_named(text, names)}")
        if "intermediate_rows" in node:
            parts.append(f"{node['intermediate_rows']:,} rows in {node['timing'] * 1000:.1f} ms")
        elif "Estimated Cardinality" in facts:
            parts.append(f"about {int(facts['Estimated Cardinality']):,} rows")
        yield "  " * depth + "  ".join(parts)
        yield from _lines(node.get("children", []), depth + 1, names)


def _names(plan: Plan) -> dict[str, str]:
    """Return how each model function reads in a plan, the longer names first."""
    names = {}
    for call in plan.calls:
        shown = f"Predict[{call.pin.name.name} v{call.pin.version}]"
        names[f"{call.function.name}_v"] = shown
        names[call.function.name] = shown
    return names


def _named(text: str, names: dict[str, str]) -> str:
    for name, shown in names.items():
        text = text.replace(name, shown)
    return text


def _tables(plan: Plan) -> str:
    lines = []
    for scan in plan.scans:
        where = f"snapshot {scan.snapshot_id}" if scan.snapshot_id is not None else "no snapshot"
        lines.append(
            f"{scan.table}  {where}  files {scan.files} of {scan.files_total}  rows {scan.rows:,}  "
            f"bytes {scan.bytes:,}" + (f"  {scan.note}" if scan.note else "")
        )
    return "\n".join(dict.fromkeys(lines))


def _writes(plan: Plan) -> str:
    """Say what a MERGE, UPDATE or DELETE does to its table."""
    if plan.target is None or not plan.target.actions:
        return ""
    done = ", ".join(dict.fromkeys(plan.target.actions))
    return f"{plan.target.name}  {done}  each file that holds a changed row is written anew, in one commit"


def _kind(function: Function) -> str:
    if function.parts:
        return " and ".join(map(_kind, function.parts))
    return "try" if function.tries and function.kind == "predict" else function.kind


def _type(function: Function) -> str:
    return " and ".join(part.return_type for part in function.parts) or function.return_type


def _models(plan: Plan, staged: Staged | None, provider: str) -> str:
    apart = {function for stage in staged.stages for _, function in stage.scores} if staged else set()
    inlined = staged.inlined if staged else frozenset()
    lines = [
        f"{_shown(call)}  sha256 {call.function.sha256}  "
        f"written {call.pin.written!r}  {_kind(call.function)} -> {_type(call.function)}  "
        + ("a sum in SQL, other rows than plain numbers by " if call.function.name in inlined else "")
        + f"ONNX Runtime on {provider.upper()}, batches of up to "
        + (f"{MOST:,} rows between two queries" if call.function in apart else "2,048 rows")
        for call in plan.calls
    ]
    return "\n".join(dict.fromkeys(lines))


def _scored(plan: Plan, staged: Staged | None, counts: Mapping[str, Counts]) -> str:
    """Say what each model did; its times are those of all threads together. DuckDB does not count what a sum is made of."""
    inlined = staged.inlined if staged else frozenset()
    lines = []
    for call in plan.calls:
        did = counts.get(call.function.name, Counts())
        lines.append(
            f"{_shown(call)}  {_kind(call.function)}  "
            + ("rows of plain numbers as a sum in SQL, others " if call.function.name in inlined else "")
            + f"{did.rows:,} rows given, "
            f"{did.skipped:,} skipped for a NULL input, {did.failed:,} failed  {did.batches:,} batches{_compiled(did)}  "
            f"model {did.model_seconds * 1000:.1f} ms, conversion {did.conversion_seconds * 1000:.1f} ms "
            "of all threads"
        )
    return "\n".join(dict.fromkeys(lines))


def _compiled(did: Counts) -> str:
    return f", {did.compiled:,} with compiled trees" if did.compiled else ""


def _shown(call: ModelCall) -> str:
    return f"Predict[{call.pin.name} version {call.pin.version}]"
