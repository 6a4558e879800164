"""One spelling of a value, whichever reader gave it. Python alone is needed, of any version that is in use.

This module must not know readers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: Any) -> str:
    """Return one spelling of a value, whichever reader gave it; NaN is equal to itself, -0.0 not to 0.0."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{plain(key)}: {plain(part)}" for key, part in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        pairs = bool(value) and all(isinstance(part, tuple) for part in value)
        return plain(dict(value)) if pairs else "{" + ", ".join(map(plain, value)) + "}"
    if is_aware(value):
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return repr(bytes(value) if isinstance(value, bytearray) else value)


def is_aware(value: Any) -> bool:
    """Say whether a value is a timestamp with a zone."""
    return isinstance(value, dt.datetime) and value.tzinfo is not None
