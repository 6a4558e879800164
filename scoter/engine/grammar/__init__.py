"""The grammar of our SQL: what stands beside DuckDB's own statements, read and written.

This package must not know catalogs, models' files or connections.
"""
