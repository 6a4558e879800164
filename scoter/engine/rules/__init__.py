"""Rewrite rules: functions from syntax tree to syntax tree, one file each.

The order in which they run stands in scoter/engine/pipeline.py.
"""
