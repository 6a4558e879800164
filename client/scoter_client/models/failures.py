"""What can go wrong with a model before the server sees it.

This module must not know libraries.
"""

from __future__ import annotations


class ConversionError(ValueError):
    """The model can not be converted to ONNX, or its file can not be run."""


class MismatchError(ValueError):
    """The file says something else than the model that it was made from."""
