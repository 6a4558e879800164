"""How many rows a model gets in one call.

This module must not know models, or where rows come from.
"""

from __future__ import annotations

MOST = 16_384
_FIRST = 2_048  # as of a function's calls
_FEWEST = 64
_SECONDS = 0.1  # of a call, at most about
_SECONDS_LAST = 0.005  # of one of the last calls, at least about
_SHARE = 2  # the last calls get this part of what is left for a thread


class Pace:
    """The rows of the next call, by the time that the last ones took; for many threads, which may be a call apart."""

    def __init__(self, threads: int, rows: int | None) -> None:
        """Begin a scoring on so many threads; ``rows`` are all that there will be, where that is known."""
        self._threads = threads
        self._left = rows
        self._most = _FIRST
        self._fewest = _FIRST

    def taken(self, rows: int) -> int:
        """Return how many of the ``rows`` at hand are to be scored next; they are counted as scored."""
        most = self._most
        if self._left is not None:
            # Small at last: else one thread is at work alone for as long as its call takes.
            share = self._left // (_SHARE * self._threads)
            most = min(most, max(self._fewest, _whole(share)))
        taken = min(rows, most)
        if self._left is not None:
            self._left -= taken
        return taken

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a call.

        A model that takes long gets fewer rows: it can be ended sooner and takes less memory.
        """
        a_second = rows / max(seconds, 1e-9)
        self._most = _whole(min(MOST, max(_FEWEST, int(a_second * _SECONDS))))
        self._fewest = _whole(min(MOST, max(_FEWEST, int(a_second * _SECONDS_LAST))))


def _whole(rows: int) -> int:
    """Return a power of two: these cut most batches into equal parts, and ONNX Runtime keeps a plan for each shape."""
    return 1 << max(0, rows.bit_length() - 1)
