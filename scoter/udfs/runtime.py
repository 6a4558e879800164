"""ONNX Runtime as Scoter uses it: without its telemetry.

ONNX Runtime keeps a device id and an event database in the user's cache directory unless this variable is
set before its first import, so no other module imports it by itself.
This module must not know models.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime  # the variable comes first

__all__ = ["onnxruntime"]
