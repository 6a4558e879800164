"""The long runs: tests of faults, races and random tables again and again, and damaged messages for every decoder.

Nothing is measured against a peer; the result says what was survived. The first failure ends the run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from measure import Row, report

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ("-k", "kill or race or process or concurrent or locked or crash or differential")
DECODERS = ("-m", "decoder")


def run(*selection: str, examples: int | None = None) -> list[str]:
    """Run the tests of a selection and return the names of those that passed; a failure ends the program."""
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


def decoders(examples: int) -> None:
    """Send every decoder so many damaged messages and write results/soak_decoders.json."""
    started = time.monotonic()
    print(f"{examples:,} damaged messages for each decoder", flush=True)
    names = run(*DECODERS, "-n", "logical", "--dist", "load", examples=examples)
    rows = [Row(name.removeprefix("test_").replace("_", " "), examples, "examples") for name in names]
    report("soak_decoders", [*rows, _spent(started)])


def _spent(started: float) -> Row:
    return Row("time", round((time.monotonic() - started) / 60, 1), "minutes")


def main() -> None:
    """Run both parts, or one where the other is asked for 0 times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="times that the tests of faults are run")
    parser.add_argument("--examples", type=int, default=100_000, help="damaged messages for each decoder")
    asked = parser.parse_args()
    if asked.rounds:
        faults(asked.rounds)
    if asked.examples:
        decoders(asked.examples)


if __name__ == "__main__":
    main()
