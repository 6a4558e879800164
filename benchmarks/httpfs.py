"""The peer of s3.py: DuckDB with its httpfs extension reads files of an S3 store; run by s3.py in a venv of its own.

It reads JSON from its input and writes JSON: seconds and rows of each run, of which the first is cold.
"""

from __future__ import annotations

import json
import sys
import time

import duckdb
import duckdb_extension_httpfs


def main() -> None:
    """Run the query as often as asked in one database."""
    asked = json.load(sys.stdin)
    extension = (
        f"{duckdb_extension_httpfs.__path__[0]}/extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
    )
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{asked['key_id']}', SECRET '{asked['secret']}', REGION '{asked['region']}', "
        f"ENDPOINT '{asked['endpoint']}', URL_STYLE 'path', USE_SSL false)"
    )
    runs = []
    for _ in range(asked["runs"]):
        started = time.perf_counter()
        rows = connection.execute(asked["query"]).fetchall()
        runs.append({"seconds": time.perf_counter() - started, "rows": [list(row) for row in rows]})
    json.dump(runs, sys.stdout)


if __name__ == "__main__":
    main()
