"""ONNX Runtime leaves nothing behind in the user's home."""

import os
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).parent.parent / "examples" / "models" / "late_v1.onnx"


def test_no_telemetry_files(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from scoter.udfs.sessions import open_session\n"
        "from scoter.udfs.runtime import onnxruntime\n"
        f"onnxruntime.InferenceSession({str(MODEL)!r}, providers=['CPUExecutionProvider'])\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], check=True, env={**environment, "HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []
