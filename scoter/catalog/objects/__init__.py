"""Object stores: reaching them, reading them through a cache on disk, and opening their files for pyiceberg.

This package must not know catalogs, tables or what is in a file.
"""
