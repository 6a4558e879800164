"""Models are loaded where the settings say, before an alias means them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import InProcess, opened
from slt import Refused

from scoter.engine.service import Engine
from scoter.errors import ConfigurationError
from scoter.settings import load
from scoter.udfs.runtime import onnxruntime


def test_a_version_is_loaded_before_an_alias_means_it(session: InProcess, model_files: Path) -> None:
    sessions = session.engine._parts.sessions
    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
    session.update(f"ALTER MODEL m ADD VERSION FROM '{model_files}/pair_hundred.onnx'")
    assert not sessions._loaded
    session.update("ALTER MODEL m SET ALIAS champion = 2")
    assert len(sessions._loaded) == 1
    session.update("ALTER MODEL m SET DEFAULT_VERSION = 1")
    assert len(sessions._loaded) == 2


def test_an_alias_does_not_come_to_mean_a_damaged_file(session: InProcess, model_files: Path) -> None:
    session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
    session.update(f"ALTER MODEL m ADD VERSION FROM '{model_files}/pair_hundred.onnx'")
    session.update("ALTER MODEL m SET ALIAS champion = 1")
    sha256 = session.value("SELECT sha256 FROM system.model_versions WHERE version = 2")
    (file,) = session.engine.settings.warehouse.rglob(f"{sha256}.onnx")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(Refused, match="CORRUPT_DATA"):
        session.update("ALTER MODEL m SET ALIAS champion = 2")
    assert session.value("SELECT PREDICT('m@champion', 1, 2)") == 21


def installed() -> str:
    return " ".join(onnxruntime.get_available_providers()).lower().replace("dml", "directml")


def test_a_provider_that_is_not_installed_is_refused_at_the_start(tmp_path: Path, model_files: Path) -> None:
    missing = next(name for name in ("coreml", "directml") if name not in installed())
    with pytest.raises(ConfigurationError, match=f"the installed ONNX Runtime has no {missing}") as caught:
        Engine(load(tmp_path / "lake", models={"execution_provider": missing}))
    assert "it has cpu" in caught.value.text()
    assert not (tmp_path / "lake").exists()
    with opened(
        tmp_path / "cpu", models={"execution_provider": "cpu", "allowed_prefixes": [str(model_files)]}
    ) as engine:
        session = InProcess(engine)
        session.update(f"CREATE MODEL m FROM '{model_files}/pair.onnx'")
        assert "ONNX Runtime on CPU" in dict(session.rows("EXPLAIN SELECT PREDICT('m', 1, 2)"))["models"]
