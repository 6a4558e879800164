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
from scoter.engine.plan import Plan
from scoter.engine.scoring import BATCH_ROWS
from scoter.errors import InternalError
from scoter.udfs.functions import Function

_FRAME = frozenset({"RESULT_COLLECTOR", "EXPLAIN_ANALYZE", "QUERY"})
_SHOWN = (
    "Table", "Join Type", "Conditions", "Condition", "Expression", "Filters", "Projections", "Groups",
    "Aggregates", "Order By", "Top", "Limit", "Offset", "CTE Name", "Type",
)  # fmt: skip


def explain(
    plan: Plan, running: Running, tables: Mapping[str, pa.Table | Arriving], *, analyze: bool
) -> list[tuple[str, str]]:
    """Return rows (key, text): tables, models, then DuckDB's physical plan.

    Without ``analyze`` no model runs: the plan's calls are volatile then, so DuckDB folds none of them.
    """
    rows = [("tables", _tables(plan)), ("models", _models(plan))]
    rows = [(key, text) for key, text in rows if text]
    running.prepare(plan.calls, tables)
    options = "ANALYZE, FORMAT json" if analyze else "FORMAT json"
    found = running.connection.execute(f"EXPLAIN ({options}) {plan.sql}").fetchone()
    if found is None:
        raise InternalError("DuckDB gave no plan")
    if analyze and running.instance.run.counts:
        total = running.instance.run.total
        rows.append(("scored", f"{total.rows:,} rows given, {total.skipped:,} skipped for a NULL input"))
    shown = json.loads(found[1])
    tree = shown["operator"] if isinstance(shown, dict) else shown
    rows.append((str(found[0]), "\n".join(_lines(tree, 0, _names(plan)))))
    return rows


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


def _kind(function: Function) -> str:
    return "try" if function.tries and function.kind == "predict" else function.kind


def _models(plan: Plan) -> str:
    apart = (
        {function for stage in plan.staged.stages for _, function in stage.scores} if plan.staged else set()
    )
    inlined = plan.staged.inlined if plan.staged else frozenset()
    lines = [
        f"Predict[{call.pin.name} version {call.pin.version}]  sha256 {call.function.sha256}  "
        f"written {call.pin.written!r}  {_kind(call.function)} -> {call.function.return_type}  "
        + ("a sum in SQL, other rows than plain numbers by " if call.function.name in inlined else "")
        + "ONNX Runtime on CPU, batches of up to "
        + (f"{BATCH_ROWS:,} rows between two queries" if call.function in apart else "2,048 rows")
        for call in plan.calls
    ]
    return "\n".join(dict.fromkeys(lines))
