"""Alembic's entry: run the migrations on the connection that the metastore hands over.

The metastore holds the database's write lock and commits; nothing here may begin or end a transaction.
"""

from __future__ import annotations

from alembic import context

from scoter.catalog.metastore import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
