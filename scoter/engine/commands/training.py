"""The tables that a model was trained on, at the snapshots that are meant.

This module must not know models.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from scoter.engine.commands.outcome import Call
from scoter.engine.dialect import parse
from scoter.engine.gate import check
from scoter.engine.resolve import resolve
from scoter.engine.statements import span_of
from scoter.errors import InvalidDefinition, ScoterError


def snapshots_of(references: Sequence[exp.Expr], call: Call) -> tuple[tuple[str, int | None], ...]:
    """Return tables and their snapshots, of texts as they may stand behind FROM; None for an empty table.

    A view stands for the tables that it reads. Raises InvalidDefinition for a text that is no table, and what
    names and versions raise that do not exist, with the place of the text.
    """
    found: dict[str, int | None] = {}
    for reference in references:
        try:
            for name, snapshot in _snapshots(reference, call):
                if found.setdefault(name, snapshot) != snapshot:
                    raise InvalidDefinition(
                        f"trained_on names {name} at two snapshots"
                    )  # gets its place below
        except ScoterError as error:
            error.span = span_of(reference)
            raise
    return tuple(found.items())


def _is_stored(node: exp.Expr) -> bool:
    """Say whether a relation is a name with no more than a version."""
    given = {key for key, value in node.args.items() if value}
    return (
        isinstance(node, exp.Table)
        and isinstance(node.this, exp.Identifier | exp.Dot)
        and given <= {"this", "db", "catalog", "version"}
    )


def _snapshots(reference: exp.Expr, call: Call) -> list[tuple[str, int | None]]:
    lake = call.parts.lake
    query = parse(f"SELECT * FROM {reference.name}", call.parts.settings.query.max_sql_bytes)
    check(query)
    from_ = query.args.get("from_")
    plain = isinstance(query, exp.Select) and {key for key, value in query.args.items() if value} <= {
        "expressions",
        "from_",
    }
    if not plain or from_ is None or not _is_stored(from_.this):
        raise InvalidDefinition("trained_on is a list of tables: ['t', 't FOR VERSION AS OF ''x''']")
    resolved = resolve(query, call.context, lake, call.parts.models, call.parts.binder.instant)
    if any(source.metadata is None or source.virtual is not None for source in resolved.sources):
        raise InvalidDefinition("trained_on names a table that has no snapshots")
    return [(str(source.name), source.snapshot_id) for source in resolved.sources]
