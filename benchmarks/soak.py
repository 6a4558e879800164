"""The long runs: tests of faults, races and random tables again and again, and damaged messages for every decoder.

Nothing is measured against a peer; the result says what was survived. The first failure ends the run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from measure import RESULTS, Row, report

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ("-k", "kill or race or process or concurrent or locked or crash or differential")
DECODERS = ("-m", "decoder")


def run(*selection: str, examples: int | None = None) -> list[str]:
    """Run the tests of a selection and return the names of those that passed; raises SystemExit for a failure."""
    environment = dict(os.environ)
    if examples is not None:
        environment["EXAMPLES"] = str(examples)
    with tempfile.TemporaryDirectory(prefix="scoter-soak-") as directory:
        found = Path(directory) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={found}", *selection]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        cases = ET.parse(found).getroot().iter("testcase")  # noqa: S314  # the file is our own pytest's
        return [str(case.get("name")) for case in cases if case.find("skipped") is None]


def faults(rounds: int) -> None:
    """Run the tests of faults and races so many times and write results/soak_faults.json."""
    started = time.monotonic()
    passed = 0
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        passed += len(run(*FAULTS))
    rows = [Row("rounds of faults and races", rounds, "rounds"), Row("tests passed", passed, "tests")]
    report("soak_faults", [*rows, _spent(started)])


def decoders(examples: int, *, resume: bool) -> None:
    """Send every decoder so many damaged messages and write results/soak_decoders.json, a row as each has passed.

    With ``resume`` decoders that have a row for as many messages are left out, as after a run that was ended.
    """
    started = time.monotonic()
    done = _passed(examples) if resume else []
    waiting = [test for test in _collected() if _name(test) not in done]
    print(f"{examples:,} damaged messages for each of {len(waiting)} decoders", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(run, test, examples=examples): test for test in waiting}
        for one in as_completed(running):
            one.result()
            done.append(_name(running[one]))
            rows = [Row(name, examples, "examples") for name in done]
            report("soak_decoders", [*rows, _spent(started)])


def _collected() -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *DECODERS]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if "::" in line]


def _name(test: str) -> str:
    return test.rpartition("::test_")[2].replace("_", " ")


def _passed(examples: int) -> list[str]:
    path = RESULTS / "soak_decoders.json"
    rows = json.loads(path.read_text())["results"] if path.exists() else []
    return [row["name"] for row in rows if row["unit"] == "examples" and row["value"] >= examples]


def _spent(started: float) -> Row:
    return Row("time", round((time.monotonic() - started) / 60, 1), "minutes")


def main() -> None:
    """Run both parts, or one where the other is asked for 0 times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="times that the tests of faults are run")
    parser.add_argument("--examples", type=int, default=100_000, help="damaged messages for each decoder")
    parser.add_argument(
        "--resume", action="store_true", help="leave out the decoders that have passed already"
    )
    asked = parser.parse_args()
    if asked.rounds:
        faults(asked.rounds)
    if asked.examples:
        decoders(asked.examples, resume=asked.resume)


if __name__ == "__main__":
    main()
