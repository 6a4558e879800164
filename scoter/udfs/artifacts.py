"""Model files in the warehouse, named by their content.

This module must not know model names, versions or ONNX.
"""

from __future__ import annotations

import os
import re
import uuid
from hashlib import sha256 as digest
from pathlib import Path

from scoter.errors import CorruptData

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Artifacts:
    """Files ``<directory>/models/<first two digits>/<sha256>.onnx``, written once, never changed."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "models"

    def put(self, data: bytes) -> str:
        """Keep ``data`` durably and return its sha256 in hexadecimal; the same bytes are kept once."""
        name = digest(data).hexdigest()
        path = self._path(name)
        if path.exists() and digest(path.read_bytes()).hexdigest() == name:
            return name
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{name}.{uuid.uuid4().hex}")
        try:
            with staged.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return name

    def get(self, sha256: str) -> bytes:
        """Return the bytes kept under ``sha256``.

        Raises CorruptData when they are missing or no longer have that checksum.
        """
        try:
            data = self._path(sha256).read_bytes()
        except OSError as error:
            raise CorruptData(f"the model file {sha256[:12]} can not be read") from error
        if digest(data).hexdigest() != sha256:
            raise CorruptData(
                f"the model file {sha256[:12]} is damaged: its checksum does not match",
                hint="restore the file, or create the model version again",
            )
        return data

    def _path(self, sha256: str) -> Path:
        if _SHA256.fullmatch(sha256) is None:
            raise CorruptData("a model's checksum is not a sha256")
        return self._root / sha256[:2] / f"{sha256}.onnx"
