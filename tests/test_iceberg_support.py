"""docs/iceberg.md says what tests prove of Iceberg's features."""

from __future__ import annotations

import json
import re

import proofs
import pytest
import supported
import test_foreign_tables as foreign
import test_scan_deletes
import test_scan_equality
import test_scan_evolution
import test_scan_files
import test_scan_pruning
import test_scan_reading
from documents import headings

OWN = (
    test_scan_deletes,
    test_scan_equality,
    test_scan_evolution,
    test_scan_files,
    test_scan_pruning,
    test_scan_reading,
)


def condition(words: str) -> str:
    """Return the heading in docs/errors.md of the error that a pattern matches."""
    state = re.match(r"\\\[(\w{5})\\\]", words)
    assert state is not None, words
    return next(name for name in headings(proofs.ROOT / "docs" / "errors.md") if name.startswith(state[1]))


@pytest.mark.skipif(not foreign.CASES, reason="the tables of other engines are not beside this folder")
def test_the_table_is_what_is_proven() -> None:
    assert all(module.__doc__ for module in OWN)
    for case in foreign.CASES:
        version = json.loads((foreign.FOLDER / case.metadata).read_text("utf-8"))["format-version"]
        words = foreign.refusal(case)
        supported.answered(case, version, supported.READ if words is None else condition(words))
    columns = ["Feature", *(f"Version {version}" for version in supported.VERSIONS)]
    proofs.check_table("support", columns, supported.rows(), supported.DOCUMENT)
