"""Golden rows hold when a version is made, and before a server serves it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from sessions import InProcess, opened
from slt import Refused

PAIR = "INPUT (x FLOAT, y FLOAT) WITH (verify = [{x: 1, y: 2, expected: 21}])"


def spoil(directory: Path, model: str, fact: str = "verify", old: str = "[21]", new: str = "[22.5]") -> None:
    """Change what a record says, at first the expected result as if another runtime gave another one."""
    with sqlite3.connect(directory / "metastore.db") as database:
        query = "SELECT v.rowid, facts FROM scoter_model_versions v JOIN scoter_models m ON m.id = model_id WHERE name = ?"
        ((row, facts),) = database.execute(query, [model]).fetchall()
        told = json.loads(facts)
        assert old in told[fact]
        told[fact] = told[fact].replace(old, new)
        database.execute(
            "UPDATE scoter_model_versions SET facts = ? WHERE rowid = ?", [json.dumps(told), row]
        )
    database.close()


def test_a_model_whose_rows_do_not_hold_is_not_served(session: InProcess, model_files: Path) -> None:
    session.update(f"CREATE MODEL good FROM '{model_files}/pair.onnx' {PAIR}")
    session.update(f"CREATE MODEL bad FROM '{model_files}/pair.onnx' {PAIR}")
    session.update("CREATE TABLE t AS SELECT 1 AS x, 2 AS y")
    directory = session.engine.settings.directory
    spoil(directory, "bad")
    with opened(directory) as engine:
        there = InProcess(engine)
        for statement in (
            "SELECT 1, PREDICT('bad', x, y) FROM t",
            "SELECT 1, PREDICT('bad', x, y) FROM t",
            "CREATE TABLE u AS SELECT PREDICT('bad', x, y) AS s FROM t",
            "ALTER MODEL bad SET ALIAS champion = 1",
            "ALTER MODEL bad SET DEFAULT_VERSION = 1",
            "EXPLAIN ANALYZE SELECT PREDICT('bad', x, y) FROM t",
        ):
            with pytest.raises(Refused) as caught:
                there.rows(statement)
            text = str(caught.value)
            assert "[38000] GOLDEN_ROWS_BROKEN: main.bad@1 gives other results" in text
            assert "row 1: y is 21.0, not 22.5" in text
            assert "ONNX Runtime" in text
        assert there.rows("SELECT PREDICT('good', x, y) FROM t") == [(21.0,)]
        assert "main.bad version 1" in str(there.rows("EXPLAIN SELECT PREDICT('bad', x, y) FROM t"))
        with pytest.raises(Refused, match="42P01"):
            there.rows("SELECT * FROM u")


def test_the_logic_of_a_version_is_proven_with_its_model(tmp_path: Path, model_files: Path) -> None:
    # With one place for statements: what proves a version must not wait for the statement that asks.
    flags = {
        "models": {"allowed_prefixes": [str(model_files)]},
        "query": {"concurrency": 1, "queue_seconds": 5},
    }
    calls = {
        "before": "CREATE MODEL before FROM '{}/pair.onnx' INPUT (n INTEGER, b FLOAT) "
        "WITH (pre = {{a: n + 1}}, verify = [{{n: 0, b: 2, expected: 21}}])",
        "behind": "CREATE MODEL behind FROM '{}/pair.onnx' INPUT (a FLOAT, b FLOAT) "
        "WITH (post = y + 1, verify = [{{a: 0, b: 2, expected: 21}}])",
    }
    with opened(tmp_path, **flags) as engine:
        there = InProcess(engine)
        for statement in calls.values():
            there.update(statement.format(model_files))
        assert there.rows("SELECT PREDICT('before', 0, 2), PREDICT('behind', 0, 2)") == [(21.0, 21.0)]
    for model in calls:
        spoil(tmp_path, model, "logic", "+ 1", "+ 3")
    with opened(tmp_path, **flags) as engine:
        there = InProcess(engine)
        for model in calls:
            for _ in range(2):
                with pytest.raises(Refused, match=rf"BROKEN: main.{model}@1 .* is 23.0, not 21 \(1:8\)"):
                    there.rows(f"SELECT PREDICT('{model}', 0, 2)")
        assert engine.instances.running == 0


def test_outputs_and_probabilities_have_golden_values(session: InProcess, model_files: Path) -> None:
    rows = session.rows
    session.update(f"CREATE MODEL c FROM '{model_files}/grade.onnx'")
    ((label, probabilities),) = rows("SELECT PREDICT('c', 0.25), PREDICT_PROBA('c', 0.25)")
    pairs = ", ".join(f"'{name}': {value}" for name, value in dict(probabilities).items())
    outputs = dict(
        rows("SELECT role, output_name FROM system.model_outputs WHERE model_name = 'c' AND role <> 'other'")
    )
    inputs = rows("SELECT input_name FROM system.model_inputs WHERE model_name = 'c'")
    verify = (
        f"[{{{inputs[0][0]}: 0.25, expected: "
        f"{{{outputs['label']}: {label!r}, {outputs['probabilities']}: {{{pairs}}}}}}}]"
    )
    session.update(f"ALTER MODEL c ADD VERSION FROM '{model_files}/grade.onnx' WITH (verify = {verify})")
    with pytest.raises(Refused, match="GOLDEN_ROWS_BROKEN"):
        session.update(
            f"ALTER MODEL c ADD VERSION FROM '{model_files}/grade.onnx' "
            f"WITH (verify = {verify.replace(str(next(iter(dict(probabilities).values()))), '0.125')})"
        )
