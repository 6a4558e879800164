"""One DuckDB database in memory, locked: what it may read and spill is fixed, its limits are set for each statement.

This module must not know statements, models or who uses it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
from fsspec.spec import AbstractFileSystem

from scoter.engine.scanning.paths import PREFIX
from scoter.engine.types import literal

_SETTABLE = "['TimeZone','memory_limit','threads','operator_memory_limit','max_execution_time','preserve_insertion_order']"


class Database:
    """A locked database that reads ``directories`` and the files of ``objects``, and spills into ``directory``."""

    def __init__(
        self,
        directories: tuple[str, ...],
        objects: AbstractFileSystem,
        directory: Path,
        spilled: int,
        threads: int,
    ) -> None:
        """Open it; ``spilled`` are the most bytes on disk."""
        self.connection = duckdb.connect(
            ":memory:",
            # Without async_threads=0 DuckDB 2.0.0 deadlocks when a COPY is interrupted.
            config={"threads": threads, "preserve_insertion_order": True, "async_threads": 0},
        )
        self._set: dict[str, str] = {}
        self.connection.register_filesystem(objects)
        places = (*(f"{each.rstrip('/')}/" for each in directories), PREFIX)
        allowed = ", ".join(map(literal, places))
        for statement in (
            "SET TimeZone='UTC'",
            f"SET temp_directory={literal(str(directory))}",
            f"SET max_temp_directory_size='{spilled}B'",
            f"SET allowed_directories=[{allowed}]",
            "SET autoinstall_known_extensions=false",
            "SET autoload_known_extensions=false",
            "SET allow_community_extensions=false",
            "SET python_enable_replacements=false",
            "SET parquet_metadata_cache=true",
            "SET enable_progress_bar=false",
            "SET enable_external_access=false",
            f"SET allowed_configs={_SETTABLE}",
            "SET lock_configuration=true",
        ):
            self.connection.execute(statement)

    def prepare(self, memory: int, threads: int, timezone: str) -> None:
        """Set the limits and the time zone of the next statement; what has not changed is not set.

        To set the memory makes DuckDB give all back that it does not use, which it would soon ask for again.
        """
        self._change(memory_limit=f"'{memory}B'", threads=str(threads), TimeZone=literal(timezone))

    def keep_order(self, *, wanted: bool) -> None:
        """Let rows keep the order in which they are read, or not: DuckDB reads the parts of a union at once then."""
        self._change(preserve_insertion_order=str(wanted).lower())

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a further connection, in the same time zone."""
        cursor = self.connection.cursor()
        cursor.execute(f"SET TimeZone={self._set['TimeZone']}")
        return cursor

    def close(self) -> None:
        """Close it."""
        self.connection.close()

    def _change(self, **wanted: str) -> None:
        changed = {name: value for name, value in wanted.items() if self._set.get(name) != value}
        if changed:
            self.connection.execute("; ".join(f"SET {name}={value}" for name, value in changed.items()))
            self._set |= changed
