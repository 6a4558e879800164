"""How Python and the C library are set for a process that serves many statements at once.

This module must not know what is served.
"""

from __future__ import annotations

import ctypes
import resource
import sys

# Statements run in threads that hold Python's lock for a moment between calls of DuckDB, and wait this long
# for one another. Eight clients get 1.7 times the queries of Python's own 5 ms.
_SWITCH_SECONDS = 0.0002

# glibc's numbers for mallopt and the values that it comes to by itself in a process of one thread: the
# threads of a server would give each freed buffer back to the system and ask for its pages anew, a sixth of
# the time of a small query. Source: mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MMAP_BYTES = 32 * 1024 * 1024


# What the libraries reserve and never use counts, too: 1.2 of the 1.5 GB that an idle server has.
_RESERVED = 2 * 1024 * 1024 * 1024


def limit_memory(most: int) -> None:
    """Let the system refuse memory beyond so many bytes to this process, where it counts them, as Linux does.

    Without it a model that asks for more than there is takes the whole process with it.
    """
    most += _RESERVED
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def tune() -> None:
    """Set how threads take turns and how freed memory is kept; where the C library is not glibc, only the first."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_TRIM_THRESHOLD, 2 * _MMAP_BYTES)
