"""Reads Iceberg tables with DuckDB's own extension: a metadata file and a snapshot a line in, its rows a line out.

Runs in an environment of its own, because the extension is there for an older DuckDB only, and in a process of its
own, because it can end the process. This module must not know who asks.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_values import plain


def connected() -> duckdb.DuckDBPyConnection:
    """Return a connection with the extensions of the wheels."""
    connection = duckdb.connect(
        config={"allow_unsigned_extensions": "true", "autoload_known_extensions": "false"}
    )
    for name in ("avro", "iceberg"):
        (place,) = find_spec(f"duckdb_extension_{name}").submodule_search_locations
        (file,) = Path(place).rglob(f"{name}.duckdb_extension")
        connection.execute(f"LOAD '{file}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def main() -> None:
    """Answer until the input ends."""
    connection = connected()
    for line in sys.stdin:
        place, snapshot = json.loads(line)
        options = "" if snapshot is None else f", snapshot_from_id = {snapshot}::UBIGINT"
        try:
            rows = connection.sql(f"SELECT * FROM iceberg_scan('{place}'{options})").fetchall()
            answer = {"rows": sorted([plain(value) for value in row] for row in rows)}
        except duckdb.Error as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
