"""Rewrite rules: pure functions from AST to AST, one file each."""
