"""Put ONNX files into an MLflow registry as versions of a model: publish.py URI NAME FILE …

The last version gets the alias champion. A model without ONNX flavour is registered as NAME-plain.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import mlflow
import onnx
from mlflow.models import Model


def main(uri: str, name: str, *files: str) -> None:
    """Log and register the files, each as a version."""
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    for file in files:
        logged = mlflow.onnx.log_model(
            onnx.load(file),
            name="model",
            pip_requirements=["onnx"],
            registered_model_name=name,
            save_as_external_data=False,
        )
    client.set_registered_model_alias(name, "champion", str(logged.registered_model_version))
    with tempfile.TemporaryDirectory() as directory:
        Model(flavors={"python_function": {"loader_module": "nothing"}}).save(
            str(Path(directory) / "MLmodel")
        )
        with mlflow.start_run() as run:
            mlflow.log_artifacts(directory, "plain")
        client.create_registered_model(f"{name}-plain")
        client.create_model_version(f"{name}-plain", f"{run.info.artifact_uri}/plain", run.info.run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
