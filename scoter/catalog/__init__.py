"""Persistent truth: Iceberg tables, commits, model records, principals, keys."""
