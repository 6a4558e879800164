"""SQLAlchemy's suite for dialects, on tables whose rows can not be deleted."""

# ruff: noqa: F403, I001  # the suite is taken as a whole, and first: it has many names

from sqlalchemy.testing.suite import *

import pytest
from exclusions import EXCLUDED
from sqlalchemy import engine, event, schema, sql
from sqlalchemy.testing import fixtures

# The suite empties its tables between tests. Those with rows of their own keep them, as their tests only read.
for _suite in [found for found in list(globals().values()) if isinstance(found, type)]:
    if (
        issubclass(_suite, fixtures.TablesTest)
        and _suite.run_deletes == "each"
        and "insert_data" in vars(_suite)
    ):
        _suite.run_inserts, _suite.run_deletes = "once", None


@event.listens_for(engine.Engine, "before_execute", retval=True)
def _empty(connection, statement, multiparams, params, _options):
    """Empty a table by making it anew: rows can not be deleted."""
    if isinstance(statement, sql.Delete) and statement.whereclause is None:
        statement.table.drop(connection)
        statement.table.create(connection)
        statement = sql.select(sql.literal(1))
    return statement, multiparams, params


@event.listens_for(schema.CheckConstraint, "after_parent_attach")
@event.listens_for(schema.UniqueConstraint, "after_parent_attach")
def _leave_out(constraint, _table):
    # The suite's tables declare constraints also for dialects that have none, where ours is an error.
    constraint._create_rule = lambda _compiler: False  # noqa: SLF001  # SQLAlchemy's own switch


@event.listens_for(schema.Table, "before_create")
def _let_keys_be_null(table, _connection, **_options):
    # Rows of these tables are inserted without their generated key, which their tests do not look at.
    for column in table.columns:
        # SQLAlchemy 1.4 does not mark that of JSONTest.
        if column.info.get("test_needs_autoincrement") or (table.name, column.name) == ("data_table", "id"):
            column.nullable = True


for _place, _reason in EXCLUDED.items():
    _class, _, _test = _place.partition(".")
    _owner = globals().get(_class)
    _mark = pytest.mark.skip(reason=_reason)
    # What is not there belongs to another version of SQLAlchemy.
    if _owner is not None and not _test:
        globals()[_class] = _mark(_owner)
    elif hasattr(_owner, _test):
        setattr(_owner, _test, _mark(getattr(_owner, _test)))
