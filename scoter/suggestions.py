"""Hints that name what was probably meant.

This module must not know what is named.
"""

from __future__ import annotations

import difflib


def closest(name: str, candidates: list[str]) -> str | None:
    """Return a hint that names the candidate most like ``name``, or None.

    >>> closest("flihgts", ["flights", "weather"])
    'did you mean "flights"?'
    """
    folded = {c.casefold(): c for c in candidates}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return f'did you mean "{folded[found[0]]}"?' if found else None
