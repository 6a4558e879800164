"""Bytes that were valid once: Hypothesis strategies that damage messages as a hostile client would.

This module must not know what the messages mean.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random
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


def damaged(seeds: Sequence[bytes], most: int = 6) -> st.SearchStrategy[bytes]:
    """Return one of the seeds with up to ``most`` pieces of it changed; sometimes with none."""
    # One number is drawn: a draw for each change would take longer than what reads the message.
    return st.integers(0, 2**64 - 1).map(lambda number: _changed(Random(number), seeds, most))  # noqa: S311  # no secret


def _changed(random: Random, seeds: Sequence[bytes], most: int) -> bytes:
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(0, most)):
        at = random.randint(0, len(data))
        end = min(len(data), at + random.randint(0, 64))
        match random.randint(0, 7):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randint(0, 7)
            case 1 if at < len(data):
                data[at] = random.randint(0, 255)
            case 2:
                data[at:at] = random.randbytes(random.randint(0, 16))
            case 3:
                del data[at:end]
            case 4:
                data[at:at] = data[at:end]
            case 5:
                del data[at:]
            case 6:
                wild = random.choice(_WILD)
                data[at : at + len(wild)] = wild
            case _:
                data += random.choice(seeds)
    return bytes(data)
