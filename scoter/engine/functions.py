"""Which functions a statement may call, and what is known about each.

This module must not know syntax trees.
"""

from __future__ import annotations

import re
from importlib import resources


def _load() -> dict[str, frozenset[str]]:
    text = resources.files("scoter.engine").joinpath("functions.txt").read_text("utf-8")
    found: dict[str, set[str]] = {}
    section: set[str] = set()
    for line in text.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), set())
        elif not line.startswith("#"):
            section.update(line.split())
    return {kind: frozenset(names) for kind, names in found.items()}


_KINDS = _load()
SCALARS: frozenset[str] = _KINDS["scalar"]
AGGREGATES: frozenset[str] = _KINDS["aggregate"]
UNORDERED: frozenset[str] = _KINDS["unordered"]
WINDOWS: frozenset[str] = _KINDS["window"]
TABLE_FUNCTIONS: frozenset[str] = _KINDS["table"]
# Scoter's own: it stands in FROM as a table does, and never reaches DuckDB.
TABLE_CHANGES = "table_changes"
CALLABLE: frozenset[str] = SCALARS | AGGREGATES | WINDOWS

# A call gives another result each time.
VOLATILE: frozenset[str] = frozenset(
    {"error", "gen_random_uuid", "random", "reservoir_quantile", "uuid", "uuidv4", "uuidv7"}
)
# The result is the instant at which the statement started, or a part of it. The words that are written
# without parentheses (CURRENT_DATE, LOCALTIME, …) belong here too.
NOW: frozenset[str] = frozenset(
    {
        "current_date",
        "current_localtime",
        "current_localtimestamp",
        "current_time",
        "current_timestamp",
        "get_current_time",
        "get_current_timestamp",
        "localtime",
        "localtimestamp",
        "now",
        "today",
        "transaction_timestamp",
    }
)

# The result is a constant of the session.
SESSION: frozenset[str] = frozenset(
    {
        "current_catalog",
        "current_database",
        "current_schema",
        "current_user",
        "session_user",
        "user",
        "version",
    }
)
# Names that DuckDB answers without parentheses where no column has them; those of SESSION are constants.
SESSION_WORDS: frozenset[str] = SESSION - {"current_database", "version"} | {"current_role"}

_REASONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (
            r"read_.*|.*_scan|glob|sniff_csv|parquet_.*|arrow_scan.*|open_.*|iceberg_.*|delta_.*",
            "files are read as tables of the lake only",
        ),
        (
            r"query|query_table|json_(de)?serialize_.*|json_execute_.*|histogram_values|summary",
            "it runs other SQL",
        ),
        (
            (
                r"getenv|current_setting|getvariable|which_secret|duckdb_.*|pragma_.*|in_search_path|"
                r"current_(role|schemas|query|query_id|connection_id)"
            ),
            "it tells about the engine behind the server",
        ),
        (r"nextval|currval|setval", "there are no sequences"),
        (
            r"setseed|set_.*|.*enable_.*|.*disable_.*|.*checkpoint|add_parquet_key|write_log",
            "it changes the server",
        ),
        (r"sleep.*|pg_sleep", "it only waits"),
        (r"pg_.*|has_.*_privilege|(col|obj|shobj)_description|format_type", "it belongs to another system"),
    )
)


def refusal(name: str) -> str | None:
    """Return why a function that DuckDB may have is not offered, or None when nothing is known of it.

    >>> refusal("read_csv")
    'files are read as tables of the lake only'
    """
    return next((reason for pattern, reason in _REASONS if pattern.fullmatch(name.lower())), None)
