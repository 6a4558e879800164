"""The demonstration: one story on real data, told by a real server."""
