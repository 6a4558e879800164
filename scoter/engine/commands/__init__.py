"""Statements that are neither queries nor writes of rows: definitions, models, looking, the session."""
