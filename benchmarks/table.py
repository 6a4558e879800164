"""Writes the benchmarks' results as a table into the README, between two comments.

This module must not know how anything is measured.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results"
_PLACE = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
_PLANS = re.compile(r"(.+), (one|all) of ([\d,]+) files")
_ORDER = (
    "wire",
    "small",
    "tpch",
    "tpch_orders",
    "tpch_large",
    "clickbench",
    "planning",
    "deletes",
    "deletes",
    "s3",
    "predict",
    "predict_jobs",
    "ingest",
    "connections",
)
_ONE_OF_MANY = re.compile(r"Q\d+")


def table(directory: Path = RESULTS) -> str:
    """Return a Markdown table of every result with a ratio, and under it the machines.

    Single queries of a benchmark that also gives their total stay in its file.
    """
    found = [json.loads(path.read_text("utf-8")) for path in directory.glob("*.json")]
    if not found:
        return "Not measured yet: `make bench` measures.\n"
    found.sort(key=lambda one: (*(one["benchmark"] != name for name in _ORDER), one["benchmark"]))
    lines = ["| Measured | Result | Ratio | Target | Against |", "|---|---:|---:|---:|---|"]
    lines += [_line(one["benchmark"], row) for one in found for row in one["results"] if _shown(row)]
    machines: dict[str, list[str]] = {}
    for one in found:
        machines.setdefault(f"{_machine(one['machine'])}, {one['date']}", []).append(one["benchmark"])
    said = [f"{', '.join(names)}: {machine}." for machine, names in machines.items()]
    if len(machines) == 1:
        said = [f"Machine: {next(iter(machines))}."]
    plots = [_plot(one["results"]) for one in found if one["benchmark"] == "planning"]
    return "\n".join([*lines, "", *said, *plots]) + "\n"


def written(readme: str, found: str) -> str:
    """Return the README with ``found`` between its two comments; raises ValueError without them."""
    if len(_PLACE.findall(readme)) != 1:
        raise ValueError("the README needs one pair of <!-- results --> and <!-- /results -->")
    return _PLACE.sub(lambda place: f"{place[1]}{found}{place[2]}", readme)


def _plot(rows: list[dict[str, Any]]) -> str:
    """Return a plot of plan time against the number of files, drawn where Markdown is shown."""
    times: dict[str, dict[str, float]] = {}
    for row in rows:
        place = _PLANS.fullmatch(row["name"])
        if place is not None and place[2] == "all" and place[1] != "cold":
            times.setdefault(place[1], {})[place[3]] = row["value"]
    files = list(dict.fromkeys(files for line in times.values() for files in line))
    labels = ", ".join(f'"{number}"' for number in files)
    return "\n".join(
        [
            "",
            "```mermaid",
            "xychart-beta",
            f'    title "To plan a scan of all files: {", ".join(times)}"',
            f'    x-axis "files" [{labels}]',
            '    y-axis "milliseconds"',
            *(
                f'    line "{name}" [{", ".join(f"{line[n]:.1f}" for n in files)}]'
                for name, line in times.items()
            ),
            "```",
        ]
    )


def _shown(row: dict[str, Any]) -> bool:
    return row.get("ratio") is not None and not _ONE_OF_MANY.fullmatch(row["name"])


def _line(benchmark: str, row: dict[str, Any]) -> str:
    unit = "×" if row["unit"] == "x" else f" {row['unit']}"
    cells = (
        f"{benchmark}: {row['name']}",
        f"{_number(row['value'])}{unit}",
        f"{row['ratio']:.2f}",
        (row.get("target") or "").replace(">=", "≥").replace("<=", "≤"),
        row.get("against") or "",
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    """Return a number with three digits that matter.

    >>> _number(1234.5), _number(12.345), _number(0.01234)
    ('1,234', '12.3', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _machine(facts: dict[str, Any]) -> str:
    known = ("cpu", "cores", "memory_gib")
    versions = ", ".join(f"{name} {value}" for name, value in facts.items() if name not in known)
    return f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB ({versions})"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(written(path.read_text("utf-8"), table()), "utf-8")
    print(table())
