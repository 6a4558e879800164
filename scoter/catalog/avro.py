"""Reads doubles in manifests exactly: pyiceberg's compiled Avro decoder cuts them to 32 bits.

This module must not know what a manifest holds.

A partition value of 2.222 came back as 2.2219998836517334: files were pruned wrongly, and manifests that
pyiceberg merged were written with the wrong value.
"""

from __future__ import annotations

import struct

from pyiceberg.avro.decoder import BinaryDecoder
from pyiceberg.avro.reader import DoubleReader

_DOUBLE = struct.Struct("<d")


def read_doubles_exactly() -> None:
    """Make pyiceberg decode doubles as they are written, in this process. Idempotent."""
    DoubleReader.read = _read  # type: ignore[assignment, method-assign]  # a function is a method here


def _read(_: DoubleReader, decoder: BinaryDecoder) -> float:
    (value,) = _DOUBLE.unpack(decoder.read(_DOUBLE.size))
    return float(value)
