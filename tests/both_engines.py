"""Apache Spark and Scoter at one REST catalog, which both call ``far``, and their answers made comparable.

This module must not know what is stored in the catalog.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import spark_program
from rest_server import serving
from sessions import InProcess, opened
from spark_program import Spark


class Both:
    """Spark and a session of Scoter that have the same catalog as ``far``."""

    def __init__(self, spark: Spark, scoter: InProcess) -> None:
        self.spark = spark
        self.scoter = scoter

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, which both answer alike; without ORDER BY in the order of their text."""
        found = [spelled(self.spark.rows(sql)), spelled(self.scoter.rows(sql))]
        if "ORDER BY" not in sql:
            found = [sorted(rows, key=str) for rows in found]
        assert found[0] == found[1]
        return found[1]


def spelled(value: Any) -> Any:
    """Return a value of which equality says that it is the same."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {name: spelled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [spelled(inner) for inner in value]
    if isinstance(value, tuple):
        return tuple(spelled(inner) for inner in value)
    return value


@contextmanager
def together(directory: Path) -> Iterator[Both]:
    """Start both and the catalog with their files in a directory, and end them."""
    for name in ("rest", "spark", "lake"):
        (directory / name).mkdir()
    with serving(directory / "rest") as server:
        settings = spark_program.rest_catalog("far", server.properties())
        catalogs = {"far": {"type": "rest", "properties": server.properties()}}
        with (
            spark_program.running(directory / "spark", settings) as spark,
            opened(directory / "lake", catalogs=catalogs) as engine,
        ):
            spark.run("CREATE NAMESPACE far.s")
            yield Both(spark, InProcess(engine))
