"""Bytes that were valid once: Hypothesis strategies that damage messages as a hostile client would.

This module must not know what the messages mean.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# `make soak` asks for many more.
EXAMPLES = int(os.environ.get("EXAMPLES", "100"))

_WILD = (b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x00" * 8, b"\x80" * 10, b"\xff" * 8 + b"\x7f", b"\x0a\xff")


def often(calls: int = 1, share: float = 1.0) -> Any:
    """Return the settings of a property: EXAMPLES messages, of which each try sends ``calls``.

    Where few are asked for, a slow property gets a ``share`` of them.
    """
    return settings(
        max_examples=max(20, int(EXAMPLES * share)) if EXAMPLES < 1000 else -(-EXAMPLES // calls),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damaged(draw: Any, seeds: Sequence[bytes], most: int = 6) -> bytes:
    """Return one of the seeds with up to ``most`` pieces of it changed; sometimes with none."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 64)))
        match draw(st.integers(0, 7)):
            case 0 if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1 if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case 2:
                data[at:at] = draw(st.binary(max_size=16))
            case 3:
                del data[at:end]
            case 4:
                data[at:at] = data[at:end]
            case 5:
                del data[at:]
            case 6:
                wild = draw(st.sampled_from(_WILD))
                data[at : at + len(wild)] = wild
            case _:
                data += draw(st.sampled_from(seeds))
    return bytes(data)
