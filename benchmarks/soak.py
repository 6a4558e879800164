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


def main() -> None:
    """Run both parts and write results/soak.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="times that the tests of faults are run")
    parser.add_argument("--examples", type=int, default=100_000, help="damaged messages for each decoder")
    asked = parser.parse_args()
    started = time.monotonic()
    faults = 0
    for number in range(asked.rounds):
        print(f"round {number + 1} of {asked.rounds}", flush=True)
        faults += len(run(*FAULTS, "-n", "logical", "--dist", "loadfile"))
    rows = []
    if asked.rounds:
        rows.append(Row("rounds of faults and races", asked.rounds, "rounds"))
        rows.append(Row("tests of faults and races passed", faults, "tests"))
    print(f"{asked.examples:,} damaged messages for each decoder", flush=True)
    decoders = (
        run(*DECODERS, "-n", "logical", "--dist", "load", examples=asked.examples) if asked.examples else []
    )
    rows += [
        Row(f"damaged messages: {name.removeprefix('test_').replace('_', ' ')}", asked.examples, "examples")
        for name in decoders
    ]
    rows.append(Row("time", round((time.monotonic() - started) / 60, 1), "minutes"))
    report("soak", rows)


if __name__ == "__main__":
    main()
