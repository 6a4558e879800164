"""Writing: rows of a SELECT into Iceberg data files and one commit; definitions of new tables."""

from scoter.engine.writing.append import QUERY_ID, Written, append

__all__ = ["QUERY_ID", "Written", "append"]
