"""`scoter model add`: into a lake's directory, and to a server, in pieces where a file is large."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from command import Command, serving
from onnx import TensorProto, helper, numpy_helper
from sessions import InProcess, opened
from slt import Refused

from scoter.cli.sessions import _in_pieces

MODELS = Path(__file__).parent.parent / "examples" / "models"


@pytest.fixture
def scoter(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def test_a_model_is_added_and_then_a_version(tmp_path: Path, scoter: Command) -> None:
    lake = tmp_path / "lake"
    first = scoter("model", "add", "late", MODELS / "late_v1.onnx", "--alias", "champion", "--lake", lake)
    assert first.code == 0
    assert "late@1 is registered as late@champion" in first.err
    assert "dep_delay" in first.out
    wrong = scoter("model", "add", "late", MODELS / "late_v2.onnx", "--alias", "5", "--lake", lake)
    assert (wrong.code, 'alias name "5" can not be used' in wrong.err) == (1, True)
    second = scoter("model", "add", "LATE", MODELS / "late_v2.onnx", "--default", "--lake", lake)
    assert "LATE@2 is registered" in second.err
    shown = scoter.well(
        "sql", lake, "--format", "csv", "-c",
        "SELECT version, is_default, aliases FROM system.model_versions ORDER BY version",
    )  # fmt: skip
    assert shown.splitlines()[1:] == ['1,false,"[""champion""]"', '2,true,"[]"']
    refused = scoter("model", "add", "bad", MODELS / "train_late_arrival.py", "--lake", lake)
    assert (refused.code, "INVALID_MODEL" in refused.err) == (1, True)
    missing = scoter("model", "add", "bad", tmp_path / "none.onnx", "--lake", lake)
    assert (missing.code, "can not be read" in missing.err) == (2, True)


def heavy(factor: float) -> bytes:
    """Return a model of some 20 MB that multiplies its input."""
    weights = np.full(5_000_000, factor, np.float32)
    weights[::2] = 0
    nodes = [helper.make_node("ReduceMax", ["w"], ["f"]), helper.make_node("Mul", ["x", "f"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in "xy"]
    graph = helper.make_graph(nodes, "heavy", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()


def test_a_large_model_goes_to_a_server_in_pieces(
    tmp_path: Path, scoter: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"heavy_{factor}.onnx" for factor in (2, 3)]
    for file, factor in zip(files, (2, 3), strict=True):
        file.write_bytes(heavy(factor))
    monkeypatch.setenv("SCOTER_PASSWORD", "secret")
    scoter.well("user", "add", "anna", "--role", "admin", "--lake", tmp_path / "lake")
    with serving(tmp_path / "lake") as (address, _):
        login = ["--server", address, "--user", "anna"]
        first = scoter("model", "add", "heavy", files[0], "--alias", "champion", *login)
        assert first.code == 0, first.err
        assert "heavy@1 is registered as heavy@champion" in first.err
        second = scoter("model", "add", "heavy", files[1], "--default", *login)
        assert "heavy@2 is registered" in second.err
        shown = scoter.well(
            "sql", address, "--user", "anna", "--format", "csv",
            "-c", "SELECT sha256 FROM system.model_versions ORDER BY version",
            "-c", "SELECT PREDICT('heavy', 7.0), PREDICT('heavy@champion', 7.0)",
        )  # fmt: skip
        for file in files:
            assert sha256(file.read_bytes()).hexdigest() in shown
        assert "21" in shown.splitlines()[-1]
        assert "14" in shown.splitlines()[-1]
        wrong = scoter("model", "add", "heavy", files[0], "--server", address, "--user", "nobody")
        assert wrong.code != 0


def test_pieces_are_of_one_file_or_refused(tmp_path: Path) -> None:
    data = heavy(2)
    reader = _in_pieces(pa.record_batch({"1": pa.array([data], pa.binary())}))
    assert isinstance(reader, pa.RecordBatchReader)
    pieces = list(reader)
    assert len(pieces) == 3
    assert max(piece.nbytes for piece in pieces) < 9_000_000
    (sent,) = pa.Table.from_batches(pieces).combine_chunks().to_batches()
    small = pa.record_batch({"1": pa.array([b"x"], pa.binary())})
    assert _in_pieces(small) is small
    with opened(tmp_path / "lake") as engine:
        session = InProcess(engine)
        session.query("CREATE MODEL heavy FROM ?", sent)
        assert session.value("SELECT PREDICT('heavy', 7.0)") == 14.0
        (digest,) = session.query("SELECT sha256 FROM system.model_versions").column(0).to_pylist()
        assert digest == sha256(data).hexdigest()
        nothing = pa.RecordBatch.from_arrays([pa.array([data, None], pa.binary())], schema=sent.schema)
        for wrong in (sent.slice(1), sent.take(pa.array([0, 2, 1])), sent.slice(0, 1), nothing):
            with pytest.raises(Refused, match=r"\[22.*pieces of a file"):
                session.query("ALTER MODEL heavy ADD VERSION FROM ?", wrong)
        # Rows that nothing marks as pieces are several values, of which the statement takes one.
        with pytest.raises(Refused, match=r"\[07001\]"):
            session.query("ALTER MODEL heavy ADD VERSION FROM ?", sent.replace_schema_metadata(None))
        assert session.value("SELECT count(*) FROM system.model_versions") == 1
