"""Libraries that are loaded when a model needs them.

This module must not know what they are used for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def library(name: str) -> Any:
    """Return a module; raises ImportError that says what to install."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"log_model needs {name.partition('.')[0]}: pip install 'scoter-client[models]'", name=name
        ) from error
