"""What rewrites of model calls write on nodes of a tree for those that come after them.

This module must not know who marks a node, nor what comes of it.
"""

from __future__ import annotations

FIELD = "scoter_field"
"""Marks what takes one of the results of a call that is several together."""
VOLATILE_CALL = "scoter_volatile"
"""Marks a call that DuckDB must not copy."""
READ_WHOLE = "scoter_read_whole"
"""Marks a SELECT inside another query, of which all rows and all scores are needed."""
IN_PLACE = "scoter_in_place"
"""Marks a subquery that a rewrite put in a table's place, under the table's name."""
