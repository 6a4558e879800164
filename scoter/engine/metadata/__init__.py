"""A table's metadata as tables: snapshots, files, partitions, ….

This package must not know statements or how rows are read.
"""
