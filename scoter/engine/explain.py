"""EXPLAIN: what a plan reads, which models it calls, and DuckDB's own plan.

This module must not know how plans are made.
"""

from __future__ import annotations

import pyarrow as pa

from scoter.engine.execute import Running
from scoter.engine.plan import Plan

COLUMNS = (("explain_key", "VARCHAR"), ("explain_value", "VARCHAR"))


def explain(
    plan: Plan, running: Running, tables: dict[str, pa.Table], *, analyze: bool
) -> list[tuple[str, str]]:
    """Return rows (key, text): tables, models, then DuckDB's physical plan.

    Without ``analyze`` no model runs: the plan's calls are volatile then, so DuckDB folds none of them.
    """
    rows = [("tables", _tables(plan)), ("models", _models(plan))]
    rows = [(key, text) for key, text in rows if text]
    running.prepare(plan.calls, tables)
    verb = "EXPLAIN ANALYZE" if analyze else "EXPLAIN"
    found = running.connection.execute(f"{verb} {plan.sql}").fetchall()
    for key, text in found:
        rows.append((str(key), _readable(str(text), plan)))
    if analyze and running.instance.run.rows:
        run = running.instance.run
        rows.insert(
            len(rows) - len(found),
            ("scored", f"{run.rows:,} rows given, {run.skipped:,} skipped for a NULL input"),
        )
    return rows


def _tables(plan: Plan) -> str:
    lines = []
    for scan in plan.scans:
        where = f"snapshot {scan.snapshot_id}" if scan.snapshot_id is not None else "no snapshot"
        lines.append(
            f"{scan.table}  {where}  files {scan.files} of {scan.files_total}  rows {scan.rows:,}  "
            f"bytes {scan.bytes:,}" + (f"  {scan.note}" if scan.note else "")
        )
    return "\n".join(dict.fromkeys(lines))


def _models(plan: Plan) -> str:
    lines = [
        f"Predict[{call.pin.name} version {call.pin.version}]  sha256 {call.function.sha256}  "
        f"written {call.pin.written!r}  {call.function.kind} -> {call.function.return_type}  "
        "ONNX Runtime on CPU, batches of up to 2,048 rows"
        for call in plan.calls
    ]
    return "\n".join(dict.fromkeys(lines))


def _readable(text: str, plan: Plan) -> str:
    """Name a model where DuckDB's plan shows the function's hash."""
    for call in plan.calls:
        name = f"Predict[{call.pin.name.name} v{call.pin.version}]"
        text = text.replace(f"{call.function.name}_v", name).replace(call.function.name, name)
    return text
